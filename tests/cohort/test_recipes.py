"""Laws of the whole table of recipes: steps that exist, contracts that are kept and broken one clause at a time, versions."""

import hashlib
import inspect
import json
from dataclasses import replace

import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from neurotransfer.cohort import Grid
from neurotransfer.cohort.mni import SPACE, average_brain
from neurotransfer.cohort.recipes import COARSEST_MM, FINEST_MM, GRIDS, NATIVE, RECIPES, Step, get_recipe
from neurotransfer.errors import ImageError, InputError
from neurotransfer.prepare.steps import GEOMETRIC, STEPS

EVERY = {**RECIPES, "template at 1 mm": get_recipe("template", 1.0)}
# of `facts()` of every recipe as it was released: numbers that models were trained on
GOLDEN = {
    "template": ("template-1", "8595d14e703245e7"),
    "template at 1 mm": ("template-1", "14160c665460430b"),
    "fastsurfer": ("fastsurfer-1", "b9d0f96949b671ac"),
    "freesurfer-fsl": ("freesurfer-fsl-1", "fae85b2885d2dbe4"),
    "sfcn-ukb": ("sfcn-ukb-1", "f02680e14051dcad"),
}


@pytest.fixture(params=EVERY)
def recipe(request):
    return EVERY[request.param]


def volume_of(recipe):
    """A volume that keeps the contract, and its affine."""
    contract = recipe.contract
    voxels = np.zeros(contract.shape, np.float32)
    low, high = contract.values
    voxels[40:50, 40:50, 40:50] = min(high, 7.0)
    voxels[0, 0, 0] = low
    turn = ornt_transform(io_orientation(np.eye(4)), axcodes2ornt(tuple(contract.orientation)))
    affine = inv_ornt_aff(turn, contract.shape) @ np.diag([contract.sides_mm[0]] * 3 + [1.0])
    if contract.corner_mm is not None:
        affine[:3, 3] = contract.corner_mm
    return voxels, affine


# --- steps


def test_every_recipe_has_a_golden_digest():
    assert set(GOLDEN) == set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_no_number_changes_without_a_new_version(name):
    facts = json.dumps(EVERY[name].facts(), sort_keys=True)
    identity, digest = GOLDEN[name]
    found = hashlib.sha256(facts.encode()).hexdigest()[:16]
    assert (EVERY[name].identity, found) == (identity, digest), (
        f"the facts of recipe {name!r} are not those of {identity} any more (digest {found}). Models were trained on the "
        f"volumes of {identity}: raise its `version` in cohort/recipes.py, then write the new identity and digest here"
    )


def test_every_step_exists_and_takes_its_parameters(recipe):
    for step in recipe.steps:
        assert step.name in STEPS
        signature = inspect.signature(STEPS[step.name])
        signature.bind("a scan", **step.parameters)
        # what is not said would not be in the sidecar
        assert set(signature.parameters) == {"scan", *step.parameters}


def test_every_step_is_used_by_a_recipe():
    assert {step.name for each in EVERY.values() for step in each.steps} == set(STEPS)
    assert set(GEOMETRIC) <= set(STEPS)


def test_steps_come_in_an_order_that_makes_sense(recipe):
    names = [step.name for step in recipe.steps]
    assert len(set(names)) == len(names)
    for first, then in (("brain", "bias_field"), ("brain", "register"), ("brain", "masked"), ("register", "white_to"),
                        ("register", "lay_on_grid"), ("register", "lay_on_mni152"), ("masked", "lay_on_grid"),
                        ("masked", "lay_on_mni152"), ("lay_on_mni152", "crop"), ("conform", "to_bytes"),
                        ("masked", "crop_around_brain")):  # fmt: skip
        if first in names and then in names:
            assert names.index(first) < names.index(then)
    # nothing is cut or moved before the skull is off
    assert "masked" in names
    assert all(names.index(name) >= names.index("masked") for name in GEOMETRIC if name in names)


