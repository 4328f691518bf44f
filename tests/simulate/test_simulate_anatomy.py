import numpy as np
import pytest

from neurotransfer.cohort.grid import Grid
from neurotransfer.simulate.anatomy import (
    AMYGDALA,
    CEREBELLUM,
    FLUID,
    FLUIDS,
    FRONTAL,
    HIPPOCAMPUS,
    PULLS,
    build_anatomy,
    load_template,
    weight_of,
)
from neurotransfer.simulate.people import LATENTS

GRID = Grid((32, 40, 32), 5.0)


def test_every_latent_does_something():
    assert {*PULLS, *FLUIDS} == set(LATENTS)


def test_the_template_is_a_brain_of_shares():
    tissues = load_template().tissues
    assert tissues.min() >= 0
    assert tissues.sum(0).max() <= 1.001
    litres = tissues.sum((1, 2, 3)) * 8 / 1e6
    assert litres.sum() == pytest.approx(1.9, abs=0.2)
    assert 0.1 < litres[FLUID] < litres[1]


def test_template_indices_invert_its_millimetres():
    template = load_template()
    corner = template.origin_mm + 2 * np.array([3, 4, 5])
    np.testing.assert_allclose(template.indices(corner), [3, 4, 5])


def test_template_samples_its_own_voxels_and_0_outside():
    template = load_template()
    points = template.origin_mm[:, None] + 2 * np.array([[50, 60, 45], [-40, 0, 0]]).T
    values = template.sample(template.tissues[1], points)
    assert values[0] == pytest.approx(template.tissues[1][50, 60, 45], abs=1e-5)
    assert values[1] == 0


def test_fields_have_the_shape_of_the_grid():
    anatomy = build_anatomy(GRID)
    assert anatomy.points_mm.shape == (3, *GRID.shape)
    assert all(field.shape == (3, *GRID.shape) for field in anatomy.pulls.values())
    assert all(field.shape == GRID.shape for field in anatomy.fluids.values())


def test_points_are_the_millimetres_of_the_affine():
    anatomy = build_anatomy(GRID)
    expected = GRID.affine @ [3, 7, 11, 1]
    np.testing.assert_allclose(anatomy.points_mm[:, 3, 7, 11], expected[:3], atol=1e-4)


def test_an_anatomy_is_built_once():
    assert build_anatomy(GRID) is build_anatomy(Grid((32, 40, 32), 5.0))


@pytest.mark.parametrize("spot", [HIPPOCAMPUS, AMYGDALA, FRONTAL, CEREBELLUM])
def test_a_spot_is_1_in_its_middle_and_the_same_on_both_sides(spot):
    middle = np.array(spot.centre_mm)
    assert weight_of(spot, middle) == pytest.approx(1)
    assert weight_of(spot, middle * [-1, 1, 1]) == pytest.approx(1)
    assert weight_of(spot, middle + np.array([0, 0, 4 * spot.width_mm])) < 0.01


def test_focal_waste_is_strongest_at_the_hippocampus():
    anatomy = build_anatomy(GRID)
    place = np.unravel_index(anatomy.fluids["focal"].argmax(), GRID.shape)
    x, y, z = anatomy.points_mm[(slice(None), *place)]
    assert np.linalg.norm(np.array([abs(x), y, z]) - HIPPOCAMPUS.centre_mm) < GRID.voxel_size_mm


def test_cortex_thins_at_the_surface_and_not_in_the_middle():
    anatomy = build_anatomy(GRID)
    distance = np.abs(anatomy.points_mm - np.array([20.0, -20.0, 25.0]).reshape(3, 1, 1, 1)).sum(0)
    deep = anatomy.fluids["cortex"].flat[distance.argmin()]
    assert deep < 0.5 * anatomy.fluids["cortex"].max()


@pytest.mark.parametrize("latent", ["ventricles", "cerebellum", "asymmetry"])
def test_pulls_are_some_millimetres_and_fold_nothing(latent):
    field = build_anatomy(GRID).pulls[latent]
    assert 0.3 < np.abs(field).max() < 2.5
    steps = max(np.abs(np.gradient(component, axis=axis)).max() for axis, component in enumerate(field))
    assert steps * 4 < GRID.voxel_size_mm * 1.5
