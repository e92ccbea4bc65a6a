"""Scans and photographs on disk, to and from :class:`Image`: the files that are images by
themselves (DICOM's series are ``sources.dicom``).

What is made of a file's oddities is told at each reader: :mod:`scanprior.data.nifti` (Analyze and
MGH too), :mod:`scanprior.data.itk` (NRRD, MetaImage), :mod:`scanprior.data.picture` (photographs,
TIFF stacks, ``.npy``).
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.freesurfer.mghformat import MGHError
from nibabel.spatialimages import HeaderDataError
from PIL import Image as Pillow

from scanprior.contracts import InputError
from scanprior.data.grids import on_grid_of
from scanprior.data.hdf5 import HDF5
from scanprior.data.image import Image, spacing_of
from scanprior.data.itk import itk_affine, itk_header, read_itk
from scanprior.data.nifti import nifti_affine, opened, read_nifti
from scanprior.data.picture import numpy_shape, read_numpy, read_picture

NIBABEL = (".nii.gz", ".nii", ".mgz", ".mgh", ".img", ".hdr")
SITK = (".nrrd", ".nhdr", ".mha", ".mhd")
PHOTOGRAPH = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
NUMPY = (".npy",)
VOLUME = NIBABEL + SITK + NUMPY

BROKEN = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,  # Pillow's word for a broken PNG
    RuntimeError,  # SimpleITK's for everything
    MemoryError,  # a header whose sizes are noise
    ArithmeticError,
    LookupError,  # nibabel's for codes that it does not know
    TypeError,
    zlib.error,
    ImageFileError,
    HeaderDataError,
    MGHError,
    Pillow.DecompressionBombError,
    Pillow.DecompressionBombWarning,
)
"""What the libraries raise for a file that is not what its name says."""

_READERS = {
    NIBABEL: read_nifti,
    SITK: read_itk,
    NUMPY: read_numpy,
    PHOTOGRAPH: read_picture,
}


def suffix(path: Path) -> str:
    """The ending that says the format (``.nii.gz`` is one); empty where none is known."""
    name = path.name.lower()
    return next((end for end in VOLUME + PHOTOGRAPH + HDF5 if name.endswith(end)), "")


def stem(path: Path) -> str:
    """The file's name without its format's ending."""
    return path.name[: len(path.name) - len(suffix(path))]


def files_in(folder: Path, endings: tuple[str, ...], *, deep: bool = True) -> list[Path]:
    """Files with one of ``endings`` in ``folder``, sorted; hidden ones (``._x``) are left out.

    A pair of header and data (``.hdr`` and ``.img``) is one file, the data.
    """
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(
        path
        for path in found
        if path.name.lower().endswith(endings)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and not (suffix(path) == ".hdr" and path.with_suffix(".img").is_file())
    )


def read_image(paths: Sequence[Path], time: int | None = None) -> Image:
    """One image ``(c, *s)`` float32 from one file, or from one file a channel (or several); of
    files with several times (:func:`times_in`) the one asked for, or all of them as channels.

    Raises :class:`InputError` naming the file that cannot be read, that holds NaN or infinity, that
    has several times of several channels, all of which were asked for, or whose grid differs from
    the first one's.
    """
    first, *others = (image_of(*_load(path, time), path) for path in paths)
    laid = (on_grid_of(first, paths[0], *other) for other in zip(others, paths[1:], strict=True))
    array = first.array if not others else np.concatenate([i.array for i in (first, *laid)])
    return Image(array, first.affine, first.spacing)


def times_in(path: Path) -> int:
    """How many times a file holds whose fourth axis is time, from its header: 1 where it has none,
    and for one that cannot be read: its reading says why."""
    try:
        if suffix(path) in NIBABEL:
            return int((*opened(path).shape, 1, 1, 1)[3])
        if suffix(path) in NUMPY:
            shape = numpy_shape(path)
            return shape[0] if len(shape) == 4 else 1
        if suffix(path) in SITK:
            reader = itk_header(path)
            if reader.GetDimension() == 4:
                return int(reader.GetSize()[3])
            return int(reader.GetNumberOfComponents())
    except (InputError, *BROKEN):
        return 1
    return 1


def read_label(path: Path) -> Image:
    """A label map ``(1, *s)``, uint8 or uint16; whole numbers stored as floats are accepted.

    Raises :class:`InputError` for fractions, negative values, values over 65535, many channels.
    """
    return label_of(*_load(path), path)


def label_of(array: np.ndarray, affine: np.ndarray | None, path: Path) -> Image:
    """A label map of the numbers ``(c, *s)`` that were read from ``path``, as :func:`read_label`
    has it."""
    if array.shape[0] != 1:
        raise InputError(
            f"{path} has {array.shape[0]} channels, but a label map has one; give one map."
        )
    if array.dtype.kind == "f":
        whole = np.rint(array)
        if not np.allclose(array, whole, rtol=0, atol=1e-3):
            raise InputError(
                f"{path} holds values that are not whole numbers, so it is no label map; "
                "give one that was never interpolated."
            )
        array = whole
    low, high = array.min(), array.max()
    if low < 0 or high > 65535:
        raise InputError(f"{path} holds labels from {low} to {high}; use values from 0 to 65535.")
    array = array.astype(np.uint8 if high < 256 else np.uint16)
    return Image(array, affine, _spacing(array, affine))


def read_affine(path: Path) -> np.ndarray | None:
    """The affine alone, from the header; None for a photograph."""
    try:
        if suffix(path) in NIBABEL:
            affine = nifti_affine(opened(path), path)
        elif suffix(path) in SITK:
            affine = itk_affine(itk_header(path), path)
        else:
            return _load(path)[1] if suffix(path) in NUMPY else None
    except BROKEN as error:
        raise unreadable(path, error) from error
    return None if affine is None else checked_affine(affine, path)


def write_label(path: Path, label: np.ndarray, affine: np.ndarray | None) -> None:
    """A label map ``(*s)`` in array order, as NIfTI, or as PNG where there is no affine."""
    if affine is None:
        Pillow.fromarray(label).save(path.with_name(stem(path) + ".png"))
        return
    image = nib.Nifti1Image(np.ascontiguousarray(label.T), affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def image_of(array: np.ndarray, affine: np.ndarray | None, path: Path) -> Image:
    """An image of the numbers ``(c, *s)`` that were read from ``path``, as float32.

    Raises :class:`InputError` for NaN and infinity.
    """
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{path} holds NaN or infinite values; replace them or leave it out.")
    return Image(array, affine, _spacing(array, affine))


def _spacing(array: np.ndarray, affine: np.ndarray | None) -> tuple[float, ...]:
    return (1.0,) * len(array.shape[1:]) if affine is None else spacing_of(affine)


def _load(path: Path, time: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """The numbers ``(c, *s)`` of a file, or of one of its times, and its affine."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; correct the list that names it or restore it.")
    ending = suffix(path)
    if ending in HDF5:
        raise InputError(
            f"{path} is HDF5, of which only files and folders of their own are read (--format "
            "hdf5); write its arrays as NIfTI or .npy."
        )
    if not ending:
        known = ", ".join(VOLUME + PHOTOGRAPH)
        raise InputError(
            f"{path} is of no known format; correct the list that names it, or use one of {known}."
        )
    load = next(read for endings, read in _READERS.items() if ending in endings)
    try:
        array, affine = load(path)
    except BROKEN as error:
        raise unreadable(path, error) from error
    if array.size == 0:
        raise InputError(f"{path} holds no voxels; leave it out.")
    of_times = len(array.shape) > 4  # (c, t, z, y, x)
    if of_times and time is None:
        raise InputError(
            f"{path} has {array.shape[1]} times of {array.shape[0]} channels; make each time a "
            "case with --fourth-axis times."
        )
    if time is not None:
        array = array[:, time] if of_times else array[time : time + 1]
    return array, None if affine is None else checked_affine(affine, path)


def checked_affine(affine: np.ndarray, path: Path) -> np.ndarray:
    """The affine; :class:`InputError` for one that is flat or infinite."""
    # A volume of a voxel against the product of its edges: tiny where two axes are parallel.
    edges = np.prod(np.linalg.norm(affine[:3, :3], axis=0))
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) <= 1e-3 * edges:
        raise InputError(f"{path} has an impossible affine (flat or infinite); correct its header.")
    return affine


def unreadable(path: Path, error: BaseException) -> InputError:
    """The sentence for what a library said of a file."""
    said = " ".join(str(error).split())[:200]
    return InputError(
        f"{path} cannot be read ({type(error).__name__}: {said}); restore it or leave it out."
    )
