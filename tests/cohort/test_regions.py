"""Named places of MNI152: both sides alike, each nearest to itself, all of them in the brain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.cohort.mni import average_brain
from neurotransfer.cohort.regions import BELOW, CORTEX, DEEP, ONE_SIDED, REGIONS, nearest_region

NAMES = list(REGIONS)
MILLIMETRES = st.integers(-90, 90)


def mirrored(name):
    swap = {"left_": "right_", "right_": "left_"}
    return next((other + name.removeprefix(side) for side, other in swap.items() if name.startswith(side)), name)


def test_every_region_has_two_sides_or_lies_in_the_middle():
    assert len(CORTEX) + len(DEEP) + len(BELOW) == len(ONE_SIDED)
    assert len(REGIONS) == sum(2 if centre[0] else 1 for centre in ONE_SIDED.values())
    assert all(name == name.lower() and name.isidentifier() for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_region_is_the_mirror_of_its_other_side(name):
    x, y, z = REGIONS[name]
    assert REGIONS[mirrored(name)] == (-x, y, z)
    assert x < 0 if name.startswith("left_") else x >= 0


@pytest.mark.parametrize("name", NAMES)
def test_the_centre_of_a_region_belongs_to_it(name):
    assert NAMES[int(nearest_region(np.array(REGIONS[name]))) - 1] == name


@pytest.mark.parametrize("name", NAMES)
def test_the_centre_of_a_region_is_in_the_brain(name):
    average = average_brain(2)
    place = np.rint((np.array(REGIONS[name]) - average.affine[:3, 3]) / 2).astype(int)
    assert average.mask[tuple(place)]


@pytest.mark.parametrize("name", [name for name in NAMES if "ventricle" in name])
def test_a_ventricle_holds_fluid_about_its_centre(name):
    average = average_brain(2)
    x, y, z = np.rint((np.array(REGIONS[name]) - average.affine[:3, 3]) / 2).astype(int)
    assert average.fluid[x - 3 : x + 4, y - 3 : y + 4, z - 3 : z + 4].max() > 0.7


@given(st.tuples(MILLIMETRES, MILLIMETRES, MILLIMETRES))
def test_the_nearest_is_the_nearest(place):
    centres = np.array(list(REGIONS.values()), float)
    distances = np.linalg.norm(centres - place, axis=1)
    found = int(nearest_region(np.array(place))) - 1
    assert distances[found] == pytest.approx(distances.min())
    # of several as near the first
    assert found == np.flatnonzero(np.isclose(distances, distances.min()))[0]


@given(st.tuples(MILLIMETRES.filter(bool), MILLIMETRES, MILLIMETRES))
def test_the_other_side_of_a_place_is_the_other_side_of_its_region(place):
    x, y, z = place
    here, there = (NAMES[int(nearest_region(np.array([side, y, z]))) - 1] for side in (x, -x))
    assert there == mirrored(here)


@pytest.mark.parametrize("shape", [(), (1,), (4, 5), (3, 2, 4)])
def test_places_of_any_shape(shape):
    places = np.random.default_rng(1).uniform(-60, 60, (3, *shape))
    found = nearest_region(places)
    assert found.shape == shape
    assert found.min() >= 1
    assert found.max() <= len(REGIONS)
    flat = [nearest_region(place) for place in places.reshape(3, -1).T]
    np.testing.assert_array_equal(found.ravel(), np.array(flat).ravel())


def test_regions_of_ones_own():
    two = {"low": (0, 0, -10), "high": (0, 0, 10)}
    np.testing.assert_array_equal(nearest_region(np.array([[0, 0], [0, 0], [-3, 4]]), two), [1, 2])


def test_every_region_has_some_of_the_brain():
    average = average_brain(2)
    places = np.indices(average.mask.shape) * 2 + average.affine[:3, 3].reshape(3, 1, 1, 1)
    counts = np.bincount(nearest_region(places)[average.mask], minlength=len(REGIONS) + 1)[1:]
    # a millilitre at least
    assert counts.min() * 8 > 1000