def test_names_and_versions(recipe):
    assert type(recipe.version) is int
    assert recipe.version >= 1
    assert recipe.identity == f"{recipe.name}-{recipe.version}"
    assert RECIPES[recipe.name].name == recipe.name
    assert recipe.tool in ("", "FastSurfer", "FreeSurfer")
    assert recipe.what


def test_facts_can_be_written_and_read_again(recipe):
    facts = recipe.facts()
    assert json.loads(json.dumps(facts)) == json.loads(json.dumps(recipe.facts()))
    assert facts["Recipe"] == recipe.name
    assert facts["RecipeVersion"] == recipe.version
    assert facts["SpatialReference"] in (SPACE, NATIVE)
    assert [line["Step"] for line in facts["Steps"]] == [step.name for step in recipe.steps]
    assert all("Step" not in step.parameters for step in recipe.steps)


def test_facts_differ_between_recipes():
    facts = [json.dumps(each.facts(), sort_keys=True) for each in EVERY.values()]
    assert len(set(facts)) == len(facts)


@pytest.mark.parametrize("change", [{"version": 2}, {"name": "other"}, {"steps": (Step("masked"),)}])
def test_facts_tell_every_change_of_numbers(recipe, change):
    assert replace(recipe, **change).facts() != recipe.facts()


def test_a_recipe_cannot_be_changed(recipe):
    with pytest.raises(AttributeError):
        recipe.version = 7


# --- contracts


def test_a_volume_that_fits_is_accepted(recipe):
    voxels, affine = volume_of(recipe)
    assert recipe.contract.problems(voxels, affine) == []
    recipe.require(voxels, affine)


@pytest.mark.parametrize("axis", range(3))
def test_another_shape_is_refused(recipe, axis):
    voxels, affine = volume_of(recipe)
    cut = np.delete(voxels, 0, axis)
    with pytest.raises(ImageError, match=rf"contract of recipe {recipe.identity}: shape .*, wanted ") as error:
        recipe.require(cut, affine)
    assert "orientation" not in str(error.value)
    assert "values" not in str(error.value)


@pytest.mark.parametrize("axis", range(3))
def test_a_mirrored_volume_is_refused(recipe, axis):
    voxels, affine = volume_of(recipe)
    mirror = np.eye(4)
    mirror[axis, axis] = -1
    with pytest.raises(
        ImageError, match=rf"recipe {recipe.identity}: orientation ..., wanted {recipe.contract.orientation}$"
    ):
        recipe.require(voxels, mirror @ affine)


@pytest.mark.parametrize("factor", [0.9, 1.1])
@pytest.mark.parametrize("axis", range(3))
def test_voxels_of_another_size_are_refused(recipe, axis, factor):
    voxels, affine = volume_of(recipe)
    least, most = recipe.contract.sides_mm
    stretched = affine.copy()
    stretched[:3, axis] *= (least if factor < 1 else most) / least * factor
    with pytest.raises(
        ImageError, match=rf"recipe {recipe.identity}: voxels of \[.*\] mm, wanted {least:g} to {most:g}$"
    ):
        recipe.require(voxels, stretched)


def broken_values(recipe):
    low, high = recipe.contract.values
    voxels, _ = volume_of(recipe)
    below, above, constant, nothing = voxels.copy(), voxels.copy(), np.full_like(voxels, high), voxels.copy()
    below[5, 5, 5], above[5, 5, 5], nothing[5, 5, 5] = low - 0.01, high + 0.01, np.nan
    return {"below": below, "above": above, "constant": constant, "NaN": nothing, "zero": np.zeros_like(voxels)}


@pytest.mark.parametrize("how", ["below", "above", "constant", "NaN", "zero"])
def test_values_out_of_range_are_refused(recipe, how):
    low, high = recipe.contract.values
    _, affine = volume_of(recipe)
    with pytest.raises(
        ImageError, match=rf"recipe {recipe.identity}: values from .* to .*, wanted {low:g} to {high:g}$"
    ):
        recipe.require(broken_values(recipe)[how], affine)


