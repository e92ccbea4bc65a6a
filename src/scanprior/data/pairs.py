"""Scans that are two files: a header and its data."""

import os
import re
from pathlib import Path

from scanprior.contracts import InputError

NRRD, META = (".nrrd", ".nhdr"), (".mha", ".mhd")
_LONGEST = 1 << 20
"""Bytes of a header."""
_BLANK = re.compile(rb"\n\r?\n")
_NRRD = re.compile(rb"(?i)(?:^|[\r\n])[ \t]*data[ \t]*file[ \t]*:(?!=)[ \t]*([^\r\n]*)")
"""Whatever NRRD's own reader could take for the line that names the data, and more."""
_META = re.compile(rb"(?:^|\n)[ \t]*ElementDataFile[ \t]*[=:][=: \t]*([^\n]*)")
_KEY = b"ElementDataFile"


def parts(path: Path) -> tuple[Path, ...]:
    """The files that a scan is made of: ``path``, and the header or the data that belong to it."""
    ending = path.suffix.lower()
    if ending in (".img", ".hdr"):
        other = path.with_suffix(".hdr" if ending == ".img" else ".img")
    elif ending in NRRD + META:
        try:
            other = path.parent / data_of(path)
        except (InputError, OSError):  # its reading says why
            return (path,)
    else:
        return (path,)
    return (path, other) if other.is_file() and other != path else (path,)


def data_of(path: Path) -> str:
    """The name of the file beside a NRRD or MetaImage header that holds its data; its own where
    they follow it.

    Raises :class:`InputError` where the header leads elsewhere, to several files, or nowhere that
    is certain.
    """
    nrrd = path.suffix.lower() in NRRD
    head = header_of(path)
    named = [os.fsdecode(name).strip() for name in (_NRRD if nrrd else _META).findall(head)]
    if len(named) > 1 or (not nrrd and not named and _KEY in head):
        raise InputError(f"{path} does not name its data in one line of its own; write it anew.")
    if not named or (not nrrd and named[0] in ("LOCAL", "Local", "local")):
        return path.name
    (data,) = named
    # as the formats' readers see it; a hyphen is the standard input
    if data.startswith("LIST") or re.search(r"%\d*d" if nrrd else "%", data):
        raise InputError(f"{path} takes its data from several files; write it as one.")
    if data in ("", "-") or Path(data).name != data:
        raise InputError(f"{path} takes its data from another folder; put both into one.")
    return data


def header_of(path: Path) -> bytes:
    """A NRRD header up to its blank line, a MetaImage's up to the line that names its data, which
    ends it; the file's whole content where it has no such line.

    Raises :class:`InputError` where that is longer than any header is.
    """
    with path.open("rb") as file:
        head = file.read(_LONGEST + 1)
    if path.suffix.lower() in NRRD:
        blank = _BLANK.search(head)
        end = len(head) if blank is None else blank.end()
    else:
        at = head.find(_KEY)
        end = len(head) if at < 0 else 1 + head.find(b"\n", at) or len(head)
    if end > _LONGEST:
        raise InputError(f"{path} has a header of more than {_LONGEST:,} bytes; write it anew.")
    return head[:end]
