"""Thin levels on a processor that computes in bf16: the gradients are right, every time."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from scanprior.contracts import Learner
from scanprior.downstream.segmentation import Segmentation
from scanprior.fit import Training, fit, thin
from scanprior.nn import encoders
from scanprior.pretext.rotation import Rotation
from tests.conftest import TinyEncoder
from tests.fit.small import Images


def gradients(model: nn.Module, x: torch.Tensor, *, bf16: bool) -> list[torch.Tensor]:
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = model(x)
    out = out[-1] if isinstance(out, list) else out
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (out.float() * weights).mean().backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "sides", [(2, 8, 8), (2, 2, 2), (1, 1, 1), (4, 1, 4), (4, 4, 1), (1, 3, 1)]
)
def test_a_thin_convolution_has_the_gradient_of_float32(sides: tuple[int, ...], stride: int):
    torch.manual_seed(0)
    layer = nn.Conv3d(128, 128, 3, stride, 1)
    x = torch.randn(4, 128, *sides)
    exact = gradients(layer, x, bf16=False)
    with thin.guarded(layer):
        for _ in range(4):
            for mine, right in zip(gradients(layer, x, bf16=True), exact, strict=True):
                assert (mine - right).norm() < 0.01 * right.norm()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "batch", "sides"),
    [
        ("small", 4, (16, 40, 44)),
        ("small", 24, (11, 11, 11)),
        ("small", 24, (12, 12, 12)),
        ("small", 24, (20, 20, 20)),
        ("residual", 2, (24, 40, 40)),
        ("densenet121", 2, (32, 40, 44)),
    ],
)
def test_gradients_of_thin_crops_are_finite_and_the_same_every_time(
    name: str, batch: int, sides: tuple[int, ...]
):
    torch.manual_seed(0)
    encoder = encoders.build(name, 3, 1)
    assert isinstance(encoder, nn.Module)
    x = torch.randn(batch, 1, *sides)
    with thin.guarded(encoder):
        found = [gradients(encoder, x, bf16=True) for _ in range(4)]
    assert all(grad.isfinite().all() for grad in found[0])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_decoder_s_thin_levels_are_guarded_too():
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.learner = Learner(Segmentation(), encoders.build("small", 3, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.learner.head(self.learner.encoder(x), x.shape[2:])

    torch.manual_seed(0)
    model, x = Whole(), torch.randn(2, 1, 16, 24, 24)
    with thin.guarded(model):
        first, second = (gradients(model, x, bf16=True) for _ in range(2))
    assert all(torch.equal(a, b) and a.isfinite().all() for a, b in zip(first, second, strict=True))


def test_other_levels_stay_in_bf16_a_copy_is_its_own_and_nothing_stays_behind():
    torch.manual_seed(0)
    layer = nn.Conv3d(1, 4, 3, 1, 1)
    thick, slab = torch.randn(1, 1, 3, 3, 3), torch.randn(1, 1, 2, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        with thin.guarded(layer), thin.guarded(layer):
            other = copy.deepcopy(layer)
            nn.init.zeros_(other.weight)
            nn.init.zeros_(other.bias)  # pyright: ignore[reportArgumentType]
            assert not torch.equal(layer(input=thick), rounded(layer, thick))
            assert torch.equal(layer(input=slab), rounded(layer, slab))
            assert not other(slab).any()
        assert not torch.equal(layer(slab), rounded(layer, slab))
    assert "forward" not in vars(layer)


def rounded(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What ``layer`` answers in float32, in bf16."""
    with torch.autocast("cpu", enabled=False):
        return layer(x.float()).bfloat16()


def test_layers_that_compute_in_a_way_of_their_own_are_left_alone():
    class Masked(nn.Conv2d):
        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:  # pyright: ignore
            return super().forward(x) * mask

    layer = Masked(1, 2, 1)
    with thin.guarded(layer):
        assert layer(torch.randn(1, 1, 2, 2), torch.zeros(1)).abs().sum() == 0


def test_every_training_is_guarded(tmp_path: Path):
    exact = []

    class Watched(TinyEncoder):
        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            levels = super().forward(x)
            fine = x.float()[..., :2]
            exact.append(torch.equal(self.fine[0](fine), rounded(self.fine[0], fine)))
            return levels

    told = Training(steps=1, batch_size=2, precision="bf16", accelerator="cpu")
    fit(Learner(Rotation(), Watched(2)), Images(), told, out=tmp_path, seed=0)
    assert exact == [True]
