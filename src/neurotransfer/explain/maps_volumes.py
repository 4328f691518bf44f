"""Heads with overlays of maps for a page: cropped, coarse enough, and small; with slices as a picture."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy import ndimage

from neurotransfer.cohort.mni import SPACE
from neurotransfer.cohort.orientation import window
from neurotransfer.cohort.volumes import laid_on
from neurotransfer.cohort.writing import write_image
from neurotransfer.pages.model import Overlay, Volumes

# what a page can bear of all heads together, and of the voxels of one
MOST_BYTES, MOST_VOXELS = 5_500_000, 250_000
LEVELS, LEAST = 1000, 0.15
MARGIN, SMOOTHED_MM = 2, 8.0
ROWS = ((0, "sagittal"), (1, "coronal"), (2, "axial"))
CUTS = (0.3, 0.42, 0.5, 0.58, 0.7)


@dataclass(frozen=True, eq=False)
class Seen:
    """A head (x, y, z) 0 to 1 with maps by their names, and the affine (4, 4) of their voxels."""

    name: str
    title: str
    description: str
    head: np.ndarray
    maps: dict[str, np.ndarray]
    affine: np.ndarray


def volumes_for(seen: Sequence[Seen], most_bytes: int = MOST_BYTES) -> Iterator[Volumes]:
    """Heads as items of a page, as long as there is room for them.

    A map is smoothed for the eye; its values are thousandths of its largest one (the 99.9th percentile of absolute values), coloured
    from 150 on.
    """
    used = 0
    for each in seen:
        made = _volumes(each)
        used += sum(len(part) for part in (made.slices, made.base.file, *(overlay.file for overlay in made.overlays)))
        if used > most_bytes:
            return
        yield made


def _volumes(seen: Seen) -> Volumes:
    head, affine = _small(seen.head, seen.head, seen.affine)
    overlays, scaled = [], {}
    for name, values in seen.maps.items():
        voxel_mm = float(np.cbrt(abs(np.linalg.det(seen.affine[:3, :3]))))
        smooth = ndimage.gaussian_filter(values, SMOOTHED_MM / voxel_mm / np.sqrt(8 * np.log(2)))
        largest = float(np.percentile(np.abs(smooth[seen.head > 0]), 99.9)) or 1.0
        small = np.clip(_small(smooth, seen.head, seen.affine)[0] / largest, -1, 1)
        scaled[name] = small
        # what is not coloured is not kept
        whole = np.where(np.abs(small) < LEAST / 2, 0, np.rint(LEVELS * small)).astype(np.int16)
        overlays.append(Overlay(name, _file(whole, affine), LEAST * LEVELS, LEVELS, "warm", "winter"))
    brightest = float(head.max()) or 1.0
    base = Overlay("head", _file(np.rint(255 * head / brightest).astype(np.uint8), affine), 0, 255, "gray")
    first = next(iter(scaled.items()))
    caption = (
        "Warm colours raise what is explained, cold ones lower it; values are thousandths of the largest "
        f"(the 99.9th percentile), coloured from {LEAST * LEVELS:.0f} on. Smoothed for the eye by {SMOOTHED_MM:g} mm "
        f"(full width at half maximum). The picture shows {first[0]}."
    )
    return Volumes(
        seen.name, seen.title, seen.description, base, tuple(overlays), slices(head / brightest, first[1]), caption
    )


def _small(values: np.ndarray, head: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values around the head only, on coarser voxels where there are too many."""
    sides = [np.flatnonzero((head > 0).any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    start = tuple(int(side[0]) - MARGIN if len(side) else 0 for side in sides)
    shape = tuple(
        int(side[-1] - side[0]) + 1 + 2 * MARGIN if len(side) else values.shape[axis] for axis, side in enumerate(sides)
    )
    cut, moved = window(values.astype(np.float32), affine, start, shape)
    factor = float(np.cbrt(cut.size / MOST_VOXELS))
    if factor <= 1:
        return cut, moved
    target = moved @ np.diag([factor, factor, factor, 1.0])
    return laid_on(cut, moved, tuple(int(np.ceil(side / factor)) for side in shape), target), target


def _file(values: np.ndarray, affine: np.ndarray) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "volume.nii.gz"
        write_image(path, values, affine, space=SPACE)
        return path.read_bytes()


def slices(head: np.ndarray, values: np.ndarray) -> bytes:
    """A PNG of slices in three planes: a head (x, y, z) 0 to 1 in grey, a map -1 to 1 over it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 * len(CUTS), 1.5 * len(ROWS)), facecolor="black", layout="constrained")
    places = figure.subplots(len(ROWS), len(CUTS))
    shown = np.ma.masked_where(np.abs(values) < LEAST, values)
    for row, (axis, _) in enumerate(ROWS):
        for column, part in enumerate(CUTS):
            at, ax = round(part * (head.shape[axis] - 1)), places[row][column]
            ax.imshow(np.take(head, at, axis).T, cmap="gray", origin="lower", vmin=0, vmax=1)
            ax.imshow(np.ma.take(shown, at, axis).T, cmap="RdBu_r", origin="lower", vmin=-1, vmax=1, alpha=0.85)
            ax.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
