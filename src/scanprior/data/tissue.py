"""Tissue classes from intensities alone: a Gaussian mixture in a hidden Markov random field.

The free stand-in for FSL-FAST: Zhang, Brady & Smith, "Segmentation of brain MR images through a
hidden Markov random field model and the expectation-maximization algorithm", IEEE TMI 20 (2001).
FAST's estimate of the bias field is left out. Everything is deterministic.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from scanprior.contracts import InputError
from scanprior.nd import bounding_box

SMOOTHING = 0.5
"""Strength of the field between face neighbours (beta in the paper)."""
_BINS = 512
_TOLERANCE = 1e-4  # of the means, as a share of the range
_CHANGED = 1e-3  # share of voxels whose class still changes when the field has settled


def tissues(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    classes: int = 3,
    smoothing: float = SMOOTHING,
    spacing: Sequence[float] | None = None,
) -> np.ndarray:
    """Class of every voxel of ``image (*s)`` in ``mask (*s)``: uint8 ``(*s)``, 0 outside.

    Classes are numbered from 1 by mean intensity. They begin as a mixture of Gaussians (EM on the
    histogram); then neighbours are taken into account, by alternating the mean-field approximation
    of the field's posterior with new means and deviations (the paper's HMRF-EM, whose MAP estimate
    is replaced by probabilities). A step of mean field treats the two colours of a checkerboard in
    turn, so that it cannot oscillate.

    Args:
        smoothing: how much a neighbour of the same class counts, in units of log-likelihood; 0
            leaves the mixture as it is.
        spacing: mm an axis; neighbours farther away count less, in inverse proportion.

    Raises:
        InputError: fewer different intensities than classes in the mask, or settings that cannot
            be.
    """
    check_settings(classes, smoothing)
    values = image[mask].astype(np.float64)
    if not np.isfinite(values).all() or len(np.unique(values)) < classes:
        raise InputError(
            f"the foreground has fewer than {classes} different intensities, or some that are not "
            "finite; leave this image out or ask for fewer classes."
        )
    clipped = values.clip(*np.percentile(values, (0.5, 99.5)))  # a few vessels are no tissue
    if len(np.unique(clipped)) >= classes:
        values = clipped
    weight, mean, deviation = mixture(values, classes)
    likely = _log_gauss(values, mean, deviation)
    if smoothing == 0:
        found = (likely + np.log(weight)[:, None]).argmax(0)
    else:
        scale = np.ones(len(image.shape)) if spacing is None else np.asarray(spacing, dtype=float)
        box = mask[bounding_box(mask)]
        found = _field(values, box, likely, smoothing * scale.min() / scale)
    means = [values[found == k].mean() if (found == k).any() else mean[k] for k in range(classes)]
    result = np.zeros(image.shape, np.uint8)
    result[mask] = 1 + np.argsort(np.argsort(means))[found]
    return result


def check_settings(classes: int, smoothing: float) -> None:
    """Raise :class:`InputError` for settings with which :func:`tissues` finds nothing."""
    if not 2 <= classes <= 20 or not 0 <= smoothing < np.inf:
        raise InputError(
            f"{classes} classes with smoothing {smoothing} are impossible; use 2 to 20 classes and "
            "a smoothing of 0 or more."
        )


def mixture(values: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and deviations ``(classes,)`` of the Gaussian mixture of ``values (n,)``.

    Expectation-maximisation on a histogram, from the k-means clusters that begin at quantiles.
    """
    count, edges = np.histogram(values, _BINS)
    centre = (edges[:-1] + edges[1:]) / 2
    centre, count = centre[count > 0], count[count > 0].astype(float)
    least = (edges[1] - edges[0]) / 2  # narrower than its bin no Gaussian can be told to be
    mean = np.quantile(values, (np.arange(classes) + 0.5) / classes)
    if len(np.unique(mean)) < classes:  # one value fills several quantiles
        mean = np.linspace(values.min(), values.max(), classes)
    share = np.zeros((classes, len(centre)))
    for _ in range(100):
        nearest = np.abs(centre - mean[:, None]).argmin(0)
        share = (nearest == np.arange(classes)[:, None]).astype(float)
        before, mean = mean, _moments(centre, share * count, mean, least)[1]
        if np.allclose(before, mean):
            break
    weight, mean, deviation = _moments(centre, share * count, mean, least)
    for _ in range(500):
        share = softmax(_log_gauss(centre, mean, deviation) + np.log(weight)[:, None], axis=0)
        before = mean
        weight, mean, deviation = _moments(centre, share * count, mean, least)
        if np.abs(mean - before).max() < _TOLERANCE * (edges[-1] - edges[0]):
            break
    return weight, mean, deviation


def _moments(
    values: np.ndarray, share: np.ndarray, mean: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight, mean and deviation ``(k,)`` of ``values (n,)`` shared out by ``share (k, n)``.

    A class that has nothing keeps its ``mean``; no deviation is below ``least``.
    """
    total = share.sum(1)
    safe = np.maximum(total, 1e-9)
    mean = np.where(total > 1e-9, share @ values / safe, mean)
    variance = (share * (values - mean[:, None]) ** 2).sum(1) / safe
    return safe / safe.sum(), mean, np.sqrt(variance).clip(least)


def _log_gauss(values: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """``(k, n)``."""
    away = (values - mean[:, None]) / deviation[:, None]
    return -0.5 * (away**2 + np.log(2 * np.pi)) - np.log(deviation)[:, None]


def _field(
    values: np.ndarray, mask: np.ndarray, likely: np.ndarray, strength: np.ndarray
) -> np.ndarray:
    """Classes ``(n,)`` of the masked voxels: mean field and new Gaussians, in turn.

    ``strength`` is the field's an axis. Neighbours outside the mask say nothing.
    """
    classes, inside = len(likely), np.flatnonzero(mask)
    even = np.indices(mask.shape).sum(0).ravel()[inside] % 2 == 0
    colours = [np.flatnonzero(colour) for colour in (even, ~even)]
    least = float(np.ptp(values)) / (2 * _BINS)
    share, found = softmax(likely, axis=0), likely.argmax(0)
    mean = np.zeros(classes)
    whole = np.zeros((classes, mask.size), np.float32)
    whole[:, inside] = share
    for _ in range(30):
        for colour in colours:
            here = inside[colour]
            around = _neighbours(whole.reshape(classes, *mask.shape), strength)
            near = around.reshape(classes, -1)[:, here]
            share[:, colour] = softmax(likely[:, colour] + near, axis=0)
            whole[:, here] = share[:, colour]
        before, found = found, share.argmax(0)
        _, mean, deviation = _moments(values, share, mean, least)
        likely = _log_gauss(values, mean, deviation)
        if np.count_nonzero(before != found) <= _CHANGED * len(found):
            break
    return found


def _neighbours(share: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Sum over face neighbours of ``share (k, *s)``, each axis times its ``strength``."""
    total = np.zeros_like(share)
    for axis, weight in enumerate(strength, start=1):
        lower = (slice(None),) * axis + (slice(None, -1),)
        upper = (slice(None),) * axis + (slice(1, None),)
        total[lower] += weight * share[upper]
        total[upper] += weight * share[lower]
    return total
