"""Fluid, grey and white matter of a brain that lies in MNI152: a mixture of three Gaussians with the average brain as prior."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from neurotransfer.cohort.mni import average_brain
from neurotransfer.cohort.volumes import laid_on
from neurotransfer.errors import ImageError

TISSUES = ("fluid", "grey", "white")
SPACING_MM = 2
PRIOR_BLUR_VOXELS = 1.0
PRIOR_FLOOR = 0.02
ROUNDS, CLOSE = 40, 1e-4
LEAST_VOXELS = 500


@dataclass(frozen=True, eq=False)
class Tissues:
    """Shares of tissue on the average brain's voxels of 2 mm.

    `shares` (3, x, y, z) are the probabilities of fluid, grey and white matter, zero outside the brain; `means` and
    `deviations` (3,) their brightness; `shrinkage` is how many mm3 of the scan lie in one mm3 of MNI152.
    """

    shares: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    shrinkage: float

    @property
    def volumes_mm3(self) -> np.ndarray:
        """Volume of every tissue in the scan's own millimetres (3,)."""
        return self.shares.sum(axis=(1, 2, 3), dtype=float) * SPACING_MM**3 * self.shrinkage


def find_tissues(voxels: np.ndarray, affine: np.ndarray, brain: np.ndarray, to_template: np.ndarray) -> Tissues:
    """Tissues of a scan (i, j, k) whose brain is known, laid on the average brain by `to_template` (4, 4).

    Expectation maximisation: p(tissue | voxel) is proportional to prior x N(value; mean, deviation), where the prior is
    the average brain's map, blurred by 2 mm because an affine transform leaves folds apart, and 0.02 at least.
    Ashburner and Friston 2005 (https://doi.org/10.1016/j.neuroimage.2005.02.018) is the same idea with a warp.

    Raises:
        ImageError: when next to nothing of the brain lies in MNI152.
    """
    average, place = average_brain(SPACING_MM), to_template @ affine
    inside = laid_on(brain.astype(np.float32), place, average.mask.shape, average.affine) > 0.5
    values = laid_on(np.where(brain, voxels, 0).astype(np.float32), place, average.mask.shape, average.affine)
    if inside.sum() < LEAST_VOXELS:
        raise ImageError(
            f"{int(inside.sum())} voxels of 2 mm of the brain lie in MNI152 (allowed: {LEAST_VOXELS} or more), too few to tell "
            "tissues apart; is its mask right, and is it registered?"
        )
    prior, found = _priors()[:, inside], values[inside].astype(np.float64)
    chance, means, deviations = _mixture(found, prior)
    shares = np.zeros((3, *inside.shape), np.float32)
    shares[:, inside] = chance
    return Tissues(shares, means, deviations, abs(float(np.linalg.det(np.linalg.inv(to_template)[:3, :3]))))


@lru_cache(maxsize=1)
def _priors() -> np.ndarray:
    average = average_brain(SPACING_MM)
    blurred = np.stack(
        [ndimage.gaussian_filter(share, PRIOR_BLUR_VOXELS) for share in (average.fluid, average.grey, average.white)]
    )
    blurred = np.maximum(blurred, PRIOR_FLOOR)
    return blurred / blurred.sum(0)


def _mixture(values: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    spread = max(float(values.std()), 1e-12)
    chance, means, deviations = prior, np.zeros(3), np.ones(3)
    for _ in range(ROUNDS):
        weight = chance.sum(1) + 1e-12
        before = means
        means = (chance @ values) / weight
        deviations = np.sqrt(
            np.maximum((chance * (values - means[:, None]) ** 2).sum(1) / weight, (0.01 * spread) ** 2)
        )
        logarithm = (
            np.log(prior) - 0.5 * ((values - means[:, None]) / deviations[:, None]) ** 2 - np.log(deviations)[:, None]
        )
        chance = np.exp(logarithm - logarithm.max(0))
        chance /= chance.sum(0)
        if np.abs(means - before).max() < CLOSE * spread:
            break
    return chance, means, deviations


def tissue_masks(tissues: Tissues, affine: np.ndarray, shape: tuple[int, ...], to_template: np.ndarray) -> np.ndarray:
    """Voxels of a scan that surely are one tissue (3, i, j, k) bool: its share is above 0.85, as MRIQC takes it."""
    average = average_brain(SPACING_MM)
    back = np.linalg.inv(to_template) @ average.affine
    return np.stack([laid_on(share, back, shape, affine) > 0.85 for share in tissues.shares])
