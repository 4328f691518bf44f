"""The steps that recipes are made of: each takes a scan and its parameters and gives the scan after it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from neurotransfer.cohort.grid import Grid
from neurotransfer.cohort.mni import overlap_of
from neurotransfer.cohort.orientation import orientation_of, reoriented, window
from neurotransfer.cohort.volumes import laid_on
from neurotransfer.errors import ImageError
from neurotransfer.prepare.bias_field import without_bias_field
from neurotransfer.prepare.brain import (
    LEAST_AGREEMENT,
    agreement,
    find_brain,
    require_brain,
    seems_stripped,
    stripped_brain,
)
from neurotransfer.prepare.brightness import NOTHING, divide, divide_by_mean, scale, to_bytes, white_to
from neurotransfer.prepare.registration import (
    AFFINE,
    Registration,
    displacement_mm,
    register,
)
from neurotransfer.prepare.scan import Scan, brain_in, place_of

# a scan whose own place is this near to the best one is left where it is
IN_PLACE_MM = 2.0
# a brain that is longer than a window by more than this factor has other voxels than it says
MOST_LONGER = 1.2
NO_FACTS: Mapping[str, Any] = {}
# below this overlap with the average brain nobody's word is taken for it that a scan is registered
LEAST_DECLARED = 0.75
FSL_SHAPE, FSL_ORIGIN_MM = (182, 218, 182), (90.0, -126.0, -72.0)


def reorient(scan: Scan, orientation: str) -> Scan:
    """Axes turned and flipped, no value changed."""
    found = orientation_of(scan.affine)
    voxels, affine = reoriented(scan.voxels, scan.affine, orientation)
    brain = None if scan.brain is None else reoriented(scan.brain, scan.affine, orientation)[0]
    return scan.after("reorient", facts={"From": found, "To": orientation}, voxels=voxels, affine=affine, brain=brain)


def brain(scan: Scan, threshold: float) -> Scan:
    """The brain found by deepbet, unless a mask came along or the skull is off already."""
    found = _found_brain(scan, threshold)
    require_brain(brain_in(found), found.voxel_mm3)
    return found


def _found_brain(scan: Scan, threshold: float) -> Scan:
    if scan.brain is not None:
        return scan.passed_over("brain", "a brain mask came with the scan")
    if "stripped" in scan.properties:
        found = stripped_brain(scan.voxels)
        return replace(scan, brain=found).passed_over("brain", "declared to be without skull")
    found = find_brain(scan.voxels, scan.affine, threshold)
    if seems_stripped(scan.voxels, scan.affine):
        left = stripped_brain(scan.voxels)
        agreed = agreement(found, left)
        if agreed >= LEAST_AGREEMENT:
            why = f"recognised as being without skull: overlap {agreed:.3f} with the brain that deepbet finds"
            return replace(scan, brain=left, properties=scan.properties | {"stripped"}).passed_over("brain", why)
    return scan.after("brain", facts={"Method": "deepbet", "Threshold": threshold}, brain=found)


def bias_field(scan: Scan, shrink_to_mm: float) -> Scan:
    """The bias field estimated inside the brain and divided out."""
    if "unbiased" in scan.properties:
        return scan.passed_over("bias_field", "corrected before")
    voxels, ratio = without_bias_field(scan.voxels, scan.sides_mm, brain_in(scan), shrink_to_mm)
    return scan.after("bias_field", "unbiased", facts={"FieldRatio": round(ratio, 3)}, voxels=voxels)


def register_to_template(scan: Scan, degrees_of_freedom: int) -> Scan:
    """The transform to MNI152 found; nothing is moved yet. A scan that lies there already stays where it is."""
    lies = overlap_of(brain_in(scan), scan.affine)
    if "registered" in scan.properties:
        if lies < LEAST_DECLARED:
            raise ImageError(
                f"said to be registered to MNI152, but its brain overlaps that of MNI152 by {lies:.2f} only (allowed: "
                f"{LEAST_DECLARED} or more); do not declare it registered, or give it another name than space-MNI152"
            )
        return _in_place(scan, degrees_of_freedom, f"registered before, overlap {lies:.3f}")
    found = register(scan.voxels, scan.affine, brain_in(scan), degrees_of_freedom)
    apart = displacement_mm(np.eye(4), found.to_template)
    if apart < IN_PLACE_MM:
        return _in_place(scan, degrees_of_freedom, f"recognised as registered: {apart:.2f} mm from the best place")
    aligned = ["aligned"] if degrees_of_freedom == AFFINE else []
    facts = _facts(found, degrees_of_freedom)
    return scan.after("register", *aligned, facts=facts, to_template=found.to_template)


def _in_place(scan: Scan, degrees_of_freedom: int, why: str) -> Scan:
    # the best rigid place is not yet the size of MNI152, by which the size of a head is measured
    more = {"registered", "aligned"} if degrees_of_freedom == AFFINE else {"registered"}
    return replace(scan, to_template=np.eye(4), properties=scan.properties | more).passed_over("register", why)


def _facts(found: Registration, degrees_of_freedom: int) -> dict[str, Any]:
    facts = {
        "DegreesOfFreedom": degrees_of_freedom,
        "MutualInformation": round(found.mutual_information, 4),
        "Overlap": round(found.overlap, 4),
    }
    return facts | ({"AxesTurnedByDegrees": round(found.turned_degrees)} if found.turned_degrees else {})


def masked(scan: Scan) -> Scan:
    """Zero outside the brain."""
    return scan.after("masked", "stripped", voxels=np.where(brain_in(scan), scan.voxels, 0).astype(np.float32))


def lay_on_grid(scan: Scan, shape: tuple[int, int, int], voxel_size_mm: float) -> Scan:
    """Laid by linear interpolation on a grid of ours (RAS, around the brain of MNI152); smoothed before where coarser."""
    return _laid(scan, "lay_on_grid", shape, Grid(shape, voxel_size_mm).affine)


def lay_on_mni152(scan: Scan) -> Scan:
    """Laid on the voxels of 1 mm of the MNI152 template that comes with FSL, 182 x 218 x 182, LAS."""
    affine = np.diag([-1.0, 1, 1, 1])
    affine[:3, 3] = FSL_ORIGIN_MM
    return _laid(scan, "lay_on_mni152", FSL_SHAPE, affine)


def _laid(scan: Scan, step: str, shape: tuple[int, ...], target: np.ndarray) -> Scan:
    place = place_of(scan) @ scan.affine
    voxels = laid_on(scan.voxels, place, shape, target)
    inside = laid_on(brain_in(scan).astype(np.float32), place, shape, target) > 0.5
    return scan.after(step, "registered", facts={"Interpolation": "linear"}, voxels=voxels, affine=target, brain=inside)


def crop(scan: Scan, start: tuple[int, int, int], stop: tuple[int, int, int]) -> Scan:
    """The voxels from `start` to before `stop`."""
    shape = tuple(last - first for first, last in zip(start, stop, strict=True))
    return _windowed(scan, "crop", tuple(start), shape)


def crop_around_brain(scan: Scan, shape: tuple[int, int, int]) -> Scan:
    """A window of this shape around the bounding box of what is above zero in the brain, moved inwards where it would leave.

    A brain that is a little longer than the window is cut at both ends, as the models' authors do; the log says by how much.
    """
    cut_mm, start, bright = 0.0, [], brain_in(scan) & (scan.voxels > 0)
    if not bright.any():
        raise ImageError(f"nothing in the brain is {NOTHING}")
    for axis, size in enumerate(shape):
        inside = np.flatnonzero(bright.any(axis=tuple({0, 1, 2} - {axis})))
        old = scan.voxels.shape[axis]
        length = int(inside[-1] - inside[0]) + 1
        if length > MOST_LONGER * size:
            raise ImageError(
                f"the brain is {length} voxels long, the window {size}; is it a head, and are its voxels "
                f"of {' x '.join(f'{side:.3g}' for side in scan.sides_mm)} mm right?"
            )
        cut_mm = max(cut_mm, (length - size) * float(scan.sides_mm[axis]))
        first = int(np.rint((inside[0] + inside[-1]) / 2) - size / 2)
        # rounding to even must not cut a brain that fills the window
        first = max(first, int(inside[-1]) + 1 - size) if length <= size else first
        start.append(min(max(first, 0), old - size) if old >= size else (old - size) // 2)
    cut = {"CutMillimetres": round(cut_mm, 1)} if cut_mm > 0 else {}
    return _windowed(scan, "crop_around_brain", tuple(start), tuple(shape), cut)


def _windowed(
    scan: Scan, step: str, start: tuple[int, ...], shape: tuple[int, ...], more: Mapping[str, Any] = NO_FACTS
) -> Scan:
    voxels, affine = window(scan.voxels, scan.affine, start, shape)
    inside, _ = window(brain_in(scan), scan.affine, start, shape)
    return scan.after(step, facts={"Start": list(start), **more}, voxels=voxels, affine=affine, brain=inside)


def conform(
    scan: Scan, orientation: str, smallest_mm: float, largest_mm: float, else_mm: float, fine_mm: float
) -> Scan:
    """Isotropic voxels and one orientation, as FastSurfer's: its smallest side where that is fine enough, else 1 mm."""
    if "conformed" in scan.properties:
        return scan.passed_over("conform", "conformed before")
    turned = reorient(scan, orientation)
    sides = turned.sides_mm
    allowed = smallest_mm <= sides.min() and sides.max() <= largest_mm and np.ptp(sides) < 1e-3
    size = float(sides.min()) if allowed or smallest_mm <= sides.min() < fine_mm else else_mm
    if not allowed:
        turned = _isotropic(turned, size)
    facts = {"Orientation": orientation, "VoxelSize": round(size, 4), "Resampled": not allowed}
    return replace(turned, log=scan.log).after("conform", "conformed", facts=facts)


