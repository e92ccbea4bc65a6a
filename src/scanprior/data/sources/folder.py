"""A folder of NIfTI, Analyze, MGH, NRRD, MetaImage or ``.npy`` files, or one such file.

Four axes are channels, or time points with ``--fourth-axis times``: a case each, ``ID_t000`` and
so on, of one patient.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scanprior.contracts import InputError
from scanprior.data.files import VOLUME, files_in, stem, suffix, times_in
from scanprior.data.sources.case import Case, Found, SourceOptions, case_of

NAME = "folder"
_PAIRS = (("images", "labels"), ("imagesTr", "labelsTr"))
_CHANNEL = "_0000"


def recognise(source: Path) -> bool:
    if source.is_file():
        return suffix(source) in VOLUME
    return bool(files_in(source, VOLUME))


def cases(source: Path, options: SourceOptions) -> Found:
    """A case a file, named by its path. ``images/x`` takes its label map from ``labels/x``."""
    found = _scans(source, options)
    if options.fourth_axis != "times":
        return Found(found)
    return Found([time for c in found for time in times(c, times_in(c.images[0]))])


def pairs(source: Path, endings: tuple[str, ...]) -> list[tuple[str, Path, Path | None]] | None:
    """Name, image and label map of each scan in ``images`` and ``labels``, or ``imagesTr`` and
    ``labelsTr``; None where there are no such folders.

    Raises :class:`InputError` for a label map without an image.
    """
    for images, labels in _PAIRS:
        if (source / images).is_dir() and (source / labels).is_dir():
            return _paired(source / images, source / labels, endings)
    return None


def named(base: Path, path: Path) -> str:
    """A scan's name: its path below ``base``, without the ending."""
    return "_".join((*path.relative_to(base).parts[:-1], stem(path)))


def times(case: Case, count: int) -> list[Case]:
    """A case a time point, of one patient; the case itself where there is but one."""
    if count < 2:
        return [case]
    return [replace(case, id=f"{case.id}_t{time:03d}", row=time) for time in range(count)]


def _scans(source: Path, options: SourceOptions) -> list[Case]:
    if source.is_file():
        data = source.with_suffix(".img") if suffix(source) == ".hdr" else source
        # a single file of an nnU-Net folder is the case that its folder would make of it
        name = stem(source).removesuffix(_CHANNEL)
        return [case_of(name, (data if data.is_file() else source,), options)]
    paired = pairs(source, VOLUME)
    if paired is None:
        paths = files_in(source, VOLUME)
        _check_labels(source, paths)
        ids = _alone([named(source, path) for path in paths])
        return [case_of(name, (p,), options) for name, p in zip(ids, paths, strict=True)]
    return [case_of(name, (path,), options, label=label) for name, path, label in paired]


def _alone(names: Sequence[str]) -> list[str]:
    """``names``, without the channel's number of nnU-Net's where a scan has no other channel."""
    bare = [re.sub(r"_\d{4}$", "", name) for name in names]
    count = Counter(bare)
    return [
        short if name == short + _CHANNEL and count[short] == 1 else name
        for name, short in zip(names, bare, strict=True)
    ]


def _check_labels(source: Path, paths: Sequence[Path]) -> None:
    """Raise :class:`InputError` where label maps below ``source`` would be taken for scans."""
    folders = {folder for path in paths for folder in path.relative_to(source).parents}
    for folder in sorted(folders):
        for images, labels in _PAIRS:
            if {folder / images, folder / labels} <= folders:
                raise InputError(
                    f"{source} holds images and label maps in {source / folder}; give that folder: "
                    "what lies above it would take the label maps for scans."
                )


def _paired(
    images: Path, labels: Path, endings: tuple[str, ...]
) -> list[tuple[str, Path, Path | None]]:
    known = {named(labels, path): path for path in files_in(labels, endings)}
    found = {named(images, path): path for path in files_in(images, endings)}
    lost = sorted(known.keys() - found.keys())
    if lost:
        raise InputError(
            f"{known[lost[0]]} has no image of the same name in {images}; rename or remove it."
        )
    return [(name, path, known.get(name)) for name, path in found.items()]
