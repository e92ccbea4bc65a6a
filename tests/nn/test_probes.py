"""Probes find what is linearly there, and embeddings are those of the whole image."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from scanprior.nn import encoders, probes


class Raw(nn.Module):
    """Its only level is the image: what the moments must be is known."""

    strides = (1,)

    def __init__(self, spatial_dims: int, in_channels: int = 2):
        super().__init__()
        self.spatial_dims, self.in_channels, self.channels = spatial_dims, in_channels, (2,)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x]


@pytest.mark.parametrize(("dims", "shape"), [(2, (9, 11)), (3, (9, 7, 5)), (2, (40, 7, 5))])
def test_moments_by_hand(dims: int, shape: tuple[int, ...]) -> None:
    image = torch.randn(2, *shape)
    flat = image.flatten(1)
    expected = torch.cat((flat.mean(1), flat.std(1, correction=0)))
    torch.testing.assert_close(probes.moments(Raw(dims), image), expected)


class OnMetal(torch.Tensor):
    """A tensor on a device that has no float64, as Apple's."""

    def double(self) -> torch.Tensor:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    def cpu(self) -> torch.Tensor:
        return self.as_subclass(torch.Tensor)


def test_moments_on_a_device_without_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.randn(2, 9, 11)
    expected = probes.moments(Raw(2), image)
    monkeypatch.setattr(Raw, "forward", lambda self, x: [x.as_subclass(OnMetal)])
    torch.testing.assert_close(probes.moments(Raw(2), image), expected)


def test_windows_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.randn(2, 21, 10, 17)
    whole = probes.moments(Raw(3), image)
    monkeypatch.setattr(probes, "_SIDE", {2: 8, 3: 8})
    torch.testing.assert_close(probes.moments(Raw(3), image), whole)


@pytest.mark.parametrize("dims", [2, 3])
def test_levels_and_small_images(dims: int, tiny: Callable[..., Any]) -> None:
    encoder = encoders.build("small", dims, 1, (4, 8, 8))
    image = torch.randn(1, *(3,) * dims)  # smaller than the stride of 4
    assert probes.moments(encoder, image).shape == (2 * (4 + 8 + 8),)
    coarse = probes.moments(encoder, image, "coarsest")
    assert coarse.shape == (2 * 8,)
    assert coarse.isfinite().all()
    torch.testing.assert_close(probes.moments(encoder, image)[-16:], coarse)
    larger = torch.randn(1, *(16,) * dims)
    x = tiny(dims)(larger[None])[-1].flatten(2)[0]
    mean = probes.moments(tiny(dims), larger, "coarsest")[:16]
    torch.testing.assert_close(mean, x.mean(1), rtol=1e-4, atol=1e-5)


def test_standardised_by_the_training_part() -> None:
    train = torch.randn(50, 3) * torch.tensor([1.0, 5.0, 0.0]) + 7
    a, b = probes.standardised(train, train[:5] + 1)
    assert a.shape == (50, 2)  # the constant is gone
    torch.testing.assert_close(a.mean(0), torch.zeros(2).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(a.std(0, correction=0), torch.ones(2).double())
    deviation = train.double().std(0, correction=0)[:2]
    torch.testing.assert_close(b, a[:5] + 1 / deviation, rtol=1e-5, atol=1e-5)


def test_neighbours_vote() -> None:
    train = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.0]])
    grade = torch.tensor([0, 0, 1, 2])
    test = torch.tensor([[5.0, 0.1], [0.0, 2.0]])  # lengths do not matter
    one = probes.nearest(train, grade, test, 4, 1)
    torch.testing.assert_close(one, torch.eye(4)[:2])
    two = probes.nearest(train, grade, test, 4, 3)
    torch.testing.assert_close(two.sum(1), torch.ones(2))
    cosine = nn.functional.normalize(train) @ nn.functional.normalize(test[0], dim=0)
    votes = (cosine[:3] / 0.07).softmax(0)
    torch.testing.assert_close(two[0, :2], torch.stack((votes[0] + votes[1], votes[2])))
    assert probes.nearest(train, grade, test, 4, 99).shape == (2, 4)  # more than there are


def test_regression_is_at_its_minimum() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(80, 4, generator=draw).double()
    y = (x[:, 0] + 0.5 * torch.randn(80, generator=draw)).sign().long() + 1  # 0 or 2, never 1
    new = torch.randn(10, 4, generator=draw).double()
    found = probes.logistic(x, y, new, 3, l2=0.1).numpy()

    def loss(flat: np.ndarray) -> float:
        w, b = flat[:12].reshape(4, 3), flat[12:]
        z = x.numpy() @ w + b
        z = z - z.max(1, keepdims=True)
        log = z - np.log(np.exp(z).sum(1, keepdims=True))
        return -log[np.arange(80), y.numpy()].mean() + 0.05 * (w**2).sum()

    best = minimize(loss, np.zeros(15), tol=1e-10).x
    z = np.exp(new.numpy() @ best[:12].reshape(4, 3) + best[12:])
    np.testing.assert_allclose(found, z / z.sum(1, keepdims=True), atol=5e-3)
    assert found[:, 1].max() < 0.05


def test_a_stronger_penalty_is_less_sure() -> None:
    x = torch.randn(40, 30, generator=torch.Generator().manual_seed(0)).double()
    y = (x[:, 0] > 0).long()
    sure = [probes.logistic(x, y, x, 2, l2).amax(1).mean() for l2 in (1e-3, 1.0, 100.0)]
    assert sure[0] > sure[1] > sure[2]
    assert sure[2] < 0.6
