"""From a source's voxel grid to the store's, and back. Every step is axis-aligned and exact
(but :func:`straightened` and :func:`evenly`, which come before, where the user asks for them).

A step returns the new image and a matrix: its voxel (x, y[, z], 1) to the old image's. Their
product leads from the store to the source, whatever the source's orientation, obliqueness or shear.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from nibabel.orientations import (
    apply_orientation,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from scipy import ndimage

from scanprior.data.image import Image, spacing_of
from scanprior.data.limits import check_grid

Moved = tuple[Image, np.ndarray]


def to_ras(image: Image) -> Moved:
    """Axes permuted and flipped so that index 0 is inferior, posterior, left; no interpolation.

    A photograph stays as it is.
    """
    if image.affine is None:
        return image, np.eye(len(image.shape) + 1)
    return _turned(image, io_orientation(image.affine))


def turned_as(image: Image, other: Image) -> Image:
    """Axes permuted and flipped so that they run as those of ``other`` do; no interpolation.

    Where one of them is a photograph the image stays as it is.
    """
    if image.affine is None or other.affine is None:
        return image
    turn = ornt_transform(io_orientation(image.affine), io_orientation(other.affine))
    return _turned(image, turn)[0]


def run_alike(affine: np.ndarray, other: np.ndarray) -> bool:
    """Whether the axes of both run the same way, each nearest to the same axis of the body."""
    return np.array_equal(io_orientation(affine), io_orientation(other))


def _turned(image: Image, orientation: np.ndarray) -> Moved:
    step = inv_ornt_aff(orientation, image.shape[::-1])
    # nibabel turns the leading axes, (x, y, z), and leaves the last one, the channel, alone.
    return image.moved(apply_orientation(image.array.T, orientation).T, step), step


def ras_spacing(affine: np.ndarray) -> tuple[float, ...]:
    """The voxel sizes in mm, in array order, that an image with this affine has after to_ras."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    target = io_orientation(affine)[:, 0].astype(int)
    return tuple(float(sizes[list(target).index(axis)]) for axis in (2, 1, 0))


def resample(image: Image, spacing: Sequence[float], order: int) -> Moved:
    """Voxels of ``spacing`` mm (array order); the corner at index 0 stays where it is.

    ``order`` is 0 (nearest: label maps), 1 (linear) or 3 (cubic). The grid covers the whole source,
    so it may reach over its far side by less than a voxel; there the edge is repeated.
    Raises :class:`InputError` for a grid larger than ``limits.limit``, as :func:`resize` and
    :func:`straightened` do.
    """
    scale = np.array(spacing) / np.array(image.spacing)
    scale[np.abs(scale - 1) < 1e-4] = 1  # a header's rounding is no reason to interpolate
    sides = np.maximum(np.ceil(np.array(image.shape) / scale - 1e-3), 1)
    check_grid(len(image.array), sides)
    return _scaled(image, scale, [int(side) for side in sides], order)


def resize(image: Image, shape: Sequence[int], order: int) -> Moved:
    """Exactly ``shape`` voxels, corner to corner; the spacing follows."""
    check_grid(len(image.array), shape)
    return _scaled(image, np.array(image.shape) / np.array(shape), list(shape), order)


def crop(image: Image, box: tuple[slice, ...]) -> Moved:
    """The part inside ``box`` (array order)."""
    step = np.eye(len(box) + 1)
    step[:-1, -1] = [side.start for side in box][::-1]
    return image.moved(image.array[(slice(None), *box)], step), step


