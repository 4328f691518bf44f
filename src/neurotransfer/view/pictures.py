"""A picture of a scan: three slices through the middle of the head, side by side."""

from pathlib import Path

import numpy as np

from neurotransfer.artifacts import write_atomically
from neurotransfer.cohort.images import opened
from neurotransfer.cohort.orientation import reoriented

TALL = 224
GAP = 4
QUALITY = 82
# of the brightest tissue: what is brighter than this is head and not air
TISSUE = 0.1
BRIGHTEST = 99.5


def write_picture(scan: Path, path: Path) -> None:
    """Write a JPEG of a scan: sagittal, coronal and axial, each as tall as the others, the person's left on the left.

    Raises:
        ImageError: when the scan cannot be read.
    """
    from PIL import Image

    image, voxels = opened(scan)
    made = Image.fromarray(picture(voxels, np.asarray(image.affine, float)))
    write_atomically(path, lambda temporary: made.save(temporary, "JPEG", quality=QUALITY))


def picture(voxels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Three slices of voxels (i, j, k) with their affine (4, 4) as grey values (TALL, width) of uint8.

    Example:
        >>> picture(np.arange(1000.0).reshape(10, 10, 10), np.eye(4)).shape
        (224, 680)
    """
    turned, affine = reoriented(voxels, affine)
    sides_mm = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = brightness(turned)
    middle = _middle(turned, low + TISSUE * (high - low))
    panels = []
    for axis in range(3):
        cut = np.take(turned, middle[axis], axis).astype(np.float32)
        grey = np.clip((cut - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        across, up = np.delete(sides_mm, axis) * grey.shape
        panels.append(_resized(np.flipud(grey.T), across / up))
    gap = np.zeros((TALL, GAP), np.uint8)
    return np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)


def brightness(voxels: np.ndarray) -> tuple[float, float]:
    """The values that are shown black and white: the lowest and one that few voxels of the head exceed."""
    some = voxels[::2, ::2, ::2]
    low = min(float(some.min()), 0.0) if some.min() < 0 else 0.0
    bright = some[some > low]
    high = float(np.percentile(bright, BRIGHTEST)) if bright.size else low + 1
    return low, high if high > low else low + 1


def _middle(voxels: np.ndarray, threshold: float) -> list[int]:
    """The middle of what is brighter than a threshold, along each axis."""
    bright = voxels > threshold
    middle = []
    for axis in range(3):
        places = np.flatnonzero(bright.any(axis=tuple({0, 1, 2} - {axis})))
        middle.append(int(places[0] + places[-1]) // 2 if len(places) else voxels.shape[axis] // 2)
    return middle


def _resized(grey: np.ndarray, across_by_up: float) -> np.ndarray:
    from PIL import Image

    # nothing that is a head is wider than this
    wide = int(np.clip(round(TALL * across_by_up), 16, 4 * TALL))
    return np.asarray(Image.fromarray(np.ascontiguousarray(grey)).resize((wide, TALL), Image.Resampling.BILINEAR))
