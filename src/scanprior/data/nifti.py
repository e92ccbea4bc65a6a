"""NIfTI-1 and -2, Analyze and MGH files, through nibabel."""

import gzip
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.imageglobals import logger
from nibabel.spatialimages import SpatialImage

from scanprior.contracts import InputError
from scanprior.data.limits import GZIP, check_behind, check_size, counted

_MM = {1: 1000.0, 3: 0.001}
"""Metre and micrometre, as xyzt_units has them; anything else is mm."""


@contextmanager
def quiet() -> Iterator[None]:
    """nibabel without what it logs and warns of, which names no file."""
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


@quiet()
def opened(path: Path) -> Any:
    """nibabel's image: its header is read, its voxels are not.

    Raises :class:`InputError` for what is no volume though its name says so, as CIFTI is not.
    """
    image = nib.load(path)
    if not isinstance(image, SpatialImage):
        raise InputError(
            f"{path} holds surfaces or a table ({type(image).__name__}), no volume; leave it out."
        )
    return image


@quiet()
def voxels(image: Any, path: Path) -> np.ndarray:
    """The numbers of an :func:`opened` image, in the file's own axis order.

    A packed file is read to its end: only there stands the checksum that tells whether its numbers
    are those that were written. Raises ``OSError`` or ``EOFError`` where they are not, and
    :class:`InputError` for more behind them than is allowed.
    """
    _check_holds(image)
    if path.suffix.lower() not in (".gz", ".mgz"):
        return np.asanyarray(image.dataobj)
    with gzip.open(path) as stream:
        whole = type(image).from_file_map({"image": nib.FileHolder(fileobj=stream)})
        data = np.asanyarray(whole.dataobj)
        behind = 0
        while piece := stream.read(1 << 20):
            behind += len(piece)
            check_behind(behind, path)
    return data


def _check_holds(image: Any) -> None:
    """``OSError`` for a file too small for its header's voxels, before memory is taken for them."""
    file = Path(image.file_map["image"].filename)
    needed = math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
    packed = file.suffix.lower() in (".gz", ".mgz")
    size = file.stat().st_size
    if needed > size * (GZIP if packed else 1):
        raise OSError(f"Expected {needed} bytes, got a file of {size} bytes")


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """NIfTI-1 and -2, Analyze and MGH.

    Either byte order; ``scl_slope`` and ``scl_inter`` applied (a slope of 0 or NaN is none, as the
    standard says); RGB voxels are three channels, RGBA's fourth is dropped; a fourth axis is
    channels, a fifth one too where the fourth is 1 long (NIfTI's vectors). Where both are longer,
    the array is ``(c, t, z, y, x)``, the fourth axis being time. Complex voxels are refused:
    magnitude or real part is the user's choice. For the affine see :func:`nifti_affine`.
    """
    if path.suffix.lower() == ".hdr" and not path.with_suffix(".img").is_file():
        raise InputError(f"{path} is a header without its {path.stem}.img; restore the image.")
    if path.suffix.lower() == ".img" and not path.with_suffix(".hdr").is_file():
        raise InputError(f"{path} is an image without its {path.stem}.hdr; restore the header.")
    image = opened(path)
    kind = image.get_data_dtype()
    check_size(counted(math.prod(map(int, image.shape)), kind.itemsize), path)
    data = voxels(image, path)
    while len(data.shape) < 3:  # a single slice
        data = data[..., None]
    if kind.fields is not None and set("RGB") <= set(kind.fields):
        data = np.stack([data[colour] for colour in "RGB"], axis=-1)
    elif kind.fields is not None or kind.kind not in "iufb":
        raise InputError(
            f"{path} holds {kind} voxels; give one real number a voxel, as the magnitude "
            "of complex ones."
        )
    while len(data.shape) > 4 and 1 in data.shape[3:]:  # NIfTI vectors are (x, y, z, 1, c)
        data = data.squeeze(3 + data.shape[3:].index(1))
    if len(data.shape) > 5:
        raise InputError(
            f"{path} has {len(data.shape)} axes; give at most (x, y, z, time, channel)."
        )
    reversed_axes = data.T  # (c, t, z, y, x), (c, z, y, x) or (z, y, x)
    array = reversed_axes if len(data.shape) > 3 else reversed_axes[None]
    return array, nifti_affine(image, path)


