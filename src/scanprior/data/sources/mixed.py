"""What lies in a folder beside the scans that are read from it: nothing is left out in silence."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from scanprior.contracts import InputError
from scanprior.data.files import PHOTOGRAPH, VOLUME, files_in, suffix
from scanprior.data.hdf5 import HDF5
from scanprior.data.sources import brats, decathlon, dicom, folder, hdf5, photographs
from scanprior.data.sources.case import Case
from scanprior.data.sources.dicom_kind import is_dicom

_ENDINGS = {
    folder.NAME: VOLUME,
    brats.NAME: VOLUME,
    photographs.NAME: PHOTOGRAPH,
    hdf5.NAME: HDF5,
    decathlon.NAME: VOLUME + PHOTOGRAPH,
}
_ABOUT = (
    # of words and tables, which nobody takes for scans
    *(".csv", ".tsv", ".txt", ".md", ".rst", ".pdf", ".html", ".log", ".xlsx", ".ods"),
    *(".json", ".xml", ".yaml", ".yml", ".toml", ".bval", ".bvec", ".py", ".sh", ".sha256"),
)
_OTHER = ""
_LOCKED = "folder that may not be opened"
_PLURALS = {
    "hidden folder": "hidden folders",
    "hidden file": "hidden files",
    "link to a folder": "links to folders",
    "dead link": "dead links",
    "pipe or device": "pipes or devices",
    _LOCKED: "folders that may not be opened",
}

Kinds = dict[str, list[Path]]
"""Files by the name of the format that reads them; by an empty one where none does."""


def beside(source: Path, cases: Iterable[Case], own: str) -> Kinds:
    """The files of the folder ``source``, read as the format ``own``, that no case is read from;
    texts and tables do not count."""
    used = {path for case in cases for path in case.files}
    kinds: Kinds = {}
    for path in files_in(source, ("",)):
        if path not in used and not path.name.lower().endswith(_ABOUT):
            kinds.setdefault(_format(path, own), []).append(path)
    return kinds


def check_one_kind(source: Path, kinds: Kinds, own: str, cases: Iterable[Case]) -> None:
    """Raise :class:`InputError` where two formats could be meant; ``own`` is the one that was
    recognised, and ``cases`` what it reads."""
    others = {name: files for name, files in kinds.items() if name not in (own, _OTHER)}
    if others:
        mine = {path for case in cases for path in case.images if path.is_file()}
        held = [_counted(own, mine), *(_counted(name, files) for name, files in others.items())]
        formats = " or ".join(f"--format {name}" for name in (own, *others))
        raise InputError(
            f"{source} holds {', '.join(held[:-1])} and {held[-1]}, which are not read together; "
            f"choose with {formats}."
        )


def words(kinds: Kinds, own: str) -> tuple[str, ...]:
    """What is left out, a few words a kind."""
    return tuple(
        _counted(name, files) + " in no case" * (name == own)
        for name, files in sorted(kinds.items())
    )


def passed_by(source: Path, cases: Iterable[Case]) -> tuple[str, ...]:
    """What no format looks into, a few words a kind: what is hidden, links to folders and to
    nothing, pipes, locked folders. What a case is read from, as through a link that a list names,
    does not count.
    """
    files = {path for case in cases for path in case.files}
    used = files.union(*(path.parents for path in files))
    found: Counter[str] = Counter()

    def locked(error: OSError) -> None:
        found[_LOCKED] += isinstance(error, PermissionError)  # else it vanished, or is a file

    for name, folders, others in os.walk(source, onerror=locked):
        here = Path(name)
        passed = {one: _passed(here / one) for one in (*folders, *others) if here / one not in used}
        found.update(kind for kind in passed.values() if kind)
        folders[:] = [one for one in folders if not passed.get(one)]
    return tuple(
        f"{found[kind]} {kind if found[kind] == 1 else plural}"
        for kind, plural in _PLURALS.items()
        if found[kind]
    )


def _passed(path: Path) -> str | None:
    if path.name.startswith("."):
        return "hidden folder" if path.is_dir() else "hidden file"
    if path.is_dir():
        return "link to a folder" if path.is_symlink() else None
    if path.is_file():
        return None
    return "dead link" if path.is_symlink() and not path.exists() else "pipe or device"


def _counted(name: str, files: Iterable[Path]) -> str:
    paths = list(files)
    plural = "s" * (len(paths) != 1)
    if name == _OTHER:
        return f"{len(paths)} file{plural} of no known kind, as {min(paths).name}"
    if name == dicom.NAME:
        return f"{len(paths)} DICOM file{plural}"
    return f"{len(paths)} {'/'.join(sorted({suffix(path) for path in paths}))} file{plural}"


def _format(path: Path, own: str) -> str:
    known = [name for name, endings in _ENDINGS.items() if suffix(path) in endings]
    if known:
        return own if own in known else known[0]
    return dicom.NAME if is_dicom(path) else _OTHER
