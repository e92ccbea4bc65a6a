"""What is kept of a case once it was looked at."""

import hashlib
from dataclasses import dataclass

import numpy as np

from scanprior.data.checks.findings import Finding
from scanprior.data.sources import Case


@dataclass(frozen=True)
class Seen:
    """A case's hashes, sizes and findings: a kilobyte, whatever the scan's size."""

    id: str
    file: str
    patient: str
    part: str
    """train, val, test or unlabelled."""
    grade: int | None = None
    shape: tuple[int, ...] | None = None
    """``(c, *s)``; None where it could not be read."""
    spacing: tuple[float, ...] | None = None
    """In mm, array order; None in a photograph."""
    levels: tuple[tuple[float, float, float], ...] = ()
    """For each channel the 1st, 50th and 99th percentile of its intensities."""
    bytes: str | None = None
    """A hash of the image files."""
    origin: str | None = None
    """A hash of the voxels that a volume was made of."""
    voxels: str | None = None
    """A hash of the shape and the numbers; None where they are constant."""
    label: str | None = None
    """A hash of the label map."""
    findings: tuple[Finding, ...] = ()


def part_of(case: Case) -> str:
    """The case's split; scans that a Decathlon keeps unlabelled in ``imagesTs`` are its test."""
    unlabelled = case.partition == "unlabelled"
    return "test" if unlabelled and case.images[0].parent.name == "imagesTs" else case.partition


def voxel_hash(array: np.ndarray) -> str:
    """Of shape and numbers, whatever type of file they came from (``array`` is C-ordered)."""
    digest = hashlib.sha256(f"{array.dtype} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
