"""A stand-in for the images that a DICOM-SEG is drawn on: their geometry, and nobody's name."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from scanprior.data.sources.dicom_header import BROKEN
from scanprior.data.sources.dicom_planes import Plane

_BLANK = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime"),
)


def stand_in(planes: Sequence[Plane], first: pydicom.Dataset) -> Dataset:
    """A multi-frame image with these planes; ``first`` is the header of the first one's file.

    Raises one of ``dicom_header.BROKEN`` for a header that no image can have.
    """
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = EnhancedMRImageStorage, first.SOPInstanceUID
    image.StudyInstanceUID = first.StudyInstanceUID
    image.SeriesInstanceUID = first.SeriesInstanceUID
    image.FrameOfReferenceUID = first.get("FrameOfReferenceUID") or generate_uid(
        entropy_srcs=["frame of reference", str(image.SeriesInstanceUID)]
    )
    image.PositionReferenceIndicator = first.get("PositionReferenceIndicator")
    for name in _BLANK:
        setattr(image, name, "")
    for name in ("", "Ratio", "Method"):
        if (said := first.get(f"LossyImageCompression{name}")) is not None:
            setattr(image, f"LossyImageCompression{name}", said)
    image.Modality = str(first.get("Modality") or "OT")
    image.Rows, image.Columns = planes[0].shape
    image.NumberOfFrames = len(planes)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    axes, sizes = planes[0].affine[:3, :2], np.linalg.norm(planes[0].affine[:3, :2], axis=0)
    orientation.ImageOrientationPatient = _decimals((axes / sizes).T.ravel())
    measures.PixelSpacing = _decimals(sizes[::-1])
    if (thickness := _thickness(planes, first)) is not None:
        measures.SliceThickness = _decimals([thickness])[0]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for plane in planes:
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = _decimals(plane.affine[:3, 3])
        group.PlanePositionSequence = [position]
        groups.append(group)
    image.PerFrameFunctionalGroupsSequence = groups
    return image


def _thickness(planes: Sequence[Plane], first: pydicom.Dataset) -> float | None:
    """Of a slice in mm, as the header has it, else the slices' distance; None where neither is
    known."""
    number = planes[0].frame.number
    said = [first]
    if number is not None:
        shared = first.get("SharedFunctionalGroupsSequence") or []
        groups = [first.PerFrameFunctionalGroupsSequence[number], *shared]
        said = [part for group in groups for part in group.get("PixelMeasuresSequence") or []]
    for part in said:
        with suppress(*BROKEN):  # not there, two of them, no number
            thickness = float(part.SliceThickness)
            if math.isfinite(thickness) and thickness > 0:
                return thickness
    if len(planes) == 1:
        return None
    places = np.array([plane.affine[:3, 3] for plane in planes])
    return float(np.median(np.linalg.norm(np.diff(places, axis=0), axis=1)))


def _decimals(values: Iterable[float]) -> list[str]:
    """Numbers as DICOM's decimal strings, of 16 letters at most."""
    return [format_number_as_ds(float(value)) for value in values]
