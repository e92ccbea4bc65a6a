"""Siemens' mosaics: all slices of a volume as tiles of one picture.

The tiles' number and the direction in which they are stacked are in a private element, (0029,1010),
the "CSA header" (its layout as nibabel's documentation describes it, "Siemens format DICOM with
CSA header"); the position in the header is that of the whole picture's corner.
"""

import struct
from math import ceil, sqrt

import numpy as np
import pydicom

from scanprior.data.image import LPS_TO_RAS
from scanprior.data.sources.dicom_names import HeaderError


def tiled(data: pydicom.Dataset) -> bool:
    """Whether the private element says so: the words in the header may be gone."""
    try:
        return bool(_csa(bytes(data[0x0029, 0x1010].value)).get("NumberOfImagesInMosaic"))
    except (LookupError, TypeError, HeaderError, struct.error):
        return False


def mosaic_grid(data: pydicom.Dataset) -> tuple[tuple[int, int, int], np.ndarray]:
    """The volume's shape ``(z, y, x)`` and its affine, voxel (x, y, z) to mm in RAS.

    Raises ``HeaderError`` (or ``struct.error``) where the private element is not there or broken.
    """
    said = _csa(bytes(data[0x0029, 0x1010].value))
    count = int(said["NumberOfImagesInMosaic"][0])
    upward = np.array([float(part) for part in said["SliceNormalVector"][:3]])
    side = ceil(sqrt(count))
    rows, columns = int(data.Rows) // side, int(data.Columns) // side
    if (
        count < 1
        or upward.shape != (3,)
        or rows * side != data.Rows
        or columns * side != data.Columns
    ):
        raise HeaderError("a mosaic whose tiles do not fill it")
    row, column = np.array(data.ImageOrientationPatient, dtype=float).reshape(2, 3)
    down, across = (float(size) for size in data.PixelSpacing)
    between = float(data.get("SpacingBetweenSlices") or data.SliceThickness)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = row * across, column * down, upward * between
    affine[:3, 3] = (
        np.array(data.ImagePositionPatient, dtype=float)
        + affine[:3, 0] * (data.Columns - columns) / 2
        + affine[:3, 1] * (data.Rows - rows) / 2
    )
    return (count, rows, columns), LPS_TO_RAS @ affine


def tiles(picture: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """``(rows, columns)`` of the whole picture to ``(z, y, x)``."""
    count, rows, columns = shape
    side = picture.shape[0] // rows
    cut = picture.reshape(side, rows, side, columns).transpose(0, 2, 1, 3)
    return cut.reshape(side * side, rows, columns)[:count]


def _csa(content: bytes) -> dict[str, list[str]]:
    """Names and values of a CSA2 header; values that are empty are left out."""
    if content[:4] != b"SV10":
        raise HeaderError("a mosaic without a description of its slices")
    (count,) = struct.unpack_from("<I", content, 8)
    at, found = 16, {}
    for _ in range(min(count, 1000)):
        name, _, _, _, items, _ = struct.unpack_from("<64si4siii", content, at)
        at += 84
        values = []
        for _ in range(items):
            (length,) = struct.unpack_from("<4xi8x", content, at)
            at += 16
            if length < 0:
                raise HeaderError("a broken description of its slices")
            word = content[at : at + length].split(b"\0")[0].decode("latin-1").strip()
            if word:
                values.append(word)
            at += -(-length // 4) * 4
        found[name.split(b"\0")[0].decode("latin-1")] = values
    return found
