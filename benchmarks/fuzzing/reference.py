"""What independent readers say that a scan holds, for comparison with what scanprior made of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk
from nibabel.orientations import apply_orientation, io_orientation
from pydicom.uid import ExplicitVRLittleEndian

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_UNITS = {1: 1000.0, 3: 0.001}


class Scan(NamedTuple):
    """A scan as a reader gives it."""

    array: np.ndarray
    """``(x, y, z)`` or ``(x, y, z, c)``."""
    affine: np.ndarray
    """Voxel to mm, RAS."""


def by_nibabel(path: Path) -> Scan:
    """NIfTI, Analyze and MGH; whatever nibabel raises for a file that it cannot read."""
    image = nib.load(path)
    array = np.asanyarray(image.dataobj)
    while array.ndim < 3:
        array = array[..., None]
    if array.dtype.fields:
        array = np.stack([array[colour] for colour in "RGB"], axis=-1)
    while array.ndim > 4 and array.shape[3] == 1:
        array = array[:, :, :, 0]
    unit = 1.0
    if isinstance(image.header, nib.Nifti1Header):
        unit = _UNITS.get(int(image.header["xyzt_units"]) & 7, 1.0)
    return Scan(array, np.diag([unit, unit, unit, 1.0]) @ image.affine)


def by_itk(path: Path) -> Scan:
    """NIfTI, NRRD, MetaImage and multi-frame DICOM; ``RuntimeError`` where ITK cannot read it."""
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    vector = image.GetNumberOfComponentsPerPixel() > 1
    array = np.moveaxis(array.T, 0, -1) if vector else array.T
    return Scan(array, _affine(image))


def by_pydicom(paths: Sequence[Path]) -> Scan:
    """The slices of one volume, a file each, in the order of their positions."""
    slices = []
    for path in paths:
        data = _read(path)
        plane = data.pixel_array * float(data.get("RescaleSlope", 1) or 1)
        plane = plane + float(data.get("RescaleIntercept", 0) or 0)
        row, column = np.array(data.ImageOrientationPatient, float).reshape(2, 3)
        place = np.array(data.ImagePositionPatient, float)
        sizes = [float(size) for size in data.PixelSpacing]
        slices.append(
            (float(place @ np.cross(row, column)), place, plane, row, column, sizes, data)
        )
    slices.sort(key=lambda one: one[0])
    _, place, _, row, column, sizes, data = slices[0]
    count = len(slices)
    step = (slices[-1][1] - place) / (count - 1) if count > 1 else None
    if step is None:
        between = data.get("SpacingBetweenSlices") or data.get("SliceThickness") or 1
        step = np.cross(row, column) * abs(float(between))
    affine = np.eye(4)
    affine[:3, :4] = np.stack([row * sizes[1], column * sizes[0], step, place], axis=1)
    return Scan(np.stack([one[2] for one in slices]).T, LPS @ affine)


def by_frames(path: Path) -> Scan:
    """The slices of one file with many frames (PS3.3 C.7.6.16), in the order of their positions."""
    data = _read(path)
    (shared,) = data.SharedFunctionalGroupsSequence
    cosines = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    row, column = np.array(cosines, float).reshape(2, 3)
    sizes = [float(size) for size in shared.PixelMeasuresSequence[0].PixelSpacing]
    planes, places = [], []
    stored = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    for plane, group in zip(stored, data.PerFrameFunctionalGroupsSequence, strict=True):
        said = group.get("PixelValueTransformationSequence")
        slope, intercept = (said[0].RescaleSlope, said[0].RescaleIntercept) if said else (1, 0)
        planes.append(plane * float(slope) + float(intercept or 0))
        places.append(np.array(group.PlanePositionSequence[0].ImagePositionPatient, float))
    order = np.argsort(np.array(places) @ np.cross(row, column))
    first, last = places[order[0]], places[order[-1]]
    affine = np.eye(4)
    step = (last - first) / (len(order) - 1)
    affine[:3] = np.stack([row * sizes[1], column * sizes[0], step, first], axis=1)
    return Scan(np.stack([planes[k] for k in order]).T, LPS @ affine)


def _read(path: Path) -> pydicom.FileDataset:
    """pydicom decodes nothing where the transfer syntax is gone, though it found one that fits."""
    data = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in data.file_meta and data.original_encoding == (False, True):
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return data


def by_mosaic(path: Path) -> Scan:
    """Siemens' mosaic, by nibabel's own reader."""
    from nibabel.nicom.dicomwrappers import WrapperError, wrapper_from_file

    try:
        wrapped = wrapper_from_file(path)
        array = np.asarray(wrapped.get_data())  # (row, column, slice)
        affine = wrapped.affine[:, [1, 0, 2, 3]]
    except WrapperError as error:
        raise ValueError(str(error)) from error
    return Scan(array.transpose(1, 0, 2), LPS @ affine)


def _affine(image: sitk.Image) -> np.ndarray:
    dims = image.GetDimension()
    affine = np.eye(4)
    direction = np.reshape(image.GetDirection(), (dims, dims))[:3, :3]
    affine[:3, :3] = direction * image.GetSpacing()[:3]
    affine[:3, 3] = image.GetOrigin()[:3]
    return LPS @ affine


def upright(scan: Scan) -> Scan:
    """On axes that run right, anterior, superior, as in a store."""
    turn = io_orientation(scan.affine)
    array = apply_orientation(scan.array, turn)
    step = nib.orientations.inv_ornt_aff(turn, scan.array.shape[:3])
    return Scan(array, scan.affine @ step)


def same(mine: Scan, theirs: Scan) -> str | None:
    """What differs between two scans, both as in a store; None where nothing does."""
    if mine.array.shape != theirs.array.shape:
        return f"shape {mine.array.shape}, not {theirs.array.shape}"
    sizes = np.linalg.norm(theirs.affine[:3, :3], axis=0)
    apart = np.abs(mine.affine - theirs.affine) > 1e-3 * max(1.0, float(sizes.max()))
    if apart.any() and not np.allclose(mine.affine, theirs.affine, rtol=1e-4, atol=1e-3):
        return "another place or size"
    with np.errstate(over="ignore", invalid="ignore"):
        expected = theirs.array.astype(np.float32).astype(np.float16)
    if not np.array_equal(mine.array.astype(np.float16), expected):
        return "other voxels"
    return None
