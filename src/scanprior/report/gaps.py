"""What a study lacks, in sentences: nothing is averaged over a gap without a word."""

import itertools
from collections.abc import Sequence

from scanprior.recipes.seen import flattered
from scanprior.report.results import Cell, Results, Row, align, base
from scanprior.report.tables import columns
from scanprior.report.words import listed

_NAMED = 5
"""Cases named in a sentence; the others are counted."""


def gaps(results: Results, curves: Sequence[Row]) -> list[str]:
    """A sentence a gap; none for a complete, balanced study with one budget.

    Args:
        curves: of :func:`scanprior.report.training.convergence_table`.
    """
    said = _seen(results) + _absent(results) + _failed(results) + _unequal(results)
    cells = results.cells()
    for start, labels in itertools.product(results.starts, results.labels):
        if cell := cells.get((start, labels)):
            said += _cell(f"{start} at {labels} labels", cell)
    said += _columns(results)
    if len(results.seeds) == 1:
        said.append("There is one seed: the intervals hold no variation between seeds.")
    if "scratch" not in results.starts:
        said.append("There is no scratch: nothing can be compared with it.")
    return said + _budgets(results) + _steps(results, curves)


def _seen(results: Results) -> list[str]:
    return [
        f"{flattered(start, count)}{' (in a fold, at most)' if results.folds else ''}."
        for start, count in (results.ran.seen.items() if results.ran else ())
    ]


def _absent(results: Results) -> list[str]:
    """Of what study.json plans, the starts, labels and seeds without any test score."""
    ran = results.ran
    if ran is None:
        return []
    starts, labels, seeds = (set(part) for part in zip(*results.there, strict=True))
    said = [f"{start} has no test scores at all." for start in ran.starts if start not in starts]
    for what, absent in (
        ("labels", [n for n in ran.labels if n not in labels]),
        ("seeds", [seed for seed in ran.seeds if seed not in seeds]),
    ):
        if absent:
            said.append(f"No start has test scores of the planned {what} {listed(absent)}.")
    if more := sorted(results.there - ran.planned):
        said.append(
            f"{len(more)} cells are not of the study that study.json describes, the first "
            f"{more[0][0]} at {more[0][1]} labels, seed {more[0][2]}."
        )
    return said


def _failed(results: Results) -> list[str]:
    if results.costs is None:
        return []
    failed = results.costs[results.costs["status"] != "done"]
    return [
        f"{row['start']} at {row['labels']} labels, seed {row['seed']}: {row['status']}"
        + (f" ({row['reason']})." if row["reason"] else ".")
        for row in failed.to_dict("records")
    ]


def _unequal(results: Results) -> list[str]:
    """Starts without the labels, or the seeds, that others have."""
    cells = results.cells()
    without: dict[tuple[int, ...], list[str]] = {}
    short: dict[tuple[int, tuple[int, ...]], list[str]] = {}
    for start in results.starts:
        if absent := tuple(n for n in results.labels if (start, n) not in cells):
            without.setdefault(absent, []).append(start)
    for labels, start in itertools.product(results.labels, results.starts):
        if (cell := cells.get((start, labels))) and set(results.seeds) - set(cell.seeds):
            short.setdefault((labels, tuple(cell.seeds)), []).append(start)
    said = [
        f"Without test scores at {listed(absent)} labels: {listed(starts)}."
        for absent, starts in without.items()
    ]
    for (labels, seeds), starts in short.items():
        absent = [seed for seed in results.seeds if seed not in seeds]
        said.append(
            f"Without seed {listed(absent)} at {labels} labels: {listed(starts)}; a row there is "
            f"over {listed(seeds)}, and is compared with other starts in those seeds only"
            f"{', with no variation between seeds in its intervals' * (len(seeds) == 1)}."
        )
    return said


def _cell(name: str, cell: Cell) -> list[str]:
    found = align([cell])
    if found is None:
        return [f"{name} has no case with a score in every seed: it has no row."]
    tested = cell.cases
    if cell.folds is not None:  # of the seeds that are missing, more is said elsewhere
        tested = [c for c, fold in zip(tested, cell.folds, strict=True) if fold in cell.seeds]
    dropped = [case for case in tested if case not in set(found.cases)]
    if not dropped:
        return []
    more = f" and {len(dropped) - _NAMED} more" if len(dropped) > _NAMED else ""
    return [
        f"{name} has no complete score of {len(dropped)} of {len(tested)} cases "
        f"({listed(dropped[:_NAMED])}{more}): its row and its comparisons leave them out."
    ]


def _columns(results: Results) -> list[str]:
    """Other scores, or classes, that fewer cases have than the score."""
    scored, short = results.cells(), dict[tuple[str, int, int], list[str]]()
    for name, cells in columns(results).items():
        for (start, labels), cell in cells.items():
            whole = align([scored[start, labels]]) if (start, labels) in scored else None
            mine = align([cell])
            if mine and whole and len(mine.cases) < len(whole.cases):
                counts = (name, len(mine.cases), len(whole.cases))
                short.setdefault(counts, []).append(f"{start} at {labels}")
    return [
        f"{name} is over {few} of the row's {many} cases, which have it: {listed(rows)} labels."
        for (name, few, many), rows in short.items()
    ]


def _budgets(results: Results) -> list[str]:
    said: list[str] = []
    fair = results.test[results.test["start"].map(base) != "scratch-long"]
    for labels in results.labels:
        at = fair[fair["labels"] == labels]
        budgets = sorted({int(step) for step in at["step"]})
        if len(budgets) > 1:
            said.append(
                f"At {labels} labels the starts were not fine-tuned for the same number of steps "
                f"({listed(budgets)}): part of a difference may be that."
            )
    return said


def _steps(results: Results, curves: Sequence[Row]) -> list[str]:
    """Points that a seed lacks are left out of the convergence curves."""
    there = {(point["start"], point["labels"], point["step"]) for point in curves}
    rows = results.validation[results.validation["metric"] == results.score]
    if not len(rows):
        return [f"There are no validation rows of {results.score}: no convergence curve."]
    lacking: dict[tuple[str, int], set[int]] = {}
    for start, labels, step in zip(rows["start"], rows["labels"], rows["step"], strict=True):
        if (start, labels, step) not in there:
            lacking.setdefault((str(start), int(labels)), set()).add(int(step))
    said = [
        f"{start} at {labels} labels: the validation score at step {listed(sorted(steps))} is not "
        "known for every seed and class, and left out of the convergence curve."
        for (start, labels), steps in lacking.items()
    ]
    seeds = rows["seed"].nunique()
    lines = {(point["labels"], point["start"]): point["seeds"] for point in curves}
    short: dict[tuple[int, int], list[str]] = {}
    for (labels, start), count in sorted(lines.items(), key=lambda line: line[0][0]):
        if count < seeds:
            short.setdefault((labels, count), []).append(start)
    return said + [
        f"The convergence curve is over {count} of {seeds} seeds at {labels} labels: "
        f"{listed(starts)}."
        for (labels, count), starts in short.items()
    ]
