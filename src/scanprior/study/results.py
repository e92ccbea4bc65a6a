"""results.csv and cells.csv, made anew from the cells' folders by the study's one process."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanprior.fit.log import rows
from scanprior.study.jobs import Job, Plan
from scanprior.study.work import Status, status, write_csv

RESULTS = ["start", "labels", "seed", "part", "step", "case", "class", "metric", "value"]
CELLS = [
    "start",
    "labels",
    "seed",
    "status",
    "pretrain_minutes",
    "finetune_minutes",
    "pretrain_steps",
    "finetune_steps",
    "folder",
    "reason",
]
MEAN = "mean"
"""The case of a validation row."""


class Results:
    """The two tables of a study; folders of done cells are read once."""

    def __init__(self, plan: Plan, out: Path):
        self.plan, self.out = plan, out
        self.read: dict[Path, pd.DataFrame] = {}
        self.pretraining = {job.folder: job for job in plan.pretrainings}

    def write(self) -> None:
        """Replace both files, each whole or not at all; in the order of the plan's cells."""
        tables, cells = [], []
        for job in self.plan.cells:
            now = status(job)
            if now is None:
                continue
            cells.append(self._costs(job, now))
            if now.state == "done":
                tables.append(self._of(job))
        results = pd.concat(tables) if tables else pd.DataFrame(columns=RESULTS)
        write_csv(self.out / "results.csv", results)
        write_csv(self.out / "cells.csv", pd.DataFrame(cells, columns=CELLS))

    def score(self, job: Job) -> tuple[str, float]:
        """What a person wants to see of a done cell: mean Dice, or accuracy."""
        table = self._of(job)
        values = {
            name: np.asarray(
                table.loc[(table["part"] == "test") & (table["metric"] == name), "value"]
            )
            for name in ("dice", "truth", "prediction")
        }
        if len(values["truth"]):
            return "accuracy", float((values["truth"] == values["prediction"]).mean())
        return "Dice", float(values["dice"].mean())

    def _of(self, job: Job) -> pd.DataFrame:
        if job.folder not in self.read:
            self.read[job.folder] = cell_results(job)
        return self.read[job.folder]

    def _costs(self, job: Job, now: Status) -> list[object]:
        before = self._before(job)
        return [
            job.start,
            job.labels,
            job.seed,
            now.state,
            before.minutes,
            now.minutes,
            before.steps,
            now.steps,
            str(job.folder.relative_to(self.out.resolve())),
            now.reason,
        ]

    def _before(self, job: Job) -> Status:
        """What the start cost: nothing from scratch; of another run, what its log says."""
        if job.after:
            return status(self.pretraining[job.after]) or Status("failed")
        if job.start_folder is None:
            return Status("done", 0.0)
        logged = rows(job.start_folder)
        if not logged:
            return Status("done", np.nan)
        return Status("done", round(logged[-1]["seconds"] / 60, 4), steps=logged[-1]["step"])


def cell_results(job: Job) -> pd.DataFrame:
    """The rows (:data:`RESULTS`) of a done cell: its convergence curve, then its test scores."""
    curve = [
        {"part": "validation", "step": row["step"], "case": MEAN, "class": "", "metric": name,
         "value": value}
        for row in rows(job.folder)
        for name, value in _validated(row).items()
    ]  # fmt: skip
    scores = pd.read_csv(job.folder / "scores.csv", keep_default_na=False, dtype=str)
    scores["value"] = pd.to_numeric(scores["value"])
    scores["part"], scores["step"] = "test", job.recipe.training.steps
    table = pd.concat([pd.DataFrame(curve), scores]) if curve else scores
    table["start"], table["labels"], table["seed"] = job.start, job.labels, job.seed
    return table.loc[:, RESULTS]


def _validated(row: dict[str, Any]) -> dict[str, float]:
    """The validation scores in a row of metrics.jsonl, where null is what is not finite."""
    prefix = "validation_"
    scores = {n.removeprefix(prefix): v for n, v in row.items() if n.startswith(prefix)}
    return {name: np.nan if value is None else float(value) for name, value in scores.items()}
