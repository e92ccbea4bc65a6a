"""DICOM files of known geometry, written for the tests of ``data.sources.dicom``."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

SECRETS = ("Miller", "Zacharias", "PID0815", "19481224", "20240117", "ACC4711")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"


def uid(*parts: Any) -> str:
    return f"1.2.826.0.1.{zlib.crc32(repr(parts).encode())}"


def header(sop: str, series: str, patient: str = "PID0815", **values: Any) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = values.get("SOPClassUID", CT)
    meta.MediaStorageSOPInstanceUID = uid(series, sop)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = CT, uid(series, sop)
    data.PatientName, data.PatientID = "Miller^Zacharias", patient
    data.PatientBirthDate, data.StudyDate, data.AccessionNumber = "19481224", "20240117", "ACC4711"
    data.StudyInstanceUID, data.SeriesInstanceUID = uid("study", patient), uid(series)
    data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    for name, value in values.items():
        setattr(data, name, value)
    return data


def pixels(data: Dataset, array: np.ndarray) -> None:
    """``(rows, columns)``, ``(rows, columns, 3)`` or, with ``NumberOfFrames``, more in front."""
    colour = array.shape[-1] == 3
    data.Rows, data.Columns = array.shape[-3:-1] if colour else array.shape[-2:]
    data.SamplesPerPixel = 3 if colour else 1
    if colour:
        data.PlanarConfiguration = 0
    if "PhotometricInterpretation" not in data:
        data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8 * array.dtype.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(array.dtype.kind == "i")
    data.PixelData = array.tobytes() + b"\0" * (array.nbytes % 2)


def orientation(affine: np.ndarray) -> list[float]:
    axes = (LPS @ affine)[:3, :2]
    return (axes / np.linalg.norm(axes, axis=0)).T.ravel().tolist()


def position(affine: np.ndarray, k: float) -> list[float]:
    return (LPS @ affine @ [0, 0, k, 1])[:3].tolist()


def write_series(
    folder: Path,
    array: np.ndarray,
    affine: np.ndarray,
    series: str = "s",
    heights: Sequence[float] | None = None,
    **values: Any,
) -> list[Path]:
    """Slices of ``array (z, y, x)`` at ``affine`` as files under names in no order."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    paths = []
    for k, plane in enumerate(array):
        data = header(f"{k} {values.get('AcquisitionNumber')}", series, **values)
        data.ImageOrientationPatient = orientation(affine)
        data.ImagePositionPatient = position(affine, k if heights is None else heights[k])
        data.PixelSpacing, data.SliceThickness = [sizes[1], sizes[0]], sizes[2]
        data.InstanceNumber = k * 7 % len(array) + 1
        pixels(data, plane)
        path = folder / f"{zlib.crc32(data.SOPInstanceUID.encode()):08x}"
        pydicom.dcmwrite(path, data)
        paths.append(path)
    return paths
