import math

import pytest
import torch

from scanprior.contracts import InputError, Learner, Views
from scanprior.downstream.segmentation import Segmentation, soft_dice
from scanprior.draws import rng_of
from scanprior.nn import encoders


def rng(step: int = 0) -> torch.Generator:
    return rng_of(0, step, device=torch.device("cpu"), first=0, total=2)


def balls(spatial_dims: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images of two bright balls in noise, and the masks: classes 1 and 2."""
    axes = torch.meshgrid(*(torch.arange(20.0),) * spatial_dims, indexing="ij")
    mask = torch.zeros(2, *axes[0].shape, dtype=torch.long)
    for i in range(2):
        for label, centre in ((1, 5 + i), (2, 14 - i)):
            mask[i][sum((axis - centre) ** 2 for axis in axes) < 16] = label
    noise = torch.randn(mask.shape, generator=torch.Generator().manual_seed(0))
    return (mask + 0.1 * noise)[:, None], mask


def learner(task: Segmentation, spatial_dims: int) -> Learner:
    torch.manual_seed(0)
    return Learner(task, encoders.build("small", spatial_dims, 1, (8, 12, 16, 20)))


@pytest.mark.slow
@pytest.mark.parametrize("deep_supervision", [False, True])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_loss_falls_on_one_batch(spatial_dims: int, deep_supervision: bool) -> None:
    model = learner(Segmentation(3, deep_supervision), spatial_dims)
    image, mask = balls(spatial_dims)
    views = Views(image, mask)
    optimiser = torch.optim.Adam(model.parameters(), 2e-2)
    first = model.task.loss(model.encoder, model.head, views)
    for _ in range(30):
        optimiser.zero_grad()
        step = model.task.loss(model.encoder, model.head, views)
        step.loss.backward()
        optimiser.step()
    assert step.loss < 0.4 * first.loss
    assert step.metrics["dice"] > 0.6
    assert not step.metrics["dice"].requires_grad


@pytest.mark.parametrize("deep_supervision", [False, True])
@pytest.mark.parametrize("name", ["small", "swin"])
def test_gradient_reaches_encoder_and_decoder(name: str, deep_supervision: bool) -> None:
    model = Learner(Segmentation(3, deep_supervision), encoders.build(name, 2, 1))
    model(balls(2), rng()).loss.backward()
    for part in (model.encoder, model.head):
        assert isinstance(part, torch.nn.Module)
        assert all(p.grad is not None for p in part.parameters())
        assert any(bool(p.grad.any()) for p in part.parameters())


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_views_leave_the_batch_and_depend_on_the_generator_alone(spatial_dims: int) -> None:
    task = Segmentation(3, flip_axes=(spatial_dims - 1,))
    image, mask = balls(spatial_dims)
    batch = image.half(), mask.to(torch.uint8)  # as a store holds them
    before = batch[0].clone(), batch[1].clone()
    views = [task.views(batch, rng(step)) for step in (0, 0, 1)]
    assert torch.equal(batch[0], before[0])
    assert torch.equal(batch[1], before[1])
    assert views[0].inputs.dtype == torch.float32
    assert views[0].target.dtype == torch.int64
    assert views[0].target.shape == mask.shape
    assert torch.equal(views[0].inputs, views[1].inputs)
    assert torch.equal(views[0].target, views[1].target)
    assert not torch.equal(views[0].inputs, views[2].inputs)
    assert set(views[0].target.unique().tolist()) <= {0, 1, 2}


def test_loss_is_dice_without_background_and_cross_entropy_with_it() -> None:
    torch.manual_seed(0)
    logits, mask = torch.randn(2, 3, 8, 8), torch.randint(3, (2, 8, 8))
    step = Segmentation(3).loss(_Anything(), _Answer(logits), Views(torch.zeros(2, 1, 8, 8), mask))
    likely, truth = logits.softmax(1), torch.nn.functional.one_hot(mask).movedim(-1, 1)
    overlap = (likely * truth).sum((0, 2, 3))
    dice = 2 * overlap / (likely + truth).sum((0, 2, 3))
    entropy = -(likely.log() * truth).sum(1).mean()
    torch.testing.assert_close(step.loss, 1 - dice[1:].mean() + entropy, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(step.metrics["dice"], dice[1:].mean(), rtol=0, atol=0.02)


def test_coarse_answers_weigh_half() -> None:
    torch.manual_seed(0)
    fine, coarse = torch.randn(1, 2, 8, 8), torch.randn(1, 2, 4, 4)
    mask = torch.randint(2, (1, 8, 8))
    image = torch.zeros(1, 1, 8, 8)

    def loss(answer: object, target: torch.Tensor) -> float:
        return Segmentation(2).loss(_Anything(), _Answer(answer), Views(image, target)).loss.item()

    both = loss([fine, coarse], mask)
    expected = (loss(fine, mask) + 0.5 * loss(coarse, mask[:, ::2, ::2])) / 1.5
    assert math.isclose(both, expected, rel_tol=1e-5)


def test_soft_dice_of_certain_answers() -> None:
    mask = torch.tensor([[[0, 1], [2, 2]]])
    sure = torch.nn.functional.one_hot(mask, 4).movedim(-1, 1) * 100.0
    assert soft_dice(sure, mask) == 1  # class 3 is neither there nor predicted
    assert soft_dice(sure.flip(1), mask) < 0.5


def test_impossible_tasks_are_refused() -> None:
    with pytest.raises(InputError, match="classes 1 leaves nothing"):
        Segmentation(1)
    with pytest.raises(InputError, match=r"flip_axes \(2,\) do not suit images of 2 axes"):
        Segmentation(3, flip_axes=(2,)).views(balls(2), rng())


class _Answer(torch.nn.Module):
    """A head that has made up its mind."""

    def __init__(self, answer: object):
        super().__init__()
        self.answer = answer

    def forward(self, levels: list[torch.Tensor], size: torch.Size) -> object:
        return self.answer


class _Anything(torch.nn.Module):
    """An encoder that hands the image on."""

    spatial_dims, in_channels, channels, strides = 2, 1, (1,), (1,)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x]
