"""The brain is found in a head, the same however it is stored; a head without skull is recognised; no brain is told."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prepare_phantoms import head

from neurotransfer.cohort.images import opened
from neurotransfer.cohort.orientation import reoriented
from neurotransfer.errors import ImageError
from neurotransfer.prepare import brain as module
from neurotransfer.prepare.brain import (
    LEAST_AGREEMENT,
    agreement,
    find_brain,
    require_brain,
    seems_stripped,
    stripped_brain,
)

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
MASKS = st.integers(0, 2**27 - 1).map(
    lambda bits: np.array([bits >> place & 1 for place in range(27)], bool).reshape(3, 3, 3)
)


@pytest.fixture(scope="module")
def real():
    """A real head with skull, and its brain."""
    found = sorted((SHARED / "ds000011").glob("sub-*/anat/*_T1w.nii.gz"))
    if not found:
        pytest.skip("../shared/data/ds000011 is not here")
    image, voxels = opened(found[0])
    voxels = np.clip(voxels, 0, None).astype(np.float32)
    return voxels, np.asarray(image.affine, float), find_brain(voxels, np.asarray(image.affine, float))


class Network:
    """Stands for deepbet's networks: what is brighter than 100 is brain; remembers what it was given."""

    def __init__(self, error=None):
        self.error, self.given = error, None

    def run_model(self, voxels):
        self.given = voxels
        if self.error is not None:
            raise self.error
        return np.where(voxels > 100, 0.9, np.where(voxels > 50, 0.4, 0.0))


@pytest.fixture
def network(monkeypatch):
    made = Network()
    monkeypatch.setattr(module, "_network", lambda: made)
    return made


def ball(shape=(30, 32, 34), radius=9, value=150.0):
    places = np.indices(shape) - np.array([12, 15, 18]).reshape(3, 1, 1, 1)
    return np.where((places**2).sum(0) < radius**2, np.float32(value), np.float32(0))


# --- real heads


@pytest.mark.shared
def test_the_brain_of_a_real_head_is_found(real):
    voxels, affine, brain = real
    litres = brain.sum() * abs(np.linalg.det(affine[:3, :3])) / 1e6
    assert 0.9 < litres < 1.9
    # one piece without holes
    np.testing.assert_array_equal(module._one_piece(brain), brain)
    assert not seems_stripped(voxels, affine)
    assert agreement(stripped_brain(voxels), brain) < LEAST_AGREEMENT


@pytest.mark.shared
@pytest.mark.parametrize("codes", ["LPS", "SAR"])
def test_a_real_head_has_the_same_brain_however_it_is_stored(real, codes):
    voxels, affine, brain = real
    turned, turned_affine = reoriented(voxels, affine, codes)
    found = find_brain(turned, turned_affine)
    np.testing.assert_array_equal(found, reoriented(brain, affine, codes)[0])


@pytest.mark.shared
def test_a_real_head_without_skull_is_recognised_and_has_the_same_brain(real):
    voxels, affine, brain = real
    stripped = np.where(brain, voxels, 0)
    assert seems_stripped(stripped, affine)
    assert agreement(stripped_brain(stripped), brain) > 0.98
    assert agreement(find_brain(stripped, affine), brain) > 0.9


# --- a head of which the network sees all


@pytest.mark.parametrize("codes", ["RAS", "LPI", "PIR", "SAL"])
def test_the_network_always_sees_an_upright_head(network, codes):
    voxels = ball()
    voxels[12, 15, 18] = 500
    turned, affine = reoriented(voxels, np.eye(4), codes)
    found = find_brain(turned, affine)
    np.testing.assert_array_equal(network.given, voxels)
    np.testing.assert_array_equal(found, turned > 100)


def test_the_threshold_counts(network):
    voxels = ball()
    voxels[voxels > 0] = 70
    assert find_brain(voxels, np.eye(4), threshold=0.3).any()
    with pytest.raises(ImageError, match="no brain was found"):
        find_brain(voxels, np.eye(4), threshold=0.5)


def test_the_network_sees_no_negative_values(network):
    find_brain(ball() - np.float32(5), np.eye(4))
    assert network.given.min() == 0
    assert network.given.dtype == np.float32


