"""Corrected copies where nothing but rounding is wrong. The source is only ever read."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from scanprior.contracts import InputError
from scanprior.data.files import NIBABEL, SITK, read_affine, read_label, suffix
from scanprior.data.sources import Case
from scanprior.data.sources.case import from_files
from scanprior.doctor import checks, raw
from scanprior.doctor.look import members, relative

_FLIP = np.diag([-1.0, -1.0, 1.0])  # RAS to ITK's LPS


def fix(case: Case, base: Path, folder: Path) -> list[Path]:
    """Write to ``folder``, under their paths below ``base``, the files of ``case`` that need it.

    A further channel or label map whose grid differs from the first image's by rounding gets that
    image's geometry; a label map that is stored as fractions becomes whole numbers. Values and
    everything else stay as they are. Each copy is read again before it gets its name.

    Raises :class:`InputError` where a copy is not what it should be, or cannot be written.
    """
    if case.load is not from_files:
        return []
    image, label = case.read()
    geometry = read_affine(case.images[0])
    written = []
    for path in members(case)[1:]:
        mine = read_affine(path)
        if geometry is None or mine is None:
            continue
        voxels = checks.apart(geometry, mine, image.shape)
        noisy = checks.NOISE < voxels <= checks.TOLERANCE
        header = raw.header(path)
        fractional = path == case.label and header is not None and header.fractional
        if not noisy and not fractional:
            continue
        target = folder / relative(path, base)
        if target.resolve() == path.resolve() or Path(relative(path, base)).is_absolute():
            raise InputError(f"{path} lies outside {base}; copy and correct it by hand.")
        affine = geometry if noisy else mine
        whole = label.array[0] if fractional and label is not None else None
        _copy(path, target, affine, whole)
        written.append(target)
    return written


def _copy(path: Path, target: Path, affine: np.ndarray, whole: np.ndarray | None) -> None:
    """``path`` with another geometry, and with ``whole`` (array order) in place of its values."""
    temporary = target.with_name(f"tmp.{os.getpid()}.{target.name}")  # keeps the format's ending
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if suffix(path) in NIBABEL:
            _copy_nibabel(path, temporary, affine, whole)
        elif suffix(path) in SITK:
            _copy_itk(path, temporary, affine, whole)
        _compare(path, temporary, affine, whole)
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error}); give another --fix.") from error
    finally:
        if temporary.is_file():
            temporary.unlink()


def _copy_nibabel(path: Path, to: Path, affine: np.ndarray, whole: np.ndarray | None) -> None:
    image = nib.load(path)
    header = image.header.copy()
    proxy = image.dataobj  # pyright: ignore
    data = np.asanyarray(proxy) if whole is None else whole.T
    if whole is not None:
        header.set_data_dtype(whole.dtype)  # pyright: ignore
    if isinstance(header, nib.Nifti1Header):
        if whole is None and (proxy.slope, proxy.inter) != (1, 0):
            header.set_slope_inter(proxy.slope, proxy.inter)  # the same numbers on disk
        # Both ways of saying it agree: readers differ in which they believe.
        header.set_sform(affine, code=max(1, int(header["sform_code"])))
        header.set_qform(affine, code=max(1, int(header["qform_code"])))
    nib.save(type(image)(data.reshape(image.shape), affine, header), to)  # pyright: ignore


def _copy_itk(path: Path, to: Path, affine: np.ndarray, whole: np.ndarray | None) -> None:
    image = sitk.ReadImage(str(path))
    if whole is not None:
        image = sitk.GetImageFromArray(whole)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetDirection((_FLIP @ affine[:3, :3] / sizes).ravel().tolist())
    image.SetOrigin((_FLIP @ affine[:3, 3]).tolist())
    sitk.WriteImage(image, str(to), useCompression=True)


def _compare(path: Path, copy: Path, affine: np.ndarray, whole: np.ndarray | None) -> None:
    """Raise :class:`InputError` unless the copy's voxels and grid are what they should be."""
    before, after = raw.numbers(path), raw.numbers(copy)
    kept = read_affine(copy)
    same = before is not None and after is not None and np.array_equal(before, after)
    if whole is not None:
        same = np.array_equal(read_label(copy).array[0], whole)
    shape = () if after is None else after.shape[:3]
    if not same or kept is None or checks.apart(affine, kept, shape) > checks.NOISE:
        raise InputError(f"{path} cannot be copied exactly; correct its header by hand.")
