"""What every kind of source is reduced to: a list of cases."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scanprior.contracts import InputError
from scanprior.data.files import check_same_grid, read_image, read_label
from scanprior.data.image import Image

Partition = Literal["train", "val", "test", "unlabelled"]


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What a user may say about a source that its files do not."""

    modalities: tuple[str, ...] = ()
    """Parts of file names, in the order of the channels, for a folder a case (Flair T1c)."""
    preset: str | None = None
    """brats2018 or brats2015: the usual modalities and label of those challenges."""
    label: str | None = None
    """Part of the label map's file name, for a folder a case; seg or OT when not given."""
    grades: Path | None = None
    """The CSV with a grade for each photograph; the folder's only CSV when not given."""
    image_column: str | None = None
    """The CSV's column of images; image or id_code when not given."""
    grade_column: str | None = None
    """The CSV's column of grades; grade or diagnosis when not given."""
    patient: str | None = None
    """Regular expression that finds the patient in a case's id; each case is one when not given."""


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

    @property
    def files(self) -> tuple[Path, ...]:
        """All files it is read from."""
        return self.images if self.label is None else (*self.images, self.label)

    def read(self) -> tuple[Image, Image | None]:
        """The image and its label map, on the same grid.

        Raises :class:`InputError` naming the file that cannot be used.
        """
        return self.load(self)

    def sha256(self, image: Image) -> str | list[str]:
        """Of the bytes of each image file; of the pixels, where the file holds many images."""
        if self.row is not None:
            return hashlib.sha256(image.array.tobytes()).hexdigest()
        hashes = [file_hash(path) for path in self.images]
        return hashes[0] if len(hashes) == 1 else hashes


def from_files(case: Case) -> tuple[Image, Image | None]:
    """Read a case whose files are its own."""
    image = read_image(case.images)
    if case.label is None:
        return image, None
    label = read_label(case.label)
    check_same_grid(image, case.images[0], label, case.label)
    return image, label


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    """A case with an id that can be a file's name, and the patient that the options find in it."""
    identity = re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "case"
    known = label is not None or grade is not None
    part: Partition = partition or ("train" if known else "unlabelled")
    return Case(
        identity, images, label, grade, patient_of(identity, options.patient), part, load, row
    )


def patient_of(identity: str, pattern: str | None) -> str:
    """The id, or what ``pattern`` (a regular expression; its first group, if any) finds in it."""
    if pattern is None:
        return identity
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
