"""Intervals from random halves: the laws they follow, and that they cover what they should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.errors import InputError
from neurotransfer.explain.halves import difference, halves, interval, sure


def draws(seed):
    return np.random.default_rng(seed)


@given(st.integers(10, 200), st.integers(0, 5))
def test_a_half_is_half_of_the_people_each_once(n, seed):
    for half in halves(n, 3, draws(seed)):
        assert len(set(half.tolist())) == len(half) == n // 2
        assert 0 <= half.min() <= half.max() < n
        assert (np.diff(half) > 0).all()


def test_halves_are_the_same_every_time():
    first, again = (np.array(list(halves(40, 5))) for _ in range(2))
    assert np.array_equal(first, again)
    assert len(np.unique(first, axis=0)) == 5


@pytest.mark.parametrize("n", [0, 1, 9])
def test_few_people_are_refused(n):
    with pytest.raises(InputError, match=f"from {n} people; 10 or more are needed"):
        next(halves(n))


def test_the_interval_has_the_quantiles_around_the_whole():
    of_halves = np.arange(101.0)
    assert interval(7.0, of_halves, level=0.8) == (7 - 40, 7 + 40)
    low, high = interval(np.array([0.0, 10.0]), np.column_stack([of_halves, np.full(101, 3.0)]))
    assert low.tolist() == [-47.5, 10.0]
    assert high.tolist() == [47.5, 10.0]


@given(st.integers(2, 99), st.floats(0.1, 100))
def test_the_logarithm_stays_above_zero(seed, scale):
    values = scale * draws(seed).exponential(size=30)
    found = sure(lambda rows: values[rows].mean(), 30, positive=True, n_draws=20)
    assert 0 < found.low <= found.value <= found.high
    assert found.value == pytest.approx(values.mean())


@pytest.mark.parametrize("positive", [False, True])
def test_the_interval_of_a_mean_covers_it(positive):
    inside = 0
    for seed in range(200):
        values = draws(seed).exponential(size=60)
        found = sure(lambda rows: values[rows].mean(), 60, positive=positive, n_draws=100)  # noqa: B023
        inside += found.low <= 1 <= found.high
    # 95 % are meant; 200 draws of a skewed mean
    assert 0.89 <= inside / 200 <= 0.99


def test_the_width_is_that_of_the_standard_error():
    values = draws(1).normal(size=400)
    found = sure(lambda rows: values[rows].mean(), 400, n_draws=4000)
    assert (found.high - found.low) / 3.92 == pytest.approx(values.std(ddof=1) / 20, rel=0.06)


def test_a_difference_of_the_same_people_is_surer_than_each():
    values = draws(2).normal(size=(80, 2)) * [1, 0.1] + draws(3).normal(size=(80, 1))
    one, two = (sure(lambda rows, k=k: values[rows, k].mean(), 80) for k in (0, 1))
    paired = difference(one, two)
    assert paired.value == two.value - one.value
    alone = sure(lambda rows: (values[rows, 1] - values[rows, 0]).mean(), 80)
    assert (paired.low, paired.high) == pytest.approx((alone.low, alone.high))
    assert paired.high - paired.low < two.high - two.low
    nothing = difference(one, one)
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
