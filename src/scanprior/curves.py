"""What a curve of scores says: labels needed for a score, the step at which it is reached."""

import numpy as np
from scipy import optimize


def rising(scores: np.ndarray) -> np.ndarray:
    """The nearest never-falling curve, ``(..., n)`` to ``(..., n)``: isotonic regression.

    A curve with NaN in it is NaN throughout: what is not known may lie anywhere.
    """

    def fitted(curve: np.ndarray) -> np.ndarray:
        if np.isnan(curve).any():
            return np.full(len(curve), np.nan)
        return optimize.isotonic_regression(curve).x

    return np.apply_along_axis(fitted, -1, np.asarray(scores, dtype=float))


def labels_needed(labels: np.ndarray, scores: np.ndarray, wanted: np.ndarray | float) -> np.ndarray:
    """How many labels bring ``wanted (...)`` on the curve ``scores (..., n)`` over ``labels (n)``.

    Linear in log labels between points of :func:`rising`; where the curve is flat, the fewest.
    Outside the curve nothing is known: 0 where even the fewest labels score more, infinity where
    the most score less. NaN where ``wanted`` or a point of the curve is NaN.
    """
    curve, wanted = rising(scores), np.asarray(wanted)
    enough = curve >= wanted[..., None]
    after = np.clip(enough.argmax(-1), 1, None)
    low, high = (np.take_along_axis(curve, at[..., None], -1)[..., 0] for at in (after - 1, after))
    logs = np.log(labels)
    way = np.divide(wanted - low, high - low, out=np.zeros_like(low), where=high > low)
    way = np.clip(way, 0, 1)  # outside the curve it would overflow
    found = np.exp(logs[after - 1] + way * (logs[after] - logs[after - 1]))
    found = np.where(curve[..., 0] > wanted, 0.0, found)
    found = np.where(enough.any(-1), found, np.inf)
    return np.where(np.isnan(wanted) | np.isnan(curve).any(-1), np.nan, found)


def first_reach(steps: np.ndarray, scores: np.ndarray, wanted: float) -> float:
    """The first step at which a curve, linear between its points, is at ``wanted``; NaN: never."""
    reached = np.flatnonzero(scores >= wanted)
    if not reached.size:
        return float("nan")
    at = int(reached[0])
    if at == 0:
        return float(steps[0])
    return float(np.interp(wanted, scores[at - 1 : at + 1], steps[at - 1 : at + 1]))
