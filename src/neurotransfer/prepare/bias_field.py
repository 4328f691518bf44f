"""Take the slow change of brightness over the brain away: N4."""

from typing import Any

import numpy as np

STEPS = (50, 50, 50, 50)
MARGIN = 2
LEAST_VOXELS = 500


def without_bias_field(
    voxels: np.ndarray, sides_mm: np.ndarray, brain: np.ndarray, shrink_to_mm: float = 4.0
) -> tuple[np.ndarray, float]:
    """A scan divided by its bias field, and how much the field varies: the ratio of its 95th to its 5th percentile.

    The field is estimated by N4 (Tustison et al. 2010, https://doi.org/10.1109/TMI.2010.2046908) inside the brain at
    about `shrink_to_mm`, four levels of fifty steps, and applied at the resolution of the scan around the brain; the
    median brightness of the brain stays what it was.

    Args:
        voxels: (i, j, k), zero or more.
        sides_mm: (3,) of a voxel.
        brain: (i, j, k) bool; where nothing of it is above zero, or less than 500 voxels are left at `shrink_to_mm`, the scan
            stays what it is.
        shrink_to_mm: voxel size at which the field is estimated.
    """
    if not (brain & (voxels > 0)).any():
        return voxels.astype(np.float32), 1.0
    box = _box(brain)
    inside = brain[box]
    field = _field(np.maximum(voxels[box], 0).astype(np.float32), sides_mm, inside, shrink_to_mm)
    low, high = np.percentile(field[inside], (5, 95))
    # far outside the brain the splines say nothing
    field = np.clip(field, low / 2, high * 2)
    corrected = voxels.astype(np.float32, copy=True)
    corrected[box] /= field
    corrected[box] *= np.median(voxels[brain]) / max(float(np.median(corrected[brain])), 1e-12)
    return corrected, float(high / low)


def _box(brain: np.ndarray) -> tuple[slice, ...]:
    near = [np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple(slice(max(int(side[0]) - MARGIN, 0), int(side[-1]) + 1 + MARGIN) for side in near)


def _field(voxels: np.ndarray, sides_mm: np.ndarray, brain: np.ndarray, shrink_to_mm: float) -> np.ndarray:
    import SimpleITK

    shrink = [max(1, round(shrink_to_mm / side)) for side in sides_mm]
    # a voxel of zero has no logarithm
    scan, mask = _image(voxels, sides_mm), _image((brain & (voxels > 0)).astype(np.uint8), sides_mm)
    correction = SimpleITK.N4BiasFieldCorrectionImageFilter()
    correction.SetNumberOfThreads(1)
    correction.SetNumberOfWorkUnits(1)
    correction.SetMaximumNumberOfIterations(STEPS)
    small = SimpleITK.Shrink(mask, shrink)
    if min(small.GetSize()) < 2 or SimpleITK.GetArrayViewFromImage(small).sum() < LEAST_VOXELS:
        # too few to tell a field from anatomy; and its splines need a second voxel along every axis
        return np.ones(voxels.shape, np.float32)
    correction.Execute(SimpleITK.Shrink(scan, shrink), small)
    logarithm = SimpleITK.GetArrayFromImage(correction.GetLogBiasFieldAsImage(scan))
    return np.exp(logarithm.transpose(2, 1, 0)).astype(np.float32)


def _image(values: np.ndarray, sides_mm: np.ndarray) -> Any:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    image.SetSpacing([float(side) for side in sides_mm])
    return image
