"""What is kept of a case once it was looked at."""

from dataclasses import dataclass

from scanprior.doctor.findings import Finding


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
    voxels: str | None = None
    """A hash of the shape and the numbers; None where they are constant."""
    label: str | None = None
    """A hash of the label map."""
    findings: tuple[Finding, ...] = ()
