"""DICOM-SEG: the segments of a series as its label map (PS3.3 A.51 and C.8.20)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import ExplicitVRLittleEndian

from scanprior.contracts import InputError
from scanprior.data.image import LPS_TO_RAS, Image
from scanprior.data.sources.dicom_names import image_hash, quiet


def drawn_images(data: pydicom.Dataset) -> frozenset[tuple[str, int | None]]:
    """The hashes of the images that a segmentation names, and which frame of each, from 0; None
    where it names no frame. Raises one of ``dicom_header.BROKEN``."""
    listed = {
        image_hash(image.get("ReferencedSOPInstanceUID"))
        for item in data.get("ReferencedSeriesSequence") or []
        for image in item.get("ReferencedInstanceSequence") or []
    }
    groups = data.get("PerFrameFunctionalGroupsSequence") or []
    named = {
        (image_hash(image.get("ReferencedSOPInstanceUID")), int(number) - 1)
        for group in (*groups, *(data.get("SharedFunctionalGroupsSequence") or []))
        for item in group.get("DerivationImageSequence") or []
        for image in item.get("SourceImageSequence") or []
        for number in np.atleast_1d(image.get("ReferencedFrameNumber") or [])
    }
    # a file may hold many volumes: where its frames are named, that it is listed says less
    return frozenset(named | {(uid, None) for uid in listed - {uid for uid, _ in named}})


def segment_names(data: pydicom.Dataset) -> tuple[tuple[int, str], ...]:
    """The number of each segment of a segmentation, and its label; those that have both."""
    return tuple(
        (int(item.SegmentNumber), str(item.SegmentLabel).strip().casefold())
        for item in data.get("SegmentSequence") or []
        if item.get("SegmentNumber") and item.get("SegmentLabel")
    )


def segments(path: Path, name: str, image: Image, heights: np.ndarray) -> Image:
    """The label map on ``image``'s grid: 0, and each segment's number where it is.

    The segments' slices must lie on those that the image was made of, at ``heights`` in its voxels;
    they need not cover it. Between slices at varying distances the nearest one counts. Raises
    :class:`InputError` where they do not, where two segments overlap and where values are
    fractions; and one of ``dicom_header.BROKEN``.
    """
    grid = image.affine
    if grid is None:
        raise InputError(f"{name} was drawn on a photograph; leave it out.")
    label = np.zeros((len(heights), *image.shape[1:]), np.uint16)
    with quiet():
        data = pydicom.dcmread(path, force=True)
        full = int(data.get("MaximumFractionalValue") or 1)
        full = full if str(data.SegmentationType) == "FRACTIONAL" else 1
        shared = data.SharedFunctionalGroupsSequence[0]
        groups = data.PerFrameFunctionalGroupsSequence
        for group, plane in zip(groups, _drawn(data), strict=True):
            if not np.isin(plane, (0, full)).all():
                raise InputError(f"{name} holds fractions; give segments that are whole.")
            number = int(_first(group, shared, "SegmentIdentification").ReferencedSegmentNumber)
            here = _slice_of(label, heights, _grid(group, shared), grid, plane.shape, name)
            drawn = plane > 0
            if ((here[drawn] > 0) & (here[drawn] != number)).any():
                raise InputError(f"{name} has segments that overlap; give one a voxel.")
            here[drawn] = number
    label = label[np.abs(heights - np.arange(image.shape[0])[:, None]).argmin(axis=1)]
    kind = np.uint8 if label.max() < 256 else np.uint16
    return Image(label[None].astype(kind), image.affine, image.spacing)


def _drawn(data: pydicom.FileDataset) -> Iterator[np.ndarray]:
    """Each frame's ``(rows, columns)``.

    Frames of single bits follow each other without a gap, so that one may begin within a byte;
    pydicom's ``iter_pixels`` cuts those wrongly.
    """
    syntax = data.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)
    if int(data.BitsAllocated) > 1 or syntax.is_encapsulated or not syntax.is_little_endian:
        yield from iter_pixels(data)
        return
    bits = np.frombuffer(data.PixelData, np.uint8)
    rows, columns = int(data.Rows), int(data.Columns)
    size = rows * columns
    for start in range(0, int(data.NumberOfFrames) * size, size):
        first, last = start // 8, -(-(start + size) // 8)
        frame = np.unpackbits(bits[first:last], bitorder="little")[start % 8 :][:size]
        yield frame.reshape(rows, columns)


def _first(group: pydicom.Dataset, shared: pydicom.Dataset, name: str) -> pydicom.Dataset:
    return (group.get(f"{name}Sequence") or shared[f"{name}Sequence"].value)[0]


def _grid(group: pydicom.Dataset, shared: pydicom.Dataset) -> np.ndarray:
    """A frame's affine, voxel (x, y, 0, 1) to mm in RAS."""
    cosines = _first(group, shared, "PlaneOrientation").ImageOrientationPatient
    row, column = np.array(cosines, dtype=float).reshape(2, 3)
    down, across = (float(size) for size in _first(group, shared, "PixelMeasures").PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = row * across, column * down, np.cross(row, column)
    affine[:3, 3] = _first(group, shared, "PlanePosition").ImagePositionPatient
    return LPS_TO_RAS @ affine


def _slice_of(
    label: np.ndarray,
    heights: np.ndarray,
    frame: np.ndarray,
    image: np.ndarray,
    shape: tuple[int, ...],
    name: str,
) -> np.ndarray:
    """The part of ``label (slice, y, x)`` under a frame, as a view."""
    step = np.linalg.solve(image, frame)  # voxels of the frame to voxels of the image
    x, y = np.rint(step[:2, 3]).astype(int)
    z = int(np.abs(heights - step[2, 3]).argmin())
    rows, columns = shape
    fits = (
        np.allclose(step[:3, :2], np.eye(3)[:, :2], atol=1e-3)
        and np.allclose(step[:3, 3], (x, y, heights[z]), atol=0.1)
        and min(x, y) >= 0
        and y + rows <= label.shape[1]
        and x + columns <= label.shape[2]
    )
    if not fits:
        raise InputError(
            f"{name} does not lie on the voxels of the series it was drawn on; resample it."
        )
    return label[z, y : y + rows, x : x + columns]
