"""The laws of the grid: where its voxels lie, and what is no grid."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes

from neurotransfer.cohort import Grid
from neurotransfer.cohort.grid import BRAIN_CENTRE_MM
from neurotransfer.errors import InputError

SIDES = st.tuples(*[st.integers(32, 256)] * 3)
SIZES = st.floats(0.1, 20)


@given(SIDES, SIZES)
def test_the_middle_of_the_grid_is_the_centre_of_the_brain(shape, size):
    grid = Grid(shape, size)
    middle = grid.affine @ np.append((np.array(shape) - 1) / 2, 1)
    np.testing.assert_allclose(middle, [*BRAIN_CENTRE_MM, 1], atol=1e-9)


@given(SIDES, SIZES)
def test_the_grid_is_ras_with_cubic_voxels(shape, size):
    affine = Grid(shape, size).affine
    assert aff2axcodes(affine) == ("R", "A", "S")
    np.testing.assert_allclose(affine[:3, :3], size * np.eye(3))
    np.testing.assert_array_equal(affine[3], [0, 0, 0, 1])


@given(SIDES, SIZES)
def test_corners_lie_opposite_to_each_other_around_the_centre(shape, size):
    grid = Grid(shape, size)
    first, last = grid.affine @ [0, 0, 0, 1], grid.affine @ np.append(np.array(shape) - 1, 1)
    np.testing.assert_allclose((first + last)[:3] / 2, BRAIN_CENTRE_MM, atol=1e-9)


def test_the_default_grid_holds_the_brain_of_mni152():
    grid = Grid()
    low, high = (grid.affine @ [0, 0, 0, 1])[:3], (grid.affine @ np.append(np.array(grid.shape) - 1, 1))[:3]
    assert (low <= [-72, -106, -64]).all()
    assert (high >= [72, 70, 82]).all()


@pytest.mark.parametrize(
    "shape", [(31, 40, 40), (40, 40), (40, 40, 40, 1), (), (0, 0, 0), (-40, 40, 40), (40.5, 40, 40)]
)
def test_a_shape_that_is_no_grid_is_refused(shape):
    with pytest.raises(InputError, match="three sides of 32 voxels or more, got"):
        Grid(shape)


@pytest.mark.parametrize("size", [0, -1.0, float("nan"), float("inf")])
def test_a_voxel_size_that_is_none_is_refused(size):
    with pytest.raises(InputError, match="a voxel size is positive, got"):
        Grid(voxel_size_mm=size)


@given(SIDES, SIZES)
def test_a_grid_survives_its_plain_values_as_in_a_model_card(shape, size):
    grid = Grid(list(shape), size)
    assert Grid(**dataclasses.asdict(grid)) == grid
    assert hash(Grid(tuple(np.array(shape)), size)) == hash(grid)
    assert all(type(side) is int for side in grid.shape)
