"""Panels of SFCN: side by side, mirrored when they are evaluated, with heads that give the mean of what members learnt."""

import numpy as np
import pytest
import torch
from torch import nn

from neurotransfer.errors import InputError, ModelError
from neurotransfer.models import SFCN, Network, build_encoder
from neurotransfer.models.network import count_features, normalise, panel_of
from neurotransfer.models.panel import SFCNPanel
from neurotransfer.targets import Target
from neurotransfer.training import Recipe
from neurotransfer.training.numerics import layer_shapes
from neurotransfer.training.optimiser import make_optimiser

WIDTH = {"width": 0.0625}
TARGETS = [Target("age", "continuous"), Target("sex", "binary", classes=("F", "M"))]


def volumes(n=2, seed=0):
    return torch.rand(n, 1, 34, 36, 32, generator=torch.Generator().manual_seed(seed))


def settled(encoder: nn.Module) -> nn.Module:
    """With batch norms as after training: fresh ones would let almost nothing pass."""
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = None
    with torch.no_grad():
        encoder.train()(volumes(4, seed=9))
    return encoder.eval()


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(1)
    found = [Network(SFCN(**WIDTH), TARGETS) for _ in range(3)]
    for network in found:
        settled(network.encoder)
    return [network.eval() for network in found]


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("joined", [0, 1, 3, 5])
@pytest.mark.parametrize("members", [1, 2])
def test_features_are_those_of_the_members_side_by_side(members, joined, mirrored):
    panel = settled(SFCNPanel(members, mirrored, **WIDTH, joined=joined))
    with torch.no_grad():
        found = panel(volumes())
        parts = [member(volumes()) for member in panel.members]
        flipped = [member(volumes().flip(2)) for member in panel.members]
    assert found.shape == (2, count_features(panel)) == (2, members * SFCN(**WIDTH, joined=joined).n_features)
    here, there = torch.cat(parts, 1), torch.cat(flipped, 1)
    torch.testing.assert_close(found, (here + there) / 2 if mirrored else here)


def test_a_mirrored_panel_sees_a_head_and_its_mirror_image_alike():
    panel = settled(SFCNPanel(2, True, **WIDTH, joined=2))
    plain = settled(SFCNPanel(2, False, **WIDTH, joined=2))
    with torch.no_grad():
        torch.testing.assert_close(panel(volumes()), panel(volumes().flip(2)))
        # other axes are no mirror images of a head
        assert not torch.allclose(panel(volumes()), panel(volumes().flip(3)), atol=1e-4)
        assert not torch.allclose(plain(volumes()), plain(volumes().flip(2)), atol=1e-4)


def test_in_training_the_head_alone_is_looked_at():
    torch.manual_seed(0)
    panel = SFCNPanel(1, True, **WIDTH).train()
    member = SFCN(**WIDTH).train()
    member.load_state_dict(panel.members[0].state_dict())
    torch.testing.assert_close(panel(volumes()), member(volumes()))


def test_every_weight_is_in_one_layer_group():
    panel = SFCNPanel(2, True, **WIDTH, joined=3)
    grouped = [id(value) for group in panel.layer_groups() for value in group.parameters()]
    assert sorted(grouped) == sorted(id(value) for value in panel.parameters())
    assert len(panel.layer_groups()) == len(SFCN(**WIDTH).layer_groups())
    optimiser = make_optimiser(Network(panel, TARGETS), Recipe(layer_decay=0.5))
    assert len({group["base"] for group in optimiser.param_groups}) == len(panel.layer_groups()) + 1


@pytest.mark.parametrize("members", [0, -1, 1.5, True, "2"])
def test_a_panel_without_members_is_refused(members):
    with pytest.raises(InputError, match="one member or more"):
        SFCNPanel(members)


@pytest.mark.parametrize(("arguments", "match"), [({"joined": 6}, "joins 0 to 5"), ({"pooling": "median"}, "pooling")])
def test_arguments_of_members_are_checked(arguments, match):
    with pytest.raises(InputError, match=match):
        SFCNPanel(2, **arguments)


