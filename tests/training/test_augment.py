"""Augmentation: drawn apart from the volumes, applied exactly as drawn, and nothing but what was asked for."""

import dataclasses
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from neurotransfer.errors import InputError
from neurotransfer.models.network import Network, seeded
from neurotransfer.models.sfcn import SFCN
from neurotransfer.targets import Target
from neurotransfer.training import Examples, Recipe, fit
from neurotransfer.training.augment import COARSE, PRESETS, Augmentation, apply, preset, sample

# three different sides: axes that are mistaken for each other show
SHAPE = (24, 28, 20)
STANDARD = PRESETS["standard"]
PARTS = ("flip", "shift", "affine", "elastic", "blur", "gamma", "gain", "bias", "noise", "slices")
ALWAYS = {name: dataclasses.replace(each, probability=1.0) for name, each in PRESETS.items() if each is not None}


def heads(n=2, seed=0, shape=SHAPE, highest=0.8):
    """Smooth volumes (n, 1, x, y, z) on a background of exactly 0, as the cohort gives them."""
    generator = np.random.default_rng(seed)
    smooth = np.stack([ndimage.gaussian_filter(generator.normal(size=shape), 1.5) for _ in range(n)])
    places = np.meshgrid(*[np.linspace(-1, 1, side) for side in shape], indexing="ij")
    inside = sum(place**2 for place in places) < 0.6
    scaled = (smooth - smooth.min()) / np.ptp(smooth) * (highest - 0.1) + 0.1
    return torch.from_numpy((scaled * inside)[:, None]).float()


def nothing(n=2, **changed):
    """Parameters that change nothing but what is given here."""
    return dataclasses.replace(sample(Augmentation(), n, SHAPE, np.random.default_rng(0)), **changed)


def drawn(augmentation, n=2, seed=0, shape=SHAPE):
    return sample(augmentation, n, shape, np.random.default_rng(seed))


def centre(volume):
    return np.array(ndimage.center_of_mass(np.asarray(volume, float)))


def blob(off_centre, spread=2.0, shape=(40, 44, 36)):
    places = np.meshgrid(*[np.arange(side) - (side - 1) / 2 for side in shape], indexing="ij")
    square = sum((place - off) ** 2 for place, off in zip(places, off_centre, strict=True))
    return torch.from_numpy(np.exp(-square / (2 * spread**2))).float()[None, None]


# what is drawn


def test_sampling_is_its_generator_and_nothing_else():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = drawn(STANDARD, 8), drawn(STANDARD, 8), drawn(STANDARD, 8, seed=1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    for field in dataclasses.fields(first):
        values = getattr(first, field.name)
        assert isinstance(values, np.ndarray)
        assert len(values) == 8
        assert np.array_equal(values, getattr(again, field.name))
    assert not np.array_equal(first.seeds, other.seeds)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Augmentation)[:-1]])
def test_what_is_drawn_of_one_part_does_not_depend_on_the_others(name):
    """A study that switches one part off compares with the same shifts, flips and seeds in all the rest."""
    whole, less = ALWAYS["standard"], dataclasses.replace(ALWAYS["standard"], **{name: 0.0})
    touched = {"rotation": "affine", "scale": "affine", "shear": "affine"}.get(name, name)
    for part in (*PARTS, "seeds"):
        same = np.array_equal(getattr(drawn(whole, 6), part), getattr(drawn(less, 6), part))
        assert same == (part != touched), part


