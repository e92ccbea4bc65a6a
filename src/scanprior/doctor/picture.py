"""A thumbnail of a scan: its middle, with the label map tinted and what is not finite marked."""

import base64
import io

import numpy as np
from PIL import Image as Pillow

SIDE = 160
"""Pixels of the longer side."""
_TINT = np.array([255.0, 60.0, 40.0])
_MARK = np.array([255.0, 0.0, 255.0])


def thumbnail(
    image: np.ndarray, label: np.ndarray | None = None, spacing: tuple[float, ...] = ()
) -> str:
    """PNG as base64, of an image ``(c, *s)`` and a label map ``(*s)`` of the same or another shape.

    A volume shows one slice across its first spatial axis: that with most label, else the middle.
    ``spacing`` (mm, array order) keeps the proportions. Where the label's shape is another, it is
    shown beside the image. NaN and infinity are magenta.
    """
    fits = label is not None and label.shape == image.shape[1:]
    at = _slices(label if label is not None and fits else None, image.shape[1:])
    colour = _colour(image[(slice(None), *at)])
    if label is not None:
        if fits:
            inside = label[at] > 0
            colour[inside] = 0.6 * colour[inside] + 0.4 * _TINT
        else:
            other = _colour(label[_slices(label, label.shape)][None].astype(np.float32))
            colour = _beside(colour, other)
    height, width = spacing[-2:] if len(spacing) > 1 and min(spacing) > 0 else (1.0, 1.0)
    return _png(colour, height, width)


def _slices(label: np.ndarray | None, shape: tuple[int, ...]) -> tuple[int | slice, ...]:
    """An index that leaves the last two axes."""
    lead = len(shape) - 2
    at: list[int | slice] = [size // 2 for size in shape[:lead]]
    if label is not None and lead and label.any():
        at[0] = int((label > 0).sum(tuple(range(1, len(shape)))).argmax())
    return (*at, slice(None), slice(None))


def _colour(pixels: np.ndarray) -> np.ndarray:
    """``(c, h, w)`` to 0..255 ``(h, w, 3)``: three channels are colours, else the first is grey."""
    shown = pixels[:3] if len(pixels) == 3 else pixels[:1]
    good = np.isfinite(shown)
    values = np.where(good, shown, 0).astype(np.float64)
    low, high = np.percentile(values[good], (1, 99)) if good.any() else (0.0, 1.0)
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * 255
    colour = np.moveaxis(np.broadcast_to(scaled, (3, *scaled.shape[1:])), 0, -1).copy()
    colour[~good.all(0)] = _MARK
    return colour


def _beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    height = max(len(left), len(right))
    parts = [np.pad(p, ((0, height - len(p)), (0, 4), (0, 0))) for p in (left, right)]
    return np.concatenate(parts, axis=1)


def _png(colour: np.ndarray, height: float, width: float) -> str:
    rows, columns = colour.shape[0] * height, colour.shape[1] * width
    scale = SIDE / max(rows, columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    picture = Pillow.fromarray(colour.astype(np.uint8)).resize(size, Pillow.Resampling.BILINEAR)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