def _isotropic(scan: Scan, size_mm: float) -> Scan:
    scale = size_mm / scan.sides_mm
    # the outer faces of the volume stay where they are
    affine = scan.affine.copy()
    affine[:3, :3] = scan.affine[:3, :3] * scale
    affine[:3, 3] = scan.affine[:3, 3] + scan.affine[:3, :3] @ ((scale - 1) / 2)
    shape = tuple(int(side) for side in np.maximum(np.rint(np.array(scan.voxels.shape) / scale), 1))
    voxels = laid_on(scan.voxels, scan.affine, shape, affine)
    mask = None if scan.brain is None else laid_on(scan.brain.astype(np.float32), scan.affine, shape, affine) > 0.5
    return replace(scan, voxels=voxels, affine=affine, brain=mask)


STEPS: dict[str, Callable[..., Scan]] = {
    "reorient": reorient,
    "conform": conform,
    "to_bytes": to_bytes,
    "brain": brain,
    "bias_field": bias_field,
    "register": register_to_template,
    "white_to": white_to,
    "masked": masked,
    "lay_on_grid": lay_on_grid,
    "lay_on_mni152": lay_on_mni152,
    "crop": crop,
    "crop_around_brain": crop_around_brain,
    "divide": divide,
    "divide_by_mean": divide_by_mean,
    "scale": scale,
}
# from these on voxels lie where the model wants them; quality is measured before
GEOMETRIC = ("masked", "lay_on_grid", "lay_on_mni152", "crop", "crop_around_brain")
