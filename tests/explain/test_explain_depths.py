"""Layers of networks by hooks: against maps worked out one after another, mirrored panels, other architectures."""

import copy
import itertools

import numpy as np
import pytest
import torch

from neurotransfer.explain.depths import FEATURES, Layered, depths_of, layered, split, untrained
from neurotransfer.models import load_model
from neurotransfer.models.network import Network, build_encoder, seeded
from neurotransfer.models.panel import SFCNPanel
from neurotransfer.models.sfcn import SFCN

SHAPE = (32, 40, 32)


def network(made):
    with seeded(3):
        return made().eval()


VOLUMES = torch.rand(3, 1, *SHAPE, generator=torch.Generator().manual_seed(1))


def by_hand(encoder, volumes):
    """Means of the maps of every block, without a hook."""
    found, maps = [], volumes
    for block in [*encoder.blocks, encoder.top]:
        maps = block(maps)
        found.append(maps.mean((2, 3, 4)))
    return [*found, encoder(volumes)]


@torch.inference_mode()
def test_layers_are_the_means_of_the_maps_of_each_block():
    encoder = network(lambda: SFCN(width=0.125, pooling="maximum"))
    whole = Layered(encoder, SHAPE).eval()
    assert whole.names == (*(f"layer {place}" for place in range(1, 7)), FEATURES)
    torch.testing.assert_close(whole(VOLUMES), torch.cat(by_hand(encoder, VOLUMES), 1))
    assert whole.n_features == sum(whole.sizes) == whole(VOLUMES).shape[1]


@torch.inference_mode()
def test_of_a_mirrored_panel_members_stand_side_by_side_and_both_images_count():
    panel = network(lambda: SFCNPanel(members=2, mirrored=True, width=0.125))
    whole = Layered(panel, SHAPE).eval()
    parts = []
    for volumes in (VOLUMES, VOLUMES.flip(2)):
        of_members = [by_hand(member, volumes)[:-1] for member in panel.members]
        parts.append([torch.cat(depth, 1) for depth in zip(*of_members, strict=True)])
    expected = [(one + other) / 2 for one, other in zip(*parts, strict=True)]
    torch.testing.assert_close(whole(VOLUMES), torch.cat([*expected, panel(VOLUMES)], 1))
    assert whole.sizes[0] == 2 * 4


@torch.inference_mode()
def test_hooks_are_taken_away_and_the_encoder_is_as_it_was():
    encoder = network(lambda: SFCN(width=0.125))
    before, state = encoder(VOLUMES), copy.deepcopy(encoder.state_dict())
    whole = Layered(encoder, SHAPE).eval()
    whole(VOLUMES)
    assert not any(module._forward_hooks for module in encoder.modules())
    torch.testing.assert_close(encoder(VOLUMES), before)
    for name, value in encoder.state_dict().items():
        torch.testing.assert_close(value, state[name])
    with pytest.raises(Exception, match="sides of 32"):
        whole(VOLUMES[..., :16])
    assert not any(module._forward_hooks for module in encoder.modules())


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        pytest.param("resnet10", {"width": 0.125}, marks=pytest.mark.slow),
        pytest.param("densenet121", {"width": 0.125}, marks=pytest.mark.slow),
        pytest.param("swin", {"channels": 12, "depths": [1, 1, 1, 1]}, marks=pytest.mark.slow),
        pytest.param(
            "vit",
            {"shape": list(SHAPE), "patch": 8, "channels": 24, "layers": 2, "heads": 3},
            marks=pytest.mark.slow,
        ),
    ],
)
@torch.inference_mode()
def test_every_network_of_volumes_has_layers(architecture, arguments):
    pytest.importorskip("monai")
    encoder = network(lambda: build_encoder(architecture, arguments))
    whole = Layered(encoder, SHAPE).eval()
    found = whole(VOLUMES)
    assert len(whole.names) >= 3
    assert found.shape == (3, sum(whole.sizes))
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[:, -whole.sizes[-1] :], encoder(VOLUMES).float())
    # a layer that is the same for all heads was not looked at
    starts = np.cumsum((0, *whole.sizes))
    for start, end in itertools.pairwise(starts):
        assert found[:, start:end].std(0).max() > 0


def test_what_has_no_layers_is_left_as_it_is():
    assert depths_of(build_encoder("columns", {"columns": ["a"]})) == []
    columns = Network(build_encoder("columns", {"columns": ["a", "b"]}), [])
    assert list(split(np.zeros((4, 2)), columns)) == [FEATURES]


def test_a_model_and_its_control():
    model = load_model("sim-base")
    control = untrained(model, 5)
    assert control.card.input == model.card.input
    assert control.card.name == "sim-base untrained"
    states = [each.network.encoder.state_dict() for each in (model, control, untrained(model, 5), untrained(model, 6))]
    name = next(name for name, value in states[0].items() if value.ndim == 5)
    assert not torch.equal(states[0][name], states[1][name])
    assert torch.equal(states[1][name], states[2][name])
    assert not torch.equal(states[1][name], states[3][name])
    whole = layered(control)
    assert list(whole.network.targets) == []
    values = np.arange(float(sum(whole.network.encoder.sizes)))[None]
    parts = split(values, whole.network)
    assert list(parts) == list(whole.network.encoder.names)
    np.testing.assert_array_equal(np.concatenate(list(parts.values()), axis=1), values)
