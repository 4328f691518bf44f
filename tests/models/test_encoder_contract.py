"""Every row of ENCODERS keeps one contract: features, groups, weights, heads, the same in whatever company."""

import copy
import json
import pickle
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from neurotransfer.errors import InputError, ModelError
from neurotransfer.models.depths import Layered
from neurotransfer.models.loading import load_all
from neurotransfer.models.network import (
    ENCODERS,
    Network,
    build_encoder,
    count_features,
    seeded,
    takes,
    with_heads,
)
from neurotransfer.targets import Target
from neurotransfer.training import Examples, Recipe, features, fit, numerics
from neurotransfer.training.numerics import layer_shapes

SHAPE = (33, 36, 32)
COLUMNS = ["left", "right", "whole"]
# the smallest of each that is still of its kind
SMALL = {
    "sfcn": {"width": 0.0625, "pooling": "maximum", "dropout": 0.25},
    "sfcn-panel": {"members": 2, "mirrored": True, "width": 0.0625, "joined": 1},
    "tissue": {"voxel_litres": 0.001},
    "voxels": {"shape": list(SHAPE), "sigma": 1.0, "stride": 4},
    "columns": {"columns": COLUMNS},
    "perceptron": {"columns": COLUMNS, "width": 8, "depth": 3, "dropout": 0.25},
    "networks": {"architecture": "sfcn", "arguments": {"width": 0.0625}, "n_networks": 2, "n_outputs": 3},
    "several": {
        "parts": [
            {"architecture": "tissue", "arguments": {"voxel_litres": 0.001}, "layered": False},
            {"architecture": "sfcn", "arguments": {"width": 0.0625}, "layered": True},
            {
                "architecture": "voxels",
                "arguments": {"shape": list(SHAPE), "sigma": 1.0, "stride": 8},
                "layered": False,
            },
        ],
        "shape": list(SHAPE),
    },
    "resnet10": {"width": 0.0625, "dropout": 0.25},
    "resnet18": {"width": 0.0625},
    "resnet50": {"width": 0.0625},
    "densenet121": {"width": 0.0625},
    "swin": {"channels": 12, "depths": [1, 1, 1, 1], "window": 4},
    "vit": {"shape": list(SHAPE), "patch": 16, "channels": 32, "layers": 2, "heads": 4},
}
FIXED = ("tissue", "voxels", "columns")
OF_COLUMNS = ("columns", "perceptron")
# parts side by side, some of them networks: no strategy trains them
NETWORKS = [name for name in SMALL if name not in (*FIXED, *OF_COLUMNS, "several", "networks")]
VOLUMETRIC = ["resnet10", "resnet18", "resnet50", "densenet121", "swin", "vit"]
NEEDS_MONAI = pytest.mark.skipif(find_spec("monai") is None, reason="the extra `monai` is not installed")


def every(names):
    """A case a name, left out where what it is built on is not installed."""
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=NEEDS_MONAI if name in VOLUMETRIC else ()) for name in names]
    )


EVERY, EVERY_NETWORK = every(SMALL), every(NETWORKS)
TARGETS = (Target("age", "continuous"), Target("sex", "binary", classes=("F", "M")))


def test_every_row_is_tested():
    assert set(SMALL) == set(ENCODERS)


def inputs(name, n=3, seed=0):
    random = np.random.default_rng(seed)
    return random.random((n, len(COLUMNS)) if name in OF_COLUMNS else (n, *SHAPE)).astype(np.float32)


def batch_of(name):
    """The inputs as a network takes them."""
    return torch.from_numpy(inputs(name)) if name in OF_COLUMNS else torch.from_numpy(inputs(name))[:, None]


@pytest.fixture(scope="module")
def built():
    """Each encoder, built once; not to be changed."""
    made = {}

    def build(name):
        if name not in made:
            with seeded(0):
                made[name] = build_encoder(name, SMALL[name]).eval()
        return made[name]

    return build


@EVERY
def test_features_are_finite_vectors_of_the_promised_length(built, name):
    found = features(built(name), inputs(name))
    assert found.shape == (3, count_features(built(name)))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    if name not in FIXED:
        assert len(np.unique(found.round(6), axis=0)) == 3


