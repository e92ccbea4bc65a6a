"""How sure a study may be: intervals over cases and seeds, or cases and folds; paired tests.

Every score here is a :data:`Measure`, a function of weighted cases, so that one mechanism serves a
mean of per-case Dice and a set-level kappa alike: a bootstrap draw is a weight a case, and a
permutation is a weight for each of the two predictions of a case. Pure arrays, no files.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``values (seeds, cases, k)`` and ``weights (draws, cases)`` to scores ``(draws, seeds)``."""

LEVEL = 0.95
"""Of every interval."""
RESAMPLES = 2000
"""Bootstrap draws an interval."""
PERMUTATIONS = 9999
"""Random permutations a test, where there are more than so many to list."""


def mean_score(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean over cases; ``values (seeds, cases, 1)`` holds a score a case."""
    return weights @ values[..., 0].T / weights.sum(1, keepdims=True)


def paired(measure: Measure) -> Measure:
    """The difference of two arms; their values lie one behind the other, ``(seeds, cases, 2k)``."""

    def difference(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        first, second = np.split(values, 2, axis=-1)
        return measure(first, weights) - measure(second, weights)

    return difference


def by_seed(measure: Measure, values: np.ndarray) -> np.ndarray:
    """The score of each seed, ``(seeds,)``, with every case once."""
    return measure(values, np.ones((1, values.shape[1])))[0]


def pseudo_values(measure: Measure, values: np.ndarray) -> np.ndarray:
    """What each case adds to the score, ``(seeds, cases)``: n theta - (n - 1) theta_without_it.

    The jackknife's pseudo-values (Tukey 1958; Miller 1974). Of a mean they are the values
    themselves; of kappa they make a case a unit of which variances and effect sizes can be taken.
    """
    cases = values.shape[1]
    without = measure(values, 1.0 - np.eye(cases)).T
    return cases * by_seed(measure, values)[:, None] - (cases - 1) * without


def by_network(measure: Measure, values: np.ndarray, folds: np.ndarray | None = None) -> np.ndarray:
    """What each network makes of the score, ``(networks,)``: the score of each seed; or, of each
    fold, the mean of its cases' pseudo-values, known wherever the score without any one case is.

    Args:
        folds: ``(cases,)`` in a cross-validation, the fold that each case was tested in, by one
            network a fold; ``values`` are then ``(1, cases, k)``, the folds' put together.
    """
    if folds is None:
        return by_seed(measure, values)
    unit = pseudo_values(measure, values)[0]
    return np.array([unit[folds == fold].mean() for fold in np.unique(folds)])


class Spread(NamedTuple):
    """The variance of the overall score: of cases, of seeds, and of what is in both."""

    cases: float
    seeds: float
    both: float


def spread(measure: Measure, values: np.ndarray) -> Spread:
    """Two-way analysis of variance, cases crossed with seeds, one value a cell.

    Mean squares over (seeds x cases), Searle, Casella and McCulloch (1992), ch. 4: the variance of
    the overall mean is MS_cases + MS_seeds - MS_residual, since the residual is in both. It needs
    two cases at least.
    """
    unit = pseudo_values(measure, values)
    seeds, cases = unit.shape
    of_cases = float(unit.mean(0).var(ddof=1)) / cases
    if seeds == 1:
        return Spread(of_cases, 0.0, 0.0)
    of_seeds = float(unit.mean(1).var(ddof=1)) / seeds
    rest = unit - unit.mean(0) - unit.mean(1, keepdims=True) + unit.mean()
    of_both = float((rest**2).sum()) / ((seeds - 1) * (cases - 1)) / (seeds * cases)
    return Spread(of_cases, of_seeds, of_both)


def spread_of_folds(measure: Measure, values: np.ndarray, folds: np.ndarray) -> float:
    """The variance that the folds' networks add to the overall score, beside that of its cases.

    One-way analysis of variance, cases nested in folds of any size (Searle, Casella and McCulloch
    1992, ch. 3): a network's own variance is (MS_between - MS_within) / n_0, and the overall mean
    has the part q = sum (n_fold / n)^2 of it. (1 - q) / (n - 1) of it is left out: cases, drawn
    from all folds, bring that along. 0 of one fold, of which nothing can be known, and of one case
    a fold, where cases bring all of it.
    """
    unit = pseudo_values(measure, values)[0]
    _, of, sizes = np.unique(folds, return_inverse=True, return_counts=True)
    cases, networks = len(unit), len(sizes)
    if networks in (1, cases):
        return 0.0
    means = np.bincount(of, unit) / sizes
    between = (sizes * (means - unit.mean()) ** 2).sum() / (networks - 1)
    within = ((unit - means[of]) ** 2).sum() / (cases - networks)
    typical = (cases - (sizes**2).sum() / cases) / (networks - 1)
    part = (cases * ((sizes / cases) ** 2).sum() - 1) / (cases - 1)
    return float(max(0.0, between - within) / typical * part)


def replicates(
    measure: Measure,
    values: np.ndarray,
    seed: int,
    draws: int = RESAMPLES,
    folds: np.ndarray | None = None,
) -> np.ndarray:
    """``(draws,)`` scores of the two-level bootstrap: cases and seeds both vary.

    Cases are drawn anew with all their seeds, n - 1 of n, which makes the variance unbiased
    (McCarthy and Snowden 1985). Seeds are too few to be drawn: their deviations are weighted with
    normal numbers (Wu 1986, the wild bootstrap), which has the same variance without its gaps. Both
    deviations are added. Drawing cases and seeds at once (Owen 2007, the pigeonhole bootstrap)
    counts three times what belongs to a case in a seed, adding counts it twice; the seeds' share is
    therefore reduced by it (:func:`spread`). Either is stretched by t / z of its n - 1 degrees of
    freedom (Hesterberg 2015), for with three seeds a plain percentile interval is far too short.
    The same ``seed``, seeds and cases give the same draws, so replicates of several arms belong
    together.

    In a cross-validation the folds take the seeds' place: each is tested by a network of its own,
    which learned from labels of its own. That their training cases overlap is not seen by any
    estimate from one cross-validation (Bengio and Grandvalet 2004).

    NaN throughout with one case, which says nothing about its spread.

    Args:
        folds: as in :func:`by_network`.
    """
    cases = values.shape[1]
    if cases < 2:
        return np.full(draws, np.nan)
    rng = np.random.default_rng(seed)
    centre = by_seed(measure, values).mean()
    counts = rng.multinomial(cases - 1, np.full(cases, 1 / cases), size=draws).astype(float)
    moved = _stretch(cases) * (measure(values, counts).mean(1) - centre)
    deviations = _deviations(measure, values, folds)
    if deviations.any():
        drawn = rng.standard_normal((draws, len(deviations)))
        moved += _stretch(len(deviations)) * (drawn @ deviations)
    return centre + moved


def _deviations(measure: Measure, values: np.ndarray, folds: np.ndarray | None) -> np.ndarray:
    """Each network's, ``(networks,)``, so scaled that the sum of squares is the variance which
    networks add to the score."""
    scores = by_network(measure, values, folds)
    if folds is None:
        known, seeds = spread(measure, values), len(scores)
        if not known.seeds > known.both:  # NaN too: kappa without one case may be undefined
            return np.zeros(seeds)
        share = np.sqrt((1 - known.both / known.seeds) / (seeds * (seeds - 1)))
        return share * (scores - scores.mean())
    parts = np.unique(folds, return_counts=True)[1] / len(folds)
    weighted = parts * (scores - parts @ scores)
    total = float((weighted**2).sum())
    if not total > 0:
        return np.zeros(len(scores))
    return weighted * np.sqrt(spread_of_folds(measure, values, folds) / total)


def _stretch(units: int) -> float:
    tail = (1 + LEVEL) / 2
    return float(stats.t.ppf(tail, units - 1) / stats.norm.ppf(tail))


def interval(
    drawn: np.ndarray, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[float, float]:
    """The middle 95 % of replicates; NaN where more than half of them are undefined.

    Replicates may be infinite, hence a quantile that does not interpolate.

    Args:
        bounds: the score's range, which the interval is cut to. :func:`replicates` are stretched
            and their seeds' part is normal, so they may leave it, near a Dice of 1 above all; the
            true score cannot, so an interval loses nothing but impossible values by the cut.
    """
    known = drawn[~np.isnan(drawn)]
    if 2 * known.size < drawn.size:
        return float("nan"), float("nan")
    ends = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    return float(np.clip(ends[0], *bounds)), float(np.clip(ends[1], *bounds))


def permutation_p(measure: Measure, first: np.ndarray, second: np.ndarray, seed: int) -> float:
    """The two-sided p of the paired permutation test: in each case the two arms may change names.

    Of a mean this is the sign-flip test (Fisher 1935; Good 2005, ch. 3). A case's seeds change
    together, for the case is the unit. All 2^n assignments are listed where they are no more than
    :data:`PERMUTATIONS`; else as many random ones are drawn and p = (hits + 1) / (draws + 1)
    (Phipson and Smyth 2010), which is never 0.

    Args:
        first, second: ``(seeds, cases, k)``, the same seeds and cases in the same order.
    """
    cases = first.shape[1]
    listed = 2**cases <= PERMUTATIONS
    if listed:
        swap = (np.arange(2**cases)[:, None] >> np.arange(cases)) & 1
    else:
        swap = np.random.default_rng(seed).integers(0, 2, (PERMUTATIONS, cases))
    both = np.concatenate([first, second], axis=1)
    kept = np.concatenate([1 - swap, swap], axis=1).astype(float)
    null = (measure(both, kept) - measure(both, 1 - kept)).mean(1)
    seen = (by_seed(measure, first) - by_seed(measure, second)).mean()
    if np.isnan(seen):
        return float("nan")
    # Rounding must not decide whether a permutation is as extreme as what was seen.
    hits = int((np.abs(null) >= np.abs(seen) - 1e-9).sum())
    return hits / len(null) if listed else (hits + 1) / (len(null) + 1)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (1979): the i-th smallest of m times m - i + 1, never falling.

    NaN, a test that could not be made, is not counted among the m.
    """
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p)[: int((~np.isnan(p)).sum())]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return corrected


def effect_size(measure: Measure, values: np.ndarray) -> float:
    """Cohen's d_z (1988, section 2.3.5) of a paired measure: mean / standard deviation over cases.

    Seeds are averaged first. Of kappa the units are pseudo-values. NaN where no case differs.
    """
    if values.shape[1] < 2:
        return float("nan")
    unit = pseudo_values(measure, values).mean(0)
    deviation = unit.std(ddof=1)
    return float(unit.mean() / deviation) if deviation > 1e-12 else float("nan")
