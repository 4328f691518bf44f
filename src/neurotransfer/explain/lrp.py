"""Layer-wise relevance propagation: the explained number of a network, parted among the voxels of a scan."""

import torch
from torch import Tensor

from neurotransfer.explain.layers import Weighted
from neurotransfer.explain.readout import Explained
from neurotransfer.explain.rules import COMPOSITES, Composite
from neurotransfer.explain.unfolded import mixing_of, unfolded


def relevance(explained: Explained, volume: Tensor, composite: Composite | str = "gamma") -> Tensor:
    """The relevance (1, 1, x, y, z) of every voxel of one volume (1, 1, x, y, z); it adds up to the explained number.

    The head's outputs become the number by `Readout.weights`, so that head and readout are one dense layer on the features; from
    there relevance goes down layer after layer (Bach et al. 2015, PLOS ONE 10:e0130140). Biases have no relevance of their own,
    see `Rule`.

    Args:
        explained: a network in evaluation mode and the number.
        volume: one scan.
        composite: which rule where, or its name in COMPOSITES.

    Raises:
        InputError: for an encoder for which it is not defined.

    Example:
        >>> from neurotransfer.explain.readout import explained_of
        >>> from neurotransfer.models.network import Network
        >>> from neurotransfer.models.sfcn import SFCN
        >>> from neurotransfer.targets import Target
        >>> age = explained_of(Network(SFCN(width=0.125), [Target("age", "continuous")]))
        >>> volume = torch.rand(1, 1, 32, 32, 32)
        >>> bool((relevance(age, volume).sum() / age(volume) - 1).abs() < 0.01)
        True
    """
    composite = COMPOSITES[composite] if isinstance(composite, str) else composite
    network = explained.network
    with torch.no_grad(), torch.autocast(volume.device.type, enabled=False):
        layers = unfolded(network.encoder, composite)
        features, kept = layers.forward(volume)
        weight, bias = _dense(explained, features)
        dense = Weighted(weight, bias, composite.dense)
        number, own = dense.forward(features.double())
        return layers.back(kept, dense.back(own, number).to(features.dtype))


def _dense(explained: Explained, features: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (1, n_features) and bias (1,) in float64 that give the explained number of unmixed features."""
    network, readout = explained.network, explained.readout
    head, mixing = network.head(readout.target.name), mixing_of(network.encoder)
    weight, bias, wide = head.weight.double(), head.bias.double(), features.double()
    if mixing is not None:
        weight, bias = weight @ mixing[0], bias - weight @ mixing[0] @ mixing[1]
    counts = readout.weights(wide @ weight.T + bias)
    return counts @ weight, counts @ bias
