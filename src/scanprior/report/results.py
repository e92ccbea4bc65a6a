"""A study's results: its rows, and its test scores as arrays of seeds x cases.

A row a score: ``start, labels, seed, part, step, case, class, metric, value``. Of segmentation the
metrics are dice, hd95 and nsd of a class; of classification truth, prediction and p0, p1, ...
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scanprior.metrics.grading import weighted_kappa
from scanprior.report.ran import Ran
from scanprior.statistics import Measure, mean_score

Frame = Any
"""A pandas frame or column, whose own annotations are unions that no checker can follow."""
Row = dict[str, Any]
"""A row of a report's table: a column's name to text, a number, or NaN."""
Curve = dict[int, float]
"""Step to validation score."""
BASELINES = ("scratch", "scratch-long")
SLICES = "-2d"
"""A start of this ending is the one without it, on slices of the volumes."""


def base(start: str) -> str:
    """The start that this one is, whether on volumes or on slices."""
    return start.removesuffix(SLICES)


class Cell(NamedTuple):
    """A start at a number of labels."""

    seeds: list[int]
    """That have a score of any case."""
    cases: list[str]
    """Every test case of the study, whether this cell has it or not."""
    values: np.ndarray
    """``(seeds, cases, k)``, NaN where there is none; k as the score's measure wants it. In a
    cross-validation, whose seeds' predictions are one set, ``(1, cases, k)``."""
    folds: np.ndarray | None
    """``(cases,)``, in a cross-validation the seed that tests each case."""

    def of(self, seeds: Sequence[int]) -> np.ndarray:
        """The values of these seeds; in a cross-validation NaN in the cases of the others."""
        if self.folds is None:
            return self.values[[self.seeds.index(seed) for seed in seeds]]
        return np.where(np.isin(self.folds, seeds)[:, None], self.values, np.nan)


class Aligned(NamedTuple):
    """What some cells have in common: nothing in it is NaN."""

    seeds: list[int]
    cases: list[str]
    values: list[np.ndarray]
    """``(seeds, cases, k)`` a cell; or ``(1, cases, k)``, as in :class:`Cell`."""
    folds: np.ndarray | None
    """``(cases,)``, or None where cases and seeds are crossed."""


Cells = Mapping[tuple[str, int], Cell]


def align(cells: Sequence[Cell]) -> Aligned | None:
    """The seeds that all ``cells`` have, and the cases that all have in each; None without any."""
    seeds = sorted(set.intersection(*(set(cell.seeds) for cell in cells)))
    if not seeds:
        return None
    parts = [cell.of(seeds) for cell in cells]
    complete = ~np.any([np.isnan(part).any((0, 2)) for part in parts], axis=0)
    if not complete.any():
        return None
    cases = [case for case, there in zip(cells[0].cases, complete, strict=True) if there]
    folds = None if cells[0].folds is None else cells[0].folds[complete]
    seeds = seeds if folds is None else np.unique(folds).tolist()
    return Aligned(seeds, cases, [part[:, complete] for part in parts], folds)


