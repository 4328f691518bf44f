"""The Simple Fully Convolutional Network of Peng et al. (2021, Medical Image Analysis 68:101871), as an encoder."""

from torch import Tensor, nn

from neurotransfer.errors import InputError, unknown

FILTERS = (32, 64, 128, 256, 256)
FEATURES = 64
SMALLEST_SIDE = 2 ** len(FILTERS)
POOLINGS = ("average", "maximum")


class SFCN(nn.Module):
    """Five blocks [3x3x3 convolution, batch norm, ReLU, 2x2x2 maximum pool], then 1x1x1 convolution and global pooling.

    `width` multiplies every number of filters (1 gives 32, 64, 128, 256, 256 and 64 features, 2,950,336 parameters);
    `pooling` is `average` (the single-task models of 2022) or `maximum` (the multi-task model); `dropout` acts on the
    features. Any input (n, 1, x, y, z) with sides of 32 voxels or more gives features (n, n_features).

    Raises:
        InputError: for an unknown pooling, a width that is not positive and finite, a dropout outside [0, 1), or a small input.

    Example:
        >>> import torch
        >>> SFCN(width=0.125)(torch.zeros(2, 1, 32, 40, 32)).shape
        torch.Size([2, 8])
    """

    def __init__(self, width: float = 1.0, pooling: str = "average", dropout: float = 0.0) -> None:
        if pooling not in POOLINGS:
            raise InputError(unknown("pooling of sfcn", pooling, POOLINGS))
        if not 0 < width < float("inf") or not 0 <= dropout < 1:
            raise InputError(
                f"sfcn takes a finite width > 0 and 0 <= dropout < 1, got width {width!r} and dropout {dropout!r}"
            )
        super().__init__()
        filters = [max(1, round(width * count)) for count in FILTERS]
        self.n_features = max(1, round(width * FEATURES))
        pairs = zip([1, *filters[:-1]], filters, strict=True)
        self.blocks = nn.Sequential(*[_block(before, after, 3, pool=True) for before, after in pairs])
        self.top = _block(filters[-1], self.n_features, 1, pool=False)
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)

    def forward(self, volumes: Tensor) -> Tensor:
        """Features (n, n_features) of volumes (n, 1, x, y, z)."""
        if volumes.ndim != 5 or min(volumes.shape[2:]) < SMALLEST_SIDE:
            raise InputError(
                f"sfcn takes volumes (n, 1, x, y, z) with sides of {SMALLEST_SIDE} voxels or more, got {tuple(volumes.shape)}"
            )
        maps = self.top(self.blocks(volumes))
        pooled = maps.mean((2, 3, 4)) if self.pooling == "average" else maps.amax((2, 3, 4))
        return self.dropout(pooled)


def _block(before: int, after: int, kernel: int, pool: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv3d(before, after, kernel, padding=kernel // 2), nn.BatchNorm3d(after), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.MaxPool3d(2)] if pool else []))
