"""The steps that change how bright a scan is and leave its voxels where they are."""

import numpy as np

from neurotransfer.cohort.mni import average_brain
from neurotransfer.cohort.volumes import laid_on
from neurotransfer.errors import ImageError
from neurotransfer.prepare.scan import Scan, brain_in, place_of

# the brightest voxel of a head that FreeSurfer scaled is no less and no more
LEAST_TOP, LARGEST_BYTE = 60, 255
NOTHING = "brighter than zero; is the mask right, and does the scan lie where its header says?"


def white_to(scan: Scan, level: float) -> Scan:
    """Values scaled so that white matter has this level, as FreeSurfer does."""
    if "normalised" in scan.properties:
        _require_levels(scan)
        return scan.passed_over("white_to", "normalised before")
    average, place = average_brain(2), place_of(scan) @ scan.affine
    laid = laid_on(
        np.where(brain_in(scan), scan.voxels, 0).astype(np.float32), place, average.mask.shape, average.affine
    )
    inside = laid[(average.white > 0.9) & (laid > 0)]
    if len(inside) == 0:
        raise ImageError("no white matter lies where MNI152 has it; is it a whole brain, and is it registered?")
    white = float(np.median(inside))
    voxels = scan.voxels * np.float32(level / white)
    return scan.after("white_to", "normalised", facts={"From": round(white, 2), "To": level}, voxels=voxels)


def to_bytes(scan: Scan, percentile: float) -> Scan:
    """Values from 0 to 255: the lowest to 0, this percentile of those above zero to 255, rounded."""
    if "normalised" in scan.properties:
        _require_levels(scan)
        return scan.passed_over("to_bytes", "0 to 255 already")
    low = float(scan.voxels.min())
    high = _percentile(scan.voxels, percentile, max(low, 0.0))
    voxels = np.rint(np.clip((scan.voxels - low) * (255 / max(high - low, 1e-12)), 0, 255)).astype(np.float32)
    return scan.after("to_bytes", "normalised", facts={"High": round(high, 3)}, voxels=voxels)


def _require_levels(scan: Scan) -> None:
    """Refuse a scan that is said to be as FreeSurfer scales it and is not, before its rounding leaves nothing of it."""
    low, high = float(scan.voxels.min()), float(scan.voxels.max())
    if not LEAST_TOP <= high <= LARGEST_BYTE:
        raise ImageError(
            f"said to be normalised (0 to {LARGEST_BYTE}, as FreeSurfer has it), but its values go from {low:g} to {high:g}; do "
            "not declare it normalised"
        )


def divide(scan: Scan, by: float) -> Scan:
    """Divided by a number; what was above it is 1."""
    return scan.after("divide", voxels=np.clip(scan.voxels / np.float32(by), 0, 1))


def divide_by_mean(scan: Scan) -> Scan:
    """Divided by the mean of all voxels of the volume."""
    mean = float(scan.voxels.mean(dtype=np.float64))
    if mean <= 0:
        raise ImageError(f"nothing in the volume is {NOTHING}")
    return scan.after("divide_by_mean", facts={"Mean": round(mean, 4)}, voxels=scan.voxels / np.float32(mean))


def scale(scan: Scan, percentile: float) -> Scan:
    """Divided by a percentile of the voxels above zero, 0 to 1; what was above it is 1."""
    top = _percentile(scan.voxels, percentile)
    voxels = np.clip(scan.voxels / np.float32(top), 0, 1)
    return scan.after("scale", facts={"Divisor": round(top, 4)}, voxels=voxels)


def _percentile(voxels: np.ndarray, percentile: float, above: float = 0.0) -> float:
    bright = voxels[voxels > above]
    if len(bright) == 0:
        raise ImageError(f"nothing in the volume is {NOTHING}")
    return float(np.percentile(bright, percentile))
