"""One case of a source, looked at from all sides while it is read. It runs in a worker."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.below import below
from scanprior.data.checks import raw, rules
from scanprior.data.checks.findings import Finding
from scanprior.data.files import (
    BROKEN,
    PHOTOGRAPH,
    read_affine,
    read_image,
    read_label,
    suffix,
)
from scanprior.data.geometry import run_alike
from scanprior.data.image import Image, spacing_of
from scanprior.data.limits import limit
from scanprior.data.sources import Case
from scanprior.data.sources.case import from_files
from scanprior.data.sources.decathlon import Declared
from scanprior.data.sources.dicom_names import reason

_WIDEST = 16
"""Bytes of the widest number that a reader takes."""


class Look(NamedTuple):
    """A case as it was read, and what is wrong with it."""

    findings: tuple[Finding, ...]
    image: Image | None = None
    """None where it cannot be read."""
    label: Image | None = None

    @property
    def errors(self) -> list[Finding]:
        """What keeps the case from being used."""
        return [finding for finding in self.findings if finding.severity == "error"]


def look(case: Case, base: Path, said: Declared) -> Look:
    """Everything that can be said of ``case`` alone; nothing is raised for what is wrong with it.

    ``base`` is the folder that files are named from. The case is read once, and a file at fault
    again.
    """
    names = _names(case, base)
    called = called_below(case, base)
    odd = [Finding("series", "warning", called, f"{called}: {why}.") for why in case.remarks]
    try:
        image, label = case.read()
        found = _opened(called, case, names, said, image, label)
        return Look(told(case.id, [*odd, *found]), image, label)
    except (InputError, *BROKEN) as error:
        return Look(told(case.id, [*odd, *_at_fault(called, case, names, error)]))


def called_below(case: Case, base: Path) -> str:
    """What findings call the case: its first file below ``base``, without the patient."""
    row = "" if case.row is None else f" ({case.id})"
    return case.called if case.shown is not None else below(case.images[0], base) + row


def _names(case: Case, base: Path) -> dict[Path, str]:
    """What a report calls each file: its path below ``base``, without the patient."""
    if case.shown is None:
        return {path: below(path, base) for path in case.files}
    names = dict(zip(case.images, case.shown, strict=True))
    return names if case.label is None else names | {case.label: case.label_shown or case.called}


def shortly(error: InputError, names: dict[Path, str]) -> str:
    """A reader's sentence with the files called as everywhere in the report. A path counts only by
    itself, or as the beginning of a longer one: a file may be called 0."""
    paths = {str(path): name for path, name in names.items()}
    either = "|".join(re.escape(path) for path in sorted(paths, key=len, reverse=True))
    whole = rf"(?<![\w./-])(?:{either})(?!\.?[\w-])"
    return re.sub(whole, lambda found: paths[found[0]], str(error))


def _said(case: Case, error: InputError, names: dict[Path, str]) -> str:
    """The same; what is said of DICOM has no paths to begin with."""
    return str(error) if case.shown is not None else shortly(error, names)


def members(case: Case) -> tuple[Path, ...]:
    """A file a channel, and the label map's: those that have a geometry of their own."""
    return case.images if case.label is None else (*case.images, case.label)


def told(identity: str, found: Sequence[Finding | None]) -> tuple[Finding, ...]:
    """What was found, with the case it was found in."""
    return tuple(replace(finding, cases=(identity,)) for finding in found if finding is not None)


def _closed(case: Case, names: dict[Path, str]) -> list[Finding]:
    """What is wrong with the files before any of them is read as a scan."""
    found = []
    for path, name in names.items():
        finding = rules.file_there(path, name)
        if finding is None and path.is_file() and not case.row:  # a file of many rows: once
            header = raw.header(path)
            finding = None if header is None else rules.huge(name, header.voxels)
        if finding is not None:
            found.append(finding)
    return found


def _at_fault(
    called: str, case: Case, names: dict[Path, str], error: BaseException
) -> Sequence[Finding]:
    """What is wrong with a case that cannot be read, which is what ``error`` says."""
    try:
        if closed := _closed(case, names):
            return closed
        if isinstance(error, InputError):
            return _diagnosis(called, case, names, error)
    except BROKEN as another:
        error = another
    except InputError as another:  # it could be read a moment ago
        return [Finding(rules.kind_of(another), "error", called, _said(case, another, names))]
    # what no reader foresaw: one file must not end the walk
    why = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
    if case.shown is not None:  # a library's words may repeat a header's, or a path
        why = reason(error)
    words = f"{called} cannot be read ({why}); restore it or leave it out."
    return [Finding("unreadable", "error", called, words)]


