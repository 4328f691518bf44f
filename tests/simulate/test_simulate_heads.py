import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.cohort.grid import Grid
from neurotransfer.simulate.anatomy import (
    AMYGDALA,
    CEREBELLUM,
    FLUID,
    FRONTAL,
    GREY,
    HIPPOCAMPUS,
    VENTRICLES,
    build_anatomy,
    weight_of,
)
from neurotransfer.simulate.heads import KNOTS, draw_warp, spread, tissues_of
from neurotransfer.simulate.people import LATENTS

GRID = Grid((32, 40, 32), 5.0)


@pytest.fixture(scope="module")
def anatomy():
    return build_anatomy(GRID)


def volume(tissues, weight=1.0):
    """Millilitres of each tissue, weighted."""
    return (tissues * weight).sum((1, 2, 3)) * GRID.voxel_size_mm**3 / 1000


def below_and_above(anatomy, latent, weight=1.0, by=2.0):
    return (volume(tissues_of(anatomy, {latent: sign * by}), weight) for sign in (-1, 1))


def test_shares_are_whole_in_the_brain_and_nothing_outside(anatomy):
    tissues = tissues_of(anatomy, {"ventricles": 2, "cortex": -1}, draw_warp(np.random.default_rng(0)))
    inside = tissues.sum(0)
    assert tissues.min() >= 0
    assert inside.max() <= 1.001
    assert (inside > 0.99).sum() > 5000
    assert (inside[[0, -1]] > 0.5).mean() < 0.01


def test_the_average_brain_has_a_plausible_volume(anatomy):
    fluid, grey, white = volume(tissues_of(anatomy, {}))
    assert fluid + grey + white == pytest.approx(1850, abs=150)
    assert fluid < white < grey


def test_larger_heads_are_larger(anatomy):
    small, large = below_and_above(anatomy, "head_size")
    assert large.sum() / small.sum() == pytest.approx((1.032 / 0.968) ** 3, rel=0.05)


def test_wider_ventricles_hold_more_fluid(anatomy):
    weight = weight_of(VENTRICLES, anatomy.points_mm)
    narrow, wide = below_and_above(anatomy, "ventricles", weight)
    assert wide[FLUID] > 1.15 * narrow[FLUID]
    assert wide[FLUID] + wide[GREY] + wide[2] == pytest.approx(narrow.sum(), rel=0.02)


def test_a_thinner_cortex_gives_way_to_fluid(anatomy):
    thick, thin = below_and_above(anatomy, "cortex")
    assert thin[FLUID] > 1.3 * thick[FLUID]
    assert thin[GREY] < thick[GREY]


@pytest.mark.parametrize(
    ("latent", "spot", "direction"),
    [("focal", HIPPOCAMPUS, 1), ("amygdala", AMYGDALA, 1), ("frontal", FRONTAL, -1)],
)
def test_a_local_latent_changes_fluid_where_it_should(anatomy, latent, spot, direction):
    near = weight_of(spot, anatomy.points_mm)
    low, high = below_and_above(anatomy, latent, near)
    assert direction * (high[FLUID] - low[FLUID]) > 0.03 * low[FLUID]
    far_low, far_high = below_and_above(anatomy, latent, (near < 0.01).astype(float))
    assert far_high[FLUID] == pytest.approx(far_low[FLUID], rel=0.05)


def test_the_cerebellum_grows(anatomy):
    small, large = tissues_of(anatomy, {"cerebellum": -2}), tissues_of(anatomy, {"cerebellum": 2})
    below = anatomy.points_mm[2] < CEREBELLUM.centre_mm[2]
    assert volume(large, below).sum() > 1.01 * volume(small, below).sum()


def test_asymmetry_moves_the_sides_against_each_other(anatomy):
    tissues = tissues_of(anatomy, {"asymmetry": 3})
    weight = tissues.sum(0) * anatomy.points_mm[1]
    right = anatomy.points_mm[0] > 0
    shift = weight[right].sum() / tissues.sum(0)[right].sum() - weight[~right].sum() / tissues.sum(0)[~right].sum()
    average = tissues_of(anatomy, {})
    weight = average.sum(0) * anatomy.points_mm[1]
    before = weight[right].sum() / average.sum(0)[right].sum() - weight[~right].sum() / average.sum(0)[~right].sum()
    assert shift - before > 3


@given(latent=st.sampled_from(LATENTS), size=st.floats(-6, 6))
@settings(max_examples=15, deadline=None)
def test_any_latent_gives_a_brain(latent, size):
    tissues = tissues_of(build_anatomy(GRID), {latent: size})
    assert np.isfinite(tissues).all()
    assert 1000 < volume(tissues).sum() < 3000


@given(latent=st.sampled_from(["ventricles", "cortex", "focal", "amygdala"]), low=st.floats(-4, 3))
@settings(max_examples=10, deadline=None)
def test_fluid_grows_with_what_wastes_tissue(latent, low):
    anatomy = build_anatomy(GRID)
    weight = weight_of(VENTRICLES, anatomy.points_mm) if latent == "ventricles" else 1.0
    less, more = (volume(tissues_of(anatomy, {latent: value}), weight) for value in (low, low + 1))
    assert more[FLUID] > less[FLUID]


def test_a_latent_that_is_not_named_is_0(anatomy):
    named = tissues_of(anatomy, dict.fromkeys(LATENTS, 0.0))
    np.testing.assert_array_equal(named, tissues_of(anatomy, {}))


def test_a_warp_is_the_persons_own_and_small(anatomy):
    first, second = draw_warp(np.random.default_rng(1)), draw_warp(np.random.default_rng(2))
    assert first.shape == (3, *KNOTS)
    field = spread(first, GRID.shape)
    assert field.shape == (3, *GRID.shape)
    assert np.abs(field).max() < 6
    assert np.abs(tissues_of(anatomy, {}, first) - tissues_of(anatomy, {}, second)).max() > 0.2


def test_a_constant_warp_is_spread_as_a_constant():
    np.testing.assert_allclose(spread(np.full((3, *KNOTS), 2.5, np.float32), (32, 33, 40)), 2.5, rtol=1e-5)


def test_a_spread_warp_is_smooth():
    field = spread(draw_warp(np.random.default_rng(0)), GRID.shape)
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in (1, 2, 3)) < 2
