"""Numbers that tell a bad scan: noise and contrast as MRIQC defines them, what the masks and the registration say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from neurotransfer.cohort.images import BACKGROUND
from neurotransfer.cohort.mni import average_brain, overlap_of
from neurotransfer.cohort.orientation import orientation_of
from neurotransfer.cohort.volumes import laid_on
from neurotransfer.prepare.registration import register
from neurotransfer.prepare.scan import Scan
from neurotransfer.prepare.tissue import Tissues, find_tissues, tissue_masks

FLUID, GREY, WHITE = 0, 1, 2
LEAST_AIR_VOXELS = 1000
AIR_GAP_MM = 12.0
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Examined:
    """A scan that was looked at: its `quality`, its `tissues`, and the affine `to_template` (4, 4) that they were found by."""

    quality: dict[str, Any]
    tissues: Tissues
    to_template: np.ndarray


def examine(scan: Scan, raw: np.ndarray) -> Examined:
    """Look at a scan whose brain is known, before it is laid on a grid.

    Args:
        scan: with its brain; registered by an affine transform, or it is done here.
        raw: the voxels (i, j, k) of the scan before its brightness was changed.
    """
    assert scan.brain is not None, "a scan is examined after its brain was found"
    if "aligned" in scan.properties and scan.to_template is not None:
        to_template = scan.to_template
        turned = float(next((line["AxesTurnedByDegrees"] for line in scan.log if "AxesTurnedByDegrees" in line), 0))
    else:
        found = register(scan.voxels, scan.affine, scan.brain)
        to_template, turned = found.to_template, found.turned_degrees
    tissues = find_tissues(scan.voxels, scan.affine, scan.brain, to_template)
    quality = _geometry(scan, to_template, turned) | _noise(scan, raw, tissues, to_template)
    return Examined(quality, tissues, to_template)


def as_it_lies(scan: Scan) -> dict[str, Any]:
    """Where the axes of a scan point, and the sides of its voxels."""
    sides = scan.sides_mm
    return {
        "orientation": orientation_of(scan.affine),
        "voxel_x_mm": float(sides[0]),
        "voxel_y_mm": float(sides[1]),
        "voxel_z_mm": float(sides[2]),
    }


def _geometry(scan: Scan, to_template: np.ndarray, turned: float) -> dict[str, Any]:
    assert scan.brain is not None
    return as_it_lies(scan) | {
        "brain_litres": float(scan.brain.sum()) * scan.voxel_mm3 / 1e6,
        "overlap": overlap_of(scan.brain, scan.affine, to_template),
        "similarity": similarity(scan, to_template),
        "inside": inside_of(scan, to_template),
        "turned_degrees": turned,
    }


def similarity(scan: Scan, to_template: np.ndarray) -> float:
    """Correlation of a scan's brightness with the average brain's inside both masks, -1 to 1."""
    assert scan.brain is not None
    average, place = average_brain(2), to_template @ scan.affine
    laid = laid_on(np.where(scan.brain, scan.voxels, 0).astype(np.float32), place, average.mask.shape, average.affine)
    both = average.mask & (laid > 0)
    if both.sum() < 2 or np.ptp(laid[both]) == 0:
        return 0.0
    return float(np.corrcoef(laid[both], average.t1[both])[0, 1])


def inside_of(scan: Scan, to_template: np.ndarray) -> float:
    """The share of the average brain that lies inside the scan's field of view, 0 to 1: less than 1 when a head is cut off."""
    average = average_brain(2)
    places = np.argwhere(average.mask)[::3]
    points = np.c_[places, np.ones(len(places))] @ (np.linalg.inv(to_template @ scan.affine) @ average.affine).T
    # a stripped scan is cropped to its own brain, which need not reach as far as the average one
    slack = 0.5 + ("stripped" in scan.properties) * 8 / scan.sides_mm
    is_in = (points[:, :3] >= -slack) & (points[:, :3] <= np.array(scan.voxels.shape) - 1 + slack)
    return float(is_in.all(1).mean())


