"""A planted field is taken away, the brightness stays, and where there is none little changes."""

import numpy as np
import pytest
from prepare_phantoms import head

from neurotransfer.prepare.bias_field import LEAST_VOXELS, without_bias_field

SIDES = np.array([4.0, 4.0, 4.0])


def spread_of(voxels, phantom):
    """The coefficient of variation within white matter."""
    white = voxels[phantom.tissues[2] > 0.95]
    return white.std() / white.mean()


@pytest.fixture(scope="module")
def corrected():
    """A head with a strong field, and what was made of it."""
    phantom = head(sides_mm=4.0, bias=0.8, noise=0.01)
    return phantom, *without_bias_field(phantom.voxels, SIDES, phantom.brain)


@pytest.mark.slow
def test_a_planted_field_is_taken_away(corrected):
    phantom, voxels, _ = corrected
    assert spread_of(voxels, phantom) < 0.5 * spread_of(phantom.voxels, phantom)


@pytest.mark.slow
def test_how_much_the_field_varies_is_told(corrected):
    phantom, _, ratio = corrected
    flat = head(sides_mm=4.0, bias=0.0, noise=0.0)
    inside = phantom.brain & (flat.voxels > 0)
    low, high = np.percentile(phantom.voxels[inside] / flat.voxels[inside], (5, 95))
    assert ratio == pytest.approx(high / low, rel=0.25)


def test_the_middle_brightness_of_the_brain_stays(corrected):
    phantom, voxels, _ = corrected
    assert np.median(voxels[phantom.brain]) == pytest.approx(np.median(phantom.voxels[phantom.brain]), rel=1e-5)


def test_the_scan_itself_is_left_alone_and_zero_stays_zero(corrected):
    phantom, voxels, _ = corrected
    assert voxels is not phantom.voxels
    assert voxels.dtype == np.float32
    assert not voxels[phantom.voxels == 0].any()
    assert np.isfinite(voxels).all()
    assert voxels.min() >= 0


@pytest.mark.slow
def test_a_head_without_field_hardly_changes():
    phantom = head(sides_mm=4.0, bias=0.0, noise=0.01)
    voxels, ratio = without_bias_field(phantom.voxels, SIDES, phantom.brain)
    assert 1 <= ratio < 1.2
    change = voxels[phantom.brain] / np.maximum(phantom.voxels[phantom.brain], 1e-6)
    assert np.percentile(np.abs(change - 1), 95) < 0.12


@pytest.mark.slow
def test_runs_agree_bit_by_bit(corrected):
    phantom, voxels, ratio = corrected
    again, ratio_again = without_bias_field(phantom.voxels, SIDES, phantom.brain)
    np.testing.assert_array_equal(again, voxels)
    assert ratio == ratio_again


@pytest.mark.slow
def test_brightness_has_no_unit(corrected):
    phantom, voxels, ratio = corrected
    times, ratio_times = without_bias_field(phantom.voxels * np.float32(16), SIDES, phantom.brain)
    np.testing.assert_allclose(times[phantom.brain], 16 * voxels[phantom.brain], rtol=0.02)
    assert ratio == pytest.approx(ratio_times, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("codes", ["LPS", "AIR", "SRP"])
def test_the_order_of_voxels_does_not_matter_much(codes):
    phantom = head(sides_mm=(3.0, 4.0, 5.0), bias=0.8)
    turned = phantom.reoriented(codes)
    for each in (phantom, turned):
        sides = np.linalg.norm(each.affine[:3, :3], axis=0)
        voxels, _ = without_bias_field(each.voxels, sides, each.brain)
        assert spread_of(voxels, each) < 0.6 * spread_of(each.voxels, each)


@pytest.mark.slow
@pytest.mark.parametrize("sides_mm", [1.5, (1.0, 1.0, 5.0)])
def test_voxels_of_other_sizes_are_corrected_too(sides_mm):
    phantom = head(sides_mm=sides_mm, bias=0.8, noise=0.01)
    voxels, _ = without_bias_field(phantom.voxels, np.linalg.norm(phantom.affine[:3, :3], axis=0), phantom.brain)
    assert spread_of(voxels, phantom) < 0.5 * spread_of(phantom.voxels, phantom)


# --- masks that leave nothing to estimate


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_a_small_mask_changes_nothing(size):
    voxels = np.random.default_rng(0).uniform(1, 2, (30, 30, 30)).astype(np.float32)
    brain = np.zeros(voxels.shape, bool)
    brain[10 : 10 + size, 10 : 10 + size, 10 : 10 + size] = True
    assert brain.sum() < LEAST_VOXELS
    found, ratio = without_bias_field(voxels, SIDES, brain)
    np.testing.assert_allclose(found, voxels, rtol=1e-6)
    assert ratio == 1


@pytest.mark.parametrize("place", [slice(0, 3), slice(27, 30)])
def test_a_mask_at_the_edge_changes_nothing(place):
    voxels = np.random.default_rng(0).uniform(1, 2, (30, 30, 30)).astype(np.float32)
    brain = np.zeros(voxels.shape, bool)
    brain[place, place, place] = True
    np.testing.assert_allclose(without_bias_field(voxels, SIDES, brain)[0], voxels, rtol=1e-6)


def test_a_dark_brain_changes_nothing():
    voxels = np.zeros((20, 20, 20), np.float32)
    found, ratio = without_bias_field(voxels, SIDES, np.ones(voxels.shape, bool))
    assert not found.any()
    assert ratio == 1


def test_a_thin_slab_is_no_error():
    voxels = np.random.default_rng(0).uniform(1, 2, (64, 64, 1)).astype(np.float32)
    found, _ = without_bias_field(voxels, np.array([4.0, 4, 40]), np.ones(voxels.shape, bool))
    assert np.isfinite(found).all()
