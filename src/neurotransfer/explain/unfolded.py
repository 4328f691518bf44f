"""A network as layers that give relevance back: batch norms folded into the convolutions before them, fused blocks taken apart."""

from typing import Any

import torch
from torch import Tensor, nn

from neurotransfer.errors import InputError
from neurotransfer.explain.layers import Beside, Chain, GlobalPool, Joined, Layer, Pooled, Rectified, Residual, Weighted
from neurotransfer.explain.rules import Composite, Rule
from neurotransfer.models.panel import SFCNPanel
from neurotransfer.models.sfcn import SFCN, PooledBlock
from neurotransfer.models.volumetric import VolumetricEncoder

WORKS = "sfcn, sfcn-panel, resnet10, resnet18 and resnet50"


def unfolded(encoder: nn.Module, composite: Composite) -> Layer:
    """The layers of an encoder in evaluation mode, from volumes (n, 1, x, y, z) to its features before they are mixed.

    The features of a panel that is `normalised` are mixed by `mixing_of`.

    Raises:
        InputError: for an encoder for which relevance is not defined here, with those for which it is.

    Example:
        >>> from neurotransfer.explain.rules import COMPOSITES
        >>> encoder, volumes = SFCN(width=0.125).eval(), torch.rand(1, 1, 32, 32, 32)
        >>> features, _ = unfolded(encoder, COMPOSITES["gamma"]).forward(volumes)
        >>> bool(torch.allclose(features, encoder(volumes), atol=1e-5))
        True
    """
    if isinstance(encoder, SFCNPanel):
        members = [_sfcn(member, composite) for member in encoder.members if isinstance(member, SFCN)]
        return Beside(members, encoder.mirrored)
    if isinstance(encoder, SFCN):
        return _sfcn(encoder, composite)
    if isinstance(encoder, VolumetricEncoder) and type(encoder.body).__name__ == "ResNet":
        return _resnet(encoder.body, composite)
    raise InputError(
        f"layer-wise relevance propagation is not defined here for {_name(encoder)}; it works for {WORKS}. Use gradient-x-input, "
        "integrated-gradients, smoothgrad or occlusion"
    )


def mixing_of(encoder: nn.Module) -> tuple[Tensor, Tensor] | None:
    """The matrix and the centre by which a panel mixes its features, A (f - centre), in float64; None where nothing is mixed."""
    if isinstance(encoder, SFCNPanel) and encoder.normalised:
        return encoder.mixing.double(), encoder.centre.double()
    return None


def folded(convolution: nn.Conv3d, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that gives what a convolution and the batch norm after it give in evaluation.

    w' = w s and b' = (b - mean) s + shift with s = scale / sqrt(variance + epsilon), worked out in float64.

    Example:
        >>> convolution, norm = nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2).eval()
        >>> weight, bias = folded(convolution, norm)
        >>> bool(torch.allclose(weight, convolution.weight, rtol=1e-4))
        True
    """
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    slope = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    before = 0.0 if convolution.bias is None else convolution.bias.double()
    weight = convolution.weight.double() * slope.reshape(-1, 1, 1, 1, 1)
    bias = (before - norm.running_mean.double()) * slope + norm.bias.double()
    return weight.to(convolution.weight.dtype).detach(), bias.to(convolution.weight.dtype).detach()


def _weighted(convolution: nn.Conv3d, norm: nn.Module, rule: Rule) -> Weighted:
    assert isinstance(convolution.padding, tuple)
    if convolution.groups != 1 or set(convolution.dilation) != {1}:
        raise InputError("layer-wise relevance propagation takes no convolutions with groups or gaps")
    return Weighted(*folded(convolution, norm), rule, convolution.stride, convolution.padding)


def _sfcn(encoder: SFCN, composite: Composite) -> Layer:
    blocks = []
    for place, block in enumerate(encoder.blocks):
        assert isinstance(block, PooledBlock)
        rule = composite.convolutions if place or composite.first is None else composite.first
        blocks.append(Chain([_weighted(*block.first_layers(), rule), Rectified(), Pooled(2, 2)]))
    top, norm = encoder.top[0], encoder.top[1]
    assert isinstance(top, nn.Conv3d)
    head = Chain([_weighted(top, norm, composite.convolutions), Rectified(), GlobalPool(encoder.pooling)])
    return Joined(blocks, head, encoder.joined)


def _resnet(body: Any, composite: Composite) -> Layer:
    """A residual network of MONAI, ReLU after every sum."""
    layers: list[Layer] = [_weighted(body.conv1, body.bn1, composite.first or composite.convolutions), Rectified()]
    if not body.no_max_pool:
        layers.append(Pooled(body.maxpool.kernel_size, body.maxpool.stride, body.maxpool.padding))
    for stage in (body.layer1, body.layer2, body.layer3, body.layer4):
        layers += [each for block in stage for each in (_residual(block, composite.convolutions), Rectified())]
    return Chain([*layers, GlobalPool("average")])


def _residual(block: Any, rule: Rule) -> Layer:
    inner: list[Layer] = []
    depth = 3 if hasattr(block, "conv3") else 2
    for number in range(1, depth + 1):
        inner.append(_weighted(getattr(block, f"conv{number}"), getattr(block, f"bn{number}"), rule))
        inner += [Rectified()] if number < depth else []
    side: list[Layer] = [] if block.downsample is None else [_weighted(block.downsample[0], block.downsample[1], rule)]
    return Residual(Chain(inner), Chain(side), rule)


def _name(encoder: nn.Module) -> str:
    body = encoder.body if isinstance(encoder, VolumetricEncoder) else encoder
    return type(body).__name__
