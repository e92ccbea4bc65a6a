"""Whether two images lie voxel on voxel."""

from pathlib import Path

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.geometry import turned_as
from scanprior.data.image import Image


def on_grid_of(first: Image, path: Path, other: Image, other_path: Path) -> Image:
    """``other``, its axes in the order and direction of ``first``'s: a mask tool may have stored
    the same voxels from another corner.

    Raises :class:`InputError` where it does not lie voxel on voxel (:func:`check_same_grid`).
    """
    try:
        check_same_grid(first, path, other, other_path)
        return other
    except InputError as error:
        turned = turned_as(other, first)
        try:
            check_same_grid(first, path, turned, other_path)
        except InputError:
            raise error from None
        return turned


def check_same_grid(first: Image, path: Path, other: Image, other_path: Path) -> None:
    """Raise :class:`InputError` unless both lie voxel on voxel (to a tenth of a voxel)."""
    if first.shape != other.shape:
        raise InputError(
            f"{other_path} has shape {other.shape}, but {path} has {first.shape}; "
            "resample one onto the other."
        )
    if first.affine is not None and other.affine is not None:
        ends = np.array(np.meshgrid(*([0, n - 1] for n in first.shape[::-1]), [1.0])).reshape(4, -1)
        apart = np.linalg.norm(((first.affine - other.affine) @ ends)[:3], axis=0).max()
        if apart > 0.1 * min(first.spacing):
            raise InputError(
                f"{other_path} lies {apart:.3g} mm beside {path} although their shapes agree; "
                "correct its header or resample it."
            )
