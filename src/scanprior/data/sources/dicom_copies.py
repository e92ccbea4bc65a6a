"""Files that claim to be one image, by their SOP instance: copies of it, or a contradiction."""

import filecmp
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scanprior.data.limits import limit
from scanprior.data.sources.dicom_header import BROKEN, Frame, Header
from scanprior.data.sources.dicom_pixels import read_frames


@dataclass(frozen=True)
class Sorted:
    """Each image once."""

    series: dict[str, list[Frame]]
    """Frames by their series; those of copies are not among them."""
    copies: int
    clashes: dict[str, tuple[Path, Path]]
    """A series to two files of which one is another image than the other, under the same UID."""


def without_copies(headers: Mapping[Path, Header]) -> Sorted:
    """The frames of all headers. Of copies the largest file counts, for it is whole."""
    series: dict[str, list[Frame]] = {}
    first: dict[str, tuple[Path, Header]] = {}
    clashes: dict[str, tuple[Path, Path]] = {}
    copies = 0
    for path, header in sorted(headers.items(), key=lambda item: -item[0].stat().st_size):
        known = next((first[frame.uid] for frame in header.frames if frame.uid in first), None)
        if known is not None and _same(*known, path, header):
            copies += 1
            continue
        for frame in header.frames:
            series.setdefault(frame.series, []).append(frame)
            first.setdefault(frame.uid, (path, header))
            if known is not None:
                for one in (frame, *known[1].frames):
                    clashes.setdefault(one.series, (known[0], path))
    return Sorted(series, copies, clashes)


def _same(first: Path, header: Header, path: Path, other: Header) -> bool:
    """Whether both hold the same image at the same place, whoever's it is said to be, and however
    packed: tools that hide the patient write anew.

    One that cannot be decoded was damaged on its way: that makes it no other image.
    """
    if filecmp.cmp(first, path, shallow=False):
        return True
    if [_place(frame) for frame in header.frames] != [_place(frame) for frame in other.frames]:
        return False
    if sum(math.prod(frame.shape) for frame in header.frames) > limit():
        return True  # neither is read
    mine, theirs = read_frames(first, header.frames), read_frames(path, other.frames)
    try:
        return all(np.array_equal(*pair) for pair in zip(mine, theirs, strict=True))
    except BROKEN:
        return True


def _place(frame: Frame) -> tuple[object, ...]:
    return (frame.number, frame.shape, frame.position, frame.orientation, frame.spacing)
