"""Statistics: against SciPy, by hand, and on simulated data whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from scanprior.metrics.grading import quadratic_weighted_kappa
from scanprior.metrics.grading import weighted_kappa as kappa
from scanprior.statistics import (
    by_network,
    by_seed,
    effect_size,
    holm,
    interval,
    mean_score,
    paired,
    permutation_p,
    pseudo_values,
    replicates,
    spread,
    spread_of_folds,
)


def scores(seed, shape, seeds=0.0, cases=1.0, both=0.0, mean=0.0):
    """``(seeds, cases, 1)``: crossed random effects of known variance around a known mean."""
    rng = np.random.default_rng(seed)
    of_seeds, of_cases = rng.normal(0, seeds, shape[0]), rng.normal(0, cases, shape[1])
    return (mean + of_seeds[:, None] + of_cases + rng.normal(0, both, shape))[..., None]


def grades(seed, seeds, cases, noise=0.8):
    """Truth and prediction, ``(seeds, cases, 2)``."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, cases)
    said = np.clip(np.rint(truth + rng.normal(0, noise, (seeds, cases))), 0, 4)
    return np.stack([np.broadcast_to(truth, said.shape).astype(float), said], axis=-1)


def test_kappa_is_the_definitions_also_of_weighted_cases():
    values = grades(0, 2, 40)
    counts = np.random.default_rng(1).multinomial(40, np.full(40, 1 / 40), size=3).astype(float)
    for draw, found in zip(counts, kappa(values, counts), strict=True):
        again = np.repeat(np.arange(40), draw.astype(int))
        for seed in range(2):
            truth, said = values[seed, again].T
            expected = quadratic_weighted_kappa(truth.astype(int), said.astype(int), 5)
            assert found[seed] == pytest.approx(expected, abs=1e-12)
    alike = np.full((1, 7, 2), 3.0)
    assert np.isnan(by_seed(kappa, alike)).all()


@pytest.mark.parametrize("cases", [9, 40])
def test_permutation_of_means_agrees_with_scipy(cases):
    first, second = scores(0, (1, cases), mean=0.4), scores(1, (1, cases))
    theirs = stats.permutation_test(
        (first[0, :, 0], second[0, :, 0]),
        lambda a, b, axis: (a - b).mean(axis),
        permutation_type="samples",
        vectorized=True,
        rng=np.random.default_rng(0),
    ).pvalue
    ours = permutation_p(mean_score, first, second, seed=0)
    assert ours == pytest.approx(theirs, abs=1e-12 if cases == 9 else 0.015)


@pytest.mark.slow
def test_permutation_of_kappas_agrees_with_scipy():
    first, second = grades(0, 1, 10, 0.5), grades(0, 1, 10, 1.5)
    truth = first[0, :, 0]

    def difference(a, b):
        return np.subtract(*(quadratic_weighted_kappa(truth.astype(int), s, 5) for s in (a, b)))

    one, two = (values[0, :, 1].astype(int) for values in (first, second))
    theirs = stats.permutation_test(
        (one, two), difference, permutation_type="samples", vectorized=False, n_resamples=2000
    ).pvalue
    assert permutation_p(kappa, first, second, seed=0) == pytest.approx(theirs, abs=1e-12)


def test_permutation_p_is_never_zero_and_has_its_floor():
    sure = scores(0, (2, 40), cases=0.1, mean=9.0), scores(1, (2, 40), cases=0.1)
    assert permutation_p(mean_score, *sure, seed=0) == 1 / 10_000
    few = scores(0, (1, 4), cases=0.1, mean=9.0), scores(1, (1, 4), cases=0.1)
    assert permutation_p(mean_score, *few, seed=0) == 2 / 16
    assert permutation_p(mean_score, few[0], few[0], seed=0) == 1.0