def test_strengths_are_even_between_nothing_and_the_most():
    found, most = drawn(ALWAYS["standard"], 4000), ALWAYS["standard"]
    assert found.shift.min() == -most.shift
    assert found.shift.max() == most.shift
    assert found.shift.dtype.kind == "i"
    for values, highest in (
        (np.log(found.gamma), most.gamma), (found.gain - 1, most.gain), (found.bias, most.bias),
    ):  # fmt: skip
        assert np.abs(values).max() <= highest
        assert np.mean(values) == pytest.approx(0, abs=0.05 * highest)
        assert np.std(values) == pytest.approx(highest / 3**0.5, rel=0.05)
    for values, highest in ((found.noise, most.noise), (found.blur, most.blur)):
        assert values.min() >= 0
        assert np.mean(values) == pytest.approx(highest / 2, rel=0.05)


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_every_part_happens_as_often_as_asked_and_on_its_own(probability):
    n = 4000
    found = drawn(dataclasses.replace(STANDARD, flip=probability, probability=probability), n)
    happens = {
        "flip": found.flip, "affine": found.affine.any((1, 2)), "elastic": found.elastic.any((1, 2, 3, 4)),
        "gamma": found.gamma != 1, "gain": found.gain != 1, "bias": found.bias.any(1),
        "noise": found.noise > 0, "blur": found.blur > 0,
    }  # fmt: skip
    for name, which in happens.items():
        assert which.mean() == pytest.approx(probability, abs=0.03), name
    # one interpolation moves voxels, so its two parts come together; all else is independent
    assert np.array_equal(happens["affine"], happens["elastic"])
    assert np.mean(happens["noise"] & happens["blur"]) == pytest.approx(probability**2, abs=0.03)


def test_an_affine_turns_about_x_then_y_then_z_after_scaling_and_shearing():
    most = Augmentation(rotation=20, scale=0.1, shear=0.1, probability=1)
    affine = drawn(most, 2000).affine + np.eye(3)
    turned, upright = np.linalg.qr(affine)
    signs = np.sign(np.diagonal(upright, axis1=1, axis2=2))
    turned, upright = turned * signs[:, None], signs[:, :, None] * upright
    angles = Rotation.from_matrix(turned).as_euler("xyz", degrees=True)
    scale = np.diagonal(upright, axis1=1, axis2=2)
    shear = (upright / scale[:, None])[:, [0, 0, 1], [1, 2, 2]]
    # in any other order some of them would lie outside what was asked for
    for found, highest in ((angles, 20), (scale - 1, 0.1), (shear, 0.1)):
        assert np.abs(found).max() <= highest + 1e-9
        assert np.allclose(found.std(0), highest / 3**0.5, rtol=0.1)
        assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.1


def test_scale_and_shear_are_where_they_belong():
    scaled = drawn(Augmentation(scale=0.1, probability=1), 20).affine
    assert np.array_equal(scaled, scaled * np.eye(3))
    assert 0.05 < np.abs(scaled).max() <= 0.1
    sheared = drawn(Augmentation(shear=0.1, probability=1), 20).affine
    assert np.array_equal(sheared, np.triu(sheared, 1))
    assert 0.05 < np.abs(sheared).max() <= 0.1


def test_lost_slices_are_a_block_inside_and_their_share_is_as_asked():
    found = drawn(Augmentation(slices=0.2, probability=1), 3000).slices
    sides = np.array(SHAPE)[found[:, 0]]
    share = (found[:, 2] - found[:, 1]) / sides
    assert np.bincount(found[:, 0]).min() > 900
    assert (found[:, 1] >= 0).all()
    assert (found[:, 2] <= sides).all()
    assert share.max() <= 0.2 + 0.5 / min(SHAPE)
    assert share.mean() == pytest.approx(0.1, abs=0.01)


# what changes nothing, and what is kept


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64])
def test_without_strength_every_bit_stays_and_the_volumes_are_copied(kind):
    volumes = heads().to(kind)
    changed = apply(volumes, drawn(Augmentation(probability=1)))
    assert torch.equal(changed, volumes)
    changed.zero_()
    assert volumes.max() > 0


@pytest.mark.parametrize("name", ALWAYS)
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64])
def test_shape_type_and_range_are_kept_and_the_volumes_left_alone(name, kind):
    volumes = heads(3, highest=1.0).to(kind)
    kept = volumes.clone()
    changed = apply(volumes, drawn(ALWAYS[name], 3))
    assert (changed.shape, changed.dtype, changed.device) == (volumes.shape, kind, volumes.device)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(volumes, kept)
    assert not torch.equal(changed, volumes)


