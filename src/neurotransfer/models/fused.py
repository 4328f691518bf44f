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

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

# patches of a slab times filters of a window: small enough for the caches of a core, large enough for its matrix unit
import os; SLAB_VOXELS = int(os.environ.get("SLAB","16384"))
WINDOW, PATCH, KERNEL = 8, 64, 27
# below zero by less than this never happens between bfloat16 or float32 numbers that differ, unless both are nearly zero
_EQUAL = -1e-30


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


def block(convolution: nn.Conv3d, norm: nn.BatchNorm3d, volumes: Tensor, precise: bool = False) -> Tensor:
    """The pooled activations (n, C, x // 2, y // 2, z // 2) of volumes (n, B, x, y, z); running statistics move in training.

    Args:
        convolution: that `fits`.
        norm: the batch norm after it.
        volumes: the input.
        precise: compute in the type of the weights, also under autocast.

    Example:
        >>> volumes = torch.rand(2, 1, 8, 8, 8)
        >>> convolution, norm = nn.Conv3d(1, 3, 3, padding=1), nn.BatchNorm3d(3)
        >>> found = block(convolution, norm, volumes)
        >>> expected = functional.max_pool3d(functional.relu(norm(convolution(volumes))), 2)
        >>> bool(torch.allclose(found, expected, atol=1e-5))
        True
    """
    weight, bias, scale = convolution.weight, convolution.bias, norm.weight
    assert bias is not None
    if bool((scale < 0).any()):
        sign = torch.where(scale.detach() < 0, -1.0, 1.0).to(scale.dtype)
        weight, bias, scale = weight * sign.reshape(-1, 1, 1, 1, 1), bias * sign, scale * sign
    else:
        sign = None
    autocast = torch.is_autocast_enabled("cpu") and not precise
    kind = torch.get_autocast_dtype("cpu") if autocast else weight.dtype
    with torch.autocast("cpu", enabled=False):
        if is_stem(volumes):
            return _stem(norm, volumes, weight, bias, scale, sign, kind)
        return _block(norm, volumes.to(kind), weight, bias, scale, sign, kind)


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
            _move(norm, mean + before, variance, maps.shape[0] * maps[0, 0].numel(), sign)
    else:
        mean, variance = torch.zeros_like(before), norm.running_var
    return _NormPool.apply(maps, scale, norm.bias, mean, torch.rsqrt(variance + norm.eps), norm.training)


def _running_mean(norm: nn.BatchNorm3d, sign: Tensor | None) -> Tensor:
    assert norm.running_mean is not None
    return norm.running_mean.clone() if sign is None else norm.running_mean * sign


def _move(norm: nn.BatchNorm3d, mean: Tensor, variance: Tensor, count: int, sign: Tensor | None) -> None:
    """Move the running statistics of a batch norm as its own forward does."""
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
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
        total, weighted = _sums(rows, pooled.permute(0, 2, 3, 4, 1).reshape(-1, len(scale)))
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


