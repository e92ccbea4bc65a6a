"""Damage that any file can take, and the files that are given it."""

import gzip
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

Draw = np.random.Generator


class Mutant(NamedTuple):
    """A damaged file."""

    name: str
    """Its name, or its path below the folder that is given to the command."""
    content: bytes
    kind: str
    """What it was before: ``NIfTI-2, big-endian``."""
    mutation: str
    """What was done to it: ``pixdim``."""
    before: bytes = b""
    """Its content before."""
    beside: Mapping[str, bytes] = MappingProxyType({})
    """Undamaged files that belong to it, by name."""

    @property
    def unit(self) -> str:
        """The file, or the folder that it shares with what belongs to it."""
        return self.name.split("/")[0]


def truncated(content: bytes, draw: Draw) -> bytes:
    return content[: draw.integers(len(content))]


def flipped(content: bytes, draw: Draw, head: int | None = None) -> bytes:
    """One to eight bits turned round, among the first ``head`` bytes or all."""
    changed = bytearray(content)
    for at in draw.integers(0, min(head or len(changed), len(changed)), draw.integers(1, 9)):
        changed[at] ^= 1 << draw.integers(8)
    return bytes(changed)


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=0)


def bomb(head: bytes, size: int) -> bytes:
    """gzip of ``head`` and zeros, ``size`` bytes in all, made without holding them."""
    step = 1 << 26
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = press.compress(bytes(step)) + press.flush(zlib.Z_FULL_FLUSH)
    first = zlib.compressobj(1, zlib.DEFLATED, -15)
    begun = first.compress(head) + first.flush(zlib.Z_FULL_FLUSH)
    # a gzip header, blocks that may follow each other, an empty last block; no reader gets as far
    # as the checksum
    whole = b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + begun + zeros * (size // step + 1)
    return whole + b"\x03\0" + bytes(8)


def odd_whole(draw: Draw, bits: int) -> int:
    """A whole number that a field of ``bits`` bits (signed) takes and nobody expects."""
    top = 2 ** (bits - 1)
    odd = (0, 1, 2, 3, 5, 7, 8, 255, -1, -2, top - 1, -top, top // 2)
    if draw.random() < 0.3:
        return int(draw.integers(-top, top - 1))
    return int(np.clip(odd[draw.integers(len(odd))], -top, top - 1))


def odd_fraction(draw: Draw) -> float:
    odd = (0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e-45, 1e-20, 1e20, 3e38, -3e38, 0.5)
    if draw.random() < 0.3:
        return float(draw.normal() * 10.0 ** draw.integers(-6, 7))
    return odd[draw.integers(len(odd))]


def turn(number: int, *lists: tuple[str, ...]) -> tuple[str, ...]:
    """One of each list, so that over all numbers every combination comes equally often."""
    taken = []
    for words in lists:
        number, at = divmod(number, len(words))
        taken.append(words[at])
    return tuple(taken)
