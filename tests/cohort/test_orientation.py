"""Axes of voxels: turned, cut or filled, and every value stays where it was in the head."""

import numpy as np
import pytest
from cohort_phantoms import ORIENTATIONS, phantom
from cohort_phantoms import reoriented as reoriented_by_nibabel
from hypothesis import given
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from neurotransfer.cohort.orientation import orientation_of, reoriented, window

SHAPE = (3, 4, 5)
VALUES = np.arange(1, 61, dtype=np.int16).reshape(SHAPE)
# below 35 degrees about any axis each axis keeps its name
TURNS = st.tuples(*[st.floats(-15, 15)] * 3).map(lambda angles: Rotation.from_euler("xyz", angles, True).as_matrix())
SIDES = st.tuples(*[st.floats(0.5, 3)] * 3)
CORNERS = st.tuples(*[st.floats(-100, 100)] * 3)


@st.composite
def oblique(draw):
    affine = np.eye(4)
    affine[:3, :3] = draw(TURNS) @ np.diag(draw(SIDES))
    affine[:3, 3] = draw(CORNERS)
    return affine


def places(voxels, affine):
    """Where every value above zero lies, in millimetres."""
    indices = np.argwhere(voxels)
    values = voxels[tuple(indices.T)].tolist()
    return dict(zip(values, apply_affine(affine, indices).round(6).tolist(), strict=True))


def same_places(one, other):
    assert one.keys() == other.keys()
    keys = sorted(one)
    np.testing.assert_allclose([one[key] for key in keys], [other[key] for key in keys], atol=1e-5)


# ---- turning


@pytest.mark.parametrize("codes", ORIENTATIONS)
@given(affine=oblique())
def test_turned_and_turned_back_is_the_same(codes, affine):
    there, place = reoriented(VALUES, affine, codes)
    assert orientation_of(place) == codes
    back, home = reoriented(there, place, "RAS")
    np.testing.assert_array_equal(back, VALUES)
    np.testing.assert_allclose(home, affine, atol=1e-9)
    same_places(places(there, place), places(VALUES, affine))


@given(oblique(), st.sampled_from(ORIENTATIONS), st.sampled_from(ORIENTATIONS))
def test_the_way_does_not_matter(affine, one, other):
    direct, place = reoriented(VALUES, affine, other)
    around, end = reoriented(*reoriented(VALUES, affine, one), other)
    np.testing.assert_array_equal(direct, around)
    np.testing.assert_allclose(place, end, atol=1e-9)


@given(oblique(), st.sampled_from(ORIENTATIONS))
def test_the_volume_of_a_voxel_and_the_values_stay(affine, codes):
    turned, place = reoriented(VALUES, affine, codes)
    assert abs(np.linalg.det(place)) == pytest.approx(abs(np.linalg.det(affine)))
    assert sorted(turned.ravel()) == sorted(VALUES.ravel())
    assert turned.dtype == VALUES.dtype
    assert turned.flags.c_contiguous


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_it_is_what_nibabel_does(codes):
    image = phantom((5, 6, 7), 20.0)
    expected = reoriented_by_nibabel(image, codes)
    turned, affine = reoriented(np.asarray(image.dataobj), image.affine, codes)
    np.testing.assert_array_equal(turned, np.asarray(expected.dataobj))
    np.testing.assert_allclose(affine, expected.affine)


def test_what_needs_no_turn_is_not_copied_and_nothing_of_the_input_is_changed():
    values, affine = VALUES.copy(), np.diag([-1.0, 1, 1, 1])
    assert np.shares_memory(reoriented(values, affine, "LAS")[0], values)
    turned, _ = reoriented(values, affine, "PIR")
    turned[:] = 0
    np.testing.assert_array_equal(values, VALUES)
    assert affine[0, 0] == -1


@given(oblique())
def test_an_orientation_is_that_of_the_nearest_axes(affine):
    assert orientation_of(affine) == "RAS"
    assert orientation_of(affine @ np.diag([-1.0, 1, -1, 1])) == "LAI"


# ---- windows


STARTS = st.tuples(*[st.integers(-7, 7)] * 3)
SHAPES = st.tuples(*[st.integers(1, 8)] * 3)


def window_by_hand(voxels, start, shape):
    taken = np.zeros(shape, voxels.dtype)
    for index in np.ndindex(*shape):
        source = tuple(np.add(index, start))
        if all(0 <= place < side for place, side in zip(source, voxels.shape, strict=True)):
            taken[index] = voxels[source]
    return taken


@given(oblique(), STARTS, SHAPES)
def test_a_window_is_what_it_says_and_leaves_all_in_its_place(affine, start, shape):
    taken, moved = window(VALUES, affine, start, shape)
    np.testing.assert_array_equal(taken, window_by_hand(VALUES, start, shape))
    assert taken.dtype == VALUES.dtype
    before = places(VALUES, affine)
    same_places(places(taken, moved), {value: before[value] for value in taken[taken > 0].tolist()})


@given(STARTS, SHAPES, STARTS, SHAPES)
def test_a_window_of_a_window_is_a_window_of_what_it_left(start, shape, second, smaller):
    once, place = window(VALUES, np.eye(4), start, shape)
    twice, there = window(once, place, second, smaller)
    both = tuple(np.add(start, second).tolist())
    direct, expected = window(VALUES, np.eye(4), both, smaller)
    np.testing.assert_allclose(there, expected)
    # what the first window cut off is not there again
    kept = window_by_hand(np.ones(shape, bool), second, smaller)
    np.testing.assert_array_equal(twice, np.where(kept, direct, 0))


@given(oblique(), st.tuples(*[st.integers(0, 5)] * 3), st.tuples(*[st.integers(0, 5)] * 3))
def test_filled_and_cut_back_is_the_same(affine, before, after):
    shape = tuple(np.add(np.add(SHAPE, before), after).tolist())
    filled, place = window(VALUES, affine, tuple(-side for side in before), shape)
    back, home = window(filled, place, before, SHAPE)
    np.testing.assert_array_equal(back, VALUES)
    np.testing.assert_allclose(home, affine, atol=1e-9)
    assert filled.sum() == VALUES.sum()


@pytest.mark.parametrize("start", [(9, 0, 0), (0, -9, 0), (0, 0, 5), (-3, 0, 0)])
def test_a_window_beside_everything_is_empty(start):
    taken, _ = window(VALUES, np.eye(4), start, SHAPE)
    assert not taken.any()


def test_a_window_of_a_mask_is_a_mask_and_changes_nothing():
    inside, affine = VALUES > 30, np.eye(4)
    taken, moved = window(inside, affine, (0, 0, 0), SHAPE)
    assert taken.dtype == bool
    taken[:], moved[:] = False, 0
    assert inside.sum() == 30
    assert affine[0, 0] == 1
