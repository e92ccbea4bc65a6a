"""Damaged DICOM: a file of a series, one file alone, many frames in a file, Siemens' mosaic."""

import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset

from . import damage, reference
from .damage import Draw, Mutant
from .dicom_files import FRAMES, MOSAIC, SERIES, SINGLE, frames, plane, real, series, written
from .judge import Expected

MUTATIONS = (
    "value",
    "value in a sequence",
    "missing element",
    "length",
    "transfer syntax",
    "truncated",
    "bits flipped",
    "header bits flipped",
)
_NOTED = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PixelSpacing", "ImagePositionPatient"),
    *("ImageOrientationPatient", "RescaleSlope", "RescaleIntercept", "SliceThickness", "ImageType"),
    *("SOPClassUID", "SeriesInstanceUID", "SOPInstanceUID", "NumberOfFrames", "InstanceNumber"),
    *("Modality", "PatientID", "PlanarConfiguration", "SpacingBetweenSlices"),
)
_SYNTAXES = (
    "1.2.840.10008.1.2",  # implicit little-endian
    "1.2.840.10008.1.2.2",  # explicit big-endian
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.4.50",  # JPEG
    "1.2.840.10008.1.2.4.70",  # JPEG, lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS
    "1.2.840.10008.1.2.4.90",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.3.4",
    "",
)
_WORDS = ("", "0", "-1", "1\\2", "nan", "1e400", "inf", "x", "../../evil", "9" * 60, "\\\\", "-0")


def mutants(numbers: range, draw: Draw, awkward: Path | None) -> Iterator[Mutant]:
    """A file for each number. Single files and mosaics are real, where ``awkward`` has them."""
    known = real(awkward)
    kinds = (SERIES, SERIES, SINGLE, FRAMES, *([MOSAIC] if MOSAIC in known else []))
    for number in numbers:
        mutation, kind = damage.turn(number, MUTATIONS, kinds)
        folder = f"d{number:05}"
        beside: dict[str, bytes] = {}
        if kind == SERIES:
            files = series(folder, draw)
            name = sorted(files)[draw.integers(len(files))]
            before = files.pop(name)
            beside = files
        elif kind in known:
            before = known[kind][draw.integers(len(known[kind]))]
            name = f"{folder}/file"
        else:
            before, name = frames(folder, draw) if kind == FRAMES else plane(folder, draw), "file"
            name = f"{folder}/{name}"
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            content = mutated(before, mutation, draw)
        yield Mutant(name, content, kind, mutation, before, beside)


def mutated(content: bytes, mutation: str, draw: Draw) -> bytes:
    """``content`` with one mutation."""
    if mutation == "truncated":
        return damage.truncated(content, draw)
    if mutation == "bits flipped":
        return damage.flipped(content, draw)
    if mutation == "header bits flipped":
        return damage.flipped(content, draw, content.rfind(b"\xe0\x7f\x10\x00"))
    if mutation == "length":
        return _length(content, draw)
    data = pydicom.dcmread(io.BytesIO(content), force=True)
    if mutation == "transfer syntax":
        data.file_meta.TransferSyntaxUID = str(draw.choice(np.array(_SYNTAXES)))
        return _meta_only(content, data)
    if mutation == "missing element":
        elements = [e for e in _elements(data) if e[1].keyword in _NOTED or draw.random() < 0.05]
        for at in draw.permutation(len(elements))[: draw.integers(1, 3)]:
            owner, element = elements[at]
            if element.tag in owner:
                del owner[element.tag]
        return written(data)
    inside = mutation == "value in a sequence"
    elements = [
        (owner, element)
        for owner, element in _elements(data)
        if (owner is not data) == inside and element.VR not in ("SQ", "OW", "OB")
    ] or [(data, data["Rows"])]
    noted = [one for one in elements if one[1].keyword in _NOTED]
    chosen = noted if noted and draw.random() < 0.8 else elements
    return _with_value(data, chosen[draw.integers(len(chosen))], draw)


def expected(source: Path, mutants: dict[str, Mutant]) -> Expected:
    """pydicom's reading of slices and frames, nibabel's of mosaics."""

    def read(paths: Sequence[Path]) -> reference.Scan:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kinds = {mutants[n].kind for p in paths if (n := str(p.relative_to(source))) in mutants}
            if MOSAIC in kinds:
                return reference.by_mosaic(paths[0])
            if FRAMES in kinds:
                return reference.by_frames(paths[0])
            return reference.by_pydicom(paths)

    return read


def _meta_only(content: bytes, data: FileDataset) -> bytes:
    """The pixels and elements as they were, behind another first part."""
    whole = pydicom.dcmread(io.BytesIO(content), force=True)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, whole)
    old = bytes(whole.file_meta.TransferSyntaxUID.encode())
    new = str(data.file_meta.TransferSyntaxUID).encode()
    new = (new + b"\0" * (len(new) % 2)).ljust(len(old) + len(old) % 2, b"\0")
    at = buffer.getvalue().find(old)
    return buffer.getvalue()[:at] + new[: len(old) + 1] + buffer.getvalue()[at + len(old) + 1 :]


def _elements(data: Dataset) -> list[tuple[Dataset, pydicom.DataElement]]:
    found = []
    for element in data:
        if element.VR == "SQ":
            for item in element.value:
                found += _elements(item)
        else:
            found.append((data, element))
    return found


def _with_value(
    data: FileDataset, chosen: tuple[Dataset, pydicom.DataElement], draw: Draw
) -> bytes:
    """An element with another value, as raw bytes: pydicom would refuse to write it."""
    owner, element = chosen
    kinds = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FD": "f8", "FL": "f4"}
    if element.VR in kinds:
        kind = np.dtype("<" + kinds[element.VR])
        fraction = kind.kind == "f"
        value = damage.odd_fraction(draw) if fraction else damage.odd_whole(draw, 8 * kind.itemsize)
        if kind.kind == "u":
            value = int(value) % 2 ** (8 * kind.itemsize)
        with np.errstate(over="ignore"):
            raw = np.array(value).astype(kind).tobytes()
    else:
        word = str(draw.choice(np.array(_WORDS)))
        if element.VM > 1 and draw.random() < 0.5:
            word = "\\".join([word] * element.VM)
        raw = word.encode() + b" " * (len(word) % 2)
    owner[element.tag] = RawDataElement(
        element.tag, element.VR, len(raw), raw, 0, is_implicit_VR=False, is_little_endian=True
    )
    return written(data)


def _length(content: bytes, draw: Draw) -> bytes:
    """The length of one of the elements in the header, as it stands in the file."""
    data = pydicom.dcmread(io.BytesIO(content), force=True)
    tags = [element.tag for element in data]
    tag = tags[draw.integers(len(tags))]
    word = tag.group.to_bytes(2, "little") + tag.elem.to_bytes(2, "little")
    at = content.find(word)
    if at < 0:
        return damage.flipped(content, draw, 1000)
    changed = bytearray(content)
    new = int(draw.choice(np.array([0, 1, 3, 254, 255, 65534, 65535])))
    changed[at + 6 : at + 8] = new.to_bytes(2, "little")
    if draw.random() < 0.3:
        changed[at + 8 : at + 12] = b"\xff\xff\xff\xff"
    return bytes(changed)
