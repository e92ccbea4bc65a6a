"""A folder of NIfTI, MGH, NRRD or MetaImage files, or one such file; four axes are channels."""

from pathlib import Path

from scanprior.contracts import InputError
from scanprior.data.files import VOLUME, files_in, stem, suffix
from scanprior.data.sources.case import Case, SourceOptions, case_of

NAME = "folder"
_PAIRS = (("images", "labels"), ("imagesTr", "labelsTr"))


def recognise(source: Path) -> bool:
    if source.is_file():
        return suffix(source) in VOLUME
    return bool(files_in(source, VOLUME))


def cases(source: Path, options: SourceOptions) -> list[Case]:
    """A case a file, named by its path. ``images/x`` takes its label map from ``labels/x``."""
    if source.is_file():
        return [case_of(stem(source), (source,), options)]
    for images, labels in _PAIRS:
        if (source / images).is_dir() and (source / labels).is_dir():
            return _paired(source / images, source / labels, options)
    return [case_of(_name(source, path), (path,), options) for path in files_in(source, VOLUME)]


def _paired(images: Path, labels: Path, options: SourceOptions) -> list[Case]:
    known = {_name(labels, path): path for path in files_in(labels, VOLUME)}
    found = {_name(images, path): path for path in files_in(images, VOLUME)}
    lost = sorted(known.keys() - found.keys())
    if lost:
        raise InputError(
            f"{known[lost[0]]} has no image of the same name in {images}; rename or remove it."
        )
    return [case_of(name, (path,), options, label=known.get(name)) for name, path in found.items()]


def _name(base: Path, path: Path) -> str:
    return "_".join((*path.relative_to(base).parts[:-1], stem(path)))
