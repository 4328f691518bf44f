"""Peaks inside curves: where they are, how high, and that flat, rising and falling curves have none more often than chance allows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.errors import InputError
from neurotransfer.statistics.peak import peak_of


def around(curve, spread=0.1, n=8, seed=0):
    return np.asarray(curve, float) + spread * np.random.default_rng(seed).standard_normal((n, len(curve)))


def test_a_peak_is_found_between_its_two_lows():
    found = peak_of(around([3, 1, 2, 6, 4, 2, 2.5], spread=0.01))
    assert (found.before, found.place, found.after) == (1, 3, 5)
    assert found.rise.value == pytest.approx(5, abs=0.05)
    assert found.fall.value == pytest.approx(4, abs=0.05)
    assert found.is_shown


def test_without_noise_the_differences_are_exact():
    found = peak_of(np.tile([1.0, 4.0, 2.0], (3, 1)))
    assert (found.rise.value, found.rise.low, found.rise.high) == (3, 3, 3)
    assert (found.fall.value, found.fall.low, found.fall.high) == (2, 2, 2)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=7), st.floats(0.1, 10), st.floats(-10, 10))
def test_scale_and_level_of_a_curve_move_the_differences_alone(curve, scale, shift):
    values = around(curve)
    one, other = peak_of(values), peak_of(scale * values + shift)
    if (one.before, one.place, one.after) == (other.before, other.place, other.after):
        np.testing.assert_allclose(other.rise.value, scale * one.rise.value, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(other.fall.low, scale * one.fall.low, rtol=1e-6, atol=1e-6)
    assert one.before < one.place < one.after < len(curve)


def test_the_mirror_image_has_its_lows_changed():
    values = around([1, 2, 5, 3, 0])
    one, other = peak_of(values), peak_of(values[:, ::-1])
    assert (other.before, other.place, other.after) == (4 - one.after, 4 - one.place, 4 - one.before)
    assert other.rise == one.fall
    assert other.fall == one.rise


@pytest.mark.parametrize(
    "curve", [[0] * 6, [0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 2, 1, 0, 1, 2], [0, 1, 2, 3, 3, 3]]
)
def test_curves_without_a_peak_have_one_no_more_often_than_the_level_allows(curve):
    shown = [peak_of(around(curve, spread=1.0, n=6, seed=seed)).is_shown for seed in range(400)]
    # 5 %, both sides of which one counts, with room for chance
    assert np.mean(shown) < 0.05


def test_a_place_that_only_looks_high_is_not_taken_at_its_own_word():
    values = np.random.default_rng(1).standard_normal((5, 12))
    picked = values.mean(axis=0)
    found = peak_of(values)
    assert found.rise.value < picked[found.place] - picked[found.before]


def test_rows_with_a_gap_are_left_out_and_too_few_tell_nothing():
    values = around([1, 4, 2], n=5)
    gap = np.vstack([values, [np.nan, 100.0, 0.0]])
    assert peak_of(gap) == peak_of(values)
    assert peak_of(values[:2]) is None
    assert peak_of(values[:, :2]) is None


def test_a_wider_level_shows_less():
    values = around([1, 1.2, 1], spread=0.15, n=6, seed=4)
    assert peak_of(values, 0.999).rise.low < peak_of(values, 0.9).rise.low


def test_what_is_no_table_is_refused():
    with pytest.raises(InputError, match=r"shape \(3,\); allowed: \(R, K\)"):
        peak_of(np.zeros(3))
    with pytest.raises(InputError, match="level 2; allowed: between 0 and 1"):
        peak_of(np.zeros((3, 3)), 2)
