"""How much of a map lies in the head, and in which region of the brain."""

from functools import lru_cache

import numpy as np

from neurotransfer.cohort.regions import ONE_SIDED, nearest_region


def share_inside(values: np.ndarray, inside: np.ndarray) -> float:
    """The share of absolute values (x, y, z) inside a mask, 0 to 1; NaN for a map of zeros.

    Example:
        >>> share_inside(np.array([1.0, -3.0]), np.array([True, False]))
        0.25
    """
    size = np.abs(values)
    whole = float(size.sum(dtype=float))
    return float(size[inside].sum(dtype=float)) / whole if whole > 0 else float("nan")


def region_shares(values: np.ndarray, inside: np.ndarray, to_mni: np.ndarray) -> dict[str, float]:
    """The share of the absolute values inside the head that lies in each region, left and right together; they add up to 1.

    A voxel belongs to the region whose centre is nearest, see `neurotransfer.cohort.regions`.

    Args:
        values: a map (x, y, z).
        inside: of the head (x, y, z) bool.
        to_mni: (4, 4), voxels to millimetres of MNI152.
    """
    numbers = _regions(tuple(values.shape), to_mni.tobytes())
    sums = np.bincount(numbers[inside], np.abs(values)[inside].astype(float), len(ONE_SIDED) + 1)[1:]
    whole = sums.sum()
    return {
        name: float(part / whole) if whole > 0 else float("nan") for name, part in zip(ONE_SIDED, sums, strict=True)
    }


def region_sizes(inside: np.ndarray, to_mni: np.ndarray) -> dict[str, float]:
    """The share of the voxels of a head in each region: what a map without knowledge has there."""
    return region_shares(np.ones(inside.shape), inside, to_mni)


@lru_cache(maxsize=4)
def _regions(shape: tuple[int, ...], affine: bytes) -> np.ndarray:
    matrix = np.frombuffer(affine).reshape(4, 4)
    places = np.tensordot(matrix[:3, :3], np.indices(shape, dtype=np.float32), 1) + matrix[:3, 3].reshape(3, 1, 1, 1)
    places[0] = np.abs(places[0])
    return nearest_region(places, ONE_SIDED)
