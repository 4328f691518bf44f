"""Planted tissues are found again; what is shared between tissues sums to one; the mixture is that of scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepare_phantoms import T1, T2, head, known_affine
from scipy import stats

from neurotransfer.cohort.mni import average_brain
from neurotransfer.errors import ImageError
from neurotransfer.prepare.tissue import (
    LEAST_VOXELS,
    PRIOR_FLOOR,
    TISSUES,
    _mixture,
    _priors,
    find_tissues,
    tissue_masks,
)


def tissues_of(phantom):
    return find_tissues(phantom.voxels, phantom.affine, phantom.brain, phantom.to_template)


def planted_mm3(phantom):
    return phantom.tissues.sum(axis=(1, 2, 3)) * phantom.voxel_mm3


@pytest.fixture(scope="module")
def found():
    phantom = head(known_affine((8, -5, 4), (0.95, 1.05, 1.0), (5, -9, 3)), (1.8, 2.0, 2.2))
    return phantom, tissues_of(phantom)


@pytest.mark.parametrize(
    "options", [{}, {"scale": 0.85}, {"scale": (1.1, 0.95, 1.15)}, {"brightness": T2}, {"noise": 0.05}]
)
def test_planted_volumes_are_found_again(options):
    scale = options.pop("scale", 1.0)
    phantom = head(known_affine((5, 5, 5), scale, (9, 0, -9)), **options)
    measured, planted = tissues_of(phantom).volumes_mm3, planted_mm3(phantom)
    np.testing.assert_allclose(measured.sum(), planted.sum(), rtol=0.03)
    # fluid is thin between folds: what is shared between tissues is given to one of them, as a mixture does
    assert (np.abs(measured / planted - 1) < (0.28, 0.06, 0.05)).all(), measured / planted


def test_brightness_is_found_again(found):
    _, tissues = found
    np.testing.assert_allclose(tissues.means, T1, atol=20)
    assert (np.diff(tissues.means) > 0).all()
    assert (tissues.deviations > 0).all()


def test_shares_sum_to_one_inside_and_are_zero_outside(found):
    _, tissues = found
    total = tissues.shares.sum(0)
    assert tissues.shares.shape == (3, *average_brain(2).mask.shape)
    assert tissues.shares.min() >= 0
    inside = total > 0
    np.testing.assert_allclose(total[inside], 1, atol=1e-5)
    assert 2 * (inside & average_brain(2).mask).sum() / (inside.sum() + average_brain(2).mask.sum()) > 0.97


@pytest.mark.parametrize("scale", [0.85, 1.0, 1.2, (0.9, 1.0, 1.1)])
def test_shrinkage_is_the_volume_of_a_millimetre_of_mni152(scale):
    phantom = head(known_affine((10, 0, 5), scale), 3.0)
    assert tissues_of(phantom).shrinkage == pytest.approx(np.prod(np.broadcast_to(scale, 3)), rel=1e-9)


@pytest.mark.parametrize("codes", ["LPS", "SAR"])
def test_the_order_of_voxels_does_not_matter(found, codes):
    phantom, tissues = found
    np.testing.assert_allclose(tissues_of(phantom.reoriented(codes)).shares, tissues.shares, atol=2e-3)


def test_brightness_has_no_unit(found):
    phantom, tissues = found
    times = find_tissues(phantom.voxels * np.float32(50), phantom.affine, phantom.brain, phantom.to_template)
    np.testing.assert_allclose(times.shares, tissues.shares, atol=1e-2)
    np.testing.assert_allclose(times.means, 50 * tissues.means, rtol=1e-3)


def test_what_is_outside_the_brain_does_not_matter(found):
    phantom, tissues = found
    noisy = np.where(phantom.brain, phantom.voxels, np.float32(500))
    other = find_tissues(noisy, phantom.affine, phantom.brain, phantom.to_template)
    np.testing.assert_array_equal(other.shares, tissues.shares)


def test_masks_are_of_what_was_planted(found):
    phantom, tissues = found
    masks = tissue_masks(tissues, phantom.affine, phantom.voxels.shape, phantom.to_template)
    assert masks.dtype == bool
    assert masks.sum(0).max() == 1
    for mask, planted in zip(masks, phantom.tissues, strict=True):
        assert mask.sum() > 1000
        assert planted[mask].mean() > 0.65


def test_priors_are_shares():
    priors = _priors()
    np.testing.assert_allclose(priors.sum(0), 1, atol=1e-6)
    # 0.02 before all three were made to sum to one, which is 1.04 at most
    assert priors.min() > 0.9 * PRIOR_FLOOR
    assert len(priors) == len(TISSUES)


# --- the mixture


def drawn(seed=0, n=6000, means=(1.0, 3.0, 6.0), deviations=(0.3, 0.4, 0.5)):
    generator = np.random.default_rng(seed)
    which = np.repeat(np.arange(3), n)
    return generator.normal(np.take(means, which), np.take(deviations, which)), which


def hinted(which, hint):
    """A prior that is flat but for a hint of the truth, without which all three tissues would stay the same one."""
    prior = np.full((3, len(which)), (1 - hint) / 3)
    prior[which, np.arange(len(which))] += hint
    return prior


def test_without_a_prior_it_is_the_mixture_of_scikit_learn():
    from sklearn.mixture import GaussianMixture

    values, which = drawn()
    chance, means, deviations = _mixture(values, hinted(which, 0.02))
    theirs = GaussianMixture(3, means_init=[[1], [3], [6]], tol=1e-8, reg_covar=0, random_state=0).fit(values[:, None])
    np.testing.assert_allclose(theirs.weights_, 1 / 3, atol=0.01)
    np.testing.assert_allclose(means, theirs.means_.ravel(), atol=0.02)
    np.testing.assert_allclose(deviations, np.sqrt(theirs.covariances_.ravel()), atol=0.02)
    np.testing.assert_allclose(chance, theirs.predict_proba(values[:, None]).T, atol=0.05)


def test_shares_are_the_rule_of_bayes():
    values, which = drawn(1, 500)
    prior = hinted(which, 0.4)
    chance, means, deviations = _mixture(values, prior)
    joint = prior * stats.norm.pdf(values, means[:, None], deviations[:, None])
    # the means move a last time by less than a ten-thousandth after the shares
    np.testing.assert_allclose(chance, joint / joint.sum(0), atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(-50, 50), st.floats(0.01, 100))
def test_the_mixture_moves_with_its_values(seed, shift, scale):
    values, which = drawn(seed, 60)
    prior = hinted(which, 0.6)
    chance, means, _ = _mixture(values, prior)
    moved, moved_means, _ = _mixture(values * scale + shift, prior)
    np.testing.assert_allclose(moved, chance, atol=0.02)
    np.testing.assert_allclose(moved_means, means * scale + shift, atol=0.02 * scale + 0.01 * abs(shift))


@pytest.mark.parametrize("values", [np.full(600, 3.0), np.zeros(600), np.repeat([0.0, 1.0], 300)])
def test_values_without_spread_are_no_error(values):
    chance, means, deviations = _mixture(values, np.full((3, 600), 1 / 3))
    np.testing.assert_allclose(chance.sum(0), 1)
    assert np.isfinite(means).all()
    assert (deviations > 0).all()


def test_an_extreme_value_belongs_to_something():
    values, which = drawn(2, 300)
    values[0], values[-1] = -1e4, 1e4
    chance, *_ = _mixture(values, hinted(which, 0.6))
    assert np.isfinite(chance).all()
    np.testing.assert_allclose(chance.sum(0), 1)


def test_a_brain_that_lies_elsewhere_is_refused():
    phantom = head(sides_mm=4.0)
    far = known_affine(shift_mm=(900, 0, 0))
    with pytest.raises(ImageError, match=rf"0 voxels of 2 mm .* \(allowed: {LEAST_VOXELS} or more\).*is it registered"):
        find_tissues(phantom.voxels, phantom.affine, phantom.brain, far)
