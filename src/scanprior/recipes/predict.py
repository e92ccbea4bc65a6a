"""Prediction: label maps of new scans, on the scans' own voxel grids."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from scanprior.contracts import InputError
from scanprior.data import geometry, sources
from scanprior.data.files import write_label
from scanprior.data.prepare import Prepare, apply_steps
from scanprior.data.sources import Case
from scanprior.predict import probabilities
from scanprior.recipes.finetune import load_segmenter

ENDINGS = (".nii.gz", ".png")
"""Of the label map of a scan, and of a photograph."""


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Predict label maps with a fine-tuned model, as NIfTI files (PNG of photographs) named as the
    cases."""

    run: Path
    """Folder of a fine-tuning run."""
    source: Path
    """Whatever `prepare` reads: a data set, a folder of scans, one scan."""
    out: Path
    """Folder to write; a case that has its file there already is left as it is."""
    format: str | None = None
    """The source's format, where it is not recognised."""
    cases: tuple[str, ...] = ()
    """Only these cases, by id; all by default."""
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
    learner, about = load_segmenter(recipe.run)
    axes = len(about["spacing"])
    if not set(recipe.mirror) <= set(range(axes)):
        raise InputError(
            f"mirror {recipe.mirror} names an axis that is not there; use 0 to {axes - 1}."
        )
    steps = dataclasses.replace(
        Prepare.from_json(about["prepared"]), source=recipe.source, format=recipe.format
    )
    spacing = tuple(about["resolved_spacing"]) if about["resolved_spacing"] else None
    crop = tuple(about["crop"])
    cases = _chosen(sources.find(recipe.source, recipe.format, steps), recipe)
    recipe.out.mkdir(parents=True, exist_ok=True)
    due = [
        case for case in cases if not any((recipe.out / f"{case.id}{e}").exists() for e in ENDINGS)
    ]
    rejected: dict[str, str] = {}
    for case in track(due, "predicting", console=Console(stderr=True), transient=True):
        try:
            image, _ = dataclasses.replace(case, label=None).read()
            prepared = apply_steps(steps, image, None, spacing)
            if prepared.image.array.shape[0] != about["in_channels"]:
                raise InputError(
                    f"it has {prepared.image.array.shape[0]} channels, the model was trained on "
                    f"{about['in_channels']}; give the same modalities."
                )
        except InputError as error:
            rejected[case.id] = str(error)
            continue
        found = probabilities(
            learner,
            torch.from_numpy(prepared.image.array),
            crop,
            overlap=recipe.overlap,
            mirror=recipe.mirror,
        )
        label = geometry.to_source(found.numpy(), prepared.geometry)
        ending = ENDINGS[image.affine is None]
        temporary = recipe.out / f".tmp.{case.id}{ending}"
        write_label(temporary, label, image.affine)
        os.replace(temporary, recipe.out / f"{case.id}{ending}")
    if cases and len(rejected) == len(cases):
        raise InputError(f"no case could be predicted; the first: {next(iter(rejected.values()))}")
    return {
        "out": str(recipe.out),
        "predicted": len(due) - len(rejected),
        "unchanged": len(cases) - len(due),
        "rejected": rejected,
    }


def _chosen(cases: list[Case], recipe: Predict) -> list[Case]:
    unknown = set(recipe.cases) - {case.id for case in cases}
    if unknown:
        raise InputError(
            f"{recipe.source} holds no case {sorted(unknown)[0]!r}; look at its names."
        )
    return [case for case in cases if not recipe.cases or case.id in recipe.cases]
