"""The tables of a study's training: convergence, steps to scratch's score, minutes."""

from collections.abc import Sequence

import numpy as np

from scanprior.report.results import Results, Row
from scanprior.statistics import first_reach


def convergence_table(results: Results) -> list[Row]:
    """The validation score by step: its mean over the seeds, which all must have the step."""
    rows = results.validation[results.validation["metric"] == results.score]
    wide = rows.pivot_table(
        index=["start", "labels", "seed", "step"],
        columns="class",
        values="value",
        aggfunc="mean",
        dropna=False,
        observed=True,
    )
    # A mean over classes only where every class has a value.
    each = wide.mean(axis=1, skipna=False).dropna()
    values: dict[tuple[str, int, int], list[float]] = {}
    for (start, labels, _, step), value in each.items():
        values.setdefault((start, int(labels), int(step)), []).append(float(value))
    seeds = rows.groupby(["start", "labels"])["seed"].nunique()
    return [
        {
            "start": start,
            "labels": labels,
            "step": step,
            "seeds": len(scores),
            results.score: float(np.mean(scores)),
            "lowest": min(scores),
            "highest": max(scores),
        }
        for (start, labels, step), scores in sorted(values.items())
        if len(scores) == seeds[(start, labels)]
    ]


def steps_table(results: Results, curves: Sequence[Row]) -> list[Row]:
    """The step at which each start's validation curve reaches scratch's last point."""
    lines: dict[tuple[int, str], list[Row]] = {}
    for point in curves:
        lines.setdefault((point["labels"], point["start"]), []).append(point)
    table: list[Row] = []
    for labels, start in sorted(lines, key=lambda key: (key[0], _rank(results, key[1]))):
        if (labels, "scratch") not in lines:
            continue
        line, end = lines[labels, start], lines[labels, "scratch"][-1]
        steps = np.array([point["step"] for point in line], dtype=float)
        scores = np.array([point[results.score] for point in line])
        reached = first_reach(steps, scores, end[results.score])
        row: Row = {"labels": labels, "start": start, "scratch_ends_at": end[results.score]}
        row |= {
            "reached_at_step": reached,
            "share_of_scratch": reached / end["step"] if end["step"] else float("nan"),
            "seeds": line[0]["seeds"],
        }
        table.append(row)
    return table


def _rank(results: Results, start: str) -> tuple[int, str]:
    starts = results.starts
    return (starts.index(start) if start in starts else len(starts)), start


def cost_table(results: Results) -> list[Row]:
    """Mean minutes of a finished cell, by start; empty without ``cells.csv``."""
    if results.costs is None:
        return []
    done = results.costs[results.costs["status"] == "done"]
    return [
        {
            "start": start,
            "cells": len(rows),
            "pretrain_minutes": float(rows["pretrain_minutes"].mean()),
            "finetune_minutes": float(rows["finetune_minutes"].mean()),
        }
        for start, rows in done.groupby("start", sort=False)
    ]