def test_half_the_bits_give_nearly_the_same_volumes():
    volumes, parameters = heads(), drawn(dataclasses.replace(ALWAYS["standard"], noise=0))
    exact, coarse = apply(volumes, parameters), apply(volumes.bfloat16(), parameters)
    assert (coarse.float() - exact).abs().max() < 0.03


@pytest.mark.parametrize("name", ALWAYS)
def test_the_same_parameters_give_the_same_volumes(name):
    volumes, parameters = heads(), drawn(ALWAYS[name])
    torch.manual_seed(1)
    first = apply(volumes, parameters)
    torch.manual_seed(2)
    assert torch.equal(first, apply(volumes, parameters))


@given(seed=st.integers(0, 2**32), name=st.sampled_from([*ALWAYS, "sometimes"]))
@settings(max_examples=20)
def test_a_volume_of_a_batch_is_what_it_is_alone(seed, name):
    volumes = heads(4, seed)
    parameters = drawn({**ALWAYS, "sometimes": STANDARD}[name], 4, seed)
    whole = apply(volumes, parameters)
    for row in range(4):
        alone = apply(volumes[[row]], parameters.of(np.array([row])))
        assert torch.allclose(whole[[row]], alone, atol=1e-6)


def test_nothing_happens_to_the_volumes_that_a_part_passes_by():
    volumes = heads(6)
    parameters = drawn(STANDARD, 6)
    untouched = np.ones(6, bool)
    for name in PARTS[:-1]:
        untouched &= getattr(parameters, name).reshape(6, -1).max(1) == (1 if name in ("gamma", "gain") else 0)
    shift = nothing(6, noise=np.array([0, 0, 0.1, 0, 0, 0]), seeds=parameters.seeds)
    changed = apply(volumes, shift)
    assert [bool(torch.equal(one, other)) for one, other in zip(changed, volumes, strict=True)] == [
        True, True, False, True, True, True,
    ]  # fmt: skip


def test_parts_come_in_the_order_that_is_documented():
    """Flip, shift, interpolation, blur, gamma, gain and bias, noise, slices: one after the other is all at once."""
    whole = drawn(dataclasses.replace(ALWAYS["standard"], flip=1, slices=0.5), 3)
    # no intensity is clipped on the way
    whole = dataclasses.replace(whole, gain=np.full(3, 0.9), noise=np.full(3, 0.01), bias=whole.bias / 4)
    steps = (
        ("flip",), ("shift",), ("affine", "elastic"), ("blur",), ("gamma",), ("gain", "bias"),
        ("noise", "seeds"), ("slices",),
    )  # fmt: skip
    volumes = heads(3)
    one_by_one = volumes
    for step in steps:
        one_by_one = apply(one_by_one, nothing(3, **{name: getattr(whole, name) for name in step}))
    assert torch.allclose(apply(volumes, whole), one_by_one, atol=1e-6)


# where voxels go


def test_a_mirror_image_is_left_for_right_and_twice_is_none():
    volumes, parameters = heads(), nothing(flip=np.array([True, False]))
    changed = apply(volumes, parameters)
    assert np.array_equal(changed[0, 0], volumes[0, 0].numpy()[::-1])
    assert torch.equal(changed[1], volumes[1])
    assert torch.equal(apply(changed, parameters), volumes)


@given(steps=st.tuples(*[st.integers(-32, 32)] * 3))
def test_a_shift_is_exact_and_what_comes_in_is_0(steps):
    volumes = heads(1)
    found = apply(volumes, nothing(1, shift=np.array([steps])))[0, 0].numpy()
    assert np.array_equal(found, ndimage.shift(volumes[0, 0].numpy(), steps, order=0, cval=0))


def matrix_of(axis, degrees):
    angle = np.deg2rad(degrees)
    turned = np.eye(3)
    one, other = [place for place in range(3) if place != axis]
    turned[[one, other], [one, other]] = np.cos(angle)
    turned[one, other], turned[other, one] = -np.sin(angle), np.sin(angle)
    return turned


