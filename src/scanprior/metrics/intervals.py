"""How sure a number over cases is: bootstrap intervals (Efron & Tibshirani 1993, chapter 13)."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from scanprior.contracts import InputError


def bootstrap_interval(
    values: Sequence[float] | np.ndarray, seed: int, resamples: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """The percentile bootstrap's interval of the mean of ``values``, one value a case.

    One case, or cases that all agree, say nothing of the spread: the interval is then a point.

    Raises:
        InputError: there are no values.
    """
    cases = np.asarray(values, dtype=float)
    if cases.size == 0:
        raise InputError("an interval needs at least one case; give some values.")
    if (cases == cases[0]).all():
        return float(cases[0]), float(cases[0])
    found = stats.bootstrap(
        (cases,),
        np.mean,
        n_resamples=resamples,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def resampled_interval(
    score: Callable[[np.ndarray], Sequence[float]],
    cases: int,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> np.ndarray:
    """The percentile bootstrap's intervals ``(k, 2)`` of the k numbers that ``score`` gives.

    ``score`` is called with the indices ``(cases,)`` of the cases of a resample. For numbers that
    are no mean over cases, such as kappa. A resample in which a number is undefined (NaN) says
    nothing of that number and is left out; where all are, so is the interval.

    Raises:
        InputError: there are no cases.
    """
    if cases < 1:
        raise InputError("an interval needs at least one case; give some values.")
    draw = np.random.default_rng(seed)
    found = np.array([score(draw.integers(cases, size=cases)) for _ in range(resamples)], float)
    ends = [(1 - level) / 2, (1 + level) / 2]
    columns = [column[np.isfinite(column)] for column in found.T]
    return np.array([np.quantile(c, ends) if c.size else (np.nan, np.nan) for c in columns])
