"""The Simple Fully Convolutional Network of Peng et al. (2021, Medical Image Analysis 68:101871), as an encoder."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurotransfer.errors import InputError, unknown
from neurotransfer.models import fused

FILTERS = (32, 64, 128, 256, 256)
FEATURES = 64
SMALLEST_SIDE = 2 ** len(FILTERS)
POOLINGS = ("average", "maximum")
EPSILON = 1e-5


class SFCN(nn.Module):
    """Five blocks [3x3x3 convolution, batch norm, ReLU, 2x2x2 maximum pool], then 1x1x1 convolution and global pooling.

    `width` multiplies every number of filters (1 gives 32, 64, 128, 256, 256 and 64 features, 2,950,336 parameters);
    `pooling` is `average` (the single-task models of 2022) or `maximum` (the multi-task model); `dropout` acts on the
    features. `joined` puts the mean maps of that many of the last blocks before the features of the top, because what is seen at
    several scales predicts more from few people than the top alone (1 gives 320 features, 3 give 704). Any input
    (n, 1, x, y, z) with sides of 32 voxels or more gives features (n, n_features).

    Networks that others have trained need three things more. `epsilon` is added to the variances of the batch norms (1e-3 in
    Keras). Volumes are multiplied by `unit`, which the filters of the first block take over. `filters` gives the numbers of
    filters of the five blocks and the number of features in place of those that `width` multiplies.

    Raises:
        InputError: with all that cannot be of its arguments; for a small input.

    Example:
        >>> import torch
        >>> SFCN(width=0.125)(torch.zeros(2, 1, 32, 40, 32)).shape
        torch.Size([2, 8])
    """

    def __init__(
        self, width: float = 1.0, pooling: str = "average", dropout: float = 0.0, joined: int = 0, epsilon: float = EPSILON,
        unit: float = 1.0, filters: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        if pooling not in POOLINGS:
            raise InputError(unknown("pooling of sfcn", pooling, POOLINGS))
        if not 0 < width < float("inf") or not 0 <= dropout < 1:
            raise InputError(
                f"sfcn takes a finite width > 0 and 0 <= dropout < 1, got width {width!r} and dropout {dropout!r}"
            )
        if joined not in range(len(FILTERS) + 1):
            raise InputError(f"sfcn joins 0 to {len(FILTERS)} of its last blocks, got {joined!r}")
        if not 0 < epsilon < float("inf") or not 0 < unit < float("inf"):
            raise InputError(f"sfcn takes a finite epsilon and unit > 0, got epsilon {epsilon!r} and unit {unit!r}")
        super().__init__()
        *counts, n_top = _counts(width, filters)
        self.n_features = n_top + sum(counts[len(counts) - joined :])
        pairs = enumerate(zip([1, *counts[:-1]], counts, strict=True))
        self.blocks = nn.Sequential(
            *[PooledBlock(before, after, epsilon, 1.0 if place else unit) for place, (before, after) in pairs]
        )
        self.top = nn.Sequential(*_layers(counts[-1], n_top, 1, epsilon))
        self.pooling, self.joined = pooling, joined
        self.dropout = nn.Dropout(dropout)

    def forward(self, volumes: Tensor) -> Tensor:
        """Features (n, n_features) of volumes (n, 1, x, y, z)."""
        if volumes.ndim != 5 or min(volumes.shape[2:]) < SMALLEST_SIDE:
            raise InputError(
                f"sfcn takes volumes (n, 1, x, y, z) with sides of {SMALLEST_SIDE} voxels or more, got {tuple(volumes.shape)}"
            )
        return self.after_first(self.blocks[0](volumes))

    def after_first(self, maps: Tensor) -> Tensor:
        """Features (n, n_features) of the maps that the first block gives."""
        found = [maps]
        for block in list(self.blocks)[1:]:
            found.append(block(found[-1]))
        top = self.top(found[-1]).float()
        features = top.mean((2, 3, 4)) if self.pooling == "average" else top.amax((2, 3, 4))
        means = [each.float().mean((2, 3, 4)) for each in found[len(found) - self.joined :]]
        return self.dropout(torch.cat([*means, features], 1) if means else features)

    def layer_groups(self) -> list[nn.Module]:
        """The parts with weights from input to output, for learning rates that differ by depth."""
        return [*self.blocks, self.top]


class PooledBlock(nn.Sequential):
    """3x3x3 convolution, batch norm, ReLU, 2x2x2 maximum pool; on a CPU all in one, see `neurotransfer.models.fused`.

    Example:
        >>> import torch
        >>> PooledBlock(1, 4)(torch.zeros(2, 1, 8, 8, 8)).shape
        torch.Size([2, 4, 4, 4, 4])
    """

    def __init__(self, before: int, after: int, epsilon: float = EPSILON, unit: float = 1.0) -> None:
        super().__init__(*_layers(before, after, 3, epsilon), nn.MaxPool3d(2))
        self.unit = unit

    def forward(self, volumes: Tensor) -> Tensor:
        """Maps (n, after, x // 2, y // 2, z // 2) of maps (n, before, x, y, z)."""
        convolution, norm = self.first_layers()
        if fused.fits(convolution, norm, volumes):
            return fused.block(convolution, norm, volumes)
        return super().forward(volumes if self.unit == 1 else volumes * self.unit)

    def first_layers(self) -> tuple[nn.Conv3d, nn.BatchNorm3d]:
        """The convolution and its batch norm; a unit is within the filters, by which gradients reach the weights."""
        convolution, norm = self[0], self[1]
        assert isinstance(convolution, nn.Conv3d)
        assert isinstance(norm, nn.BatchNorm3d)
        if self.unit == 1:
            return convolution, norm
        scaled = copy.copy(convolution)
        # a shallow copy has the dictionary of the weights in common with the module: it gets one of its own
        vars(scaled)["_parameters"] = {"weight": convolution.weight * self.unit, "bias": convolution.bias}
        return scaled, norm


def _counts(width: float, filters: Sequence[int] | None) -> list[int]:
    """The filters of every block, and the features."""
    if filters is None:
        return [max(1, round(width * count)) for count in (*FILTERS, FEATURES)]
    counts = [count for count in filters if isinstance(count, int) and not isinstance(count, bool) and count > 0]
    if width != 1 or len(counts) != len(filters) or len(counts) != len(FILTERS) + 1:
        raise InputError(
            f"sfcn takes filters as {len(FILTERS) + 1} whole numbers above zero, and either them or a width, got filters "
            f"{list(filters)!r} and width {width!r}"
        )
    return counts


def _layers(before: int, after: int, kernel: int, epsilon: float) -> list[nn.Module]:
    return [nn.Conv3d(before, after, kernel, padding=kernel // 2), nn.BatchNorm3d(after, eps=epsilon), nn.ReLU()]
