"""The packed pieces of an array in an HDF5 file: none may unpack to more than its shape says.

HDF5 unpacks each piece to its end, whatever its shape, so that a small file could fill memory.
"""

import math
import zlib
from typing import Any

from scanprior.contracts import InputError
from scanprior.data.limits import GZIP

_MOST = {"gzip": GZIP, "lzf": 88}
"""How many bytes a packed one can come to at most."""
_UNCHECKED = {"gzip": 2**32, "lzf": 2**24}
"""Bytes that a piece may come to when it is unpacked, before that is tried with care; fewer where
the reader begins anew, with a little more room, as often as its room did not do."""
_STEP = 2**20
_SLACK = 512
"""Bytes that a checksum adds or, read as if it were packed, seems to come to; and more."""


def check_pieces(dataset: Any, packed: list[str], name: str) -> None:
    """Raise :class:`InputError` where a piece would come to more than its shape says.

    ``packed`` are the filters in the order in which they were applied: of gzip and lzf one at most,
    and nothing but a checksum behind it, so that what lies in the file is what it packed.
    """
    packers = [i for i, one in enumerate(packed) if one in _UNCHECKED]
    if len(packers) > 1 or set(packed[packers[0] + 1 :] if packers else ()) - {"fletcher32"}:
        raise InputError(
            f"{name} is packed by {', then '.join(packed)}; write it again with gzip or lzf last."
        )
    at = packers[0] if packers else None
    how = "" if at is None else packed[at]
    most = _MOST.get(how, 1)
    whole = math.prod(dataset.chunks) * dataset.dtype.itemsize + _SLACK
    for i in range(dataset.id.get_num_chunks()):
        piece = dataset.id.get_chunk_info(i)
        if piece.size * most <= _UNCHECKED.get(how, whole):
            continue
        fits = piece.size <= whole
        if fits and at is not None and not piece.filter_mask >> at & 1:
            data = dataset.id.read_direct_chunk(piece.chunk_offset)[1]
            fits = (_fits_gzip if how == "gzip" else _fits_lzf)(data, whole)
        if not fits:
            raise InputError(
                f"{name} has a piece that unpacks to more than its shape says; write it again."
            )


def _fits_gzip(data: bytes, most: int) -> bool:
    """Whether ``data`` come to ``most`` bytes at most; nothing is kept."""
    unpacker, total = zlib.decompressobj(), 0
    for start in range(0, len(data), _STEP):
        block = data[start : start + _STEP]
        while block and total <= most and not unpacker.eof:
            total += len(unpacker.decompress(block, 4 * _STEP))
            block = unpacker.unconsumed_tail
    return total <= most


def _fits_lzf(data: bytes, most: int) -> bool:
    """The same: only the lengths are read, which the high bits of each word's first byte tell."""
    at = total = 0
    end = len(data) - 2  # a word has up to three bytes
    while at < end and total <= most:
        first = data[at]
        if first < 32:  # so many bytes more, as they are
            total += first + 1
            at += first + 2
        elif first < 224:  # what was there before, again
            total += (first >> 5) + 2
            at += 2
        else:
            total += data[at + 1] + 9
            at += 3
    return total <= most
