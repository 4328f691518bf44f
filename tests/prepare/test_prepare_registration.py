"""Known affines are found again, whatever the voxels, and what cannot be registered is refused in words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepare_phantoms import ORIENTATIONS, T2, head, known_affine, random_affine

from neurotransfer.cohort.mni import average_brain
from neurotransfer.errors import ImageError
from neurotransfer.prepare import registration
from neurotransfer.prepare.registration import AFFINE, RIGID, brain_surface_mm, displacement_mm, register

CLOSE_MM = 1.0


def found(phantom, degrees_of_freedom=AFFINE):
    return register(phantom.voxels, phantom.affine, phantom.brain, degrees_of_freedom)


def error_mm(phantom, result):
    return displacement_mm(result.to_template, phantom.to_template)


@pytest.fixture(scope="module")
def tilted():
    """A head and where it was found to lie."""
    phantom = head(random_affine(3), (2.0, 2.2, 1.8), seed=3)
    return phantom, found(phantom)


def test_a_known_affine_is_found(tilted):
    phantom, result = tilted
    assert error_mm(phantom, result) < CLOSE_MM
    assert result.overlap > 0.98
    assert result.mutual_information > 1
    assert result.turned_degrees == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_every_affine_within_bounds_is_found(seed):
    phantom = head(random_affine(seed), seed=seed)
    result = found(phantom)
    assert error_mm(phantom, result) < CLOSE_MM
    assert result.turned_degrees == 0


@pytest.mark.slow
@pytest.mark.parametrize("corner", [(15, 15, 15), (-15, 15, -15), (15, -15, -15)])
@pytest.mark.parametrize("scale", [0.85, 1.15, (0.85, 1.15, 1.0)])
def test_the_corners_of_the_bounds_are_found(corner, scale):
    phantom = head(known_affine(corner, scale, (30, -30, 30)))
    assert error_mm(phantom, found(phantom)) < CLOSE_MM


@pytest.mark.slow
def test_a_rigid_transform_keeps_lengths():
    known = known_affine((12, -8, 10), 1.0, (5, 10, -20))
    phantom = head(known)
    result = found(phantom, RIGID)
    linear = result.to_template[:3, :3]
    np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(linear) == pytest.approx(1, abs=1e-9)
    assert error_mm(phantom, result) < CLOSE_MM


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.9, 1.1])
def test_a_rigid_transform_does_not_take_size_away(scale):
    phantom = head(known_affine((5, 5, 5), scale))
    result = found(phantom, RIGID)
    assert np.linalg.det(result.to_template[:3, :3]) == pytest.approx(1, abs=1e-9)
    # a head of another size still lies on the middle of MNI152
    middle = np.array([0, -18, 10, 1.0])
    assert np.linalg.norm((result.to_template @ np.linalg.inv(phantom.to_template) @ middle - middle)[:3]) < 6


@pytest.mark.parametrize("degrees", [40, pytest.param(-40, marks=pytest.mark.slow)])
def test_a_head_that_is_nodded_is_found_and_is_no_mistake_of_the_header(degrees):
    phantom = head(known_affine((degrees, 0, 0)))
    result = found(phantom)
    assert error_mm(phantom, result) < CLOSE_MM
    assert result.turned_degrees == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("degrees", "angle"),
    [((90, 0, 0), 90), ((0, -90, 0), 90), ((0, 0, 90), 90), ((180, 0, 0), 180), ((0, 180, 0), 180), ((0, 0, 180), 180)],
)
def test_mistaken_axes_are_found_and_told(degrees, angle):
    phantom = head(random_affine(5, degrees=8)).relabelled(degrees)
    result = found(phantom)
    assert error_mm(phantom, result) < CLOSE_MM
    assert result.turned_degrees == pytest.approx(angle)


def test_there_are_23_ways_to_mistake_axes_without_a_mirror():
    turns = registration._mistaken_axes()
    assert len({tuple(turn.ravel()) for turn in turns}) == 23
    for turn in turns:
        assert np.linalg.det(turn) == pytest.approx(1)
        assert set(np.abs(turn).ravel()) == {0, 1}
        assert registration._turn_of(turn) == pytest.approx(90) or registration._turn_of(turn) > 90


def test_what_a_head_may_really_do_is_no_mistake_of_axes():
    for turn in registration._turned_by((*registration.NODS_DEGREES, *registration.TILTS_DEGREES)):
        assert registration._turn_of(turn) == 0


@pytest.mark.slow
def test_runs_agree_bit_by_bit(tilted):
    phantom, result = tilted
    again = found(phantom)
    np.testing.assert_array_equal(again.to_template, result.to_template)
    assert (again.mutual_information, again.overlap) == (result.mutual_information, result.overlap)


@pytest.mark.parametrize(
    "codes", ["LPI", *(pytest.param(codes, marks=pytest.mark.slow) for codes in ORIENTATIONS[3::6])]
)
def test_the_order_of_voxels_does_not_matter(tilted, codes):
    phantom, result = tilted
    assert displacement_mm(found(phantom.reoriented(codes)).to_template, result.to_template) < 0.2


@pytest.mark.slow
def test_values_do_not_matter_by_their_scale(tilted):
    phantom, result = tilted
    times = register(phantom.voxels * np.float32(64), phantom.affine, phantom.brain)
    assert displacement_mm(times.to_template, result.to_template) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("sides_mm", [1.0, 3.0, (1.0, 1.0, 4.0), (0.9, 3.0, 0.9)])
def test_the_size_of_voxels_does_not_matter_much(sides_mm):
    phantom = head(random_affine(7), sides_mm)
    assert error_mm(phantom, found(phantom)) < CLOSE_MM


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"brightness": T2}, {"bias": 0.5}, {"noise": 0.15}, {"brightness": (110, 70, 30)}])
def test_contrast_noise_and_bias_do_not_matter_much(options):
    phantom = head(random_affine(11), **options)
    assert error_mm(phantom, found(phantom)) < 1.5


@pytest.mark.slow
def test_what_is_outside_the_brain_does_not_matter(tilted):
    phantom, result = tilted
    noise = np.where(phantom.brain, phantom.voxels, np.random.default_rng(0).uniform(0, 999, phantom.voxels.shape))
    again = register(noise.astype(np.float32), phantom.affine, phantom.brain)
    np.testing.assert_array_equal(again.to_template, result.to_template)


# --- distance

SMALL = st.floats(-0.2, 0.2)
AFFINES = st.builds(
    lambda turn, scale, shift: known_affine(turn, scale, shift),
    st.tuples(*[st.floats(-40, 40)] * 3), st.tuples(*[st.floats(0.7, 1.4)] * 3), st.tuples(*[st.floats(-50, 50)] * 3),
)  # fmt: skip
MANY = settings(max_examples=60, deadline=None)


@MANY
@given(AFFINES)
def test_nothing_is_apart_from_itself(one):
    assert displacement_mm(one, one) == 0


@MANY
@given(AFFINES, AFFINES)
def test_a_distance_is_the_same_from_either_side(one, other):
    assert displacement_mm(one, other) == pytest.approx(displacement_mm(other, one), abs=1e-9)
    assert displacement_mm(one, other) >= 0


@MANY
@given(AFFINES, AFFINES, AFFINES)
def test_no_way_round_is_shorter(one, two, three):
    assert displacement_mm(one, three) <= displacement_mm(one, two) + displacement_mm(two, three) + 1e-9


@MANY
@given(AFFINES, st.tuples(*[st.floats(-50, 50)] * 3))
def test_what_is_moved_in_the_scan_is_apart_by_as_much(one, shift):
    moved = known_affine(shift_mm=shift)
    assert displacement_mm(one @ moved, one) == pytest.approx(np.linalg.norm(shift), abs=1e-6)


@MANY
@given(AFFINES, AFFINES, st.tuples(*[st.floats(-40, 40)] * 3))
def test_the_place_of_the_scanner_does_not_matter(one, other, turn):
    scanner = known_affine(turn, 1.0, (7, -9, 3))
    assert displacement_mm(one @ scanner, other @ scanner) == pytest.approx(displacement_mm(one, other), abs=1e-6)


def test_the_surface_is_that_of_the_average_brain():
    surface, average = brain_surface_mm(), average_brain(2)
    assert surface.shape[0] == 4
    assert surface.shape[1] > 2000
    places = np.rint((surface[:3].T - average.affine[:3, 3]) / 2).astype(int)
    assert average.mask[tuple(places.T)].all()
    neighbours = [
        average.mask[tuple((places + step).T)] for step in np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
    ]
    assert not np.all(neighbours, axis=0).any()


# --- what cannot be registered


def box(shape, sides_mm, seed=0):
    voxels = np.random.default_rng(seed).uniform(1, 2, shape).astype(np.float32)
    return voxels, np.diag([*np.broadcast_to(sides_mm, 3), 1.0]), np.ones(shape, bool)


def test_an_empty_brain_is_refused():
    voxels, affine, brain = box((20, 20, 20), 8.0)
    with pytest.raises(ImageError, match="nothing in the brain is above zero"):
        register(voxels, affine, np.zeros_like(brain))
    with pytest.raises(ImageError, match="nothing in the brain is above zero"):
        register(np.zeros_like(voxels), affine, brain)


def test_a_brain_as_long_as_a_whale_is_refused_before_it_takes_all_memory():
    with pytest.raises(ImageError, match=r"brain is \d+ mm long \(allowed: 600 or less\); are its voxel sizes right"):
        register(*box((128, 128, 128), 30.0))


@pytest.mark.parametrize("degrees_of_freedom", [RIGID, AFFINE])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 2), (1, 30, 30), (6, 5, 4)])
@pytest.mark.parametrize("sides_mm", [0.1, 5.0])
def test_a_tiny_brain_ends_somewhere(monkeypatch, degrees_of_freedom, shape, sides_mm):
    # what comes after the first fit is more of the same
    monkeypatch.setattr(registration, "LEAST_OVERLAP", 0.0)
    monkeypatch.setattr(registration, "LEAST_INFORMATION", -1.0)
    monkeypatch.setattr(registration, "STEPS", 5)
    result = register(*box(shape, sides_mm), degrees_of_freedom)
    assert np.isfinite(result.to_template).all()
    assert 0 <= result.overlap <= 1


def test_a_start_outside_of_the_image_is_no_error():
    import SimpleITK

    fixed, far = registration._fixed(), SimpleITK.Euler3DTransform()
    far.SetTranslation([5000.0, 0, 0])
    phantom = head(sides_mm=6.0)
    moving = registration._moving(phantom.voxels, phantom.affine, phantom.brain)
    assert registration._descend(fixed, moving, far, registration._ROUGH) == 0.0


def test_the_first_result_is_not_believed_where_masks_do_not_overlap(monkeypatch):
    tried = []

    def finished(fixed, moving, rough, degrees_of_freedom):
        tried.append(np.reshape(rough.GetMatrix(), (3, 3)))
        return known_affine(shift_mm=(500, 0, 0)), -float(len(tried))

    monkeypatch.setattr(registration, "_finished", finished)
    monkeypatch.setattr(registration, "_descend", lambda *_: 0.0)
    phantom = head(sides_mm=6.0)
    result = found(phantom)
    assert len(tried) == 1 + registration.FINALISTS
    assert result.mutual_information == len(tried)
