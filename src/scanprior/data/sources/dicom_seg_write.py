"""A label map as DICOM-SEG: binary segments on the slices of its series (PS3.3 A.51, C.8.20).

highdicom (an optional package) makes the object. It is told of a stand-in for the source that has
clean geometry and no patient; the source's own patient, study and references come afterwards, as
they are, so that a header with an odd date or a rounded cosine is no reason to refuse.
"""

import hashlib
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EnhancedMRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from scanprior import __version__
from scanprior.contracts import InputError
from scanprior.data.image import Image
from scanprior.data.sources.dicom_header import BROKEN, Frame
from scanprior.data.sources.dicom_names import quiet, reason
from scanprior.data.sources.dicom_planes import Plane, label_on, planes_of

_SERIES_NUMBER = 1000  # behind the scan's own where viewers sort
_BLANK = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime"),
)
_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_LONGEST = 64  # letters of a segment's label (PS3.5, value representation LO)


def check_installed() -> None:
    """Raise :class:`InputError` where highdicom is not there."""
    if find_spec("highdicom") is None:
        raise InputError(
            "DICOM-SEG needs the package highdicom; install it with pip install "
            "'scanprior[dicom-seg]', or leave out --dicom-seg."
        )


def segmentation(
    frames: Sequence[Frame], label: np.ndarray, image: Image, names: Sequence[str], model: str
) -> pydicom.Dataset:
    """The segments 1, 2, ... of ``label (z, y, x)``, a prediction on the grid of ``image``.

    They lie on the slices of ``frames`` (all that the image was made of), pixel on pixel: where the
    image was resampled (tilted gantry, varying distances), each pixel takes the nearest voxel.
    The object has the source's patient and study, its frame of reference and references to its
    instances; UIDs follow from the source, the label and ``model`` (a hash), so that the same
    prediction is the same object.

    Args:
        names: of the segments; their kind, which a name does not tell, is coded as tissue.

    Raises:
        InputError: the source has no UIDs to refer to, or has changed since it was found.
    """
    from highdicom.seg import Segmentation  # not on top: the package is optional

    planes = planes_of(frames, image)
    drawn = np.stack([label_on(plane, label, image) for plane in planes])
    with quiet():
        headers = _headers(frames)
        first = headers[planes[0].frame.path]
        instances = [str(header.SOPInstanceUID) for header in headers.values()]
        content = hashlib.sha256(drawn.tobytes()).hexdigest()
        made = Segmentation(
            source_images=[_stand_in(planes, first)],
            pixel_array=drawn,
            segmentation_type="BINARY",
            segment_descriptions=_descriptions(names),
            series_instance_uid=generate_uid(entropy_srcs=[model, "series", *instances]),
            series_number=_SERIES_NUMBER,
            sop_instance_uid=generate_uid(entropy_srcs=[model, content, *names, *instances]),
            instance_number=1,
            manufacturer="scanprior",
            manufacturer_model_name="scanprior",
            software_versions=__version__,
            device_serial_number=model[:_LONGEST],
            series_description="scanprior segmentation",
            content_label="SEGMENTATION",
        )
        _refer(made, planes, headers)
        _name(made, first)
    return made


def write_segmentation(path: Path, made: pydicom.Dataset) -> None:
    """Write what :func:`segmentation` made to ``path``."""
    with quiet():
        made.save_as(path, enforce_file_format=True)


def _headers(frames: Sequence[Frame]) -> dict[Path, pydicom.FileDataset]:
    """Of each file, without the pixels."""
    found: dict[Path, pydicom.FileDataset] = {}
    for path in dict.fromkeys(frame.path for frame in frames):
        try:
            found[path] = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        except BROKEN as error:
            raise InputError(
                f"a file of the series cannot be read again ({reason(error)}); restore it."
            ) from error
        if not all(found[path].get(name) for name in _UIDS):
            raise InputError(
                "the series has no UIDs that a DICOM-SEG could refer to; predict it without "
                "--dicom-seg."
            )
    return found


def _stand_in(planes: Sequence[Plane], first: pydicom.Dataset) -> Dataset:
    """A multi-frame image with these planes and nobody's name."""
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
    measures.SliceThickness = _decimals([planes[0].frame.thickness])[0]
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


def _descriptions(names: Sequence[str]) -> Any:
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription

    algorithm = AlgorithmIdentificationSequence(
        "scanprior", codes.DCM.ArtificialIntelligence, __version__
    )
    return [
        SegmentDescription(
            segment_number=number,
            segment_label=name.replace("\\", "/")[:_LONGEST],  # a backslash would be two values
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Tissue,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for number, name in enumerate(names, 1)
    ]


def _reference(header: pydicom.Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def _refer(
    made: pydicom.Dataset, planes: Sequence[Plane], headers: dict[Path, pydicom.FileDataset]
) -> None:
    """References to the source's own instances and frames in place of the stand-in's."""
    series = Dataset()
    series.SeriesInstanceUID = next(iter(headers.values())).SeriesInstanceUID
    series.ReferencedInstanceSequence = [_reference(header) for header in headers.values()]
    made.ReferencedSeriesSequence = [series]
    made.SourceImageSequence = [_reference(header) for header in headers.values()]
    items = [
        group.DerivationImageSequence[0].SourceImageSequence[0]
        for group in made.PerFrameFunctionalGroupsSequence
    ]
    # all before any is changed: segments on one slice share theirs
    numbers = [int(item.ReferencedFrameNumber) for item in items]
    for item, number in zip(items, numbers, strict=True):
        frame = planes[number - 1].frame
        item.update(_reference(headers[frame.path]))
        item.SpatialLocationsPreserved = "NO" if frame.mosaic else "YES"
        if frame.number is not None:
            item.ReferencedFrameNumber = frame.number + 1
        elif "ReferencedFrameNumber" in item:
            del item.ReferencedFrameNumber


def _name(made: pydicom.Dataset, header: pydicom.Dataset) -> None:
    """The patient and study of ``header``, in UTF-8, which holds the segments' names too."""
    header.SOPClassUID = EnhancedMRImageStorage  # the modules of any other class may be unknown
    try:
        made.copy_patient_and_study_information(header)
    except BROKEN as error:
        raise InputError(
            f"the series has a patient or a study that cannot be read ({reason(error)}); predict "
            "it without --dicom-seg."
        ) from error
    made.SpecificCharacterSet = "ISO_IR 192"


def _decimals(values: Iterable[float]) -> list[str]:
    """Numbers as DICOM's decimal strings, of 16 letters at most."""
    return [format_number_as_ds(float(value)) for value in values]