@pytest.mark.parametrize("error", [AssertionError("Not enough foreground"), ValueError("empty"), IndexError("0")])
def test_no_brain_is_told(network, error):
    network.error = error
    with pytest.raises(ImageError, match=r"no brain was found; is it a T1-weighted scan of a whole head"):
        find_brain(ball(), np.eye(4))


def test_short_memory_is_not_taken_for_no_brain(network):
    network.error = RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")
    with pytest.raises(RuntimeError, match="not enough memory"):
        find_brain(ball(), np.eye(4))


def test_what_torch_cannot_resize_is_no_brain(network):
    network.error = RuntimeError("Input and output sizes should be greater than 0")
    with pytest.raises(ImageError, match="no brain was found"):
        find_brain(ball(), np.eye(4))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(24, 24, 24), (1, 1, 1), (2, 200, 3), (300, 8, 8)])
def test_whatever_it_is_given_deepbet_ends_in_a_mask_or_in_words(shape):
    voxels = np.random.default_rng(0).rayleigh(10, shape).astype(np.float32)
    with contextlib.suppress(ImageError):
        assert find_brain(voxels, np.eye(4)).shape == shape


@pytest.mark.parametrize(("side_mm", "litres"), [(0.5, "0.0"), (8.0, "8.4"), (100.0, "16512")])
def test_what_is_not_of_the_size_of_a_brain_is_refused_before_it_takes_time_or_memory(side_mm, litres):
    brain = ball((32, 32, 36), radius=16) > 0
    with pytest.raises(ImageError, match=rf"fills {litres}[0-9.]* litres \(allowed: 0.3 to 3.0\); is it a whole head"):
        require_brain(brain, side_mm**3)


def test_what_is_of_the_size_of_a_brain_is_accepted():
    require_brain(np.ones((100, 100, 100), bool), 1.5)


# --- one piece


def test_the_largest_piece_without_holes_is_kept():
    mask = ball() > 0
    holed = mask.copy()
    holed[12, 15, 18] = False
    holed[0, 0, 0:4] = True
    np.testing.assert_array_equal(stripped_brain(holed.astype(np.float32)), mask)


@given(MASKS)
def test_one_piece_of_one_piece_is_itself(mask):
    once = module._one_piece(mask)
    np.testing.assert_array_equal(module._one_piece(once), once)
    assert once.any() == mask.any()


# --- without skull


@pytest.mark.parametrize(
    ("options", "wanted"),
    [({}, True), ({"skull": True}, False), ({"air": 0.02}, False), ({"skull": True, "air": 0.02}, False)],
)
def test_a_head_without_skull_is_told_from_one_with_it(options, wanted):
    phantom = head(sides_mm=4.0, **options)
    assert seems_stripped(phantom.voxels, phantom.affine) == wanted


@pytest.mark.parametrize("codes", ["LPI", "SAR"])
def test_whether_the_skull_is_off_does_not_depend_on_the_order_of_voxels(codes):
    for options in ({}, {"skull": True}):
        phantom = head(sides_mm=4.0, **options)
        turned = phantom.reoriented(codes)
        assert seems_stripped(turned.voxels, turned.affine) == seems_stripped(phantom.voxels, phantom.affine)


@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_what_is_no_brain_by_its_size_is_not_recognised(scale):
    phantom = head(sides_mm=4.0)
    assert not seems_stripped(phantom.voxels, phantom.affine @ np.diag([scale, scale, scale, 1]))


def test_a_volume_full_of_brain_is_not_recognised():
    assert not seems_stripped(np.ones((110, 110, 110), np.float32), np.eye(4))


# --- agreement


@given(MASKS, MASKS)
def test_agreement_is_the_coefficient_of_dice(one, other):
    wanted = 2 * (one & other).sum() / (one.sum() + other.sum()) if one.any() or other.any() else 0
    assert agreement(one, other) == pytest.approx(wanted)
    assert agreement(one, other) == agreement(other, one)
    assert 0 <= agreement(one, other) <= 1
    assert agreement(one, one) == (1 if one.any() else 0)
