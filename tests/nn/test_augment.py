import dataclasses
import math

import pytest
import torch

from scanprior.contracts import InputError
from scanprior.draws import rng_of
from scanprior.nn.augment import Augment

STILL = Augment(affine=0.0, contrast=0.0, gamma=0.0, noise=0.0)
MOVING = dataclasses.replace(STILL, affine=1.0)
ALWAYS = Augment(affine=1.0, contrast=1.0, gamma=1.0, noise=1.0)


def rng(seed: int = 0, first: int = 0, total: int = 4) -> torch.Generator:
    return rng_of(seed, 0, device=torch.device("cpu"), first=first, total=total)


def coordinates(b: int, size: tuple[int, ...]) -> torch.Tensor:
    """``(b, d, *s)``: every voxel holds its own place."""
    axes = torch.meshgrid(*(torch.arange(n).float() for n in size), indexing="ij")
    return torch.stack(axes).expand(b, -1, *size).clone()


@pytest.mark.parametrize("size", [(24, 40), (12, 20, 16)])
def test_the_mask_follows_the_image(size: tuple[int, ...]) -> None:
    image = coordinates(4, size)
    flat = [math.prod(size[i + 1 :]) for i in range(len(size))]
    mask = sum(image[:, i] * flat[i] for i in range(len(size))).long()  # each voxel's own number
    moved, labels = MOVING(image, mask, rng(), flip_axes=range(len(size)))
    places = torch.stack([labels // flat[i] % size[i] for i in range(len(size))], dim=1).float()
    assert not torch.equal(labels, mask)
    assert (places - moved).abs().max() <= 0.5 + 1e-3  # the nearest voxel to where it came from


@pytest.mark.parametrize("size", [(24, 40), (12, 20, 16)])
def test_motion_is_a_rotation_and_a_scaling_in_voxels(size: tuple[int, ...]) -> None:
    """Also in a crop that is longer than wide: no shear, angle and size within their ranges."""
    moved, _ = MOVING(coordinates(4, size), torch.zeros(4, *size).long(), rng())
    middle = tuple(slice(n // 2 - 2, n // 2 + 2) for n in size)
    part = moved[(slice(None), slice(None), *middle)]
    jacobian = torch.stack(
        [part.diff(dim=2 + i).flatten(2).mean(-1) for i in range(len(size))], dim=-1
    )
    scale = torch.linalg.det(jacobian) ** (1 / len(size))
    assert ((scale >= 1 / 1.15) & (scale <= 1 / 0.85)).all()
    assert scale.std() > 0.01
    turned = jacobian / scale[:, None, None]
    eye = torch.eye(len(size)).expand(4, -1, -1)
    torch.testing.assert_close(turned @ turned.mT, eye, rtol=0, atol=1e-3)
    assert (turned - eye).abs().amax((1, 2)).max() > 0.05
    cosine = ((torch.einsum("bii->b", turned) - len(size) + 2) / 2).clamp(max=1)
    assert cosine.acos().rad2deg().max() <= 15 * math.sqrt(len(size) * (len(size) - 1) / 2)


def test_flips_are_exact_and_only_along_the_named_axes() -> None:
    image = torch.randn(16, 1, 6, 7, 8)
    mask = torch.randint(3, (16, 6, 7, 8))
    new, labels = STILL(image, mask, rng(total=16), flip_axes=(2,))
    kept = [torch.equal(new[i], image[i]) for i in range(16)]
    turned = [torch.equal(new[i], image[i].flip(3)) for i in range(16)]
    assert [a != b for a, b in zip(kept, turned, strict=True)] == [True] * 16
    assert any(kept)
    assert any(turned)
    for i in range(16):
        assert torch.equal(labels[i], mask[i].flip(2) if turned[i] else mask[i])


def test_nothing_on_changes_nothing() -> None:
    image, mask = torch.randn(4, 2, 8, 8), torch.randint(3, (4, 8, 8))
    new, labels = STILL(image, mask, rng())
    assert torch.equal(new, image)
    assert torch.equal(labels, mask)


@pytest.mark.parametrize("size", [(16, 12), (8, 6, 10)])
def test_the_input_stays_and_the_generator_decides(size: tuple[int, ...]) -> None:
    image, mask = torch.randn(4, 2, *size), torch.randint(3, (4, *size))
    before = image.clone(), mask.clone()
    first, again, other = (ALWAYS(image, mask, rng(seed), (0, 1)) for seed in (0, 0, 1))
    assert torch.equal(image, before[0])
    assert torch.equal(mask, before[1])
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].dtype == torch.float32
    assert first[1].dtype == torch.int64


@pytest.mark.parametrize("size", [(16, 12), (8, 6, 10)])
def test_without_a_mask_the_image_is_the_same(size: tuple[int, ...]) -> None:
    image = torch.randn(4, 2, *size)
    with_mask = ALWAYS(image, torch.zeros(4, *size).long(), rng(), (0, 1))
    without = ALWAYS(image, None, rng(), (0, 1))
    assert torch.equal(without[0], with_mask[0])
    assert without[1] is None


@pytest.mark.parametrize("augment", [ALWAYS, Augment()])
def test_shares_of_a_batch_are_the_whole_batch(augment: Augment) -> None:
    image, mask = torch.randn(6, 2, 8, 6, 10), torch.randint(3, (6, 8, 6, 10))
    whole = augment(image, mask, rng(total=6), (2,))
    for first, last in ((0, 2), (2, 6)):
        share = augment(image[first:last], mask[first:last], rng(first=first, total=6), (2,))
        torch.testing.assert_close(share[0], whole[0][first:last], rtol=1e-5, atol=1e-5)
        assert torch.equal(share[1], whole[1][first:last])


def test_each_change_of_intensity_is_what_it_says() -> None:
    image = torch.randn(64, 2, 16, 16) * 3 + 5
    mask = torch.zeros(64, 16, 16).long()
    new = dataclasses.replace(STILL, contrast=1.0)(image, mask, rng(total=64))[0]
    gain = new.std((2, 3)) / image.std((2, 3))
    assert gain.min() >= 0.8 - 1e-3
    assert gain.max() <= 1.25 + 1e-3
    assert gain.std() > 0.05
    shift = (new.mean((2, 3)) - image.mean((2, 3))) / image.std((2, 3))
    assert 0.1 < shift.abs().max() <= 0.21

    new = dataclasses.replace(STILL, gamma=1.0)(image, mask, rng(total=64))[0]
    torch.testing.assert_close(new.amax((2, 3)), image.amax((2, 3)))
    torch.testing.assert_close(new.amin((2, 3)), image.amin((2, 3)))
    order = image.flatten(2).argsort(-1)
    assert (new.flatten(2).gather(-1, order).diff() >= -1e-4).all()
    assert not torch.allclose(new, image, atol=0.1)

    new = dataclasses.replace(STILL, noise=1.0)(image, mask, rng(total=64))[0]
    strength = (new - image).std((2, 3)) / image.std((2, 3))
    assert 0.08 < strength.max() < 0.12
    assert strength.min() < 0.02

    new = dataclasses.replace(STILL, noise=0.5)(image, mask, rng(total=64))[0]
    untouched = sum(torch.equal(a, b) for a, b in zip(new, image, strict=True))
    assert 16 < untouched < 48


def test_a_flat_image_stays_finite() -> None:
    new, _ = ALWAYS(torch.full((4, 1, 8, 8), 2.0), torch.zeros(4, 8, 8).long(), rng())
    torch.testing.assert_close(new, torch.full_like(new, 2.0))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("noise", 1.5),
        ("affine", -0.1),
        ("scaling", (1.2, 0.8)),
        ("power", (0.0, 1.0)),
        ("gain", (0.5, math.inf)),
        ("rotation", -1.0),
        ("rotation", 400.0),
        ("shift", -0.2),
        ("deviation", -0.1),
        ("deviation", math.nan),
    ],
)
def test_impossible_values_are_refused(field: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"^augment\.{field} .*\.$"):
        Augment(**{field: value})
