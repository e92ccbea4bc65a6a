"""Files that say nothing of the body: photographs, TIFF stacks and NumPy's arrays."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, ImageSequence

from scanprior.contracts import InputError
from scanprior.data.limits import check_size


def read_picture(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """PNG, JPEG and TIFF, turned as a photograph's EXIF says.

    A TIFF of several pages of one size is a volume, a page a slice; it says no size in mm, so its
    voxels count as 1 mm and its axes as the house's (the first page is the lowest). A telephone's
    JPEG with further pictures in it (MPO) is its first. Other films are refused.
    """
    # Palettes, CMYK and transparency become colour; grey stays grey, 16 bits stay 16 bits.
    plain = {"1": "L", "LA": "L", "P": "RGB", "RGBA": "RGB", "CMYK": "RGB", "PA": "RGB"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata; what cannot be read is an error besides
        with Pillow.open(path) as opened:
            count = getattr(opened, "n_frames", 1)
            check_size(opened.width * opened.height * len(opened.getbands()) * count, path)
            several = count > 1 and opened.format != "MPO"
            if several and opened.format != "TIFF":
                raise InputError(f"{path} is a film of several pictures; give one file a picture.")
            pages = ImageSequence.Iterator(opened) if several else [opened]
            arrays = [
                np.asarray(ImageOps.exif_transpose(page.convert(plain.get(page.mode, page.mode))))
                for page in pages
            ]
    if len({array.shape for array in arrays}) > 1:
        raise InputError(f"{path} has pages of different sizes; give one file a page.")
    coloured = len(arrays[0].shape) > 2
    channels = [np.moveaxis(array, -1, 0) if coloured else array[None] for array in arrays]
    return (np.stack(channels, axis=1), np.eye(4)) if several else (channels[0], None)


def _mapped(path: Path) -> np.ndarray:
    # said, though it is numpy's default: an array of Python objects would run their code
    return np.load(path, allow_pickle=False, mmap_mode="r")


def numpy_shape(path: Path) -> tuple[int, ...]:
    """Of a ``.npy`` file's array, from its header."""
    return _mapped(path).shape


def read_numpy(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """One array: ``(y, x)`` and ``(y, x, 3)`` of bytes are photographs, ``(z, y, x)`` and
    ``(c, z, y, x)`` volumes, whose voxels count as 1 mm and whose axes as the house's.

    Nothing but numbers is loaded: an array of Python objects is refused.
    """
    array = _mapped(path)
    check_size(array.size, path)
    if array.dtype.kind not in "iufb":
        raise InputError(f"{path} holds {array.dtype} values; give one real number a voxel.")
    axes = len(array.shape)
    if axes == 2:
        return array[None], None
    if axes == 3 and array.shape[-1] in (3, 4) and array.dtype == np.uint8:
        return np.moveaxis(array[..., :3], -1, 0), None
    if axes in (3, 4):
        return (array if axes == 4 else array[None]), np.eye(4)
    raise InputError(f"{path} has {axes} axes; give (y, x), (z, y, x) or (channel, z, y, x).")
