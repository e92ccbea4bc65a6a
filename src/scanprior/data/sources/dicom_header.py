"""One DICOM file's header: the frames in it, or the reason why it is no scan.

DICOM PS3.3: C.7.6.2 (image plane), C.7.6.16 (functional groups of multi-frame files).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import error as StructError
from typing import Any
from zlib import error as ZlibError

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError

from scanprior.data.sources.dicom_kind import SEGMENTATION, image_type, kind_of_no_scan, modality_of
from scanprior.data.sources.dicom_mosaic import tiled
from scanprior.data.sources.dicom_names import (
    HeaderError,
    hashed,
    image_hash,
    naming_words,
    quiet,
)
from scanprior.data.sources.dicom_order import Order, first_number, order_of
from scanprior.data.sources.dicom_seg import drawn_images, segment_names

BROKEN = (
    # pydicom reads lazily, so a broken file may raise any of these wherever a value is used
    OSError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    ArithmeticError,
    RuntimeError,  # no decoder, or one that gives up
    MemoryError,
    StructError,
    ZlibError,
    InvalidDicomError,
    BytesLengthException,
)


_FARTHEST = 1e6
"""mm: a kilometre from the scanner's centre there is no patient."""


@dataclass(frozen=True)
class Frame:
    """One slice, one mosaic of slices or one photograph, not yet decoded."""

    path: Path
    number: int | None
    """Its place in a multi-frame file, from 0; None where the file holds one frame."""
    series: str
    """Hash of patient, study and series."""
    patient: str
    """Hash of the patient's number; of the name and birth date, or the study, where it is empty."""
    uid: str
    """Hash of the SOP instance."""
    modality: str
    shape: tuple[int, int, int]
    """Rows, columns, samples."""
    position: tuple[float, ...] | None
    """Centre of the first voxel in mm, LPS; None in a photograph."""
    orientation: tuple[float, ...]
    """Cosines of the row, then of the column (PS3.3 C.7.6.2.1.1)."""
    spacing: tuple[float, float]
    """Between rows, between columns, in mm."""
    thickness: float
    """Between slices as the header says it, in mm; counts only where there is one slice."""
    order: Order
    scale: tuple[float, float] | None
    """Slope and intercept; None where the header has none, or not both, or a table instead."""
    mosaic: bool
    """Whether it is Siemens' mosaic of a whole volume."""


@dataclass(frozen=True)
class Header:
    """What a file holds: its frames, or in ``skipped`` the word for what it is instead."""

    frames: tuple[Frame, ...]
    skipped: str | None
    words: frozenset[str]
    """What must not be repeated: names, numbers, dates."""
    drawn_on: tuple[str, ...]
    """Of a segmentation, the hashes of the series that it belongs to."""
    drawn_images: frozenset[tuple[str, int | None]] = frozenset()
    """Of a segmentation, the hashes of the images that it names, and which frame of each, from 0;
    None where it names no frame."""
    segments: tuple[tuple[int, str], ...] = ()
    """Of a segmentation, each segment's number and what it is called. Not to be repeated."""
    size: int = 0
    """In bytes."""


def read_header(path: Path) -> Header:
    """Read all but the pixels.

    Raises one of ``BROKEN`` for a file that is no DICOM or whose header contradicts itself.
    """
    with quiet():
        data = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        kind = str(data.get("SOPClassUID") or data.file_meta.get("MediaStorageSOPClassUID") or "")
        if not kind and "Rows" not in data:
            raise HeaderError("no SOP class and no image")
        words = naming_words(data)
        skipped = kind_of_no_scan(data, kind)
        patient = patient_of(data, path)
        referred = data.get("ReferencedSeriesSequence") if skipped == SEGMENTATION else None
        drawn_on = [
            series_of(data, path, patient, item.get("SeriesInstanceUID")) for item in referred or []
        ]
        images, named = frozenset(), ()
        if skipped == SEGMENTATION:
            images, named = drawn_images(data), segment_names(data)
        frames = () if skipped else tuple(_frames(data, path))
        return Header(frames, skipped, words, tuple(drawn_on), images, named, path.stat().st_size)


