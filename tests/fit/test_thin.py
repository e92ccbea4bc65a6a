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
    thin.guard(layer)
    x = torch.randn(4, 128, *sides)
    exact = gradients(layer, x, bf16=False)
    for _ in range(4):
        for mine, right in zip(gradients(layer, x, bf16=True), exact, strict=True):
            torch.testing.assert_close(mine, right, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("small", (16, 40, 44)),
        ("small", (11, 11, 11)),
        ("small", (12, 12, 12)),
        ("small", (20, 20, 20)),
        ("residual", (24, 40, 40)),
        ("densenet121", (32, 40, 44)),
        ("swin", (32, 32, 32)),
    ],
)
def test_gradients_of_thin_crops_are_finite_and_the_same_every_time(
    name: str, sides: tuple[int, ...]
):
    torch.manual_seed(0)
    encoder = encoders.build(name, 3, 1)
    assert isinstance(encoder, nn.Module)
    thin.guard(encoder)
    x = torch.randn(4, 1, *sides)
    found = [gradients(encoder, x, bf16=True) for _ in range(3)]
    assert all(grad.isfinite().all() for grad in found[0])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_decoder_s_thin_levels_are_guarded_too():
    torch.manual_seed(0)
    model = Learner(Segmentation(), encoders.build("small", 3, 1))
    thin.guard(model)
    whole = nn.Sequential()
    whole.add_module("model", model)
    whole.forward = lambda x: model.head(model.encoder(x), x.shape[2:])  # pyright: ignore
    x = torch.randn(2, 1, 16, 24, 24)
    first, second = (gradients(whole, x, bf16=True) for _ in range(2))
    assert all(torch.equal(a, b) and a.isfinite().all() for a, b in zip(first, second, strict=True))


def test_other_levels_stay_in_bf16_and_a_copy_is_its_own():
    layer = nn.Conv3d(1, 4, 3, 1, 1)
    thin.guard(layer)
    thin.guard(layer)
    other = copy.deepcopy(layer)
    nn.init.zeros_(other.weight)
    nn.init.zeros_(other.bias)  # pyright: ignore[reportArgumentType]
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(1, 1, 3, 3, 3)).dtype == torch.bfloat16
        assert layer(torch.randn(1, 1, 2, 8, 8)).dtype == torch.float32
        assert not other(torch.randn(1, 1, 2, 8, 8)).any()
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_every_training_is_guarded(tmp_path: Path):
    model = Learner(Rotation(), TinyEncoder(2))
    told = Training(steps=1, batch_size=2, precision="bf16", accelerator="cpu")
    fit(model, Images(), told, out=tmp_path, seed=0)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert convolutions
    assert all("forward" in vars(m) for m in convolutions)
