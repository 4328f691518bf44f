"""Affine or rigid registration of a brain to MNI152: mutual information, rough to fine, from several starts if need be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product
from typing import Any

import numpy as np
from scipy import ndimage

from neurotransfer.cohort.mni import average_brain, overlap_of
from neurotransfer.cohort.volumes import laid_on

SPACING_MM = 2.0
MARGIN_MM = 20.0
FIXED_MARGIN_MM = 8.0
BINS, SHARE, SEED, STEPS = 32, 0.25, 1, 200
RIGID, AFFINE = 6, 12
# below this overlap the first result is not believed, and the head is tried turned
LEAST_OVERLAP = 0.9
TURNS_DEGREES = ((30, 0, 0), (-30, 0, 0), (0, 30, 0), (0, -30, 0), (0, 0, 30), (0, 0, -30))
_ROUGH, _FINE = ((4, 2), (2, 1)), ((2, 1), (1, 0))


@dataclass(frozen=True, eq=False)
class Registration:
    """Where a brain lies in MNI152.

    `to_template` (4, 4) takes millimetres of the scan to millimetres of MNI152; `mutual_information` (nats, more is more
    alike) and `overlap` (Dice coefficient of the brain masks, 0 to 1) say how well; `turned_degrees` is the angle of
    the start that won, 0 unless the axes of the scan seem wrong.
    """

    to_template: np.ndarray
    mutual_information: float
    overlap: float
    turned_degrees: float = 0.0


@dataclass(frozen=True, eq=False)
class _Fixed:
    image: Any
    mask: Any
    centre_mm: np.ndarray


def register(
    voxels: np.ndarray, affine: np.ndarray, brain: np.ndarray, degrees_of_freedom: int = AFFINE
) -> Registration:
    """The affine (12) or rigid (6 degrees of freedom) transform of a scan to MNI152.

    The brain of the scan is laid on voxels of 2 mm and compared with the average brain by Mattes' mutual information of a
    quarter of the voxels, drawn with a fixed seed; a regular-step gradient descent fits seven parameters (six for a rigid
    one), then twelve. It begins with centre and size of the two masks. If the masks then overlap by less than 0.9, thirty more
    starts are tried: the head nodded or tilted by 30 degrees, and every way to mistake its axes but for a mirror.
    One thread, so that numbers do not depend on the machine's load.

    Args:
        voxels: (i, j, k), of the scan.
        affine: (4, 4), to millimetres.
        brain: (i, j, k) bool.
        degrees_of_freedom: 6 or 12.

    Mattes et al. 2003, https://doi.org/10.1109/TMI.2003.809072.
    """
    fixed, moving = _fixed(), _moving(voxels, affine, brain)
    centre, size = _centre_mm(brain, affine), _size(brain, affine)
    found = _fitted(fixed, moving, centre, size, np.eye(3), degrees_of_freedom)
    best = (found, overlap_of(brain, affine, found[0]), 0.0)
    if best[1] < LEAST_OVERLAP:
        best = max([best, *_turned(fixed, moving, brain, affine, degrees_of_freedom)], key=lambda each: -each[0][1])
    (matrix, value), overlap, degrees = best
    return Registration(matrix, -value, overlap, degrees)


def _turned(fixed: _Fixed, moving: Any, brain: np.ndarray, affine: np.ndarray, degrees: int) -> Iterator[tuple]:
    centre, size = _centre_mm(brain, affine), _size(brain, affine)
    for rotation in _starts():
        found = _fitted(fixed, moving, centre, size, rotation, degrees)
        angle = float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
        yield found, overlap_of(brain, affine, found[0]), angle if angle > 45 else 0.0


@lru_cache(maxsize=1)
def _starts() -> tuple[np.ndarray, ...]:
    from scipy.spatial.transform import Rotation

    small = [Rotation.from_euler("xyz", angles, degrees=True).as_matrix() for angles in TURNS_DEGREES]
    cube = []
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        matrix = np.eye(3)[list(order)] * np.array(signs)
        if np.linalg.det(matrix) > 0 and not np.allclose(matrix, np.eye(3)):
            cube.append(matrix)
    return (*small, *cube)


@lru_cache(maxsize=1)
def _fixed() -> _Fixed:
    average = average_brain(1)
    image = _moving(average.t1, average.affine, average.mask)
    around = _laid(average.mask.astype(np.float32), average.affine, average.mask)
    near = ndimage.binary_dilation(around[0] > 0.5, iterations=round(FIXED_MARGIN_MM / SPACING_MM))
    return _Fixed(image, _image(near.astype(np.uint8), around[1]), _centre_mm(average.mask, average.affine))


def _moving(voxels: np.ndarray, affine: np.ndarray, brain: np.ndarray) -> Any:
    inside = np.where(brain, voxels, 0).astype(np.float32)
    # a few bright vessels must not take up most of the bins
    inside = np.clip(inside / np.percentile(inside[brain], 99.5), 0, 1)
    return _image(*_laid(inside, affine, brain))


def _laid(values: np.ndarray, affine: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values on voxels of 2 mm along the axes of the millimetres around a brain, and where the first voxel lies."""
    sides = [np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]] for axis in range(3)]
    corners = np.array([[*corner, 1.0] for corner in product(*sides)]) @ affine.T
    low, high = corners[:, :3].min(0) - MARGIN_MM, corners[:, :3].max(0) + MARGIN_MM
    target = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    target[:3, 3] = low
    shape = tuple(int(side) for side in np.ceil((high - low) / SPACING_MM) + 1)
    return laid_on(values, affine, shape, target), low


