"""Find the brain in a head, by deepbet; recognise a head whose skull was taken off already."""

from functools import lru_cache
from typing import Any

import numpy as np
from scipy import ndimage

from neurotransfer.cohort.images import bright_litres
from neurotransfer.cohort.orientation import orientation_of, reoriented
from neurotransfer.cohort.table import LARGEST_BRAIN_LITRES
from neurotransfer.errors import ImageError, is_no_memory

THRESHOLD = 0.5
# one volume of a whole brain is no less and no more than this, litres; else it is no brain that was found
BRAIN_LITRES = (0.3, 3.0)
LEAST_EMPTY, LEAST_LITRES = 0.2, 0.4
# how much of each other the voxels above zero and the brain that deepbet finds must be
LEAST_AGREEMENT = 0.85


@lru_cache(maxsize=1)
def _network() -> Any:
    from deepbet.bet import BrainExtraction

    return BrainExtraction(no_gpu=True)


def find_brain(voxels: np.ndarray, affine: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
    """The brain of a T1-weighted head as a mask (i, j, k) bool, by the networks of deepbet: one piece without holes.

    Fisch et al. 2024, https://doi.org/10.1016/j.compbiomed.2024.108845. Some seconds on one core.

    Args:
        voxels: (i, j, k), in any orientation.
        affine: (4, 4), which says where left, front and up are.
        threshold: of the probability that a voxel is brain.

    Raises:
        ImageError: when no brain is found.
    """
    import torch

    upright, upright_affine = reoriented(voxels, affine)
    try:
        with torch.inference_mode():
            probability = _network().run_model(np.clip(upright, 0, None).astype(np.float32))
    except (AssertionError, ValueError, IndexError, RuntimeError) as error:
        if is_no_memory(error):
            raise
        # its own ways to say that nothing looks like a brain
        probability = np.zeros(upright.shape, np.float32)
    mask = _one_piece(probability > threshold)
    if not mask.any():
        raise ImageError(
            "no brain was found; is it a T1-weighted scan of a whole head, and does its header say rightly where up is?"
        )
    return reoriented(mask, upright_affine, orientation_of(affine))[0]


def require_brain(brain: np.ndarray, voxel_mm3: float) -> None:
    """Refuse a mask that is not of the size of a brain, before much time or memory is spent on it.

    Raises:
        ImageError: with its volume and what is allowed.
    """
    litres = float(brain.sum()) * voxel_mm3 / 1e6
    if not BRAIN_LITRES[0] <= litres <= BRAIN_LITRES[1]:
        raise ImageError(
            f"the brain that was found fills {litres:.2f} litres (allowed: {BRAIN_LITRES[0]} to {BRAIN_LITRES[1]}); is it a whole "
            "head, are its voxel sizes right, and if it was declared to be without skull, is it?"
        )


def _one_piece(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask)
    if count > 1:
        mask = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return ndimage.binary_fill_holes(mask)


def seems_stripped(voxels: np.ndarray, affine: np.ndarray) -> bool:
    """Whether a scan (i, j, k), zero or more, looks as if its skull was taken off: emptiness around no more than a brain.

    That is: a fifth or more of its voxels are exactly zero, and what is brighter than a tenth of its brightest tissue fills
    0.4 to 2.3 litres.
    """
    if (voxels == 0).mean() < LEAST_EMPTY:
        return False
    return LEAST_LITRES <= bright_litres(voxels, affine) <= LARGEST_BRAIN_LITRES


def stripped_brain(voxels: np.ndarray) -> np.ndarray:
    """What is above zero in a scan without skull, in one piece without holes, (i, j, k) bool."""
    return _one_piece(voxels > 0)


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """The Dice coefficient of two masks of one shape, 0 to 1.

    Example:
        >>> agreement(np.array([True, True]), np.array([True, False])) == 2 / 3
        True
    """
    return float(2 * (one & other).sum() / max(one.sum() + other.sum(), 1))
