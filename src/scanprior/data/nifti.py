"""NIfTI-1 and -2, Analyze and MGH files, through nibabel."""

import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from scanprior.contracts import InputError
from scanprior.data.limits import check_size

_MM = {1: 1000.0, 3: 0.001}
"""Metre and micrometre, as xyzt_units has them; anything else is mm."""


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """NIfTI-1 and -2, Analyze and MGH.

    Either byte order; ``scl_slope`` and ``scl_inter`` applied (a slope of 0 or NaN is none, as the
    standard says); RGB voxels are three channels, RGBA's fourth is dropped; a fourth axis is
    channels, a fifth one too where the fourth is 1 long (NIfTI's vectors). Complex voxels are
    refused: magnitude or real part is the user's choice. For the affine see :func:`nifti_affine`.
    """
    if path.suffix.lower() == ".hdr" and not path.with_suffix(".img").is_file():
        raise InputError(f"{path} is a header without its {path.stem}.img; restore the image.")
    if path.suffix.lower() == ".img" and not path.with_suffix(".hdr").is_file():
        raise InputError(f"{path} is an image without its {path.stem}.hdr; restore the header.")
    image = nib.load(path)
    check_size(math.prod(map(int, image.shape)), path)  # pyright: ignore
    kind = image.get_data_dtype()  # pyright: ignore
    data = np.asanyarray(image.dataobj)  # pyright: ignore
    while len(data.shape) < 3:  # a single slice
        data = data[..., None]
    if kind.fields is not None and set("RGB") <= set(kind.fields):
        data = np.stack([data[colour] for colour in "RGB"], axis=-1)
    elif kind.fields is not None or kind.kind not in "iufb":
        raise InputError(
            f"{path} holds {kind} voxels; give one real number a voxel, as the magnitude "
            "of complex ones."
        )
    while len(data.shape) > 4 and data.shape[3] == 1:  # NIfTI vectors are (x, y, z, 1, c)
        data = data[:, :, :, 0]
    if len(data.shape) > 4:
        raise InputError(f"{path} has {len(data.shape)} axes; give at most (x, y, z, channel).")
    reversed_axes = data.T  # (c, z, y, x) or (z, y, x)
    array = reversed_axes if len(data.shape) > 3 else reversed_axes[None]
    return array, nifti_affine(image, path)


def nifti_affine(image: Any, path: Path) -> np.ndarray:
    """The affine in mm: the sform's where there is one, else the qform's, else from voxel sizes.

    So do nibabel, FSL and SPM. Where both are there and differ, the sform is taken, but refused
    where the qform mirrors it (left could be right) or differs twofold in the voxel sizes. Metres
    and micrometres become mm. Voxel sizes of 0 matter only without sform and qform; then they are
    refused. Without either, as in Analyze, voxels are taken to run from right to left, as nibabel
    does for either: nothing in such a file says so. Shear is kept here (``Case.read`` refuses it).
    """
    header = image.header
    affine = np.asarray(image.affine, dtype=float)
    if not isinstance(header, nib.Nifti1Header):
        return affine
    qform, sform = header.get_qform(coded=True), header.get_sform(coded=True)
    if qform[0] is not None and sform[0] is not None:
        first, second = (np.asarray(form[0], dtype=float)[:3, :3] for form in (sform, qform))
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
    if qform[0] is None and sform[0] is None:
        sizes = _sizes_on_disk(image)
        if not np.isfinite(sizes).all() or (sizes == 0).any():
            raise InputError(
                f"{path} gives voxel sizes of {', '.join(f'{size:g}' for size in sizes)} mm and no "
                "orientation; correct its header."
            )
    unit = _MM.get(int(header["xyzt_units"]) & 7, 1.0)
    return np.diag([unit, unit, unit, 1.0]) @ affine


def _sizes_on_disk(image: Any) -> np.ndarray:
    """The voxel sizes as the file has them: nibabel makes 1 of 0."""
    files = image.file_map
    with files["header" if "header" in files else "image"].get_prepare_fileobj("rb") as file:
        raw = type(image.header).from_fileobj(file, check=False)
    return np.asarray(raw["pixdim"][1:4], dtype=float)
