"""Likeness of maps: against naive loops and scipy, and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from neurotransfer.explain.likeness import rank_correlation, structural_similarity


def noise(seed, shape=(9, 8, 7)):
    return np.random.default_rng(seed).normal(size=shape)


ALL = np.ones((9, 8, 7), bool)


def naive(one, other, window):
    """Structural similarity by a loop over voxels, mirrored beyond the border."""
    a, b = (np.minimum(np.abs(each) / np.percentile(np.abs(each), 99.9), 1) for each in (one, other))
    half = window // 2
    a, b = (np.pad(each, half, mode="symmetric") for each in (a, b))
    found = []
    for corner in np.ndindex(*one.shape):
        at = tuple(slice(start, start + window) for start in corner)
        x, y = a[at].ravel(), b[at].ravel()
        c1, c2 = 0.01**2, 0.03**2
        covariance = ((x - x.mean()) * (y - y.mean())).mean()
        found.append((2 * x.mean() * y.mean() + c1) * (2 * covariance + c2)
                     / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (x.var() + y.var() + c2)))  # fmt: skip
    return np.mean(found)


@pytest.mark.parametrize("window", [3, 5])
def test_structural_similarity_is_that_of_a_loop(window):
    one, other = noise(0), noise(0) + 0.5 * noise(1)
    assert structural_similarity(one, other, ALL, window) == pytest.approx(naive(one, other, window), abs=1e-9)


def test_rank_correlation_is_that_of_scipy_with_ties():
    one, other = noise(0).round(1), noise(1).round(1) + noise(0)
    inside = noise(2) > 0
    expected = spearmanr(np.abs(one[inside]), np.abs(other[inside])).statistic
    assert rank_correlation(one, other, inside) == pytest.approx(expected)


@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_a_map_is_like_itself_whatever_its_sign_and_size(seed, factor):
    one = noise(seed)
    for measure in (rank_correlation, structural_similarity):
        assert measure(one, -factor * one, ALL) == pytest.approx(1.0)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_likeness_is_symmetric_and_bounded(first, second):
    one, other = noise(first), noise(second)
    for measure in (rank_correlation, structural_similarity):
        assert measure(one, other, ALL) == pytest.approx(measure(other, one, ALL))
        assert -1 <= measure(one, other, ALL) <= 1 + 1e-12


def test_noises_are_not_alike():
    for measure in (rank_correlation, structural_similarity):
        found = [
            measure(noise(seed, (20, 20, 20)), noise(seed + 100, (20, 20, 20)), np.ones((20, 20, 20), bool))
            for seed in range(5)
        ]
        assert abs(np.mean(found)) < 0.1 if measure is rank_correlation else np.mean(found) < 0.5


def test_a_map_of_nothing_is_like_none():
    assert rank_correlation(np.zeros((9, 8, 7)), noise(0), ALL) == 0
    assert structural_similarity(np.zeros((9, 8, 7)), noise(0), ALL) < 0.2


def test_what_lies_outside_does_not_count():
    one, other = noise(0), noise(1)
    inside = np.zeros_like(ALL)
    inside[2:6] = True
    changed = np.where(inside, other, 100.0)
    assert rank_correlation(one, other, inside) == rank_correlation(one, changed, inside)
