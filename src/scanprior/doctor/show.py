"""A picture of one case or volume, from whatever of it can be read. It runs in a worker."""

import contextlib

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.checks import raw, rules
from scanprior.data.checks.look import members
from scanprior.data.files import BROKEN, NIBABEL, SITK, read_label, suffix
from scanprior.data.geometry import to_ras
from scanprior.data.sources import Case
from scanprior.data.sources.case import from_files
from scanprior.data.store import Volume
from scanprior.doctor.picture import thumbnail
from scanprior.doctor.shelf import pictured


def show_case(case: Case) -> str | None:
    """A PNG (base64), None where there is nothing to show. Files too large to read stay closed."""
    sizes = [raw.header(path) for path in members(case)] if case.load is from_files else []
    if any(size is not None and rules.huge("", size.voxels) for size in sizes):
        return None
    try:
        image, label = case.read()
        if image.affine is None:
            return thumbnail(image.array)
        image, label = to_ras(image)[0], label and to_ras(label)[0]
        # Rows towards the top of the page are anterior, as everybody shows an axial slice.
        upright = None if label is None else label.array[0, :, ::-1]
        return thumbnail(image.array[:, :, ::-1], upright, image.spacing)
    except InputError:
        return _without_reading(case) if case.load is from_files else None
    except BROKEN:
        return None


def show_volume(volume: Volume) -> str | None:
    """A PNG (base64) of a stored volume, None where it cannot be read."""
    image, label = pictured(volume)
    if image is None or not image.size:
        return None
    return thumbnail(image.astype(np.float32), label, volume.spacing)


def _without_reading(case: Case) -> str | None:
    """The first image as it is stored, and its label map where that is readable."""
    path = case.images[0]
    array = raw.numbers(path) if suffix(path) in NIBABEL + SITK else None
    if array is None or not array.size or array.dtype.kind not in "iufb":
        return None
    if suffix(path) in NIBABEL:
        array = array.T  # (z, y, x), channels first
    label = None
    with contextlib.suppress(InputError):
        label = None if case.label is None else read_label(case.label).array[0]
    lead = array if len(array.shape) > 3 else array[None]
    with np.errstate(over="ignore"):  # infinity is marked in the picture
        lead = lead.astype(np.float32)
    return thumbnail(lead, label) if len(lead.shape) > 2 else None
