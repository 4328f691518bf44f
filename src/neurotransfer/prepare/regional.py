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
    names, labels = _parcels() if atlas is None else _of_atlas(atlas)
    for tissue, share in zip(TISSUES, tissues.shares, strict=True):
        sums = np.bincount(labels.ravel(), weights=share.ravel(), minlength=len(names) + 1)[1:] * scale
        values |= {
            f"{name}_{tissue}_mm3": float(volume)
            for name, volume in zip(names, sums, strict=True)
            if atlas is not None or _is_told(name, tissue)
        }
    return values


def _is_told(name: str, tissue: str) -> bool:
    return (tissue == "fluid") == ("ventricle" in name)


@lru_cache(maxsize=1)
def _parcels() -> tuple[tuple[str, ...], np.ndarray]:
    average = average_brain(SPACING_MM)
    places = np.indices(average.mask.shape) * SPACING_MM + average.affine[:3, 3].reshape(3, 1, 1, 1)
    near = ndimage.binary_dilation(average.mask, iterations=5)
    return tuple(f"near_{name}" for name in REGIONS), np.where(near, nearest_region(places), 0)


@lru_cache(maxsize=1)
def _of_atlas(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    average = average_brain(SPACING_MM)
    image, found = opened(path)
    found = found.reshape(found.shape[:3])
    if not np.equal(np.mod(found, 1), 0).all() or found.min() < 0:
        raise ImageError(f"{str(path)!r} is no atlas: its values are not whole numbers of 0 and more")
    back = np.linalg.inv(image.affine) @ average.affine
    labels = ndimage.affine_transform(
        found.astype(np.int32), back[:3, :3], back[:3, 3], output_shape=average.mask.shape, order=0, mode="constant"
    )
    numbers = np.unique(labels[labels > 0])
    if len(numbers) == 0:
        raise ImageError(f"{str(path)!r} is no atlas of MNI152: no label lies inside the brain of MNI152")
    renumbered = np.searchsorted(numbers, labels) + 1
    return tuple(f"atlas_{number}" for number in numbers), np.where(labels > 0, renumbered, 0)
