"""DICOM: a folder tree of series, in any order and under any names, or one file.

A case a series and orientation; its id and its ``patient`` are hashes. A DICOM-SEG file in the
same tree is the label map of the series, and of the volume in it, that it names. Volumes that share
their slices' positions (time points, echoes) are cases of their own, ``ID_t000`` and so on, or the
channels of one with ``--fourth-axis channels``. Photographs and projections are a case an image.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.image import Image
from scanprior.data.sources.case import Case, Found, SourceOptions, case_of
from scanprior.data.sources.dicom_copies import Shared, without_copies
from scanprior.data.sources.dicom_header import BROKEN, Frame, Header, read_header
from scanprior.data.sources.dicom_kind import SEGMENTATION, is_dicom
from scanprior.data.sources.dicom_labels import Segmentations
from scanprior.data.sources.dicom_names import hashed, reason, shown
from scanprior.data.sources.dicom_pixels import read_mosaic
from scanprior.data.sources.dicom_read import read_photograph, read_series
from scanprior.data.sources.dicom_stack import by_orientation, parted, stacked

NAME = "dicom"


def recognise(source: Path) -> bool:
    """Whether any file is DICOM; names do not matter."""
    return any(is_dicom(path) for path in _files(source))


def cases(source: Path, options: SourceOptions) -> Found:
    """What the tree holds; what is no scan is left out, and counted.

    A file that cannot be read, a series that is no regular stack and one of which an image is there
    twice, differently, are cases whose reading says why, so that they are reported. Why a series
    makes several images, and that it shares some with another, its first case remarks.
    """
    headers: dict[Path, Header] = {}
    broken: dict[Path, str] = {}
    left_out: Counter[str] = Counter()
    for path in _files(source):
        if not is_dicom(path):  # said, for it may be a slice that was cut short
            left_out["file that is no DICOM"] += 1
            continue
        try:
            headers[path] = read_header(path)
        except BROKEN as error:
            broken[path] = reason(error)
    words = frozenset().union(*(header.words for header in headers.values()))
    names = {path: shown(path, source, words) for path in (*headers, *broken)}
    left_out.update(header.skipped for header in headers.values() if header.skipped)
    images = without_copies(headers)
    left_out["second copy of an image"] += images.copies
    drawn = Segmentations(headers, names, images.held_by, options.label)
    found = [_broken(path, names[path], why, options) for path, why in broken.items()]
    for name, frames in images.series.items():
        if name in images.clashes:
            found.append(_clashing(frames, images.clashes[name], names, options))
            continue
        groups = by_orientation(frames)
        here: list[Case] = []
        for number, group in enumerate(groups):
            here += _of_group(group, number if len(groups) > 1 else None, names, options)
        here[0] = replace(here[0], remarks=tuple(_remarks(groups, images.shared[name])))
        found += drawn.put(name, here)
    left_out[SEGMENTATION] -= drawn.used
    listed = (f"{count} x {word}" for word, count in sorted(left_out.items()) if count > 0)
    return Found(found, tuple(listed))


def _remarks(groups: Sequence[Sequence[Frame]], shared: Sequence[Shared]) -> Iterator[str]:
    """What is odd about a series, sorted ``by_orientation``."""
    if (why := parted(groups)) is not None:
        yield f"its series' {why}; leave out those that are not wanted"
    for one in shared:
        yield (
            f"{one.images} of the images of its series are in series {_name(one.other)} too; keep "
            "both in one part of a split, or leave one out"
        )


def folder_of(source: Path) -> Path | None:
    """The folder that is searched; None for a file, which is read alone unless it is a DICOMDIR."""
    if source.is_dir():
        return source
    return source.parent if source.name.upper() == "DICOMDIR" else None


def _files(source: Path) -> list[Path]:
    folder = folder_of(source)
    if folder is None:
        return [source]
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _of_group(
    group: list[Frame], number: int | None, names: dict[Path, str], options: SourceOptions
) -> list[Case]:
    first = group[0]
    if first.position is None:
        return [
            _case(f"{_name(f)}_{f.uid[:8]}", (f,), names, options, read_photograph, None)
            for f in group
        ]
    name = _name(first) if number is None else f"{_name(first)}_{number}"
    try:
        volumes, affine = _volumes(group, "", uneven=options.straighten)
    except (InputError, *BROKEN):
        volumes, affine = (tuple(group),), None  # its reading says why
    if len(volumes) == 1 or options.fourth_axis == "channels":
        return [_case(name, tuple(group), names, options, read_series, affine)]
    return [
        _case(f"{name}_t{time:03d}", frames, names, options, read_series, affine)
        for time, frames in enumerate(volumes)
    ]


def _volumes(
    frames: Sequence[Frame], name: str, *, uneven: bool
) -> tuple[tuple[tuple[Frame, ...], ...], np.ndarray]:
    if frames[0].mosaic:
        in_order = sorted(frames, key=lambda frame: frame.order)
        return tuple((frame,) for frame in in_order), read_mosaic(frames[0])[1]
    stack = stacked(frames, name, uneven=uneven)
    return stack.volumes, stack.affine


def _name(frame: Frame) -> str:
    return f"{frame.patient}_{frame.modality}_{frame.series}"


def _case(
    identity: str,
    frames: tuple[Frame, ...],
    names: dict[Path, str],
    options: SourceOptions,
    read: Callable[..., tuple[Image, Image | None]],
    affine: np.ndarray | None,
    others: Sequence[Path] = (),
) -> Case:
    paths = tuple(dict.fromkeys((*(frame.path for frame in frames), *others)))
    case = case_of(identity, paths, options, load=partial(read, frames=frames))
    return replace(
        case,
        patient=frames[0].patient if options.patient is None else case.patient,
        shown=tuple(names[path] for path in paths),
        place=None if affine is None else tuple(map(tuple, affine.tolist())),
    )


def _broken(path: Path, name: str, why: str, options: SourceOptions) -> Case:
    identity = f"unreadable_{hashed(name)}"
    why = f"is no readable DICOM image ({why}); restore it or leave it out"
    case = case_of(identity, (path,), options, load=partial(_refuse, why=why))
    return replace(case, shown=(name,))


def _clashing(
    frames: list[Frame], two: tuple[Path, Path], names: dict[Path, str], options: SourceOptions
) -> Case:
    """A series of which two files say that they are one image, and are not; one of them may be
    another series'."""
    case = _case(_name(frames[0]), tuple(frames), names, options, read_series, None, others=two)
    return replace(case, load=partial(_refuse_two, two=two))


def _refuse(case: Case, why: str) -> tuple[Image, None]:
    raise InputError(f"{case.called} {why}.")


def _refuse_two(case: Case, two: tuple[Path, Path]) -> tuple[Image, None]:
    names = dict(zip(case.images, case.shown or (), strict=True))
    first, other = (names[path] for path in two)
    why = f"holds two different images under one SOP Instance UID, {first} and {other}"
    return _refuse(case, f"{why}; remove or correct one of them")
