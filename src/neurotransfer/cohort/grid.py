"""The grid of a model-ready volume: shape and voxel size, in MNI152 coordinates."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError

BRAIN_CENTRE_MM = (0.0, -18.0, 10.0)


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a model-ready volume lie: RAS orientation, centred on the brain of MNI152.

    Raises:
        InputError: for a shape without three sides of 32 voxels or more, or a voxel size that is not positive.

    Example:
        >>> Grid((40, 48, 40), 4.0).affine[:3, 3].tolist()
        [-78.0, -112.0, -68.0]
    """

    shape: tuple[int, int, int] = (40, 48, 40)
    voxel_size_mm: float = 4.0

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 32 or any(side != int(side) for side in self.shape):
            raise InputError(f"a grid has three sides of 32 voxels or more, got {self.shape}")
        object.__setattr__(self, "shape", tuple(int(side) for side in self.shape))
        if not 0 < self.voxel_size_mm < np.inf:
            raise InputError(f"a voxel size is positive, got {self.voxel_size_mm!r} mm")

    @property
    def affine(self) -> np.ndarray:
        """Voxel indices to millimetres (4, 4)."""
        affine = np.diag([self.voxel_size_mm] * 3 + [1.0])
        middle = (np.array(self.shape) - 1) / 2
        affine[:3, 3] = np.array(BRAIN_CENTRE_MM) - self.voxel_size_mm * middle
        return affine
