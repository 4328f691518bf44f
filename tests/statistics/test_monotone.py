"""The test of dips: by hand, its level under truths that never dip, its power, missing sizes and degenerate ones."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurotransfer.errors import InputError
from neurotransfer.statistics.isotonic import isotonic, least_favourable
from neurotransfer.statistics.monotone import Dip, deepest, dips, monotone_test
from neurotransfer.statistics.redrawn import Redrawn, by_replicates, by_standard_errors

LEVELS = st.integers(-8, 8).map(lambda level: level / 8)


def draws(seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("curve", "higher", "expected"),
    [
        ([1, 2, 3], True, (0, 0, 0)),
        ([1, 2, 3], False, (2, 0, 2)),
        ([3, 1, 2], True, (2, 0, 1)),
        ([0, 3, 1, 4, 3, 0], True, (4, 3, 5)),
        ([1, np.nan, 3, np.nan, 2], True, (1, 2, 4)),
        ([np.nan, 4, np.nan], True, (0, 1, 1)),
        ([2, 2, 2], True, (0, 0, 0)),
        # the last place of the top, the first place of the bottom
        ([3, 3, 1, 1], True, (2, 1, 2)),
        ([5.0], False, (0, 0, 0)),
    ],
)
def test_dips_by_hand(curve, higher, expected):
    assert dips(np.array(curve, float), higher) == Dip(*expected)


@given(arrays(float, st.integers(1, 8), elements=LEVELS), st.booleans())
@settings(deadline=None)
def test_dips_agree_with_all_pairs(curve, higher):
    found = dips(curve, higher)
    sign = 1 if higher else -1
    falls = [sign * (first - second) for first, second in itertools.combinations(curve, 2)]
    assert found.depth == max([0, *falls])
    assert found.depth == sign * (curve[found.start] - curve[found.end])
    assert found.start < found.end or found.depth == 0
    assert deepest(sign * curve[None, :])[0] == found.depth


def test_everything_by_hand_on_given_deviations():
    # the fit is 0, 1, 1; the rise of 1 has a standard error below 0.6: it stays, and chance is added to that curve
    curve = np.array([0.0, 1.5, 0.5])
    deviations = np.array([[0, 0, 0], [0, 0.5, -0.5], [0, -0.5, 0.5], [0, 0.2, -0.2]])
    found = monotone_test(Redrawn(curve, deviations), True, np.ones(3))
    assert (found.depth, found.start, found.end, found.n_sizes) == (1, 1, 2, 3)
    np.testing.assert_allclose(found.fitted, [0, 1, 1])
    assert found.distance == pytest.approx(0.5)
    # depths by chance are 0, 1, 0, 0.4 and distances 0, 0.5, 0, 0.08
    assert found.p_dip == found.p_distance == pytest.approx(2 / 5)
    assert found.expected_depth == pytest.approx(1.4 / 4)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile([1, 2, 0, 1.4], [0.025, 0.975])))


def test_errors_are_the_mirror_image_of_scores():
    scores = draws(1).normal(0, 1, (20, 5))
    up = by_replicates(scores)
    down = Redrawn(-up.curve, -up.deviations)
    higher, lower = monotone_test(up, True), monotone_test(down, False)
    assert higher.p_dip == lower.p_dip
    assert higher.p_distance == lower.p_distance
    assert (higher.low, higher.high) == pytest.approx((lower.low, lower.high))
    np.testing.assert_allclose(higher.fitted, -lower.fitted)


@given(arrays(float, (5, 4), elements=LEVELS), st.sampled_from([0.125, 4.0]), st.integers(-2, 2))
@settings(deadline=None, max_examples=40)
def test_another_unit_changes_no_p(scores, factor, shift):
    first = monotone_test(by_replicates(scores, 60), True)
    other = monotone_test(by_replicates(factor * scores + shift, 60), True)
    assert other.p_dip == first.p_dip
    assert other.p_distance == pytest.approx(first.p_distance, abs=2 / 61)
    assert 1 / 61 <= first.p_dip <= 1
    assert other.depth == pytest.approx(factor * first.depth, abs=1e-9)


FALLING_ERRORS = np.array([2.0, 1.5, 1.0, 0.7, 0.5, 0.4])
# truths that never dip, in units of the standard error of the mean of a size
TRUTHS = {
    "flat": (np.zeros(6), np.ones(6)),
    "flat, noise falls": (np.zeros(6), FALLING_ERRORS),
    "flat, noise differs": (np.zeros(6), np.array([0.2, 0.5, 1.0, 2.0, 1.0, 0.4])),
    "barely rising": (0.3 * np.arange(6), np.ones(6)),
    "rising": (1.0 * np.arange(6), np.ones(6)),
    "flat tail": (np.array([0, 4, 8, 8, 8, 8.0]), np.ones(6)),
    "nearly flat tail": (np.array([0, 1.5, 2.5, 3, 3, 3.0]), FALLING_ERRORS),
    "one step": (np.array([0, 0, 0, 1.8, 1.8, 1.8]), np.ones(6)),
    "two sizes": (np.zeros(2), np.array([1.0, 3.0])),
    "twelve sizes": (np.zeros(12), np.ones(12)),
}


def p_values(truth, errors, n_studies, n_draws=199, seed=0):
    rng = draws(seed)
    found = []
    for _ in range(n_studies):
        curve = truth + errors * rng.standard_normal(len(truth))
        test = monotone_test(by_standard_errors(curve, errors, n_draws, rng), True)
        found.append((test.p_dip, test.p_distance))
    return np.array(found).T


@pytest.mark.parametrize("name", TRUTHS)
def test_the_level_holds_for_truths_that_never_dip(name):
    n_studies = 250
    for found in p_values(*TRUTHS[name], n_studies):
        # three standard errors of a share of 0.05 among 250, to which flattening may add a little
        assert np.mean(found <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / n_studies) + 0.005


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTHS)
def test_the_level_holds_in_many_studies(name):
    n_studies = 800
    for found in p_values(*TRUTHS[name], n_studies, 399, seed=1):
        for level in (0.01, 0.05, 0.1):
            assert np.mean(found <= level) <= 1.2 * level + 2 * np.sqrt(level / n_studies)


@pytest.mark.parametrize("n_replicates", [4, 10, 40])
def test_the_level_holds_with_few_replicates_of_skewed_scores(n_replicates):
    rng = draws(7)
    found = [
        monotone_test(by_replicates(-rng.exponential(1, (n_replicates, 5)), 199, rng), True).p_dip for _ in range(250)
    ]
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 250)


def test_p_is_uniform_for_a_flat_truth():
    dip, distance = p_values(np.zeros(4), np.ones(4), 400, n_draws=399, seed=3)
    # a curve without any dip has p = 1, so only small values are uniform
    for found in (dip, distance):
        small = found[found <= 0.5]
        assert np.mean(found <= 0.5) == pytest.approx(0.5, abs=0.09)
        assert scipy.stats.kstest(2 * small, "uniform").pvalue > 0.01


def test_power_rises_with_depth():
    errors = np.ones(5)
    powers = [
        np.mean(p_values(np.array([0, 4, 4 - depth, 5, 6.0]), errors, 120, 199, seed=4)[0] <= 0.05)
        for depth in (0, 2, 4, 6)
    ]
    assert powers == sorted(powers)
    assert powers[0] <= 0.1
    assert powers[-1] >= 0.9


def test_a_fit_to_noise_would_find_too_many_dips():
    """Why rises that may be noise are flattened: without that, the level is lost."""
    rng, n_studies, level = draws(5), 1000, 0.2
    careless = careful = 0
    for _ in range(n_studies):
        curve, noise, weights = rng.standard_normal(6), rng.standard_normal((150, 6)), np.ones(6)
        depth = dips(curve, True).depth
        careless += np.mean(deepest(isotonic(curve[None, :], weights) + noise) >= depth) <= level
        careful += np.mean(deepest(least_favourable(curve, noise.T @ noise / 150, weights) + noise) >= depth) <= level
    assert careless / n_studies > level + 3 * np.sqrt(level * (1 - level) / n_studies)
    assert careful / n_studies < level + 2 * np.sqrt(level * (1 - level) / n_studies)


def test_the_depth_by_chance_is_what_a_flat_curve_shows():
    rng = draws(6)
    seen = deepest(rng.standard_normal((20_000, 6))).mean()
    found = monotone_test(Redrawn(np.zeros(6), rng.standard_normal((4000, 6))), True)
    assert found.expected_depth == pytest.approx(seen, rel=0.03)


def test_the_interval_covers_the_depth_of_a_dip_that_is_plain_to_see():
    rng, covered = draws(8), 0
    for _ in range(300):
        curve = np.array([0.0, 20.0, 10.0, 30.0]) + rng.standard_normal(4)
        test = monotone_test(by_standard_errors(curve, np.ones(4), 500, rng), True)
        covered += test.low <= 10.0 <= test.high
    assert covered / 300 >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 300)


def test_noise_that_sizes_share_makes_no_dip():
    rng = draws(9)
    shared = np.repeat(rng.normal(0, 1, (1000, 1)), 3, axis=1) + rng.normal(0, 0.05, (1000, 3))
    curve = np.array([0.0, 1.0, 0.6])
    assert monotone_test(Redrawn(curve, shared), True).p_dip < 0.01
    assert monotone_test(by_standard_errors(curve, np.full(3, 1.0)), True).p_dip > 0.3


def test_sizes_that_are_not_known_are_left_out():
    scores = draws(10).normal([0, 3, 1, 4.0], 0.5, (30, 4))
    missing = np.insert(scores, 2, np.nan, axis=1)
    few = np.insert(missing, 0, np.r_[9.0, np.full(29, np.nan)], axis=1)
    found = monotone_test(by_replicates(few), True)
    assert (found.start, found.end, found.n_sizes) == (2, 4, 4)
    assert np.isnan(found.fitted[[0, 3]]).all()
    assert found.p_dip == pytest.approx(monotone_test(by_replicates(scores), True).p_dip, abs=0.001)


def test_draws_without_a_score_at_some_size_are_left_out():
    whole = by_standard_errors(np.array([0.0, 3.0, 1.0]), np.ones(3), 300)
    holes = whole.deviations.copy()
    holes[::3, 1], holes[1::3, 0] = np.nan, np.nan
    found, expected = (monotone_test(Redrawn(whole.curve, noise), True) for noise in (holes, whole.deviations[2::3]))
    assert (found.p_dip, found.low, found.high) == (expected.p_dip, expected.low, expected.high)


def test_a_curve_without_any_dip():
    found = monotone_test(by_standard_errors(np.arange(4.0), np.full(4, 0.1)), True)
    assert (found.depth, found.start, found.end, found.distance) == (0, 0, 0, 0)
    assert found.p_dip == found.p_distance == 1
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_one_size_cannot_dip_and_two_can():
    alone = monotone_test(by_standard_errors(np.array([0.5]), np.array([0.1])), True)
    assert (alone.depth, alone.p_dip, alone.expected_depth, alone.n_sizes) == (0, 1, 0, 1)
    pair = monotone_test(by_standard_errors(np.array([0.5, 0.2]), np.array([0.1, 0.1]), 20_000), True)
    assert pair.p_dip == pytest.approx(scipy.stats.norm.sf(0.3 / np.hypot(0.1, 0.1)), abs=0.004)


def test_without_noise_every_dip_is_real_and_every_rise_is_no_dip():
    falls = monotone_test(by_replicates(np.tile([0.5, 0.7, 0.6], (5, 1))), True)
    assert falls.p_dip == falls.p_distance == 1 / 2001
    assert (falls.low, falls.high) == pytest.approx((0.1, 0.1))
    rises = monotone_test(by_replicates(np.tile([0.5, 0.6, 0.6], (5, 1))), True)
    assert rises.p_dip == rises.p_distance == 1


def test_a_size_at_the_ceiling_has_no_noise_and_breaks_nothing():
    scores = draws(11).normal([0.8, 0.9, 1.0], [0.05, 0.02, 0.0], (50, 3))
    found = monotone_test(by_replicates(scores), True)
    assert np.isfinite([found.p_dip, found.p_distance, found.distance, found.expected_depth]).all()


def test_weights_decide_the_fit():
    redrawn = by_standard_errors(np.array([2.0, 1.0]), np.ones(2))
    np.testing.assert_allclose(monotone_test(redrawn, True).fitted, [1.5, 1.5], atol=0.05)
    np.testing.assert_allclose(monotone_test(redrawn, True, np.array([3.0, 1.0])).fitted, [1.75, 1.75])


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(InputError, match="without a known size"):
        dips(np.full(3, np.nan), True)
    with pytest.raises(InputError, match="at no size"):
        monotone_test(by_replicates(np.ones((2, 3))), True)
    redrawn = by_standard_errors(np.zeros(2), np.ones(2))
    for weights in (np.ones(3), np.array([1.0, 0.0]), np.array([np.nan, 1.0])):
        with pytest.raises(InputError, match="2 numbers above zero"):
            monotone_test(redrawn, True, weights)
