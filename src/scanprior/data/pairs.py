"""Scans that are two files: a header and its data."""

import re
from pathlib import Path

from scanprior.contracts import InputError


def parts(path: Path) -> tuple[Path, ...]:
    """The files that a scan is made of: ``path``, and the header or the data that belong to it."""
    ending = path.suffix.lower()
    if ending in (".img", ".hdr"):
        other = path.with_suffix(".hdr" if ending == ".img" else ".img")
    elif ending in (".mhd", ".nhdr"):
        other = path.parent / data_of(path)
    else:
        return (path,)
    return (path, other) if other.is_file() and other != path else (path,)


def data_of(path: Path) -> str:
    """What a header says its data are in: a file, ``LIST`` or a pattern; its own name where the
    data follow it."""
    with path.open("rb") as file:
        said = file.read(1 << 16).decode("latin-1")
    named = re.search(r"(?im)^(?:ElementDataFile|data ?file)\s*[=:][ \t]*(.*?)\s*$", said)
    return path.name if named is None or named[1].upper() == "LOCAL" else named[1]


def check_data(path: Path) -> None:
    """Raise :class:`InputError` where a header leads to other files than one beside it."""
    data = data_of(path)
    if Path(data).name != data:
        raise InputError(f"{path} takes its data from another folder; put both into one.")
    several = data.split()[:1] in (["LIST"], ["list"]) or "%" in data
    if several and not (path.parent / data).is_file():
        raise InputError(f"{path} takes its data from several files; write it as one.")
