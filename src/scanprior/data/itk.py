"""NRRD and MetaImage files, through SimpleITK."""

import math
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from scanprior.contracts import InputError
from scanprior.data.image import LPS_TO_RAS
from scanprior.data.limits import check_size


def read_itk(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """NRRD and MetaImage; vectors and a fourth axis are channels, two axes are a photograph's.

    Vectors on four axes are ``(c, t, z, y, x)``.
    """
    reader = itk_header(path)
    check_size(math.prod(reader.GetSize()) * reader.GetNumberOfComponents(), path)
    image = reader.Execute()
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{path} holds complex values; give one real number a voxel.")
    affine = itk_affine(image, path)
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        return np.moveaxis(array, -1, 0), affine
    return (array if image.GetDimension() > 3 else array[None]), affine


def itk_header(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def itk_affine(image: sitk.Image | sitk.ImageFileReader, path: Path) -> np.ndarray | None:
    dims = image.GetDimension()
    if dims < 3:
        return None
    if dims > 4:
        raise InputError(f"{path} has {dims} axes; give at most (x, y, z, channel).")
    affine = np.eye(4)
    direction = np.reshape(image.GetDirection(), (dims, dims))[:3, :3]
    affine[:3, :3] = direction * image.GetSpacing()[:3]
    affine[:3, 3] = image.GetOrigin()[:3]
    return LPS_TO_RAS @ affine