def _diagnosis(called: str, case: Case, names: dict[Path, str], error: InputError) -> list[Finding]:
    """Which file of a case that cannot be read is at fault, and of what kind the fault is."""
    first = case.images[0]
    if case.load is not from_files:
        found = [Finding(rules.kind_of(error), "error", called, _said(case, error, names))]
        affine = case.affine()
        size = None if affine is None else rules.spacing(called, spacing_of(affine))
        return found if size is None else [*found, size]
    images: dict[Path, Image] = {}
    for path in members(case):
        name = names[path]
        try:
            label = path == case.label
            images[path] = read_label(path) if label else read_image([path], case.row)
        except InputError as said:
            fault = _packed(path, name)
            array = None if fault else raw.numbers(path)
            finding = fault if array is None else rules.not_finite(name, array)
            kind = rules.kind_of(said)
            if array is not None and path == case.label:
                kind = "label values"
            elif array is not None and _flat(path):
                kind = "spacing"
            return [finding or Finding(kind, "error", name, shortly(said, names))]
    for path in members(case)[1:]:
        other = rules.shapes(names[path], images[path].shape, names[first], images[first].shape)
        if other is not None:
            return [other]
    image = images[first]
    size = None if image.affine is None else rules.spacing(names[first], image.spacing)
    grids = _grids(case, names, image, None if case.label is None else images[case.label])
    found = [finding for finding in (size, *grids) if finding is not None]
    words = shortly(error, names)
    if any(finding.severity == "error" for finding in found):
        return found
    return [Finding(rules.kind_of(error), "error", names[first], words), *found]


def _packed(path: Path, name: str) -> Finding | None:
    """A packed file that does not unpack to its end, or to far more than its header says."""
    header = raw.header(path)
    most = _WIDEST * (limit() if header is None else header.voxels) + limit()
    wrong = raw.packing(path, most)
    return None if wrong is None else rules.packed(name, wrong)


def _flat(path: Path) -> bool:
    try:
        read_affine(path)
    except InputError:
        return True
    return False


def _grids(
    case: Case, names: dict[Path, str], image: Image, label: Image | None
) -> list[Finding | None]:
    """The geometry of every further file against the first one's: of the images from their headers
    (but of those that reading turned), of the label map as it was read."""
    called = names[case.images[0]]
    mine = image.affine
    if mine is None:
        return []
    others = {} if label is None or case.label is None else {case.label: (mine, label.affine)}
    if len(case.images) > 1 and (first := case.affine()) is not None:
        others |= {path: (first, read_affine(path)) for path in case.images[1:]}
    return [
        rules.grids(names[path], called, image.shape, rules.apart(one, other, image.shape))
        for path, (one, other) in others.items()
        if other is not None and run_alike(one, other)
    ]


def _opened(
    called: str,
    case: Case,
    names: dict[Path, str],
    said: Declared,
    image: Image,
    label: Image | None,
) -> list[Finding | None]:
    """What is wrong with a case that could be read."""
    found = [
        rules.constant(called, image.array),
        rules.channel_count(called, len(image.array), said.channels),
    ]
    if image.affine is not None:
        found.append(rules.spacing(called, image.spacing))
    if case.load is from_files:
        found += _grids(case, names, image, label)
    elif label is not None and image.affine is not None and label.affine is not None:
        voxels = rules.apart(image.affine, label.affine, image.shape)
        name = f"{called}'s label"
        found.append(rules.grids(name, called, image.shape, voxels, copied=False))
    # a file of many times is told of with the first of them
    for path in members(case) if case.load is from_files and not case.row else ():
        if (header := raw.header(path)) is not None:
            found.append(rules.forms(names[path], header.forms_apart))
            # every other file of the case must lie where the first does
            guessed = path == case.images[0] and header.unoriented
            found.append(rules.orientation(names[path], guessed))
            fractional = path == case.label and header.fractional
            copied = suffix(path) not in PHOTOGRAPH
            found.append(rules.float_label(names[path], fractional, copied=copied))
    if label is not None:
        name = called if case.label is None else names[case.label]
        found.append(rules.label_values(name, np.unique(label.array).tolist(), said.labels))
    return found
