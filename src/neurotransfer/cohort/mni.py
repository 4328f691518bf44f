"""The average brain MNI152 (2009a, nonlinear, symmetric) that nilearn carries: nothing is downloaded."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from neurotransfer.cohort.volumes import laid_on

SPACE = "MNI152NLin2009aSym"
ROUGH = 3


@dataclass(frozen=True, eq=False)
class AverageBrain:
    """Maps of the average brain on one grid, RAS.

    `t1` is its T1-weighted image without skull (0 to 1, zero outside the brain), `fluid`, `grey` and `white` the share of
    each tissue (0 to 1), `mask` what is brain (bool); all (x, y, z). `affine` (4, 4) gives millimetres.
    """

    t1: np.ndarray
    fluid: np.ndarray
    grey: np.ndarray
    white: np.ndarray
    mask: np.ndarray
    affine: np.ndarray

    @property
    def litres(self) -> float:
        """The volume of the brain."""
        return float(self.mask.sum()) * abs(float(np.linalg.det(self.affine[:3, :3]))) / 1e6


@lru_cache(maxsize=2)
def average_brain(voxel_size_mm: int = 1) -> AverageBrain:
    """The average brain at a voxel size of 1, 2 or more millimetres; a second or two the first time.

    Fluid is what the brain mask leaves of grey and white matter.

    Example:
        >>> round(average_brain(2).litres, 2)
        1.88
    """
    from nilearn import datasets

    brain = datasets.load_mni152_brain_mask(resolution=voxel_size_mm)
    mask = brain.get_fdata(dtype=np.float32)
    grey = datasets.load_mni152_gm_template(resolution=voxel_size_mm).get_fdata(dtype=np.float32) * mask
    white = datasets.load_mni152_wm_template(resolution=voxel_size_mm).get_fdata(dtype=np.float32) * mask
    # nilearn's template goes on for a voxel or two beyond its own mask
    t1 = datasets.load_mni152_template(resolution=voxel_size_mm).get_fdata(dtype=np.float32) * (mask > 0.5)
    fluid = np.clip(mask - grey - white, 0, 1)
    return AverageBrain(t1, fluid, grey, white, mask > 0.5, np.asarray(brain.affine, float))


def overlap_of(brain: np.ndarray, affine: np.ndarray, to_template: np.ndarray | None = None) -> float:
    """The Dice coefficient of a brain mask (i, j, k) with that of the average brain, 0 to 1.

    Args:
        brain: the mask.
        affine: (4, 4), its voxels to millimetres.
        to_template: (4, 4), its millimetres to those of MNI152; the same when not given.

    Example:
        >>> average = average_brain(2)
        >>> overlap_of(average.mask, average.affine)
        1.0
    """
    average = average_brain(2)
    place = affine if to_template is None else to_template @ affine
    moved = laid_on(brain.astype(np.float32), place, average.mask.shape, average.affine) > 0.5
    return float(2 * (moved & average.mask).sum() / (moved.sum() + average.mask.sum()))


def rough_overlap_of(brain: np.ndarray, affine: np.ndarray) -> float:
    """As `overlap_of`, a hundred times faster: looked up at places 6 mm apart, right to about 0.01.

    Example:
        >>> average = average_brain(2)
        >>> rough_overlap_of(average.mask, average.affine)
        1.0
    """
    average = average_brain(2)
    places = np.indices(average.mask.shape)[:, ::ROUGH, ::ROUGH, ::ROUGH].reshape(3, -1)
    wanted = average.mask[::ROUGH, ::ROUGH, ::ROUGH].ravel()
    to_voxels = np.linalg.inv(affine) @ average.affine
    indices = np.rint(to_voxels[:3, :3] @ places + to_voxels[:3, 3:]).astype(int)
    inside = ((indices >= 0) & (indices < np.reshape(brain.shape, (3, 1)))).all(0)
    found = np.zeros(len(wanted), bool)
    found[inside] = brain[tuple(indices[:, inside])]
    return float(2 * (found & wanted).sum() / (found.sum() + wanted.sum()))
