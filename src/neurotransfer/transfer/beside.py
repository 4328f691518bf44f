"""What `auto` learns from where it trains networks beside heads: features and volumes of the same rows."""

from typing import Any

import numpy as np


class Beside:
    """Features (n, d) of a whole cohort, as heads take them, with the volumes (n, x, y, z) that networks beside them take.

    Example:
        >>> some = Beside(np.zeros((5, 3)), np.zeros((5, 8, 8, 8)))
        >>> some[np.array([0, 4])].shape, some.shape, some.volumes.shape
        ((2, 3), (5, 3), (5, 8, 8, 8))
    """

    def __init__(self, features: Any, volumes: Any) -> None:
        self.features, self.volumes = features, volumes
        self.shape, self.ndim, self.dtype, self.nbytes = features.shape, features.ndim, features.dtype, features.nbytes

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Any) -> np.ndarray:
        found: np.ndarray = self.features[rows]
        return found
