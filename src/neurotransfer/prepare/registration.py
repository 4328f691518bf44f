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
from neurotransfer.errors import ImageError, is_no_memory

SPACING_MM = 2.0
MARGIN_MM = 20.0
FIXED_MARGIN_MM = 8.0
SEED, STEPS = 1, 200
RIGID, AFFINE = 6, 12
# below this overlap or this mutual information the first result is not believed, and the head is tried turned: of real heads
# the right place has 0.57 to 0.72 nats, and upside down or back to front 0.37 to 0.53, with an overlap of up to 0.95
LEAST_OVERLAP, LEAST_INFORMATION = 0.9, 0.5
# a head may be nodded by more than what a descent finds back, and the masks overlap nearly as well where it went astray
NODS_DEGREES = ((0, 0, 0), (30, 0, 0), (-30, 0, 0))
TILTS_DEGREES = ((0, 30, 0), (0, -30, 0), (0, 0, 30), (0, 0, -30))
FINALISTS = 3
# whatever is longer has voxels of another size than it says
LONGEST_MM = 600.0
_SIGNS = tuple(np.array(signs) for signs in product((1, -1), repeat=3))


@dataclass(frozen=True, eq=False)
class Registration:
    """Where a brain lies in MNI152.

    `to_template` (4, 4) takes millimetres of the scan to millimetres of MNI152; `mutual_information` (nats, more is more
    alike) and `overlap` (Dice coefficient of the brain masks, 0 to 1) say how well; `turned_degrees` says by
    how much the axes of the scan seem to be mistaken, 0 when they are not.
    """

    to_template: np.ndarray
    mutual_information: float
    overlap: float
    turned_degrees: float = 0.0


@dataclass(frozen=True)
class _Stage:
    """Shrinkage and smoothing (voxels) of every level, the first step (mm), bins, and the share of the voxels that is drawn."""

    levels: tuple[tuple[int, float], ...]
    step: float
    bins: int = 32
    share: float = 0.25


