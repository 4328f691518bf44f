"""Encoders without anything to learn: tissue volumes, smoothed voxels, columns of the cohort table."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurotransfer.errors import InputError

TISSUES = ("cerebrospinal_fluid", "grey_matter", "white_matter")


class TissueVolumes(nn.Module):
    """Litres of dark, middle and bright tissue in a T1-weighted head without skull, by three-class k-means.

    Voxels above zero are clustered on their intensity (Lloyd's algorithm on a histogram of 128 bins, 20 rounds, started
    at the 10th, 50th and 90th percentile); the soft borders make it a rough stand-in for a segmentation, no more.
    `voxel_litres` is the volume of one voxel in litres. Volumes (n, 1, x, y, z) give (n, 4): three tissues and their sum.

    Example:
        >>> TissueVolumes(voxel_litres=1.0)(torch.tensor([0.0, 0.2, 0.2, 0.5, 0.9]).reshape(1, 1, 5, 1, 1))
        tensor([[2., 1., 1., 4.]])
    """

    n_features = len(TISSUES) + 1

    def __init__(self, voxel_litres: float) -> None:
        super().__init__()
        self.voxel_litres = voxel_litres

    def forward(self, volumes: Tensor) -> Tensor:
        """Litres (n, 4) of volumes (n, 1, x, y, z) with values from 0 (outside) to 1."""
        counts = torch.stack([_three_classes(volume.flatten()) for volume in volumes])
        return torch.cat([counts, counts.sum(1, keepdim=True)], 1) * self.voxel_litres


def _three_classes(voxels: Tensor, bins: int = 128, rounds: int = 20) -> Tensor:
    inside = voxels[voxels > 0].clamp(max=1.0)
    if not len(inside):
        return torch.zeros(3)
    histogram = torch.histc(inside, bins, 0.0, 1.0)
    middles = (torch.arange(bins) + 0.5) / bins
    centres = torch.quantile(inside[:: max(1, len(inside) // 100_000)], torch.tensor([0.1, 0.5, 0.9]))
    nearest = torch.zeros(bins, dtype=torch.long)
    for _ in range(rounds):
        nearest = (middles[:, None] - centres[None]).abs().argmin(1)
        mass = torch.zeros(3).index_add(0, nearest, histogram)
        moved = torch.zeros(3).index_add(0, nearest, histogram * middles) / mass.clamp(min=1)
        centres = torch.where(mass > 0, moved, centres)
    return torch.zeros(3).index_add(0, nearest, histogram)


class SmoothedVoxels(nn.Module):
    """Every voxel after Gaussian smoothing and thinning: what a linear model on the whole image sees.

    `sigma` is the standard deviation of the kernel (0: none) and `stride` the thinning, both in voxels. Volumes of the fixed
    `shape` (x, y, z) give (n, ceil(x / stride) * ceil(y / stride) * ceil(z / stride)).

    Raises:
        InputError: for a sigma below 0 or not finite, a stride below 1, or volumes of another shape.

    Example:
        >>> SmoothedVoxels(shape=(32, 32, 32))(torch.zeros(1, 1, 32, 32, 32)).shape
        torch.Size([1, 4096])
    """

    def __init__(self, shape: tuple[int, int, int], sigma: float = 1.0, stride: int = 2) -> None:
        if not 0 <= sigma < float("inf") or not stride >= 1:
            raise InputError(
                f"smoothed voxels take sigma >= 0 and stride >= 1, got sigma {sigma!r} and stride {stride!r}"
            )
        super().__init__()
        self.shape, self.stride = tuple(shape), stride
        radius = max(1, round(3 * sigma))
        kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / max(sigma, 1e-3)) ** 2)
        self.kernel = kernel / kernel.sum()
        self.n_features = 1
        for side in shape:
            self.n_features *= -(-side // stride)

    def forward(self, volumes: Tensor) -> Tensor:
        """Smoothed voxels (n, n_features) of volumes (n, 1, x, y, z)."""
        if tuple(volumes.shape[2:]) != self.shape:
            raise InputError(
                f"the voxels of a linear model are fixed: expected {self.shape}, got {tuple(volumes.shape[2:])}"
            )
        padding = len(self.kernel) // 2
        for axis in range(3):
            shape, pad = [1, 1, 1, 1, 1], [0, 0, 0]
            shape[axis + 2], pad[axis] = len(self.kernel), padding
            volumes = functional.conv3d(volumes, self.kernel.reshape(shape), padding=tuple(pad))
        return volumes[:, :, :: self.stride, :: self.stride, :: self.stride].flatten(1)


class Columns(nn.Module):
    """Columns of the cohort table (regional volumes, say) handed on as they are: (n, n_columns) gives the same.

    Example:
        >>> Columns(["hippocampus", "ventricles"])(torch.ones(1, 2))
        tensor([[1., 1.]])
    """

    def __init__(self, columns: list[str]) -> None:
        super().__init__()
        self.columns = list(columns)
        self.n_features = len(self.columns)

    def forward(self, values: Tensor) -> Tensor:
        """The values themselves."""
        return values
