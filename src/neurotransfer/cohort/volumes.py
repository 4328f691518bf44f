"""A scan on disk to a model-ready volume."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from neurotransfer.cohort.contract import Contract, Input
from neurotransfer.cohort.grid import Grid
from neurotransfer.cohort.images import IMAGE_SUFFIXES, describe_image, head_of, opened, read_image
from neurotransfer.cohort.orientation import orientation_of, reoriented
from neurotransfer.errors import ImageError, InputError, unknown

__all__ = [
    "ALIGNMENTS",
    "IMAGE_SUFFIXES",
    "RECIPE",
    "as_prepared",
    "describe_image",
    "laid_on",
    "load_volume",
    "read_image",
    "resample",
    "way_of",
]

# how a scan becomes a volume: laid on a grid, or left as a recipe of preparation made it
RECIPE, AS_PREPARED = "grid-1", "as-prepared-1"
ALIGNMENTS = ("world", "centre")
LEAST_INSIDE = 0.5


def way_of(taken: Input) -> str:
    """The name and version of the way in which scans become volumes for an input.

    Example:
        >>> way_of(Grid())
        'grid-1'
    """
    return AS_PREPARED if isinstance(taken, Contract) else RECIPE


def load_volume(path: Path, taken: Input, mask: Path | None = None, alignment: str = "world") -> np.ndarray:
    """A scan as a model-ready volume: float32 (x, y, z), values 0 (outside) to 1.

    On a grid it is RAS; a model that takes what a recipe leaves (a `Contract`) gets that, see `as_prepared`. `alignment`
    says how the scan is laid on a grid: `world` by its own affine (a scan in MNI space), `centre` with the centre of its
    brain's bounding box on the centre of the grid (a scan in native space without its skull; nothing is scaled or turned).

    The mask is applied first (where given), then the scan is smoothed against aliasing, laid on the grid by linear
    interpolation and divided by the 99th percentile of its voxels above zero.

    Raises:
        ImageError: as `read_image`, when mask and image differ in shape or place, when nothing above zero is inside the
            mask, or when less than half of the head lies inside the grid.
    """
    if alignment not in ALIGNMENTS:
        raise InputError(unknown("alignment", alignment, ALIGNMENTS))
    if isinstance(taken, Contract):
        return as_prepared(path, taken, mask)
    grid = taken
    image, voxels = opened(path)
    voxels = head_of(path, image, voxels, mask)
    volume = resample(voxels, image.affine, grid, alignment)
    inside = volume[volume > 0]
    if inside.size < 0.001 * volume.size:
        raise ImageError(
            f"{str(path)!r} does not meet the grid of the model (alignment {alignment!r}); a scan in native space "
            'needs alignment = "centre"'
        )
    _require_inside(path, voxels, image.affine, volume, grid, alignment)
    return np.clip(volume / np.percentile(inside, 99), 0, 1).astype(np.float32)


def as_prepared(path: Path, contract: Contract, mask: Path | None = None) -> np.ndarray:
    """A prepared scan as it is, float32 (x, y, z), its axes turned as the contract has them, divided by its unit, at most 1.

    Raises:
        ImageError: as `read_image`, or with all that does not keep the contract and the command that mends it.
    """
    image, voxels = opened(path)
    affine = np.asarray(image.affine, float)
    lowest = float(voxels.min())
    head = head_of(path, image, voxels, mask)
    del voxels
    if orientation_of(affine) != contract.orientation:
        head, affine = reoriented(head, affine, contract.orientation)
    problems = contract.problems(head, affine)
    if lowest < contract.values[0] - 1e-4 and mask is None:
        problems.append(f"values from {lowest:g}, wanted none below {contract.values[0]:g}")
    scale = "" if problems else contract.problem_of_scale(head)
    problems += [scale] if scale else []
    if problems:
        raise ImageError(
            f"{str(path)!r} is not what recipe {contract.recipe!r} makes and the model knows: {'; '.join(problems)}; run "
            f"`neurotransfer prepare INPUT OUT --recipe {contract.recipe}` on the raw scan and use OUT"
        )
    return np.minimum(head / np.float32(contract.unit), np.float32(1))


def _require_inside(
    path: Path, voxels: np.ndarray, affine: np.ndarray, volume: np.ndarray, grid: Grid, alignment: str
) -> None:
    # both sums in the same units, up to the smoothing; a spike far brighter than tissue must not decide
    brightest = np.percentile(voxels[voxels > 0][::8], 99)
    head = np.clip(voxels, 0, brightest).sum(dtype=float) * abs(np.linalg.det(affine[:3, :3]))
    inside = np.clip(volume, 0, brightest).sum(dtype=float) * grid.voxel_size_mm**3
    if inside < LEAST_INSIDE * head:
        sides = " x ".join(f"{side * grid.voxel_size_mm:.4g}" for side in grid.shape)
        raise ImageError(
            f"only {max(inside / head, 0):.0%} of the head in {str(path)!r} lies inside the grid, {sides} mm around the brain "
            f"of MNI152 (alignment {alignment!r}); a brain needs about 150 x 180 x 150 mm: give more or larger voxels, or, for "
            'a scan in native space, alignment = "centre"'
        )


def resample(voxels: np.ndarray, affine: np.ndarray, grid: Grid, alignment: str = "world") -> np.ndarray:
    """Voxels (i, j, k) with their affine (4, 4), by linear interpolation on the grid; zero outside, see `laid_on`."""
    return laid_on(voxels, affine, grid.shape, shift_onto(voxels, affine, grid, alignment) @ grid.affine)


def laid_on(voxels: np.ndarray, affine: np.ndarray, shape: tuple[int, ...], target: np.ndarray) -> np.ndarray:
    """Voxels (i, j, k) with their affine (4, 4) on voxels of another shape and affine, by linear interpolation; zero outside.

    Where the new voxels are coarser, the image is first smoothed by a Gaussian with a full width at half maximum of their
    size (less that of the image, in quadrature).
    """
    sides_mm = np.linalg.norm(affine[:3, :3], axis=0)
    target_mm = np.cbrt(abs(np.linalg.det(target[:3, :3])))
    width_mm = np.sqrt(np.clip(target_mm**2 - sides_mm**2, 0, None))
    sigma = width_mm / sides_mm / np.sqrt(8 * np.log(2))
    smooth = ndimage.gaussian_filter(voxels, sigma) if sigma.max() > 0 else voxels
    to_image = np.linalg.inv(affine) @ target
    # "constant" would lose the outermost voxels to rounding: whatever lies 1e-15 of a voxel outside is zero for it
    return ndimage.affine_transform(
        smooth, to_image[:3, :3], to_image[:3, 3], output_shape=shape, order=1, mode="grid-constant"
    )


def shift_onto(voxels: np.ndarray, affine: np.ndarray, grid: Grid, alignment: str) -> np.ndarray:
    """Where millimetres of a grid lie in those of a scan (4, 4): at the same (`world`), or with the head in the middle (`centre`)."""
    shift = np.eye(4)
    if alignment == "centre":
        corners = _bounding_box(voxels)
        centre = affine @ np.append(corners.mean(0), 1.0)
        middle = grid.affine @ np.append((np.array(grid.shape) - 1) / 2, 1.0)
        shift[:3, 3] = (centre - middle)[:3]
    return shift


def _bounding_box(voxels: np.ndarray) -> np.ndarray:
    # a spike far brighter than tissue must not raise the threshold above the head; without one, the maximum stands
    brightest = min(float(voxels.max()), 10 * float(np.percentile(voxels[voxels > 0], 99)))
    inside = voxels > 0.05 * brightest
    sides = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return np.array([[side[0] for side in sides], [side[-1] for side in sides]], float)
