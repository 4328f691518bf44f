"""The average brain: tissue maps of MNI152 at 2 mm, how deep a place lies, named regions, what T1 shows beside tissue."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from neurotransfer.cohort.grid import BRAIN_CENTRE_MM
from neurotransfer.cohort.mni import average_brain
from neurotransfer.cohort.regions import ONE_SIDED, REGIONS, nearest_region

SPACING_MM = 2
GREY, WHITE = 0, 1
TISSUES = ("fluid", "grey", "white")
DEPTHS_MM = (-30.0, 12.0)
FIELD_MM = (176.0, 208.0, 176.0)
FIELD_KNOTS = (12, 14, 12)
WEIGHT_MM = 13.0
BRIGHTNESS_VOXELS = 5

# the place of a region among those of one side
KIND_OF_REGION = np.array(
    [list(ONE_SIDED).index(name.removeprefix("left_").removeprefix("right_")) for name in REGIONS]
)
CENTRES_MM = np.array(list(REGIONS.values()), np.float32)


@dataclass(frozen=True)
class Atlas:
    """The average brain at 2 mm and what lies where in it.

    `tissues` (2, x, y, z) are shares of grey and white matter, what they leave of the brain is fluid; `depth_mm` (x, y, z) is how
    far a place lies below the surface of the brain, negative outside, from -30 to 12; `labels` (x, y, z) number the region of a
    voxel from 1, in the order of `REGIONS`, 0 outside; `origin_mm` (3,) is where the first voxel lies.
    At coarse knots, evenly spread over 176 x 208 x 176 mm around the centre of the brain, `weights` (regions, 12, 14, 12) say how
    much a place belongs to a region, 1 near its centre, and `brightness` (2, 12, 14, 12) by how much the grey and white
    matter of the T1 template is brighter there than elsewhere, as a logarithm.
    """

    tissues: np.ndarray
    depth_mm: np.ndarray
    labels: np.ndarray
    origin_mm: np.ndarray
    weights: np.ndarray
    brightness: np.ndarray


def knots_mm(knots: tuple[int, int, int] = FIELD_KNOTS) -> np.ndarray:
    """Where the knots of a field lie, millimetres (3, kx, ky, kz).

    Example:
        >>> knots_mm((2, 2, 2))[:, 0, 0, 0].tolist()
        [-88.0, -122.0, -78.0]
    """
    return np.stack(np.meshgrid(*places_along(knots), indexing="ij"))


def places_along(knots: tuple[int, int, int]) -> list[np.ndarray]:
    """Where the knots of a field lie along x, y and z, millimetres."""
    return [
        centre + np.linspace(-side / 2, side / 2, count)
        for centre, side, count in zip(BRAIN_CENTRE_MM, FIELD_MM, knots, strict=True)
    ]


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """The MNI152 tissue maps and template that nilearn carries, without a download; some seconds the first time.

    A voxel belongs to the region with the nearest centre; where sides differ, to one on its own side.
    """
    average = average_brain(SPACING_MM)
    is_brain, origin = average.mask, average.affine[:3, 3]
    depth = SPACING_MM * (
        ndimage.distance_transform_edt(is_brain) - ndimage.distance_transform_edt(~is_brain) + 0.5 - is_brain
    )
    tissues = np.stack([average.grey, average.white])
    places = np.indices(is_brain.shape) * SPACING_MM + origin.reshape(3, 1, 1, 1)
    labels = np.where(ndimage.binary_dilation(is_brain, iterations=3), nearest_region(places), 0).astype(np.uint8)
    brightness = _brightness(tissues, average.t1, origin)
    return Atlas(tissues, depth.clip(*DEPTHS_MM).astype(np.float32), labels, origin, _weights(), brightness)


def _weights() -> np.ndarray:
    places = knots_mm()
    distances = np.stack([((places - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(0) for centre in REGIONS.values()])
    closeness = np.exp(-distances / (2 * WEIGHT_MM**2))
    return (closeness / (closeness.sum(0) + 0.15)).astype(np.float32)


def _brightness(tissues: np.ndarray, template: np.ndarray, origin: np.ndarray) -> np.ndarray:
    at = (knots_mm() - origin.reshape(3, 1, 1, 1)) / SPACING_MM
    found = []
    for share in tissues:
        pure = (share > 0.8).astype(np.float32)
        level = np.median(template[share > 0.95])
        excess = ndimage.gaussian_filter(pure * np.log(np.maximum(template, 0.05 * level) / level), BRIGHTNESS_VOXELS)
        weight = ndimage.gaussian_filter(pure, BRIGHTNESS_VOXELS)
        found.append(ndimage.map_coordinates(excess / (weight + 0.02), at, order=1))
    return np.stack(found).astype(np.float32)