@dataclass(frozen=True, kw_only=True)
class Results:
    """The checked rows of one study."""

    path: Path
    score: str
    """dice, nsd or kappa: what the study is about."""
    test: Frame
    validation: Frame
    costs: Frame | None
    """``cells.csv``, where there is one."""
    folds: Mapping[str, int] | None
    """In a cross-validation, where no case was tested by two seeds, the seed that tested each; else
    None."""
    there: frozenset[tuple[str, int, int]]
    """Start, labels and seed of the cells with test scores."""
    ran: Ran | None
    """What was run, where ``study.json`` says so."""

    @property
    def starts(self) -> list[str]:
        """Baselines first, then as they come in the file."""
        found = [str(start) for start in self.test["start"].unique()]
        return [s for s in BASELINES if s in found] + [s for s in found if s not in BASELINES]

    @property
    def labels(self) -> list[int]:
        return sorted(int(n) for n in self.test["labels"].unique())

    @property
    def seeds(self) -> list[int]:
        return sorted(int(seed) for seed in self.test["seed"].unique())

    @property
    def cases(self) -> list[str]:
        return sorted(str(case) for case in self.test["case"].unique())

    @property
    def classes(self) -> list[str]:
        """Of the score, numbers in their order and names as they come; none of kappa."""
        if self.score == "kappa":
            return []
        rows = self.test[self.test["metric"] == self.score]
        found = [str(name) for name in rows["class"].unique()]
        return sorted(found, key=int) if all(name.isdecimal() for name in found) else found

    @property
    def planned(self) -> set[tuple[str, int, int]]:
        """The cells of the study; where that is not known, all of the starts, labels and seeds."""
        if self.ran:
            return self.ran.planned
        return set(product(*(sorted(set(part)) for part in zip(*self.there, strict=True))))

    def named(self, value: str) -> str:
        """The name of a class, where it is known."""
        return self.ran.classes.get(value, value) if self.ran else value

    @property
    def networks(self) -> str:
        """What there is a network of in a cell: seeds, or folds of a cross-validation."""
        return "folds" if self.folds else "seeds"

    @property
    def measure(self) -> Measure:
        return weighted_kappa if self.score == "kappa" else mean_score

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which the score lies."""
        return (-1.0, 1.0) if self.score == "kappa" else (0.0, 1.0)

    @cached_property
    def curves(self) -> dict[tuple[str, int], dict[int, Curve]]:
        """Of each start and number of labels, the curve of each seed; a point has all classes."""
        rows = self.validation[self.validation["metric"] == self.score]
        wide = rows.pivot_table(
            index=["start", "labels", "seed", "step"],
            columns="class",
            values="value",
            aggfunc="mean",
            dropna=False,
            observed=True,
        )
        found: dict[tuple[str, int], dict[int, Curve]] = {}
        for start, labels, seed in zip(rows["start"], rows["labels"], rows["seed"], strict=True):
            found.setdefault((str(start), int(labels)), {}).setdefault(int(seed), {})
        # A mean over classes only where every class has a value.
        each = wide.mean(axis=1, skipna=False).dropna()
        for (start, labels, seed, step), value in each.items():
            found[str(start), int(labels)][int(seed)][int(step)] = float(value)
        return found

    def cells(self) -> Cells:
        """The score; of segmentation a case's mean over classes, NaN where a class has none."""
        if self.score == "kappa":
            return self._arrays(self.test, "metric", ["truth", "prediction"])
        return self.averaged(self.score, self.classes)

    def averaged(self, metric: str, classes: Sequence[str]) -> Cells:
        """``metric``, a case's mean over ``classes``."""
        rows = self.test[self.test["metric"] == metric]
        found = self._arrays(rows, "class", classes)
        return {
            key: cell._replace(values=cell.values.mean(-1, keepdims=True))
            for key, cell in found.items()
        }

    def probabilities(self) -> Cells:
        """p0, p1, ... of each case, of classification; nothing where none were written."""
        metrics = [str(name) for name in self.test["metric"].unique()]
        grades = [int(n[1:]) for n in metrics if n.startswith("p") and n[1:].isdecimal()]
        names = [f"p{k}" for k in range(max(grades, default=-1) + 1)]
        return self._arrays(self.test, "metric", names)

    def _arrays(self, rows: Frame, inner: str, names: Sequence[str]) -> Cells:
        """A cell's values for each of ``names``, which the column ``inner`` holds."""
        rows = rows[rows[inner].isin(names)]
        if not len(rows):
            return {}
        wide = rows.pivot(index=["start", "labels", "seed"], columns=["case", inner])["value"]
        cases = self.cases
        folds = None if self.folds is None else np.array([self.folds[case] for case in cases])
        wide = wide.reindex(columns=pd.MultiIndex.from_product([cases, names]))
        values = wide.to_numpy(float).reshape(len(wide), len(cases), len(names))
        found: dict[tuple[str, int], list[int]] = {}
        for row, (start, labels, _) in enumerate(wide.index):
            if not np.isnan(values[row]).all():
                found.setdefault((str(start), int(labels)), []).append(row)
        cells: dict[tuple[str, int], Cell] = {}
        for key, at in found.items():
            seeds, kept = [int(wide.index[row][2]) for row in at], values[at]
            if folds is not None:  # a case has values of one seed
                kept = np.fmax.reduce(kept, axis=0, keepdims=True)
            cells[key] = Cell(seeds, cases, kept, folds)
        return cells
