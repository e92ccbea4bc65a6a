"""Prediction: a fine-tuned model's label maps on the grids of the scans, or its grades in a CSV.

With ``dicom_seg`` a label map is a DICOM Segmentation too. By the standard that carries the name,
number, birth date and study of the patient it was made for: it is the one thing that scanprior
writes with them, only where it is asked to, and only to ``out``.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scanprior.console import counted
from scanprior.contracts import InputError, Learner
from scanprior.data import sources
from scanprior.data.image import Image
from scanprior.data.prepare import Prepare, Prepared, apply_steps
from scanprior.data.sources import Case, SourceOptions
from scanprior.data.sources.case import file_hash
from scanprior.data.sources.dicom_seg_write import check_installed
from scanprior.data.sources.untouched import check_outside
from scanprior.data.unnamed import spoken
from scanprior.downstream.classification import Classification
from scanprior.downstream.segmentation import Segmentation
from scanprior.recipes.answers import Answers, GradeTable, MapFiles, Segments, Windows
from scanprior.recipes.finetuned import class_names, load_finetuned, weights_of


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
    straighten: bool = False
    """Resample what lies askew (a tilted gantry, a sheared affine, slices at varying distances)
    onto an upright grid; such scans are refused otherwise. The NIfTI label map then lies on the
    upright grid, not on the scan's own."""
    mirror: tuple[int, ...] = ()
    """Axes (0 superior, 1 anterior, 2 right) to mirror and average over."""
    dicom_seg: bool = False
    """Of a DICOM source, write each label map as a DICOM Segmentation too. Unlike all else it
    holds the patient's name, number and dates, for it must match the study."""
    class_names: tuple[str, ...] = ()
    """Of the segments 1, 2, ...; by default as the dataset.json that the model was trained on has
    them, else class 1, class 2, ... ."""


def predict(recipe: Predict) -> dict[str, Any]:
    """Run the recipe; a case that cannot be read is reported, the others go on.

    Returns ``predicted``, ``unchanged`` and ``rejected`` (id to reason).
    """
    if not 0 <= recipe.overlap < 1:
        raise InputError(f"overlap {recipe.overlap} is impossible; use 0 or more and less than 1.")
    check_outside(recipe.out, recipe.source, "--out")
    if recipe.dicom_seg:
        check_installed()
    elif recipe.class_names:
        raise InputError("class names are for segments; add --dicom-seg, or leave them out.")
    learner, about = load_finetuned(recipe.run)
    axes = len(about["spacing"])
    if not set(recipe.mirror) <= set(range(axes)):
        raise InputError(
            f"mirror {recipe.mirror} names an axis that is not there; use 0 to {axes - 1}."
        )
    steps = Prepare.from_json(about["prepared"])  # what it says of files is of the training's
    cases = _chosen(sources.find(recipe.source, recipe.format, recipe), recipe)
    if recipe.dicom_seg and any(case.shown is None for case in cases):
        raise InputError(
            f"{recipe.source} is not DICOM, so no DICOM-SEG can refer to it; leave out --dicom-seg."
        )
    answers = _answers(recipe, learner, about)
    answers.claim()
    due = [case for case in cases if not answers.has(case)]
    rejected: dict[str, str] = {}
    for case in counted(due, "predicting"):
        try:
            image, _ = dataclasses.replace(case, label=None).read()
            prepared = _fitting(case, image, steps, about)
            answers.add(case, image, prepared)
        except InputError as error:
            rejected[case.id] = str(error)
    if len(rejected) == len(cases):
        raise InputError(f"no case could be predicted; the first: {next(iter(rejected.values()))}")
    answers.close()
    return {
        "out": str(recipe.out),
        "predicted": len(due) - len(rejected),
        "unchanged": len(cases) - len(due),
        "rejected": rejected,
    }


def _answers(recipe: Predict, learner: Learner, about: dict[str, Any]) -> Answers:
    windows = Windows(overlap=recipe.overlap, mirror=recipe.mirror)
    given = (recipe.out, learner, tuple(about["crop"]), windows)
    if isinstance(learner.task, Segmentation):
        model, segments = file_hash(weights_of(recipe.run)), None
        if recipe.dicom_seg:
            names = _names(recipe, about, learner.task.classes)
            segments = Segments(recipe.out, names, model)
        return MapFiles(*given, model, segments)
    if isinstance(learner.task, Classification) and recipe.dicom_seg:
        raise InputError(f"{recipe.run} grades and draws nothing; leave out --dicom-seg.")
    if isinstance(learner.task, Classification):
        return GradeTable(*given)
    raise InputError(
        f"{type(learner.task).__name__} has no predictions to write; use segmentation or "
        "classification."
    )


def _names(recipe: Predict, about: dict[str, Any], classes: int) -> tuple[str, ...]:
    """Of all classes but the background."""
    names = recipe.class_names or class_names(recipe.run, about, classes)
    if len(names) != classes - 1:
        raise InputError(
            f"{len(names)} class names do not suit a model of {classes - 1} classes; give one for "
            "each, but for the background."
        )
    return names


def _fitting(case: Case, image: Image, steps: Prepare, about: dict[str, Any]) -> Prepared:
    """The image as the model's own were prepared; :class:`InputError` where it is of another
    kind."""
    axes, channels = len(about["spacing"]), about["in_channels"]
    spacing = tuple(about["resolved_spacing"]) if about["resolved_spacing"] else None
    try:
        prepared = apply_steps(steps, image, None, spacing)
    except InputError as error:
        raise InputError(f"{case.called}: {error}") from error
    if len(prepared.image.shape) != axes:
        raise InputError(
            f"{case.called} has {len(prepared.image.shape)} axes, the model was trained on {axes}; "
            "give images of as many."
        )
    if prepared.image.array.shape[0] != channels:
        raise InputError(
            f"{case.called} has {prepared.image.array.shape[0]} channels, the model was trained on "
            f"{channels}; give the same modalities."
        )
    return prepared


def _chosen(cases: list[Case], recipe: Predict) -> list[Case]:
    source = spoken(recipe.source, cases)
    unknown = set(recipe.cases) - {case.id for case in cases}
    if unknown:
        raise InputError(f"{source} holds no case {sorted(unknown)[0]!r}; look at its names.")
    chosen = [
        case
        for case in cases
        if (not recipe.cases or case.id in recipe.cases) and recipe.part in ("all", case.partition)
    ]
    if not chosen:
        raise InputError(f"{source} has no such case in its part {recipe.part}; use all.")
    return chosen