def test_interval_of_one_seed_agrees_with_scipys_bootstrap():
    values = scores(3, (1, 50)) ** 2  # skewed
    theirs = stats.bootstrap(
        (values[0, :, 0],),
        np.mean,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    ours = interval(replicates(mean_score, values, seed=0, draws=20_000))
    # Ours is wider by what n - 1 draws and t instead of z make.
    wider = np.sqrt(50 / 49) * stats.t.ppf(0.975, 49) / stats.norm.ppf(0.975)
    centre = values.mean()
    assert ours[0] - centre == pytest.approx((theirs.low - centre) * wider, rel=0.04)
    assert ours[1] - centre == pytest.approx((theirs.high - centre) * wider, rel=0.04)


@pytest.mark.slow
def test_interval_of_kappa_agrees_with_scipys_bootstrap():
    values = grades(4, 1, 60)
    theirs = stats.bootstrap(
        tuple(values[0].T.astype(int)),
        lambda truth, said: quadratic_weighted_kappa(truth, said, 5),
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=3000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    ours = interval(replicates(kappa, values, seed=0, draws=3000))
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.015)


def test_an_interval_needs_two_cases_and_defined_replicates():
    assert np.isnan(interval(replicates(mean_score, scores(0, (3, 1)), seed=0))).all()
    assert np.isnan(interval(replicates(kappa, np.full((2, 5, 2), 1.0), seed=0))).all()
    assert interval(np.array([0.0] * 50 + [np.inf] * 50)) == (0.0, np.inf)


def test_spread_of_effects_that_only_add():
    of_seeds, of_cases = np.array([0.0, 3.0, 6.0]), np.array([1.0, 2.0, 3.0, 6.0])
    values = (of_seeds[:, None] + of_cases)[..., None]
    found = spread(mean_score, values)
    expected = (of_cases.var(ddof=1) / 4, of_seeds.var(ddof=1) / 3, 0.0)
    assert found == pytest.approx(expected, abs=1e-12)
    assert pseudo_values(mean_score, values) == pytest.approx(values[..., 0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "of_seeds", "of_cases", "both"),
    [
        ((3, 50), 0.0, 1.0, 0.3),
        ((3, 50), 0.1, 1.0, 0.3),
        ((3, 50), 1.0, 0.1, 0.3),
        ((3, 50), 0.0, 0.1, 1.0),
        ((5, 20), 0.1, 1.0, 1.0),
        ((2, 50), 0.1, 1.0, 0.5),
        ((1, 50), 0.0, 1.0, 0.0),
    ],
)
def test_95_percent_intervals_hold_the_truth_about_95_percent_of_the_time(
    shape, of_seeds, of_cases, both
):
    hits = 0
    for seed in range(300):
        values = scores(seed, shape, of_seeds, of_cases, both, mean=0.7)
        low, high = interval(replicates(mean_score, values, seed, draws=500))
        hits += low <= 0.7 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_spread_of_folds_by_hand():
    values = np.array([1.0, 3.0, 5.0, 7.0, 2.0, 6.0])[None, :, None]
    folds = np.array([0, 0, 1, 1, 2, 2])  # means 2, 6, 4; squares within 2, 2, 8, between 16
    assert by_network(mean_score, values, folds) == pytest.approx([2, 6, 4])
    own = (16 / 2 - 12 / 3) / 2  # of a network
    assert spread_of_folds(mean_score, values, folds) == pytest.approx(own / 5)
    uneven = np.array([0, 0, 0, 0, 1, 1])  # means 4, 4
    assert spread_of_folds(mean_score, values, uneven) == 0


def test_folds_of_which_nothing_can_be_known_add_nothing():
    values = scores(0, (1, 12))
    plain = replicates(mean_score, values, seed=0)
    for folds in (np.zeros(12, int), np.arange(12)):  # one fold; a case a fold
        assert replicates(mean_score, values, seed=0, folds=folds) == pytest.approx(plain)
    lone = np.r_[np.arange(11) % 3, 3]  # a fold of one case takes nothing from the others
    values = values + 3.0 * lone[None, :, None]
    told = replicates(mean_score, values, seed=0, folds=lone)
    assert told.std() > 1.5 * replicates(mean_score, values, seed=0).std()


def test_a_fold_of_one_grade_has_a_share_of_kappa():
    """Its own kappa would be undefined."""
    truth = np.r_[np.arange(20) % 5, np.zeros(10)]
    said = np.r_[np.clip(truth[:20] + 1, 0, 4), np.zeros(10)]
    values = np.stack([truth, said], -1)[None]
    first, second = by_network(kappa, values, np.r_[np.zeros(20), np.ones(10)])
    assert second > first


def test_a_kappa_that_one_case_defines_has_an_interval():
    """Without that case it is 0 / 0."""
    truth, said = np.zeros((2, 20)), np.zeros((2, 20))
    truth[:, 0], said[:, 0] = 2, (2, 1)
    values = np.stack([truth, said], -1)
    folds = np.arange(20) % 5
    for drawn in (replicates(kappa, values, 0), replicates(kappa, values[1:], 0, folds=folds)):
        assert np.isfinite(drawn).any()


@pytest.mark.slow
@pytest.mark.parametrize("of_folds", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("sizes", [(20,) * 5, (80, 80, 80, 80, 1), (100, 30, 30, 30, 30)])
def test_coverage_of_a_cross_validation(of_folds, sizes):
    hits = {"folds": 0, "none": 0}
    folds = np.repeat(np.arange(5), sizes)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        networks = rng.normal(0, of_folds, 5)
        values = (0.7 + networks[folds] + rng.normal(0, 1, len(folds)))[None, :, None]
        for name, told in {"folds": folds, "none": None}.items():
            low, high = interval(replicates(mean_score, values, seed, draws=500, folds=told))
            hits[name] += low <= 0.7 <= high
    assert 0.86 <= hits["folds"] / 300 <= 0.99
    assert of_folds < 1 or hits["none"] / 300 < 0.7  # the networks differ, unseen


@pytest.mark.slow
def test_coverage_of_a_difference_of_kappas():
    """Two arms of one quality: the true difference is 0."""
    hits = 0
    for seed in range(300):
        one, two = grades(seed, 3, 80), grades(seed, 3, 80)
        rng = np.random.default_rng(10_000 + seed)
        again = np.rint(one[..., 0] + rng.normal(0, 0.8, (3, 80)))
        two[..., 1] = np.clip(again, 0, 4)
        both = np.concatenate([one, two], axis=-1)
        low, high = interval(replicates(paired(kappa), both, seed, draws=500))
        hits += low <= 0 <= high
    assert 0.90 <= hits / 300 <= 0.99


@pytest.mark.slow
def test_false_positives_of_the_permutation_test():
    found = {"mean": 0, "kappa": 0}
    for seed in range(400):
        pair = (scores(2 * seed + i, (3, 12), cases=1.0, both=0.5) for i in range(2))
        found["mean"] += permutation_p(mean_score, *pair, seed=seed) <= 0.05
        one, two = grades(seed, 3, 13, 1.5), grades(seed, 3, 13, 1.5)
        noise = np.random.default_rng(10_000 + seed).normal(0, 1.5, (3, 13))
        two[..., 1] = np.clip(np.rint(two[..., 0] + noise), 0, 4)
        found["kappa"] += permutation_p(kappa, one, two, seed=seed) <= 0.05
    assert 0.03 <= found["mean"] / 400 <= 0.07
    assert 0.025 <= found["kappa"] / 400 <= 0.07


def test_holm_by_hand():
    # Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04, and the last may not fall.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    with_gap = holm(np.array([0.01, np.nan, 0.9]))
    assert with_gap == pytest.approx([0.02, np.nan, 0.9], nan_ok=True)
    assert holm(np.array([0.7, 0.8])) == pytest.approx([1.0, 1.0])
    assert len(holm(np.array([]))) == 0


def test_effect_size_is_t_over_root_n():
    values = scores(0, (3, 30), 0.1, 1.0, 0.5, mean=0.4)
    t = stats.ttest_1samp(values[..., 0].mean(0), 0).statistic
    assert effect_size(mean_score, values) == pytest.approx(t / np.sqrt(30))
    assert np.isnan(effect_size(mean_score, np.ones((1, 5, 1))))
    assert np.isnan(effect_size(mean_score, np.ones((1, 1, 1))))


def test_no_interval_leaves_the_scores_range():
    high = np.clip(scores(0, (3, 8), 0.05, 0.05, 0.02, mean=0.97), 0, 1)
    drawn = replicates(mean_score, high, seed=0)
    assert interval(drawn)[1] > 1  # a wild draw of a seed's deviation knows no range
    low, top = interval(drawn, bounds=(0.0, 1.0))
    assert (low, top) == (interval(drawn)[0], 1.0)
    assert np.isnan(interval(np.full(9, np.nan), bounds=(0.0, 1.0))).all()
