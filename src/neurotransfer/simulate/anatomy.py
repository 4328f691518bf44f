"""What each latent does to a brain, as fields on the grid: where it pulls, and where tissue gives way to fluid."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from neurotransfer.cohort.grid import BRAIN_CENTRE_MM, Grid
from neurotransfer.cohort.mni import average_brain

SPACING_MM = 2
FLUID, GREY, WHITE = 0, 1, 2
FLUID_EVERYWHERE = 0.04


@dataclass(frozen=True)
class Spot:
    """A soft ball of MNI152 in millimetres; mirrored to the left when it lies off the midline."""

    centre_mm: tuple[float, float, float]
    width_mm: float


HIPPOCAMPUS = Spot((27.0, -20.0, -16.0), 14.0)
AMYGDALA = Spot((22.0, -3.0, -18.0), 7.0)
FRONTAL = Spot((24.0, 48.0, 18.0), 24.0)
CEREBELLUM = Spot((0.0, -62.0, -36.0), 24.0)
VENTRICLES = Spot((0.0, -12.0, 16.0), 30.0)


@dataclass(frozen=True)
class Template:
    """The average brain: fluid, grey and white matter (3, x, y, z) at 2 mm, and the millimetres of its first voxel."""

    tissues: np.ndarray
    origin_mm: np.ndarray

    def indices(self, points_mm: np.ndarray) -> np.ndarray:
        """Millimetres (3, ...) as indices of voxels (3, ...)."""
        return (points_mm - self.origin_mm.reshape(3, *[1] * (points_mm.ndim - 1))) / SPACING_MM

    def sample(self, volume: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
        """A volume of the template's grid at points (3, ...), 0 beyond its border."""
        return ndimage.map_coordinates(volume, self.indices(points_mm), order=1, prefilter=False, output=np.float32)


@dataclass(frozen=True)
class Anatomy:
    """All that heads of one grid share.

    `points_mm` (3, x, y, z) are the voxels; `template` is blurred to their size; `pulls[latent]` (3, x, y, z) is where
    a unit of the latent takes its tissue from, in millimetres; `fluids[latent]` (x, y, z) is by how much it raises the
    log-odds of fluid.
    """

    grid: Grid
    points_mm: np.ndarray
    template: Template
    pulls: dict[str, np.ndarray]
    fluids: dict[str, np.ndarray]


@lru_cache(maxsize=1)
def load_template() -> Template:
    """The MNI152 tissue maps that nilearn carries, without a download; fluid is what the brain mask leaves."""
    average = average_brain(SPACING_MM)
    return Template(np.stack([average.fluid, average.grey, average.white]), average.affine[:3, 3])


@lru_cache(maxsize=2)
def build_anatomy(grid: Grid) -> Anatomy:
    """The anatomy of heads on a grid; some seconds the first time, for nilearn and the fields."""
    sharp = load_template()
    # a coarse voxel averages what lies in it; sampling the sharp maps would alias the sulci
    sigma = 0.35 * max(grid.voxel_size_mm / SPACING_MM, 1.0)
    blurred = np.stack([ndimage.gaussian_filter(tissue, sigma) for tissue in sharp.tissues])
    template = Template(blurred, sharp.origin_mm)
    indices = np.indices(grid.shape, dtype=np.float32)
    points = indices * grid.voxel_size_mm + grid.affine[:3, 3].astype(np.float32).reshape(3, 1, 1, 1)
    pulls = {latent: pull(points, sharp).astype(np.float32) for latent, pull in PULLS.items()}
    fluids = {latent: fluid(points, sharp).astype(np.float32) for latent, fluid in FLUIDS.items()}
    return Anatomy(grid, points, template, pulls, fluids)


def weight_of(spot: Spot, points_mm: np.ndarray) -> np.ndarray:
    """How much a point (3, ...) belongs to a spot, 1 in its middle, on both sides of the brain."""
    x, y, z = spot.centre_mm
    middles = np.array([np.abs(points_mm[0]) - x, points_mm[1] - y, points_mm[2] - z])
    return np.exp(-(middles**2).sum(0) / (2 * spot.width_mm**2))


def _from(centre: tuple[float, float, float], points_mm: np.ndarray) -> np.ndarray:
    return points_mm - np.array(centre).reshape(3, 1, 1, 1)


def _grow_head(points_mm: np.ndarray, template: Template) -> np.ndarray:
    return -0.016 * _from(BRAIN_CENTRE_MM, points_mm)


def _grow_cerebellum(points_mm: np.ndarray, template: Template) -> np.ndarray:
    return -0.045 * _from(CEREBELLUM.centre_mm, points_mm) * weight_of(CEREBELLUM, points_mm)


def _turn_sides(points_mm: np.ndarray, template: Template) -> np.ndarray:
    pull = np.zeros_like(points_mm)
    pull[1] = -1.4 * np.tanh(points_mm[0] / 25)
    return pull


def _widen_ventricles(points_mm: np.ndarray, template: Template) -> np.ndarray:
    """Towards the ventricles, along the gradient of their smoothed map, 1.1 mm at most."""
    places = np.indices(template.tissues[FLUID].shape) * SPACING_MM + template.origin_mm.reshape(3, 1, 1, 1)
    ventricles = ndimage.gaussian_filter(template.tissues[FLUID] * (weight_of(VENTRICLES, places) > 0.5), 3.0)
    slopes = [template.sample(slope, points_mm) for slope in np.gradient(ventricles)]
    return 1.1 * np.array(slopes) / np.abs(slopes).max()


def _surface(points_mm: np.ndarray, template: Template) -> np.ndarray:
    depth_mm = SPACING_MM * ndimage.distance_transform_edt(template.tissues.sum(0) > 0.5)
    return np.exp(-((template.sample(depth_mm, points_mm) / 22) ** 2))


def _thin_cortex(points_mm: np.ndarray, template: Template) -> np.ndarray:
    return 0.28 * _surface(points_mm, template)


def _thin_less_frontally(points_mm: np.ndarray, template: Template) -> np.ndarray:
    return -0.3 * _surface(points_mm, template) * weight_of(FRONTAL, points_mm)


def _waste_hippocampus(points_mm: np.ndarray, template: Template) -> np.ndarray:
    return 0.9 * weight_of(HIPPOCAMPUS, points_mm)


def _waste_amygdala(points_mm: np.ndarray, template: Template) -> np.ndarray:
    return 0.5 * weight_of(AMYGDALA, points_mm)


Field = Callable[[np.ndarray, Template], np.ndarray]
PULLS: dict[str, Field] = {
    "head_size": _grow_head,
    "ventricles": _widen_ventricles,
    "asymmetry": _turn_sides,
    "cerebellum": _grow_cerebellum,
}
FLUIDS: dict[str, Field] = {
    "cortex": _thin_cortex,
    "focal": _waste_hippocampus,
    "frontal": _thin_less_frontally,
    "amygdala": _waste_amygdala,
}
