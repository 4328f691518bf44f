"""How volumes are moved and blurred: shifts by whole voxels, affine and elastic in one interpolation, Gaussian blur."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def shifted(volumes: Tensor, voxels: np.ndarray) -> Tensor:
    """Volumes (n, 1, x, y, z) moved by whole voxels (n, 3); what comes in is 0.

    Example:
        >>> shifted(torch.arange(1.0, 4).reshape(1, 1, 3, 1, 1), np.array([[1, 0, 0]])).flatten()
        tensor([0., 1., 2.])
    """
    moved = torch.zeros_like(volumes)
    for source, goal, steps in zip(volumes, moved, voxels.tolist(), strict=True):
        for axis, (step, side) in enumerate(zip(steps, source.shape[1:], strict=True), start=1):
            kept = max(side - abs(step), 0)
            goal = goal.narrow(axis, min(max(step, 0), side), kept)
            source = source.narrow(axis, min(max(-step, 0), side), kept)
        goal.copy_(source)
    return moved


def warped(volumes: Tensor, affine: np.ndarray, elastic: np.ndarray) -> Tensor:
    """Volumes (n, 1, x, y, z) by linear interpolation at where each voxel comes from; 0 outside.

    A voxel at p from the centre comes from p + affine p + e(p), where the smooth displacement e (voxels) runs through
    `elastic` (n, 3, k, k, k) at k evenly spaced places along every axis, by Gaussian weights.

    Example:
        >>> halved, still = np.diag([-0.5, 0.0, 0.0])[None], np.zeros((1, 3, 5, 5, 5))
        >>> warped(torch.tensor([0.0, 1.0, 4.0]).reshape(1, 1, 3, 1, 1), halved, still).flatten()
        tensor([0.5000, 1.0000, 2.5000])
    """
    sides = volumes.shape[2:]
    matrix = torch.from_numpy(affine + np.eye(3)).float().to(volumes.device)
    places = [torch.arange(side, device=volumes.device) - (side - 1) / 2 for side in sides]
    grid = torch.empty(len(volumes), *sides, 3, device=volumes.device)
    bend = _smooth(torch.from_numpy(elastic).float().to(volumes.device), sides) if elastic.any() else None
    for axis, side in enumerate(sides):
        x, y, z = (matrix[:, axis, other].reshape(-1, 1, 1, 1) for other in range(3))
        source = x * places[0].reshape(-1, 1, 1) + y * places[1].reshape(-1, 1) + z * places[2]
        if bend is not None:
            source += bend[:, axis]
        # grid_sample counts from -1 to 1, and its last axis first
        grid[..., 2 - axis] = source.mul_(2 / max(side - 1, 1))
    return functional.grid_sample(volumes.float(), grid, padding_mode="zeros", align_corners=True)


def _smooth(coarse: Tensor, sides: torch.Size) -> Tensor:
    """Coarse displacements (n, 3, k, k, k) at every voxel: (n, 3, x, y, z)."""
    for side in sides:
        coarse = torch.tensordot(coarse, _weights(coarse.shape[2], side, coarse.device), dims=([2], [1]))
        # every product moves its axis to the end: after three of them they stand in order again
    return coarse


def _weights(coarse: int, side: int, device: torch.device) -> Tensor:
    """Gaussian weights (side, coarse), each row with sum of squares 1, so that displacements keep their spread."""
    apart = torch.linspace(0, coarse - 1, side, device=device)[:, None] - torch.arange(coarse, device=device)
    weights = torch.exp(-(apart**2))
    return weights / weights.square().sum(1, keepdim=True).sqrt()


def blurred(volumes: Tensor, sigmas: np.ndarray) -> Tensor:
    """Volumes (n, 1, x, y, z) under a Gaussian of their own standard deviation (n,), voxels.

    Along every axis it is a product with a matrix, many times faster on a CPU than a convolution with one channel; its rows
    sum to 1, so that a constant volume stays as it is up to its border.

    Example:
        >>> blurred(torch.tensor([0.0, 1.0, 0.0]).reshape(1, 1, 3, 1, 1), np.array([0.5])).flatten()
        tensor([0.1192, 0.7870, 0.1192])
    """
    found = volumes[:, 0].float()
    wide = torch.from_numpy(np.maximum(sigmas, 1e-3)).float().to(volumes.device).reshape(-1, 1, 1)
    x, y, z = (_gaussian(side, wide) for side in found.shape[1:])
    found = torch.matmul(x, found.flatten(2)).reshape(found.shape)
    found = torch.matmul(y[:, None], found)
    found = torch.matmul(found.flatten(1, 2), z.transpose(1, 2)).reshape(found.shape)
    return found[:, None]


def _gaussian(side: int, wide: Tensor) -> Tensor:
    """Weights (n, side, side) of every voxel of a line for every other, for standard deviations (n, 1, 1)."""
    places = torch.arange(side, device=wide.device, dtype=wide.dtype)
    weights = torch.exp(-0.5 * ((places[:, None] - places) / wide) ** 2)
    # numbers that are nearly zero would make the product many times slower
    weights = torch.where(weights < 1e-6, 0.0, weights)
    return weights / weights.sum(2, keepdim=True)
