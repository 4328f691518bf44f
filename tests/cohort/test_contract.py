"""What keeps a contract passes, every single way of breaking it is told, and it comes back from plain values."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.cohort import Cohort, Grid, load_volume, store_volumes
from neurotransfer.cohort.contract import Contract, alignment_for, described, input_from_dict, input_to_dict
from neurotransfer.cohort.recipes import RECIPES, get_recipe
from neurotransfer.errors import ImageError, InputError

SMALL = Contract("MNI152", "LAS", (10, 12, 11), (2.0, 2.0), (0, 50), 25.0, (5.0, 30.0), (9.0, -10.0, -8.0), "sfcn-ukb")
EVERY = {name: recipe.contract for name, recipe in RECIPES.items()} | {
    "template at 1 mm": get_recipe("template", 1).contract,
    "small": SMALL,
}


def kept(seed=0):
    """Voxels and affine that keep the small contract."""
    voxels = np.random.default_rng(seed).uniform(5, 40, SMALL.shape).astype(np.float32)
    voxels[0], voxels[5, 5, 5] = 0, 30
    affine = np.diag([-2.0, 2, 2, 1])
    affine[:3, 3] = SMALL.corner_mm
    return voxels, affine


def saved(path, voxels, affine):
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def turned(voxels, affine, codes):
    found = nibabel.Nifti1Image(voxels, affine)
    wanted = nibabel.orientations.axcodes2ornt(codes)
    return found.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(affine), wanted))


# --- plain values


@pytest.mark.parametrize("name", EVERY)
def test_a_contract_comes_back_from_json(name):
    values = json.loads(json.dumps(input_to_dict(EVERY[name])))
    assert input_from_dict(values) == EVERY[name]


@given(st.tuples(*[st.integers(32, 300)] * 3), st.floats(0.1, 10))
def test_a_grid_comes_back_from_json(shape, size):
    assert input_from_dict(json.loads(json.dumps(input_to_dict(Grid(shape, size))))) == Grid(shape, size)


@pytest.mark.parametrize(
    ("key", "value"),
    [("shape", [3, 3]), ("shape", [0, 3, 3]), ("shape", [1.5, 3, 3]), ("sides_mm", [2, 1]), ("sides_mm", [0, 1]), ("values", [1, 2]),
     ("unit", 0), ("unit", float("nan")), ("space", 5), ("brightness", [3, 1]), ("corner_mm", [1, 2]), ("values", [0, float("inf")])],
)  # fmt: skip
def test_what_no_contract_can_be_is_refused(key, value):
    with pytest.raises(InputError, match="no input contract can be"):
        input_from_dict(input_to_dict(SMALL) | {key: value})


@pytest.mark.parametrize("values", [input_to_dict(SMALL) | {"tilt": 1}, input_to_dict(Grid()) | {"tilt": 1}])
def test_an_unknown_key_is_refused(values):
    with pytest.raises(InputError, match="unknown key of an input 'tilt'"):
        input_from_dict(values)


def test_the_side_of_a_voxel_is_one_where_several_are_allowed():
    assert (SMALL.voxel_size_mm, RECIPES["fastsurfer"].contract.voxel_size_mm) == (2.0, 1.0)


# --- volumes


def test_a_prepared_scan_is_left_as_it_is(tmp_path):
    voxels, affine = kept()
    volume = load_volume(saved(tmp_path / "a.nii.gz", voxels, affine), SMALL)
    np.testing.assert_array_equal(volume, np.minimum(voxels / np.float32(25), 1))
    assert volume.dtype == np.float32


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["RAS", "LPS", "PIR", "ASL", "SRP"]))
def test_axes_in_another_order_are_turned(tmp_path_factory, codes):
    voxels, affine = kept()
    path = tmp_path_factory.mktemp("turned") / "a.nii.gz"
    nibabel.save(turned(voxels, affine, codes), path)
    np.testing.assert_array_equal(load_volume(path, SMALL), np.minimum(voxels / np.float32(25), 1))


def test_a_mask_is_applied(tmp_path):
    voxels, affine = kept()
    mask = np.zeros(voxels.shape, np.uint8)
    mask[2:8, 2:8, 2:8] = 1
    made = load_volume(saved(tmp_path / "a.nii.gz", voxels, affine), SMALL, saved(tmp_path / "m.nii.gz", mask, affine))
    np.testing.assert_array_equal(made, np.where(mask, np.minimum(voxels / np.float32(25), 1), 0))


BROKEN = {
    "shape": (lambda v, a: (v[1:], a), r"shape \(9, 12, 11\), wanted \(10, 12, 11\)"),
    "voxels": (lambda v, a: (v, a @ np.diag([1.5, 1, 1, 1])), r"voxels of \[3.0, 2.0, 2.0\] mm, wanted 2 to 2"),
    "place": (lambda v, a: (v, np.eye(4) @ a + np.eye(4, k=3) * 3), "it lies 3 mm beside its place in MNI152"),
    "too bright": (lambda v, a: (v * 255, a), "values from 0 to 1.*, wanted 0 to 50"),
    "too dark": (lambda v, a: (v / 255, a), "a mean of 0.0.* above zero, wanted 5 to 30: its values have another scale"),
    "negative": (lambda v, a: (v - 3, a), "values from -3, wanted none below 0"),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_what_breaks_a_contract_is_said_with_the_command_that_mends_it(tmp_path, how):
    change, message = BROKEN[how]
    path = saved(tmp_path / "a.nii.gz", *change(*kept()))
    with pytest.raises(ImageError, match=message) as error:
        load_volume(path, SMALL)
    assert "neurotransfer prepare INPUT OUT --recipe sfcn-ukb" in str(error.value)
    assert "a.nii.gz" in str(error.value)


@pytest.mark.parametrize("made", RECIPES)
@pytest.mark.parametrize("known", RECIPES)
def test_no_recipe_passes_for_another(made, known):
    """Volumes as one recipe makes them, all zero but for a bright box at its usual brightness, are refused by every other."""
    own, other = RECIPES[made].contract, RECIPES[known].contract
    voxels = np.zeros(own.shape, np.float32)
    voxels[40:60, 40:60, 40:60] = np.mean(own.brightness)
    affine = np.diag([own.voxel_size_mm] * 3 + [1.0])
    if own.corner_mm is not None:
        affine[:3, 3] = own.corner_mm
    found = turned(voxels, affine, "RAS") if own.orientation == "RAS" else nibabel.Nifti1Image(voxels, affine)
    if own.orientation != "RAS":
        signs = np.array([-1 if code in "LPI" else 1 for code in own.orientation])
        axes = ["LR", "PA", "IS"]
        order = [next(k for k, pair in enumerate(axes) if code in pair) for code in own.orientation]
        affine[:3, :3] = 0
        affine[order, range(3)] = signs * own.voxel_size_mm
        found = nibabel.Nifti1Image(voxels, affine)
    head = found.as_reoriented(
        nibabel.orientations.ornt_transform(
            nibabel.io_orientation(found.affine), nibabel.orientations.axcodes2ornt(tuple(other.orientation))
        )
    )
    values = np.asarray(head.dataobj)
    refused = other.problems(values, head.affine) or other.problem_of_scale(values)
    assert bool(refused) == (made != known)


def test_a_store_keeps_prepared_scans_and_knows_its_contract(tmp_path):
    voxels, affine = kept()
    path = saved(tmp_path / "a.nii.gz", voxels, affine)
    rows = {"participant_id": ["a"], "session_id": [""], "image": [str(path)], "mask": [""]}
    cohort = Cohort("toy", pd.DataFrame(rows))
    store = store_volumes(tmp_path / "store", cohort, SMALL)
    assert store.contents.grid == SMALL
    np.testing.assert_allclose(store[0], load_volume(path, SMALL), atol=1 / 65535)
    store.require(cohort, SMALL)
    with pytest.raises(InputError, match="as recipe 'sfcn-ukb' makes them"):
        store.require(cohort, replace(SMALL, unit=26.0))
    with pytest.raises(InputError, match="recipe 'as-prepared-1', this version makes 'grid-1'"):
        store.require(cohort, Grid((32, 32, 32), 2.0))


def test_whole_numbers_up_to_255_come_back_exactly(tmp_path):
    contract = replace(SMALL, values=(0, 255), unit=255.0, brightness=None)
    voxels, affine = kept()
    voxels = np.random.default_rng(1).integers(0, 256, SMALL.shape).astype(np.uint8)
    path = saved(tmp_path / "a.nii.gz", voxels, affine)
    table = pd.DataFrame({"participant_id": ["a"], "session_id": [""], "image": [str(path)], "mask": [""]})
    store = store_volumes(tmp_path / "store", Cohort("toy", table), contract)
    np.testing.assert_allclose(store[0] * np.float32(255), voxels, atol=2e-5)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("said", ["world", "centre"])
def test_native_volumes_of_a_recipe_need_no_word_on_where_they_lie(name, said):
    assert alignment_for(EVERY[name], said) == ("centre" if EVERY[name].space == "native" else said)
    assert alignment_for(None, said) == alignment_for(Grid(), said) == said


def test_inputs_are_described():
    assert described(None) == "columns of a table"
    assert described(Grid((40, 48, 32), 2.5)) == "volumes of 40 x 48 x 32 voxels of 2.5 mm"
    assert described(SMALL) == "volumes as recipe 'sfcn-ukb' leaves them, 10 x 12 x 11 voxels"


@pytest.mark.parametrize("values", [{}, {"shape": [32, 32, 32]}, {"voxel_size_mm": 4.0}])
def test_half_a_grid_is_refused(values):
    with pytest.raises(InputError, match="a grid has shape and voxel_size_mm"):
        input_from_dict(values)