@EVERY
def test_the_features_of_a_scan_do_not_depend_on_its_company(built, name):
    together = features(built(name), inputs(name))
    for row in range(3):
        alone = features(built(name), inputs(name)[[row]])
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-3, atol=1e-4)


@EVERY
def test_arguments_are_json_and_one_seed_gives_the_same_weights(built, name):
    assert json.loads(json.dumps(SMALL[name])) == SMALL[name]
    with seeded(0):
        again = build_encoder(name, json.loads(json.dumps(SMALL[name])))
    found, expected = again.state_dict(), built(name).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(value, expected[key]) for key, value in found.items())


@EVERY
def test_weights_come_back_from_a_file_whole(built, name, tmp_path):
    network = Network(built(name), TARGETS)
    save_file(
        {key: value.contiguous().clone() for key, value in network.state_dict().items()}, tmp_path / "w.safetensors"
    )
    with seeded(7):
        other = Network(build_encoder(name, SMALL[name]), TARGETS).eval()
    report = load_all(other, load_file(tmp_path / "w.safetensors"), "w.safetensors")
    assert report.is_whole
    assert set(report.loaded) == set(network.state_dict())
    np.testing.assert_array_equal(features(other.encoder, inputs(name)), features(built(name), inputs(name)))


@EVERY
def test_copies_and_pickles_give_the_same(built, name):
    expected = features(built(name), inputs(name))
    for twin in (copy.deepcopy(built(name)), pickle.loads(pickle.dumps(built(name)))):
        np.testing.assert_array_equal(features(twin, inputs(name)), expected)


@every([*NETWORKS, "perceptron"])
def test_groups_hold_every_weight_once_from_input_to_output(built, name):
    encoder = copy.deepcopy(built(name)).train()
    groups = encoder.layer_groups()
    assert len(groups) >= 3
    places = {id(weight): place for place, group in enumerate(groups) for weight in group.parameters()}
    assert set(places) == {id(weight) for weight in encoder.parameters()}
    assert sum(len(list(group.parameters())) for group in groups) == len(places)
    # all of them learn
    torch.manual_seed(0)
    encoder(batch_of(name)).square().sum().backward()
    silent = [key for key, weight in encoder.named_parameters() if weight.grad is None]
    # a bias that a batch norm takes away again is not trained, see models/fused.py
    assert not [key for key in silent if not (name.startswith("sfcn") and key.endswith(".0.bias"))]
    assert all(torch.isfinite(weight.grad).all() for weight in encoder.parameters() if weight.grad is not None)
    # what is nearer to the input comes earlier; members of a panel lie side by side
    order = [places[id(weight)] for weight in encoder.parameters()]
    assert order == sorted(order) or name == "sfcn-panel"


@EVERY
def test_a_head_is_replaced_by_one_call(built, name):
    before = Network(built(name), TARGETS).eval()
    after = with_heads(before.encoder, [Target("bmi", "continuous")], seed=1).eval()
    assert list(after.targets) == ["bmi"]
    assert after.encoder is not before.encoder
    np.testing.assert_array_equal(features(after.encoder, inputs(name)), features(before.encoder, inputs(name)))
    again = with_heads(before.encoder, [Target("bmi", "continuous")], seed=1)
    assert torch.equal(again.head("bmi").weight, after.head("bmi").weight)
    other = with_heads(before.encoder, [Target("bmi", "continuous")], seed=2)
    assert not torch.equal(other.head("bmi").weight, after.head("bmi").weight)


@every([name for name in NETWORKS if name != "sfcn-panel"])
def test_dropout_is_that_of_the_features_alone(built, name):
    """A strategy sets whatever dropout it finds, see transfer/adapt.py."""
    encoder = copy.deepcopy(built(name))
    volumes = torch.from_numpy(inputs(name))[:, None]
    with torch.inference_mode():
        exact = encoder(volumes)
        for module in encoder.modules():
            if isinstance(module, torch.nn.modules.dropout._DropoutNd):
                module.train().p = 0.5
        torch.manual_seed(0)
        found = encoder(volumes)
    kept = found != 0
    assert not kept[exact != 0].all()
    torch.testing.assert_close(found[kept], 2 * exact[kept])


