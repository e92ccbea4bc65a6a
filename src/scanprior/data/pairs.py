"""Scans that are two files: a header and its data."""

import re
from pathlib import Path


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
    """The file that a detached header names, or its own name where that is no single file."""
    with path.open("rb") as file:
        said = file.read(1 << 16).decode("latin-1")
    named = re.search(r"(?im)^(?:ElementDataFile|data ?file)\s*[=:]\s*(\S+)\s*$", said)
    return path.name if named is None or named[1].upper() in ("LOCAL", "LIST") else named[1]
