"""Prediction: a fine-tuned model's label maps on the grids of the scans, or its grades in a CSV."""

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from scanprior.console import counted
from scanprior.contracts import InputError, Learner, Task
from scanprior.data import geometry, sources
from scanprior.data.files import write_label
from scanprior.data.image import Image
from scanprior.data.prepare import Prepare, Prepared, apply_steps
from scanprior.data.sources import Case, SourceOptions
from scanprior.data.sources.case import file_hash
from scanprior.downstream.classification import Classification
from scanprior.downstream.segmentation import Segmentation
from scanprior.predict import image_probabilities, probabilities
from scanprior.recipes.finetune import load_finetuned, weights_of
from scanprior.recipes.grades import row, write_table
from scanprior.saved import read_json, write_json
from scanprior.whole import replacing

ENDINGS = (".nii.gz", ".png")
"""Of the label map of a scan, and of a photograph."""


@dataclass(frozen=True, kw_only=True)
class Predict(SourceOptions):
    """Predict with a fine-tuned model: label maps as NIfTI files (PNG of photographs) named as the
    cases, or one predictions.csv of grades."""

    run: Path
    """Folder of a fine-tuning run."""
    source: Path
    """Whatever `prepare` reads: a data set, a folder of scans, one scan."""
    out: Path
    """Folder to write; a case that has its label map there already is left as it is, and a folder
    of another model's label maps is refused."""
    format: str | None = None
    """The source's format, where it is not recognised."""
    cases: tuple[str, ...] = ()
    """Only these cases, by id; all by default."""
    part: Literal["all", "train", "val", "test"] = "all"
    """Only the cases of this part of a source that comes with parts, such as MedMNIST."""
    overlap: float = 0.5
    """How much of a window its neighbour covers again."""
    mirror: tuple[int, ...] = ()
    """Axes (0 superior, 1 anterior, 2 right) to mirror and average over."""


def predict(recipe: Predict) -> dict[str, Any]:
    """Run the recipe; a case that cannot be read is reported, the others go on.

    Returns ``predicted``, ``unchanged`` and ``rejected`` (id to reason).
    """
    if not 0 <= recipe.overlap < 1:
        raise InputError(f"overlap {recipe.overlap} is impossible; use 0 or more and less than 1.")
    learner, about = load_finetuned(recipe.run)
    axes = len(about["spacing"])
    if not set(recipe.mirror) <= set(range(axes)):
        raise InputError(
            f"mirror {recipe.mirror} names an axis that is not there; use 0 to {axes - 1}."
        )
    steps = Prepare.from_json(about["prepared"])  # what it says of files is of the training's
    spacing = tuple(about["resolved_spacing"]) if about["resolved_spacing"] else None
    cases = _chosen(sources.find(recipe.source, recipe.format, recipe), recipe)
    answers = _answers(learner.task)(recipe, learner, tuple(about["crop"]))
    answers.claim()
    due = [case for case in cases if not answers.has(case)]
    rejected: dict[str, str] = {}
    for case in counted(due, "predicting"):
        try:
            image, _ = dataclasses.replace(case, label=None).read()
            prepared = apply_steps(steps, image, None, spacing)
            if len(prepared.image.shape) != axes:
                raise InputError(
                    f"it has {len(prepared.image.shape)} axes, the model was trained on {axes}; "
                    "give images of as many."
                )
            if prepared.image.array.shape[0] != about["in_channels"]:
                raise InputError(
                    f"it has {prepared.image.array.shape[0]} channels, the model was trained on "
                    f"{about['in_channels']}; give the same modalities."
                )
        except InputError as error:
            rejected[case.id] = str(error)
            continue
        answers.add(case, image, prepared)
    if len(rejected) == len(cases):
        raise InputError(f"no case could be predicted; the first: {next(iter(rejected.values()))}")
    answers.close()
    return {
        "out": str(recipe.out),
        "predicted": len(due) - len(rejected),
        "unchanged": len(cases) - len(due),
        "rejected": rejected,
    }


class Answers(ABC):
    """What is made of the cases, and where it is kept."""

    def __init__(self, recipe: Predict, learner: Learner, crop: tuple[int, ...]):
        self.recipe, self.learner, self.crop = recipe, learner, crop
        self.windows: dict[str, Any] = {"overlap": recipe.overlap, "mirror": recipe.mirror}

    def claim(self) -> None:
        """Make ``out``, or raise :class:`InputError` where it is another model's."""
        self.recipe.out.mkdir(parents=True, exist_ok=True)

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
        path = self.recipe.out / "model.json"
        weights = weights_of(self.recipe.run)
        mine = {"sha256": file_hash(weights), "overlap": self.recipe.overlap}
        mine |= {"mirror": sorted(self.recipe.mirror)}
        if not path.is_file():
            write_json(path, mine)
        elif read_json(path) != mine:
            raise InputError(
                f"{self.recipe.out} holds label maps of another model, --overlap or --mirror; "
                "choose another --out, or delete that folder."
            )

    def has(self, case: Case) -> bool:
        return any((self.recipe.out / f"{case.id}{ending}").exists() for ending in ENDINGS)

    def add(self, case: Case, image: Image, prepared: Prepared) -> None:
        found = probabilities(self.learner, _pixels(prepared), self.crop, **self.windows)
        label = geometry.to_source(found.numpy(), prepared.geometry)
        ending = ENDINGS[image.affine is None]
        with replacing(self.recipe.out / f"{case.id}{ending}") as path:
            write_label(path, label, image.affine)

    def close(self) -> None:
        """Every file is there already."""


class GradeTable(Answers):
    """One predictions.csv, written anew: rows of two models are never in one table."""

    def __init__(self, recipe: Predict, learner: Learner, crop: tuple[int, ...]):
        super().__init__(recipe, learner, crop)
        self.rows: list[dict[str, Any]] = []

    def has(self, case: Case) -> bool:
        return False

    def add(self, case: Case, image: Image, prepared: Prepared) -> None:
        likely = image_probabilities(self.learner, _pixels(prepared), self.crop, **self.windows)
        self.rows.append(row(self.learner, case.id, likely, case.grade))

    def close(self) -> None:
        write_table(pd.DataFrame(self.rows), self.recipe.out / "predictions.csv")


def _answers(task: Task) -> type[Answers]:
    if isinstance(task, Segmentation):
        return MapFiles
    if isinstance(task, Classification):
        return GradeTable
    raise InputError(
        f"{type(task).__name__} has no predictions to write; use segmentation or classification."
    )


def _pixels(prepared: Prepared) -> Tensor:
    return torch.from_numpy(prepared.image.array)


def _chosen(cases: list[Case], recipe: Predict) -> list[Case]:
    unknown = set(recipe.cases) - {case.id for case in cases}
    if unknown:
        raise InputError(
            f"{recipe.source} holds no case {sorted(unknown)[0]!r}; look at its names."
        )
    chosen = [
        case
        for case in cases
        if (not recipe.cases or case.id in recipe.cases) and recipe.part in ("all", case.partition)
    ]
    if not chosen:
        raise InputError(f"{recipe.source} has no such case in its part {recipe.part}; use all.")
    return chosen
