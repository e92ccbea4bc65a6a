"""What a prediction leaves: label maps, DICOM segmentations beside them, or a table of grades."""

from abc import ABC, abstractmethod
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
from scanprior.data.label_names import label_names
from scanprior.data.prepare import Prepared
from scanprior.data.sources import Case
from scanprior.data.sources.case import file_hash
from scanprior.data.sources.dicom import frames_of
from scanprior.data.sources.dicom_seg_write import segmentation, write_segmentation
from scanprior.data.store import Store
from scanprior.downstream.segmentation import Segmentation
from scanprior.predict import image_probabilities, probabilities
from scanprior.recipes.finetuned import weights_of
from scanprior.recipes.grades import row, write_table
from scanprior.saved import read_json, write_json
from scanprior.whole import replacing

ENDINGS = (".nii.gz", ".png")
"""Of the label map of a scan, and of a photograph."""


class Windows(TypedDict):
    """How windows go over an image: see :func:`scanprior.predict.probabilities`."""

    overlap: float
    mirror: tuple[int, ...]


class Answers(ABC):
    """What is made of the cases, and where it is kept."""

    def __init__(
        self, run: Path, out: Path, learner: Learner, crop: tuple[int, ...], windows: Windows
    ):
        self.run, self.out = run, out
        self.learner, self.crop, self.windows = learner, crop, windows

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


class MapFiles(Answers):
    """A file a case, on the case's own grid; model.json says whose they are."""

    def claim(self) -> None:
        super().claim()
        path = self.out / "model.json"
        self.model = file_hash(weights_of(self.run))
        mine: dict[str, Any] = {"sha256": self.model, "overlap": self.windows["overlap"]}
        mine |= {"mirror": sorted(self.windows["mirror"])}
        if not path.is_file():
            write_json(path, mine)
        elif read_json(path) != mine:
            raise InputError(
                f"{self.out} holds label maps of another model, --overlap or --mirror; "
                "choose another --out, or delete that folder."
            )

    def has(self, case: Case) -> bool:
        return any((self.out / f"{case.id}{ending}").exists() for ending in ENDINGS)

    def add(self, case: Case, image: Image, prepared: Prepared) -> None:
        found = probabilities(self.learner, _pixels(prepared), self.crop, **self.windows)
        self.keep(case, image, geometry.to_source(found.numpy(), prepared.geometry))

    def keep(self, case: Case, image: Image, label: np.ndarray) -> None:
        """Write a case's label map ``(*s)``, which lies on the grid of ``image``."""
        ending = ENDINGS[image.affine is None]
        with replacing(self.out / f"{case.id}{ending}") as path:
            write_label(path, label, image.affine)

    def close(self) -> None:
        """Every file is there already."""


class SegmentFiles(MapFiles):
    """A DICOM-SEG beside each map; segments.json says what its segments are called."""

    def __init__(self, *given: Any, class_names: tuple[str, ...]):
        super().__init__(*given)
        self.class_names = class_names

    def claim(self) -> None:
        assert isinstance(self.learner.task, Segmentation)
        classes = self.learner.task.classes - 1
        names = list(self.class_names) or _known_names(self.run, classes)
        if len(names) != classes:
            raise InputError(
                f"{len(names)} class names do not suit a model of {classes} classes; give one for "
                "each, but for the background."
            )
        super().claim()
        path = self.out / "segments.json"
        if not path.is_file():
            write_json(path, names)
        elif read_json(path) != names:
            raise InputError(
                f"{self.out} holds segments of other names; choose another --out, or delete "
                "that folder."
            )
        self.names = names

    def has(self, case: Case) -> bool:
        return super().has(case) and (self.out / f"{case.id}.dcm").exists()

    def keep(self, case: Case, image: Image, label: np.ndarray) -> None:
        frames = frames_of(case)
        if not frames:
            raise InputError(
                f"{case.called} does not say where in the body it lies, so there is no DICOM-SEG "
                "of it; predict it without --dicom-seg."
            )
        made = segmentation(frames, label, image, self.names, self.model)
        super().keep(case, image, label)
        with replacing(self.out / f"{case.id}.dcm") as path:
            write_segmentation(path, made)


class GradeTable(Answers):
    """One predictions.csv, written anew: rows of two models are never in one table."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.rows: list[dict[str, Any]] = []

    def has(self, case: Case) -> bool:
        return False

    def add(self, case: Case, image: Image, prepared: Prepared) -> None:
        likely = image_probabilities(self.learner, _pixels(prepared), self.crop, **self.windows)
        self.rows.append(row(self.learner, case.id, likely, case.grade))

    def close(self) -> None:
        write_table(pd.DataFrame(self.rows), self.out / "predictions.csv")


def _known_names(run: Path, classes: int) -> list[str]:
    """Of the classes 1, 2, ... of a fine-tuning run, as far as its store's source names them."""
    known: dict[str, str] = {}
    path = run / "recipe.json"
    if path.is_file() and (Path(read_json(path)["store"]) / "index.json").is_file():
        known = label_names(Store(Path(read_json(path)["store"])))
    return [known.get(str(value), f"class {value}") for value in range(1, classes + 1)]


def _pixels(prepared: Prepared) -> Tensor:
    return torch.from_numpy(prepared.image.array)
