"""The average brain: one place for every map, whole, symmetric, and how much of another brain lies on it."""

import numpy as np
import pytest
from cohort_phantoms import ORIENTATIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes

from neurotransfer.cohort.mni import SPACE, average_brain, overlap_of, rough_overlap_of
from neurotransfer.cohort.orientation import reoriented
from neurotransfer.cohort.volumes import laid_on

SIZES = (1, 2)
MAPS = ("t1", "fluid", "grey", "white", "mask")
FEW = settings(max_examples=6, deadline=None)


@pytest.mark.parametrize("size", SIZES)
def test_all_maps_lie_on_one_grid(size):
    average = average_brain(size)
    assert len({getattr(average, name).shape for name in MAPS}) == 1
    assert aff2axcodes(average.affine) == ("R", "A", "S")
    np.testing.assert_allclose(average.affine[:3, :3], size * np.eye(3))
    assert average.mask.dtype == bool
    assert all(getattr(average, name).dtype == np.float32 for name in MAPS[:-1])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", MAPS[:-1])
def test_every_map_is_a_share_within_the_brain(size, name):
    average = average_brain(size)
    values = getattr(average, name)
    assert values.min() >= 0
    assert 0.9 < values.max() <= 1
    assert not values[~average.mask].any()


@pytest.mark.parametrize("size", SIZES)
def test_the_tissues_fill_the_brain(size):
    average = average_brain(size)
    whole = average.fluid + average.grey + average.white
    assert whole[average.mask].min() > 0.99
    # grey and white overlap nowhere by more than rounding
    assert whole.max() < 1.01


def test_both_sizes_are_the_same_brain():
    fine, coarse = average_brain(1), average_brain(2)
    assert abs(fine.litres - coarse.litres) < 0.01 * fine.litres
    assert 1.8 < fine.litres < 1.95
    assert overlap_of(fine.mask, fine.affine) > 0.985
    for name in ("fluid", "grey", "white"):
        one, other = (getattr(average, name).sum() * size**3 for average, size in ((fine, 1), (coarse, 2)))
        assert abs(one - other) < 0.01 * one


@pytest.mark.parametrize("size", SIZES)
def test_white_is_brighter_than_grey_is_brighter_than_fluid(size):
    average = average_brain(size)
    fluid, grey, white = (np.median(average.t1[share > 0.9]) for share in (average.fluid, average.grey, average.white))
    assert fluid < grey < white


def test_left_and_right_are_mirrors_as_the_name_of_the_space_says():
    average = average_brain(2)
    assert SPACE.endswith("Sym")
    # the middle of the head is a voxel of its own
    middle = -average.affine[0, 3] / average.affine[0, 0]
    assert middle == int(middle)
    half = int(middle)
    for name in MAPS:
        values = getattr(average, name).astype(float)
        right, left = values[half : 2 * half + 1], values[half::-1]
        assert np.abs(right - left).mean() < 0.005 * values.max()


def test_up_front_and_right_are_where_they_say():
    average = average_brain(2)
    centre = average.affine[:3, :3] @ np.argwhere(average.mask).mean(0) + average.affine[:3, 3]
    np.testing.assert_allclose(centre, [0, -18, 8], atol=4)
    # the frontal pole lies before, the cerebellum behind and below
    assert average.mask[tuple(np.rint((np.array([20, 60, 6]) - average.affine[:3, 3]) / 2).astype(int))]
    assert average.mask[tuple(np.rint((np.array([20, -70, -40]) - average.affine[:3, 3]) / 2).astype(int))]
    assert not average.mask[tuple(np.rint((np.array([20, 60, -45]) - average.affine[:3, 3]) / 2).astype(int))]


def test_it_is_read_once():
    assert average_brain(2) is average_brain(2)
    assert hash(average_brain(2)) is not None


# --- overlap


@pytest.mark.parametrize("codes", ORIENTATIONS[::7])
def test_a_brain_overlaps_itself_however_it_is_stored(codes):
    average = average_brain(2)
    assert overlap_of(*reoriented(average.mask, average.affine, codes)) == 1


def test_overlap_is_the_coefficient_of_dice():
    average = average_brain(2)
    half = average.mask.copy()
    half[average.mask.shape[0] // 2 :] = False
    wanted = 2 * half.sum() / (half.sum() + average.mask.sum())
    assert overlap_of(half, average.affine) == pytest.approx(wanted, abs=1e-12)
    assert overlap_of(np.zeros_like(half), average.affine) == 0


@FEW
@given(st.tuples(*[st.integers(-15, 15)] * 3))
def test_overlap_falls_with_distance_and_the_transform_takes_it_back(steps):
    average = average_brain(2)
    moved = average.affine.copy()
    moved[:3, 3] += 2.0 * np.array(steps)
    found = overlap_of(average.mask, moved)
    assert found == 1 if not any(steps) else found < 1
    back = np.eye(4)
    back[:3, 3] = -2.0 * np.array(steps)
    assert overlap_of(average.mask, moved, back) == 1


def test_a_brain_that_lies_elsewhere_does_not_overlap():
    average = average_brain(2)
    far = average.affine.copy()
    far[:3, 3] += 1000
    assert overlap_of(average.mask, far) == 0


@pytest.mark.parametrize("stride", [2, 3])
def test_overlap_hardly_depends_on_the_size_of_voxels(stride):
    average = average_brain(1)
    coarse = average.affine @ np.diag([stride, stride, stride, 1])
    assert overlap_of(average.mask[::stride, ::stride, ::stride], coarse) > 0.97


@pytest.mark.parametrize("shift_mm", [0, 5, 20, 300])
@pytest.mark.parametrize("size_mm", [1.5, 4.0])
def test_a_rough_overlap_is_nearly_the_overlap(shift_mm, size_mm):
    average = average_brain(2)
    affine = np.diag([-size_mm, size_mm, size_mm, 1.0])
    affine[:3, 3] = (100 + shift_mm, -140, -80 + shift_mm)
    shape = tuple(int(200 / size_mm) for _ in range(3))
    brain = (
        laid_on(average.mask.astype(np.float32), average.affine, (*shape[:1], int(240 / size_mm), shape[2]), affine)
        > 0.5
    )
    moved = affine.copy()
    moved[1, 3] += shift_mm
    assert abs(rough_overlap_of(brain, moved) - overlap_of(brain, moved)) < 0.02
