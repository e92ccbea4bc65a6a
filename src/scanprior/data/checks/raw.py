"""A file's header and its bytes as they are stored, before anything refuses or converts them."""

import gzip
import math
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import SimpleITK as sitk
from PIL import Image as Pillow

from scanprior.contracts import InputError
from scanprior.data.files import BROKEN, NIBABEL, PHOTOGRAPH, SITK, suffix
from scanprior.data.itk import itk_header, itk_type, itk_voxels
from scanprior.data.limits import counted
from scanprior.data.nifti import forms_apart, opened, unoriented, voxels

_PIECE = 1 << 20


class Header(NamedTuple):
    """What a file says of itself without being read."""

    voxels: int
    """How many numbers it declares, channels included, as the limit counts them."""
    fractional: bool
    """Whether they are stored as fractions, or as scaled whole numbers."""
    forms_apart: float = 0.0
    """How far, in mm, a NIfTI file's sform and qform lie apart (``nifti.forms_apart``)."""
    unoriented: bool = False
    """Whether it says nothing of where its axes point (``nifti.unoriented``)."""


def header(path: Path) -> Header | None:
    """The header; None where the format has none that is cheap to read, or it is broken."""
    ending = suffix(path)
    try:
        if ending in NIBABEL:
            image = opened(path)
            proxy = image.dataobj
            scaled = (getattr(proxy, "slope", 1), getattr(proxy, "inter", 0)) != (1, 0)
            kind = image.get_data_dtype()
            count = counted(math.prod(map(int, image.shape)), kind.itemsize)
            fractional = kind.kind == "f" or scaled
            return Header(count, fractional, forms_apart(image), unoriented(image))
        if ending in SITK:
            reader = itk_header(path)
            return Header(itk_voxels(reader), "float" in itk_type(reader))
        if ending in PHOTOGRAPH:
            with Pillow.open(path) as picture:
                bands = len(picture.getbands())
                return Header(math.prod(picture.size) * bands, picture.mode == "F")
    except (InputError, *BROKEN):
        return None  # reading it says why, in a sentence
    return None


def numbers(path: Path) -> np.ndarray | None:
    """All numbers as they are stored, in the file's own axis order; None where none can be had."""
    ending = suffix(path)
    try:
        if ending in NIBABEL:
            return voxels(opened(path), path)
        if ending in SITK:
            return sitk.GetArrayFromImage(itk_header(path).Execute())
        if ending in PHOTOGRAPH:
            with Pillow.open(path) as picture:
                return np.asarray(picture)
    except (InputError, *BROKEN):
        return None
    return None


def packing(path: Path, limit: int) -> Literal["truncated", "damaged", "huge"] | None:
    """What is wrong with a gzip file; None where it unpacks to its end and its checksum is right,
    or the file itself cannot be read.

    Nothing is kept in memory, and reading stops after ``limit`` bytes.
    """
    total = 0
    try:
        with path.open("rb") as file:
            if file.read(2) != b"\x1f\x8b":
                return None
        with gzip.open(path) as stream:
            while piece := stream.read(_PIECE):
                total += len(piece)
                if total > limit:
                    return "huge"
    except EOFError:
        return "truncated"
    except (gzip.BadGzipFile, zlib.error):
        return "damaged"
    except OSError:
        return None
    return None
