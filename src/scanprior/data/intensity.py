"""What a voxel's number means: foreground, z-scores, [0, 1], CT windows."""

import math
from collections import Counter
from itertools import product
from typing import Any, Literal

import numpy as np

from scanprior.contracts import InputError

Intensity = Literal["zscore", "unit", "window", "none"]
_PIECE = 1 << 20
"""Numbers that are doubles at a time."""


def foreground(array: np.ndarray) -> np.ndarray:
    """``(c, *s)`` to a mask ``(*s)``: voxels that differ from the constant most corners share.

    A union over the channels; everything where the corners have no such constant in common.
    """
    mask = np.zeros(array.shape[1:], dtype=bool)
    for channel in array:
        corners = [float(channel[c]) for c in product((0, -1), repeat=len(channel.shape))]
        value, count = Counter(corners).most_common(1)[0]
        if 2 * count <= len(corners):
            return np.ones_like(mask)
        mask |= channel != np.float32(value)
    return mask if mask.any() else ~mask


def statistics(array: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Per channel of the raw ``(c, *s)``: mean and deviation in the mask, minimum and maximum."""
    inside = [_moments(channel[mask]) for channel in array]
    return {
        "mean": [mean for mean, _ in inside],
        "std": [deviation for _, deviation in inside],
        "minimum": [float(channel.min()) for channel in array],
        "maximum": [float(channel.max()) for channel in array],
    }


def _moments(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation, in double precision but never all of it at once."""
    mean = values.mean(dtype=np.float64)
    parts = np.array_split(values, 1 + len(values) // _PIECE)
    squares = math.fsum(float(np.square(part - mean).sum()) for part in parts)
    return float(mean), math.sqrt(squares / len(values))


def scaled(
    array: np.ndarray, mask: np.ndarray, kind: Intensity, window: tuple[float, float] | None
) -> np.ndarray:
    """``(c, *s)`` float32, each channel on its own; only voxels of ``mask (*s)`` are counted.

    A channel without contrast becomes zeros.
    """
    result = np.zeros(array.shape, np.float32)
    for channel, there in zip(array, result, strict=True):
        if kind == "none":
            there[...] = channel
            continue
        shift, scale = _shift_and_scale(channel, mask, kind, window)
        # Rounding leaves a constant channel a deviation of almost nothing; do not divide by it.
        if scale <= 1e-9 * abs(shift) or scale == 0:
            continue
        for before, after in zip(channel, there, strict=True):  # a slice's doubles at a time
            after[...] = (before - np.float64(shift)) / scale
        if kind != "zscore":
            there.clip(0, 1, out=there)
    return result


def _shift_and_scale(
    channel: np.ndarray, mask: np.ndarray, kind: Intensity, window: tuple[float, float] | None
) -> tuple[float, float]:
    """What is taken from each voxel of a channel ``(*s)``, and what the rest is divided by."""
    if kind == "zscore":
        return _moments(channel[mask])
    if kind == "unit":
        low, high = np.percentile(channel[mask], (0.5, 99.5))
    elif window is None:
        raise InputError("intensity 'window' needs a window, as --window -160 240.")
    else:
        low, high = window
    return low, high - low
