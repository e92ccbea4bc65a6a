"""HDF5 files, through h5py (an optional package): one named array, read from inside its file.

A file of this format can send its reader elsewhere: by links to other files, by arrays whose
numbers lie in other files, by filters that are programs to be loaded. None of these is followed.
Only arrays that lie in the file itself are read, unpacked by what HDF5 brings along.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.hdf5_pieces import check_pieces
from scanprior.data.limits import check_size

File = Any
"""An open ``h5py.File``: the package is optional, so its types cannot be named."""
Dataset = Any
"""An ``h5py.Dataset``."""
HDF5 = (".h5", ".hdf5")

_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
_MOST = 1000
"""Objects that are looked at in search of arrays."""


class Array(NamedTuple):
    """What a file says of one of its arrays."""

    name: str
    """Its path inside the file."""
    shape: tuple[int, ...]
    numbers: bool
    """Whether it holds real numbers."""


def check_installed() -> None:
    """Raise :class:`InputError` where h5py is not there."""
    if find_spec("h5py") is None:
        raise InputError(
            "HDF5 files need the package h5py; install it with pip install 'scanprior[hdf5]'."
        )


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """The file, to be read, while no filter can be loaded from anywhere."""
    h5py = _h5py()

    folders = [h5py.h5pl.get(i) for i in range(h5py.h5pl.size())]
    for _ in folders:
        h5py.h5pl.remove(0)
    try:
        with h5py.File(path, "r") as file:
            yield file
    finally:
        for folder in folders:
            h5py.h5pl.append(folder)


def arrays(file: File) -> list[Array]:
    """All arrays of the file, in the order of their names; links of any kind are passed over.

    Raises :class:`InputError` where there are too many objects to look at.
    """
    return sorted(_walk(file))


def array_at(file: File, name: str, path: Path) -> Dataset | None:
    """The array called ``name``; None where there is none.

    Raises :class:`InputError` where a link is on the way.
    """
    h5py = _h5py()

    here: Any = file
    for part in (part for part in name.split("/") if part):
        if not isinstance(here, h5py.Group) or part not in here.keys():  # noqa: SIM118
            return None
        if not isinstance(here.get(part, getlink=True), h5py.HardLink):
            raise InputError(
                f"{path} has {name!r} behind a link, and links are not followed; name the array "
                "itself, or copy it into the file."
            )
        here = here[part]
    return here if isinstance(here, h5py.Dataset) else None


def read(dataset: Dataset, path: Path) -> np.ndarray:
    """All its numbers, those of 8 bytes as float32.

    Raises :class:`InputError` for numbers that lie in other files, for filters that HDF5 does not
    bring along, for what are no real numbers, and for more of them than are allowed.
    """
    name = f"{path} ({dataset.name})"
    properties = dataset.id.get_create_plist()
    if dataset.is_virtual or properties.get_external_count():
        raise InputError(f"{name} keeps its numbers in other files; copy them into this one.")
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    strange = [number for number in filters if number not in _FILTERS]
    if strange or len(set(filters)) < len(filters):
        raise InputError(
            f"{name} is packed by filter {(strange or filters)[0]}; write it again with one of "
            f"{', '.join(_FILTERS.values())}, or none."
        )
    packed = [_FILTERS[number] for number in filters]
    kind = dataset.dtype
    if kind.kind not in "iufb":
        raise InputError(f"{name} holds {kind} values; give one real number a voxel.")
    check_size(math.prod(dataset.shape), name)
    if dataset.chunks is not None:
        check_size(math.prod(dataset.chunks), name)
        check_pieces(dataset, packed, name)
    # converted piece by piece: the double would take twice the memory
    values = np.empty(dataset.shape, np.float32 if kind.itemsize > 4 else kind)
    if values.size:
        dataset.read_direct(values)
    return values


def _h5py() -> Any:
    return import_module("h5py")


def _walk(file: File) -> Iterator[Array]:
    h5py = _h5py()

    waiting: list[tuple[str, Any]] = [("", file)]
    known = {h5py.h5o.get_info(file.id).addr}  # a group may contain itself
    seen = 0
    while waiting:
        at, group = waiting.pop()
        for name in group.keys():  # noqa: SIM118
            seen += 1
            if seen > _MOST:
                raise InputError(
                    f"{file.filename} holds more than {_MOST} objects; name the arrays with "
                    "--image-key and --label-key."
                )
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            kind = group.get(name, getclass=True)
            if kind is h5py.Group:
                inner = group[name]
                address = h5py.h5o.get_info(inner.id).addr
                if address not in known:
                    known.add(address)
                    waiting.append((f"{at}{name}/", inner))
            elif kind is h5py.Dataset:
                yield _told(f"{at}{name}", group[name])


def _told(name: str, dataset: Dataset) -> Array:
    try:
        numbers = dataset.dtype.kind in "iufb"
    except TypeError:  # a type that NumPy does not have
        numbers = False
    return Array(name, dataset.shape or (), numbers)
