"""The values of frames: decompressed, in the units that the header's rescaling gives, or RGB.

Native, RLE and JPEG files need pydicom and Pillow; JPEG-LS, lossless JPEG and JPEG 2000 go through
GDCM (python-gdcm).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from scanprior.data.sources.dicom_header import Frame
from scanprior.data.sources.dicom_mosaic import mosaic_grid, tiles
from scanprior.data.sources.dicom_names import HeaderError, quiet

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def read_frames(path: Path, frames: Sequence[Frame]) -> Iterator[np.ndarray]:
    """Each of the file's ``frames`` as ``(samples, rows, columns)``, float32, in this order.

    MONOCHROME1, where high values are dark, is turned round, so that bright is high everywhere;
    palettes and YBR become RGB. Raises one of ``dicom_header.BROKEN``.
    """
    with quiet():
        data = _dataset(path)
        if not any(name in data for name in _PIXELS):
            raise HeaderError("the file holds none")
        _check_length(data)
        numbers = [frame.number or 0 for frame in frames]
        for frame, stored in zip(frames, iter_pixels(data, indices=numbers), strict=True):
            yield _values(stored, data, frame)


def read_mosaic(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Siemens' mosaic as ``(z, y, x)``, float32, and its affine (voxel (x, y, z) to mm in RAS).

    Raises one of ``dicom_header.BROKEN``.
    """
    ((picture,),) = read_frames(frame.path, [frame])
    with quiet():
        header = pydicom.dcmread(frame.path, stop_before_pixels=True, force=True)
        shape, affine = mosaic_grid(header)
    return tiles(picture, shape), affine


def _dataset(path: Path) -> pydicom.FileDataset:
    data = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in data.file_meta:  # a file without its first part
        implicit, little = data.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return data


def _check_length(data: pydicom.FileDataset) -> None:
    """Raise ``HeaderError`` for uncompressed pixels that reach a row or more beyond the size that
    the header gives the image (fewer are refused by pydicom; less than a row is padding)."""
    if data.file_meta.TransferSyntaxUID.is_encapsulated or "PixelData" not in data:
        return
    row = int(data.Columns) * int(data.get("SamplesPerPixel") or 1) * int(data.BitsAllocated) / 8
    rows = int(data.Rows) * int(data.get("NumberOfFrames") or 1)
    if len(data.PixelData) >= (rows + 1) * row:
        raise HeaderError("more pixels than its size has room for")


def _values(stored: np.ndarray, data: pydicom.Dataset, frame: Frame) -> np.ndarray:
    meaning = str(data.get("PhotometricInterpretation", "MONOCHROME2"))
    if meaning == "PALETTE COLOR":
        stored = apply_color_lut(stored, data)
    if len(stored.shape) > 2:
        if stored.dtype.itemsize > 1 and meaning == "PALETTE COLOR":
            stored = stored / 257  # palettes count to 65535
        return np.moveaxis(stored[..., :3], -1, 0).astype(np.float32)
    if meaning == "MONOCHROME1":
        top = -1 if data.get("PixelRepresentation") else 2 ** int(data.BitsStored) - 1
        stored = top - stored.astype(np.int64)
    if frame.scale is not None:
        values = stored * frame.scale[0] + frame.scale[1]
    elif ("RescaleSlope" in data) != ("RescaleIntercept" in data):
        raise HeaderError("one of slope and intercept without the other")
    else:
        values = apply_modality_lut(stored, data)
    return values.astype(np.float32)[None]
