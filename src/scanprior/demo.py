"""The main job from end to end: does pretraining help when ten scans are labelled?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from scanprior import pretext
from scanprior.console import console, say
from scanprior.contracts import InputError
from scanprior.data import download
from scanprior.data.files import read_image, read_label
from scanprior.data.phantom import write_decathlon
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.fit import Training
from scanprior.metrics.intervals import bootstrap_interval
from scanprior.recipes.begin import check_numbers
from scanprior.recipes.evaluate import Evaluate, run_evaluate
from scanprior.recipes.finetune import Finetune, finetune
from scanprior.recipes.predict import Predict, predict
from scanprior.recipes.pretrain import Pretrain, pretrain
from scanprior.recipes.shown import shown
from scanprior.report import write_report
from scanprior.saved import write_json


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Prepare, pretrain, fine-tune from scratch and from the encoder, predict, evaluate, report."""

    data: Path | None = None
    """A data set in the Medical Segmentation Decathlon's layout; by default its hippocampus task,
    where it is at hand or can be fetched, else a phantom."""
    out: Path = Path("demo")
    """Folder to write; a second run reuses what is there."""
    task: str = "voxels"
    """The pretext task; rate and batch size of its training were chosen for voxels."""
    labels: int = 10
    """Labelled scans to fine-tune on."""
    pretrain_steps: int = 600
    """Steps of pretraining."""
    finetune_steps: int = 150
    """Steps of fine-tuning, the same for both starts."""
    seed: int = 0
    """Of split, weights and crops."""


def run_demo(recipe: Demo) -> dict[str, Any]:
    """Run everything, print a table and leave ``report`` in the folder."""
    check_numbers(seed=recipe.seed)
    out, store = recipe.out, recipe.out / "store"
    source = _source(recipe)
    run_prepare(Prepare(source=source, store=store))
    split = _split(recipe)
    say(f"Pretraining ({recipe.task}) on images only")
    training = Training(steps=recipe.pretrain_steps, batch_size=4, lr=4e-3)
    task, run = pretext.find(recipe.task)(), out / recipe.task
    pretraining = Pretrain(store=store, out=run, task=task, seed=recipe.seed, training=training)
    trained = pretrain(pretraining)
    starts = {"scratch": "scratch", recipe.task: str(run)}
    found = {name: _start(recipe, source, split, name, start) for name, start in starts.items()}
    rows = [_row(recipe, name, *result) for name, result in found.items()]
    gain = found[recipe.task][0] - found["scratch"][0]
    low, high = bootstrap_interval(gain, seed=0)
    _print(rows)
    # the minutes are the training's own, so that they stay true when a second run reuses it
    note = (
        f"Paired difference over {len(gain)} held-out cases: {gain.mean():+.4f} "
        f"({low:+.4f} to {high:+.4f}); one seed and one split, so a hint, not a study. Both starts "
        f"had {recipe.finetune_steps} steps and the same {len(split.validation)} validation cases; "
        f"pretraining took {trained['seconds'] / 60:.2f} minutes more."
    )
    say(note)
    write_report(
        out / "report",
        title=f"{recipe.labels} labels, from scratch and after {recipe.task}",
        table=rows,
        curves={n: out / f"finetuned_{n}" / "metrics.jsonl" for n in found},
        overlays=[_overlay(source, out, split.test[0], list(found))],
        views={recipe.task: shown(pretraining)},
        note=note,
    )
    say(f"Report: {out / 'report' / 'report.md'}")
    result = {
        "rows": rows,
        "difference": round(float(gain.mean()), 4),
        "interval": [round(low, 4), round(high, 4)],
        "cases": len(gain),
        "pretraining_steps": recipe.pretrain_steps,
        "finetuning_steps": recipe.finetune_steps,
    }
    write_json(out / "report" / "result.json", result)
    return result | {"report": str(out / "report")}


def _split(recipe: Demo) -> Split:
    store = recipe.out / "store"
    if not (store / "split.json").is_file():
        split = Split.make(list(Store(store)), validation=0.05, test=0.25, seed=recipe.seed)
        split.save(store / "split.json")
    return Split.load(store / "split.json")


def _start(
    recipe: Demo, source: Path, split: Split, name: str, start: str
) -> tuple[np.ndarray, float]:
    """Fine-tune from a start and predict the test part: Dice of each case, minutes of training."""
    say(f"Fine-tuning on {recipe.labels} labels from {name}")
    model, predictions = (recipe.out / f"{what}_{name}" for what in ("finetuned", "predictions"))
    trained = finetune(
        Finetune(
            store=recipe.out / "store",
            out=model,
            start=start,
            labels=recipe.labels,
            validate_every=max(1, recipe.finetune_steps // 5),
            seed=recipe.seed,
            training=Training(steps=recipe.finetune_steps, batch_size=2, lr=8e-3),
        )
    )
    predict(Predict(run=model, source=source, out=predictions, cases=split.test))
    table = recipe.out / f"metrics_{name}.csv"
    run_evaluate(Evaluate(predictions=predictions, labels=source / "labelsTr", out=table))
    dice = np.asarray(pd.read_csv(table).groupby("case")["dice"].mean(), float)
    return dice, trained["seconds"] / 60


def _row(recipe: Demo, name: str, dice: np.ndarray, minutes: float) -> dict[str, Any]:
    low, high = bootstrap_interval(dice, seed=0)
    return {
        "start": name,
        "labels": recipe.labels,
        "Dice": round(float(dice.mean()), 4),
        "95 % interval": f"{low:.4f} to {high:.4f}",
        "fine-tuning minutes": round(minutes, 2),
    }


def _source(recipe: Demo) -> Path:
    if recipe.data is not None:
        return recipe.data
    for folder in (Path("../shared/data") / download.NAME, download.cached()):
        if (folder / "dataset.json").is_file():
            return folder
    phantom = recipe.out / "phantom"
    if not (phantom / "dataset.json").is_file():
        try:
            return download.download()
        except InputError as error:
            say(f"{error} Going on with a synthetic phantom: its numbers mean nothing.")
        write_decathlon(phantom, labelled=80, unlabelled=60, seed=0)
    return phantom


def _overlay(source: Path, out: Path, case: str, starts: list[str]) -> dict[str, Any]:
    image = read_image([source / "imagesTr" / f"{case}.nii.gz"])
    predictions = {n: read_label(out / f"predictions_{n}" / f"{case}.nii.gz") for n in starts}
    return {
        "case": case,
        "image": image.array[0],
        "label": read_label(source / "labelsTr" / f"{case}.nii.gz").array[0],
        "predictions": {name: label.array[0] for name, label in predictions.items()},
    }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(str, row.values()))
    console().print(table)