def _image(values: np.ndarray, origin_mm: np.ndarray) -> Any:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    image.SetSpacing([SPACING_MM] * 3)
    image.SetOrigin([float(place) for place in origin_mm])
    return image


def _fitted(
    fixed: _Fixed, moving: Any, centre: np.ndarray, size: float, rotation: np.ndarray, degrees_of_freedom: int
) -> tuple[np.ndarray, float]:
    """The transform from the scan to MNI152 (4, 4) and minus the mutual information."""
    import SimpleITK

    turn = rotation * (size if degrees_of_freedom == AFFINE else 1.0)
    rough: Any = SimpleITK.Similarity3DTransform() if degrees_of_freedom == AFFINE else SimpleITK.Euler3DTransform()
    rough.SetCenter([float(place) for place in fixed.centre_mm])
    rough.SetMatrix(turn.ravel().tolist(), 1e-6)
    rough.SetTranslation([float(place) for place in centre - fixed.centre_mm])
    _descend(fixed, moving, rough, _ROUGH, 1.0)
    fine = rough
    if degrees_of_freedom == AFFINE:
        fine = SimpleITK.AffineTransform(3)
        fine.SetCenter(rough.GetCenter())
        fine.SetMatrix(rough.GetMatrix())
        fine.SetTranslation(rough.GetTranslation())
    value = _descend(fixed, moving, fine, _FINE, 0.5)
    return np.linalg.inv(_matrix(fine)), value


def _descend(fixed: _Fixed, moving: Any, transform: Any, levels: Sequence[tuple[int, int]], step: float) -> float:
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(fixed.mask)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(SHARE, SEED)
    method.SetInterpolator(SimpleITK.sitkLinear)
    # not the default gradient descent of its tutorials, which ends millimetres away
    method.SetOptimizerAsRegularStepGradientDescent(step, 1e-3, STEPS, 0.6, 1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in levels])
    method.SetSmoothingSigmasPerLevel([float(sigma) for _, sigma in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(transform, True)
    try:
        method.Execute(fixed.image, moving)
    except RuntimeError:
        # the start left the image: its transform stays where it is and loses to others by its overlap
        return 0.0
    return float(method.GetMetricValue())


def _matrix(transform: Any) -> np.ndarray:
    matrix, centre = np.eye(4), np.array(transform.GetCenter())
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - matrix[:3, :3] @ centre
    return matrix


def _centre_mm(brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return (affine @ np.append(ndimage.center_of_mass(brain), 1.0))[:3]


def _size(brain: np.ndarray, affine: np.ndarray) -> float:
    litres = brain.sum() * abs(float(np.linalg.det(affine[:3, :3]))) / 1e6
    return float(np.clip(np.cbrt(litres / average_brain(1).litres), 0.6, 1.6))


@lru_cache(maxsize=1)
def brain_surface_mm() -> np.ndarray:
    """Some thousand places on the surface of the average brain, millimetres of MNI152 (4, n), the last row 1."""
    average = average_brain(2)
    surface = np.argwhere(average.mask & ~ndimage.binary_erosion(average.mask))[::7]
    return average.affine @ np.c_[surface, np.ones(len(surface))].T


def displacement_mm(one: np.ndarray, other: np.ndarray) -> float:
    """How far apart two transforms to MNI152 put the surface of a brain, mean over the surface, mm.

    Example:
        >>> moved = np.eye(4)
        >>> moved[0, 3] = 3
        >>> round(displacement_mm(np.eye(4), moved), 6)
        3.0
    """
    surface = brain_surface_mm()
    apart = one @ np.linalg.inv(other) @ surface - surface
    return float(np.linalg.norm(apart[:3], axis=0).mean())
