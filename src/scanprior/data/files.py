"""Scans and photographs on disk, to and from :class:`Image`. The only place that knows formats."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from PIL import Image as Pillow

from scanprior.contracts import InputError
from scanprior.data.image import Image, spacing_of

NIBABEL = (".nii.gz", ".nii", ".mgz", ".mgh")
SITK = (".nrrd", ".nhdr", ".mha", ".mhd")
PHOTOGRAPH = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
VOLUME = NIBABEL + SITK

_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,  # Pillow's word for a broken PNG
    RuntimeError,  # SimpleITK's for everything
    MemoryError,  # a header whose sizes are noise
    OverflowError,
    zlib.error,
    ImageFileError,
    HeaderDataError,
    Pillow.DecompressionBombError,
)
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def suffix(path: Path) -> str:
    """The ending that says the format (``.nii.gz`` is one); empty where none is known."""
    name = path.name.lower()
    return next((end for end in VOLUME + PHOTOGRAPH if name.endswith(end)), "")


def stem(path: Path) -> str:
    """The file's name without its format's ending."""
    return path.name[: len(path.name) - len(suffix(path))]


def files_in(folder: Path, endings: tuple[str, ...], *, deep: bool = True) -> list[Path]:
    """Files with one of ``endings`` in ``folder``, sorted; hidden ones (``._x``) are left out."""
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(
        path
        for path in found
        if path.name.lower().endswith(endings)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def read_image(paths: Sequence[Path]) -> Image:
    """One image ``(c, *s)`` float32 from one file, or from one file a channel (or several).

    Raises :class:`InputError` naming the file that cannot be read, that holds NaN or infinity, or
    whose grid differs from the first one's.
    """
    parts = [_image(path) for path in paths]
    for part, path in zip(parts[1:], paths[1:], strict=True):
        check_same_grid(parts[0], paths[0], part, path)
    array = parts[0].array if len(parts) == 1 else np.concatenate([p.array for p in parts])
    return Image(array, parts[0].affine, parts[0].spacing)


def read_label(path: Path) -> Image:
    """A label map ``(1, *s)``, uint8 or uint16; whole numbers stored as floats are accepted.

    Raises :class:`InputError` for fractions, negative values, values over 65535, many channels.
    """
    array, affine = _load(path)
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
            affine = np.asarray(nib.load(path).affine, dtype=float)  # pyright: ignore
        elif suffix(path) in SITK:
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            affine = _itk_affine(reader, path)
        else:
            return None
    except _BROKEN as error:
        raise _unreadable(path, error) from error
    return _checked_affine(affine, path)


def write_label(path: Path, label: np.ndarray, affine: np.ndarray | None) -> None:
    """A label map ``(*s)`` in array order, as NIfTI, or as PNG where there is no affine."""
    if affine is None:
        Pillow.fromarray(label).save(path.with_name(stem(path) + ".png"))
        return
    image = nib.Nifti1Image(np.ascontiguousarray(label.T), affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def check_same_grid(first: Image, path: Path, other: Image, other_path: Path) -> None:
    """Raise :class:`InputError` unless both lie voxel on voxel (to a tenth of a voxel)."""
    if first.shape != other.shape:
        raise InputError(
            f"{other_path} has shape {other.shape}, but {path} has {first.shape}; "
            "resample one onto the other."
        )
    if first.affine is not None and other.affine is not None:
        ends = np.array(np.meshgrid(*([0, n - 1] for n in first.shape[::-1]), [1.0])).reshape(4, -1)
        apart = np.linalg.norm(((first.affine - other.affine) @ ends)[:3], axis=0).max()
        if apart > 0.1 * min(first.spacing):
            raise InputError(
                f"{other_path} lies {apart:.3g} mm beside {path} although their shapes agree; "
                "correct its header or resample it."
            )


def _image(path: Path) -> Image:
    array, affine = _load(path)
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{path} holds NaN or infinite values; replace them or leave it out.")
    return Image(array, affine, _spacing(array, affine))


def _spacing(array: np.ndarray, affine: np.ndarray | None) -> tuple[float, ...]:
    return (1.0,) * len(array.shape[1:]) if affine is None else spacing_of(affine)


def _load(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    if not path.is_file():
        raise InputError(f"{path} does not exist; correct the list that names it or restore it.")
    ending = suffix(path)
    load = _nibabel if ending in NIBABEL else _sitk if ending in SITK else _pillow
    if not ending:
        known = ", ".join(VOLUME + PHOTOGRAPH)
        raise InputError(f"{path} is of no known format; use one of {known}.")
    try:
        array, affine = load(path)
    except _BROKEN as error:
        raise _unreadable(path, error) from error
    if array.size == 0:
        raise InputError(f"{path} holds no voxels; leave it out.")
    return array, None if affine is None else _checked_affine(affine, path)


def _nibabel(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    kind = image.get_data_dtype()  # pyright: ignore
    if kind.fields is not None or kind.kind not in "iufb":
        raise InputError(
            f"{path} holds {kind} values (colour or complex); give one real number a voxel."
        )
    data = np.asanyarray(image.dataobj)  # pyright: ignore
    while len(data.shape) < 3:  # a single slice
        data = data[..., None]
    while len(data.shape) > 4 and data.shape[3] == 1:  # NIfTI vectors are (x, y, z, 1, c)
        data = data[:, :, :, 0]
    if len(data.shape) > 4:
        raise InputError(f"{path} has {len(data.shape)} axes; give at most (x, y, z, channel).")
    reversed_axes = data.T  # (c, z, y, x) or (z, y, x)
    array = reversed_axes if len(data.shape) > 3 else reversed_axes[None]
    return array, np.asarray(image.affine, dtype=float)  # pyright: ignore


def _sitk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = sitk.ReadImage(str(path))
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{path} holds complex values; give one real number a voxel.")
    affine = _itk_affine(image, path)
    array = sitk.GetArrayFromImage(image)
    many = image.GetNumberOfComponentsPerPixel() > 1
    return (np.moveaxis(array, -1, 0) if many else array[None]), affine


def _itk_affine(image: sitk.Image | sitk.ImageFileReader, path: Path) -> np.ndarray:
    if image.GetDimension() != 3:
        raise InputError(f"{path} has {image.GetDimension()} spatial axes; give three.")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return _LPS_TO_RAS @ affine


def _pillow(path: Path) -> tuple[np.ndarray, None]:
    with Pillow.open(path) as opened:
        if getattr(opened, "n_frames", 1) > 1:
            raise InputError(f"{path} holds several pages; give one file a page, or NIfTI.")
        # Palettes, CMYK and transparency become colour; grey stays grey, 16 bits stay 16 bits.
        plain = {"1": "L", "LA": "L", "P": "RGB", "RGBA": "RGB", "CMYK": "RGB", "PA": "RGB"}
        image = opened.convert(plain.get(opened.mode, opened.mode))
    array = np.asarray(image)
    return (np.moveaxis(array, -1, 0) if len(array.shape) > 2 else array[None]), None


def _checked_affine(affine: np.ndarray, path: Path) -> np.ndarray:
    # A volume of a voxel against the product of its edges: tiny where two axes are parallel.
    edges = np.prod(np.linalg.norm(affine[:3, :3], axis=0))
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) <= 1e-3 * edges:
        raise InputError(f"{path} has an impossible affine (flat or infinite); correct its header.")
    return affine


def _unreadable(path: Path, error: BaseException) -> InputError:
    said = " ".join(str(error).split())[:200]
    return InputError(
        f"{path} cannot be read ({type(error).__name__}: {said}); restore it or leave it out."
    )
