"""What networks of others need of the SFCN: the epsilon of their norms, the unit of their volumes, their numbers of filters."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from neurotransfer.errors import InputError
from neurotransfer.models import SFCN, fused
from neurotransfer.models.sfcn import FEATURES, FILTERS, PooledBlock
from neurotransfer.training.numerics import layer_shapes
from neurotransfer.training.together import share_first_block

UKB_SEX = (28, 58, 128, 256, 256, 64)


def shaken(network, seed=0):
    """The network with weights and statistics that are anything but those of a fresh one, some scales below zero."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.weight.uniform_(-1.5, 1.5)
                module.bias.normal_(0, 0.3)
                module.running_mean.normal_(0, 0.2)
                # variances as small as an epsilon of 1e-3 can matter
                module.running_var.uniform_(1e-4, 0.02)
    return network.eval()


def plainly(network, volumes, epsilon, unit):
    """The features, by functions of torch alone."""
    maps = volumes * unit
    for layers in [*network.blocks, network.top]:
        convolution, norm = layers[0], layers[1]
        maps = functional.conv3d(maps, convolution.weight, convolution.bias, padding=convolution.kernel_size[0] // 2)
        maps = functional.batch_norm(
            maps, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=epsilon
        )
        maps = functional.relu(maps)
        maps = functional.max_pool3d(maps, 2) if len(layers) == 4 else maps
    return maps.mean((2, 3, 4))


@pytest.mark.parametrize("shape", [(32, 34, 36), (33, 47, 41)])
@pytest.mark.parametrize(("epsilon", "unit"), [(1e-3, 1.0), (1e-3, 255.0), (1e-5, 20.0), (0.5, 0.01)])
def test_epsilon_and_unit_are_those_of_the_plain_path(shape, epsilon, unit):
    network = shaken(SFCN(width=0.125, epsilon=epsilon, unit=unit).double())
    volumes = torch.rand(2, 1, *shape, dtype=torch.float64)
    with torch.no_grad():
        expected = plainly(network, volumes, epsilon, unit).float()
        torch.testing.assert_close(network(volumes), expected, rtol=1e-6, atol=1e-6)


def test_the_epsilon_matters_here():
    volumes = torch.rand(1, 1, 32, 32, 32)
    with torch.no_grad():
        one, other = (shaken(SFCN(width=0.125, epsilon=epsilon))(volumes) for epsilon in (1e-3, 1e-5))
    assert (one - other).abs().max() > 1e-2 * one.abs().max()


@pytest.mark.parametrize("shape", [(32, 32, 34), (33, 32, 35)])
@pytest.mark.parametrize("training", [True, False])
def test_a_unit_is_volumes_multiplied_before_in_outputs_and_gradients(shape, training):
    plain = shaken(SFCN(width=0.125)).double().train(training)
    scaled = SFCN(width=0.125, unit=7.0).double().train(training)
    scaled.load_state_dict(plain.state_dict())
    volumes = torch.rand(2, 1, *shape, dtype=torch.float64)
    expected, found = plain(volumes * 7), scaled(volumes)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    for features in (expected, found):
        features.square().sum().backward()
    for (name, one), other in zip(plain.named_parameters(), scaled.parameters(), strict=True):
        # in training the bias before a batch norm moves nothing and has no gradient
        assert (other.grad is None) == (one.grad is None), name
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-5, atol=1e-5, msg=name)
    for name, value in plain.named_buffers():
        torch.testing.assert_close(scaled.get_buffer(name), value, rtol=1e-8, atol=1e-8)


def test_a_unit_is_the_same_where_blocks_are_not_fused(monkeypatch):
    network = shaken(SFCN(width=0.125, unit=255.0, epsilon=1e-3))
    volumes = torch.rand(1, 1, 32, 34, 32)
    with torch.no_grad():
        quick = network(volumes)
        monkeypatch.setattr(fused, "fits", lambda *_: False)
        slow = network(volumes)
    torch.testing.assert_close(quick, slow, rtol=1e-4, atol=1e-4)


def test_networks_that_share_their_first_block_keep_their_units():
    encoders = [shaken(SFCN(width=0.125, unit=unit), seed) for seed, unit in enumerate((1.0, 20.0))]
    volumes = torch.rand(2, 1, 32, 32, 32)
    with torch.no_grad():
        shared = share_first_block(encoders, volumes)
        assert shared is not None
        for encoder, maps in zip(encoders, shared, strict=True):
            torch.testing.assert_close(encoder.after_first(maps), encoder(volumes), rtol=1e-4, atol=1e-4)


def test_the_weights_are_those_of_the_module_and_stay():
    block = PooledBlock(1, 4, unit=3.0)
    before = copy.deepcopy(block.state_dict())
    convolution, norm = block.first_layers()
    assert norm is block[1]
    torch.testing.assert_close(convolution.weight, 3 * block[0].weight)
    assert convolution.weight.grad_fn is not None
    assert set(block.state_dict()) == set(before)
    assert all(torch.equal(value, before[name]) for name, value in block.state_dict().items())
    assert PooledBlock(1, 4).first_layers()[0].weight.grad_fn is None


def test_defaults_are_the_network_that_was():
    torch.manual_seed(3)
    default = SFCN(width=0.25)
    torch.manual_seed(3)
    spelt = SFCN(width=0.25, epsilon=1e-5, unit=1.0, filters=None)
    volumes = torch.rand(1, 1, 33, 32, 34)
    assert default.state_dict().keys() == spelt.state_dict().keys()
    assert all(norm.eps == 1e-5 for norm in default.modules() if isinstance(norm, nn.BatchNorm3d))
    with torch.no_grad():
        assert torch.equal(default.eval()(volumes), spelt.eval()(volumes))


@pytest.mark.parametrize("filters", [UKB_SEX, list(UKB_SEX), (1, 2, 3, 2, 1, 5)])
def test_filters_are_those_that_are_given(filters):
    network = SFCN(filters=filters)
    assert [block[0].out_channels for block in network.blocks] + [network.top[0].out_channels] == list(filters)
    assert network.n_features == filters[-1]
    assert SFCN(filters=filters, joined=2).n_features == filters[-1] + filters[-2] + filters[-3]


def test_the_filters_of_the_paper_are_the_default():
    assert SFCN(filters=(*FILTERS, FEATURES)).state_dict().keys() == SFCN().state_dict().keys()
    network = SFCN(filters=UKB_SEX)
    assert layer_shapes(network, (1, 1, 32, 32, 32))["blocks.1.0"] == (1, 28, 16, 16, 16)


@pytest.mark.parametrize(
    "arguments",
    [
        {"epsilon": 0.0},
        {"epsilon": float("nan")},
        {"epsilon": float("inf")},
        {"unit": 0.0},
        {"unit": -1.0},
        {"unit": float("nan")},
        {"filters": ()},
        {"filters": (1, 2, 3)},
        {"filters": (1, 2, 3, 4, 5, 0)},
        {"filters": (1, 2, 3, 4, 5, 6.0)},
        {"filters": (1, 2, 3, 4, 5, True)},
        {"filters": UKB_SEX, "width": 0.5},
    ],
)
def test_what_cannot_be_is_refused(arguments):
    with pytest.raises(InputError, match="sfcn takes"):
        SFCN(**arguments)
