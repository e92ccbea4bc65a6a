"""Automatic tissue classes: the right ones, smooth where noise says nothing, in order."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from scanprior.contracts import InputError
from scanprior.data.files import read_image
from scanprior.data.intensity import foreground
from scanprior.data.tissue import mixture, tissues


def brain(shape: tuple[int, ...], noise: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Image, mask and classes (1 to 3 inside, smooth regions) of means 1, 2 and 3."""
    draw = np.random.default_rng(seed)
    relief = ndimage.gaussian_filter(draw.normal(size=shape), 4)
    centre = [np.arange(side) - (side - 1) / 2 for side in shape]
    radius = sum(a**2 for a in np.meshgrid(*centre, indexing="ij"))
    mask = radius < (min(shape) / 2 - 1) ** 2
    lower, upper = np.quantile(relief[mask], (0.2, 0.6))
    truth = np.where(mask, 1 + (relief > lower) + (relief > upper), 0)
    image = np.where(mask, truth + noise * draw.normal(size=shape), 0).astype(np.float32)
    return image, mask, truth


def dice(found: np.ndarray, truth: np.ndarray) -> list[float]:
    pairs = [(found == k, truth == k) for k in (1, 2, 3)]
    return [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]


@pytest.mark.parametrize("shape", [(32, 36, 30), (96, 90)])
def test_noisy_tissue_is_found_and_smoothing_helps(shape: tuple[int, ...]) -> None:
    image, mask, truth = brain(shape, noise=0.35)
    smooth = tissues(image, mask)
    rough = tissues(image, mask, smoothing=0.0)
    assert smooth.dtype == np.uint8
    assert (smooth[~mask] == 0).all()
    assert (smooth[mask] > 0).all()
    assert min(dice(smooth, truth)) > 0.9
    gains = np.subtract(dice(smooth, truth), dice(rough, truth))
    assert gains.min() > 0.03
    np.testing.assert_array_equal(smooth, tissues(image, mask))


def test_without_noise_nothing_is_lost() -> None:
    image, mask, truth = brain((24, 24, 24), noise=0.02)
    assert min(dice(tissues(image, mask), truth)) > 0.999


def test_order_is_by_mean_and_scale_does_not_matter() -> None:
    image, mask, _ = brain((24, 26, 24), noise=0.3)
    found = tissues(image, mask)
    means = [image[found == k].mean() for k in (1, 2, 3)]
    assert means == sorted(means)
    np.testing.assert_array_equal(found, tissues(image * 800 - 300, mask))
    turned = tissues(-image, mask)
    assert (turned[mask] == 4 - found[mask]).mean() > 0.999


def test_far_neighbours_count_less() -> None:
    """With slices 10 mm apart the field acts within slices: like each slice smoothed alone."""
    image, mask, _ = brain((24, 32, 32), noise=0.4)
    near, far = tissues(image, mask), tissues(image, mask, spacing=(10.0, 1.0, 1.0))
    between = [(f[1:] != f[:-1])[mask[1:] & mask[:-1]].mean() for f in (near, far)]
    assert between[1] > 1.1 * between[0]


def test_the_mixture_is_that_of_the_sample() -> None:
    draw = np.random.default_rng(0)
    parts = [draw.normal(0, 1, 30_000), draw.normal(6, 0.5, 50_000), draw.normal(10, 1, 20_000)]
    weight, mean, deviation = mixture(np.concatenate(parts), 3)
    np.testing.assert_allclose(weight, (0.3, 0.5, 0.2), atol=0.01)
    np.testing.assert_allclose(mean, (0, 6, 10), atol=0.05)
    np.testing.assert_allclose(deviation, (1, 0.5, 1), atol=0.05)


def test_few_intensities() -> None:
    image = np.zeros((9, 9), np.float32)
    image[2:7, 2:4], image[2:7, 4:6], image[2:7, 6:8] = 1, 2, 3
    np.testing.assert_array_equal(tissues(image, image > 0), image)
    image[image == 3] = 2
    with pytest.raises(InputError, match="fewer than 3 different intensities"):
        tissues(image, image > 0)
    with pytest.raises(InputError, match="1 classes"):
        tissues(image, image > 0, classes=1)
    inside = image > 0
    image[3, 3] = np.nan
    with pytest.raises(InputError, match="not finite"):
        tissues(image, inside, classes=2)


@pytest.mark.slow
def test_on_hippocampus(data: Path) -> None:
    """Three classes of all of the T1 image: fluid dark, grey between, white bright; no speckle."""
    for path in sorted((data / "Task04_Hippocampus" / "imagesTr").glob("*.nii.gz"))[:3]:
        image = read_image([path]).array
        mask = foreground(image)
        found, rough = (tissues(image[0], mask, smoothing=s) for s in (0.5, 0.0))
        share = np.bincount(found[mask], minlength=4)[1:] / mask.sum()
        assert share.min() > 0.03, (path.name, share)
        edges = [sum((np.diff(f.astype(int), axis=a) != 0).mean() for a in range(3))
                 for f in (found, rough)]  # fmt: skip
        assert edges[0] < 0.9 * edges[1], path.name