MATRICES = {
    **{f"turned about {axis}": matrix_of(number, 8) for number, axis in enumerate("xyz")},
    **{f"scaled along {axis}": np.diag(1 + 0.1 * np.eye(3)[number]) for number, axis in enumerate("xyz")},
    "scaled": np.eye(3) * 1.1,
    "smaller": np.eye(3) * 0.9,
    "all": matrix_of(0, 8) @ matrix_of(1, -5) @ matrix_of(2, 3) @ np.array([[1, 0.1, 0], [0, 1.1, 0.05], [0, 0, 0.9]]),
}


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_an_affine_is_that_of_scipy(matrix):
    volumes = heads()
    changed = apply(volumes, nothing(affine=np.stack([matrix, np.eye(3)]) - np.eye(3)))
    middle = (np.array(SHAPE) - 1) / 2
    expected = ndimage.affine_transform(
        volumes[0, 0].numpy(), matrix, middle - matrix @ middle, order=1, mode="grid-constant"
    )
    assert np.allclose(changed[0, 0], expected, atol=1e-4)
    assert torch.equal(changed[1], volumes[1])


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_a_blob_goes_where_the_affine_says(matrix):
    off_centre = np.array([5.0, -6.0, 4.0])
    before = blob(off_centre)
    after = apply(before, nothing(1, affine=(matrix - np.eye(3))[None]))
    middle = (np.array(before.shape[2:]) - 1) / 2
    # a voxel of the result comes from matrix times its place, so that what is there goes the other way
    assert np.abs(centre(after[0, 0]) - middle - np.linalg.solve(matrix, off_centre)).max() < 0.25


@pytest.mark.parametrize(("axis", "turns_to"), [(0, (0, 0, 1)), (1, (0, 0, 1)), (2, (0, 1, 0))])
def test_a_drawn_rotation_of_a_blob_is_of_the_angle(axis, turns_to):
    """About x, y moves to z; about y, x moves to z; about z, x moves to y; nothing moves along the axis itself."""
    start = np.eye(3)[1 if axis == 0 else 0] * 8
    after = apply(blob(start), nothing(1, affine=(matrix_of(axis, 10) - np.eye(3))[None]))
    moved = centre(after[0, 0]) - (np.array(after.shape[2:]) - 1) / 2
    assert abs(moved[axis]) < 0.05
    assert np.degrees(np.arctan2(abs(moved @ turns_to), moved @ start / 8)) == pytest.approx(10, abs=0.5)


def test_an_elastic_displacement_is_that_of_scipy():
    volumes = heads(1)
    elastic = np.random.default_rng(3).normal(size=(1, 3, COARSE, COARSE, COARSE)) * 1.5
    changed = apply(volumes, nothing(1, elastic=elastic))
    field = elastic[0]
    for axis, side in enumerate(SHAPE, start=1):
        apart = np.linspace(0, COARSE - 1, side)[:, None] - np.arange(COARSE)
        weights = np.exp(-(apart**2))
        weights /= np.sqrt((weights**2).sum(1, keepdims=True))
        field = np.moveaxis(np.tensordot(weights, field, axes=(1, axis)), 0, axis)
    places = np.stack(np.meshgrid(*[np.arange(side) for side in SHAPE], indexing="ij")) + field
    expected = ndimage.map_coordinates(volumes[0, 0].numpy(), places, order=1, mode="grid-constant")
    assert np.allclose(changed[0, 0], expected, atol=1e-4)


def test_elastic_displacements_have_the_spread_that_was_asked_for_everywhere():
    """A ramp under a displacement changes by the displacement."""
    shape, n = (40, 20, 20), 150
    ramp = torch.linspace(0.0, 1.0, 40).reshape(1, 1, 40, 1, 1).expand(n, 1, *shape)
    changed = apply(ramp, drawn(Augmentation(elastic=0.8, probability=1), n, shape=shape))
    # nearer to the border the 0 outside comes in
    moved = (changed - ramp)[:, 0, 6:-6, 5:-5, 5:-5].numpy() * 39
    spread = moved.std((0, 2, 3))
    assert np.allclose(spread, 0.8, rtol=0.2)
    assert spread.mean() == pytest.approx(0.8, rel=0.05)
    assert np.diff(moved, axis=1).std() < 0.1


