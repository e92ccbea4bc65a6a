"""How large an image may be: a header of a few bytes can ask for all memory there is."""

import math
import os
import re
from collections.abc import Iterable

from scanprior.contracts import InputError

USUAL = 2**28
"""Voxels times channels: 1,024 slices of 512 x 512, which doctor and prepare read in 4 GiB."""
GZIP = 1032
"""Bytes that a byte which gzip packed comes to at most."""
_WHOLE = re.compile("[1-9][0-9]{0,17}")
"""The digits of a number above 0 that every count of voxels can be held against."""


def limit() -> int:
    """The most voxels times channels of an image: ``SCANPRIOR_MAX_VOXELS`` (an environment
    variable) or, where that is not set, :data:`USUAL`.

    Raises :class:`InputError` where it is set to anything but a whole number above 0.
    """
    said = os.environ.get("SCANPRIOR_MAX_VOXELS", "")
    if not said:
        return USUAL
    if not _WHOLE.fullmatch(said):
        raise InputError(
            f"SCANPRIOR_MAX_VOXELS is {ascii(said)[:60]}, no whole number above 0 in up to 18 "
            f"plain digits; set it to one, as {4 * USUAL}, or unset it."
        )
    return int(said)


def counted(voxels: int, itemsize: int) -> int:
    """``voxels`` of ``itemsize`` bytes as the limit counts them: memory is what it is about, so
    that those of 8 bytes count twice."""
    return voxels * max(1, itemsize // 4)


def check_size(voxels: int, name: object) -> None:
    """Raise :class:`InputError` for more voxels than :func:`limit` allows."""
    if voxels > limit():
        raise InputError(
            f"{name} says that it holds {voxels:,} voxels, more than the {limit():,} allowed; "
            "set SCANPRIOR_MAX_VOXELS higher if that is right."
        )


def check_grid(channels: int, shape: Iterable[float | int]) -> None:
    """Raise :class:`InputError` where resampling would make more than :func:`limit` allows.

    ``shape`` need not be whole, or finite: it is what a header and a recipe ask for.
    """
    asked = channels * math.prod(map(float, shape))
    if not asked <= limit():
        raise InputError(
            f"resampled it would have {asked:,.0f} voxels, more than the {limit():,} allowed; "
            "check its header, use another --spacing or --shape, or set SCANPRIOR_MAX_VOXELS "
            "higher."
        )


def check_behind(bytes_behind: int, name: object) -> None:
    """Raise :class:`InputError` for more bytes behind an image's last voxel than :func:`limit`."""
    if bytes_behind > limit():
        raise InputError(
            f"{name} unpacks to more than {limit():,} bytes behind its last voxel; check its "
            "header, or set SCANPRIOR_MAX_VOXELS higher if that is right."
        )
