"""Checks of one case: numbers and geometry in, findings out. Nothing is read from disk here."""

import math
from collections.abc import Collection, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.checks.findings import Finding
from scanprior.data.limits import limit

_MOST_LABELS = 256
"""FreeSurfer's finest atlases have fewer."""
TOLERANCE = 1e-3
"""Of a voxel: grids farther apart at a corner are different grids."""
NOISE = 1e-6
"""Of a voxel: nearer is the same, as ITK's readers have it (itk::ImageBase's tolerances)."""
SMALLEST, LARGEST = 0.01, 25.0
"""Voxel sizes in mm outside of which a header is more likely wrong than a scanner unusual."""
FLATTEST = 50.0
"""The longest voxel edge over the shortest, likewise."""
_RAISE = "set SCANPRIOR_MAX_VOXELS higher."
_CUT = ("truncated", "ended before", "bytes, got", "end of file", "end-of-file")


def kind_of(error: InputError) -> str:
    """``truncated`` where the reader met the file's end too early, ``refused`` where it read the
    file but has no right answer for what it holds, else ``unreadable``."""
    cause = error.__cause__
    if cause is None:
        return "refused"
    said = str(cause).casefold()
    return (
        "truncated" if isinstance(cause, EOFError) or any(w in said for w in _CUT) else "unreadable"
    )


def packed(name: str, wrong: str) -> Finding:
    """What :func:`raw.packing` found, as a finding."""
    said = {
        "truncated": ("truncated", "ends before its compressed data do; copy it again."),
        "damaged": ("unreadable", "fails its own checksum, so its data changed; copy it again."),
        "huge": ("huge", f"unpacks to more than is allowed; check it, or {_RAISE}"),
    }
    check, words = said[wrong]
    return Finding(check, "error", name, f"{name} {words}")


def huge(name: str, voxels: int) -> Finding | None:
    """A header that declares more voxels than readers take: wrong, or too much for here."""
    if voxels <= limit():
        return None
    said = f"{name} declares {voxels:,} voxels, more than the {limit():,} allowed, so it was not "
    return Finding("huge", "error", name, f"{said}read; check its header, or {_RAISE}")


def not_finite(name: str, array: np.ndarray) -> Finding | None:
    """NaN or infinity among the numbers of a file."""
    if array.dtype.kind not in "fc":
        return None
    count = int(array.size - np.isfinite(array).sum())
    if not count:
        return None
    said = f"{name} holds {count} NaN or infinite values of {array.size}; replace them or leave "
    return Finding("NaN or infinity", "error", name, said + "the file out.")


def constant(name: str, array: np.ndarray) -> Finding | None:
    """An image ``(c, *s)`` that shows nothing: an error; a channel that does: a warning."""
    axes = tuple(range(1, len(array.shape)))
    same = array.min(axes) == array.max(axes)
    if same.all():
        values = dict.fromkeys(f"{value:g}" for value in array.min(axes).tolist())
        said = f"{name} holds {next(iter(values))} everywhere"
        if len(values) > 1:
            said = f"each channel of {name} holds one value all over ({', '.join(values)})"
        said += "; export it again or leave it out."
        return Finding("constant", "error", name, said)
    if same.any():
        channel = int(np.flatnonzero(same)[0])
        said = f"{name} has the same value all over its channel {channel}; check the export."
        return Finding("constant", "warning", name, said)
    return None


def spacing(name: str, sizes: Sequence[float]) -> Finding | None:
    """Voxel sizes (mm) that no scanner has: wrong units, or a header that was never filled in."""
    shown = " x ".join(f"{size:.4g}" for size in sizes)
    if not all(math.isfinite(size) and size > 0 for size in sizes):
        said = f"{name} has voxels of {shown} mm, which cannot be; correct its header."
        return Finding("spacing", "error", name, said)
    odd = min(sizes) < SMALLEST or max(sizes) > LARGEST or max(sizes) / min(sizes) > FLATTEST
    if not odd:
        return None
    said = f"{name} has voxels of {shown} mm; check its units (metres? micrometres?) and header."
    return Finding("spacing", "warning", name, said)


