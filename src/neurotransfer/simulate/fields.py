"""Smooth fields through knots: how values at few places become values everywhere, and displacements without folds."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurotransfer.seeding import stream
from neurotransfer.simulate.atlas import FIELD_MM

# of the Gaussian that joins knots, in distances between knots
KNOT_SIGMA = 0.55
BANK = 2**22
SQUARINGS = 2

Spread = tuple[Tensor, Tensor, Tensor]


class Bank:
    """Four million standard normal numbers, the same on every machine and device; fields are runs of them.

    A run begins where a head's own generator says: heads are independent up to a run of one overlapping that of another,
    and numbers need not be drawn one by one.

    Example:
        >>> bank = Bank(torch.device("cpu"))
        >>> bank.take(np.array([0.0, 0.5]), (3, 4)).shape
        torch.Size([2, 3, 4])
    """

    def __init__(self, device: torch.device) -> None:
        self.numbers = _bank().to(device)

    def take(self, places: np.ndarray, shape: tuple[int, ...]) -> Tensor:
        """Numbers (n, *shape); a place from 0 to 1 says where the run of a head begins."""
        length = int(np.prod(shape))
        starts = (places * (BANK - length)).astype(int).tolist()
        return torch.stack([self.numbers[start : start + length] for start in starts]).reshape(len(starts), *shape)


@lru_cache(maxsize=1)
def _bank() -> Tensor:
    return torch.from_numpy(stream(0, "bank of normal numbers").standard_normal(BANK, np.float32))


def spread(knots: tuple[int, int, int], places: list[np.ndarray], centre: tuple[float, ...]) -> Spread:
    """By how much every knot counts at places along x, y and z (millimetres): three matrices (places, knots), rows sum to 1.

    Example:
        >>> x, y, z = spread((3, 3, 3), [np.array([0.0])] * 3, (0.0, 0.0, 0.0))
        >>> bool(x[0, 1] > x[0, 0] == x[0, 2])
        True
    """
    found = []
    for count, at, middle, extent in zip(knots, places, centre, FIELD_MM, strict=True):
        position = (np.asarray(at) - middle + extent / 2) / extent * (count - 1)
        weights = np.exp(-0.5 * ((position[:, None] - np.arange(count)) / KNOT_SIGMA) ** 2)
        weights[weights < 1e-4] = 0
        found.append(torch.from_numpy((weights / np.maximum(weights.sum(1, keepdims=True), 1e-6)).astype(np.float32)))
    return found[0], found[1], found[2]


def everywhere(values: Tensor, weights: Spread) -> Tensor:
    """Values at knots (n, channels, kx, ky, kz) at all places: (n, channels, x, y, z)."""
    x, y, z = weights
    found = torch.matmul(y, torch.matmul(values, z.T))
    return torch.matmul(x, found.flatten(3)).reshape(*found.shape[:2], len(x), *found.shape[3:])


def exponential(velocity: Tensor) -> Tensor:
    """The displacement, in millimetres, of a flow along a velocity (n, 3, kx, ky, kz) for a unit of time.

    Scaling and squaring (Arsigny et al. 2006, MICCAI): the flow of a small part of the time, doubled twice, so that
    space is bent but, within reason, never folded.

    Example:
        >>> bool((exponential(torch.ones(1, 3, 4, 4, 4)) - 1).abs().max() < 1e-5)
        True
    """
    moved = velocity / 2**SQUARINGS
    sides = velocity.shape[2:]
    lines = [torch.linspace(-1, 1, side, device=velocity.device) for side in sides]
    base = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1)
    scale = torch.tensor([2 / extent for extent in FIELD_MM], device=velocity.device)
    for _ in range(SQUARINGS):
        at = (base + moved.permute(0, 2, 3, 4, 1) * scale).flip(-1)
        moved = moved + functional.grid_sample(moved, at, align_corners=True, padding_mode="border")
    return moved
