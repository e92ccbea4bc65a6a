"""Starts against each other: paired differences in the same cases and seeds."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from scanprior.report.results import BASELINES, SLICES, Aligned, Results, Row, align
from scanprior.statistics import (
    by_network,
    by_seed,
    effect_size,
    holm,
    interval,
    paired,
    permutation_p,
    replicates,
)

SIGNIFICANT = 0.05
"""Of p after Holm's correction."""


def comparison_table(results: Results, seed: int) -> list[Row]:
    """Every start against scratch, and against scratch-long."""
    groups = [
        [(start, against) for start in results.starts if start not in (against, "scratch")]
        for against in BASELINES
    ]
    return _table(groups, results, seed)


def slices_table(results: Results, seed: int) -> list[Row]:
    """Every start on volumes against the same on slices; those on slices against scratch there.

    Scratch itself on volumes and on slices is a row of :func:`comparison_table` already.
    """
    scratch = f"scratch{SLICES}"
    on_slices = [s for s in results.starts if s.endswith(SLICES) and s != scratch]
    groups = [
        [(start.removesuffix(SLICES), start) for start in on_slices],
        [(start, scratch) for start in on_slices],
    ]
    return _table(groups, results, seed)


def _table(groups: Sequence[Sequence[tuple[str, str]]], results: Results, seed: int) -> list[Row]:
    """Starts and what they are compared with, case by case in the seeds of both, at every number of
    labels, a group of pairs after the other. Holm's correction is over all rows."""
    cells, table = results.cells(), list[Row]()
    for group, labels in product(groups, results.labels):
        for start, against in group:
            if (start, labels) in cells and (against, labels) in cells:
                found = align([cells[start, labels], cells[against, labels]])
                row = {"labels": labels, "start": start, "against": against}
                table.append(row | _compared(found, results, seed))
    corrected = holm(np.array([row["p"] for row in table], dtype=float))
    return [
        row | {"p_holm": p, "verdict": _verdict(row, p, results.networks)}
        for row, p in zip(table, corrected.tolist(), strict=True)
    ]


def _compared(found: Aligned | None, results: Results, seed: int) -> Row:
    """Of two cells; all NaN where they have no seed and case in common."""
    row: Row = dict.fromkeys(("difference", "low", "high", "p", "p_holm", "d_z"), np.nan)
    if found is None:
        return row | {"cases": 0, "seeds": 0, "seeds_better": 0}
    measure, (least, most) = results.measure, results.bounds
    difference, both = paired(measure), np.concatenate(found.values, axis=-1)
    per_network = by_network(difference, both, found.folds)
    drawn = replicates(difference, both, seed, folds=found.folds)
    low, high = interval(drawn, (least - most, most - least))
    return row | {
        "difference": float(by_seed(difference, both).mean()),
        "low": low,
        "high": high,
        "p": permutation_p(measure, found.values[0], found.values[1], seed),
        "d_z": effect_size(difference, both),
        "cases": len(found.cases),
        "seeds": len(found.seeds),
        "seeds_better": int((per_network > 1e-9).sum()),  # more than rounding
    }


def _verdict(row: Row, p: float, networks: str) -> str:
    """A difference is shown where the test and the interval, which also asks of seeds, agree."""
    if np.isnan(p):
        return "cannot be said"
    if p >= SIGNIFICANT:
        return "no difference shown"
    word = "better" if row["difference"] > 0 else "worse"
    return word if row["low"] > 0 or row["high"] < 0 else f"{word} in these {networks} only"
