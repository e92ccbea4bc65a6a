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
    shared: dict[str, list[Shared]]
    """A series to the others that hold some of its images too."""


def without_copies(headers: Mapping[Path, Header]) -> Sorted:
    """The frames of all headers, without copies.

    In a series each image counts once, its largest file, which is whole.
    Of two series, as a scan and its anonymous copy, one falls out whole or not at all: else each
    could keep some of the slices.
    """
    series: dict[str, list[Frame]] = {}
    there: dict[str, list[tuple[Path, Header]]] = {}  # each image in every series that has it
    clashes: dict[str, tuple[Path, Path]] = {}
    held_by: dict[str, str] = {}
    shared: dict[str, list[Shared]] = {}
    copies = 0
    for name, files in _fullest_first(headers):
        own: dict[str, tuple[Path, Header]] = {}
        kept: list[Frame] = []
        common: dict[str, list[Frame]] = {}
        for path, header in files.items():
            uid = header.frames[0].uid
            known = [own[uid]] if uid in own else there.get(uid, [])
            same = [one for one in known if _same(*one, path, header)]
            if same and uid in own:
                copies += 1
                continue
            for first, other in (one for one in known if one not in same):
                for which in (name, other.frames[0].series):
                    clashes.setdefault(which, (first, path))
            own.setdefault(uid, (path, header))
            kept += header.frames
            for _, other in same:
                common.setdefault(other.frames[0].series, []).append(other.frames[0])
        whole = [other for other, frames in common.items() if len(frames) == len(own)]
        if whole and name not in clashes:
            copies += len(own)
            held_by[name] = whole[0]
            continue
        series[name] = kept
        for uid, one in own.items():
            there.setdefault(uid, []).append(one)
        shared[name] = [Shared(len(frames), frames[0]) for frames in common.values()]
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
