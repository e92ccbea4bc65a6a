"""What stores and reports call their source's files: of DICOM by hashes alone.

Whoever exports DICOM names folders after patients, in spellings that no header has, and a store or
a report may leave the house. Files of other formats are called what the user called them.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from scanprior.data.below import base_of, below
from scanprior.data.sources import Case
from scanprior.data.sources.dicom_names import hashed

UNNAMED = "the source"
"""A DICOM source in sentences and titles."""
_HASH = re.compile("~[0-9a-f]{16}")


def is_unnamed(cases: Iterable[Case]) -> bool:
    """Whether the names of the source of ``cases`` must not be told."""
    return any(case.shown is not None for case in cases)


def unnamed(case: Case) -> Case:
    """The case with its files called by hashes, if it is DICOM's: whatever is said of it may be
    kept."""
    if case.shown is None:
        return case
    label = None if case.label_shown is None else _hash(case.label_shown)
    return replace(case, shown=tuple(map(_hash, case.shown)), label_shown=label)


def named(cases: Iterable[Case]) -> Callable[[str], str]:
    """A function that says words about :func:`unnamed` cases to the user, who must find the files:
    with the names that ``cases`` have for them."""
    known = _names(cases)
    return lambda words: _HASH.sub(lambda found: known.get(found[0], found[0]), words)


def legend(sentences: Iterable[str], cases: Iterable[Case]) -> dict[str, str]:
    """The hashes in ``sentences`` about :func:`unnamed` cases, in order, with the names that
    ``cases`` have for them."""
    known = _names(cases)
    used = dict.fromkeys(one for sentence in sentences for one in _HASH.findall(sentence))
    return {one: known[one] for one in used if one in known}


def spoken(source: Path, cases: Iterable[Case]) -> str:
    """The source in a sentence."""
    return UNNAMED if is_unnamed(cases) else str(source)


def kept_source(source: Path, cases: Iterable[Case]) -> str:
    """The source as a store holds it, the same every time: its path, or a hash of that."""
    path = str(source.resolve())
    return _hash(path) if is_unnamed(cases) else path


def kept_images(case: Case, source: Path) -> list[str]:
    """A name for each image file of an :func:`unnamed` case: a hash, or its path below
    ``source``."""
    if case.shown is not None:
        return list(case.shown)
    return [below(path, base_of(source)) for path in case.images]


def kept_label(case: Case, source: Path) -> str | None:
    """The same for its label map; None where it has none."""
    if case.label is None or case.label_shown is not None:
        return case.label_shown
    return below(case.label, base_of(source))


def _names(cases: Iterable[Case]) -> dict[str, str]:
    return {
        _hash(name): name
        for case in cases
        for name in (*(case.shown or ()), case.label_shown)
        if name is not None
    }


def _hash(name: str) -> str:
    return f"~{hashed(name, length=16)}"