def _noise(scan: Scan, raw: np.ndarray, tissues: Tissues, to_template: np.ndarray) -> dict[str, float]:
    masks = tissue_masks(tissues, scan.affine, scan.voxels.shape, to_template)
    stats = [_summary(scan.voxels[_eroded(mask)]) for mask in masks]
    air = air_of(raw, scan)
    # the air is that of the raw scan, tissue may have been scaled since
    scaled = float(np.median(scan.voxels[scan.brain]) / max(np.median(raw[scan.brain]), TINY))
    spread = float(air.std()) * scaled if len(air) >= LEAST_AIR_VOXELS else float("nan")
    fluid, grey, white = stats
    shares = tissues.volumes_mm3 / (tissues.volumes_mm3.sum() + TINY)
    measures = {
        "snr_fluid": snr(*fluid[:3]),
        "snr_grey": snr(*grey[:3]),
        "snr_white": snr(*white[:3]),
        "snr_dietrich": white[0] / (spread * np.sqrt(2 / (4 - np.pi)) + TINY),
        "cnr": abs(white[0] - grey[0]) / np.sqrt(np.nan_to_num(spread) ** 2 + white[1] ** 2 + grey[1] ** 2 + TINY),
        "cjv": (white[3] + grey[3]) / (abs(white[0] - grey[0]) + TINY),
        "efc": efc(raw),
        "contrast": (white[0] - grey[0]) / (white[0] + grey[0] + TINY),
        "fluid_share": shares[FLUID],
        "grey_share": shares[GREY],
        "white_share": shares[WHITE],
    }
    return {name: float(value) for name, value in measures.items()}


def _eroded(mask: np.ndarray) -> np.ndarray:
    # where voxels are coarse nothing may be left: then the mask as it is
    inner = ndimage.binary_erosion(mask, structure=ndimage.generate_binary_structure(3, 2))
    return inner if inner.sum() > 100 else mask


def _summary(values: np.ndarray) -> tuple[float, float, float, float]:
    """Median, standard deviation, number, and median absolute deviation scaled as a standard deviation."""
    if len(values) < 2:
        return float("nan"), float("nan"), float(len(values)), float("nan")
    middle = float(np.median(values))
    spread = float(np.median(np.abs(values - middle))) * 1.4826
    return middle, float(values.std(dtype=float)), float(len(values)), spread


def snr(middle: float, deviation: float, n: float) -> float:
    """Signal to noise within one tissue: its middle by its standard deviation, which is that of the sample of n.

    Example:
        >>> round(snr(100.0, 10.0, 1e6), 3)
        10.0
    """
    return float(middle / (deviation * np.sqrt(n / max(n - 1, 1)) + TINY))


def efc(voxels: np.ndarray) -> float:
    """The entropy focus criterion of a volume: Shannon entropy of its brightness by the largest possible, 0 to 1.

    E = - sum(x / b log(x / b)) with b = sqrt(sum x^2), divided by sqrt(N) log sqrt(N); low when energy is in few voxels.
    Atkinson et al. 1997, https://doi.org/10.1109/42.650886.

    Example:
        >>> round(efc(np.ones((4, 4, 4))), 6)
        1.0
    """
    top, entropy, n = 0.0, 0.0, 0
    # a slab at a time: of a large head every copy counts
    for slab in voxels:
        top += float((np.maximum(slab, 0, dtype=np.float64) ** 2).sum())
    top = max(np.sqrt(top), TINY)
    for slab in voxels:
        share = slab[slab > 0].astype(np.float64) / top
        entropy -= float((share * np.log(share)).sum())
        n += slab.size
    return entropy / max(float(np.sqrt(n) * np.log(np.sqrt(n))), TINY)


def air_of(raw: np.ndarray, scan: Scan) -> np.ndarray:
    """The brightness of the air around a head: beyond 12 mm of anything bright, and not zeroed by whoever defaced it."""
    step = [max(1, round(4 / side)) for side in scan.sides_mm]
    coarse = np.clip(raw, 0, None)[:: step[0], :: step[1], :: step[2]]
    smooth = ndimage.gaussian_filter(coarse.astype(np.float32), 1.0)
    tissue = smooth > BACKGROUND * np.percentile(coarse[coarse > 0], 98) if (coarse > 0).any() else coarse > 0
    if not tissue.any():
        return coarse[coarse > 0]
    air = coarse[ndimage.distance_transform_edt(~tissue, sampling=step * scan.sides_mm) > AIR_GAP_MM]
    return air[air > 0]


def as_row(quality: Mapping[str, Any]) -> dict[str, Any]:
    """Quality as a row of a table, numbers rounded to four digits that count; None for what could not be measured."""
    return {name: _rounded(value) if isinstance(value, float) else value for name, value in quality.items()}


def _rounded(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
