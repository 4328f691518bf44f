"""Every recipe on a phantom keeps its contract; every step does what it says, once, and says what it did."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.processing import resample_from_to
from prepare_phantoms import ORIENTATIONS, head, known_affine, line_of, simple
from scipy import ndimage

from neurotransfer.cohort import Grid
from neurotransfer.cohort.mni import overlap_of
from neurotransfer.cohort.orientation import orientation_of
from neurotransfer.cohort.recipes import FINEST_MM, RECIPES, get_recipe
from neurotransfer.errors import ImageError
from neurotransfer.prepare import steps
from neurotransfer.prepare.registration import AFFINE, RIGID, Registration
from neurotransfer.prepare.scan import Scan
from neurotransfer.prepare.steps import FSL_ORIGIN_MM, FSL_SHAPE, STEPS

EVERY = {**RECIPES, "template at 1 mm": get_recipe("template", 1.0)}
CONFORM = next(step for step in RECIPES["fastsurfer"].steps if step.name == "conform").parameters
FSL_AFFINE = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def phantom():
    return head(known_affine((6, -4, 8), (1.02, 0.97, 1.0), (4, 9, -6)), (2.0, 2.2, 1.8), skull=True, air=0.01)


@pytest.fixture
def known_place(monkeypatch, phantom):
    """Registration and the bias field cost seconds and have tests of their own: here the true place is known."""
    truth = Registration(phantom.to_template, 1.5, 0.99)
    monkeypatch.setattr(steps, "register", lambda *_: truth)
    monkeypatch.setattr(steps, "without_bias_field", lambda voxels, *_: (voxels, 1.0))


@pytest.fixture
def forbidden(monkeypatch):
    """Whatever costs is an error."""

    def never(*_):
        raise AssertionError("this was not to be done again")

    for name in ("register", "without_bias_field", "find_brain"):
        monkeypatch.setattr(steps, name, never)


def follow(scan, recipe):
    for step in recipe.steps:
        scan = STEPS[step.name](scan, **step.parameters)
    return scan


# --- whole recipes


@pytest.mark.parametrize("name", EVERY)
def test_what_a_recipe_makes_keeps_its_contract(known_place, phantom, name):
    recipe = EVERY[name]
    made = follow(phantom.scan(), recipe)
    assert recipe.contract.problems(made.voxels, made.affine) == []
    assert made.voxels.dtype == np.float32
    assert made.brain.shape == made.voxels.shape
    assert [line["Step"] for line in made.log] == [step.name for step in recipe.steps]
    # nothing but what interpolation takes over the edge
    assert not made.voxels[~ndimage.binary_dilation(made.brain, np.ones((3, 3, 3)), iterations=2)].any()
    if recipe.contract.space != "native":
        assert overlap_of(made.brain, made.affine) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_does_not_depend_on_the_order_of_voxels(known_place, phantom, name):
    recipe = RECIPES[name]
    one, other = (follow(each.scan(), recipe) for each in (phantom, phantom.reoriented("PIR")))
    np.testing.assert_allclose(other.affine, one.affine, atol=1e-6)
    top = recipe.contract.values[1] if recipe.contract.values[1] < 100 else one.voxels.max()
    # a value that is rounded to a byte may fall to the other side
    np.testing.assert_allclose(other.voxels, one.voxels, atol=1e-3 * top if name != "fastsurfer" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_scan_is_not_changed_by_what_is_made_of_it(known_place, phantom, name):
    scan = phantom.scan()
    voxels, brain, affine = scan.voxels.copy(), scan.brain.copy(), scan.affine.copy()
    follow(scan, RECIPES[name])
    np.testing.assert_array_equal(scan.voxels, voxels)
    np.testing.assert_array_equal(scan.brain, brain)
    np.testing.assert_array_equal(scan.affine, affine)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_with_all_its_steps_keeps_its_contract(name):
    phantom = head(known_affine((10, 5, -8), 1.05, (4, 9, -6)), 2.0, bias=0.4)
    made = follow(phantom.scan(), RECIPES[name])
    RECIPES[name].require(made.voxels, made.affine)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_nothing_costly_is_done_to_what_is_declared(forbidden, name):
    phantom = head(sides_mm=2.0)
    declared = ("stripped", "unbiased", "registered")
    recipe = RECIPES[name]
    made = follow(phantom.scan(*declared, brain=False), recipe)
    recipe.require(made.voxels, made.affine)
    for line in made.log:
        if line["Step"] in ("brain", "bias_field", "register"):
            assert not line["Done"]
            assert line["Why"]


# --- done already


@pytest.mark.parametrize(
    ("step", "parameters", "declared"),
    [
        ("bias_field", {"shrink_to_mm": 4.0}, "unbiased"),
        ("conform", CONFORM, "conformed"),
        ("white_to", {"level": 110.0}, "normalised"),
        ("to_bytes", {"percentile": 99.9}, "normalised"),
    ],
)
def test_what_was_done_is_not_done_again(step, parameters, declared):
    scan = simple(properties=frozenset({declared}))
    after = STEPS[step](scan, **parameters)
    assert after.voxels is scan.voxels
    assert after.affine is scan.affine
    assert (after.log[-1]["Step"], after.log[-1]["Done"]) == (step, False)


@pytest.mark.parametrize("step", ["conform", "to_bytes"])
def test_a_step_that_was_done_is_not_done_twice(step):
    parameters = next(each for each in RECIPES["fastsurfer"].steps if each.name == step).parameters
    once = STEPS[step](simple(sides_mm=(2.0, 3.0, 2.5)), **parameters)
    twice = STEPS[step](once, **parameters)
    assert twice.voxels is once.voxels
    assert [line["Done"] for line in twice.log] == [True, False]


def test_a_brain_that_came_along_is_taken(forbidden, phantom):
    scan = phantom.scan()
    assert steps.brain(scan, 0.5).brain is scan.brain
    assert "came with the scan" in line_of(steps.brain(scan, 0.5), "brain")["Why"]


def test_a_head_that_is_declared_stripped_is_its_own_mask(forbidden):
    phantom = head(sides_mm=3.0)
    found = steps.brain(phantom.scan("stripped", brain=False), 0.5)
    assert (found.brain & phantom.brain).sum() > 0.99 * phantom.brain.sum()
    assert not line_of(found, "brain")["Done"]


@pytest.mark.parametrize(("skull", "stripped"), [(True, False), (False, True)])
def test_a_head_without_skull_is_recognised(monkeypatch, skull, stripped):
    phantom = head(sides_mm=3.0, skull=skull)
    monkeypatch.setattr(steps, "find_brain", lambda *_: phantom.brain)
    found = steps.brain(phantom.scan(brain=False), 0.5)
    assert ("stripped" in found.properties) == stripped
    assert line_of(found, "brain")["Done"] != stripped


def test_a_head_that_only_seems_stripped_is_not_taken_for_it(monkeypatch):
    phantom = head(sides_mm=3.0)
    other = np.roll(phantom.brain, 20, axis=1)
    monkeypatch.setattr(steps, "find_brain", lambda *_: other)
    found = steps.brain(phantom.scan(brain=False), 0.5)
    assert "stripped" not in found.properties
    assert found.brain is other


@pytest.mark.parametrize("side_mm", [0.5, 20.0])
def test_a_brain_of_another_size_is_refused(side_mm):
    with pytest.raises(ImageError, match=r"litres \(allowed: 0.3 to 3.0\)"):
        steps.brain(simple(sides_mm=(side_mm,) * 3), 0.5)


# --- registration


@pytest.mark.parametrize("degrees_of_freedom", [RIGID, AFFINE])
def test_a_declared_registration_that_is_true_is_believed(forbidden, degrees_of_freedom):
    found = steps.register_to_template(head(sides_mm=3.0).scan("registered"), degrees_of_freedom)
    np.testing.assert_array_equal(found.to_template, np.eye(4))
    # the size of a head is told by an affine transform only
    assert ("aligned" in found.properties) == (degrees_of_freedom == AFFINE)


@pytest.mark.parametrize(
    "place", [known_affine(shift_mm=(40, 0, 0)), known_affine((0, 0, 0), 0.7), known_affine((90, 0, 0))]
)
def test_a_declared_registration_that_is_false_is_refused(forbidden, place):
    with pytest.raises(
        ImageError, match=r"overlaps that of MNI152 by 0\.\d+ only \(allowed: 0.75 or more\); do not declare"
    ):
        steps.register_to_template(head(place, 3.0).scan("registered"), AFFINE)


@pytest.mark.parametrize(("shift_mm", "stays"), [(1.5, True), (2.5, False)])
def test_a_scan_that_lies_there_already_stays_where_it_is(monkeypatch, shift_mm, stays):
    monkeypatch.setattr(steps, "register", lambda *_: Registration(known_affine(shift_mm=(0, shift_mm, 0)), 1.0, 0.95))
    found = steps.register_to_template(head(sides_mm=4.0).scan(), AFFINE)
    assert np.array_equal(found.to_template, np.eye(4)) == stays
    assert line_of(found, "register")["Done"] != stays


def test_turned_axes_are_told(monkeypatch):
    place = known_affine((90, 0, 0))
    monkeypatch.setattr(steps, "register", lambda *_: Registration(place, 1.0, 0.95, 89.9999))
    line = line_of(steps.register_to_template(head(sides_mm=4.0).scan(), AFFINE), "register")
    assert line["AxesTurnedByDegrees"] == 90
    assert line["DegreesOfFreedom"] == AFFINE


# --- grids


def test_the_grid_of_fsl_is_that_of_its_template():
    np.testing.assert_array_equal(np.array(FSL_ORIGIN_MM), FSL_AFFINE[:3, 3])
    assert FSL_SHAPE == (182, 218, 182)
    laid = steps.lay_on_mni152(replace(simple(), to_template=np.eye(4)))
    np.testing.assert_array_equal(laid.affine, FSL_AFFINE)
    assert laid.voxels.shape == FSL_SHAPE


def agree_by_nibabel(scan, laid):
    """Where nibabel, whose borders are others, puts the same voxels."""
    image = nibabel.Nifti1Image(scan.voxels, scan.to_template @ scan.affine)
    wanted = resample_from_to(image, (laid.voxels.shape, laid.affine), order=1).get_fdata()
    inner = resample_from_to(
        nibabel.Nifti1Image(np.ones_like(scan.voxels), image.affine), (laid.voxels.shape, laid.affine), order=1
    ).get_fdata()
    sure = inner > 0.999
    assert sure.sum() > 1000
    np.testing.assert_allclose(laid.voxels[sure], wanted[sure], atol=2e-3 * scan.voxels.max())


@pytest.mark.parametrize("codes", ["RAS", "PIL"])
def test_laying_on_a_grid_is_linear_interpolation(codes):
    place = known_affine((10, 20, -15), 0.9, (5, -6, 7))
    scan = replace(simple(codes=codes), to_template=place)
    agree_by_nibabel(scan, steps.lay_on_mni152(scan))
    agree_by_nibabel(scan, steps.lay_on_grid(scan, (60, 64, 60), 2.5))


def test_a_grid_of_ours_lies_where_the_model_has_it():
    laid = steps.lay_on_grid(replace(simple(), to_template=np.eye(4)), (80, 96, 80), 2.0)
    np.testing.assert_array_equal(laid.affine, Grid((80, 96, 80), 2.0).affine)
    assert "registered" in laid.properties


@pytest.mark.parametrize(
    ("name", "cut"), [("freesurfer-fsl", np.s_[6:173, 2:214, 0:160]), ("sfcn-ukb", np.s_[11:171, 13:205, 11:171])]
)
def test_the_published_crops_are_slices_of_an_array(name, cut):
    laid = steps.lay_on_mni152(replace(simple(), to_template=np.eye(4)))
    parameters = next(step for step in RECIPES[name].steps if step.name == "crop").parameters
    cropped = steps.crop(laid, **parameters)
    np.testing.assert_array_equal(cropped.voxels, laid.voxels[cut])
    np.testing.assert_array_equal(cropped.brain, laid.brain[cut])
    first = [each.start for each in cut]
    np.testing.assert_allclose(cropped.affine @ [0, 0, 0, 1], laid.affine @ [*first, 1])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 30), st.tuples(*[st.integers(4, 40)] * 3), st.tuples(*[st.integers(2, 20)] * 3))
def test_the_window_around_the_brain_is_that_of_an_independent_rule(seed, shape, half):
    generator = np.random.default_rng(seed)
    voxels, size = np.zeros(shape, np.float32), tuple(2 * each for each in half)
    low = [int(generator.integers(0, side)) for side in shape]
    high = [
        int(generator.integers(first, min(side, first + wide)))
        for first, side, wide in zip(low, shape, size, strict=True)
    ]
    for corner in (low, high):
        voxels[tuple(corner)] = 7
    # a mask that is wider than what is bright does not move the window
    made = steps.crop_around_brain(Scan(voxels, np.eye(4), np.ones(shape, bool)), size)
    for axis, (side, wide) in enumerate(zip(shape, size, strict=True)):
        first = int(round((low[axis] + high[axis]) / 2) - wide / 2)
        # one voxel on where a brain as long as the window would lose its last one
        first += high[axis] - low[axis] + 1 == wide and first < low[axis]
        first = max(0, min(first, side - wide)) if side >= wide else -((wide - side + 1) // 2)
        assert made.log[-1]["Start"][axis] == first
        assert made.affine[axis, 3] == first
    assert made.voxels.shape == size
    assert made.voxels.sum() == voxels.sum()


def test_a_brain_that_is_longer_than_the_window_is_cut_at_both_ends_and_told():
    """As the models' authors cut heads of 0.7 mm."""
    scan = simple((60, 24, 22))
    whole = steps.crop_around_brain(scan, (52, 40, 40))
    assert whole.voxels.shape == (52, 40, 40)
    assert "CutMillimetres" not in whole.log[-1]
    cut = steps.crop_around_brain(scan, (48, 40, 40))
    assert cut.log[-1]["CutMillimetres"] == 4 * 4
    np.testing.assert_array_equal(cut.voxels, whole.voxels[2:-2])


