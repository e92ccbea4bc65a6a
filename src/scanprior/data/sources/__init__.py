"""Where scans come from.

A module a format: ``NAME``, ``recognise(source)``, ``cases(source, options)``.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from scanprior.console import say
from scanprior.contracts import InputError
from scanprior.data.limits import limit
from scanprior.data.sources import (
    brats,
    decathlon,
    dicom,
    folder,
    hdf5,
    medmnist,
    mixed,
    photographs,
)
from scanprior.data.sources.case import Case, Found, SourceOptions

__all__ = ["Case", "Found", "SourceOptions", "find", "names", "search"]

# In the order in which they are asked; the first that recognises the source reads it.
_FORMATS = (medmnist, decathlon, brats, folder, dicom, photographs, hdf5)


def names() -> list[str]:
    """The formats that ``--format`` takes."""
    return [module.NAME for module in _FORMATS]


def find(source: Path, format: str | None, options: SourceOptions) -> list[Case]:
    """The cases that :func:`search` finds."""
    return search(source, format, options).cases


def search(source: Path, format: str | None, options: SourceOptions) -> Found:
    """The cases of ``source``, sorted by id, each id once; what is left out is told as well.

    Raises :class:`InputError` where the source does not exist, is of no known format, is empty,
    holds files of two formats of which none was chosen, or names two cases alike; and where
    :func:`limit` is set to what is no limit, which each file would be refused for.
    """
    limit()
    if not source.exists():
        raise InputError(f"{source} does not exist; give the folder or file that holds the scans.")
    if format is not None and format not in names():
        raise InputError(f"format {format!r} is not known; use one of {', '.join(names())}.")
    if (options.modalities or options.preset) and format is None and source.is_dir():
        format = brats.NAME  # only case folders have modalities to name
    module = _module(source, format)
    if options.fourth_axis == "times" and module not in (folder, dicom, hdf5):
        raise InputError(
            f"{source} is read as {module.NAME}, whose files hold no times; leave out "
            "--fourth-axis times."
        )
    cases, left_out = module.cases(source, options)
    listed = module is decathlon  # whose list says which files count
    tells = module is dicom  # which looks into every file, and tells more than their kinds
    if source.is_dir() and (format is None or not tells):
        kinds = mixed.beside(source, cases, module.NAME)
        if format is None and not listed:
            mixed.check_one_kind(source, kinds, module.NAME, cases)
        if not tells:
            left_out = mixed.words(kinds, module.NAME)
    searched = dicom.folder_of(source) if tells else source
    if searched is not None:
        left_out += mixed.passed_by(searched, cases)
    if left_out:
        say(f"left out {', '.join(left_out)}.")
    if not cases:
        raise InputError(f"{source} holds no image that the format {module.NAME} knows.")
    _check_names(cases)
    return Found(sorted(cases, key=lambda case: case.id), left_out)


def _check_names(cases: Sequence[Case]) -> None:
    name, count = Counter(case.id.casefold() for case in cases).most_common(1)[0]
    if count > 1:
        first, other, *_ = (case for case in cases if case.id.casefold() == name)
        raise InputError(
            f"{count} scans would be called {first.id!r}, as {first.called} and {other.called}; "
            "rename all but one (case, and signs but dots and hyphens, tell no names apart)."
        )


def _module(source: Path, format: str | None) -> ModuleType:
    for module in _FORMATS:
        if format == module.NAME or (format is None and module.recognise(source)):
            return module
    if source.is_dir() and not any(source.iterdir()):
        raise InputError(f"{source} is empty; give the folder that holds the scans.")
    passed = mixed.passed_by(source, ())
    inside = f" (not looked into: {', '.join(passed)})" if passed else ""
    raise InputError(
        f"{source} is of no known format{inside}; give one of {', '.join(names())} with --format."
    )