# how bright voxels are


def test_gamma_gain_and_bias_are_their_formulas():
    volumes = heads(1)
    plain = volumes[0, 0].numpy()
    powered = apply(volumes, nothing(1, gamma=np.array([1.3])))[0, 0]
    assert np.allclose(powered, plain**1.3, atol=1e-6)
    gained = apply(volumes, nothing(1, gain=np.array([1.1])))[0, 0]
    assert np.allclose(gained, np.clip(plain * 1.1, 0, 1), atol=1e-6)
    lit = apply(volumes, nothing(1, bias=np.array([[0.2, 0.0, -0.1]])))[0, 0]
    x, z = np.linspace(-0.5, 0.5, SHAPE[0])[:, None, None], np.linspace(-0.5, 0.5, SHAPE[2])
    assert np.allclose(lit, np.clip(plain * (1 + 0.2 * x) * (1 - 0.1 * z), 0, 1), atol=1e-6)


def test_noise_has_its_spread_in_the_head_and_is_nowhere_else():
    volumes = torch.full((3, 1, 40, 40, 40), 0.5)
    volumes[..., :10] = 0
    spreads = np.array([0.02, 0.05, 0.05])
    parameters = nothing(3, noise=spreads, seeds=np.array([1, 2, 3]))
    noise = (apply(volumes, parameters) - volumes)[:, 0]
    assert not noise[..., :10].any()
    inside = noise[..., 10:].flatten(1).numpy()
    assert np.allclose(inside.std(1), spreads, rtol=0.02)
    assert np.abs(inside.mean(1)).max() < 1e-3
    assert abs(np.corrcoef(inside)[1, 2]) < 0.02
    again = apply(volumes, dataclasses.replace(parameters, seeds=np.array([1, 3, 3])))
    assert torch.equal(again[0], apply(volumes, parameters)[0])
    assert torch.equal(again[1], again[2])


@pytest.mark.parametrize("sigma", [0.4, 0.8, 2.0])
def test_a_blur_is_that_of_scipy_and_keeps_the_mean(sigma):
    volumes = torch.cat([heads(1), torch.full((1, 1, *SHAPE), 0.5)])
    changed = apply(volumes, nothing(blur=np.full(2, sigma)))
    plain, whole = volumes[0, 0].double().numpy(), np.ones(SHAPE)
    # the weights of what is outside go to what is inside
    expected, inside = (ndimage.gaussian_filter(each, sigma, mode="constant", truncate=6) for each in (plain, whole))
    assert np.allclose(changed[0, 0], expected / inside, atol=1e-4)
    assert torch.allclose(changed[1], volumes[1], atol=1e-6)
    # away from the border the mean stays
    small = blob((0, 0, 0), 3.0)
    assert float(apply(small, nothing(1, blur=np.array([sigma]))).mean()) == pytest.approx(
        float(small.mean()), rel=1e-3
    )


def test_every_volume_has_its_own_blur():
    volumes = heads(1).expand(3, -1, -1, -1, -1)
    changed = apply(volumes, nothing(3, blur=np.array([0.0, 0.5, 2.0])))
    rough = [float(each.diff(dim=1).square().sum()) for each in changed]
    assert torch.equal(changed[0], volumes[0])
    assert rough[0] > rough[1] > rough[2]


