"""A label map as DICOM-SEG: binary segments on the slices of its series (PS3.3 A.51, C.8.20).

highdicom (an optional package) makes the object. It is told of a stand-in for the source that has
clean geometry and no patient; the source's own patient, study and references come afterwards, as
they are, so that a header with an odd date or a rounded cosine is no reason to refuse.
"""

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.uid import EnhancedMRImageStorage, generate_uid

from scanprior import __version__
from scanprior.contracts import InputError
from scanprior.data.image import Image
from scanprior.data.sources.dicom_header import BROKEN, Frame
from scanprior.data.sources.dicom_names import quiet, reason
from scanprior.data.sources.dicom_planes import Plane, label_on, planes_of
from scanprior.data.sources.dicom_stand_in import stand_in

_SERIES_NUMBER = 1000  # behind the scan's own where viewers sort
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
    instances; UIDs follow from those of the source, the label, ``model`` (a hash) and the versions
    of the programs, so that the same prediction is the same object, but for the clock's times.

    Args:
        names: of the segments; their kind, which a name does not tell, is coded as tissue.

    Raises:
        InputError: the source has no UIDs to refer to, has changed since it was found, or has a
            header that cannot be copied.
    """
    planes = planes_of(frames, image)
    drawn = np.stack([label_on(plane, label, image) for plane in planes])
    try:
        with quiet():
            return _made(planes, drawn, _headers(frames), names, model)
    except BROKEN as error:
        raise InputError(
            f"the series has a header that no DICOM-SEG can be made of ({reason(error)}); predict "
            "it without --dicom-seg."
        ) from error


def _made(
    planes: Sequence[Plane],
    drawn: np.ndarray,
    headers: dict[Path, pydicom.FileDataset],
    names: Sequence[str],
    model: str,
) -> pydicom.Dataset:
    import highdicom  # not on top: the package is optional

    first = headers[planes[0].frame.path]
    instances = [str(header.SOPInstanceUID) for header in headers.values()]
    content = [hashlib.sha256(drawn.tobytes()).hexdigest(), *names]
    content += [f"{plane.frame.uid} {plane.frame.number}" for plane in planes]
    content += [__version__, highdicom.__version__]
    made = highdicom.seg.Segmentation(
        source_images=[stand_in(planes, first)],
        pixel_array=drawn,
        segmentation_type="BINARY",
        segment_descriptions=_descriptions(names),
        series_instance_uid=generate_uid(entropy_srcs=[model, "series", *instances]),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=generate_uid(entropy_srcs=[model, *content, *instances]),
        # the volumes of one file are segmented in one series, and each has other frames of it
        instance_number=(planes[0].frame.number or 0) + 1,
        manufacturer="scanprior",
        manufacturer_model_name="scanprior",
        software_versions=__version__,
        device_serial_number=model[:_LONGEST],
        series_description="scanprior segmentation",
        content_label="SEGMENTATION",
    )
    dimensions = generate_uid(entropy_srcs=[made.SOPInstanceUID, "dimensions"])  # highdicom: random
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions
    _refer(made, planes, headers)
    _name(made, first)
    return made


def write_segmentation(path: Path, made: pydicom.Dataset) -> None:
    """Write what :func:`segmentation` made to ``path``.

    Raises :class:`InputError` for a value, copied from the source, that cannot be written.
    """
    try:
        with quiet():
            made.save_as(path, enforce_file_format=True)
    except OSError:
        raise  # of the disk
    except BROKEN as error:
        raise InputError(
            f"the series has a header that cannot be written again ({reason(error)}); predict it "
            "without --dicom-seg."
        ) from error


def _headers(frames: Sequence[Frame]) -> dict[Path, pydicom.FileDataset]:
    """Of each file, without the pixels; of several UIDs in one place the first."""
    found: dict[Path, pydicom.FileDataset] = {}
    for path in dict.fromkeys(frame.path for frame in frames):
        try:
            found[path] = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        except BROKEN as error:
            raise InputError(
                f"a file of the series cannot be read again ({reason(error)}); restore it."
            ) from error
        for name in (*_UIDS, "FrameOfReferenceUID"):
            if isinstance(said := found[path].get(name), MultiValue):
                setattr(found[path], name, said[0])
        if not all(found[path].get(name) for name in _UIDS):
            raise InputError(
                "the series has no UIDs that a DICOM-SEG could refer to; predict it without "
                "--dicom-seg."
            )
    return found


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
    made.copy_patient_and_study_information(header)
    made.SpecificCharacterSet = "ISO_IR 192"
