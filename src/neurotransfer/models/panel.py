"""Several SFCN that look at the same head, and at its mirror image: features that depend less on how one training went."""

import torch
from torch import Tensor, nn

from neurotransfer.errors import InputError
from neurotransfer.models.fused import unrounded
from neurotransfer.models.sfcn import SFCN

LEFT_RIGHT = 2


class SFCNPanel(nn.Module):
    """The features of `members` SFCN of one kind, side by side: (n, members * n_features of one).

    `mirrored` gives, when the panel is evaluated, the mean of the features of a head and of its left-right mirror image:
    what both sides have in common is seen twice, and what tells them apart is lost. In training the head alone is looked at.
    `normalised` says that features are moved and mixed by the buffers `centre` and `mixing`, A (f - centre); see
    `within_person_normaliser`. Until they are set, features stay as they are. Everything else is an argument of `SFCN`.

    Raises:
        InputError: for less than one member, and as `SFCN`.

    Example:
        >>> panel, volumes = SFCNPanel(members=2, width=0.125, joined=1).eval(), torch.rand(1, 1, 32, 32, 32)
        >>> panel(volumes).shape, bool((panel(volumes) - panel(volumes.flip(2))).abs().max() < 1e-5)
        (torch.Size([1, 80]), True)
    """

    centre: Tensor
    mixing: Tensor

    def __init__(
        self, members: int = 1, mirrored: bool = True, width: float = 1.0, pooling: str = "average", dropout: float = 0.0,
        joined: int = 0, normalised: bool = False,
    ) -> None:  # fmt: skip
        if isinstance(members, bool) or not isinstance(members, int) or members < 1:
            raise InputError(f"a panel has one member or more, got {members!r}")
        super().__init__()
        self.members = nn.ModuleList(SFCN(width, pooling, dropout, joined) for _ in range(members))
        self.mirrored, self.normalised = mirrored, normalised
        self.n_features = sum(member.n_features for member in self.members)  # type: ignore[misc]
        if normalised:
            self.register_buffer("centre", torch.zeros(self.n_features))
            self.register_buffer("mixing", torch.eye(self.n_features))

    def forward(self, volumes: Tensor) -> Tensor:
        """Features (n, n_features) of volumes (n, 1, x, y, z)."""
        features = torch.cat([member(volumes) for member in self.members], 1)
        if self.mirrored and not self.training:
            other = volumes.flip(LEFT_RIGHT)
            features = (features + torch.cat([member(other) for member in self.members], 1)) / 2
        if not self.normalised:
            return features
        # differences of large numbers: half the digits would not do
        with unrounded(features.device):
            return (features.to(self.mixing.dtype) - self.centre) @ self.mixing.T

    def layer_groups(self) -> list[nn.Module]:
        """The parts with weights from input to output, those of all members at one depth together."""
        depths = zip(*[member.layer_groups() for member in self.members], strict=True)  # type: ignore[operator]
        return [nn.ModuleList(parts) for parts in depths]
