"""Curves of scores: against SciPy, by hand, and on simulated data whose truth is known."""

import numpy as np
import pytest
from scipy import optimize

from scanprior.curves import first_reach, labels_needed, rising
from scanprior.statistics import interval, mean_score, replicates


def test_rising_is_isotonic_regression():
    curves = np.random.default_rng(0).normal(size=(50, 6)) + np.arange(6) * 0.3
    theirs = [optimize.isotonic_regression(curve).x for curve in curves]
    assert rising(curves) == pytest.approx(np.array(theirs))


def test_labels_needed():
    labels = np.array([5.0, 10.0, 20.0])
    curve = np.array([0.5, 0.6, 0.7])
    wanted = np.array([0.5, 0.55, 0.6, 0.65, 0.7])
    found = labels_needed(labels, np.tile(curve, (5, 1)), wanted)
    assert found == pytest.approx([5, np.sqrt(50), 10, np.sqrt(200), 20])
    outside = labels_needed(labels, np.tile(curve, (2, 1)), np.array([0.49, 0.71]))
    assert outside.tolist() == [0.0, np.inf]
    flat = labels_needed(labels, np.array([0.5, 0.6, 0.6]), 0.6)
    assert float(flat) == pytest.approx(10)
    falling = labels_needed(labels, np.array([0.5, 0.7, 0.5]), 0.55)
    assert 5 < float(falling) < 10


def test_what_is_unknown_needs_unknown_labels():
    """NaN is neither reached nor above the curve: 0 or infinity would be a claim."""
    labels, curve = np.array([5.0, 10.0, 20.0]), np.array([0.5, 0.6, 0.7])
    assert np.isnan(labels_needed(labels, curve, np.nan))
    for at in range(3):
        holed = curve.copy()
        holed[at] = np.nan
        assert np.isnan(rising(holed)).all()
        assert np.isnan(labels_needed(labels, holed, 0.55))
    both = labels_needed(labels, np.stack([curve, curve]), np.array([np.nan, 0.6]))
    assert both == pytest.approx([np.nan, 10], nan_ok=True)


@pytest.mark.slow
def test_the_interval_of_labels_needed_holds_the_truth():
    """Scratch scores 0.5 + 0.1 log10(n), the start at 10 labels what scratch does at 20."""
    labels, hits, found = np.array([5.0, 10.0, 20.0, 40.0]), 0, []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        case = rng.normal(0, 0.05, 50)
        levels = 0.5 + 0.1 * np.log10([*labels, 20.0])
        arms = [
            (level + case + rng.normal(0, 0.002, (3, 1)) + rng.normal(0, 0.02, (3, 50)))[..., None]
            for level in levels
        ]
        drawn = np.stack([replicates(mean_score, arm, seed, draws=300) for arm in arms], axis=-1)
        low, high = interval(labels_needed(labels, drawn[:, :-1], drawn[:, -1]))
        hits += low <= 20 <= high
        centre = np.array([arm.mean() for arm in arms])
        found.append(float(labels_needed(labels, centre[:-1], centre[-1])))
    assert np.median(found) == pytest.approx(20, rel=0.03)
    assert 0.90 <= hits / 200 <= 0.995


def test_first_reach():
    steps, curve = np.array([0.0, 10.0, 20.0]), np.array([0.0, 0.4, 0.2])
    assert first_reach(steps, curve, 0.3) == pytest.approx(7.5)
    assert first_reach(steps, curve, 0.0) == 0
    assert np.isnan(first_reach(steps, curve, 0.5))
