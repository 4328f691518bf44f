"""Regional volumes measured on a scan, where no FreeSurfer or FastSurfer table is there: tissue by named parcels."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from neurotransfer.cohort.images import opened
from neurotransfer.cohort.mni import average_brain
from neurotransfer.cohort.regions import REGIONS, nearest_region
from neurotransfer.errors import ImageError
from neurotransfer.prepare.tissue import SPACING_MM, TISSUES, Tissues

MOST_PARCELS = 2000
_ASIDE_MM = tuple(np.array([side, 0, 0]).reshape(3, 1, 1, 1) for side in (-0.01, 0.01))
METHOD = (
    "shares of tissue (three Gaussians with the average brain as prior) summed over parcels of MNI152, the places nearest "
    "to the centre of a region, symmetric; after an affine registration: comparable between people, no segmentation"
)


def measured_volumes(tissues: Tissues, atlas: Path | None = None) -> dict[str, float]:
    """Volumes in mm3 of the person: all tissues, grey and white matter by parcel, fluid near the ventricles, eTIV.

    `etiv_mm3` is the volume of the average brain's mask divided by how much the affine transform enlarges the head, as
    FreeSurfer estimates it (Buckner et al. 2004, https://doi.org/10.1016/j.neuroimage.2004.06.018).

    Args:
        tissues: from `find_tissues`.
        atlas: an image of labels (whole numbers, 0 is nothing) in MNI152 whose parcels are used instead of ours.
    """
    scale = SPACING_MM**3 * tissues.shrinkage
    values = {f"total_{name}_mm3": float(volume) for name, volume in zip(TISSUES, tissues.volumes_mm3, strict=True)}
    values["etiv_mm3"] = average_brain(1).litres * 1e6 * tissues.shrinkage
    for tissue, share in zip(TISSUES, tissues.shares, strict=True):
        names, maps = _parcels(tissue == "fluid") if atlas is None else _of_atlas(atlas)
        counts = [np.bincount(labels.ravel(), weights=share.ravel(), minlength=len(names) + 1)[1:] for labels in maps]
        sums = np.mean(counts, axis=0) * scale
        values |= {
            f"{name}_{tissue}_mm3": float(volume)
            for name, volume in zip(names, sums, strict=True)
            if atlas is not None or tissue != "fluid" or _is_fluid(name)
        }
    return values


def _is_fluid(name: str) -> bool:
    return "ventricle" in name


@lru_cache(maxsize=2)
def _parcels(of_fluid: bool) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Every place by its nearest region: of all regions, or of those that are no fluid, so that grey and white are whole.

    Twice, seen from a little left and a little right: the middle of the brain is as near to one side as to the other.
    """
    average = average_brain(SPACING_MM)
    places = np.indices(average.mask.shape) * SPACING_MM + average.affine[:3, 3].reshape(3, 1, 1, 1)
    regions = {name: centre for name, centre in REGIONS.items() if of_fluid or not _is_fluid(name)}
    return tuple(f"near_{name}" for name in regions), [nearest_region(places + aside, regions) for aside in _ASIDE_MM]


@lru_cache(maxsize=1)
def _of_atlas(path: Path) -> tuple[tuple[str, ...], list[np.ndarray]]:
    average = average_brain(SPACING_MM)
    image, found = opened(path)
    found = found.reshape(found.shape[:3])
    if not np.equal(np.mod(found, 1), 0).all() or found.min() < 0:
        raise ImageError(f"{str(path)!r} is no atlas: its values are not whole numbers of 0 and more")
    back = np.linalg.inv(image.affine) @ average.affine
    labels = ndimage.affine_transform(
        found.astype(np.int32),
        back[:3, :3],
        back[:3, 3],
        output_shape=average.mask.shape,
        order=0,
        mode="grid-constant",
    )
    numbers = np.unique(labels[average.mask & (labels > 0)])
    if len(numbers) == 0:
        raise ImageError(f"{str(path)!r} is no atlas of MNI152: no label lies inside the brain of MNI152")
    if len(numbers) > MOST_PARCELS:
        raise ImageError(
            f"{str(path)!r} is no atlas: it has {len(numbers)} labels in the brain (allowed: {MOST_PARCELS} or less); is it a scan?"
        )
    renumbered = np.searchsorted(numbers, labels) + 1
    return tuple(f"atlas_{number}" for number in numbers), [np.where(np.isin(labels, numbers), renumbered, 0)]
