"""One brain: the average brain, deformed and wasted by a person's latents and by what is nobody's but theirs."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from neurotransfer.simulate.anatomy import FLUID, FLUID_EVERYWHERE, GREY, WHITE, Anatomy

KNOTS = (6, 7, 6)
WARP_MM = 2.0


def draw_warp(generator: np.random.Generator) -> np.ndarray:
    """A person's own smooth deformation: millimetres (3, 6, 7, 6) at knots that span the grid."""
    return WARP_MM * generator.standard_normal((3, *KNOTS)).astype(np.float32)


def tissues_of(anatomy: Anatomy, latents: Mapping[str, float], warp: np.ndarray | None = None) -> np.ndarray:
    """Shares of fluid, grey and white matter (3, x, y, z) of one brain; they add up to 1 in it and to 0 around it.

    Args:
        anatomy: what heads of this grid share.
        latents: name -> standard deviations; a latent that is not named is 0.
        warp: from `draw_warp`; none for the average brain.

    """
    points = anatomy.points_mm + sum(latents.get(name, 0.0) * pull for name, pull in anatomy.pulls.items())
    if warp is not None:
        points = points + spread(warp, anatomy.grid.shape)
    template = anatomy.template
    fluid, grey, white = (template.sample(template.tissues[tissue], points) for tissue in (FLUID, GREY, WHITE))
    inside = fluid + grey + white
    odds = np.exp(sum(latents.get(name, 0.0) * field for name, field in anatomy.fluids.items()), dtype=np.float32)
    wasted = (fluid + FLUID_EVERYWHERE * inside) * odds
    kept = inside / np.maximum(wasted + grey + white, 1e-6)
    return np.stack([wasted, grey, white]) * kept


def spread(warp: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """A deformation at knots (3, 6, 7, 6) as a smooth one on the grid (3, x, y, z)."""
    along_x, along_y, along_z = (_blend(knots, side) for knots, side in zip(warp.shape[1:], shape, strict=True))
    # plain loops, not BLAS: the same bits whatever the number of threads
    field = np.einsum("vijk,zk->vijz", warp, along_z)
    field = np.einsum("vijz,yj->viyz", field, along_y)
    return np.einsum("viyz,xi->vxyz", field, along_x)


@lru_cache(maxsize=16)
def _blend(knots: int, side: int) -> np.ndarray:
    """Smooth weights (side, knots) of each knot at each voxel of one axis; a row adds up to 1."""
    distance = np.linspace(0, knots - 1, side)[:, None] - np.arange(knots)
    weights = np.exp(-(distance**2))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
