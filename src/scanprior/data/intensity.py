"""What a voxel's number means: foreground, z-scores, [0, 1], CT windows."""

from collections import Counter
from itertools import product
from typing import Any, Literal

import numpy as np

from scanprior.contracts import InputError

Intensity = Literal["zscore", "unit", "window", "none"]


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
    inside = [channel[mask].astype(np.float64) for channel in array]
    return {
        "mean": [float(values.mean()) for values in inside],
        "std": [float(values.std()) for values in inside],
        "minimum": [float(channel.min()) for channel in array],
        "maximum": [float(channel.max()) for channel in array],
    }


def scaled(
    array: np.ndarray, mask: np.ndarray, kind: Intensity, window: tuple[float, float] | None
) -> np.ndarray:
    """``(c, *s)`` float32, each channel on its own; only voxels of ``mask (*s)`` are counted.

    A channel without contrast becomes zeros.
    """
    return np.stack([_channel(channel, mask, kind, window) for channel in array])


def _channel(
    channel: np.ndarray, mask: np.ndarray, kind: Intensity, window: tuple[float, float] | None
) -> np.ndarray:
    if kind == "none":
        return channel
    if kind == "zscore":
        inside = channel[mask].astype(np.float64)
        shift, scale = inside.mean(), inside.std()
    else:
        if kind == "window":
            if window is None:
                raise InputError("intensity 'window' needs a window, as --window -160 240.")
            low, high = window
        else:
            low, high = np.percentile(channel[mask], (0.5, 99.5))
        shift, scale = low, high - low
    # Rounding leaves a constant channel a deviation of almost nothing; do not divide by it.
    if scale <= 1e-9 * abs(shift) or scale == 0:
        return np.zeros_like(channel)
    result = ((channel - np.float64(shift)) / scale).astype(np.float32)
    return result if kind == "zscore" else result.clip(0, 1)
