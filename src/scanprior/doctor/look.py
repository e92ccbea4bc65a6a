"""One case of a source, looked at from all sides. It runs in a worker and sends a kilobyte home."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.files import BROKEN, read_affine, read_image, read_label
from scanprior.data.image import Image, spacing_of
from scanprior.data.limits import limit
from scanprior.data.sources import Case
from scanprior.data.sources.case import file_hash, from_files
from scanprior.data.sources.decathlon import Declared
from scanprior.data.sources.dicom_names import reason
from scanprior.doctor import checks, raw
from scanprior.doctor.findings import Finding
from scanprior.doctor.seen import Seen

_SAMPLE = 200_000
_WIDEST = 16
"""Bytes of the widest number that a reader takes."""


def look(case: Case, base: Path, said: Declared) -> Seen:
    """Everything that can be said of ``case`` alone; nothing is raised for what is wrong with it.

    ``base`` is the folder that files are named from.
    """
    names = _names(case, base)
    row = "" if case.row is None else f" ({case.id})"
    begun = Seen(
        id=case.id,
        file=names[case.images[0]] + row if case.shown is None else case.called,
        patient=case.patient,
        part=part_of(case),
        grade=case.grade,
    )
    try:
        closed = _closed(case, names)
        if any(finding.check in ("missing", "empty") for finding in closed):
            return replace(begun, findings=told(begun, closed))
        hashed = None if case.row is not None else _bytes(case)
        if closed:  # damaged, or too large to open: only its bytes can be compared
            return replace(begun, bytes=hashed, findings=told(begun, closed))
        try:
            image, label = case.read()
        except InputError as error:
            wrong = _diagnosis(begun.file, case, names, error)
            return replace(begun, bytes=hashed, findings=told(begun, wrong))
        return _opened(begun, case, names, said, image, label, hashed)
    except BROKEN as error:  # what no reader foresaw: one file must not end the walk
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
        if case.shown is not None:  # a library's words may repeat a header's, or a path
            why = reason(error)
        words = f"{begun.file} cannot be read ({why}); restore it or leave it out."
        wrong = [Finding("unreadable", "error", begun.file, words)]
        return replace(begun, findings=told(begun, wrong))


def _names(case: Case, base: Path) -> dict[Path, str]:
    """What a report calls each file: its path below ``base``, without the patient."""
    if case.shown is None:
        return {path: relative(path, base) for path in case.files}
    names = dict(zip(case.images, case.shown, strict=True))
    return names if case.label is None else names | {case.label: case.label_shown or case.called}


def relative(path: Path, base: Path) -> str:
    """The path below ``base``; as it is where it lies elsewhere."""
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()


def shortly(error: InputError, names: dict[Path, str]) -> str:
    """A reader's sentence with the files called as everywhere in the report."""
    words = str(error)
    for path, name in names.items():
        words = words.replace(str(path), name)
    return words


def members(case: Case) -> tuple[Path, ...]:
    """A file a channel, and the label map's: those that have a geometry of their own."""
    return case.images if case.label is None else (*case.images, case.label)


def part_of(case: Case) -> str:
    """The case's split; scans that a Decathlon keeps unlabelled in ``imagesTs`` are its test."""
    unlabelled = case.partition == "unlabelled"
    return "test" if unlabelled and case.images[0].parent.name == "imagesTs" else case.partition


