"""An image in memory, and where its voxels lie in the body."""

from dataclasses import dataclass, replace

import numpy as np

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From the axes of DICOM and ITK (to the left, the back and the head) to those of an affine."""


@dataclass(frozen=True)
class Image:
    """An image ``(c, *s)`` or a label map ``(1, *s)``, its axes the file's read backwards."""

    array: np.ndarray
    """``(c, *s)``: float32 in an image, integers in a label map; ``*s`` is (z, y, x) or (y, x)."""
    affine: np.ndarray | None
    """4x4, voxel (x, y, z) to mm in RAS: the *reversed* array index; None in a photograph."""
    spacing: tuple[float, ...]
    """In mm, in the order of the array's axes; ones in a photograph."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The spatial shape ``*s``."""
        return self.array.shape[1:]

    def moved(self, array: np.ndarray, step: np.ndarray) -> "Image":
        """The same scene on another grid: ``step`` takes its voxel (x, y[, z], 1) to mine."""
        if self.affine is None:
            return replace(self, array=array)
        affine = self.affine @ step
        return Image(array, affine, spacing_of(affine))


def spacing_of(affine: np.ndarray) -> tuple[float, ...]:
    """Voxel sizes in mm, in array order (z, y, x)."""
    return tuple(float(size) for size in np.linalg.norm(affine[:3, :3], axis=0)[::-1])
