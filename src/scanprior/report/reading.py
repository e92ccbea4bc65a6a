"""Reading a study's ``results.csv``, and the ``cells.csv`` beside it, with every row checked."""

import csv
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from scanprior.contracts import InputError
from scanprior.report.ran import read_ran
from scanprior.report.results import Frame, Results

KEY = ["start", "labels", "seed", "part", "step", "case", "class", "metric"]
SCORES = ("dice", "nsd", "kappa")
"""Scores that can be studied; more is better in all of them."""


def read_results(path: Path, metric: str = "auto") -> Results:
    """Read ``results.csv`` (or ``results.csv.gz``), and the ``cells.csv`` and ``study.json`` beside
    it, where they are.

    Raises:
        InputError: a file cannot be read, or a row of it cannot be meant.
    """
    rows = _table(path, [*KEY, "value"])
    for column in ("labels", "seed", "step"):
        rows[column] = _whole(rows[column], path, at_least=1 if column == "labels" else 0)
    rows["value"] = _numbers(rows["value"], path)
    strange = sorted(set(rows["part"]) - {"test", "validation"})
    if strange:
        raise InputError(f"{path} holds the part {strange[0]!r}; use test or validation.")
    if (rows["start"] == "").any():
        raise InputError(f"{path} holds a row without a start; name it (scratch, rotation, ...).")
    twice = rows[rows.duplicated(KEY)]
    if len(twice):
        row = " ".join(str(value) for value in twice.iloc[0][KEY])
        raise InputError(f"{path} holds a row twice ({row}); remove one.")
    test = rows[rows["part"] == "test"].copy()
    if not len(test):
        raise InputError(f"{path} holds no test rows; finish one cell of the study first.")
    _check_steps(test, path)
    _check_shares(rows, path)
    score = _score(test, metric, path)
    if score == "kappa":
        _check_truth(test, path)
    cells = zip(test["start"], test["labels"], test["seed"], strict=True)
    there = frozenset((str(start), int(labels), int(seed)) for start, labels, seed in cells)
    tested_by, folds = test.groupby("case")["seed"], None
    if test["seed"].nunique() > 1 and (tested_by.nunique() == 1).all():
        folds = {str(case): int(seed) for case, seed in tested_by.first().items()}
    costs = path.with_name("cells.csv")
    return Results(
        path=path,
        score=score,
        test=test,
        validation=rows[rows["part"] == "validation"],
        costs=_costs(costs) if costs.is_file() else None,
        folds=folds,
        there=there,
        ran=read_ran(path.with_name("study.json")),
    )


def _table(path: Path, columns: Sequence[str]) -> Frame:
    """All as text: a case may be called NA, or 007."""
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        unpacked = gzip.open if path.suffix == ".gz" else open
        with unpacked(path, "rt", encoding="utf-8", newline="") as file:
            lengths = [len(row) for row in csv.reader(file) if row]  # pandas fills short rows
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read ({said}); give a study's CSV.") from error
    if min(lengths) < lengths[0]:
        raise InputError(f"{path} has a row that ends too early; restore it.")
    lacking = [column for column in columns if column not in rows.columns]
    if lacking:
        raise InputError(f"{path} has no column {lacking[0]!r}; give a study's CSV.")
    return rows


def _costs(path: Path) -> Frame:
    columns = ["start", "labels", "seed", "status", "pretrain_minutes", "finetune_minutes"]
    rows = _table(path, columns)
    for column in ("labels", "seed"):
        rows[column] = _whole(rows[column], path, at_least=0)
    for column in ("pretrain_minutes", "finetune_minutes"):
        rows[column] = _numbers(rows[column], path)
    if "reason" not in rows:
        rows["reason"] = ""
    return rows


def _numbers(column: Frame, path: Path) -> Frame:
    known = ~column.str.strip().str.lower().isin(["", "nan"])
    numbers: Frame = pd.to_numeric(column.where(known), errors="coerce")
    numbers = numbers.astype(float)
    wrong = column[known & ~np.isfinite(numbers)]
    if len(wrong):
        raise InputError(
            f"{path} holds the {column.name} {wrong.iloc[0]!r}; write a finite number or NaN."
        )
    return numbers


def _whole(column: Frame, path: Path, at_least: int) -> Frame:
    numbers: Frame = pd.to_numeric(column, errors="coerce")
    numbers = numbers.astype(float)
    wrong = column[~((numbers >= at_least) & (numbers % 1 == 0))]
    if len(wrong):
        raise InputError(
            f"{path} holds the {column.name} {wrong.iloc[0]!r}; write a whole number of at least "
            f"{at_least}."
        )
    return numbers.astype(int)


def _check_steps(test: Frame, path: Path) -> None:
    ends = test.groupby(["start", "labels", "seed"])["step"].nunique()
    for start, labels, seed in ends.index[ends > 1]:
        raise InputError(
            f"{path} holds test rows of {start} at {labels} labels, seed {seed}, at several steps; "
            "keep those after the last."
        )


def _check_shares(rows: Frame, path: Path) -> None:
    """Intervals are cut off where a share ends; of per cent they would be wrong."""
    shares = rows[rows["metric"].isin(["dice", "nsd"])]
    beyond = shares[(shares["value"] < 0) | (shares["value"] > 1)]
    if len(beyond):
        row = beyond.iloc[0]
        raise InputError(
            f"{path} holds the {row['metric']} {row['value']:g}; write a number from 0 to 1."
        )


def _score(test: Frame, metric: str, path: Path) -> str:
    metrics = set(test["metric"])
    graded = {"kappa"} if {"truth", "prediction"} <= metrics else set()
    there = [score for score in SCORES if score in (metrics - {"kappa"}) | graded]
    if metric == "auto" and there:
        return there[0]
    if metric not in there:
        raise InputError(
            f"{path} holds no test rows of {'a known score' if metric == 'auto' else metric}; "
            "write dice or nsd, or truth and prediction for kappa."
        )
    return metric


def _check_truth(test: Frame, path: Path) -> None:
    truths = test[test["metric"] == "truth"].groupby("case")["value"].nunique()
    for case in truths.index[truths > 1]:
        raise InputError(f"{path} gives case {case} two different truths; correct one.")
