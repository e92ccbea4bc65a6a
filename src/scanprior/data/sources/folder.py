"""A folder of NIfTI, Analyze, MGH, NRRD, MetaImage or ``.npy`` files, or one such file.

Four axes are channels, or time points with ``--fourth-axis times``: a case each, ``ID_t000`` and
so on, of one patient.
"""

from dataclasses import replace
from pathlib import Path

from scanprior.contracts import InputError
from scanprior.data.files import VOLUME, files_in, stem, suffix, volumes_in
from scanprior.data.sources.case import Case, SourceOptions, case_of

NAME = "folder"
_PAIRS = (("images", "labels"), ("imagesTr", "labelsTr"))


def recognise(source: Path) -> bool:
    if source.is_file():
        return suffix(source) in VOLUME
    return bool(files_in(source, VOLUME))


def cases(source: Path, options: SourceOptions) -> list[Case]:
    """A case a file, named by its path. ``images/x`` takes its label map from ``labels/x``."""
    if options.fourth_axis == "times":
        return [time for case in _scans(source, options) for time in _times(case, options)]
    return _scans(source, options)


def _scans(source: Path, options: SourceOptions) -> list[Case]:
    if source.is_file():
        data = source.with_suffix(".img") if suffix(source) == ".hdr" else source
        # a single file of an nnU-Net folder is the case that its folder would make of it
        name = stem(source).removesuffix("_0000")
        return [case_of(name, (data if data.is_file() else source,), options)]
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


def _times(case: Case, options: SourceOptions) -> list[Case]:
    count = volumes_in(case.images[0])
    if count == 1:
        return [case]
    return [
        replace(
            case_of(
                f"{case.id}_t{time:03d}",
                case.images,
                options,
                label=case.label,
                partition=case.partition,
                row=time,
            ),
            patient=case.patient,
        )
        for time in range(count)
    ]
