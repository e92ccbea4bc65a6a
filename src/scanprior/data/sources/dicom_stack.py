"""Frames of a series sorted into volumes: by where they lie, never by what their files are called.

Two slices belong to one stack where their orientations and sizes agree; slices at one position are
different volumes (time points, echoes, b-values) of the same stack.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.image import LPS_TO_RAS
from scanprior.data.sources.dicom_header import Frame

_SAME_PLACE = 0.01
"""mm: scanners write positions with two digits or more."""
_OFF_GRID = 0.05
"""Of a slice's distance (or of a pixel, sideways): further off is not a regular stack."""
_GAP = 1.5
"""Of the usual distance: slices farther apart have one missing between them."""


@dataclass(frozen=True)
class Stack:
    """Volumes on one grid."""

    volumes: tuple[tuple[Frame, ...], ...]
    """One a time point, each from the lowest slice along the normal to the highest."""
    affine: np.ndarray
    """4x4, voxel (x, y, z) to mm in RAS, as if the slices were evenly spaced; may be sheared."""
    heights: np.ndarray
    """Of each slice above the first along the normal, in slices; whole numbers where regular."""


def by_orientation(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames of one series, those of each orientation and size together; the same order always."""
    groups: list[list[Frame]] = []
    for frame in sorted(frames, key=lambda f: (f.shape, f.order, f.uid)):
        for group in groups:
            if not _differences(frame, group[0]):
                group.append(frame)
                break
        else:
            groups.append([frame])
    return groups


def parted(groups: Sequence[Sequence[Frame]]) -> str | None:
    """Why one series, sorted :func:`by_orientation`, makes several images; None where it makes one,
    or volumes on one grid, or where all are photographs, of which each is an image."""
    frames = [frame for group in groups for frame in group]
    lost = [frame for frame in frames if frame.position is None]
    images = len(lost) + sum(group[0].position is not None for group in groups)
    if images < 2 or len(lost) == len(frames):
        return None
    if lost:
        why = "some have no position"
    else:
        found = [word for group in groups for word in _differences(frames[0], group[0])]
        why = f"they differ in {' and '.join(dict.fromkeys(found))}"
    return f"{len(frames)} slices became {images} images, for {why}"


def _differences(one: Frame, other: Frame) -> list[str]:
    """In what two frames differ so that no stack holds both."""
    turned = len(one.orientation) != len(other.orientation) or not np.allclose(
        one.orientation, other.orientation, atol=1e-3
    )
    differ = {
        "size": one.shape != other.shape,
        "kind (mosaics or slices)": one.mosaic != other.mosaic,
        "orientation": turned,
        "pixel size": not np.allclose(one.spacing, other.spacing, rtol=1e-3),
    }
    return [word for word, said in differ.items() if said]


def stacked(frames: Sequence[Frame], name: str, *, uneven: bool) -> Stack:
    """The volumes that ``frames``, all of one orientation, make; ``name`` is for the sentence.

    Raises :class:`InputError` for slices that are missing (a gap of more than one and a half times
    the usual distance) or there twice, or that are not in a line; and, but for ``uneven``, for
    slices at varying distances.
    """
    places = np.array([frame.position for frame in frames])
    normal = np.cross(frames[0].orientation[:3], frames[0].orientation[3:])
    along = places @ normal
    order = np.argsort(along, kind="stable")
    slices: list[list[int]] = []
    for i in order:
        if slices and along[i] - along[slices[-1][0]] < _SAME_PLACE:
            slices[-1].append(int(i))
        else:
            slices.append([int(i)])
    _check_complete([len(s) for s in slices], name)
    for here in slices:
        here.sort(key=lambda i: frames[i].order)
        if len({frames[i].order for i in here}) < len(here):
            raise InputError(
                f"{name} has several slices at a position and nothing that tells which of them "
                "belong to one volume (time, echo, number); split it into one series a volume."
            )
    first = places[[here[0] for here in slices]]
    heights = _heights(first, first @ normal, frames[0], name, uneven=uneven)
    count = len(slices)
    step = (first[-1] - first[0]) / heights[-1] if count > 1 else normal * frames[0].thickness
    row, column = frames[0].orientation[:3], frames[0].orientation[3:]
    affine = np.eye(4)
    affine[:3, 0] = np.array(row) * frames[0].spacing[1]
    affine[:3, 1] = np.array(column) * frames[0].spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first[0]
    volumes = zip(*[[frames[i] for i in here] for here in slices], strict=True)
    return Stack(tuple(volumes), LPS_TO_RAS @ affine, heights)


def _check_complete(counts: list[int], name: str) -> None:
    usual = Counter(counts).most_common(1)[0][0]
    odd = sum(count != usual for count in counts)
    if odd and usual == 1:
        raise InputError(
            f"{name} has two or more slices at {odd} of its {len(counts)} positions; "
            "remove the duplicates."
        )
    if odd:
        raise InputError(
            f"{name} has {min(counts)} to {max(counts)} slices at a position, {usual} at most of "
            "them; restore the missing ones or remove the unfinished volume."
        )


def _check_gaps(along: np.ndarray, steps: np.ndarray, usual: float, name: str) -> None:
    """Raise where slices are missing: resampling would invent them."""
    gaps = np.flatnonzero(steps > _GAP * usual)
    if len(gaps):
        lost = int(np.rint(steps[gaps] / usual - 1).clip(1).sum())
        at = gaps[0]
        raise InputError(
            f"{name} lacks {lost} slice{'s' * (lost > 1)} between its first and its last, "
            f"{'the first ' * (len(gaps) > 1)}between {along[at]:.1f} and {along[at + 1]:.1f} mm "
            f"along its normal (others are {usual:.4g} mm apart); restore them or leave it out."
        )


def _heights(
    places: np.ndarray, along: np.ndarray, frame: Frame, name: str, *, uneven: bool
) -> np.ndarray:
    if len(places) < 2:
        return np.zeros(1)
    steps = np.diff(along)
    usual = float(np.percentile(steps, 50, method="lower"))  # of two the one without a gap
    even = np.linspace(along[0], along[-1], len(along))
    regular = np.abs(along - even).max() <= _OFF_GRID * usual
    heights = np.arange(len(along), dtype=float) if regular else (along - along[0]) / usual
    if not regular:
        _check_gaps(along, steps, usual, name)
        if not uneven:
            raise InputError(
                f"{name} has slices {steps.min():.4g} to {steps.max():.4g} mm apart; "
                "resample it with --straighten or leave it out."
            )
    line = places[0] + np.outer(heights / heights[-1], places[-1] - places[0])
    sideways = np.linalg.norm(places - line, axis=1).max()
    if sideways > _OFF_GRID * (usual + min(frame.spacing)) + _SAME_PLACE:
        raise InputError(
            f"{name} has slices that do not lie above each other; leave it out or correct it."
        )
    return heights
