"""Summaries by hand and against scipy; the coverage of intervals."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurotransfer.errors import InputError
from neurotransfer.statistics import bootstrap_interval, intervals, summary


def draws(seed):
    return np.random.default_rng(seed)


def test_summary_by_hand():
    found = summary(np.array([1.0, 2.0, 6.0, np.nan]))
    assert (found.n, found.mean, found.median) == (3, 3.0, 2.0)
    assert found.sem == pytest.approx(math.sqrt(7 / 3))
    assert found.low == pytest.approx(3 - 1.96 * found.sem)
    assert found.high == pytest.approx(3 + 1.96 * found.sem)


@given(arrays(float, st.integers(2, 50), elements=st.floats(-1e3, 1e3)))
def test_summary_agrees_with_scipy(values):
    found = summary(values)
    assert found.sem == pytest.approx(scipy.stats.sem(values), abs=1e-9)
    assert found.median == pytest.approx(np.median(values))
    assert found.low <= found.mean <= found.high


def test_summary_of_nothing_and_of_one():
    assert summary(np.array([])).n == 0
    assert math.isnan(summary(np.array([np.nan])).mean)
    one = summary(np.array([0.7]))
    assert (one.n, one.mean, one.median) == (1, 0.7, 0.7)
    assert math.isnan(one.sem)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_bootstrap_agrees_with_scipy(statistic):
    values = draws(0).gamma(2.0, size=61)
    found = bootstrap_interval(values, statistic, n_draws=20_000)
    expected = scipy.stats.bootstrap(
        (values,), getattr(np, statistic), method="percentile", n_resamples=20_000, rng=draws(1)
    ).confidence_interval
    np.testing.assert_allclose(found, expected, atol=0.03)


@pytest.mark.parametrize(("statistic", "truth"), [("mean", 1.0), ("median", math.log(2))])
def test_bootstrap_covers_the_truth(statistic, truth):
    samples = (draws(seed).exponential(size=80) for seed in range(400))
    intervals_ = [bootstrap_interval(sample, statistic, n_draws=300) for sample in samples]
    assert 0.90 <= np.mean([low <= truth <= high for low, high in intervals_]) <= 0.985


def test_normal_interval_covers_the_mean():
    found = [summary(draws(seed).normal(3, 2, 100)) for seed in range(2000)]
    assert 0.935 <= np.mean([one.low <= 3 <= one.high for one in found]) <= 0.965


def test_wider_level_gives_a_wider_interval():
    values = draws(5).normal(size=50)
    narrow, wide = bootstrap_interval(values, level=0.5), bootstrap_interval(values, level=0.99)
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]


def test_bootstrap_of_too_few_and_of_equal_values():
    assert all(math.isnan(end) for end in bootstrap_interval(np.array([1.0, np.nan])))
    assert bootstrap_interval(np.full(5, 0.25)) == (0.25, 0.25)


def test_missing_values_are_left_out():
    values = draws(2).normal(size=20)
    assert bootstrap_interval(np.r_[values, np.nan]) == bootstrap_interval(values)


def test_same_interval_every_time_and_another_with_another_generator():
    values = draws(3).normal(size=30)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values, generator=draws(1)) != bootstrap_interval(values, generator=draws(2))


def test_chunks_give_all_draws(monkeypatch):
    values = draws(3).normal(size=30)
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 100)
    assert intervals._resampled(values, np.mean, 11, draws(0)).shape == (11,)


@pytest.mark.parametrize("wrong", [{"statistic": "mode"}, {"level": 1.0}, {"level": 0.0}, {"n_draws": 0}])
def test_bad_input_is_refused(wrong):
    with pytest.raises(InputError, match="allowed"):
        bootstrap_interval(np.arange(5.0), **wrong)
