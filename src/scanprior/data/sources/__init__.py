"""Where scans come from.

A module a format: ``NAME``, ``recognise(source)``, ``cases(source, options)``.
"""

from collections import Counter
from pathlib import Path
from types import ModuleType

from scanprior.console import say
from scanprior.contracts import InputError
from scanprior.data.files import files_in
from scanprior.data.hdf5 import HDF5
from scanprior.data.sources import brats, decathlon, dicom, folder, hdf5, medmnist, photographs
from scanprior.data.sources.case import Case, SourceOptions
from scanprior.data.sources.dicom_kind import ENDINGS

__all__ = ["Case", "SourceOptions", "find", "names"]

# In the order in which they are asked; the first that recognises the source reads it.
_FORMATS = (medmnist, decathlon, brats, folder, dicom, photographs, hdf5)


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
    if source.is_dir() and format is None:
        _tell_of_others(source, module)
    if not found:
        raise InputError(f"{source} holds no image that the format {format or module.NAME} knows.")
    name, count = Counter(case.id.casefold() for case in found).most_common(1)[0]
    if count > 1:
        raise InputError(f"{source} has {count} cases called {name!r}; give each its own name.")
    return found


def _tell_of_others(source: Path, module: ModuleType) -> None:
    """Say which files a folder holds of other formats than the one that reads it."""
    dicoms = files_in(source, ENDINGS) if module in (brats, folder) else []
    others = files_in(source, HDF5) if module in (brats, folder, dicom, photographs) else []
    for word, left_out, name in (("DICOM", dicoms, dicom.NAME), ("HDF5", others, hdf5.NAME)):
        if left_out:
            say(f"{source}: left out {len(left_out)} {word} files; --format {name} reads them.")
