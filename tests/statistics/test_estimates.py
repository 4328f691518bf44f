"""Intervals from replicates that are drawn again: by hand, and as wide as those of Student."""

import math

import numpy as np
import pytest
import scipy.stats
from scipy.stats import ttest_1samp

from neurotransfer.errors import InputError
from neurotransfer.statistics.estimates import Estimate, estimate_of, estimate_of_mean, times_drawn


def test_every_draw_has_as_many_replicates_as_there_are():
    drawn = times_drawn(7, 500, np.random.default_rng(0))
    assert drawn.shape == (500, 7)
    assert (drawn.sum(1) == 7).all()
    assert drawn.mean(0) == pytest.approx(np.ones(7), abs=0.2)
    # (1 - 1/7)^7 of the replicates are in no draw
    assert (drawn == 0).mean() == pytest.approx((6 / 7) ** 7, abs=0.02)


@pytest.mark.parametrize("n", [8, 40])
def test_an_interval_of_a_mean_is_as_wide_as_student_says(n):
    widths, students = [], []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        values = generator.normal(size=n)
        drawn = times_drawn(n, 4000, generator)
        found = estimate_of(values.mean(), drawn @ values / n, n)
        widths.append(found.high - found.low)
        students.append(2 * scipy.stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5)
    # draws of few values have shorter tails than a normal distribution
    assert np.mean(widths) == pytest.approx(np.mean(students), rel=0.08 if n == 8 else 0.03)


def test_it_covers_the_mean_of_few_replicates():
    covered = []
    for seed in range(400):
        generator = np.random.default_rng(1000 + seed)
        values = generator.normal(size=10)
        found = estimate_of(values.mean(), times_drawn(10, 800, generator) @ values / 10, 10)
        covered.append(found.low <= 0 <= found.high)
    # three standard errors of a share of 400 about 0.95
    assert 0.915 <= np.mean(covered) <= 0.985


def test_centred_draws_are_about_the_value():
    draws = np.linspace(2, 4, 2001)
    found = estimate_of(0.0, draws, 10**6, centred=True)
    assert (found.low, found.high) == (pytest.approx(-0.95, abs=1e-3), pytest.approx(0.95, abs=1e-3))
    assert estimate_of(0.0, draws, 10**6).low == pytest.approx(2.05, abs=1e-3)


def test_what_is_not_finite_is_left_out_and_nothing_has_no_interval():
    draws = np.r_[np.linspace(0, 1, 1001), [np.nan, np.inf]]
    assert estimate_of(0.5, draws, 10**6) == estimate_of(0.5, draws[:-2], 10**6)
    for nothing in (estimate_of(0.5, [np.nan], 9), estimate_of(0.5, draws, 1), estimate_of(np.nan, draws, 9)):
        assert math.isnan(nothing.low)
        assert math.isnan(nothing.high)
        assert not nothing.above_zero


def test_above_zero_is_of_the_whole_interval():
    assert Estimate(1.0, 0.1, 2.0).above_zero
    assert not Estimate(1.0, -0.1, 2.0).above_zero
    assert not Estimate(1.0, 0.0, 2.0).above_zero


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_is_a_share(level):
    with pytest.raises(InputError, match="between 0 and 1"):
        estimate_of(0.5, np.arange(3.0), 3, level)


def test_the_interval_of_a_mean_is_that_of_student():
    values = np.random.default_rng(0).normal(3, 2, 9)
    found = estimate_of_mean(values, 0.9)
    low, high = ttest_1samp(values, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found == estimate_of_mean(np.append(values, np.nan), 0.9)
    assert found.value == pytest.approx(values.mean())


def test_a_mean_of_one_or_none_has_no_interval():
    assert np.isnan(estimate_of_mean(np.array([2.0])).low)
    assert estimate_of_mean(np.array([2.0])).value == 2
    assert np.isnan(estimate_of_mean(np.array([])).value)
    with pytest.raises(InputError, match="level 0; allowed"):
        estimate_of_mean(np.zeros(3), 0)
