"""Intervals hold what they promise, are seeded, and are honest about nothing."""

import numpy as np
import pytest

from scanprior.contracts import InputError
from scanprior.metrics.intervals import bootstrap_interval, resampled_interval


def test_interval_holds_the_mean_at_its_level():
    draw = np.random.default_rng(0)
    hits = 0
    for i in range(200):
        low, high = bootstrap_interval(draw.normal(size=40), seed=i, resamples=500)
        hits += low <= 0 <= high
    assert 176 <= hits <= 199


def test_interval_is_seeded_and_narrows():
    values = np.random.default_rng(1).uniform(size=100)
    assert bootstrap_interval(values, 0) == bootstrap_interval(values, 0)
    assert bootstrap_interval(values, 0) != bootstrap_interval(values, 1)
    wide, narrow = (bootstrap_interval(values, 0, level=level) for level in (0.95, 0.5))
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]


def test_interval_of_one_case_of_equal_cases_and_of_none():
    assert bootstrap_interval([0.7], 0) == (0.7, 0.7)
    assert bootstrap_interval([0.5] * 9, 0) == (0.5, 0.5)
    with pytest.raises(InputError, match="at least one case"):
        bootstrap_interval([], 0)


def test_a_resampled_mean_has_the_bootstrap_s_interval():
    values = np.random.default_rng(2).normal(size=80)
    found = resampled_interval(lambda rows: [values[rows].mean()], 80, seed=0, resamples=4000)
    assert found.shape == (1, 2)
    np.testing.assert_allclose(found[0], bootstrap_interval(values, 1, 4000), atol=0.02)


def test_resamples_without_a_value_are_left_out():
    def sometimes(rows):
        return [np.nan if 0 in rows else float(rows.mean()), np.nan]

    found = resampled_interval(sometimes, 5, seed=0)
    assert 1 <= found[0, 0] <= found[0, 1] <= 4
    assert np.isnan(found[1]).all()
    with pytest.raises(InputError, match="at least one case"):
        resampled_interval(sometimes, 0, seed=0)