def _frames(data: pydicom.Dataset, path: Path) -> Iterator[Frame]:
    groups = data.get("PerFrameFunctionalGroupsSequence")
    count = int(data.get("NumberOfFrames") or 1)
    if not groups:
        if count > 1:
            raise HeaderError("several frames without a position for each")
        yield _frame(data, path, None, [data])
        return
    if len(groups) != count:
        raise HeaderError("another number of frames than of descriptions")
    shared = list(data.get("SharedFunctionalGroupsSequence") or [])[:1]
    for number, group in enumerate(groups):
        yield _frame(data, path, number, [group, *shared])


def _frame(
    data: pydicom.Dataset, path: Path, number: int | None, groups: Sequence[pydicom.Dataset]
) -> Frame:
    def said(sequence: str, name: str) -> Any:
        """A value of the frame's own description, else of the one that all frames share."""
        if number is None:
            return data.get(name)
        for group in groups:
            for item in group.get(sequence) or []:
                if item.get(name) is not None:
                    return item.get(name)
        return None

    patient = patient_of(data, path)
    position = _floats(said("PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = _floats(said("PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    if number is not None and (position is None or orientation is None):
        raise HeaderError("several frames without a position for each")
    kind = said("MRImageFrameTypeSequence", "FrameType") if number is not None else None
    types = [str(word).upper() for word in kind] if kind else image_type(data)
    mosaic = "MOSAIC" in types or tiled(data)
    if mosaic and (position is None or orientation is None):
        raise HeaderError("a mosaic without a position")
    spacing = _floats(said("PixelMeasuresSequence", "PixelSpacing"), 2)
    if position is None or orientation is None:
        position, orientation = None, None
    elif spacing is None or min(spacing) <= 0:
        raise HeaderError("no size of the pixels")
    elif not np.allclose(_gram(orientation), np.eye(2), atol=1e-3):
        raise HeaderError("row and column that are not at right angles")
    between = said("PixelMeasuresSequence", "SpacingBetweenSlices")
    thickness = abs(first_number(between, said("PixelMeasuresSequence", "SliceThickness")))
    slope = said("PixelValueTransformationSequence", "RescaleSlope")
    intercept = said("PixelValueTransformationSequence", "RescaleIntercept")
    scale = None
    if number is not None and (slope is None) != (intercept is None):
        raise HeaderError("one of slope and intercept without the other")
    if slope is not None and intercept is not None and "ModalityLUTSequence" not in data:
        scale = (float(slope), float(intercept))
    return Frame(
        path=path,
        number=number,
        series=series_of(data, path, patient, data.get("SeriesInstanceUID")),
        patient=patient,
        uid=image_hash(data.get("SOPInstanceUID") or path.absolute()),
        modality=modality_of(data),
        shape=(int(data.Rows), int(data.Columns), int(data.get("SamplesPerPixel") or 1)),
        position=position,
        orientation=orientation or (),
        spacing=(spacing[0], spacing[1]) if spacing else (1.0, 1.0),
        thickness=thickness or 1.0,
        order=order_of(data, said, types, number),
        scale=scale,
        mosaic=mosaic,
    )


def patient_of(data: pydicom.Dataset, path: Path) -> str:
    """Hash of the patient's number; of name and birth date, or the study, where there is none."""
    number = str(data.get("PatientID") or "").strip()
    if number:
        return hashed("patient", data.get("IssuerOfPatientID") or "", number)
    if str(data.get("PatientName") or "").strip():
        return hashed("patient", data.get("PatientName"), data.get("PatientBirthDate"))
    return hashed("patient", data.get("StudyInstanceUID") or path.parent.absolute())


def series_of(data: pydicom.Dataset, path: Path, patient: str, uid: Any) -> str:
    """Hash of a series of the patient and of the file's study; without an ``uid`` of the folder,
    the same from wherever its path is typed."""
    study = data.get("StudyInstanceUID", "")
    return hashed("series", patient, study, uid or path.parent.absolute())


def _gram(orientation: tuple[float, ...]) -> np.ndarray:
    axes = np.array(orientation).reshape(2, 3)
    return axes @ axes.T


def _floats(value: Any, count: int) -> tuple[float, ...] | None:
    if value is None or value == "":
        return None
    numbers = tuple(float(part) for part in value)
    if len(numbers) != count:
        raise HeaderError(f"{len(numbers)} numbers where {count} belong")
    if not all(abs(number) < _FARTHEST for number in numbers):  # NaN is not
        raise HeaderError("a position, direction or pixel size that no scan has")
    return numbers
