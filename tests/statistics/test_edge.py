"""Ends of grids: by hand, no alarm where scores are flat, and a grid that ends too early told with what it loses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from neurotransfer.errors import InputError
from neurotransfer.statistics.edge import edge
from neurotransfer.statistics.selection import selection_cost

RATES = np.array([1e-5, 1e-4, 1e-3, 1e-2])


def draws(seed=0):
    return np.random.default_rng(seed)


def scored(seed, means, n=60, noise=0.02, common=0.05):
    generator = draws(seed)
    return np.asarray(means) + generator.normal(0, common, (n, 1)) + generator.normal(0, noise, (n, len(means)))


def test_by_hand():
    scores = np.array([[0.5, 0.7, 0.8], [0.6, 0.7, 0.6], [0.4, 0.7, 1.0], [0.9, 0.6, 0.7]])
    found = edge(scores, np.array([1.0, 2.0, 3.0]), scores.argmax(1), True)
    assert found.n_replicates == 4
    assert found.values.tolist() == [1, 2, 3]
    assert found.curve == pytest.approx([0.6, 0.675, 0.775])
    low, high = found.low, found.high
    assert (low.value, low.share, low.chance) == (1, 0.25, pytest.approx(1 / 3))
    assert (high.value, high.share, high.chance) == (3, 0.5, pytest.approx(1 / 3))
    # at least two of four at a third: 1 - (2/3)^4 - 4 (1/3) (2/3)^3
    assert high.p == pytest.approx(1 - (2 / 3) ** 4 - 4 / 3 * (2 / 3) ** 3)
    assert high.last_step.value == pytest.approx(0.1)
    assert low.last_step.value == pytest.approx(-0.075)
    # steps of 0.075 and 0.1 would go on with 0.125, which is more than the last one
    assert high.next_step.value == pytest.approx(0.1)
    assert (low.next_step.value, high.next_value, low.next_value) == (0, 4, 0)


def test_the_next_step_is_that_of_a_parabola():
    scores = scored(1, [0.5, 0.6, 0.68, 0.74], noise=0.001)
    found = edge(scores, RATES, scores.argmax(1), True).high
    assert found.last_step.value == pytest.approx(0.06, abs=0.001)
    assert found.next_step.value == pytest.approx(0.04, abs=0.002)
    assert found.next_step.low < 0.04 < found.next_step.high
    assert found.next_step.high <= found.last_step.high
    assert found.still_rises


def test_a_grid_that_holds_the_best_value_is_not_called_short():
    alarms = []
    for seed in range(40):
        scores = scored(seed, [0.6, 0.68, 0.68, 0.6])
        found = edge(scores, RATES, scores.argmax(1), True, n_draws=200)
        alarms += [found.low.still_rises, found.high.still_rises]
        assert found.high.next_step.value == 0
    assert not any(alarms)


def test_noise_alone_chooses_ends_by_chance_and_rarely_alarms():
    ends = []
    for seed in range(150):
        scores = scored(seed, np.full(4, 0.6))
        found = edge(scores, RATES, scores.argmax(1), True, n_draws=200)
        ends += [found.low, found.high]
    assert np.mean([end.share for end in ends]) == pytest.approx(0.25, abs=0.02)
    # 300 ends at 2.5 % and at 5 %, and three standard errors more
    assert sum(end.still_rises for end in ends) <= 16
    assert np.mean([end.p < 0.05 for end in ends]) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    assert np.mean([end.last_step.low <= 0 <= end.last_step.high for end in ends]) == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize("side", ["low", "high"])
def test_a_grid_that_ends_too_early_is_found_at_that_end(side):
    # the best value lies one step beyond: -(x - 4)^2 at 0 to 3
    means = 0.7 - 0.01 * (np.arange(4) - 4.0) ** 2
    means = means if side == "high" else means[::-1]
    found = [
        edge(scores, RATES, scores.argmax(1), True)
        for scores in (scored(seed, means, noise=0.01) for seed in range(20))
    ]
    ends = [getattr(each, side) for each in found]
    assert all(end.still_rises for end in ends)
    assert all(end.p < 0.001 for end in ends)
    assert np.mean([end.next_step.value for end in ends]) == pytest.approx(0.01, abs=0.003)
    assert np.mean([end.next_step.low <= 0.01 <= end.next_step.high for end in ends]) >= 0.8
    assert not any(getattr(each, "low" if side == "high" else "high").still_rises for each in found)
    assert ends[0].next_value == pytest.approx(0.1 if side == "high" else 1e-6)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([1e-4, 1e-3, 1e-2], 1e-5, 1e-1),
        ([0.0, 1e-4, 1e-3, 1e-2], math.nan, 1e-1),
        ([1.0, 2.0, 3.0], 0.0, 4.0),
        ([0.1, 0.3, 0.5], math.nan, 0.7),
        ([-2.0, 0.0, 2.0], -4.0, 4.0),
        ([32.0, 64.0], 16.0, 128.0),
        ([10.0, 11.0], 9.0, 12.0),
    ],
)
def test_the_next_value(values, low, high):
    scores = scored(2, np.full(len(values), 0.5))
    found = edge(scores, np.array(values), scores.argmax(1), True, n_draws=10)
    assert found.low.next_value == pytest.approx(low, nan_ok=True)
    assert found.high.next_value == pytest.approx(high, nan_ok=True)


def test_two_values_tell_no_more_than_the_last_step():
    scores = scored(3, [0.5, 0.6])
    found = edge(scores, np.array([1.0, 2.0]), scores.argmax(1), True)
    assert math.isnan(found.high.next_step.value)
    assert (found.high.next_step.low, found.high.next_step.high) == (0, found.high.last_step.high)
    assert (found.low.next_step.low, found.low.next_step.high) == (0, 0)


def test_settings_of_one_value_are_averaged_over():
    values = np.repeat([1e-3, 1e-2, 1e-1], [1, 3, 2])
    scores = scored(4, np.repeat([0.5, 0.6, 0.7], [1, 3, 2]))
    found = edge(scores, values, scores.argmax(1), True)
    assert found.curve == pytest.approx([scores[:, 0].mean(), scores[:, 1:4].mean(), scores[:, 4:].mean()])
    assert (found.low.chance, found.high.chance) == (pytest.approx(1 / 6), pytest.approx(2 / 6))
    assert found.high.share == pytest.approx(np.mean(scores.argmax(1) >= 4))
    assert found.high.last_step.value == pytest.approx(found.curve[2] - found.curve[1])


@given(some.permutations(range(4)), some.integers(0, 1000), some.booleans())
@settings(deadline=None, max_examples=15)
def test_neither_the_order_of_settings_nor_the_direction_of_a_score_matters(order, seed, turned):
    scores = scored(seed, [0.5, 0.6, 0.62, 0.63], n=12)
    there = edge(scores, RATES, scores.argmax(1), True, n_draws=40)
    order = list(order)
    moved = (-scores if turned else scores)[:, order]
    back = edge(moved, RATES[order], scores[:, order].argmax(1), not turned, n_draws=40)
    for name in ("low", "high"):
        one, other = getattr(there, name), getattr(back, name)
        assert (one.value, one.share, one.p, one.next_value) == (other.value, other.share, other.p, other.next_value)
        assert one.last_step.value == pytest.approx(other.last_step.value)
        assert one.last_step.low == pytest.approx(other.last_step.low)
        assert one.next_step.high == pytest.approx(other.next_step.high, abs=1e-12)


def test_an_end_that_mostly_failed_is_none():
    scores = scored(5, [0.5, 0.6, 0.7, 0.8])
    scores[:50, 3] = np.nan
    found = edge(scores, RATES, np.nanargmax(scores[:, :3], axis=1), True)
    assert found.high.value == 1e-3
    assert found.n_replicates == 60


def test_a_short_grid_costs_nothing_by_the_choice_itself():
    scores = scored(6, 0.7 - 0.02 * (np.arange(4) - 4.0) ** 2)
    assert selection_cost(scores, True, scores.argmax(1)).cost.value == pytest.approx(0, abs=0.002)
    assert edge(scores, RATES, scores.argmax(1), True).high.next_step.low > 0


def test_what_cannot_be_used_is_said():
    scores = scored(7, np.full(3, 0.5))
    with pytest.raises(InputError, match=r"one a setting, \(3,\)"):
        edge(scores, np.array([1.0, 2.0]), scores.argmax(1), True)
    with pytest.raises(InputError, match="finite"):
        edge(scores, np.array([1.0, 2.0, np.nan]), scores.argmax(1), True)
    with pytest.raises(InputError, match=r"two values or more, got \[1.0\]"):
        edge(scores, np.ones(3), scores.argmax(1), True)
