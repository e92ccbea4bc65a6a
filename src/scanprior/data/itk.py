"""NRRD and MetaImage files, through SimpleITK."""

import math
import re
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from scanprior.contracts import InputError
from scanprior.data.image import LPS_TO_RAS
from scanprior.data.limits import check_size, counted
from scanprior.data.pairs import META, data_of, header_of


def read_itk(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """NRRD and MetaImage; vectors and a fourth axis are channels, two axes are a photograph's.

    Vectors on four axes are ``(c, t, z, y, x)``.
    """
    reader = itk_header(path)
    check_size(itk_voxels(reader), path)
    if "complex" in itk_type(reader):
        raise InputError(f"{path} holds complex values; give one real number a voxel.")
    image = reader.Execute()
    affine = itk_affine(image, path)
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        return np.moveaxis(array, -1, 0), affine
    return (array if image.GetDimension() > 3 else array[None]), affine


def itk_header(path: Path) -> sitk.ImageFileReader:
    """A reader that knows the header; every file goes through here, for it may lead to others.

    Raises :class:`InputError` where it leads to any but one beside it.
    """
    data_of(path)
    reader = _informed(path)
    if path.suffix.lower() in META and not _ends_there(path):
        raise InputError(
            f"{path} has a line that runs on into the one that names its data; write it anew."
        )
    return reader


def _ends_there(path: Path) -> bool:
    """Whether the line that :func:`data_of` looked at is the one that counts to the reader.

    A number too few in a line makes it take the next line for the rest: it then finds nothing in a
    header that ends there.
    """
    with tempfile.NamedTemporaryFile(suffix=path.suffix) as copy:
        copy.write(header_of(path))
        copy.flush()
        try:
            _informed(Path(copy.name))
        except RuntimeError:
            return False
    return True


def _informed(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    # by the name: the library would go by the content, and other formats lead elsewhere too
    reader.SetImageIO("MetaImageIO" if path.suffix.lower() in META else "NrrdImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def itk_type(reader: sitk.ImageFileReader) -> str:
    """What a number is stored as: ``64-bit float``."""
    return sitk.GetPixelIDValueAsString(reader.GetPixelID())


def itk_voxels(reader: sitk.ImageFileReader) -> int:
    """How many numbers a header declares, channels included, as the limit counts them."""
    bits = re.search(r"(\d+)-bit", itk_type(reader))
    voxels = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    return counted(voxels, 1 if bits is None else int(bits[1]) // 8)


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
