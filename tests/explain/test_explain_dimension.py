"""Effective dimensions: closed forms, laws, and how few people bias them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from neurotransfer.explain.dimension import (
    dimension_of,
    entropy_dimension,
    participation,
    plain_participation,
    spectrum,
)


def draws(seed):
    return np.random.default_rng(seed)


def features_of(shares, n, seed=0):
    """Features of n people whose correlation matrix is exactly block-wise: groups of copies, by their sizes."""
    hidden = draws(seed).normal(size=(n, len(shares)))
    return np.repeat(hidden, shares, axis=1)


@given(st.integers(4, 30), st.integers(1, 40), st.integers(0, 9))
def test_the_spectrum_is_that_of_scikit_learn(n, p, seed):
    values = draws(seed).normal(size=(n, p)) * np.arange(1, p + 1)
    found = spectrum(values)
    expected = PCA().fit((values - values.mean(0)) / values.std(0)).explained_variance_ratio_
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-9)
    assert found.sum() == pytest.approx(1)


@settings(max_examples=25)
@given(st.integers(5, 60), st.integers(2, 30), st.integers(0, 9))
def test_dimensions_keep_their_bounds_and_do_not_depend_on_scale(n, p, seed):
    values = draws(seed).normal(size=(n, p))
    for measure in (plain_participation, participation, entropy_dimension):
        found = measure(values)
        assert 1 - 1e-9 <= found <= p + 1e-9
        assert measure(values * draws(seed + 1).uniform(0.1, 100, p) + 3) == pytest.approx(found, rel=1e-6)
        assert measure(values[:, ::-1]) == pytest.approx(found, rel=1e-6)
    assert plain_participation(values) <= entropy_dimension(values) + 1e-9
    assert entropy_dimension(values) <= min(n - 1, p) + 1e-9


@pytest.mark.parametrize("sizes", [[1] * 8, [4, 4], [7, 1], [8]])
def test_copies_count_once(sizes):
    """Of independent groups of copies, the shares of variance are the sizes of the groups."""
    shares = np.array(sizes) / sum(sizes)
    values = features_of(sizes, 20_000)
    ratio, entropy = 1 / (shares**2).sum(), np.exp(-(shares * np.log(shares)).sum())
    assert plain_participation(values) == pytest.approx(ratio, rel=0.01)
    assert entropy_dimension(values) == pytest.approx(entropy, rel=0.01)
    few = [participation(features_of(sizes, 60, seed)) for seed in range(200)]
    assert np.mean(few) == pytest.approx(ratio, rel=0.04)


@pytest.mark.parametrize("n", [25, 50, 100])
def test_few_people_bias_the_plain_ratio_and_not_the_other(n):
    """Independent normal features: the plain ratio is near n p / (n + p), the truth is p."""
    plain = np.mean([plain_participation(draws(seed).normal(size=(n, 50))) for seed in range(40)])
    assert plain == pytest.approx(n * 50 / (n + 50), rel=0.05)
    hidden = draws(99).normal(size=(12, 50))
    large = draws(100).normal(size=(20_000, 12)) @ hidden
    truth = plain_participation(large)
    found = [participation(draws(seed).normal(size=(n, 12)) @ hidden) for seed in range(60)]
    assert np.mean(found) == pytest.approx(truth, rel=0.08)


@pytest.mark.slow
def test_the_interval_covers_the_truth():
    mixing = draws(1).normal(size=(30, 30)) * 0.9 ** np.arange(30)[:, None]
    truth = plain_participation(draws(2).normal(size=(50_000, 30)) @ mixing)
    inside = []
    for seed in range(60):
        found = dimension_of(draws(seed).normal(size=(80, 30)) @ mixing, n_halves=60, seed=seed)
        ratio = found.participation
        inside.append(ratio.low <= truth <= ratio.high)
        assert ratio.low <= ratio.value <= ratio.high
    assert np.mean(inside) >= 0.85


def test_what_is_said_of_features():
    values = features_of([2, 1, 1], 60)
    found = dimension_of(values, seed=1)
    assert (found.n_people, found.n_features) == (60, 4)
    assert found.plain == pytest.approx(plain_participation(values))
    assert found == dimension_of(values, seed=1)
    assert found.entropy != dimension_of(values, seed=2).entropy
    # halves are the same for other features of as many people
    np.testing.assert_array_equal(dimension_of(-values, seed=1).entropy.halves, found.entropy.halves)
