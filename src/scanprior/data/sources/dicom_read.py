"""From a DICOM case's frames to its image and label map."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.geometry import evenly
from scanprior.data.image import Image, spacing_of
from scanprior.data.limits import check_size
from scanprior.data.sources.case import Case
from scanprior.data.sources.dicom_header import BROKEN, Frame
from scanprior.data.sources.dicom_names import HeaderError, reason
from scanprior.data.sources.dicom_pixels import read_frames, read_mosaic
from scanprior.data.sources.dicom_seg import segments
from scanprior.data.sources.dicom_stack import stacked


def read_photograph(case: Case, frames: tuple[Frame, ...]) -> tuple[Image, None]:
    """The one image of a file without a position in the body: ``(c, y, x)``, no affine.

    Raises :class:`InputError` where it cannot be decoded.
    """
    return _finite(case, Image(_decoded(case, frames)[frames[0]], None, (1.0, 1.0))), None


def read_series(
    case: Case, frames: tuple[Frame, ...], *, several: bool = False
) -> tuple[Image, Image | None]:
    """The volumes that ``frames`` make, each a channel: ``(c, z, y, x)``; and its segments.

    Raises :class:`InputError` for files that cannot be decoded, for slices that are no regular
    stack (``dicom_stack.stacked``), for segments that do not fit (``dicom_seg.segments``), and,
    where a label map is wanted, for ``several`` that could be it.
    """
    if several and case.label is not None:
        raise InputError(
            f"{case.called} has several segmentations, {case.label_shown}; choose one with --label "
            "PART of its file name, or remove the others."
        )
    scales = {frame.scale for frame in frames}
    if None in scales and scales - {None, (1.0, 0.0)}:
        raise InputError(
            f"{case.called} has slices with a rescale slope and slices without, so they are in two "
            "units; restore their headers or leave it out."
        )
    if frames[0].mosaic:
        image = _mosaics(case, frames)
        heights = np.arange(image.shape[0], dtype=float)
    else:
        stack = stacked(frames, case.called, uneven=case.straighten)
        arrays = _decoded(case, frames)
        array = np.concatenate(
            [np.stack([arrays[frame] for frame in volume], axis=1) for volume in stack.volumes]
        )
        heights = stack.heights
        array = evenly(array, heights)
        image = Image(array, stack.affine, spacing_of(stack.affine))
    _finite(case, image)
    if case.label is None:
        return image, None
    name = case.label_shown or str(case.label)
    try:
        return image, segments(case.label, name, image, heights)
    except BROKEN as error:
        raise InputError(
            f"{name} holds segments that cannot be decoded ({reason(error)}); "
            "restore it or leave it out."
        ) from error


def frames_of(case: Case) -> tuple[Frame, ...]:
    """The slices of a series' case; none for a photograph, or a case of another format."""
    if isinstance(case.load, partial) and case.load.func is read_series:
        return case.load.keywords["frames"]
    return ()


def _decoded(case: Case, frames: Sequence[Frame]) -> dict[Frame, np.ndarray]:
    check_size(sum(int(np.prod(frame.shape)) for frame in frames), case.called)
    by_path: dict[Path, list[Frame]] = {}
    for frame in frames:
        by_path.setdefault(frame.path, []).append(frame)
    arrays: dict[Frame, np.ndarray] = {}
    for path, here in by_path.items():
        try:
            arrays.update(zip(here, read_frames(path, here), strict=True))
        except BROKEN as error:
            raise _undecoded(case, path, error) from error
    return arrays


def _mosaics(case: Case, frames: Sequence[Frame]) -> Image:
    arrays, affines = [], []
    for frame in sorted(frames, key=lambda frame: frame.order):
        try:
            array, affine = read_mosaic(frame)
        except BROKEN as error:
            raise _undecoded(case, frame.path, error) from error
        arrays.append(array)
        affines.append(affine)
    if not all(
        array.shape == arrays[0].shape and np.allclose(affine, affines[0], atol=1e-2)
        for array, affine in zip(arrays, affines, strict=True)
    ):
        raise InputError(
            f"{case.called} has volumes that lie differently; use --fourth-axis times."
        )
    return Image(np.stack(arrays), affines[0], spacing_of(affines[0]))


def _undecoded(case: Case, path: Path, error: BaseException) -> InputError:
    name = (case.shown or case.images)[case.images.index(path)]
    why = reason(error)
    if not isinstance(error, HeaderError):
        why += ", cut short or of an unknown compression"
    return InputError(
        f"{name} has pixels that cannot be decoded ({why}); restore it or leave it out."
    )


def _finite(case: Case, image: Image) -> Image:
    if not np.isfinite(image.array).all():
        raise InputError(f"{case.called} holds NaN or infinite values; leave it out.")
    return image