@EVERY
def test_an_unknown_argument_is_refused(name):
    with pytest.raises(ModelError, match="colour"):
        build_encoder(name, {**SMALL[name], "colour": "blue"})


@pytest.mark.parametrize("shape", [(8, 8, 8), (33, 36), (), (3, 33, 36, 31)])
@EVERY_NETWORK
def test_volumes_that_it_cannot_take_are_refused(built, name, shape):
    with pytest.raises(InputError, match="takes volumes"):
        built(name)(torch.zeros(1, 1, *shape))


@every(VOLUMETRIC)
def test_volumes_of_two_channels_are_refused(built, name):
    with pytest.raises(InputError, match=r"takes volumes \(n, 1, x, y, z\) with .*, got \(1, 2, 33, 36, 32\)"):
        built(name)(torch.zeros(1, 2, *SHAPE))


@EVERY_NETWORK
def test_its_convolutions_are_found_without_running_them(built, name):
    """Which convolutions must run in float32 is asked of every one, see training/numerics.py."""
    expected = {key for key, module in built(name).named_modules() if isinstance(module, torch.nn.Conv3d)}
    assert set(layer_shapes(built(name), (1, 1, *SHAPE))) == expected


@EVERY_NETWORK
def test_features_in_bfloat16_are_those_in_float32_up_to_rounding(built, name):
    volumes = torch.from_numpy(inputs(name))[:, None]
    with torch.inference_mode():
        exact = built(name)(volumes)
        with torch.autocast("cpu", torch.bfloat16):
            found = built(name)(volumes)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0, atol=0.03 * float(exact.abs().max()))


@EVERY_NETWORK
def test_its_shapes_are_found_also_where_convolutions_are_kept_from_bfloat16(built, name, monkeypatch):
    """On a processor whose bfloat16 is wrong somewhere; there `auto` once could not find the layers of its model."""
    plain, kept = built(name), copy.deepcopy(built(name))
    monkeypatch.setattr(numerics, "_is_right", lambda *_: False)
    if not numerics.make_safe(kept, SHAPE, torch.bfloat16):
        pytest.skip("no convolutions")
    assert set(layer_shapes(kept, (1, 1, *SHAPE))) == set(layer_shapes(plain, (1, 1, *SHAPE)))
    layered = Layered(kept, SHAPE)
    assert layered.sizes == Layered(plain, SHAPE).sizes
    with torch.autocast("cpu", torch.bfloat16):
        assert layered(torch.from_numpy(inputs(name))[:1, None]).shape == (1, layered.n_features)


@EVERY_NETWORK
def test_it_is_told_which_arguments_there_are(name):
    assert takes(name, "dropout")
    assert takes(name, "pooling") == (name in ("sfcn", "sfcn-panel"))


@pytest.mark.slow
@EVERY_NETWORK
def test_it_learns(name):
    """What is bright on one side of a head is told from what is bright on the other."""
    random = np.random.default_rng(0)
    labels = np.arange(24) % 2
    volumes = random.random((24, *SHAPE)).astype(np.float32) * 0.3
    volumes[labels == 1, :, :18] += 0.5
    volumes[labels == 0, :, 18:] += 0.5
    with seeded(0):
        network = Network(
            build_encoder(name, {key: value for key, value in SMALL[name].items() if key != "dropout"}), TARGETS[1:]
        )
    parts = [
        Examples(volumes, rows, {"sex": labels[rows].astype(float)}) for rows in (np.arange(16), np.arange(16, 24))
    ]
    history = fit(network, *parts, Recipe(epochs=12, batch_size=4, lr=3e-3, patience=12), seed=0)
    losses = [row["train_loss"] for row in history.table]
    assert min(losses[-3:]) < 0.8 * losses[0]
    # of a mirror image, a network that looks at both sides alike can tell nothing here: front and back differ
    assert history.best_loss < np.log(2)
