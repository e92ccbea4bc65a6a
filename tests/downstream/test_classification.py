"""Grades are learned, in 2D and 3D; what ordinal answers, weights and windows mean."""

import pytest
import torch
import torch.nn.functional as F

from scanprior.contracts import InputError, Learner, Views
from scanprior.downstream import find, names
from scanprior.downstream.classification import Classification
from scanprior.draws import rng_of
from scanprior.nn import encoders
from scanprior.nn.augment import Augment

CALM = Augment(affine=0.0, contrast=0.0, gamma=0.0, noise=0.0)


def rng(step: int = 0, total: int = 4) -> torch.Generator:
    return rng_of(0, step, device=torch.device("cpu"), first=0, total=total)


def squares(dims: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Four images in noise: a bright square whose side grows with the grade."""
    image = 0.1 * torch.randn(4, 1, *(16,) * dims, generator=torch.Generator().manual_seed(0))
    for grade in range(4):
        image[(grade, 0, *(slice(2, 4 + 3 * grade),) * dims)] += 1
    return image, torch.arange(4)


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["softmax", "ordinal"])
@pytest.mark.parametrize("dims", [2, 3])
def test_loss_falls_on_one_batch(dims: int, answer: str) -> None:
    torch.manual_seed(0)
    task = Classification(4, answer, dropout=0.0)
    model = Learner(task, encoders.build("small", dims, 1, (4, 8, 8)))
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(50):
        optimiser.zero_grad()
        step = task.loss(model.encoder, model.head, Views(*squares(dims)))
        step.loss.backward()
        optimiser.step()
        losses.append(step.loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert step.metrics["accuracy"] == 1
    assert not step.metrics["accuracy"].requires_grad


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["softmax", "ordinal"])
@pytest.mark.parametrize("name", ["small", "swin", "densenet121"])
def test_gradient_reaches_encoder_and_head(name: str, answer: str) -> None:
    torch.manual_seed(0)
    model = Learner(Classification(4, answer), encoders.build(name, 2, 1))
    image = torch.randn(4, 1, 64, 64)
    model((image, torch.arange(4)), rng()).loss.backward()
    assert all(p.grad is not None for p in model.head.parameters())
    assert isinstance(model.encoder, torch.nn.Module)
    moved = [bool(p.grad.any()) for p in model.encoder.parameters() if p.grad is not None]
    assert sum(moved) > 0.8 * len(moved) > 0


@pytest.mark.parametrize("dims", [2, 3])
def test_views_leave_the_batch_and_depend_on_the_generator_alone(dims: int) -> None:
    task = Classification(4, flip_axes=(0,))
    image, grade = squares(dims)
    batch = image.half(), grade.int()
    before = batch[0].clone()
    views = [task.views(batch, rng(step)) for step in (0, 0, 1)]
    assert torch.equal(batch[0], before)
    assert views[0].inputs.dtype == torch.float32
    assert views[0].target.dtype == torch.int64
    assert torch.equal(views[0].inputs, views[1].inputs)
    assert not torch.equal(views[0].inputs, views[2].inputs)
    assert views[0].target.tolist() == [0, 1, 2, 3]


def test_flips_are_those_asked_for() -> None:
    image, grade = squares(2)
    for axes, kinds in ((None, 1), ((), 1), ((1,), 2), ((0, 1), 4)):
        task = Classification(4, augment=CALM, flip_axes=axes)
        seen = {
            tuple(task.views((image, grade), rng(s)).inputs[2].flatten().tolist())
            for s in range(40)
        }
        assert len(seen) == kinds


def test_an_instance_normalised_level_tells_images_apart() -> None:
    """Its plain mean is the same for all of them."""
    torch.manual_seed(0)
    level = F.instance_norm(torch.randn(4, 8, 6, 6))
    pool = Classification(4, levels="coarsest").head(encoders.build("small", 2, 1, (4, 8)))[0]
    assert level.mean((2, 3)).std(0).max() < 1e-6
    pooled = pool([torch.zeros(4, 4, 12, 12), level])
    assert pooled.shape == (4, 8 * 5)
    assert pooled.std(0).min() > 0.01


@pytest.mark.parametrize("answer", ["softmax", "ordinal"])
@pytest.mark.parametrize("dims", [2, 3])
def test_all_levels_are_read_or_the_coarsest_alone(dims: int, answer: str) -> None:
    encoder = encoders.build("small", dims, 1, (4, 8))
    fine, coarse = torch.randn(3, 4, *[8] * dims), torch.randn(3, 8, *[4] * dims)
    alone = Classification(4, answer, levels="coarsest").head(encoder).eval()
    both = Classification(4, answer).head(encoder).eval()
    assert both[0]([fine, coarse]).shape == (3, (4 + 8) * (2**dims + 1))
    assert torch.equal(alone([fine, coarse]), alone([fine + 1, coarse]))
    assert not torch.equal(both([fine, coarse]), both([fine + 1, coarse]))
    assert not torch.equal(both([fine, coarse]), both([fine, coarse + 1]))


def test_softmax_is_cross_entropy() -> None:
    logits, grade = (
        torch.randn(6, 5, generator=torch.Generator().manual_seed(0)),
        torch.arange(6) % 5,
    )
    step = Classification(5).loss(
        _Anything(), _Answer(logits), Views(torch.zeros(6, 1, 4, 4), grade)
    )
    torch.testing.assert_close(step.loss, F.cross_entropy(logits, grade))


def test_ordinal_is_the_sum_of_binary_questions() -> None:
    task = Classification(4, "ordinal")
    logits = torch.tensor([[2.0, 0.5, -1.0], [0.1, -0.2, -3.0]])
    grade = torch.tensor([2, 0])
    step = task.loss(_Anything(), _Answer(logits), Views(torch.zeros(2, 1, 4, 4), grade))
    yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
    expected = -(yes[0, 0] + yes[0, 1] + no[0, 2] + no[1].sum()) / 2
    torch.testing.assert_close(step.loss, expected)
    likely = task.probabilities(logits)
    above = logits.sigmoid()
    torch.testing.assert_close(likely.sum(1), torch.ones(2))
    torch.testing.assert_close(likely[0, 1], above[0, 0] - above[0, 1])
    torch.testing.assert_close(likely[1, 3], above[1, 2])
    assert task.decide(likely).tolist() == [2, 1]  # as many as are above one half


def test_ordinal_answers_that_contradict_each_other_are_probabilities_still() -> None:
    task = Classification(4, "ordinal")
    likely = task.probabilities(torch.tensor([[-1.0, 3.0, 0.0]]))
    assert (likely >= 0).all()
    torch.testing.assert_close(likely.sum(1), torch.ones(1))


def test_the_median_is_not_the_most_probable_grade() -> None:
    likely = torch.tensor([[0.4, 0.05, 0.25, 0.3]])
    assert Classification(4).decide(likely).tolist() == [0]
    assert Classification(4, "ordinal").decide(likely).tolist() == [2]


@pytest.mark.parametrize("answer", ["softmax", "ordinal"])
def test_rare_grades_weigh_more_and_micro_batches_add_up(answer: str) -> None:
    counts = (80, 15, 5)
    logits = torch.zeros(4, 3 if answer == "softmax" else 2)
    grade = torch.tensor([0, 0, 1, 2])

    def loss(balance: float, rows: slice) -> float:
        task = Classification(3, answer, balance=balance, counts=counts)
        image = torch.zeros(len(grade[rows]), 1, 4, 4)
        step = task.loss(_Anything(), _Answer(logits[rows]), Views(image, grade[rows]))
        return step.loss.item()

    rare, common = (loss(1.0, slice(i, i + 1)) for i in (3, 0))
    assert rare / common == pytest.approx(80 / 5, rel=1e-4)
    half = loss(0.5, slice(3, 4)) / loss(0.5, slice(0, 1))
    assert half == pytest.approx((80 / 5) ** 0.5, rel=1e-4)
    even = loss(0.0, slice(0, 1))
    mean = sum(n * loss(1.0, slice(i, i + 1)) for n, i in zip(counts, (0, 2, 3), strict=True)) / 100
    assert mean == pytest.approx(even, rel=1e-4)  # the learning rate means what it did
    parts = (loss(1.0, slice(0, 2)) + loss(1.0, slice(2, 4))) / 2
    assert parts == pytest.approx(loss(1.0, slice(0, 4)), rel=1e-5)


def test_impossible_tasks_are_refused() -> None:
    for fields, word in (
        ({"classes": 1}, "classes 1 leaves nothing"),
        ({"dropout": 1.0}, "dropout 1"),
        ({"balance": 2.0}, "balance 2"),
        ({"classes": 3, "counts": (1, 2)}, "2 counts do not suit 3"),
    ):
        with pytest.raises(InputError, match=word):
            Classification(**fields)
    with pytest.raises(InputError, match=r"flip_axes \(2,\) do not suit images of 2 axes"):
        Classification(4, flip_axes=(2,)).views(squares(2), rng())


def test_tasks_by_name() -> None:
    assert find("classification") is Classification
    assert names() == ["segmentation", "classification"]
    with pytest.raises(InputError, match="'detection'; use segmentation, classification"):
        find("detection")


class _Answer(torch.nn.Module):
    """A head that has made up its mind."""

    def __init__(self, answer: torch.Tensor):
        super().__init__()
        self.answer = answer

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
        return self.answer


class _Anything(torch.nn.Module):
    """An encoder that hands the image on."""

    spatial_dims, in_channels, channels, strides = 2, 1, (1,), (1,)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x]