def test_a_brain_that_is_much_longer_than_the_window_is_refused():
    with pytest.raises(ImageError, match=r"brain is 52 voxels long, the window 40; .* voxels of 4 x 4 x 4 mm right"):
        steps.crop_around_brain(simple((60, 24, 22)), (40, 40, 40))


# --- conform


@pytest.mark.parametrize("side", [FINEST_MM, 0.8, 1.0, 1.03])
def test_isotropic_voxels_in_range_are_left_alone(side):
    scan = simple(sides_mm=(side,) * 3)
    made = steps.conform(scan, **CONFORM)
    assert sorted(made.voxels.ravel()) == sorted(scan.voxels.ravel())
    assert orientation_of(made.affine) == "LIA"
    np.testing.assert_allclose(made.sides_mm, side)
    line = line_of(made, "conform")
    assert (line["Resampled"], line["VoxelSize"]) == (False, side)
    assert len(made.log) == 1


@pytest.mark.parametrize(
    ("sides", "wanted"),
    [((0.5, 0.5, 0.5), 1.0), ((1.1, 1.1, 1.1), 1.0), ((2.0, 2.0, 2.0), 1.0), ((1.0, 1.0, 1.2), 1.0), ((0.8, 0.8, 1.2), 0.8),
     ((0.94, 1.0, 1.0), 0.94), ((0.96, 1.0, 1.0), 1.0), ((0.5, 1.0, 1.0), 1.0)],
)  # fmt: skip
@pytest.mark.parametrize("codes", ["RAS", "PSL"])
def test_other_voxels_become_isotropic(sides, wanted, codes):
    scan = simple((40, 36, 44), sides_mm=sides, codes=codes)
    made = steps.conform(scan, **CONFORM)
    np.testing.assert_allclose(made.sides_mm, wanted)
    assert orientation_of(made.affine) == "LIA"
    assert made.brain.shape == made.voxels.shape
    before, after = (np.array(each.voxels.shape) * each.sides_mm for each in (steps.reorient(scan, "LIA"), made))
    assert np.abs(before - after).max() <= wanted / 2 + 1e-6
    # the first outer corner stays where it was
    corners = [each.affine @ [-0.5, -0.5, -0.5, 1] for each in (steps.reorient(scan, "LIA"), made)]
    np.testing.assert_allclose(*corners, atol=1e-9)
    agree_by_nibabel(replace(scan, to_template=np.eye(4)), made) if min(sides) >= wanted else None


