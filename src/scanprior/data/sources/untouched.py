"""A source is only ever read."""

from pathlib import Path

from scanprior.contracts import InputError
from scanprior.data.sources.dicom import folder_of


def check_outside(output: Path, source: Path, name: str) -> None:
    """Raise :class:`InputError` where ``output`` is the folder that is searched for ``source``, or
    lies in it: what is written would be found there. ``name`` is what the user gave it as.

    Beside a single file, which is read alone, anything may lie.
    """
    searched = folder_of(source) or source
    if output.resolve().is_relative_to(searched.resolve()):
        raise InputError(f"{output} lies in the source, which is kept; give another {name}.")
