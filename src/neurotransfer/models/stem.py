"""The first block of a network on volumes as one matrix product with patches, see `neurotransfer.models.fused`.

A 2x2x2 window of outputs sees 4x4x4 voxels: its 8 outputs a filter are one product of 64 voxels with 8 shifted copies of
the filter. Volumes are parted by even and odd places first, which makes every patch a view.
"""

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

# patches of a slab times filters of a window: small enough for the caches of a core, large enough for its matrix unit
SLAB_VOXELS = 8192
WINDOW, PATCH, KERNEL = 8, 64, 27


def sums_of(gradients: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over rows (m, C) of gradients and of gradients * values, each (C,), in float32 or better."""
    kind = torch.promote_types(gradients.dtype, torch.float32)
    ones = torch.ones(1, min(len(gradients), SLAB_VOXELS), dtype=kind)
    total, weighted = (torch.zeros(1, gradients.shape[1], dtype=kind) for _ in range(2))
    for part, value in zip(gradients.split(SLAB_VOXELS), values.split(SLAB_VOXELS), strict=True):
        precise = part.to(kind)
        total.addmm_(ones[:, : len(part)], precise)
        weighted.addmm_(ones[:, : len(part)], precise * value)
    return total[0], weighted[0]


_TAPS: dict[torch.dtype, Tensor] = {}


def taps(kind: torch.dtype) -> Tensor:
    """Which tap of a filter meets which voxel of a patch at which place of a window: (8, 64, 27), 0 or 1."""
    if kind not in _TAPS:
        # made under inference mode it could never serve a gradient
        with torch.inference_mode(False):
            found = torch.zeros(WINDOW, PATCH, KERNEL, dtype=kind)
        for place, corner in enumerate(product((0, 1), repeat=3)):
            for tap, offset in enumerate(product(range(3), repeat=3)):
                at = [a + b for a, b in zip(corner, offset, strict=True)]
                shift, parity = ([f(side) for side in at] for f in (lambda side: side // 2, lambda side: side % 2))
                found[
                    place, 32 * shift[0] + 16 * shift[1] + 8 * shift[2] + 4 * parity[0] + 2 * parity[1] + parity[2], tap
                ] = 1
        _TAPS[kind] = found
    return _TAPS[kind]


def lattice_of(volumes: Tensor) -> Tensor:
    """Volumes (n, 1, x, y, z) with a border of zeros, parted by even and odd: (2, 2, 2, n, x / 2 + 1, y / 2 + 1, z / 2 + 1)."""
    n, _, *sides = volumes.shape
    bordered = functional.pad(volumes[:, 0], (1,) * 6)
    halves = [size for side in sides for size in (side // 2 + 1, 2)]
    return bordered.reshape(n, *halves).permute(2, 4, 6, 0, 1, 3, 5).contiguous()


def slabs(lattice: Tensor) -> list[tuple[int, int, int]]:
    """Image, first and last pooled x of every slab."""
    n, *sides = lattice.shape[3:]
    x, y, z = (side - 1 for side in sides)
    thick = max(1, SLAB_VOXELS // (y * z))
    return [(image, start, min(x, start + thick)) for image in range(n) for start in range(0, x, thick)]


def patches_of(lattice: Tensor, image: int, start: int, end: int) -> Tensor:
    """The patches (64, m) of the m windows of a slab."""
    strides = lattice.stride()
    y, z = (side - 1 for side in lattice.shape[5:])
    shape = (2, 2, 2, 2, 2, 2, end - start, y, z)
    seen = lattice.as_strided(
        shape, (*strides[4:], *strides[:3], *strides[4:]), image * strides[3] + start * strides[4]
    )
    return seen.reshape(PATCH, -1)


def moments_of(lattice: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor, int]:
    """Sums over all windows of the patches (64,) and of their products (64, 64), in float32 or better, and their number."""
    wide = torch.promote_types(kind, torch.float32)
    total, products, count = torch.zeros(PATCH, dtype=wide), torch.zeros(PATCH, PATCH, dtype=wide), 0
    for slab in slabs(lattice):
        patches = patches_of(lattice, *slab).to(wide)
        total += patches.sum(1)
        products.addmm_(patches, patches.T)
        count += patches.shape[1]
    return total, products, count


def statistics_of(filters: Tensor, total: Tensor, products: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) of all outputs of the filters (8 C, 64), from the moments of the patches."""
    precise = filters.double()
    mean = (precise @ total.double()).reshape(WINDOW, -1).sum(0) / (WINDOW * count)
    square = ((precise @ products.double()) * precise).sum(1).reshape(WINDOW, -1).sum(0) / (WINDOW * count)
    return mean.to(filters.dtype), (square - mean**2).clamp(min=0).to(filters.dtype)


class Stem(torch.autograd.Function):
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
        """Pooled activations (n, C, x / 2, y / 2, z / 2) of filters (8 C, 64) on a lattice."""
        n, *sides = lattice.shape[3:]
        count = len(scale)
        pooled = torch.empty(n, *(side - 1 for side in sides), count, dtype=lattice.dtype)
        turned, places = filters.T.to(lattice.dtype, memory_format=torch.contiguous_format), []
        for image, start, end in slabs(lattice):
            made = patches_of(lattice, image, start, end).T @ turned
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
        """Gradients of filters, scale and shift."""
        filters, scale, mean, inverse, lattice, pooled, out, *places = ctx.saved_tensors  # type: ignore[attr-defined]
        count, slope = len(scale), scale * inverse
        passed = torch.ops.aten.threshold_backward(gradient.permute(0, 2, 3, 4, 1).contiguous(), out, 0)
        total, weighted = sums_of(passed.view(-1, count), pooled.view(-1, count))
        products = torch.zeros(PATCH, len(filters), dtype=filters.dtype)
        for (image, start, end), place in zip(slabs(lattice), places, strict=True):
            patches = patches_of(lattice, image, start, end)
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
