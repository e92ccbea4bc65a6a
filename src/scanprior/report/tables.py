"""The tables of a study's test scores: final scores, and labels saved."""

import numpy as np

from scanprior.curves import labels_needed
from scanprior.metrics.grading import accuracy, macro_auc
from scanprior.report.results import Aligned, Cells, Results, Row, align
from scanprior.statistics import by_seed, interval, replicates


def score_table(results: Results, seed: int) -> list[Row]:
    """The paper's Table 1: a row a number of labels and start, a column a class and their mean.

    Every column is over the cases that have it in all of the row's seeds; in a cross-validation,
    in the fold that tests them.
    """
    cells, others = results.cells(), columns(results)
    probabilities = results.probabilities() if results.score == "kappa" else {}
    ends = results.test.groupby(["start", "labels"])["step"].max()
    table: list[Row] = []
    for labels in results.labels:
        for start in results.starts:
            cell = cells.get((start, labels))
            found = align([cell]) if cell else None
            if found is None:
                continue
            row = {
                "labels": labels,
                "start": start,
                "steps": int(ends[(start, labels)]),
                "seeds": len(found.seeds),
                "cases": len(found.cases),
            }
            row |= {name: _mean(of, (start, labels)) for name, of in others.items()}
            drawn = replicates(results.measure, found.values[0], seed, folds=found.folds)
            low, high = interval(drawn, results.bounds)
            score = float(by_seed(results.measure, found.values[0]).mean())
            row |= {results.score: score, "low": low, "high": high}
            if results.score == "kappa":
                row |= _graded(probabilities, (start, labels), found)
            table.append(row)
    return table


def columns(results: Results) -> dict[str, Cells]:
    """The score of each class (``dice ET``), and the other scores."""
    if results.score == "kappa":
        return {}
    classes, score = results.classes, results.score
    of_classes = {
        f"{score} {results.named(name)}": results.averaged(score, [name]) for name in classes
    }
    there = set(results.test["metric"])
    others = [m for m in ("dice", "hd95", "nsd") if m in there and m != score]
    return of_classes | {m: results.averaged(m, classes) for m in others}


def _mean(cells: Cells, key: tuple[str, int]) -> float:
    found = align([cells[key]]) if key in cells else None
    return float(found.values[0].mean()) if found else float("nan")


def _graded(probabilities: Cells, key: tuple[str, int], found: Aligned) -> dict[str, float]:
    """Accuracy, and AUC where there are probabilities of every case: the mean over seeds, or one of
    all folds' cases."""
    truth, said = found.values[0][..., 0], found.values[0][..., 1]
    row = {"accuracy": float(np.mean([accuracy(t, s) for t, s in zip(truth, said, strict=True)]))}
    cell = probabilities.get(key)
    if cell is None or not set(found.seeds) <= set(cell.seeds):
        return row | {"auc": float("nan")}
    wanted = [cell.cases.index(case) for case in found.cases]
    values = cell.of(found.seeds)[:, wanted]
    if np.isnan(values).any() or truth.max() >= values.shape[-1]:
        return row | {"auc": float("nan")}
    areas = [macro_auc(t.astype(int), p) for t, p in zip(truth, values, strict=True)]
    return row | {"auc": float(np.mean(areas))}


def labels_table(results: Results, seed: int) -> list[Row]:
    """How many labels scratch needs for what each start reaches, in the seeds and cases of all.

    Scratch's curve is through the numbers of labels at which it has all of the start's seeds (where
    those are fewer than two, through all): one that was run in fewer seeds would take seeds from
    the others.
    """
    cells, measure = results.cells(), results.measure
    ran = {n: set(cells["scratch", n].seeds) for n in results.labels if ("scratch", n) in cells}
    table: list[Row] = []
    for labels in results.labels:
        for start in results.starts:
            cell = cells.get((start, labels))
            if start == "scratch" or cell is None or not ran:
                continue
            tried = [n for n, seeds in ran.items() if seeds >= set(cell.seeds)]
            tried = tried if len(tried) > 1 else list(ran)
            row: Row = {"labels": labels, "start": start}
            row |= {"curve_from": min(tried), "curve_to": max(tried)}
            row |= dict.fromkeys(("scratch_needs", "needs_low", "needs_high", "saved"), np.nan)
            found = align([*(cells["scratch", n] for n in tried), cell])
            if len(tried) < 2 or found is None:
                alone, apart = "scratch was run at one number of labels", "no common seed and case"
                why = alone if len(tried) < 2 else apart
                table.append(row | {"seeds": 0, "cases": 0, "verdict": f"cannot be said: {why}"})
                continue
            # The same seed: all replicates are of the same drawn cases and seeds.
            every = [replicates(measure, v, seed, folds=found.folds) for v in found.values]
            drawn = np.stack(every, axis=-1)
            centre = np.array([by_seed(measure, v).mean() for v in found.values])
            at = np.array(tried, dtype=float)
            needed = float(labels_needed(at, centre[:-1], centre[-1]))
            low, high = interval(labels_needed(at, drawn[:, :-1], drawn[:, -1]))
            row |= _saved(labels, needed, low, high, tried)
            table.append(row | {"seeds": len(found.seeds), "cases": len(found.cases)})
    return table


def _saved(labels: int, needed: float, low: float, high: float, tried: list[int]) -> Row:
    """0 and infinity stand for fewer than the fewest and more than the most labels tried."""
    if np.isnan(needed):
        return {"verdict": "cannot be said: the score is undefined"}
    ends = {"needs_low": low, "needs_high": high}
    if needed == 0:
        return ends | {"verdict": f"cannot be said: below scratch at {tried[0]} labels, its fewest"}
    if np.isinf(needed):
        return ends | {"verdict": f"cannot be said: above scratch at {tried[-1]} labels, its most"}
    verdict = "saving not shown"
    if low > labels:
        verdict = "saves labels"
    elif high < labels:
        verdict = "costs labels"
    return {"scratch_needs": needed, "saved": needed - labels, "verdict": verdict} | ends
