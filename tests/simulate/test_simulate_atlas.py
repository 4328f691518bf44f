"""The average brain: whole, symmetric in its names, every region where it should be."""

import numpy as np
import pytest

from neurotransfer.cohort.regions import ONE_SIDED, REGIONS, nearest_region
from neurotransfer.simulate.atlas import (
    DEPTHS_MM,
    FIELD_KNOTS,
    FIELD_MM,
    GREY,
    KIND_OF_REGION,
    SPACING_MM,
    WHITE,
    knots_mm,
    load_atlas,
    places_along,
)


@pytest.fixture(scope="module")
def atlas():
    return load_atlas()


def test_its_maps_have_one_shape_and_are_shares(atlas):
    assert atlas.tissues.shape[1:] == atlas.depth_mm.shape == atlas.labels.shape
    assert atlas.tissues.min() >= 0
    assert atlas.tissues.sum(0).max() <= 1.01
    assert atlas.labels.max() == len(REGIONS)


def test_the_brain_has_the_size_of_a_brain(atlas):
    litres = (atlas.depth_mm > 0).sum() * SPACING_MM**3 / 1e6
    assert 1.5 < litres < 2.1
    grey, white = (atlas.tissues[place].sum() * SPACING_MM**3 / 1e6 for place in (GREY, WHITE))
    assert 0.6 < grey < 1.1
    assert 0.4 < white < 0.9


def test_depth_is_a_distance_that_ends_at_its_limits(atlas):
    assert atlas.depth_mm.min() == DEPTHS_MM[0]
    assert atlas.depth_mm.max() == DEPTHS_MM[1]
    along_x = np.abs(np.diff(atlas.depth_mm, axis=0))
    assert along_x.max() <= 2 * SPACING_MM + 1e-4


def test_every_region_has_a_voxel_and_weight_one_only_inside(atlas):
    assert set(np.unique(atlas.labels)) == set(range(len(REGIONS) + 1))
    assert atlas.weights.shape == (len(REGIONS), *FIELD_KNOTS)
    assert (atlas.weights.max((1, 2, 3)) > 0.2).all()
    assert atlas.weights.sum(0).max() < 1.0001


def test_sides_mirror_each_other(atlas):
    for name, (x, y, z) in REGIONS.items():
        if name.startswith("left_"):
            assert REGIONS["right_" + name.removeprefix("left_")] == (-x, y, z)
            assert x < 0
    mirrored = atlas.weights[[_other_side(name) for name in REGIONS]][:, ::-1]
    assert np.allclose(mirrored, atlas.weights, atol=1e-6)


def _other_side(name: str) -> int:
    swapped = name.replace("left_", "@").replace("right_", "left_").replace("@", "right_")
    return list(REGIONS).index(swapped)


@pytest.mark.parametrize("name", REGIONS)
def test_the_centre_of_a_region_belongs_to_it(name):
    assert list(REGIONS)[int(nearest_region(np.array(REGIONS[name]))) - 1] == name


def test_a_region_knows_its_kind():
    names = list(ONE_SIDED)
    for name, kind in zip(REGIONS, KIND_OF_REGION, strict=True):
        assert name.removeprefix("left_").removeprefix("right_") == names[kind]


def test_knots_span_the_field_about_the_centre_of_the_brain():
    knots = knots_mm(FIELD_KNOTS)
    assert knots.shape == (3, *FIELD_KNOTS)
    assert np.allclose(knots.reshape(3, -1).mean(1), (0, -18, 10))
    assert np.allclose(np.ptp(knots.reshape(3, -1), axis=1), FIELD_MM)
    for axis, places in enumerate(places_along(FIELD_KNOTS)):
        assert np.allclose(np.unique(knots[axis]), places)


def test_the_template_is_as_bright_as_elsewhere_on_average(atlas):
    assert atlas.brightness.shape == (2, *FIELD_KNOTS)
    assert np.abs(atlas.brightness).max() < 0.5
