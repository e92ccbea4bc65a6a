"""Real files that are odd: each alone, and each folder of them."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import reference
from .damage import Mutant
from .judge import Expected

_PAIRS = {".hdr": ".img", ".img": ".hdr"}


def batches(folder: Path) -> Iterator[list[Mutant]]:
    """What is given to a command at once: each folder's files, then each file."""
    holders = sorted({path.parent for path in folder.rglob("*") if path.is_file()})
    for mutation in ("none, in its folder", "none, alone"):
        for holder in holders:
            kind = str(holder.relative_to(folder))
            paths = {_name(p, holder): p for p in sorted(holder.iterdir()) if p.is_file()}
            mutants = [
                Mutant(name, path.read_bytes(), kind, mutation, beside=_pair(path))
                for name, path in paths.items()
            ]
            yield from [mutants] if "folder" in mutation else ([one] for one in mutants)


def _pair(path: Path) -> dict[str, bytes]:
    pair = path.with_suffix(_PAIRS.get(path.suffix, path.suffix))
    return {pair.name: pair.read_bytes()} if pair != path and pair.is_file() else {}


def _name(path: Path, holder: Path) -> str:
    """Its own; not the number of an image, which scanprior does not repeat."""
    long = len(path.name) > 50
    return f"{holder.name}_{sorted(holder.iterdir()).index(path)}" if long else path.name


def expected(_source: Path, mutants: dict[str, Mutant]) -> Expected:
    """The reader that knows a file by its ending; for DICOM, by where it comes from."""

    def read(paths: Sequence[Path]) -> reference.Scan:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if paths[0].suffix in (".nrrd", ".mha"):
                return reference.by_itk(paths[0])
            kinds = {mutant.kind for mutant in mutants.values()}
            if "dicom/siemens_mosaic" in kinds:
                return reference.by_mosaic(paths[0])
            if any(kind.startswith("dicom") for kind in kinds):
                return reference.by_pydicom(paths)
            return reference.by_nibabel(paths[0])

    return read
