"""Undamaged DICOM: a series, one file alone, many frames in a file, and real files."""

import io
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from .damage import Draw

SERIES, SINGLE, FRAMES, MOSAIC = "DICOM series", "DICOM file", "multi-frame DICOM", "DICOM mosaic"
_CLASSES = {SERIES: "1.2.840.10008.5.1.4.1.1.2", FRAMES: "1.2.840.10008.5.1.4.1.1.4.1"}
_SHAPE = (5, 9, 10)


def series(folder: str, draw: Draw) -> dict[str, bytes]:
    """A series of five slices, each a file."""
    voxels = draw.integers(-900, 1900, _SHAPE).astype(np.int16)
    files = {}
    for k, slice_ in enumerate(voxels):
        data = _header(folder, str(k), SERIES)
        data.ImagePositionPatient = [-10.5, 4.0, 2.5 * k - 3]
        data.InstanceNumber, data.RescaleSlope, data.RescaleIntercept = 5 - k, 1, -5
        _pixels(data, slice_)
        files[f"{folder}/{draw.integers(1 << 30):08x}"] = written(data)
    return files


def plane(folder: str, draw: Draw) -> bytes:
    data = _header(folder, "0", SERIES)
    data.ImagePositionPatient = [0, 0, 0]
    _pixels(data, draw.integers(0, 900, _SHAPE[1:]).astype(np.int16))
    return written(data)


def frames(folder: str, draw: Draw) -> bytes:
    """A multi-frame file (PS3.3 C.7.6.16)."""
    data = _header(folder, "all", FRAMES)
    voxels = draw.integers(0, 900, _SHAPE).astype(np.uint16)
    _pixels(data, voxels)
    data.NumberOfFrames = len(voxels)
    shared, measures, turned = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = data.PixelSpacing, 2.5
    turned.ImageOrientationPatient = data.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turned]
    data.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for k in range(len(voxels)):
        group, here, scale = Dataset(), Dataset(), Dataset()
        here.ImagePositionPatient = [1.0, 2.0, 2.5 * k]
        scale.RescaleSlope, scale.RescaleIntercept = 2, 1
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [here], [scale]
        groups.append(group)
    data.PerFrameFunctionalGroupsSequence = groups
    for name in ("PixelSpacing", "ImageOrientationPatient", "SliceThickness"):
        delattr(data, name)
    return written(data)


def _header(folder: str, sop: str, kind: str) -> FileDataset:
    number = int(folder.strip("d") or 0)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _CLASSES[kind]
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.{len(sop)}{ord(sop[0])}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = _CLASSES[kind], meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = f"1.2.4.{number}", f"1.2.5.{number}"
    data.PatientName, data.PatientID = "Nobody^Knows", f"patient {number}"
    data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.ImageOrientationPatient, data.PixelSpacing = [1, 0, 0, 0, 1, 0], [1.5, 0.75]
    data.SliceThickness = 2.5
    return data


def _pixels(data: Dataset, array: np.ndarray) -> None:
    data.Rows, data.Columns = array.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8 * array.dtype.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(array.dtype.kind == "i")
    data.PixelData = array.tobytes()


def written(data: Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data)
    return buffer.getvalue()


def real(awkward: Path | None) -> dict[str, list[bytes]]:
    if awkward is None:
        return {}
    return {
        SINGLE: [(awkward / f"dicom/single/{n}_small.dcm").read_bytes() for n in ("CT", "MR")],
        MOSAIC: [p.read_bytes() for p in sorted((awkward / "dicom/siemens_mosaic").glob("MR*"))],
    }
