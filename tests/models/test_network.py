"""Laws over the whole table of encoders, heads of every kind, and the random numbers of the caller."""

import pytest
import torch

from neurotransfer.errors import ModelError, NeurotransferError
from neurotransfer.models import ENCODERS, Network, build_encoder
from neurotransfer.models.network import Identity, count_features, seeded
from neurotransfer.targets import Target

SHAPE = (32, 34, 33)
VOLUMES = torch.rand(3, 1, *SHAPE, generator=torch.Generator().manual_seed(0))
# for every encoder: its arguments, what it takes, and how many features it gives
CASES = {
    "sfcn": ({"width": 0.0625, "pooling": "maximum", "dropout": 0.1}, VOLUMES, 4),
    "sfcn-panel": ({"members": 2, "width": 0.0625, "joined": 1}, VOLUMES, 2 * (16 + 4)),
    "tissue": ({"voxel_litres": 0.001}, VOLUMES, 4),
    "voxels": ({"shape": SHAPE, "sigma": 1.0, "stride": 4}, VOLUMES, 8 * 9 * 9),
    "columns": ({"columns": ["a", "b"]}, torch.rand(3, 2, generator=torch.Generator().manual_seed(0)), 2),
}
TARGETS = (
    Target("age", "continuous", location=50.0, scale=10.0),
    Target("sex", "binary", classes=("F", "M")),
    Target("site", "categorical", classes=("x", "y", "z")),
    Target("severity", "ordinal", classes=("0", "1", "2", "3")),
)
N_OUTPUTS = {"age": 1, "sex": 1, "site": 3, "severity": 3}


def test_every_case_is_an_encoder():
    # the whole table is tested in test_encoder_contract.py
    assert set(CASES) <= set(ENCODERS)


@pytest.mark.parametrize("name", CASES)
def test_an_encoder_gives_as_many_features_as_it_says(name):
    arguments, inputs, n_features = CASES[name]
    encoder = build_encoder(name, arguments).eval()
    with torch.no_grad():
        found = encoder(inputs)
    assert count_features(encoder) == encoder.n_features == n_features
    assert found.shape == (3, n_features)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_a_linear_head_a_target(name):
    arguments, inputs, n_features = CASES[name]
    network = Network(build_encoder(name, arguments), TARGETS).eval()
    with torch.no_grad():
        features, outputs = network.encoder(inputs), network(inputs)
    assert {target: tuple(found.shape) for target, found in outputs.items()} == {
        target: (3, n) for target, n in N_OUTPUTS.items()
    }
    for target, found in outputs.items():
        head = network.head(target)
        assert (head.in_features, head.out_features) == (n_features, N_OUTPUTS[target])
        torch.testing.assert_close(found, features @ head.weight.T + head.bias)


@pytest.mark.parametrize("name", CASES)
def test_an_encoder_does_not_change_its_input_nor_draw_random_numbers_when_evaluated(name):
    arguments, inputs, _ = CASES[name]
    encoder, before, state = build_encoder(name, arguments).eval(), inputs.clone(), None
    state = torch.random.get_rng_state()
    with torch.no_grad():
        first, second = encoder(inputs), encoder(inputs)
    assert torch.equal(first, second)
    assert torch.equal(inputs, before)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_stored_features_go_through_the_identity():
    network = Network(Identity(5), TARGETS)
    features = torch.rand(2, 5)
    assert torch.equal(network.encoder(features), features)
    assert network(features)["site"].shape == (2, 3)


def test_targets_keep_their_order_and_a_generator_of_them_will_do():
    network = Network(Identity(2), (target for target in TARGETS))
    assert list(network.targets) == list(network(torch.zeros(1, 2))) == list(N_OUTPUTS)
    assert not any(key.startswith("targets") for key in network.state_dict())


@pytest.mark.parametrize("name", ["volume.left", "", "values", "type", "training", "a b", "größe", "a%2Eb", "._.", "%"])
def test_any_column_name_can_be_a_target(name):
    network = Network(Identity(2), [Target(name, "continuous", column="x"), TARGETS[1]])
    found = network(torch.zeros(3, 2))
    assert list(found) == [name, "sex"]
    assert torch.equal(found[name], network.head(name).bias.expand(3, 1))


def test_names_that_are_written_alike_have_their_own_heads():
    names = ["a.b", "a%2Eb", "values", "%values", "%76alues"]
    network = Network(Identity(2), [Target(name, "continuous") for name in names])
    assert len(network.heads) == len({id(network.head(name)) for name in names}) == len(names)


def test_an_unknown_architecture_is_refused_with_the_closest_name():
    with pytest.raises(ModelError, match="did you mean 'sfcn'"):
        build_encoder("sfnc", {})


@pytest.mark.parametrize("architecture", [None, 3, [], {}])
def test_an_architecture_that_is_no_name_is_refused(architecture):
    with pytest.raises(ModelError, match="architecture"):
        build_encoder(architecture, {})


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("sfcn", {"depth": 3}),
        ("sfcn", {"width": "wide"}),
        ("sfcn", {"width": -1}),
        ("sfcn", []),
        ("sfcn", None),
        ("sfcn", {"dropout": None}),
        ("tissue", {}),
        ("tissue", {"voxel_litres": 1.0, "classes": 4}),
        ("voxels", {}),
        ("voxels", {"shape": 32}),
        ("voxels", {"shape": SHAPE, "stride": 0}),
        ("voxels", {"shape": SHAPE, "stride": -2}),
        ("voxels", {"shape": SHAPE, "sigma": -1.0}),
        ("voxels", {"shape": SHAPE, "sigma": float("nan")}),
        ("voxels", {"shape": SHAPE, "sigma": float("inf")}),
        ("voxels", {"shape": "abc"}),
        ("columns", {}),
        ("columns", {"columns": None}),
    ],
)
def test_wrong_arguments_are_refused(architecture, arguments):
    with pytest.raises(NeurotransferError):
        build_encoder(architecture, arguments)


def test_seeded_repeats_its_numbers_and_leaves_those_of_the_caller():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with seeded(1):
        first = torch.rand(2)
        with seeded(2):
            other = torch.rand(2)
        rest = torch.rand(2)
    assert torch.equal(torch.rand(3), expected)
    with seeded(1):
        assert torch.equal(torch.rand(4), torch.cat([first, rest]))
    assert not torch.equal(first, other)


def test_seeded_gives_back_the_state_after_an_error():
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    with pytest.raises(RuntimeError), seeded(1):
        torch.rand(2) @ torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_same_seed_makes_the_same_network():
    def made(seed):
        with seeded(seed):
            return Network(build_encoder("sfcn", {"width": 0.0625}), TARGETS).state_dict()

    first, again, other = made(3), made(3), made(4)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)
