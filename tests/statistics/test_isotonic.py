"""The isotonic fit against three other ways to compute it, and what the least favourable curve is for."""

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import isotonic_regression

from neurotransfer.statistics import isotonic as module
from neurotransfer.statistics.isotonic import inverse_variances, isotonic, least_favourable

LEVELS = st.integers(-64, 64).map(lambda level: level / 16)
CURVES = st.integers(1, 9).flatmap(
    lambda n: st.tuples(arrays(float, n, elements=LEVELS), arrays(float, n, elements=st.integers(1, 40).map(float)))
)


def pool_adjacent_violators(values, weights):
    blocks = []
    for value, weight in zip(values, weights, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (first, w, n), (second, v, m) = blocks[-2:]
            blocks[-2:] = [[(first * w + second * v) / (w + v), w + v, n + m]]
    return np.concatenate([np.full(n, value) for value, _, n in blocks])


def min_max(values, weights):
    """The other of the two formulas: the smallest, over ends, of the largest, over starts, of the means between."""
    n = len(values)

    def mean(i, j):
        return np.average(values[i : j + 1], weights=weights[i : j + 1])

    return np.array([min(max(mean(i, j) for i in range(k + 1)) for j in range(k, n)) for k in range(n)])


@pytest.mark.parametrize(
    ("curve", "weights", "fit"),
    [
        ([1, 2, 3], [1, 1, 1], [1, 2, 3]),
        ([3, 2, 1], [1, 1, 1], [2, 2, 2]),
        ([3, 1], [1, 3], [1.5, 1.5]),
        ([1, 3, 2, 4], [1, 1, 1, 1], [1, 2.5, 2.5, 4]),
        ([0, 4, 1, 1], [1, 1, 1, 1], [0, 2, 2, 2]),
        ([5], [2], [5]),
    ],
)
def test_small_cases_by_hand(curve, weights, fit):
    found = isotonic(np.array([curve], float), np.array(weights, float))
    np.testing.assert_allclose(found, [fit])


@given(CURVES)
@settings(deadline=None)
def test_agrees_with_pooling_by_hand_with_the_other_formula_and_with_scipy(case):
    values, weights = case
    found = isotonic(values[None, :], weights)[0]
    np.testing.assert_allclose(found, pool_adjacent_violators(values, weights), atol=1e-12)
    np.testing.assert_allclose(found, min_max(values, weights), atol=1e-12)
    np.testing.assert_allclose(found, isotonic_regression(values, sample_weight=weights), atol=1e-12)
    if hasattr(scipy.optimize, "isotonic_regression"):
        np.testing.assert_allclose(found, scipy.optimize.isotonic_regression(values, weights=weights).x, atol=1e-12)


def test_many_curves_at_once_and_in_parts(monkeypatch):
    curves, weights = np.random.default_rng(1).normal(size=(57, 8)), np.arange(1.0, 9.0)
    whole = isotonic(curves, weights)
    np.testing.assert_allclose(whole, [pool_adjacent_violators(curve, weights) for curve in curves], atol=1e-12)
    monkeypatch.setattr(module, "_CELLS_AT_ONCE", 100)
    np.testing.assert_array_equal(isotonic(curves, weights), whole)
    assert isotonic(curves[:0], weights).shape == (0, 8)


def test_no_curve_that_never_falls_is_nearer():
    rng = np.random.default_rng(2)
    curve, weights = rng.normal(size=6), rng.uniform(0.5, 3, 6)
    fit = isotonic(curve[None, :], weights)[0]
    others = np.sort(rng.normal(size=(20_000, 6)), axis=1)
    nearer = fit + 0.1 * (others - fit)
    assert ((nearer - curve) ** 2 @ weights >= (fit - curve) ** 2 @ weights).all()


def test_very_unequal_weights_lose_no_digits():
    weights = np.array([1e4, 1.0, 1e4, 1.0])
    curve = np.array([0.7, 0.9, 0.8, 0.75])
    found = isotonic(curve[None, :], weights)[0]
    np.testing.assert_allclose(found, pool_adjacent_violators(curve, weights), atol=1e-14)


def test_inverse_variances_by_hand():
    covariance = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [2.0, 0.0, 4.0]])
    np.testing.assert_allclose(inverse_variances(covariance), [1, 1 / (4 * module._LEAST_VARIANCE), 0.25])
    np.testing.assert_array_equal(inverse_variances(np.zeros((2, 2))), [1, 1])


def test_rises_that_may_be_noise_are_flattened_and_others_stay():
    # the threshold of four sizes is sqrt(2 log 4) = 1.67 standard errors, of a difference 1.67 * 0.141 = 0.235
    found = least_favourable(np.array([0.0, 0.23, 1.0, 1.24]), 0.01 * np.eye(4), np.ones(4))
    np.testing.assert_allclose(found, [0.115, 0.115, 1.0, 1.24])


def test_the_least_convincing_rise_goes_first():
    # 0.15 goes first; the rise of the mean of both to 0.4 is then 0.325, with a standard error of 0.122: it stays
    found = least_favourable(np.array([0.0, 0.15, 0.4]), 0.01 * np.eye(3), np.ones(3))
    np.testing.assert_allclose(found, [0.075, 0.075, 0.4])


def test_means_of_levels_are_weighted():
    found = least_favourable(np.array([0.0, 0.1, 9.0]), 0.01 * np.eye(3), np.array([1.0, 3.0, 1.0]))
    np.testing.assert_allclose(found, [0.075, 0.075, 9.0])


def test_shared_noise_lets_smaller_rises_stay():
    curve, shared = np.array([0.0, 0.1, 0.2]), np.full((3, 3), 0.25)
    np.testing.assert_allclose(least_favourable(curve, shared + 1e-4 * np.eye(3), np.ones(3)), curve)
    np.testing.assert_allclose(least_favourable(curve, 0.25 * np.eye(3), np.ones(3)), [0.1, 0.1, 0.1])


def test_without_noise_it_is_the_fit():
    curve = np.array([0.0, 0.3, 0.2, 0.4])
    np.testing.assert_allclose(least_favourable(curve, np.zeros((4, 4)), np.ones(4)), [0, 0.25, 0.25, 0.4])


@given(CURVES, st.integers(0, 50))
@settings(deadline=None, max_examples=60)
def test_it_never_falls_and_keeps_the_weighted_mean(case, seed):
    curve, weights = case
    noise = np.random.default_rng(seed).normal(size=(2 * len(curve), len(curve)))
    found = least_favourable(curve, noise.T @ noise, weights)
    assert (np.diff(found) >= -1e-12).all()
    assert np.average(found, weights=weights) == pytest.approx(np.average(curve, weights=weights), abs=1e-9)