# --- voxels that stay


def test_masked_is_zero_outside_and_the_same_inside(phantom):
    made = steps.masked(phantom.scan())
    np.testing.assert_array_equal(made.voxels[phantom.brain], phantom.voxels[phantom.brain])
    assert not made.voxels[~phantom.brain].any()
    assert "stripped" in made.properties


@pytest.mark.parametrize("codes", ORIENTATIONS[::5])
def test_turning_there_and_back_changes_nothing(codes):
    scan = simple()
    back = steps.reorient(steps.reorient(scan, codes), "RAS")
    np.testing.assert_array_equal(back.voxels, scan.voxels)
    np.testing.assert_array_equal(back.brain, scan.brain)
    np.testing.assert_allclose(back.affine, scan.affine, atol=1e-12)
    assert [(line["From"], line["To"]) for line in back.log] == [("RAS", codes), (codes, "RAS")]


# --- nothing is left


@pytest.mark.parametrize(
    ("step", "parameters"),
    [
        ("scale", {"percentile": 99.9}),
        ("divide_by_mean", {}),
        ("to_bytes", {"percentile": 99.9}),
        ("crop_around_brain", {"shape": (30, 30, 30)}),
    ],
)
def test_a_dark_volume_is_refused_in_words(step, parameters):
    scan = simple()
    with pytest.raises(ImageError, match="is brighter than zero; is the mask right, and does the scan lie where"):
        STEPS[step](replace(scan, voxels=np.zeros_like(scan.voxels)), **parameters)