@quiet()
def nifti_affine(image: Any, path: Path) -> np.ndarray:
    """The affine in mm: the sform's where there is one, else the qform's, else from voxel sizes.

    So do nibabel, FSL and SPM. Where both are there and differ, the sform is taken
    (:func:`forms_apart` tells), but refused where the qform mirrors it (left could be right) or
    differs twofold in the voxel sizes. Metres
    and micrometres become mm. Voxel sizes of 0 matter only without an sform; then they are refused.
    Without either, as in Analyze, voxels are taken to run from right to left, as nibabel does for
    either: nothing in such a file says so (:func:`unoriented` tells). Shear is
    kept here (``Case.read`` refuses it).
    """
    header = image.header
    affine = np.asarray(image.affine, dtype=float)
    if not isinstance(header, nib.Nifti1Header):
        return affine
    qform, sform = _forms(header)
    if qform is not None and sform is not None:
        first, second = sform[:3, :3], qform[:3, :3]
        if np.linalg.det(first) * np.linalg.det(second) < 0:
            raise InputError(
                f"{path} has an sform and a qform of which one mirrors the other, so left may be "
                "right; correct its header."
            )
        ratio = np.linalg.norm(first, axis=0) / np.linalg.norm(second, axis=0)
        if not ((ratio > 0.5) & (ratio < 2)).all():
            raise InputError(
                f"{path} has an sform and a qform whose voxel sizes differ twofold or more; "
                "correct its header."
            )
    if sform is None:  # a qform takes them too
        sizes = _sizes_on_disk(image)
        if not np.isfinite(sizes).all() or (sizes == 0).any():
            raise InputError(
                f"{path} gives voxel sizes of {', '.join(f'{size:g}' for size in sizes)} mm"
                f"{' and no orientation' if qform is None else ''}; correct its header."
            )
    return np.diag([*[_unit(header)] * 3, 1.0]) @ affine


@quiet()
def forms_apart(image: Any) -> float:
    """How far, in mm, the sform of an :func:`opened` image (which is taken) and its qform put a
    corner apart; 0 where they agree to half a voxel, or where there are not both.

    Less may be rounding: where a qform turns by 180 degrees, as is usual, its quaternion of three
    single-precision numbers is that coarse across a wide image.
    """
    if not isinstance(image.header, nib.Nifti1Header):
        return 0.0
    qform, sform = _forms(image.header)
    if qform is None or sform is None:
        return 0.0
    ends = ((0, size - 1) for size in (*image.shape, 1, 1)[:3])
    corners = np.array([(*corner, 1) for corner in product(*ends)])
    apart = float(np.linalg.norm((sform - qform)[:3] @ corners.T, axis=0).max())
    half = np.linalg.norm(sform[:3, :3], axis=0).min() / 2
    return apart * _unit(image.header) if apart > half else 0.0


@quiet()
def unoriented(image: Any) -> bool:
    """Whether an :func:`opened` image says nothing of where its axes point: a NIfTI file with
    neither form, or an Analyze file without SPM's ``.mat``."""
    if isinstance(image.header, nib.Nifti1Header):
        return all(form is None for form in _forms(image.header))
    beside = image.file_map.get("mat")
    known = beside is not None and Path(beside.filename).is_file()
    return isinstance(image.header, nib.AnalyzeHeader) and not known


def _forms(header: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The qform and the sform, of each of which there may be none."""
    forms = (header.get_qform(coded=True)[0], header.get_sform(coded=True)[0])
    first, second = (None if form is None else np.asarray(form, dtype=float) for form in forms)
    return first, second


def _unit(header: Any) -> float:
    """Of the header's lengths, in mm."""
    return _MM.get(int(header["xyzt_units"]) & 7, 1.0)


def _sizes_on_disk(image: Any) -> np.ndarray:
    """The voxel sizes as the file has them: nibabel makes 1 of 0."""
    files = image.file_map
    with files["header" if "header" in files else "image"].get_prepare_fileobj("rb") as file:
        raw = type(image.header).from_fileobj(file, check=False)
    return np.asarray(raw["pixdim"][1:4], dtype=float)