@pytest.mark.parametrize("axis", range(3))
def test_lost_slices_are_0_and_the_others_stay(axis):
    volumes = torch.rand(1, 1, *SHAPE, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    changed = apply(volumes, nothing(1, slices=np.array([[axis, 3, 7]])))
    lost = changed.movedim(axis + 2, 0)
    assert not lost[3:7].any()
    kept = np.r_[0:3, 7 : SHAPE[axis]]
    assert torch.equal(lost[kept], volumes.movedim(axis + 2, 0)[kept])


@given(
    strengths=st.fixed_dictionaries({
        "shift": st.floats(0, 64), "flip": st.floats(0, 1), "rotation": st.floats(0, 45), "scale": st.floats(0, 0.5),
        "shear": st.floats(0, 0.5), "elastic": st.floats(0, 16), "gamma": st.floats(0, 1), "gain": st.floats(0, 0.5),
        "bias": st.floats(0, 1), "noise": st.floats(0, 0.5), "blur": st.floats(0, 4), "slices": st.floats(0, 0.5),
        "probability": st.floats(0, 1),
    }),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    seed=st.integers(0, 1000),
)  # fmt: skip
@settings(max_examples=60)
def test_whatever_is_allowed_gives_volumes_in_range(strengths, shape, seed):
    volumes = torch.rand(2, 1, *shape, generator=torch.Generator().manual_seed(seed))
    changed = apply(volumes, drawn(Augmentation(**strengths), seed=seed, shape=shape))
    assert changed.shape == volumes.shape
    assert bool(torch.isfinite(changed).all())
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1


# what is refused, and targets with a side


def test_all_wrong_strengths_are_said_at_once():
    with pytest.raises(InputError) as error:
        Augmentation(shift=65, flip=-0.1, noise=float("nan"), blur="much", probability=1.5)
    text = str(error.value)
    assert "5 problems in the augmentation" in text
    assert "shift is voxels, 0 to 64, got 65" in text
    assert "flip is a probability, 0 to 1, got -0.1" in text
    assert "got nan" in text
    assert "got 'much'" in text
    assert "rotation" not in text


def test_presets_go_by_name_and_with_or_without_mirror_images():
    assert preset("none") is None
    assert preset("standard") == PRESETS["standard"]
    assert preset("standard", flip=False) == dataclasses.replace(STANDARD, flip=0.0) == STANDARD.without_flip()
    assert not drawn(STANDARD.without_flip(), 100).flip.any()
    with pytest.raises(InputError, match="did you mean 'light'"):
        preset("ligth")


def fitted(monkeypatch, target, augmentation, seed=0):
    """The weights after one epoch on eight tiny volumes, and the mirror images that were drawn."""
    seen = []

    def see(volumes, parameters):
        seen.append(parameters.flip)
        return apply(volumes, parameters)

    # the package gives the function of that name, not the module
    monkeypatch.setattr(sys.modules["neurotransfer.training.fit"], "apply", see)
    volumes = np.random.default_rng(0).random((8, 32, 32, 32), np.float32)
    labels = {target.name: np.linspace(-1, 1, 8)}
    with seeded(0):
        network = Network(SFCN(width=0.0625), [target])
    every = Examples(volumes, np.arange(8), labels)
    fit(network, every, every, Recipe(epochs=1, batch_size=4, augmentation=augmentation), seed=seed)
    weights = torch.cat([value.flatten().float() for value in network.state_dict().values()])
    return weights, np.concatenate(seen) if seen else np.zeros(0, bool)


def test_a_fit_is_augmented_by_its_seed(monkeypatch):
    age, some = Target("age", "continuous"), dataclasses.replace(ALWAYS["standard"], flip=1.0)
    first, flips = fitted(monkeypatch, age, some)
    assert flips.all()
    assert len(flips) == 8
    assert torch.equal(first, fitted(monkeypatch, age, some)[0])
    plain, drawn_plain = fitted(monkeypatch, age, None)
    assert len(drawn_plain) == 0
    assert not torch.equal(first, plain)


@pytest.mark.parametrize("name", ["handedness", "hippocampus_left"])
def test_a_target_with_a_side_sees_no_mirror_image(monkeypatch, name):
    _, flips = fitted(monkeypatch, Target(name, "continuous"), Augmentation(flip=1.0, shift=1))
    assert len(flips) == 8
    assert not flips.any()


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives_but_for_the_noise():
    volumes, parameters = heads(4), drawn(dataclasses.replace(ALWAYS["standard"], noise=0), 4)
    there = apply(volumes.cuda(), parameters)
    assert there.is_cuda
    assert torch.allclose(there.cpu(), apply(volumes, parameters), atol=1e-3)
    noisy = nothing(4, noise=np.full(4, 0.05), seeds=np.arange(4))
    assert torch.equal(apply(volumes.cuda(), noisy), apply(volumes.cuda(), noisy))
