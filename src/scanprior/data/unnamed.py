"""What a store calls its source's files: of DICOM by hashes alone.

Whoever exports DICOM names folders after patients, and a store may leave the house. Files of other
formats are called what the user called them.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from scanprior.data.sources import Case
from scanprior.data.sources.dicom_names import hashed

UNNAMED = "the source"
"""A DICOM source in sentences and titles."""


def is_unnamed(cases: Iterable[Case]) -> bool:
    """Whether the names of the source of ``cases`` must not be told."""
    return any(case.shown is not None for case in cases)


def spoken(source: Path, cases: Iterable[Case]) -> str:
    """The source in a sentence."""
    return UNNAMED if is_unnamed(cases) else str(source)


def kept_source(source: Path, cases: Iterable[Case]) -> str:
    """The source as a store holds it, the same every time: its path, or a hash of that."""
    path = str(source.resolve())
    return _hash(path) if is_unnamed(cases) else path


def kept_images(case: Case, source: Path) -> list[str]:
    """A name for each of the case's image files: its path below ``source``, or a hash."""
    if case.shown is not None:
        return [_hash(name) for name in case.shown]
    return [_below(path, source) for path in case.images]


def kept_label(case: Case, source: Path) -> str | None:
    """The same for its label map; None where it has none."""
    if case.label is None:
        return None
    return _below(case.label, source) if case.label_shown is None else _hash(case.label_shown)


def kept_words(case: Case, words: str) -> str:
    """``words`` about ``case`` with its files called as the store calls them."""
    names = [*(case.shown or ()), *([] if case.label_shown is None else [case.label_shown])]
    for name in sorted(names, key=len, reverse=True):
        words = words.replace(name, _hash(name))
    return words


def _hash(name: str) -> str:
    return f"~{hashed(name, length=16)}"


def _below(path: Path, source: Path) -> str:
    base = source if source.is_dir() else source.parent
    return Path(os.path.relpath(path, base)).as_posix()
