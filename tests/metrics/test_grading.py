"""Kappa and AUC against their definitions written out, and the cases they are not defined for."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanprior.contracts import InputError
from scanprior.metrics.grading import (
    Graded,
    accuracy,
    estimates,
    macro_auc,
    quadratic_weighted_kappa,
    scores,
)

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30)


def slow_kappa(truth, prediction):
    """All pairs of cases stand for chance: no table, no marginals."""
    seen = np.mean([(t - p) ** 2 for t, p in zip(truth, prediction, strict=True)])
    chance = np.mean([(t - p) ** 2 for t, p in itertools.product(truth, prediction)])
    return 1 - seen / chance if chance else float("nan")


def slow_auc(truth, probabilities):
    found = []
    for k in range(probabilities.shape[1]):
        inside, outside = probabilities[truth == k, k], probabilities[truth != k, k]
        if len(inside) and len(outside):
            order = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(inside, outside)]
            found.append(np.mean(order))
    return np.mean(found) if found else float("nan")


@given(pairs)
def test_kappa_is_its_definition(drawn):
    truth, prediction = (list(part) for part in zip(*drawn, strict=True))
    found = quadratic_weighted_kappa(truth, prediction, 5)
    assert found == pytest.approx(slow_kappa(truth, prediction), nan_ok=True)


def test_kappa_of_known_tables():
    assert quadratic_weighted_kappa([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], 5) == 1
    assert quadratic_weighted_kappa([0, 1, 2], [2, 1, 0], 3) == pytest.approx(-1)
    assert quadratic_weighted_kappa([0, 1, 2], [1, 1, 1], 3) == 0
    # two raters, 50 cases, two grades: Cohen's kappa of the table ((20, 5), (10, 15)) is 0.4
    truth = [0] * 25 + [1] * 25
    prediction = [0] * 20 + [1] * 5 + [0] * 10 + [1] * 15
    assert quadratic_weighted_kappa(truth, prediction, 2) == pytest.approx(0.4)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=25), st.integers(0, 9))
def test_auc_is_the_share_of_ordered_pairs(grades, seed):
    truth = np.array(grades)
    probabilities = np.random.default_rng(seed).integers(0, 4, (len(truth), 4)) / 4  # with ties
    assert macro_auc(truth, probabilities) == pytest.approx(
        slow_auc(truth, probabilities), nan_ok=True
    )


def test_what_is_not_defined_is_nan():
    assert np.isnan(quadratic_weighted_kappa([2, 2], [2, 2], 5))
    assert np.isnan(macro_auc([1, 1], np.full((2, 3), 1 / 3)))
    one = Graded(np.array([1, 1]), np.array([1, 1]), np.full((2, 3), 1 / 3))
    found = estimates(one, seed=0, resamples=20)
    assert found["accuracy"] == (1, 1, 1)
    assert np.isnan(found["kappa"]).all()
    assert np.isnan(found["auc"]).all()


def test_a_grade_without_a_case_is_left_out_of_the_auc():
    sure = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.7, 0.3, 0.0]])
    assert macro_auc([0, 1, 0], sure) == 1


def test_intervals_hold_the_value_and_are_seeded():
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 5, 120)
    prediction = np.clip(truth + draw.integers(-1, 2, 120), 0, 4)
    graded = Graded(truth, prediction, np.eye(5)[prediction] * 0.5 + 0.1)
    found = estimates(graded, seed=3, resamples=300)
    assert found == estimates(graded, seed=3, resamples=300)
    assert found != estimates(graded, seed=4, resamples=300)
    assert {name: e.value for name, e in found.items()} == scores(graded)
    for estimate in found.values():
        assert estimate.low < estimate.value < estimate.high
    assert found["accuracy"].value == accuracy(truth, prediction)
    spread = np.sqrt(accuracy(truth, prediction) * (1 - accuracy(truth, prediction)) / 120)
    width = found["accuracy"].high - found["accuracy"].low
    assert width == pytest.approx(2 * 1.96 * spread, rel=0.15)


@pytest.mark.parametrize(
    ("truth", "prediction", "word"),
    [
        ([], [], "nothing to score"),
        ([0, 5], [0, 1], "grade 5 is not among 0 to 4"),
        ([0, -1], [0, 1], "grade -1"),
        ([0, 1], [0, 1.5], "grade 1.5"),
        ([0, 1], [0], "one for each"),
    ],
)
def test_refused(truth, prediction, word):
    with pytest.raises(InputError, match=word):
        quadratic_weighted_kappa(np.array(truth), np.array(prediction), 5)
