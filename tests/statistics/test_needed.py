"""The size that a score needs: inverted by hand, in order, honest about what is never reached."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.errors import InputError
from neurotransfer.published import published_curves
from neurotransfer.statistics.growth import fit_growth
from neurotransfer.statistics.needed import NEVER, scans_needed

SIZES = np.array([100.0, 200.0, 400.0, 800.0, 1600.0])
CURVES = {
    "power": (lambda n: 0.85 - 0.25 * (n / 100) ** -0.6, lambda t: 100 * (0.25 / (0.85 - t)) ** (1 / 0.6)),
    "exponential": (lambda n: 0.8 - 0.2 * np.exp(-(n - 100) / 350), lambda t: 100 + 350 * np.log(0.2 / (0.8 - t))),
    "two-phase": (
        lambda n: 0.62 + 0.01 * np.minimum(np.log2(n / 300), 0) + 0.08 * np.maximum(np.log2(n / 300), 0),
        lambda t: 300 * 2 ** ((t - 0.62) / 0.08),
    ),
}


def growth_of(curve, sem=0.0005, higher_is_better=True, bounds=(0, 1), sizes=SIZES):
    return fit_growth(sizes, curve, np.full(len(sizes), sem), higher_is_better=higher_is_better, bounds=bounds)


@pytest.mark.parametrize("shape", CURVES)
def test_the_size_is_the_inverse_of_the_curve(shape):
    curve, inverse = CURVES[shape]
    growth = growth_of(curve(SIZES))
    assert growth.shape == shape
    for target in (0.65, 0.7, 0.77):
        found = scans_needed(growth, target)
        assert found.size == pytest.approx(inverse(target), rel=0.001)
        assert found.low <= found.size <= found.high
        assert found.median == pytest.approx(found.size, rel=0.1)


def test_an_error_is_reached_from_above():
    growth = growth_of(2 + 300 / SIZES, 0.002, higher_is_better=False, bounds=(0, np.inf))
    found = scans_needed(growth, 2.5)
    assert found.size == pytest.approx(600, rel=0.001)
    assert scans_needed(growth, 1.9).size == np.inf
    assert scans_needed(growth, 1.9).never > 0.95


def test_what_is_reached_from_the_start_needs_the_smallest_size():
    found = scans_needed(growth_of(np.full(5, 0.7), 0.01), 0.6)
    assert (found.size, found.low, found.median, found.high, found.never) == (100, 100, 100, 100, 0)
    assert not found.extrapolated
    assert found.caution == ""


def test_a_flat_curve_says_nothing_of_a_higher_score():
    found = scans_needed(growth_of(np.full(5, 0.7), 0.01), 0.8)
    assert found.size == found.median == found.high == np.inf
    assert found.never > 0.5
    assert "no growth is seen" in found.caution


def test_far_beyond_the_largest_size_comes_with_a_caution():
    growth = growth_of(CURVES["power"][0](SIZES))
    within, near, far = (scans_needed(growth, target) for target in (0.79, 0.81, 0.83))
    assert [found.extrapolated for found in (within, near, far)] == [False, True, True]
    assert within.caution == near.caution == ""
    assert far.beyond == pytest.approx(CURVES["power"][1](0.83) / 1600, rel=0.2)
    assert (
        far.caution
        == f"it lies {far.beyond:.1f} times beyond the largest size that was measured and rests on the shape alone"
    )


def test_more_than_half_never_is_said():
    growth = growth_of(CURVES["exponential"][0](SIZES), 0.002)
    found = scans_needed(growth, 0.82)
    assert found.never > 0.5
    assert found.caution == f"{found.never:.0%} of the redrawn curves never reach it: more data alone may not"


@given(st.lists(st.floats(0.3, 0.95), min_size=5, max_size=5), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
@settings(max_examples=8, deadline=None)
def test_a_higher_score_never_needs_fewer(curve, one, other):
    growth = fit_growth(
        SIZES,
        np.array(curve),
        np.full(5, 0.02),
        higher_is_better=True,
        bounds=(0, 1),
        deviations=np.random.default_rng(0).normal(size=(20, 5)) * 0.02,
    )
    easy, hard = (scans_needed(growth, target) for target in sorted([one, other]))
    for name in ("size", "low", "median", "high", "never"):
        assert getattr(easy, name) <= getattr(hard, name)
    assert easy.low >= 100
    assert hard.high <= NEVER * 1600 or np.isinf(hard.high)
    # at the size that is needed, the score is there
    if np.isfinite(hard.size):
        assert growth.at(np.array([hard.size])).value[0] >= max(one, other) - 1e-9


@pytest.mark.parametrize("target", [1.2, -0.1, np.nan, np.inf])
def test_a_score_beyond_the_bounds_is_refused(target):
    with pytest.raises(InputError, match="within the bounds"):
        scans_needed(growth_of(np.full(5, 0.7), 0.01), target)


def test_published_autism_curve_needs_more_scans_than_it_had_for_an_auc_of_0_8():
    table = published_curves("april_linear_asd")
    growth = fit_growth(table["n"], table["value"], table["sem"], higher_is_better=True, bounds=(0, 1))
    found = scans_needed(growth, 0.8)
    assert found.extrapolated
    assert 1500 < found.low < found.median
    # some of the redrawn curves end below: no upper end can be given
    assert found.never > 0.025
    assert found.high == np.inf
    reached = scans_needed(growth, 0.65)
    assert 450 < reached.low < reached.median < reached.high < 800
