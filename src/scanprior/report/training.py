"""The tables of a study's training: convergence, steps to scratch's score, minutes."""

from collections.abc import Sequence

import numpy as np

from scanprior.curves import first_reach
from scanprior.report.results import Curve, Results, Row


def convergence_table(results: Results) -> list[Row]:
    """The validation score by step: its mean over the seeds, which all must have the step."""
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
        for (start, labels), of_seeds in sorted(results.curves.items())
        for step, scores in _common(list(of_seeds.values())).items()
    ]


def _common(curves: Sequence[Curve]) -> dict[int, list[float]]:
    """The scores of all ``curves`` at the steps that all have."""
    steps = set.intersection(*(set(curve) for curve in curves))
    return {step: [curve[step] for curve in curves] for step in sorted(steps)}


def steps_table(results: Results) -> list[Row]:
    """The step at which each start's validation curve reaches scratch's last point.

    Both curves are means over the seeds that start and scratch have; a start that has none in
    common with scratch, or no step in all of them, has no row.
    """
    curves, table = results.curves, list[Row]()
    for start, labels in sorted(curves, key=lambda key: (key[1], _rank(results, key[0]))):
        mine, scratch = curves[start, labels], curves.get(("scratch", labels), {})
        seeds = sorted(mine.keys() & scratch.keys())
        line, theirs = (_common([of[s] for s in seeds]) if seeds else {} for of in (mine, scratch))
        if not line or not theirs:
            continue
        last = max(theirs)
        end = float(np.mean(theirs[last]))
        steps = np.array(list(line), dtype=float)
        reached = first_reach(steps, np.mean(list(line.values()), axis=1), end)
        row: Row = {"labels": labels, "start": start, "scratch_ends_at": end}
        row |= {
            "reached_at_step": reached,
            "share_of_scratch": reached / last if last else float("nan"),
            "first_point": min(line),
            "seeds": len(seeds),
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
