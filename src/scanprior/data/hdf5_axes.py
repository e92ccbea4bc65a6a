"""What the axes of an array in an HDF5 file are, and how large its voxels."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.hdf5 import Dataset

_SECONDS = 5.0
_READ = """\
import h5py, sys
text = h5py.File(sys.argv[1], "r")[sys.argv[2]].attrs["axistags"]
print((text.decode() if isinstance(text, bytes) else str(text))[:65536])
"""


def axes(dataset: Dataset, path: Path) -> str:
    """A letter an axis, of t (time), c (channel), z, y and x.

    As the attribute ``axistags`` says (ilastik's: JSON); without it as of a ``.npy`` file:
    ``(y, x)`` and ``(y, x, colour)`` of bytes are photographs, ``(z, y, x)`` and ``(c, z, y, x)``
    volumes. Raises :class:`InputError` for any other axes.
    """
    shape = dataset.shape or ()
    if "axistags" in dataset.attrs:
        letters = _tagged(dataset, path)
    elif len(shape) == 3 and shape[-1] in (3, 4) and dataset.dtype == np.uint8:
        letters = "yxc"
    else:
        letters = {2: "yx", 3: "zyx", 4: "czyx"}.get(len(shape), "")
    good = len(letters) == len(shape) == len(set(letters)) and set(letters) <= set("tczyx")
    if not good or not {"y", "x"} <= set(letters):
        raise InputError(
            f"{path} ({dataset.name}) has {len(shape)} axes{f' ({letters})' if letters else ''}; "
            "give (y, x), (z, y, x) or (channel, z, y, x)."
        )
    return letters


def placed(
    values: np.ndarray, letters: str, sizes: tuple[float, float, float] | None, name: object
) -> tuple[np.ndarray, np.ndarray | None]:
    """``values`` with the axes ``letters`` as ``(c, z, y, x)`` and its affine, or as ``(c, y, x)``
    and None: a photograph, whatever its pixels measure.

    Times count as channels. Raises :class:`InputError` where there are several of both.
    """
    letters, values = _squeezed(letters, values)
    if {"t", "c"} <= set(letters):
        raise InputError(f"{name} has several times and several channels; give one file a time.")
    order = [letters.index(letter) for letter in "tczyx" if letter in letters]
    values = values.transpose(order)
    if not {"t", "c"} & set(letters):
        values = values[None]
    if "z" not in letters:
        seen = 3 if values.shape[0] == 4 and values.dtype == np.uint8 else len(values)
        return values[:seen], None  # the fourth colour is transparency
    z, y, x = sizes or (1.0, 1.0, 1.0)
    return values, np.diag([x, y, z, 1.0])


def volumes(dataset: Dataset, letters: str) -> int:
    """How many volumes the array holds: times or channels; 1 of a photograph."""
    counts = [n for n, a in zip(dataset.shape, letters, strict=True) if a in "tc"]
    return math.prod(counts) if "z" in letters else 1


def spacing(dataset: Dataset, path: Path) -> tuple[float, float, float] | None:
    """The voxel size in mm, in array order (z, y, x); None where nothing says it.

    ``element_size_um`` (micrometre, as ilastik and Fiji have it) or ``spacing`` (mm), one number or
    three, of the array or of the whole file. Raises :class:`InputError` for an impossible one.
    """
    for place in (dataset, dataset.file):
        for name, unit in (("element_size_um", 1e-3), ("spacing", 1.0)):
            if name not in place.attrs:
                continue
            said = place.attrs.get_id(name)
            fits = said.shape in ((), (1,), (3,)) and said.dtype.kind in "iuf"
            sizes = np.ravel(place.attrs[name]).astype(float) * unit if fits else np.zeros(1)
            if not ((sizes > 1e-9) & (sizes < 1e9)).all():  # and no NaN: a mistake, or noise
                raise InputError(
                    f"{path} has an impossible attribute {name!r}; give one or three numbers above "
                    "0, in the order z, y, x."
                )
            z, y, x = (float(size) for size in np.broadcast_to(sizes, 3))
            return z, y, x
    return None


def _tagged(dataset: Dataset, path: Path) -> str:
    said = dataset.attrs.get_id("axistags")  # looked at first: a damaged one may claim to be huge
    text = _text(path, dataset.name) if said.shape in ((), (1,)) and said.dtype.kind in "OS" else ""
    try:
        return "".join(str(axis["key"]) for axis in json.loads(text)["axes"])
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{path} ({dataset.name}) has axistags that cannot be read; remove them."
        ) from error


def _text(path: Path, name: str) -> str:
    """The attribute, read in a process of its own; empty where that does not end.

    Strings without a fixed length lie in a heap, and on a damaged one HDF5 2.0 never returns.
    """
    command = [sys.executable, "-P", "-c", _READ, str(path), name]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return ""
    return found.stdout


def _squeezed(letters: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """Without the time axis, or else the channels, where there is but one of them."""
    for letter in ("t", "c"):
        at = letters.find(letter)
        if {"t", "c"} <= set(letters) and values.shape[at] == 1:
            letters, values = letters.replace(letter, ""), values.squeeze(at)
    return letters, values
