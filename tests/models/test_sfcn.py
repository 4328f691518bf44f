"""The SFCN: its size, the shapes that it takes, its pooling, and numbers that must never move."""

import numpy as np
import pytest
import torch
from torch import nn

from neurotransfer.errors import InputError
from neurotransfer.models import SFCN

WIDTH = 0.0625


def settled(**arguments) -> SFCN:
    """A tiny network with batch norms as after a step of training: fresh ones would let almost nothing pass."""
    torch.manual_seed(0)
    network = SFCN(width=WIDTH, **arguments)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = None
    with torch.no_grad():
        network.train()(volumes((64, 70, 65), 2))
    return network.eval()


def volumes(shape: tuple[int, int, int], n: int) -> torch.Tensor:
    """Fixed heads-like volumes: waves that differ between the n images."""
    grids = torch.meshgrid(*[torch.arange(side) / side for side in shape], indexing="ij")
    images = [
        torch.sin((3 + image) * grids[0]) * torch.cos((5 - image) * grids[1]) * (grids[2] + 0.1 * image)
        for image in range(n)
    ]
    return torch.stack(images)[:, None].abs()


def test_the_published_network_has_2950336_parameters_and_64_features():
    network = SFCN()
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_950_336
    assert network.n_features == 64
    assert network.pooling == "average"


@pytest.mark.parametrize("pooling", ["average", "maximum"])
@pytest.mark.parametrize("shape", [(32, 32, 32), (33, 45, 39), (32, 71, 40)])
@pytest.mark.parametrize(("width", "n_features"), [(1 / 1000, 1), (WIDTH, 4), (0.25, 16)])
def test_features_have_the_promised_shape(width, n_features, shape, pooling):
    network = SFCN(width=width, pooling=pooling).eval()
    with torch.no_grad():
        found = network(torch.rand(2, 1, *shape))
    assert network.n_features == n_features
    assert found.shape == (2, n_features)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize(
    "shape", [(2, 1, 31, 32, 32), (2, 1, 32, 32, 31), (1, 1, 1, 1, 1), (32, 32, 32), (1, 32, 32, 32)]
)
def test_a_small_or_flat_input_is_refused(shape):
    with pytest.raises(InputError, match="32 voxels or more"):
        SFCN(width=WIDTH)(torch.zeros(shape))


@pytest.mark.parametrize(
    "arguments",
    [
        {"pooling": "mean"},
        {"pooling": ""},
        {"width": 0},
        {"width": -1.0},
        {"width": float("nan")},
        {"width": float("inf")},
        {"dropout": 1},
        {"dropout": -0.1},
        {"dropout": float("nan")},
    ],
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(InputError, match="sfcn"):
        SFCN(**arguments)


# made once with torch 2 on a CPU by `settled(pooling=...)(volumes((64, 70, 65), 2))`
GOLDEN = {
    "average": [[0.257883, 0.389296, 0.419413, 0.428670], [0.572649, 0.332733, 0.286616, 0.360832]],
    "maximum": [[0.968712, 1.813581, 1.355167, 1.046859], [2.125049, 2.182594, 1.621381, 0.882023]],
}


@pytest.mark.parametrize("pooling", ["average", "maximum"])
def test_golden_numbers(pooling):
    with torch.no_grad():
        found = settled(pooling=pooling)(volumes((64, 70, 65), 2))
    np.testing.assert_allclose(found.numpy(), GOLDEN[pooling], atol=1e-4)


@pytest.mark.parametrize(("pooling", "reference"), [("average", np.mean), ("maximum", np.max)])
def test_pooling_is_that_of_numpy_on_the_maps_of_the_top(pooling, reference):
    network, images = settled(pooling=pooling), volumes((64, 70, 97), 2)
    with torch.no_grad():
        maps = network.top(network.blocks(images)).numpy()
        found = network(images).numpy()
    assert maps.shape == (2, 4, 2, 2, 3)
    assert maps.max() > 0
    np.testing.assert_allclose(found, reference(maps, axis=(2, 3, 4)), rtol=1e-5, atol=1e-6)


def test_features_do_not_depend_on_batch_mates():
    network, images = settled(), volumes((64, 64, 64), 3)
    with torch.no_grad():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    assert (together[0] - together[1]).abs().max() > 1e-3
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_dropout_acts_in_training_only():
    network, images = settled(dropout=0.9), volumes((64, 64, 64), 2)
    with torch.no_grad():
        without = settled()(images)
        assert torch.equal(network(images), without)
        network.dropout.train()
        torch.manual_seed(1)
        dropped = network(images)
    assert ((dropped == 0) | torch.isclose(dropped, without * 10)).all()
    assert not torch.equal(dropped, without)
