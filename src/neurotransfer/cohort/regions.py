"""Named regions of MNI152 by their centres: a place belongs to the nearest one."""

from collections.abc import Mapping

import numpy as np

# region of one side, or of the midline where x is 0: its centre in MNI152 millimetres, right of the midline
CORTEX: dict[str, tuple[float, float, float]] = {
    "superior_frontal": (14, 36, 44),
    "middle_frontal": (38, 34, 26),
    "inferior_frontal": (48, 22, 8),
    "orbitofrontal": (22, 38, -18),
    "frontal_pole": (20, 62, 6),
    "precentral": (38, -8, 52),
    "postcentral": (46, -26, 50),
    "superior_parietal": (24, -60, 58),
    "inferior_parietal": (50, -50, 36),
    "precuneus": (8, -60, 38),
    "anterior_cingulate": (6, 34, 16),
    "middle_cingulate": (7, -12, 42),
    "insula": (38, 4, 0),
    "superior_temporal": (58, -18, 4),
    "middle_temporal": (60, -36, -8),
    "inferior_temporal": (50, -30, -26),
    "temporal_pole": (38, 14, -34),
    "fusiform": (32, -52, -16),
    "lateral_occipital": (36, -84, 6),
    "cuneus": (10, -84, 18),
    "lingual": (14, -72, -4),
}
DEEP: dict[str, tuple[float, float, float]] = {
    "hippocampus": (27, -22, -16),
    "amygdala": (22, -3, -18),
    "caudate": (13, 12, 10),
    "putamen": (27, 4, 0),
    "thalamus": (11, -18, 8),
    "ventricle": (8, -16, 20),
}
BELOW: dict[str, tuple[float, float, float]] = {"cerebellum": (24, -62, -36), "brainstem": (0, -28, -34)}
ONE_SIDED = CORTEX | DEEP | BELOW
REGIONS: dict[str, tuple[float, float, float]] = {
    f"{side}{name}": (sign * x, y, z)
    for name, (x, y, z) in ONE_SIDED.items()
    for side, sign in ((("left_", -1), ("right_", 1)) if x else (("", 1),))
}


def nearest_region(places_mm: np.ndarray, regions: Mapping[str, tuple[float, float, float]] = REGIONS) -> np.ndarray:
    """The number, from 1, of the region whose centre is nearest to places (3, ...) in millimetres; the first of those as near.

    Example:
        >>> list(REGIONS)[int(nearest_region(np.array([-27, -22, -16]))) - 1]
        'left_hippocampus'
    """
    nearest, found = np.full(places_mm.shape[1:], np.inf), np.zeros(places_mm.shape[1:], int)
    for number, centre in enumerate(regions.values(), start=1):
        distance = ((places_mm - np.reshape(centre, (3, *[1] * (places_mm.ndim - 1)))) ** 2).sum(0)
        closer = distance < nearest
        nearest, found = np.where(closer, distance, nearest), np.where(closer, number, found)
    return found
