"""Encoders side by side: their features one after another, so that one linear head sees what each of them sees."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Several(nn.Module):
    """The features of several encoders of the same volumes, side by side: (n, the sum of their n_features).

    Encoders without weights (tissue, voxels) compute in full precision whatever the networks beside them do, so that each
    gives what it gives alone.

    Example:
        >>> from neurotransfer.models.fixed import SmoothedVoxels, TissueVolumes
        >>> several = Several([TissueVolumes(0.001), SmoothedVoxels((32, 32, 32), stride=8)])
        >>> several.sizes, several(torch.rand(2, 1, 32, 32, 32)).shape
        ((4, 64), torch.Size([2, 68]))
    """

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.sizes = tuple(int(part.n_features) for part in parts)  # type: ignore[arg-type]
        self.n_features = sum(self.sizes)

    def forward(self, volumes: Tensor) -> Tensor:
        """Features (n, n_features) of volumes (n, 1, x, y, z)."""
        sizes = zip(self.parts, self.sizes, strict=True)
        return torch.cat([self._features(part, size, volumes) for part, size in sizes], 1)

    def layer_groups(self) -> list[nn.Module]:
        """The parts with weights, each a group: no one trains them together."""
        return [part for part in self.parts if next(part.parameters(), None) is not None]

    def _features(self, part: nn.Module, size: int, volumes: Tensor) -> Tensor:
        if next(part.parameters(), None) is not None:
            return part(volumes).float()
        if volumes.device.type == "meta":
            # shapes alone are worked out, and clusters of brightness have no shape
            return volumes.new_zeros(len(volumes), size)
        with torch.autocast(volumes.device.type, enabled=False):
            # what has no weights does not move with the network either
            return part(volumes.cpu()).float().to(volumes.device)