def sheared(affine: np.ndarray) -> float:
    """How many degrees an image's axes are off right angles; 0 where that is no more than one."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    off = np.abs(axes.T @ axes - np.eye(3)).max()
    degrees = float(np.rad2deg(np.arcsin(min(off, 1.0))))
    return degrees if degrees > 1 else 0.0


def straightened(image: Image, order: int) -> Image:
    """The same scene on a grid with right angles that covers all of it.

    The rows keep their direction and the planes of the first two axes theirs, as the slices of a
    tilted gantry do; voxels keep their volume (the affine's QR decomposition). Outside the source
    is its lowest value. ``order`` is 0 (nearest: label maps) or 1.
    """
    if image.affine is None:
        return image
    axes, sizes = np.linalg.qr(image.affine[:3, :3])
    turn = np.where(np.diag(sizes) < 0, -1.0, 1.0)
    upright = axes * turn * np.abs(np.diag(sizes))
    # Old voxel (x, y, z) to new, but for the offset; its corners say how far the new grid reaches.
    forth = np.linalg.solve(upright, image.affine[:3, :3])
    ends = np.array(np.meshgrid(*([0.0, n - 1.0] for n in image.shape[::-1]))).reshape(3, -1)
    low, high = (forth @ ends).min(axis=1), (forth @ ends).max(axis=1)
    sides = np.ceil(high - low - 1e-3) + 1
    check_grid(len(image.array), sides)
    shape = sides.astype(int)
    affine = np.eye(4)
    affine[:3, :3] = upright
    affine[:3, 3] = image.affine[:3, 3] + upright @ low
    back = np.linalg.inv(forth)
    matrix, offset = back[::-1, ::-1], (back @ low)[::-1]  # array order
    channels = [
        ndimage.affine_transform(
            channel,
            matrix,
            offset,  # pyright: ignore[reportArgumentType]  (SciPy's types know only a number)
            output_shape=tuple(shape[::-1]),
            order=order,
            mode="constant",
            cval=channel.min() if order else 0,
        )
        for channel in image.array
    ]
    return Image(np.stack(channels), affine, spacing_of(affine))


def evenly(array: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """``(c, z, y, x)`` with slices at ``heights`` (ascending from 0) to slices at 0, 1, 2, ... .

    Linear between the two neighbours; as it is where the heights are whole numbers in turn.
    """
    if np.array_equal(heights, np.arange(len(heights))):
        return array
    wanted = np.arange(int(np.floor(heights[-1] + 1e-3)) + 1)
    above = np.searchsorted(heights, wanted).clip(1, len(heights) - 1)
    weight = (wanted - heights[above - 1]) / (heights[above] - heights[above - 1])
    weight = weight.clip(0, 1).astype(np.float32)[:, None, None]
    return array[:, above - 1] * (1 - weight) + array[:, above] * weight


def record(before: Image, after: Image, matrix: np.ndarray) -> dict[str, Any]:
    """The JSON that :func:`to_source` needs to bring a prediction home.

    ``matrix`` takes a voxel (x, y[, z], 1) of ``after`` to one of ``before``.
    """
    return {
        "shape_before": list(before.shape),
        "affine_before": None if before.affine is None else before.affine.tolist(),
        "shape_after": list(after.shape),
        "affine_after": None if after.affine is None else after.affine.tolist(),
        "matrix": matrix.tolist(),
    }


def to_source(probabilities: np.ndarray, geometry: dict[str, Any]) -> np.ndarray:
    """``(k, *s)`` in the store's grid to a label map ``(*s)`` in the source's, uint8 or uint16.

    Linear between probabilities, then the likeliest class; what was cropped away is background (0).
    The result has ``shape_before``, in array order: ``files.write_label`` writes it as it is.
    """
    shape = tuple(geometry["shape_before"])
    linear, offset = _source_to_store(geometry)
    axes = [int(np.abs(row).argmax()) for row in linear.T]  # per source axis, the store's
    turned = probabilities.transpose(0, *(axis + 1 for axis in axes))
    scale = np.array([linear[axis, i] for i, axis in enumerate(axes)])
    start = offset[axes]
    for i, size in enumerate(turned.shape[1:]):
        if scale[i] < 0:
            turned = np.flip(turned, i + 1)
            scale[i], start[i] = -scale[i], size - 1 - start[i]
    label = np.zeros(shape, np.uint8 if len(turned) <= 256 else np.uint16)
    best = _interpolated(turned[0], scale, start, shape, order=1)
    for value in range(1, len(turned)):
        other = _interpolated(turned[value], scale, start, shape, order=1)
        likelier = other > best
        label[likelier] = value
        np.maximum(best, other, out=best)
    for axis, (n, size) in enumerate(zip(shape, turned.shape[1:], strict=True)):
        at = scale[axis] * np.arange(n) + start[axis]
        outside = (at < -0.5 - 1e-3) | (at > size - 0.5 + 1e-3)
        label[(slice(None),) * axis + (outside,)] = 0
    return label


def _source_to_store(geometry: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Linear part and offset that take a source array index to a store array index."""
    inverse = np.linalg.inv(np.array(geometry["matrix"], dtype=float))
    return inverse[:-1, :-1][::-1, ::-1], inverse[:-1, -1][::-1]


def _scaled(image: Image, scale: np.ndarray, shape: list[int], order: int) -> Moved:
    step = np.eye(len(shape) + 1)
    start = 0.5 * scale - 0.5  # centre of the first new voxel: corners coincide, not centres
    step[:-1, :-1] = np.diag(scale[::-1])
    step[:-1, -1] = start[::-1]
    if np.all(scale == 1) and tuple(shape) == image.shape:
        return image, step
    if order == 0:
        array = image.array
        for axis, n in enumerate(shape):
            at = np.floor(scale[axis] * np.arange(n) + start[axis] + 0.5).astype(int)
            array = array.take(at.clip(0, image.shape[axis] - 1), axis=axis + 1)
        return image.moved(array, step), step
    blur = np.maximum(scale - 1, 0) / 2  # a coarser grid must not alias what it cannot hold
    channels = [
        _interpolated(
            ndimage.gaussian_filter(channel, blur, mode="nearest") if blur.any() else channel,
            scale,
            start,
            tuple(shape),
            order=order,
        )
        for channel in image.array
    ]
    return image.moved(np.stack(channels), step), step


def _interpolated(
    array: np.ndarray, scale: np.ndarray, start: np.ndarray, shape: tuple[int, ...], *, order: int
) -> np.ndarray:
    with warnings.catch_warnings():
        # SciPy tells every caller of the separable form that its meaning changed in 2016.
        warnings.filterwarnings("ignore", "The behavior of affine_transform", UserWarning)
        return ndimage.affine_transform(
            array,
            scale,
            start,  # pyright: ignore[reportArgumentType]  (SciPy's types know only a number)
            output_shape=shape,
            order=order,
            mode="nearest",
        )