def _sums(gradients: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over rows (m, C) of gradients and of gradients * values, each (C,), in float32 or better."""
    kind = torch.promote_types(gradients.dtype, torch.float32)
    ones = torch.ones(1, min(len(gradients), SLAB_VOXELS), dtype=kind)
    total, weighted = (torch.zeros(1, gradients.shape[1], dtype=kind) for _ in range(2))
    for part, value in zip(gradients.split(SLAB_VOXELS), values.split(SLAB_VOXELS), strict=True):
        precise = part.to(kind)
        total.addmm_(ones[:, : len(part)], precise)
        weighted.addmm_(ones[:, : len(part)], precise * value)
    return total[0], weighted[0]


def _stem(
    norm: nn.BatchNorm3d, volumes: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, sign: Tensor | None, kind: torch.dtype
) -> Tensor:  # fmt: skip
    filters = torch.einsum("kot,ct->kco", _taps(weight.dtype), weight.reshape(-1, KERNEL)).reshape(-1, PATCH)
    lattice = _lattice(volumes.to(kind))
    moments = None
    if norm.training:
        with torch.no_grad():
            moments = _moments(lattice, kind)
            mean, variance = _statistics(filters, *moments)
            _move(norm, mean + (bias if sign is None else bias), variance, volumes.numel(), sign)
    else:
        assert norm.running_var is not None
        mean, variance = _running_mean(norm, sign), norm.running_var
    inverse = torch.rsqrt(variance + norm.eps)
    if not norm.training:
        # the product leaves the bias out
        return _Stem.apply(filters, scale, norm.bias + scale * inverse * bias, mean, inverse, lattice, moments)
    return _Stem.apply(filters, scale, norm.bias, mean, inverse, lattice, moments)


_TAPS: dict[torch.dtype, Tensor] = {}


def _taps(kind: torch.dtype) -> Tensor:
    """Which tap of a filter meets which voxel of a patch at which place of a window: (8, 64, 27), 0 or 1."""
    if kind not in _TAPS:
        taps = torch.zeros(WINDOW, PATCH, KERNEL, dtype=kind)
        for place, corner in enumerate(product((0, 1), repeat=3)):
            for tap, offset in enumerate(product(range(3), repeat=3)):
                at = [a + b for a, b in zip(corner, offset, strict=True)]
                shift, parity = ([f(side) for side in at] for f in (lambda side: side // 2, lambda side: side % 2))
                taps[place, 32 * shift[0] + 16 * shift[1] + 8 * shift[2] + 4 * parity[0] + 2 * parity[1] + parity[2], tap] = 1
        _TAPS[kind] = taps
    return _TAPS[kind]


def _lattice(volumes: Tensor) -> Tensor:
    """Volumes (n, 1, x, y, z) with a border of zeros, parted by even and odd: (2, 2, 2, n, x / 2 + 1, y / 2 + 1, z / 2 + 1)."""
    n, _, *sides = volumes.shape
    bordered = functional.pad(volumes[:, 0], (1,) * 6)
    halves = [size for side in sides for size in (side // 2 + 1, 2)]
    return bordered.reshape(n, *halves).permute(2, 4, 6, 0, 1, 3, 5).contiguous()


def _slabs(lattice: Tensor) -> list[tuple[int, int, int]]:
    """Image, first and last pooled x of every slab."""
    n, *sides = lattice.shape[3:]
    x, y, z = (side - 1 for side in sides)
    thick = max(1, SLAB_VOXELS // (y * z))
    return [(image, start, min(x, start + thick)) for image in range(n) for start in range(0, x, thick)]


def _patches(lattice: Tensor, image: int, start: int, end: int) -> Tensor:
    """The patches (64, m) of the m windows of a slab."""
    strides = lattice.stride()
    y, z = (side - 1 for side in lattice.shape[5:])
    shape = (2, 2, 2, 2, 2, 2, end - start, y, z)
    seen = lattice.as_strided(shape, (*strides[4:], *strides[:3], *strides[4:]), image * strides[3] + start * strides[4])
    return seen.reshape(PATCH, -1)


def _moments(lattice: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor, int]:
    """Sums over all windows of the patches (64,) and of their products (64, 64), in float32 or better, and their number."""
    wide = torch.promote_types(kind, torch.float32)
    total, products, count = torch.zeros(PATCH, dtype=wide), torch.zeros(PATCH, PATCH, dtype=wide), 0
    for slab in _slabs(lattice):
        patches = _patches(lattice, *slab).to(wide)
        total += patches.sum(1)
        products.addmm_(patches, patches.T)
        count += patches.shape[1]
    return total, products, count


def _statistics(filters: Tensor, total: Tensor, products: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) of all outputs of the filters (8 C, 64), from the moments of the patches."""
    precise = filters.double()
    mean = (precise @ total.double()).reshape(WINDOW, -1).sum(0) / (WINDOW * count)
    square = ((precise @ products.double()) * precise).sum(1).reshape(WINDOW, -1).sum(0) / (WINDOW * count)
    return mean.to(filters.dtype), (square - mean**2).clamp(min=0).to(filters.dtype)


class _Stem(torch.autograd.Function):
    """relu(norm(pool(filters * patches))) for a positive scale."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        filters: Tensor,
        scale: Tensor,
        shift: Tensor,
        mean: Tensor,
        inverse: Tensor,
        lattice: Tensor,
        moments: tuple[Tensor, Tensor, int] | None,
    ) -> Tensor:
        n, *sides = lattice.shape[3:]
        count = len(scale)
        pooled = torch.empty(n, *(side - 1 for side in sides), count, dtype=lattice.dtype)
        turned, places = filters.T.to(lattice.dtype, memory_format=torch.contiguous_format), []
        for image, start, end in _slabs(lattice):
            made = _patches(lattice, image, start, end).T @ turned
            highest, place = functional.max_pool2d(_windows(made, count), (1, WINDOW), return_indices=True)
            pooled[image, start:end].view(-1, count).copy_(highest.permute(0, 2, 3, 1).reshape(-1, count))
            places.append(place)
        slope = scale * inverse
        out = torch.addcmul((shift - mean * slope).to(pooled.dtype), pooled, slope.to(pooled.dtype)).relu_()
        ctx.save_for_backward(filters, scale, mean, inverse, lattice, pooled, out, *places)
        ctx.moments = moments  # type: ignore[attr-defined]
        return out.permute(0, 4, 1, 2, 3)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        filters, scale, mean, inverse, lattice, pooled, out, *places = ctx.saved_tensors  # type: ignore[attr-defined]
        count, slope = len(scale), scale * inverse
        passed = torch.ops.aten.threshold_backward(gradient.permute(0, 2, 3, 4, 1).contiguous(), out, 0)
        total, weighted = _sums(passed.view(-1, count), pooled.view(-1, count))
        products = torch.zeros(PATCH, len(filters), dtype=filters.dtype)
        for (image, start, end), place in zip(_slabs(lattice), places, strict=True):
            patches = _patches(lattice, image, start, end)
            products += patches @ _unpooled(passed[image, start:end].view(-1, count), place)
        to_scale = (weighted - mean * total) * inverse
        to_filters = products.T.reshape(WINDOW, count, PATCH) * slope[:, None]
        if ctx.moments is not None:  # type: ignore[attr-defined]
            sums, squares, windows = ctx.moments  # type: ignore[attr-defined]
            every = WINDOW * windows
            deviations = ((filters @ squares).reshape(WINDOW, count, PATCH) - mean[:, None] * sums) * inverse[:, None]
            to_filters -= (slope * total / every)[:, None] * sums + (slope * to_scale / every)[:, None] * deviations
        return to_filters.reshape(-1, PATCH), to_scale, total, None, None, None, None


def _windows(made: Tensor, count: int) -> Tensor:
    """Rows (m, 8 C) as one or two images (1 or 2, C, m or m / 2, 8) in channels-last memory."""
    # the gradient of a pool is parallel over images only
    images = 2 if len(made) % 2 == 0 else 1
    return made.view(images, -1, WINDOW, count).permute(0, 3, 1, 2)


def _unpooled(passed: Tensor, places: Tensor) -> Tensor:
    """The gradients (m, C) at the place of a window that gave its maximum, zero elsewhere: (m, 8 C)."""
    rows, count = passed.shape
    whole = _windows(passed.new_empty(rows, WINDOW * count), count)
    coming = passed.view(len(whole), -1, 1, count).permute(0, 3, 1, 2)
    made = torch.ops.aten.max_pool2d_with_indices_backward(
        coming, whole, [1, WINDOW], [1, WINDOW], [0, 0], [1, 1], False, places
    )
    return made.permute(0, 2, 3, 1).reshape(rows, -1)
