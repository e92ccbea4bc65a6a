"""What doctor keeps of one case: its findings, and what is compared with other cases'."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from scanprior.data.checks.look import called_below, look
from scanprior.data.checks.seen import Seen, part_of, voxel_hash
from scanprior.data.sources import Case
from scanprior.data.sources.case import file_hash
from scanprior.data.sources.decathlon import Declared

_SAMPLE = 200_000


def see(case: Case, base: Path, said: Declared, shared: frozenset[Path] = frozenset()) -> Seen:
    """Look at ``case`` (:func:`look`) and send a kilobyte home.

    ``shared`` are files of several cases, as of time points, of each of which their bytes say
    nothing.
    """
    looked = look(case, base, said)
    image, label = looked.image, looked.label
    begun = Seen(
        id=case.id,
        file=called_below(case, base),
        patient=case.patient,
        part=part_of(case),
        grade=case.grade,
        bytes=None if shared & set(case.images) else _bytes(case),
        label=None if label is None else voxel_hash(label.array),
        findings=looked.findings,
    )
    if image is None:
        return begun
    blank = any(finding.check == "constant" for finding in looked.errors)
    return replace(
        begun,
        shape=image.array.shape,
        spacing=None if image.affine is None else image.spacing,
        levels=() if blank else levels(image.array),
        voxels=None if blank else voxel_hash(image.array),
    )


def levels(array: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    """For each channel of ``(c, *s)`` the 1st, 50th and 99th percentile, of evenly taken voxels."""
    found = []
    for channel in array:
        flat = channel.reshape(-1)
        sample = flat[:: max(1, flat.size // _SAMPLE)]
        low, middle, high = np.percentile(sample, (1, 50, 99)).tolist()
        found.append((low, middle, high))
    return tuple(found)


def _bytes(case: Case) -> str | None:
    """Of the image files, the data of their headers included; None where one is a folder, empty or
    gone."""
    with suppress(OSError):
        paths = replace(case, label=None).files
        if all(path.is_file() and path.stat().st_size for path in paths):
            return file_hash(*paths)
    return None