def apart(first: np.ndarray, other: np.ndarray, shape: Sequence[int]) -> float:
    """How far two affines (4x4, mm) put a grid's corners apart, in voxels of the first.

    ``shape`` is in array order; the largest of the distances along the first grid's own axes.
    """
    corners = np.array([[*corner, 1.0] for corner in product(*((0, n - 1) for n in shape[::-1]))])
    moved = np.linalg.solve(first, other) - np.eye(4)
    return float(np.abs(moved @ corners.T)[:3].max())


def grids(
    name: str, beside: str, shape: Sequence[int], voxels: float, *, copied: bool = True
) -> Finding | None:
    """Two files of a case, of the same shape, whose corners are ``voxels`` apart.

    Rounding is told only where ``doctor --fix`` makes a copy of such files (``copied``).
    """
    if voxels <= NOISE or (voxels <= TOLERANCE and not copied):
        return None
    if voxels <= TOLERANCE:
        said = f"{name} lies {voxels:.1e} of a voxel beside {beside}: rounding, which some readers "
        return Finding(
            "grid noise", "warning", name, said + "refuse; use the copy of doctor --fix DIR."
        )
    said = (
        f"{name} lies {voxels:.3g} voxels beside {beside} although both have shape {tuple(shape)}; "
        "correct its header or resample it."
    )
    return Finding("grids differ", "error", name, said)


def forms(name: str, apart: float) -> Finding | None:
    """A header that places its image twice, ``apart`` mm at a corner."""
    if apart == 0:
        return None
    said = (
        f"{name} has an sform and a qform that lie {apart:.3g} mm apart; the sform was taken, so "
        "correct its header if the qform is right."
    )
    return Finding("two forms", "warning", name, said)


def orientation(name: str, unoriented: bool) -> Finding | None:
    """A header that does not say where the axes point."""
    if not unoriented:
        return None
    said = (
        f"{name} does not say where its axes point; they were taken to run to the left, the front "
        "and the head, so check that, or convert it anew with its orientation."
    )
    return Finding("no orientation", "warning", name, said)


def shapes(name: str, mine: Sequence[int], beside: str, theirs: Sequence[int]) -> Finding | None:
    """Two files of a case that have not the same number of voxels along every axis."""
    if tuple(mine) == tuple(theirs):
        return None
    said = f"{name} has shape {tuple(mine)}, but {beside} has {tuple(theirs)}; resample one onto "
    return Finding("grids differ", "error", name, said + "the other.")


def float_label(name: str, fractional: bool, *, copied: bool = True) -> Finding | None:
    """Whole numbers kept as fractions: a sign of resampling, and refused by many readers. Of some
    formats ``doctor --fix`` makes a copy (``copied``)."""
    if not fractional:
        return None
    mend = "use the copy of doctor --fix DIR" if copied else "write them as whole numbers"
    said = f"{name} stores its labels as fractions (float); {mend}."
    return Finding("float label", "warning", name, said)


def label_values(name: str, values: Sequence[int], allowed: Collection[int]) -> Finding | None:
    """Values outside the declared ones (``allowed``, where any are), so many that it looks like an
    image, or nothing but background, which need not be declared."""
    outside = sorted(set(values) - {0, *allowed}) if allowed else []
    if outside:
        said = (
            f"{name} holds the label {', '.join(map(str, outside[:5]))}, but dataset.json declares "
            f"{', '.join(map(str, sorted(allowed)[:12]))}; correct one of them."
        )
        return Finding("label values", "error", name, said)
    if not allowed and len(values) > _MOST_LABELS:
        said = f"{name} holds {len(values)} different labels; make sure that it is no image."
        return Finding("many labels", "warning", name, said)
    if list(values) == [0]:
        said = f"{name} is background everywhere; make sure that there is nothing to label."
        return Finding("empty label", "warning", name, said)
    return None


def channel_count(name: str, channels: int, said: int | None) -> Finding | None:
    """Another number of channels than ``dataset.json`` declares."""
    if said is None or channels == said:
        return None
    words = (
        f"{name} has {channels} channel{'s' * (channels != 1)}, but dataset.json declares {said}; "
        "correct one of them."
    )
    return Finding("channels", "error", name, words)


def file_there(path: Path, name: str) -> Finding | None:
    """A file that is missing or has no bytes."""
    if not path.exists():
        said = f"{name} does not exist; correct the list that names it or restore it."
        return Finding("missing", "error", name, said)
    if path.is_file() and path.stat().st_size == 0:
        said = f"{name} is an empty file; copy it again or leave it out."
        return Finding("empty", "error", name, said)
    return None
