"""Tables of predicted grades: a row a case, written, read and scored.

Columns: case, prediction, p0..pK-1 (probabilities of the grades), and truth where it is known.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich import box
from rich.table import Table
from torch import Tensor

from scanprior.console import console
from scanprior.contracts import InputError, Learner
from scanprior.data.files import stem
from scanprior.data.grades import COLUMNS, grade_of, read_csv
from scanprior.data.sources import SourceOptions
from scanprior.data.sources.case import case_of
from scanprior.data.store import Store, Volume
from scanprior.downstream.classification import Classification
from scanprior.metrics.grading import Estimate, Graded, estimates
from scanprior.predict import image_probabilities
from scanprior.whole import replacing

NAMES = (("case", "truth"), *COLUMNS)
"""Columns of a CSV of true grades: the case or image, and its grade."""


def row(learner: Learner, case: str, likely: Tensor, truth: int | None) -> dict[str, Any]:
    """One case of a table, from its probabilities ``(k,)``."""
    assert isinstance(learner.task, Classification)
    grade = int(learner.task.decide(likely[None])[0])
    columns = {f"p{k}": p for k, p in enumerate(likely.tolist())}
    known = {} if truth is None else {"truth": truth}
    return {"case": case, "prediction": grade, **columns, **known}


def table_of(learner: Learner, volumes: Sequence[Volume], crop: tuple[int, ...]) -> pd.DataFrame:
    """Predictions for a store's volumes, with their grades as truth where they have one."""
    rows = []
    for volume in volumes:
        image = torch.from_numpy(volume.read()).float()
        likely = image_probabilities(learner, image, crop)
        rows.append(row(learner, volume.id, likely, volume.grade))
    return pd.DataFrame(rows)


def graded(table: pd.DataFrame) -> Graded:
    """What is scored: a table whose cases all have a truth."""
    likely = np.array([_column(table, name) for name in _likely(table)], float).T
    truth, prediction = (np.array(_column(table, name), int) for name in ("truth", "prediction"))
    return Graded(truth, prediction, likely)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write whole or not at all. A whole number stays one where other cases have none."""
    if "truth" in table:
        table = table.assign(truth=pd.array(_column(table, "truth"), "Int64"))
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def read_table(path: Path) -> pd.DataFrame:
    """What :func:`write_table` wrote.

    Raises:
        InputError: there is no such file, or it is no table of predicted grades.
    """
    table = read_csv(path)
    likely = _likely(table)
    if not {"case", "prediction"} <= set(table) or likely != [f"p{k}" for k in range(len(likely))]:
        raise InputError(
            f"{path} has the columns {_listed(table)}; give predictions with case, prediction, p0, "
            "p1, ..."
        )
    cases = _column(table, "case")
    if not cases or not likely or len(set(cases)) < len(cases):
        raise InputError(
            f"{path} needs rows, probabilities and each case once; predict again into a new folder."
        )
    for name in likely:
        try:
            table[name] = np.array(_column(table, name), float)
        except ValueError as error:
            raise InputError(f"{path} has a {name} that is no number; predict again.") from error
    for name in {"prediction", "truth"} & set(table):
        table[name] = pd.array(
            [grade_of(path, *pair) for pair in zip(cases, _column(table, name), strict=True)],
            "Int64",
        )
    return table


def true_grades(path: Path) -> dict[str, int]:
    """Case to grade, of a store or of a CSV with the columns of :data:`NAMES`.

    Raises:
        InputError: it is neither, or a grade is not a whole number from 0.
    """
    if path.is_dir():
        return {v.id: v.grade for v in Store(path) if v.grade is not None}
    table = read_csv(path)
    pair = next((pair for pair in NAMES if set(pair) <= set(table)), None)
    if pair is None:
        raise InputError(
            f"{path} has the columns {_listed(table)}; name two of them "
            f"{' or '.join(' and '.join(pair) for pair in NAMES)}."
        )
    found: dict[str, int] = {}
    for image, said in zip(*(_column(table, name) for name in pair), strict=True):
        grade = None if pd.isna(image) else grade_of(path, image, said)
        if grade is None:
            continue
        # the id that prepare and predict give to the case of this file
        case = case_of(stem(Path(image)), (Path(image),), SourceOptions()).id
        if found.setdefault(case, grade) != grade:
            raise InputError(f"{path} gives {case} two grades; keep one row.")
    return found


def summary(table: pd.DataFrame, seed: int) -> tuple[dict[str, Any], dict[str, Estimate]]:
    """Kappa, accuracy, AUC and ``intervals`` (name to ``[low, high]`` of 95 %), NaN where
    undefined, and the same as estimates."""
    found = estimates(graded(table), seed)
    said: dict[str, Any] = {name: e.value for name, e in found.items()}
    said["intervals"] = {name: [e.low, e.high] for name, e in found.items()}
    return said | {"cases": len(table)}, found


def write_scores(found: Mapping[str, Estimate], path: Path) -> None:
    """A row a score: metric, value, low, high; empty where undefined."""
    write_table(pd.DataFrame([{"metric": name} | e._asdict() for name, e in found.items()]), path)


def print_scores(found: Mapping[str, Estimate], cases: int) -> None:
    """A table on standard error."""
    shown = Table("score", "value", "95 % interval", box=box.SIMPLE_HEAD)
    heads = {"kappa": "quadratic weighted kappa", "accuracy": "accuracy", "auc": "AUC (macro)"}
    for name, (value, low, high) in found.items():
        words = [f"{value:.3f}", f"{low:.3f}–{high:.3f}"] if value == value else ["undefined", ""]
        shown.add_row(heads[name], *words)
    shown.caption = f"{cases} cases; bootstrap over cases"
    console().print(shown)


def _likely(table: pd.DataFrame) -> list[str]:
    """The columns of probabilities."""
    return [name for name in map(str, table) if name[:1] == "p" and name[1:].isdigit()]


def _column(table: pd.DataFrame, name: str) -> list[Any]:
    return np.asarray(table[name]).tolist()


def _listed(table: pd.DataFrame) -> str:
    return ", ".join(map(str, table))
