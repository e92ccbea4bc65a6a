"""Damaged NIfTI files: every field of the header in turn, the bytes, the compression."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from . import damage, reference
from .damage import Draw, Mutant
from .judge import Expected

SHAPE = (9, 8, 10)
AFFINE = np.array([[-1.9, 0.1, 0, 9], [0.1, 2.1, 0.2, -7], [0, -0.2, 2.5, 3], [0, 0, 0, 1.0]])
KINDS = (
    "NIfTI-1, little-endian",
    "NIfTI-1, big-endian",
    "NIfTI-2, little-endian",
    "NIfTI-2, big-endian",
)
FIELDS = {
    "dim": ("dim",),
    "pixdim": ("pixdim",),
    "datatype": ("datatype",),
    "bitpix": ("bitpix",),
    "datatype and bitpix": ("datatype", "bitpix"),
    "vox_offset": ("vox_offset",),
    "scl": ("scl_slope", "scl_inter"),
    "qform": ("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "pixdim"),
    "sform": ("sform_code", "srow_x", "srow_y", "srow_z"),
    "units": ("xyzt_units",),
    "magic": ("magic",),
    "sizeof_hdr": ("sizeof_hdr",),
}
BYTES = (
    "other field",
    "extension",
    "truncated",
    "bits flipped",
    "header bits flipped",
    "gz truncated",
    "gz bits flipped",
    "huge shape",
)
MUTATIONS = (*FIELDS, *BYTES)
_CODES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304)
_TOOLS = {"NIfTI-1": nib.Nifti1Image, "NIfTI-2": nib.Nifti2Image}


def whole(kind: str, draw: Draw) -> bytes:
    """An undamaged file: small, oblique, with an extension now and then."""
    version, order = kind.split(", ")
    voxels = draw.integers(-300, 900, SHAPE).astype(draw.choice(["i2", "f4", "u2", "i4", "f8"]))
    image = _TOOLS[version](voxels, AFFINE)
    image.header.set_xyzt_units("mm")
    image.header.set_qform(AFFINE, 1)
    if draw.random() < 0.3:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"noise"))
    if draw.random() < 0.3:
        image.header.set_slope_inter(2.0, 5.0)
    if order == "big-endian":
        header = image.header.as_byteswapped(">")
        image = _TOOLS[version](voxels, None, header)
    return image.to_bytes()


def mutants(numbers: range, draw: Draw) -> Iterator[Mutant]:
    """A file for each number, each mutation of each kind in turn."""
    for number in numbers:
        mutation, kind = damage.turn(number, MUTATIONS, KINDS)
        before = whole(kind, draw)
        content = mutated(before, mutation, draw)
        packed = content[:2] == b"\x1f\x8b"
        name = f"n{number:05}.nii{'.gz' * packed}"
        yield Mutant(name, content, kind, mutation, before)


def mutated(content: bytes, mutation: str, draw: Draw) -> bytes:
    """``content`` with one mutation, packed now and then."""
    header = _header(content)
    size = header.dtype.itemsize
    if mutation in FIELDS:
        _set(header, FIELDS[mutation], draw)
        changed = header.tobytes() + content[size:]
    elif mutation == "other field":
        known = {name for names in FIELDS.values() for name in names}
        rest = tuple(name for name in header.dtype.names or () if name not in known)
        _set(header, rest, draw)
        changed = header.tobytes() + content[size:]
    elif mutation == "huge shape":
        changed = _huge(header, draw).tobytes() + content[size:]
    elif mutation == "extension":
        raw = bytearray(content)
        raw[size : size + 4] = bytes([1, 0, 0, 0])
        length, code = (damage.odd_whole(draw, 32) for _ in range(2))
        raw[size + 4 : size + 12] = np.array([length, code], "i4").tobytes()
        changed = bytes(raw)
    elif mutation == "truncated":
        return damage.truncated(content, draw)
    elif mutation == "bits flipped":
        return damage.flipped(content, draw)
    elif mutation == "header bits flipped":
        changed = damage.flipped(content, draw, size)
    elif mutation == "gz truncated":
        return damage.truncated(damage.zipped(content), draw) or b"\x1f\x8b"
    else:
        return b"\x1f\x8b" + damage.flipped(damage.zipped(content)[2:], draw)
    return damage.zipped(changed) if draw.random() < 0.4 else changed


def bombs() -> Iterator[Mutant]:
    """Small files that ask for much: more than is allowed, or more than they hold."""
    for name, shape, kind, size in (
        ("bomb_shape", (32767, 32767, 32767), np.int16, 1 << 20),
        ("bomb_packed", (4000, 4000, 4000), np.int16, 20 << 30),
        ("bomb_behind", SHAPE, np.int16, 20 << 30),
        ("bomb_below", (512, 512, 511), np.float64, 8 * 512 * 512 * 511 + 352),
        ("bomb_below_int16", (512, 512, 1023), np.int16, 2 * 512 * 512 * 1023 + 352),
        ("bomb_rows", (32767, 32767, 1), np.float64, 4 << 30),
        ("bomb_channels", (2, 2, 2, 32767, 32767), np.uint8, 8 << 30),
    ):
        header = nib.Nifti1Header()
        header.set_data_dtype(kind)
        header.set_data_shape(shape)
        header["vox_offset"], header["magic"] = 352, b"n+1"
        head = header.binaryblock + bytes(4)
        yield Mutant(f"{name}.nii.gz", damage.bomb(head, size), "NIfTI-1, little-endian", "bomb")
        yield Mutant(f"{name}.nii", head + bytes(4000), "NIfTI-1, little-endian", "bomb")


def _header(content: bytes) -> np.ndarray:
    kind = nib.Nifti1Header if len(content) and _size(content) == 348 else nib.Nifti2Header
    order = "<" if int.from_bytes(content[:4], "little") in (348, 540) else ">"
    return kind.from_fileobj(io.BytesIO(content), endianness=order, check=False).structarr.copy()


def _size(content: bytes) -> int:
    little = int.from_bytes(content[:4], "little")
    return little if little in (348, 540) else int.from_bytes(content[:4], "big")


def _set(header: np.ndarray, names: tuple[str, ...], draw: Draw) -> None:
    """One or two of the fields, or single numbers in them, to something odd."""
    for name in draw.choice(np.array(names), min(len(names), int(draw.integers(1, 3))), False):
        kind = header.dtype[str(name)].base
        flat = header[str(name)].reshape(-1) if kind.kind != "S" else header[str(name)]
        if kind.kind == "S":
            header[str(name)] = draw.bytes(kind.itemsize)
            continue
        at = int(draw.integers(flat.size))
        if name in ("datatype", "bitpix") and draw.random() < 0.6:
            header[str(name)] = draw.choice(np.array(_CODES if name == "datatype" else (8, 16, 64)))
        elif name == "dim" and draw.random() < 0.4:
            header["dim"][int(draw.integers(8))] = int(draw.integers(0, 12))
        elif name in ("qform_code", "sform_code"):
            header[str(name)] = int(draw.integers(-1, 6))
        else:
            value = damage.odd_fraction(draw) if kind.kind == "f" else _whole(draw, kind)
            if flat.size == 1:
                header[str(name)] = value
            else:
                header[str(name)][at] = value


def _whole(draw: Draw, kind: np.dtype) -> int:
    value = damage.odd_whole(draw, kind.itemsize * 8)
    return value % 2 ** (kind.itemsize * 8) if kind.kind == "u" else value


def _huge(header: np.ndarray, draw: Draw) -> np.ndarray:
    """A shape that no memory holds, or just one."""
    axes = int(draw.integers(3, 8))
    most = 32767 if header["dim"].dtype.itemsize == 2 else 2**62
    header["dim"] = 1
    header["dim"][0] = axes
    for axis in range(1, axes + 1):
        header["dim"][axis] = min(most, int(10 ** draw.uniform(1, 6)))
    if draw.random() < 0.5:
        header["datatype"], header["bitpix"] = 64, 64
    return header


def expected(source: Path, mutants: dict[str, Mutant]) -> Expected:
    """nibabel's reading; of a packed file whose packing is broken, that of the undamaged one."""

    def read(paths: Sequence[Path]) -> reference.Scan:
        mutant = mutants.get(str(paths[0].relative_to(source)))
        if mutant is not None and mutant.mutation.startswith("gz"):
            whole = paths[0].with_name("undamaged.nii")
            whole.write_bytes(mutant.before)
            try:
                return reference.by_nibabel(whole)
            finally:
                whole.unlink()
        return reference.by_nibabel(paths[0])

    return read
