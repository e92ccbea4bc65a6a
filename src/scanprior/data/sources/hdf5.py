"""HDF5: a file a case, with the image and its label map as arrays in it; a folder tree of such
files, ``labels/x`` beside ``images/x``, or one file.

Which arrays they are, ``--image-key`` and ``--label-key`` say; without them their names do, where
that is clear. Voxels are 1 mm but for the attribute ``spacing`` (mm) or ``element_size_um``, and
axes the house's: nothing in such a file says how a body lies in it. Four axes are channels, or time
points with ``--fourth-axis times``.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scanprior.contracts import InputError
from scanprior.data import hdf5, hdf5_axes
from scanprior.data.files import (
    BROKEN,
    checked_affine,
    files_in,
    image_of,
    label_of,
    unreadable,
)
from scanprior.data.grids import on_grid_of
from scanprior.data.hdf5 import HDF5, Dataset, File
from scanprior.data.image import Image
from scanprior.data.sources.case import Case, Found, SourceOptions, case_of
from scanprior.data.sources.folder import named, pairs, times

NAME = "hdf5"
_IMAGES = ("image", "images", "img", "data", "volume", "raw", "scan", "exported_data")
_LABELS = ("label", "labels", "seg", "segmentation", "mask", "masks")
_AXES = (2, 3, 4, 5)
_SHOWN = 8
"""Arrays that a sentence lists."""


class Said(NamedTuple):
    """What a file says of its case, nothing decoded."""

    labelled: bool
    volumes: int
    affine: np.ndarray | None


def recognise(source: Path) -> bool:
    if source.is_file():
        return source.name.lower().endswith(HDF5)
    return bool(files_in(source, HDF5))


def cases(source: Path, options: SourceOptions) -> Found:
    """A case a file, named by its path; a file that cannot be read says why when it is.

    Raises :class:`InputError` where h5py is not there, or where no file has the label map's array.
    """
    hdf5.check_installed()
    paired = None if source.is_file() else pairs(source, HDF5)
    if paired is None:
        files = [source] if source.is_file() else files_in(source, HDF5)
        base = source.parent if source.is_file() else source
        paired = [(named(base, path), path, None) for path in files]
    found = [case for name, path, label in paired for case in _cases(name, path, label, options)]
    if options.label_key is not None and not any(case.label for case in found):
        raise InputError(
            f"{source} holds no file with an array {options.label_key!r}; correct --label-key."
        )
    return Found(found)


def _cases(name: str, path: Path, label: Path | None, options: SourceOptions) -> list[Case]:
    load = partial(read_case, image_key=options.image_key, label_key=options.label_key)
    try:
        said = _said(path, options)
    except (InputError, *BROKEN):  # its reading says why, that of its label map too
        return [case_of(name, (path,), options, label=label or path, load=load)]
    case = case_of(name, (path,), options, label=path if said.labelled else label, load=load)
    if said.affine is not None:
        case = replace(case, place=tuple(map(tuple, said.affine.tolist())))
    return times(case, said.volumes) if options.fourth_axis == "times" else [case]


def _said(path: Path, options: SourceOptions) -> Said:
    with hdf5.opened(path) as file:
        image = _image(file, path, options.image_key)
        letters = hdf5_axes.axes(image, path)
        sizes = hdf5_axes.spacing(image, path) or (1.0, 1.0, 1.0)
        place = np.diag([*sizes[::-1], 1.0]) if "z" in letters else None
        labelled = _label(file, path, options.label_key, image) is not None
        return Said(labelled, hdf5_axes.volumes(image, letters), place)


def read_case(
    case: Case, image_key: str | None, label_key: str | None
) -> tuple[Image, Image | None]:
    """The image ``(c, *s)``, and the label map where ``case.label`` is the same or another file.

    Raises :class:`InputError` naming the file that cannot be read and the arrays in it.
    """
    path = case.images[0]
    label: Image | None = None
    try:
        with hdf5.opened(path) as file:
            found = _image(file, path, image_key)
            image = image_of(*_loaded(found, path), path)
            drawn = _label(file, path, label_key, found) if case.label == path else None
            if drawn is not None:
                label = label_of(*_loaded(drawn, path, found), path)
                label = on_grid_of(image, path, label, Path(f"{path}{drawn.name}"))
    except BROKEN as error:
        raise unreadable(path, error) from error
    if case.label is not None and case.label != path:
        label = on_grid_of(image, path, _read_label(case.label, label_key), case.label)
    if case.row is not None:
        image = replace(image, array=image.array[case.row : case.row + 1])
    return image, label


def _read_label(path: Path, key: str | None) -> Image:
    """The label map of a file of its own: of any name where it is the only array."""
    try:
        with hdf5.opened(path) as file:
            drawn = _label(file, path, key, None) or _image(file, path, None, "--label-key")
            return label_of(*_loaded(drawn, path), path)
    except BROKEN as error:
        raise unreadable(path, error) from error


def _loaded(
    dataset: Dataset, path: Path, like: Dataset | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """An array and its affine; that of ``like`` where it does not say its own."""
    letters = hdf5_axes.axes(dataset, path)
    sizes = hdf5_axes.spacing(dataset, path)
    if sizes is None and like is not None:
        sizes = hdf5_axes.spacing(like, path)
    array, affine = hdf5_axes.placed(hdf5.read(dataset, path), letters, sizes, path)
    return array, None if affine is None else checked_affine(affine, path)


def _image(file: File, path: Path, key: str | None, flag: str = "--image-key") -> Dataset:
    """The array that ``key`` names; else the one with an image's name, or the only one."""
    if key is not None:
        return _asked(file, path, key, flag)
    known = [a for a in hdf5.arrays(file) if a.numbers and len(a.shape) in _AXES]
    likely = [a for a in known if _last(a) in _IMAGES]
    likely = likely or [a for a in known if _last(a) not in _LABELS]
    if len(likely) == 1:
        return _asked(file, path, likely[0].name, flag)
    raise InputError(
        f"{path} holds {_listed(known)}; say which array is meant with {flag}."
        if known
        else f"{path} holds no array of two to five axes; leave it out."
    )


def _label(file: File, path: Path, key: str | None, image: Dataset | None) -> Dataset | None:
    """The array that ``key`` names; else the one with a label map's name, if there is one."""
    if key is not None:
        return hdf5.array_at(file, key, path)
    known = [a for a in hdf5.arrays(file) if a.numbers and _last(a) in _LABELS]
    known = [a for a in known if image is None or f"/{a.name}" != image.name]
    if len(known) > 1:
        raise InputError(
            f"{path} holds {_listed(known)}; say which is the label map with --label-key."
        )
    return _asked(file, path, known[0].name, "--label-key") if known else None


def _asked(file: File, path: Path, key: str, flag: str) -> Dataset:
    found = hdf5.array_at(file, key, path)
    if found is None:
        raise InputError(
            f"{path} holds no array {key!r}, but {_listed(hdf5.arrays(file)) or 'none at all'}; "
            f"correct {flag}."
        )
    return found


def _last(array: hdf5.Array) -> str:
    return array.name.rpartition("/")[2].casefold()


def _listed(known: list[hdf5.Array]) -> str:
    shown = [f"{a.name} {'x'.join(map(str, a.shape))}" for a in known[:_SHOWN]]
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"{', '.join(shown)}{more}"
