"""What a prediction leaves: label maps, DICOM segmentations beside them, or a table of grades."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from scanprior.contracts import InputError, Learner
from scanprior.data import geometry
from scanprior.data.files import write_label
from scanprior.data.image import Image
from scanprior.data.prepare import Prepared
from scanprior.data.sources import Case
from scanprior.data.sources.dicom_read import frames_of
from scanprior.data.sources.dicom_seg_write import segmentation, write_segmentation
from scanprior.predict import image_probabilities, probabilities
from scanprior.recipes.grades import row, write_table
from scanprior.saved import read_json, write_json
from scanprior.whole import replacing

ENDINGS = (".nii.gz", ".png")
"""Of the label map of a scan, and of a photograph."""


class Windows(TypedDict):
    """How windows go over an image: see :func:`scanprior.predict.probabilities`."""

    overlap: float
    mirror: tuple[int, ...]


@dataclass
class Answers(ABC):
    """What is made of the cases, and where it is kept."""

    out: Path
    learner: Learner
    crop: tuple[int, ...]
    windows: Windows

    def claim(self) -> None:
        """Make ``out``, or raise :class:`InputError` where it is another model's."""
        self.out.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def has(self, case: Case) -> bool:
        """Whether the case was predicted before."""

    @abstractmethod
    def add(self, case: Case, image: Image, prepared: Prepared) -> None:
        """Predict a case, as it was read and as it was prepared."""

    @abstractmethod
    def close(self) -> None:
        """After the last case."""


@dataclass(frozen=True)
class Segments:
    """The DICOM-SEG beside each label map; segments.json says what its segments are called."""

    out: Path
    names: tuple[str, ...]
    """Of the classes 1, 2, ..."""
    model: str
    """Hash of the weights."""

    def claim(self) -> None:
        """Say in ``out`` what they are called, or raise :class:`InputError` where it says
        otherwise."""
        path = self.out / "segments.json"
        if not path.is_file():
            write_json(path, self.names)
        elif read_json(path) != list(self.names):
            raise InputError(
                f"{self.out} holds segments of other names; choose another --out, or delete "
                "that folder."
            )

    def has(self, case: Case) -> bool:
        """Whether the case's segments were written before."""
        return (self.out / f"{case.id}.dcm").exists()

    def write(self, case: Case, image: Image, label: np.ndarray) -> None:
        """Write ``label``, which lies on the grid of ``image``; :class:`InputError` where no
        DICOM-SEG can be made of it."""
        frames = frames_of(case)
        if not frames:
            raise InputError(
                f"{case.called} does not say where in the body it lies, so there is no DICOM-SEG "
                "of it; predict it without --dicom-seg."
            )
        made = segmentation(frames, label, image, self.names, self.model)
        with replacing(self.out / f"{case.id}.dcm") as path:
            write_segmentation(path, made)


@dataclass
class MapFiles(Answers):
    """A file a case, on the case's own grid; model.json says whose they are."""

    model: str
    """Hash of the weights."""
    segments: Segments | None = None

    def claim(self) -> None:
        super().claim()
        path = self.out / "model.json"
        mine: dict[str, Any] = {"sha256": self.model, "overlap": self.windows["overlap"]}
        mine |= {"mirror": sorted(self.windows["mirror"])}
        if not path.is_file():
            write_json(path, mine)
        elif read_json(path) != mine:
            raise InputError(
                f"{self.out} holds label maps of another model, --overlap or --mirror; "
                "choose another --out, or delete that folder."
            )
        if self.segments is not None:
            self.segments.claim()

    def has(self, case: Case) -> bool:
        maps = any((self.out / f"{case.id}{ending}").exists() for ending in ENDINGS)
        return maps and (self.segments is None or self.segments.has(case))

    def add(self, case: Case, image: Image, prepared: Prepared) -> None:
        found = probabilities(self.learner, _pixels(prepared), self.crop, **self.windows)
        label = geometry.to_source(found.numpy(), prepared.geometry)
        if self.segments is not None:  # first, for it may be refused
            self.segments.write(case, image, label)
        ending = ENDINGS[image.affine is None]
        with replacing(self.out / f"{case.id}{ending}") as path:
            write_label(path, label, image.affine)

    def close(self) -> None:
        """Every file is there already."""


@dataclass
class GradeTable(Answers):
    """One predictions.csv, written anew: rows of two models are never in one table."""

    rows: list[dict[str, Any]] = field(default_factory=list, init=False)

    def has(self, case: Case) -> bool:
        return False

    def add(self, case: Case, image: Image, prepared: Prepared) -> None:
        likely = image_probabilities(self.learner, _pixels(prepared), self.crop, **self.windows)
        self.rows.append(row(self.learner, case.id, likely, case.grade))

    def close(self) -> None:
        write_table(pd.DataFrame(self.rows), self.out / "predictions.csv")


def _pixels(prepared: Prepared) -> Tensor:
    return torch.from_numpy(prepared.image.array)
