"""Where scans come from.

A module a format: ``NAME``, ``recognise(source)``, ``cases(source, options)``.
"""

from collections import Counter
from pathlib import Path

from scanprior.console import say
from scanprior.contracts import InputError
from scanprior.data.files import files_in
from scanprior.data.sources import brats, decathlon, dicom, folder, medmnist, photographs
from scanprior.data.sources.case import Case, SourceOptions
from scanprior.data.sources.dicom_kind import ENDINGS

__all__ = ["Case", "SourceOptions", "find", "names"]

# In the order in which they are asked; the first that recognises the source reads it.
_FORMATS = (medmnist, decathlon, brats, folder, dicom, photographs)


def names() -> list[str]:
    """The formats that ``--format`` takes."""
    return [module.NAME for module in _FORMATS]


def find(source: Path, format: str | None, options: SourceOptions) -> list[Case]:
    """The cases of ``source``, sorted by id, each id once.

    Raises :class:`InputError` where the source does not exist, is of no known format, is empty or
    names two cases alike.
    """
    if not source.exists():
        raise InputError(f"{source} does not exist; give the folder or file that holds the scans.")
    if format is not None and format not in names():
        raise InputError(f"format {format!r} is not known; use one of {', '.join(names())}.")
    if (options.modalities or options.preset) and format is None and source.is_dir():
        format = brats.NAME  # only case folders have modalities to name
    for module in _FORMATS:
        if format == module.NAME or (format is None and module.recognise(source)):
            found = sorted(module.cases(source, options), key=lambda case: case.id)
            break
    else:
        raise InputError(
            f"{source} is of no known format; give one of {', '.join(names())} with --format."
        )
    left_out = files_in(source, ENDINGS) if source.is_dir() and module in (brats, folder) else []
    if left_out and format is None:
        say(f"{source}: left out {len(left_out)} DICOM files; --format dicom reads them.")
    if not found:
        raise InputError(f"{source} holds no image that the format {format or module.NAME} knows.")
    name, count = Counter(case.id.casefold() for case in found).most_common(1)[0]
    if count > 1:
        raise InputError(f"{source} has {count} cases called {name!r}; give each its own name.")
    return found
