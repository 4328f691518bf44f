"""Correlations, residuals and orders against numpy, scikit-learn and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.linear_model import LinearRegression

from neurotransfer.errors import InputError
from neurotransfer.explain.correlations import (
    basis,
    chance_redundancy,
    clustered,
    clustered_rows,
    correlations,
    redundancy,
    residuals,
)


def draws(seed):
    return np.random.default_rng(seed)


@given(st.integers(3, 40), st.integers(0, 20), st.floats(1e-6, 1e6))
def test_correlations_are_those_of_scipy(n, seed, scale):
    first, second = draws(seed).normal(size=(n, 3)), scale * draws(seed + 99).normal(size=(n, 2)) + scale
    expected = [[pearsonr(a, b).statistic for b in second.T] for a in first.T]
    np.testing.assert_allclose(correlations(first, second), expected, atol=1e-9)


def test_what_is_constant_goes_with_nothing():
    found = correlations(np.column_stack([np.ones(5), np.arange(5.0)]), np.arange(5.0)[:, None])
    assert np.isnan(found[0, 0])
    assert found[1, 0] == pytest.approx(1)


@given(st.integers(12, 40), st.integers(0, 20))
def test_residuals_are_those_of_scikit_learn_and_know_nothing_of_covariates(n, seed):
    covariates = draws(seed).normal(size=(n, 3)) * [1, 100, 1e-3] + [0, 1000, 0]
    values = draws(seed + 99).normal(size=(n, 4)) + covariates[:, :1]
    found = residuals(values, covariates)
    expected = values - LinearRegression().fit(covariates, values).predict(covariates)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert np.abs(correlations(found, covariates)).max() < 1e-6
    # what was taken out once is not there to be taken out again
    np.testing.assert_allclose(residuals(found, covariates), found, atol=1e-7)


def test_what_is_told_twice_counts_once():
    age = np.arange(20.0)[:, None]
    assert basis(np.column_stack([age, 2 * age + 1, age])).shape == (20, 2)
    np.testing.assert_allclose(residuals(age**2, np.column_stack([age, 3 * age])), residuals(age**2, age), atol=1e-8)
    assert basis(np.zeros((20, 0))).shape == (20, 1)


def test_partial_correlation_has_its_closed_form():
    x, y, z = draws(3).normal(size=(3, 50)) + draws(4).normal(size=50)
    raw = np.corrcoef([x, y, z])
    expected = (raw[0, 1] - raw[0, 2] * raw[1, 2]) / np.sqrt((1 - raw[0, 2] ** 2) * (1 - raw[1, 2] ** 2))
    left = residuals(np.column_stack([x, y]), z[:, None])
    assert correlations(left, left)[0, 1] == pytest.approx(expected)


def test_covariates_that_use_up_all_people_are_refused():
    with pytest.raises(InputError, match=r"7 covariates .* of 12 people leave fewer than 5 people free"):
        residuals(np.zeros((12, 1)), draws(0).normal(size=(12, 7)))


def test_groups_stand_together_whatever_their_sign():
    hidden = draws(5).normal(size=(300, 3))
    group = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
    values = hidden[:, group] * np.where(np.arange(9) % 2, 1, -1) + 0.3 * draws(6).normal(size=(300, 9))
    order = clustered(correlations(values, values))
    assert sorted(order.tolist()) == list(range(9))
    assert (np.diff(group[order]) != 0).sum() == 2
    across = clustered_rows(correlations(values * np.where(np.arange(9) % 2, 1, -1), hidden))
    assert (np.diff(group[across]) != 0).sum() == 2


def test_an_order_survives_what_has_no_correlation():
    matrix = np.full((4, 4), np.nan)
    assert sorted(clustered(matrix).tolist()) == [0, 1, 2, 3]
    assert clustered(np.ones((2, 2))).tolist() == [0, 1]
    assert sorted(clustered_rows(np.full((4, 2), np.nan)).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(("n", "k"), [(10, 0), (30, 0), (30, 4), (200, 2)])
def test_unrelated_features_have_the_redundancy_of_chance(n, k):
    values, covariates = draws(7).normal(size=(n, 400)), draws(8).normal(size=(n, k))
    assert redundancy(values, covariates) == pytest.approx(chance_redundancy(n, k), rel=0.03)


def test_redundancy_is_the_mean_over_pairs():
    values = draws(9).normal(size=(40, 5))
    matrix = np.abs(np.corrcoef(values.T))
    assert redundancy(values) == pytest.approx(matrix[np.triu_indices(5, 1)].mean())
    assert redundancy(np.repeat(values[:, :1], 4, axis=1)) == pytest.approx(1)
    # what all features share by a covariate is gone without it
    shared = values + 5 * draws(10).normal(size=(40, 1))
    assert redundancy(shared) > 0.9
    assert redundancy(shared, shared.mean(1)[:, None]) < 0.5