def test_all_that_is_wrong_is_said_at_once(recipe):
    problems = recipe.contract.problems(np.zeros((4, 4, 4)), np.diag([9.0, 9, -9, 1]))
    assert [problem.split()[0] for problem in problems] == ["shape", "orientation", "voxels", "values"]


@pytest.mark.parametrize("side", [FINEST_MM, 0.8, 0.95, 1.0, COARSEST_MM])
def test_the_native_recipe_takes_a_range_of_voxels(side):
    recipe = RECIPES["fastsurfer"]
    voxels, affine = volume_of(recipe)
    recipe.require(voxels, affine @ np.diag([side / FINEST_MM] * 3 + [1]))


# --- published shapes


def test_the_published_crops_are_what_was_published():
    wanted = {"freesurfer-fsl": ((6, 2, 0), (173, 214, 160)), "sfcn-ukb": ((11, 13, 11), (171, 205, 171))}
    for name, (start, stop) in wanted.items():
        [crop] = [step for step in RECIPES[name].steps if step.name == "crop"]
        assert (crop.parameters["start"], crop.parameters["stop"]) == (start, stop)
        assert RECIPES[name].contract.shape == tuple(np.subtract(stop, start))


def test_shapes_that_are_said_twice_agree(recipe):
    for step in recipe.steps:
        if "shape" in step.parameters:
            assert tuple(step.parameters["shape"]) == recipe.contract.shape
        if "voxel_size_mm" in step.parameters:
            assert (step.parameters["voxel_size_mm"],) * 2 == recipe.contract.sides_mm
        if step.name in ("conform", "reorient") and recipe.contract.space == NATIVE:
            assert step.parameters["orientation"] == recipe.contract.orientation


@pytest.mark.parametrize("size", GRIDS)
def test_the_grids_of_the_template_are_one_field_of_view_that_holds_the_brain(size):
    shape = GRIDS[size]
    assert tuple(side * size for side in shape) == (160, 192, 160)
    average, grid = average_brain(2), Grid(shape, size)
    brain = np.argwhere(average.mask) @ average.affine[:3, :3].T + average.affine[:3, 3]
    places = (brain - grid.affine[:3, 3]) / size
    inside = ((places >= -0.5) & (places <= np.array(shape) - 0.5)).all(1)
    # but for the lowest two millimetres of the brainstem
    assert inside.mean() > 0.999
    assert brain[~inside][:, 2].max() < -68


def test_the_sizes_of_voxels_that_are_left_alone_agree():
    [conform] = [step for step in RECIPES["fastsurfer"].steps if step.name == "conform"]
    assert (conform.parameters["smallest_mm"], conform.parameters["largest_mm"]) == RECIPES[
        "fastsurfer"
    ].contract.sides_mm
    for size in (conform.parameters["else_mm"], conform.parameters["fine_mm"]):
        assert FINEST_MM <= size <= COARSEST_MM


# --- by name


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_found_by_its_name(name):
    assert get_recipe(name) is RECIPES[name]


@pytest.mark.parametrize("size", [1, 1.0, 2, 2.0])
def test_the_template_is_made_at_two_sizes(size):
    made = get_recipe("template", size)
    assert made.contract.sides_mm == (size, size)
    assert made == get_recipe("template", float(size))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("templat",), "unknown recipe 'templat'; allowed: .*did you mean 'template'"),
        (("template", 3), "made at 1 or 2 mm, got 3"),
        (("template", float("nan")), "made at 1 or 2 mm, got nan"),
        (("template", 0), "made at 1 or 2 mm, got 0"),
        (("sfcn-ukb", 1), "recipe 'sfcn-ukb' has its own voxel size"),
    ],
)
def test_what_there_is_not_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        get_recipe(*arguments)
