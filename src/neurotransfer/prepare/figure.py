"""A picture of one prepared scan: three slices in MNI152 with the outline of its mask and of the average brain."""

import io

import numpy as np
from scipy import ndimage

from neurotransfer.cohort.mni import average_brain
from neurotransfer.cohort.volumes import laid_on
from neurotransfer.prepare.scan import Scan

# where the slices lie, millimetres of MNI152: the middle but for the falx, the level of the thalamus and of the amygdala
SLICES_MM = (-6.0, -4.0, 12.0)
ZOOM = 2
RED, CYAN = (235, 60, 50), (60, 200, 220)
QUALITY = 80


def picture(scan: Scan, to_template: np.ndarray) -> bytes:
    """Three slices side by side as a JPEG: sagittal, coronal and axial, the person's left on the left.

    The red line is the brain of this scan, the cyan one that of MNI152: where they part, look again.
    """
    from PIL import Image

    assert scan.brain is not None
    average, place = average_brain(2), to_template @ scan.affine
    head = laid_on(scan.voxels, place, average.mask.shape, average.affine)
    brain = laid_on(scan.brain.astype(np.float32), place, average.mask.shape, average.affine) > 0.5
    top = np.percentile(head[brain], 99) if brain.any() else max(float(head.max()), 1e-12)
    grey = np.clip(head / max(float(top) * 1.2, 1e-12), 0, 1)
    origin = average.affine[:3, 3]
    panels = []
    for axis, millimetres in enumerate(SLICES_MM):
        index = round((millimetres - origin[axis]) / 2)
        cut = [np.take(values, index, axis) for values in (grey, brain, average.mask)]
        panels.append(_panel(*(np.kron(np.flipud(each.T), np.ones((ZOOM, ZOOM), each.dtype)) for each in cut)))
    tall = max(panel.shape[0] for panel in panels)
    whole = np.concatenate([np.pad(panel, ((0, tall - len(panel)), (0, 0), (0, 0))) for panel in panels], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(whole).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _panel(grey: np.ndarray, brain: np.ndarray, average: np.ndarray) -> np.ndarray:
    panel = np.repeat((grey * 255).astype(np.uint8)[..., None], 3, axis=2)
    for mask, colour in ((average, CYAN), (brain, RED)):
        panel[mask & ~ndimage.binary_erosion(mask)] = colour
    return panel