def levels(array: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    """For each channel of ``(c, *s)`` the 1st, 50th and 99th percentile, of evenly taken voxels."""
    found = []
    for channel in array:
        flat = channel.reshape(-1)
        sample = flat[:: max(1, flat.size // _SAMPLE)]
        low, middle, high = np.percentile(sample, (1, 50, 99)).tolist()
        found.append((low, middle, high))
    return tuple(found)


def voxel_hash(array: np.ndarray) -> str:
    """Of shape and numbers, whatever type of file they came from (``array`` is C-ordered)."""
    digest = hashlib.sha256(f"{array.dtype} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def told(begun: Seen, found: Sequence[Finding | None]) -> tuple[Finding, ...]:
    """What was found, with the case it was found in."""
    return tuple(replace(finding, cases=(begun.id,)) for finding in found if finding is not None)


def _closed(case: Case, names: dict[Path, str]) -> list[Finding]:
    """What is wrong with the files before any is read as a scan."""
    found = []
    for path, name in names.items():
        finding = checks.file_there(path, name)
        if finding is None and path.is_file() and not case.row:  # a file of many rows: once
            header = raw.header(path)
            if header is not None:
                finding = checks.huge(name, header.voxels)
            if finding is None:
                # as much behind the last voxel as readers pass over
                most = _WIDEST * (limit() if header is None else header.voxels) + limit()
                wrong = raw.packing(path, most)
                finding = None if wrong is None else checks.packed(name, wrong)
        if finding is not None:
            found.append(finding)
    return found


def _bytes(case: Case) -> str | None:
    """Of the image files, the data of their headers included; None where one is a folder."""
    paths = replace(case, label=None).files
    return file_hash(*paths) if all(path.is_file() for path in paths) else None


def _diagnosis(called: str, case: Case, names: dict[Path, str], error: InputError) -> list[Finding]:
    """Which file of a case that cannot be read is at fault, and of what kind the fault is."""
    first = case.images[0]
    if case.load is not from_files:
        found = [Finding(checks.kind_of(error), "error", called, shortly(error, names))]
        affine = case.affine()
        size = None if affine is None else checks.spacing(called, spacing_of(affine))
        return found if size is None else [*found, size]
    images: dict[Path, Image] = {}
    for path in members(case):
        name = names[path]
        try:
            images[path] = read_label(path) if path == case.label else read_image([path])
        except InputError as said:
            array = raw.numbers(path)
            finding = None if array is None else checks.not_finite(name, array)
            kind = checks.kind_of(said)
            if array is not None and path == case.label:
                kind = "label values"
            elif array is not None and _flat(path):
                kind = "spacing"
            return [finding or Finding(kind, "error", name, shortly(said, names))]
    for path in members(case)[1:]:
        other = checks.shapes(names[path], images[path].shape, names[first], images[first].shape)
        if other is not None:
            return [other]
    image = images[first]
    size = None if image.affine is None else checks.spacing(names[first], image.spacing)
    found = [*([] if size is None else [size]), *_grids(case, names, image)]
    words = shortly(error, names)
    return found or [Finding(checks.kind_of(error), "error", names[first], words)]


def _flat(path: Path) -> bool:
    try:
        read_affine(path)
    except InputError:
        return True
    return False


def _grids(case: Case, names: dict[Path, str], image: Image) -> list[Finding]:
    """The geometry of every further file against the first one's, from the headers."""
    first = case.images[0]
    mine = case.affine()
    found = []
    for path in members(case)[1:] if mine is not None else ():
        other = read_affine(path)
        if mine is not None and other is not None:
            voxels = checks.apart(mine, other, image.shape)
            finding = checks.grids(names[path], names[first], image.shape, voxels)
            found += [] if finding is None else [finding]
    return found


def _opened(
    begun: Seen,
    case: Case,
    names: dict[Path, str],
    said: Declared,
    image: Image,
    label: Image | None,
    hashed: str | None,
) -> Seen:
    """A case that could be read."""
    same = checks.constant(begun.file, image.array)
    found = [same, checks.channel_count(begun.file, len(image.array), said.channels)]
    if image.affine is not None:
        found.append(checks.spacing(begun.file, image.spacing))
    if case.load is from_files:
        found += _grids(case, names, image)
    elif label is not None and image.affine is not None and label.affine is not None:
        voxels = checks.apart(image.affine, label.affine, image.shape)
        found.append(checks.grids(f"{begun.file}'s label", begun.file, image.shape, voxels))
    if label is not None:
        name = begun.file if case.label is None else names[case.label]
        header = None if case.label is None else raw.header(case.label)
        found.append(checks.float_label(name, header is not None and header.fractional))
        found.append(checks.label_values(name, np.unique(label.array).tolist(), said.labels))
    blank = same is not None and same.severity == "error"
    return replace(
        begun,
        shape=image.array.shape,
        spacing=None if image.affine is None else image.spacing,
        levels=() if blank else levels(image.array),
        bytes=hashed,
        voxels=None if blank else voxel_hash(image.array),
        label=None if label is None else voxel_hash(label.array),
        findings=told(begun, found),
    )
