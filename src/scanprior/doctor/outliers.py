"""Checks of cases against each other: shapes, spacings and intensities that stand out."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scanprior.data.checks.findings import Finding
from scanprior.data.checks.seen import Seen

MANY = 0.1
"""Share of a source that cannot be outliers: then the source has several kinds of scans."""
FEWEST = 8
"""Cases below which a median says nothing of the next one."""


def outliers(values: Sequence[float], least: float, strictness: float = 5.0) -> list[int]:
    """Indices of the values far from the median: by more than ``least``, and by more than
    ``strictness`` robust standard deviations (1.4826 times the median absolute deviation).

    Iglewicz & Hoaglin (1993) suggest 3.5 for normal numbers; sizes and intensities of scans have
    longer tails. ``least`` keeps apart from them what differs, but not enough to matter, where
    most values are equal and the deviation is 0.
    """
    numbers = np.asarray(values, dtype=float)
    away = np.abs(numbers - np.median(numbers))
    limit = max(least, strictness * 1.4826 * float(np.median(away)))
    return np.flatnonzero(away > limit).tolist()


def odd_sizes(seen: Sequence[Seen]) -> list[Finding]:
    """Shapes and spacings that are not this source's, by a factor of at least 1.5."""
    found = []
    for one, usual in _odd_along(seen, lambda one: one.shape[1:] if one.shape else ()):
        words = f"{one.file} has shape {_times(one.shape or ())}, the median is {_times(usual)}; "
        words += "look at it: a localiser, a cut or another body part?"
        found.append(Finding("odd shape", "warning", one.file, words, (one.id,)))
    sized = [one for one in seen if one.spacing is not None and all(s > 0 for s in one.spacing)]
    for one, usual in _odd_along(sized, lambda one: one.spacing or ()):
        words = f"{one.file} has voxels of {_times(one.spacing or ())} mm, the median is "
        words += f"{_times(usual)}; check its header, or use --spacing in prepare."
        found.append(Finding("odd spacing", "warning", one.file, words, (one.id,)))
    return found


def _odd_along(
    seen: Sequence[Seen], sizes: Callable[[Seen], Sequence[float | int]]
) -> list[tuple[Seen, list[float]]]:
    found = []
    for group in _alike(seen, sizes):
        table = np.array([sizes(one) for one in group], dtype=float)
        odd: set[int] = set()
        for column in np.log(table).T:
            odd.update(outliers(column.tolist(), math.log(1.5)))
        found += [(group[i], np.median(table, 0).tolist()) for i in sorted(odd)]
    return found


def _alike(seen: Sequence[Seen], along: Callable[[Seen], Sequence[Any]]) -> list[list[Seen]]:
    """Those with as many axes and entries of ``along``, enough of them to be compared."""
    groups: dict[tuple[int, int], list[Seen]] = defaultdict(list)
    for one in seen:
        if one.shape is not None and len(along(one)):
            groups[len(one.shape), len(along(one))].append(one)
    return [group for group in groups.values() if len(group) >= FEWEST]


def odd_intensities(seen: Sequence[Seen]) -> list[Finding]:
    """Images whose contrast or brightness is not this source's, channel by channel.

    Contrast is the distance from the 1st to the 99th percentile, by a factor of at least 3;
    brightness the median, by at least the usual contrast. Images of as many channels and axes are
    compared with each other. Where more than one and more than a tenth of them are odd, they have
    several scales and one finding says so.
    """
    return [f for group in _alike(seen, lambda one: one.levels) for f in _odd_among(group)]


def _odd_among(read: Sequence[Seen]) -> list[Finding]:
    table = np.array([one.levels for one in read])  # (case, channel, percentile)
    found: list[Finding] = []
    told: set[int] = set()
    for channel in range(table.shape[1]):
        low, middle, high = table[:, channel].T
        contrast = high - low
        usual = float(np.median(contrast))
        if usual <= 0:
            continue
        wide = outliers(np.log(np.maximum(contrast, 1e-6 * usual)).tolist(), math.log(3))
        bright = outliers(middle.tolist(), usual)
        odd = sorted(set(wide) | set(bright))
        if len(odd) > max(1, MANY * len(read)):
            what, numbers = ("contrast", contrast) if wide else ("brightness", middle)
            many = [read[i] for i in odd]
            return [_scales(many, what, numbers[odd], float(np.median(numbers)), len(read))]
        for i in (i for i in odd if i not in told):
            told.add(i)
            words = (
                f"{read[i].file} has intensities from {low[i]:.4g} to {high[i]:.4g} around "
                f"{middle[i]:.4g} (1st, 99th percentile, median), usual are {np.median(low):.4g} "
                f"to {np.median(high):.4g} around {np.median(middle):.4g}; look at it."
            )
            file, ids = read[i].file, (read[i].id,)
            found.append(Finding("odd intensities", "warning", file, words, ids))
    return found


def _scales(
    odd: Sequence[Seen], what: str, numbers: np.ndarray, usual: float, total: int
) -> Finding:
    """Of the ``odd`` ones among ``total`` images: ``what`` differs, and its ``numbers``."""
    order = np.argsort(numbers)
    shown = [odd[i] for i in (order[0], order[-1])]
    words = (
        f"{len(odd)} of {total} images are on another scale than most ({what} from "
        f"{numbers.min():.3g} in {shown[0].id} to {numbers.max():.3g} in {shown[1].id}, usual is "
        f"{usual:.3g}); normalise each image on its own (prepare's zscore or unit)."
    )
    return Finding(
        "several scales", "warning", shown[1].file, words, tuple(one.id for one in shown)
    )


def _times(sizes: Sequence[float | int]) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)
