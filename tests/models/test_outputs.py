"""Networks as features: their mean output, in any precision, and what a model card makes of them."""

import numpy as np
import pytest
import torch

from neurotransfer.models.network import ENCODERS, Network, build_encoder, networks, seeded, several
from neurotransfer.models.outputs import Outputs
from neurotransfer.models.perceptron import Perceptron
from neurotransfer.models.several import Several
from neurotransfer.models.sfcn import SFCN
from neurotransfer.targets import Target
from neurotransfer.training import features

VOLUMES = torch.rand(3, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))


def some_networks(count, n_classes=2):
    target = (
        Target("y", "categorical", classes=tuple("abcd"[:n_classes])) if n_classes > 2 else Target("y", "continuous")
    )
    with seeded(1):
        return target, [Network(SFCN(width=0.0625), [target]).eval() for _ in range(count)]


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_output_is_the_mean_of_the_networks(count, n_classes):
    target, found = some_networks(count, n_classes)
    joined = Outputs([network.encoder for network in found], target.n_outputs).eval()
    for layer, network in zip(joined.layers, found, strict=True):
        layer.load_state_dict(network.head("y").state_dict())
    with torch.inference_mode():
        expected = torch.stack([network(VOLUMES)["y"] for network in found]).mean(0)
        torch.testing.assert_close(joined(VOLUMES), expected)
    assert joined.n_features == target.n_outputs == joined(VOLUMES).shape[1]


def test_of_columns():
    pair = Outputs([Perceptron(["a", "b"], width=4), Perceptron(["a", "b"], width=8)], 3).eval()
    assert pair(torch.rand(5, 2)).shape == (5, 3)
    assert [layer.in_features for layer in pair.layers] == [4, 8]


def test_lower_precision_of_the_encoders_is_not_that_of_the_outputs():
    _, found = some_networks(2)
    joined = Outputs([network.encoder for network in found], 1).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert joined(VOLUMES).dtype == torch.float32


def test_where_shapes_alone_are_worked_out():
    joined = Outputs([SFCN(width=0.0625)], 2).to("meta").eval()
    assert joined(torch.zeros(2, 1, 32, 32, 32, device="meta")).shape == (2, 2)


def test_a_model_card_makes_the_same_networks_beside_other_features():
    arguments = {"architecture": "sfcn", "arguments": {"width": 0.0625}, "n_networks": 2, "n_outputs": 1}
    made = build_encoder("networks", arguments)
    assert ENCODERS["networks"] is networks
    assert isinstance(made, Outputs)
    assert len(made.encoders) == len(made.layer_groups()) == 2
    parts = [
        {"architecture": "tissue", "arguments": {"voxel_litres": 0.001}, "layered": False},
        {"architecture": "networks", "arguments": arguments, "layered": False},
    ]
    both = several(parts, [32, 32, 32]).eval()
    assert isinstance(both, Several)
    assert both.sizes == (4, 1)
    both.parts[1].load_state_dict(made.state_dict())
    found = features(both, VOLUMES[:, 0].numpy())
    np.testing.assert_allclose(found[:, 4:], features(made.eval(), VOLUMES[:, 0].numpy()), rtol=1e-5)