# few voxels are left at 8 mm: of a quarter of them, by 32 bins, mutual information is mostly chance
_ROUGH = _Stage(((4, 1.0),), 1.0, bins=16, share=1.0)
_SIMILAR, _FINE = _Stage(((2, 1.0),), 1.0), _Stage(((2, 1.0), (1, 0.0)), 0.5)


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
    one), then twelve. It begins with centre and size of the two masks, at 8 mm from three starts: as it is, and nodded by 30
    degrees up and down; the best goes on. If the masks then overlap by less than 0.9, or mutual information is below 0.5, the
    head is tried tilted by 30 degrees and with its axes mistaken in every way but for a mirror, and the best three go on.
    One thread, so that numbers do not depend on the machine's load.

    Args:
        voxels: (i, j, k), of the scan.
        affine: (4, 4), to millimetres.
        brain: (i, j, k) bool.
        degrees_of_freedom: 6 or 12.

    Mattes et al. 2003, https://doi.org/10.1109/TMI.2003.809072.

    Raises:
        ImageError: when nothing in the brain is above zero, or it is longer than any head.
    """
    _require_head(voxels, affine, brain)
    fixed, moving = _fixed(), _moving(voxels, affine, brain)
    centre, size = _centre_mm(brain, affine), _size(brain, affine)

    def best_of(rotations: Sequence[np.ndarray], n_finalists: int) -> Iterator[Registration]:
        turns = [_turn_about(centre, rotation) for rotation in rotations]
        turned = [_turned(moving, turn) for turn in turns]
        starts = [_started(fixed, centre, size, degrees_of_freedom) for _ in rotations]
        values = [_descend(fixed, image, start, _ROUGH) for image, start in zip(turned, starts, strict=True)]
        for place in np.argsort(values, kind="stable")[:n_finalists]:
            found, value = _finished(fixed, turned[place], starts[place], degrees_of_freedom)
            matrix = found @ turns[place]
            yield Registration(matrix, -value, overlap_of(brain, affine, matrix), _turn_of(matrix[:3, :3]))

    found = list(best_of(_turned_by(NODS_DEGREES), 1))
    if found[0].overlap < LEAST_OVERLAP or found[0].mutual_information < LEAST_INFORMATION:
        found += best_of((*_turned_by(TILTS_DEGREES), *_mistaken_axes()), FINALISTS)
    best = max(found, key=lambda each: each.mutual_information)
    if best.mutual_information <= 0:
        raise ImageError(
            "it could not be registered to MNI152: no place was found where the two have anything to do with each other"
        )
    return best


def _require_head(voxels: np.ndarray, affine: np.ndarray, brain: np.ndarray) -> None:
    if not (brain & (voxels > 0)).any():
        raise ImageError("nothing in the brain is above zero, so that it cannot be registered; is its mask right?")
    longest = float(np.ptp(_corners_mm(affine, brain), axis=0).max())
    if longest > LONGEST_MM:
        raise ImageError(
            f"the brain is {longest:.0f} mm long (allowed: {LONGEST_MM:.0f} or less); are its voxel sizes right?"
        )


def _turn_of(linear: np.ndarray) -> float:
    """The angle of the way to mistake axes that is nearest to a transform (3, 3), 0 when none is nearer than to leave them."""
    left, _, right = np.linalg.svd(linear)
    nearest = max((np.eye(3), *_mistaken_axes()), key=lambda turn: float((turn * (left @ right)).sum()))
    return float(np.degrees(np.arccos(np.clip((np.trace(nearest) - 1) / 2, -1, 1))))


def _turned_by(degrees: Sequence[tuple[int, int, int]]) -> list[np.ndarray]:
    from scipy.spatial.transform import Rotation

    return [Rotation.from_euler("xyz", angles, degrees=True).as_matrix() for angles in degrees]


@lru_cache(maxsize=1)
def _mistaken_axes() -> tuple[np.ndarray, ...]:
    """The 23 ways to take the axes of a head for others, without a mirror."""
    every = [np.eye(3)[list(order)] * signs for order, signs in product(permutations(range(3)), _SIGNS)]
    return tuple(turn for turn in every if np.linalg.det(turn) > 0 and not np.allclose(turn, np.eye(3)))


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
    corners = _corners_mm(affine, brain)
    low, high = corners.min(0) - MARGIN_MM, corners.max(0) + MARGIN_MM
    target = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    target[:3, 3] = low
    shape = tuple(int(side) for side in np.ceil((high - low) / SPACING_MM) + 1)
    return laid_on(values, affine, shape, target), low


def _corners_mm(affine: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """The corners of the bounding box of a mask (8, 3), millimetres."""
    sides = [np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]] for axis in range(3)]
    return (np.array([[*corner, 1.0] for corner in product(*sides)]) @ affine.T)[:, :3]


def _image(values: np.ndarray, origin_mm: np.ndarray) -> Any:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    image.SetSpacing([SPACING_MM] * 3)
    image.SetOrigin([float(place) for place in origin_mm])
    return image


def _turn_about(centre: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """The transform (4, 4) that undoes a rotation (3, 3) about a place."""
    turn = np.eye(4)
    turn[:3, :3] = rotation.T
    turn[:3, 3] = centre - rotation.T @ centre
    return turn


def _turned(image: Any, turn: np.ndarray) -> Any:
    """The image laid elsewhere; a descent that began with a rotation of 180 degrees would find no way from there."""
    import SimpleITK

    moved = SimpleITK.Image(image)
    moved.SetOrigin([float(place) for place in (turn @ np.append(image.GetOrigin(), 1.0))[:3]])
    moved.SetDirection([float(number) for number in turn[:3, :3].ravel()])
    return moved


def _started(fixed: _Fixed, centre: np.ndarray, size: float, degrees_of_freedom: int) -> Any:
    """A transform from MNI152 to the scan that puts one centre on the other: a similarity, or a rigid one."""
    import SimpleITK

    affine = degrees_of_freedom == AFFINE
    start: Any = SimpleITK.Similarity3DTransform() if affine else SimpleITK.Euler3DTransform()
    start.SetCenter([float(place) for place in fixed.centre_mm])
    start.SetMatrix((np.eye(3) * (size if affine else 1.0)).ravel().tolist(), 1e-6)
    start.SetTranslation([float(place) for place in centre - fixed.centre_mm])
    return start


def _finished(fixed: _Fixed, moving: Any, rough: Any, degrees_of_freedom: int) -> tuple[np.ndarray, float]:
    """The transform from the scan to MNI152 (4, 4) and minus the mutual information."""
    import SimpleITK

    _descend(fixed, moving, rough, _SIMILAR)
    fine = rough
    if degrees_of_freedom == AFFINE:
        fine = SimpleITK.AffineTransform(3)
        fine.SetCenter(rough.GetCenter())
        fine.SetMatrix(rough.GetMatrix())
        fine.SetTranslation(rough.GetTranslation())
    value = _descend(fixed, moving, fine, _FINE)
    return np.linalg.inv(_matrix(fine)), value


def _descend(fixed: _Fixed, moving: Any, transform: Any, stage: _Stage) -> float:
    """Improve a transform in its place; gives minus the mutual information."""
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    # threads alone leave the metric to all processors, whose sums differ from run to run
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(stage.bins)
    method.SetMetricFixedMask(fixed.mask)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(stage.share, SEED)
    method.SetInterpolator(SimpleITK.sitkLinear)
    # not the default gradient descent of its tutorials, which ends millimetres away
    method.SetOptimizerAsRegularStepGradientDescent(stage.step, 1e-3, STEPS, 0.6, 1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in stage.levels])
    method.SetSmoothingSigmasPerLevel([sigma for _, sigma in stage.levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(transform, True)
    try:
        method.Execute(fixed.image, moving)
    except RuntimeError as error:
        if is_no_memory(error):
            raise
        # the start left the image: its transform stays where it is, and tells nothing
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
    """How far apart in a scan two transforms to MNI152 look for the surface of a brain, mean over the surface, mm.

    It is a distance: the same from either side, and by way of a third transform never shorter.

    Example:
        >>> moved = np.eye(4)
        >>> moved[0, 3] = 3
        >>> round(displacement_mm(np.eye(4), moved), 6)
        3.0
    """
    apart = (np.linalg.inv(one) - np.linalg.inv(other)) @ brain_surface_mm()
    return float(np.linalg.norm(apart[:3], axis=0).mean())
