"""What every kind of source is reduced to: a list of cases."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.files import read_affine, read_image, read_label
from scanprior.data.geometry import sheared, straightened
from scanprior.data.grids import on_grid_of
from scanprior.data.image import Image
from scanprior.data.pairs import parts

_LONGEST = 200
"""Bytes of an id: file systems take 255, of which the endings of stored files need some."""
Partition = Literal["train", "val", "test", "unlabelled"]


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What a user may say about a source that its files do not."""

    modalities: tuple[str, ...] = ()
    """Parts of file names, in the order of the channels, for a folder a case (Flair T1c)."""
    preset: str | None = None
    """brats2018 or brats2015: the usual modalities and label of those challenges."""
    label: str | None = None
    """Part of the label map's file name: for a folder a case, seg or OT when not given; among
    DICOM's segmentations, where a series has several."""
    image_key: str | None = None
    """The image's array in an HDF5 file (volume/raw); found by its name when not given."""
    label_key: str | None = None
    """The same for the label map's array."""
    grades: Path | None = None
    """The CSV with a grade for each photograph; the folder's only CSV when not given."""
    image_column: str | None = None
    """The CSV's column of images; image or id_code when not given."""
    grade_column: str | None = None
    """The CSV's column of grades; grade or diagnosis when not given."""
    patient: str | None = None
    """Regular expression that finds the patient in a case's id; each case is one when not given."""
    fourth_axis: Literal["channels", "times"] | None = None
    """What several volumes of one scan are: channels of one image, or times, a case each. When not
    given: channels of a file with four axes, times of a DICOM series."""
    straighten: bool = False
    """Resample what lies askew (a tilted gantry, a sheared affine, slices at varying distances)
    onto an upright grid; such scans are refused otherwise."""


@dataclass(frozen=True)
class Case:
    """One image of a source, not yet read. It can be sent to another process."""

    id: str
    images: tuple[Path, ...]
    """One file, or one file a channel."""
    label: Path | None
    grade: int | None
    patient: str
    partition: Partition
    load: "Callable[[Case], tuple[Image, Image | None]]"
    """How it is read: a function of a module, so that it can be sent."""
    row: int | None = None
    """Which image of the file it is, where the file holds many."""
    straighten: bool = False
    """Whether what lies askew is resampled; it is refused otherwise."""
    shown: tuple[str, ...] | None = None
    """What records call ``images``, where their own names may say who the patient is."""
    label_shown: str | None = None
    """The same for ``label``."""
    place: tuple[tuple[float, ...], ...] | None = None
    """The affine, where one file's header does not tell it."""
    remarks: tuple[str, ...] = ()
    """What is odd about where it was found, and what to do, without the patient."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files it is read from, the data of a header included."""
        images = self.images
        if self.shown is None:
            images = tuple(part for path in images for part in parts(path))
        return images if self.label is None else (*images, *parts(self.label))

    @property
    def called(self) -> str:
        """The image in a sentence, without the patient."""
        if self.shown is None:
            return str(self.images[0])
        first, *more = self.shown
        others = f" and {len(more)} more" if more else ""
        return f"{self.id} ({first}{others})"

    def stamp(self) -> Any:
        """What changes when a file does: names, sizes and times as JSON has them.

        A hash of them where names must not be shown. Raises ``OSError`` for a file that is gone.
        """
        listed = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in self.files]
        if self.shown is None:
            return json.loads(json.dumps(listed))
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def affine(self) -> np.ndarray | None:
        """Voxel to mm as the headers say, nothing decoded; None for a photograph.

        Raises :class:`InputError` for a header that cannot be read.
        """
        if self.place is not None:
            return np.array(self.place, dtype=float)
        return None if self.shown is not None else read_affine(self.images[0])

    def read(self) -> tuple[Image, Image | None]:
        """The image and its label map, on the same grid, its axes at right angles.

        Raises :class:`InputError` naming the file that cannot be used.
        """
        image, label = self.load(self)
        if image.affine is None or not sheared(image.affine):
            return image, label
        if not self.straighten:
            raise InputError(
                f"{self.called} lies askew (its axes are {sheared(image.affine):.1f} degrees off "
                "right angles: a tilted gantry or a sheared affine); resample it with --straighten."
            )
        try:
            return straightened(image, 1), label and straightened(label, 0)
        except InputError as error:
            raise InputError(f"{self.called}: {error}") from error

    def file_hashes(self) -> str | list[str] | None:
        """Of the bytes of each image file; None where the file holds many images or the image many
        files. Raises ``OSError`` for a file that is gone."""
        if self.row is not None or self.shown is not None:
            return None
        hashes = [file_hash(*parts(path)) for path in self.images]
        return hashes[0] if len(hashes) == 1 else hashes


class Found(NamedTuple):
    """What a source holds."""

    cases: list[Case]
    left_out: tuple[str, ...] = ()
    """What was seen and is in no case: a few words of each kind, without the patient."""


def from_files(case: Case) -> tuple[Image, Image | None]:
    """Read a case whose files are its own; ``row`` is a time point, where there is one."""
    image = read_image(case.images, case.row)
    if case.label is None:
        return image, None
    label = read_label(case.label)
    return image, on_grid_of(image, case.images[0], label, case.label)


def file_hash(*paths: Path) -> str:
    """SHA-256 of a file, or of the hashes of several that belong together."""
    hashes = []
    for path in paths:
        with path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def case_of(
    name: str,
    images: tuple[Path, ...],
    options: SourceOptions,
    *,
    label: Path | None = None,
    grade: int | None = None,
    partition: Partition | None = None,
    load: Callable[[Case], tuple[Image, Image | None]] = from_files,
    row: int | None = None,
) -> Case:
    """A case with an id that can be a file's name, and the patient that the options find in it.

    Of a name too long for the files that are called after the case its beginning and a hash.
    """
    whole = re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "case"
    known = label is not None or grade is not None
    part: Partition = partition or ("train" if known else "unlabelled")
    identity = _short(whole)
    patient = identity if options.patient is None else patient_of(whole, options.patient)
    return Case(
        identity, images, label, grade, patient, part, load, row, straighten=options.straighten
    )


def _short(identity: str) -> str:
    told = identity.encode()
    if len(told) <= _LONGEST:
        return identity
    digest = hashlib.sha256(told).hexdigest()[:16]
    return f"{told[: _LONGEST - 17].decode(errors='ignore')}_{digest}"


def patient_of(identity: str, pattern: str) -> str:
    """What ``pattern`` (a regular expression; its first group, if any) finds in an id."""
    try:
        found = re.search(pattern, identity)
    except re.error as error:
        raise InputError(
            f"patient {pattern!r} is no regular expression ({error}); use one as '^(P[0-9]+)_'."
        ) from error
    if found is None:
        raise InputError(
            f"patient {pattern!r} finds nothing in the case {identity!r}; "
            "use a regular expression that fits every case."
        )
    return found.group(1) if found.groups() else found.group()
