"""How well predicted grades agree with the true ones: quadratic weighted kappa, accuracy, AUC.

A score that the cases do not define is NaN, and said so: it is neither 0 nor left out silently.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from scanprior.contracts import InputError
from scanprior.metrics.intervals import resampled_interval

METRICS = ("kappa", "accuracy", "auc")


class Graded(NamedTuple):
    """What a model said of n cases, and what is true."""

    truth: np.ndarray
    """``(n,)`` grades 0..k-1."""
    prediction: np.ndarray
    """``(n,)`` grades 0..k-1."""
    probabilities: np.ndarray
    """``(n, k)``."""


class Estimate(NamedTuple):
    """A score over cases and its 95 % interval; all NaN where it is undefined."""

    value: float
    low: float
    high: float


def quadratic_weighted_kappa(
    truth: Sequence[int] | np.ndarray, prediction: Sequence[int] | np.ndarray, classes: int
) -> float:
    """Cohen's kappa with squared distances between grades as weights (Cohen 1968).

    One minus the mean squared distance between truth and prediction over the one expected by
    chance, if both kept their frequencies and were independent. 1: all agree; 0: as chance; NaN
    where chance cannot disagree either, that is, where all truths and predictions are one grade.

    Raises:
        InputError: no cases, unequal numbers of them, a grade that is not in 0..classes-1.
    """
    true, said = _grades(truth, classes), _grades(prediction, classes)
    if len(true) != len(said):
        raise InputError(f"{len(true)} grades meet {len(said)} predictions; give one for each.")
    return float(weighted_kappa(np.stack([true, said], -1)[None], np.ones((1, len(true))))[0, 0])


def weighted_kappa(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Quadratic weighted kappa of weighted cases, many at once; NaN where it is undefined.

    Both of its sums are moments (Fleiss and Cohen 1973), so that no table of grades is needed:
    sum w (t - p)^2 for what was seen, and (sum w (sum w t^2 + sum w p^2) - 2 sum w t sum w p) /
    sum w for chance. Whole weights and grades make every sum exact.

    Args:
        values: ``(k, n, 2)``, k times n cases' truth and prediction.
        weights: ``(m, n)``, how often each case counts.

    Returns:
        ``(m, k)``.
    """
    truth, prediction = values[..., 0], values[..., 1]

    def total(moment: np.ndarray) -> np.ndarray:
        return weights @ np.asarray(moment, dtype=float).T

    count = weights.sum(1, keepdims=True)
    seen = count * total((truth - prediction) ** 2)
    chance = count * (total(truth**2) + total(prediction**2))
    chance -= 2 * total(truth) * total(prediction)
    there = chance > 1e-9 * count**2  # weights that are no whole numbers leave a rest
    return 1 - np.divide(seen, chance, out=np.full_like(seen, np.nan), where=there)


def accuracy(truth: np.ndarray, prediction: np.ndarray) -> float:
    """The share of cases whose grade is the predicted one."""
    return float((np.asarray(truth) == np.asarray(prediction)).mean())


def macro_auc(truth: Sequence[int] | np.ndarray, probabilities: np.ndarray) -> float:
    """Area under the ROC curve, each grade against the rest, averaged over grades.

    Of one grade it is the share of pairs (a case of the grade, a case of another) that the grade's
    probability puts in order, ties counting half: Mann and Whitney's U from the ranks (Hanley &
    McNeil 1982). A grade that no case or every case has defines no pair and is left out of the
    mean; NaN where that leaves none.
    """
    classes = probabilities.shape[1]
    belongs = _grades(truth, classes)[:, None] == np.arange(classes)
    inside = belongs.sum(0)
    outside = len(belongs) - inside
    defined = (inside > 0) & (outside > 0)
    if not defined.any():
        return float("nan")
    ranks = stats.rankdata(probabilities[:, defined], axis=0)
    inside, outside = inside[defined], outside[defined]
    u = (ranks * belongs[:, defined]).sum(0) - inside * (inside + 1) / 2
    return float((u / (inside * outside)).mean())


def scores(graded: Graded) -> dict[str, float]:
    """Kappa, accuracy and AUC, by name."""
    truth, prediction, probabilities = graded
    return {
        "kappa": quadratic_weighted_kappa(truth, prediction, probabilities.shape[1]),
        "accuracy": accuracy(truth, prediction),
        "auc": macro_auc(truth, probabilities),
    }


def estimates(graded: Graded, seed: int, resamples: int = 1000) -> dict[str, Estimate]:
    """Kappa, accuracy and AUC with bootstrap intervals over cases.

    Resamples in which a score is undefined are left out of its interval.
    """
    values = scores(graded)

    def resample(rows: np.ndarray) -> list[float]:
        return list(scores(Graded(*(part[rows] for part in graded))).values())

    intervals = resampled_interval(resample, len(graded.truth), seed, resamples)
    return {
        name: Estimate(value, *(map(float, interval) if np.isfinite(value) else (np.nan, np.nan)))
        for (name, value), interval in zip(values.items(), intervals, strict=True)
    }


def _grades(given: Sequence[int] | np.ndarray, classes: int) -> np.ndarray:
    grades = np.asarray(given)
    if grades.size == 0:
        raise InputError("no case has a grade, so there is nothing to score; give some.")
    if grades.min() < 0 or grades.max() >= classes or (grades != grades.astype(int)).any():
        wrong = next(g for g in grades.tolist() if not (0 <= g < classes and g == int(g)))
        raise InputError(f"grade {wrong} is not among 0 to {classes - 1}; correct the grades.")
    return grades.astype(int)
