"""Scans as points of a plane: principal components, and UMAP where it is installed; the same points every time."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.seeding import integer_seed
from neurotransfer.statistics.standardise import standardiser

NEIGHBOURS = 15


@dataclass(frozen=True)
class Plane:
    """Points (n, 2) by a `method`, and what its two `axes` are, in words."""

    method: str
    points: np.ndarray
    axes: tuple[str, str]


def principal_plane(features: np.ndarray) -> Plane:
    """The first two principal components of standardised features (n, p); the largest weight of each is positive.

    Raises:
        InputError: for fewer than three rows.

    Example:
        >>> found = principal_plane(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
        >>> found.points[:, 0].round(3).tolist(), found.axes[0]
        ([-1.732, 0.0, 1.732], 'component 1 (100 % of the variance)')
    """
    if len(features) < 3:
        raise InputError(f"a map needs three scans or more, got {len(features)}")
    mean, scale = standardiser(np.asarray(features, float))
    left, strengths, axes = np.linalg.svd((features - mean) / scale, full_matrices=False)
    if len(strengths) < 2:
        left, strengths, axes = (
            np.pad(left, ((0, 0), (0, 1))),
            np.pad(strengths, (0, 1)),
            np.pad(axes, ((0, 1), (0, 0))),
        )
    signs = np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(1)])
    shares = strengths[:2] ** 2 / max(float((strengths**2).sum()), 1e-300)
    names = tuple(
        f"component {place + 1} ({share:.0%} of the variance)".replace("%", " %") for place, share in enumerate(shares)
    )
    return Plane("PCA", left[:, :2] * strengths[:2] * np.where(signs == 0, 1, signs), names)  # type: ignore[arg-type]


def neighbour_plane(features: np.ndarray, seed: int = 0) -> Plane | None:
    """The plane of UMAP (McInnes et al. 2018) of standardised features (n, p), by its seed; None where umap-learn is not installed."""
    try:
        from umap import UMAP
    except ImportError:
        return None
    mean, scale = standardiser(np.asarray(features, float))
    chosen = integer_seed(seed, "umap") % 2**31
    reducer = UMAP(
        n_components=2, n_neighbors=min(NEIGHBOURS, len(features) - 1), random_state=chosen, n_jobs=1, init="pca"
    )
    points = reducer.fit_transform((features - mean) / scale)
    return Plane("UMAP", np.asarray(points, float), ("first axis (no unit)", "second axis (no unit)"))
