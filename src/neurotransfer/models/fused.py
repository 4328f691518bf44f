"""A block [3x3x3 convolution, batch norm, ReLU, 2x2x2 maximum pool] on a CPU, with an eighth of the passes over memory.

On a CPU the convolutions of a network on volumes are quick and everything around them waits for memory. ReLU and a batch
norm with positive scale keep the order of their inputs, so that pooling may come first, and all that follows works on an
eighth of the voxels; only the statistics and one term of the gradient need the whole. A negative scale is turned positive
by the sign of the filter. The first block goes further: its filters become one matrix product with patches of 4x4x4
voxels, slab by slab, so that its output, the largest array of the network, is never stored, and its statistics come from
the second moments of the patches.

The outputs and gradients are those of the modules one after another, up to rounding; where a condition does not hold
(another device, sides that are odd in the first block, a synchronised batch norm), the modules are used.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurotransfer.models.stem import KERNEL, PATCH, Stem, lattice_of, moments_of, statistics_of, sums_of, taps


def fits(convolution: nn.Conv3d, norm: nn.Module, volumes: Tensor) -> bool:
    """Whether a block can be run here: on the CPU, a plain batch norm, filters of 3x3x3 with padding 1 and no gaps."""
    plain = (convolution.kernel_size, convolution.padding, convolution.stride, convolution.dilation)
    return (
        volumes.device.type == "cpu"
        and type(norm) is nn.BatchNorm3d
        and plain == ((3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1))
        and convolution.groups == 1
        and (norm.training is False or volumes[:, 0].numel() > 1)
    )


def unrounded(device: torch.device) -> AbstractContextManager[object]:
    """A context without the engine's lower precision."""
    # where shapes alone are worked out there is no precision to lower
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


class PreciseConv3d(nn.Conv3d):
    """A convolution that is computed in the precision of its weights, also under autocast."""

    def forward(self, volumes: Tensor) -> Tensor:
        """Maps of volumes, in the type of the weights."""
        with unrounded(volumes.device):
            return super().forward(volumes.to(self.weight.dtype))


def block(convolution: nn.Conv3d, norm: nn.BatchNorm3d, volumes: Tensor) -> Tensor:
    """The pooled activations (n, C, x // 2, y // 2, z // 2) of volumes (n, B, x, y, z); running statistics move in training.

    Args:
        convolution: that `fits`.
        norm: the batch norm after it.
        volumes: the input.

    Example:
        >>> volumes = torch.rand(2, 1, 8, 8, 8)
        >>> convolution, norm = nn.Conv3d(1, 3, 3, padding=1), nn.BatchNorm3d(3)
        >>> found = block(convolution, norm, volumes)
        >>> expected = functional.max_pool3d(functional.relu(norm(convolution(volumes))), 2)
        >>> bool(torch.allclose(found, expected, atol=1e-5))
        True
    """
    if is_stem(volumes):
        return stems([(convolution, norm)], volumes)[0]
    weight, bias, scale, sign = _upright(convolution, norm)
    kind = _kind(convolution)
    with torch.autocast("cpu", enabled=False):
        return _block(norm, volumes.to(kind), weight, bias, scale, sign, kind)


def _upright(convolution: nn.Conv3d, norm: nn.BatchNorm3d) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Filters, bias and scale with the sign of a negative scale moved into the filters; the signs, None without any."""
    weight, bias, scale = convolution.weight, convolution.bias, norm.weight
    assert bias is not None
    if not bool((scale < 0).any()):
        return weight, bias, scale, None
    sign = torch.where(scale.detach() < 0, -1.0, 1.0).to(scale.dtype)
    return weight * sign.reshape(-1, 1, 1, 1, 1), bias * sign, scale * sign, sign


def _kind(convolution: nn.Conv3d) -> torch.dtype:
    autocast = torch.is_autocast_enabled("cpu") and not isinstance(convolution, PreciseConv3d)
    return torch.get_autocast_dtype("cpu") if autocast else convolution.weight.dtype


def is_stem(volumes: Tensor) -> bool:
    """Whether volumes can go through the matrix product of the first block: one channel, even sides, no gradient wanted."""
    return volumes.shape[1] == 1 and not any(side % 2 for side in volumes.shape[2:]) and not volumes.requires_grad


def _block(
    norm: nn.BatchNorm3d, volumes: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, sign: Tensor | None, kind: torch.dtype
) -> Tensor:  # fmt: skip
    before = _running_mean(norm, sign)
    # around its running mean an activation loses less to rounding; in training the bias itself moves nothing
    offset = (bias.detach() if norm.training else bias) - before
    maps = functional.conv3d(volumes, weight.to(kind), offset.to(kind), padding=1)
    if norm.training:
        with torch.no_grad():
            mean, variance = torch.batch_norm_update_stats(maps.detach(), None, None, 0.0)
            move_statistics(norm, mean + before, variance, maps.shape[0] * maps[0, 0].numel(), sign)
    else:
        mean, variance = torch.zeros_like(before), _running_variance(norm)
    return _NormPool.apply(maps, scale, norm.bias, mean, torch.rsqrt(variance + norm.eps), norm.training)


def _running_mean(norm: nn.BatchNorm3d, sign: Tensor | None) -> Tensor:
    assert norm.running_mean is not None
    return norm.running_mean.clone() if sign is None else norm.running_mean * sign


def move_statistics(
    norm: nn.BatchNorm3d, mean: Tensor, variance: Tensor, count: int, sign: Tensor | None = None
) -> None:
    """Move the running statistics of a batch norm as its own forward does.

    Args:
        norm: what has them.
        mean: of all voxels of a batch, (C,).
        variance: of them, without Bessel's correction, (C,).
        count: of the voxels.
        sign: by which the means are turned, (C,).
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    share = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)
    norm.running_mean.lerp_((mean if sign is None else mean * sign).to(norm.running_mean.dtype), share)
    norm.running_var.lerp_((variance * (count / (count - 1))).to(norm.running_var.dtype), share)