def test_a_card_can_name_a_panel_and_nothing_foreign():
    assert build_encoder("sfcn-panel", {"members": 2, "width": 0.125}).n_features == 16
    with pytest.raises(ModelError, match="does not take"):
        build_encoder("sfcn-panel", {"depth": 3})


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_heads_of_a_panel_give_the_mean_of_the_members(networks, count, mirrored):
    panel = panel_of(networks[:count], WIDTH, joined=2, mirrored=mirrored).eval()
    with torch.no_grad():
        found = panel(volumes())
        views = (volumes(), volumes().flip(2)) if mirrored else (volumes(),)
        for target in TARGETS:
            each = [network(view)[target.name] for network in networks[:count] for view in views]
            torch.testing.assert_close(found[target.name], torch.stack(each).mean(0), rtol=1e-4, atol=1e-5)


def test_a_panel_leaves_the_networks_it_is_made_of_alone(networks):
    before = [{name: value.clone() for name, value in network.state_dict().items()} for network in networks]
    panel = panel_of(networks, WIDTH, joined=1, mirrored=True)
    with torch.no_grad():
        for value in panel.parameters():
            value.zero_()
    for network, kept in zip(networks, before, strict=True):
        assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


def test_joined_blocks_are_the_mean_maps_before_the_top(networks):
    encoder = SFCN(**WIDTH, joined=2)
    encoder.load_state_dict(networks[0].encoder.state_dict())
    encoder.eval()
    with torch.no_grad():
        maps, means = volumes(), []
        for block in encoder.blocks:
            maps = block(maps)
            means.append(maps.mean((2, 3, 4)))
        expected = torch.cat([*means[-2:], networks[0].encoder(volumes())], 1)
        torch.testing.assert_close(encoder(volumes()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("joined", [-1, 6, 1.5, "all"])
def test_more_joined_blocks_than_there_are_are_refused(joined):
    with pytest.raises(InputError, match="joins 0 to 5"):
        SFCN(joined=joined)


def a_matrix(size, seed=0):
    generator = np.random.default_rng(seed)
    return generator.standard_normal(size), np.eye(size) + 0.1 * generator.standard_normal((size, size))


def test_a_panel_that_is_to_be_normalised_is_as_it_was_until_it_is(networks):
    plain, other = (
        panel_of(networks, WIDTH, joined=2, mirrored=True, normalised=normalised).eval() for normalised in (False, True)
    )
    with torch.no_grad():
        torch.testing.assert_close(plain.encoder(volumes()), other.encoder(volumes()))


@pytest.mark.parametrize("mirrored", [True, False])
def test_normalised_features_are_mixed_and_heads_give_what_they_gave(networks, mirrored):
    panel = panel_of(networks[:2], WIDTH, joined=2, mirrored=mirrored, normalised=True).eval()
    centre, mixing = a_matrix(panel.encoder.n_features)
    with torch.no_grad():
        features, before = panel.encoder(volumes()).numpy(), panel(volumes())
        normalise(panel, centre, mixing)
        np.testing.assert_allclose(
            panel.encoder(volumes()).numpy(), (features - centre) @ mixing.T, rtol=1e-3, atol=1e-4
        )
        for name, values in panel(volumes()).items():
            torch.testing.assert_close(values, before[name], rtol=1e-3, atol=1e-4)


def test_in_training_features_are_mixed_too():
    panel = SFCNPanel(1, True, **WIDTH, normalised=True).train()
    centre, mixing = a_matrix(panel.n_features)
    with torch.no_grad():
        before = panel(volumes())
        panel.centre.copy_(torch.from_numpy(centre))
        panel.mixing.copy_(torch.from_numpy(mixing))
        expected = (before.numpy() - centre) @ mixing.T
        np.testing.assert_allclose(panel(volumes()).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_half_precision_does_not_reach_the_mixing():
    panel = settled(SFCNPanel(1, False, **WIDTH, normalised=True))
    panel.centre.fill_(1000.0)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = panel(volumes())
    assert found.dtype == torch.float32
    # bfloat16 has steps of 4 there
    assert ((found + 1000).frac().abs() > 1e-3).any()


def test_how_features_are_mixed_is_kept_with_the_weights_and_not_trained(tmp_path):
    panel = SFCNPanel(1, True, **WIDTH, normalised=True)
    assert {"centre", "mixing"} <= set(panel.state_dict())
    assert not {"centre", "mixing"} & {name for name, _ in panel.named_parameters()}
    with pytest.raises(RuntimeError, match="mixing"):
        SFCNPanel(1, True, **WIDTH).load_state_dict(panel.state_dict())


def test_the_shapes_of_its_layers_are_found_without_weights():
    panel = SFCNPanel(2, True, **WIDTH, normalised=True)
    shapes = layer_shapes(panel, (1, 1, 32, 32, 32))
    assert len(shapes) == 2 * 6
