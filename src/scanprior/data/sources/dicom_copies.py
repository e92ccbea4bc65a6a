"""Files that claim to be one image, by their SOP instance: copies of it, or a contradiction."""

import filecmp
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scanprior.data.limits import limit
from scanprior.data.sources.dicom_header import BROKEN, Frame, Header
from scanprior.data.sources.dicom_pixels import read_frames

_Files = dict[Path, Header]


class Shared(NamedTuple):
    """What a series has in common with another one."""

    images: int
    other: Frame
    """Of the other series."""


@dataclass(frozen=True)
class Sorted:
    """Each image of a series once, and no series that another one holds whole."""

    series: dict[str, list[Frame]]
    """Frames by their series; those of copies are not among them."""
    copies: int
    clashes: dict[str, tuple[Path, Path]]
    """A series to two files of which one is another image than the other, under the same UID."""
    held_by: dict[str, str]
    """A series that fell out, to the one that holds it."""
    shared: dict[str, Shared]
    """A series some of whose images another one holds too."""


def without_copies(headers: Mapping[Path, Header]) -> Sorted:
    """The frames of all headers, without copies.

    In a series each image counts once, its largest file, which is whole.
    Of two series, as a scan and its anonymous copy, one falls out whole or not at all: else each
    could keep some of the slices.
    """
    series: dict[str, list[Frame]] = {}
    first: dict[str, tuple[Path, Header]] = {}
    clashes: dict[str, tuple[Path, Path]] = {}
    held_by: dict[str, str] = {}
    shared: dict[str, Shared] = {}
    copies = 0
    for name, files in _fullest_first(headers):
        own: dict[str, tuple[Path, Header]] = {}
        kept: list[Frame] = []
        elsewhere: list[Frame] = []
        for path, header in files.items():
            uid = header.frames[0].uid
            known = own.get(uid) or first.get(uid)
            same = known is not None and _same(*known, path, header)
            if same and uid in own:
                copies += 1
                continue
            if known is not None and not same:
                for one in (name, known[1].frames[0].series):
                    clashes.setdefault(one, (known[0], path))
            own.setdefault(uid, (path, header))
            kept += header.frames
            if known is not None and same:
                elsewhere.append(known[1].frames[0])
        if len(elsewhere) == len(own) and name not in clashes:
            copies += len(elsewhere)
            held_by[name] = elsewhere[0].series
            continue
        series[name] = kept
        first = own | first
        if elsewhere:
            shared[name] = Shared(len(elsewhere), elsewhere[0])
    return Sorted(series, copies, clashes, held_by, shared)


def _fullest_first(headers: Mapping[Path, Header]) -> Iterator[tuple[str, _Files]]:
    """Each series and its files, largest first; a series before those that it could hold whole."""
    series: dict[str, _Files] = {}
    for path, header in sorted(headers.items(), key=lambda item: -item[1].size):
        if header.frames:  # all of one image, in one series
            series.setdefault(header.frames[0].series, {})[path] = header

    def fullness(item: tuple[str, _Files]) -> tuple[int, int, str]:
        name, files = item
        images = {header.frames[0].uid for header in files.values()}
        return -len(images), -sum(header.size for header in files.values()), name

    yield from sorted(series.items(), key=fullness)


def _same(first: Path, header: Header, path: Path, other: Header) -> bool:
    """Whether both hold the same image at the same place, whoever's it is said to be, and however
    packed: tools that hide the patient write anew.

    One that cannot be read or decoded was damaged on its way: that makes it no other image.
    """
    try:
        if filecmp.cmp(first, path, shallow=False):
            return True
        if [_place(frame) for frame in header.frames] != [_place(frame) for frame in other.frames]:
            return False
        if sum(math.prod(frame.shape) for frame in header.frames) > limit():
            return True  # neither is read
        mine, theirs = read_frames(first, header.frames), read_frames(path, other.frames)
        return all(np.array_equal(*pair) for pair in zip(mine, theirs, strict=True))
    except BROKEN:
        return True


def _place(frame: Frame) -> tuple[object, ...]:
    return (frame.number, frame.shape, frame.position, frame.orientation, frame.spacing)
