"""The slices of a series, each by itself, and what a label map shows on one of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scanprior.data.image import LPS_TO_RAS, Image
from scanprior.data.sources.dicom_header import Frame
from scanprior.data.sources.dicom_stack import stacked


class Plane(NamedTuple):
    """One slice to draw on."""

    frame: Frame
    affine: np.ndarray
    """4x4, pixel (x, y, 0) to mm in LPS, as DICOM has it."""
    shape: tuple[int, int]
    """Rows, columns."""


def planes_of(frames: Sequence[Frame], image: Image) -> list[Plane]:
    """The slices of the first of the volumes, in the order of the stack."""
    first = frames[0]
    if first.mosaic:
        assert image.affine is not None
        frame = min(frames, key=lambda frame: frame.order)
        whole = LPS_TO_RAS @ image.affine
        rows, columns = image.shape[1:]
        up = [np.outer(whole[:, 2], [0, 0, 0, k]) for k in range(image.shape[0])]
        return [Plane(frame, whole + step, (rows, columns)) for step in up]
    row, column = np.array(first.orientation).reshape(2, 3)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * first.spacing[1], column * first.spacing[0]
    affine[:3, 2] = np.cross(row, column)
    planes = []
    for frame in stacked(frames, "", uneven=True).volumes[0]:
        here = affine.copy()
        here[:3, 3] = frame.position
        planes.append(Plane(frame, here, frame.shape[:2]))
    return planes


def label_on(plane: Plane, label: np.ndarray, image: Image) -> np.ndarray:
    """``label (z, y, x)`` at the pixels of ``plane``, 0 outside: ``(rows, columns)``."""
    assert image.affine is not None
    step = np.linalg.solve(image.affine, LPS_TO_RAS @ plane.affine)  # pixels to voxels
    rows, columns = np.indices(plane.shape)
    inside = np.ones(plane.shape, bool)
    index = []
    for axis in (2, 1, 0):  # z, y, x
        at = np.rint(step[axis, 0] * columns + step[axis, 1] * rows + step[axis, 3]).astype(int)
        size = label.shape[2 - axis]
        inside &= (at >= 0) & (at < size)
        index.append(at.clip(0, size - 1))
    return label[tuple(index)] * inside