class _NormPool(torch.autograd.Function):
    """relu(norm(pool(maps))) for a positive scale."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        maps: Tensor,
        scale: Tensor,
        shift: Tensor,
        mean: Tensor,
        inverse: Tensor,
        training: bool,
    ) -> Tensor:
        pooled, places = functional.max_pool3d(maps, 2, return_indices=True)
        slope = scale * inverse
        out = torch.addcmul(_wide(shift - mean * slope, maps), pooled, _wide(slope, maps)).relu_()
        ctx.save_for_backward(maps, pooled, places, out, scale, mean, inverse)
        ctx.training = training  # type: ignore[attr-defined]
        return out

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        maps, pooled, places, out, scale, mean, inverse = ctx.saved_tensors  # type: ignore[attr-defined]
        passed = torch.ops.aten.threshold_backward(gradient, out, 0)
        rows = passed.permute(0, 2, 3, 4, 1).reshape(-1, len(scale))
        total, weighted = sums_of(rows, pooled.permute(0, 2, 3, 4, 1).reshape(-1, len(scale)))
        to_scale = (weighted - mean * total) * inverse
        slope = scale * inverse
        dense = torch.ops.aten.max_pool3d_with_indices_backward(
            passed * _wide(slope, maps), maps, [2] * 3, [2] * 3, [0] * 3, [1] * 3, False, places
        )
        if ctx.training:  # type: ignore[attr-defined]
            count = maps.shape[0] * maps[0, 0].numel()
            lean = _wide(-slope * inverse * to_scale / count, maps)
            dense.addcmul_(maps, lean).add_(_wide(-slope * total / count, maps) - lean * _wide(mean, maps))
        return dense, to_scale, total, None, None, None


def _wide(values: Tensor, maps: Tensor) -> Tensor:
    """Values a channel as (1, C, 1, 1, 1) in the type of the maps."""
    return values.to(maps.dtype).reshape(1, -1, 1, 1, 1)


def stems(pairs: Sequence[tuple[nn.Conv3d, nn.BatchNorm3d]], volumes: Tensor) -> list[Tensor]:
    """The first blocks of several networks on the same volumes in one matrix product, each as `block` gives it.

    Args:
        pairs: convolution and batch norm of every network, all in training or none.
        volumes: (n, 1, x, y, z) for which `is_stem`.
    """
    kind = torch.float32 if any(isinstance(pair[0], PreciseConv3d) for pair in pairs) else _kind(pairs[0][0])
    parts = [_upright(*pair) for pair in pairs]
    norms, counts = [pair[1] for pair in pairs], [len(part[2]) for part in parts]
    weight, bias, scale = (torch.cat([part[place] for part in parts]) for place in range(3))  # type: ignore[misc]
    with torch.autocast("cpu", enabled=False):
        if weight.dtype == torch.float64:
            kind = weight.dtype
        filters = torch.einsum("kot,ct->kco", taps(weight.dtype), weight.reshape(-1, KERNEL)).reshape(-1, PATCH)
        lattice = lattice_of(volumes.to(kind))
        shift = torch.cat([norm.bias for norm in norms])
        moments = moments_of(lattice, kind) if norms[0].training else None
        if moments is not None:
            with torch.no_grad():
                mean, variance = statistics_of(filters, *moments)
                rows = zip(norms, parts, (mean + bias).split(counts), variance.split(counts), strict=True)
                for norm, part, each_mean, each_variance in rows:
                    move_statistics(norm, each_mean, each_variance, volumes.numel(), part[3])
        else:
            mean = torch.cat([_running_mean(norm, part[3]) for norm, part in zip(norms, parts, strict=True)])
            variance = torch.cat([_running_variance(norm) for norm in norms])
        inverse = torch.rsqrt(
            variance + torch.cat([variance.new_full((n,), norm.eps) for n, norm in zip(counts, norms, strict=True)])
        )
        if moments is None:
            # the product leaves the bias out
            shift = shift + scale * inverse * bias
        return list(Stem.apply(filters, scale, shift, mean, inverse, lattice, moments).split(counts, dim=1))


def _running_variance(norm: nn.BatchNorm3d) -> Tensor:
    assert norm.running_var is not None
    return norm.running_var
