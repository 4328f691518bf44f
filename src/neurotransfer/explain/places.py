"""Where the voxels of a model's volume lie in a scan, and maps laid back on the scan's own voxels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurotransfer.artifacts import is_file, is_folder, read_json
from neurotransfer.cohort import Cohort, volumes
from neurotransfer.cohort.contract import NATIVE, Contract, Input
from neurotransfer.cohort.images import head_of, opened
from neurotransfer.cohort.orientation import reoriented
from neurotransfer.cohort.volumes import laid_on
from neurotransfer.errors import ImageError

# what a FreeSurfer or FastSurfer folder has of the head, in the order in which it is taken
OF_SUBJECT = ("mri/orig.mgz", "mri/brainmask.mgz")
TO_TEMPLATE = "ScanToTemplate"


@dataclass(frozen=True, eq=False)
class Place:
    """The place of one scan's volume.

    Attributes:
        scan: the file that the user has.
        shape: (i, j, k) of its voxels.
        affine: (4, 4), its voxels to its millimetres.
        to_scan: (4, 4), the volume's voxels to the millimetres of the scan.
        to_space: (4, 4), the volume's voxels to the millimetres of the model's space: MNI152, unless volumes are native.
    """

    scan: Path
    shape: tuple[int, int, int]
    affine: np.ndarray
    to_scan: np.ndarray
    to_space: np.ndarray

    def own(self, values: np.ndarray) -> np.ndarray:
        """A map (x, y, z) of the volume on the voxels of the scan (i, j, k), by linear interpolation, zero outside.

        Where the scan's voxels are coarser the map is smoothed first. Values stay what they are, a relevance per voxel of the
        model: their sum is that of the map only where voxels have one size.
        """
        return laid_on(values.astype(np.float32), self.to_scan, self.shape, self.affine)


def place_of(cohort: Cohort, row: int, taken: Input, raw: str = "") -> Place:
    """Where the volume of a row lies.

    Args:
        cohort: of scans that a model takes.
        row: of it.
        taken: the input contract of the model.
        raw: the scan that the row's image was prepared from; "" when it is the user's own.

    Raises:
        ImageError: when a file cannot be read.
    """
    image, mask = cohort.images[row]
    opened_image, voxels = opened(image)
    affine = np.asarray(opened_image.affine, float)
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    if isinstance(taken, Contract):
        to_space = reoriented(np.empty(shape, np.uint8), affine, taken.orientation)[1]
        to_scan = to_space
    else:
        to_space = taken.affine
        head = head_of(image, opened_image, voxels, mask)
        to_scan = volumes.shift_onto(head, affine, taken, cohort.alignment) @ taken.affine
    own = _own_of(raw)
    if own is None:
        return Place(image, shape, affine, to_scan, to_space)
    raw_image, raw_voxels = opened(own)
    i, j, k = raw_voxels.shape[:3]
    return Place(own, (i, j, k), np.asarray(raw_image.affine, float), _undone(image) @ to_scan, to_space)


def is_in_mni152(taken: Input, alignment: str) -> bool:
    """Whether places of volumes can be named by MNI152: scans in native space cannot, centred ones roughly.

    Example:
        >>> from neurotransfer.cohort import Grid
        >>> is_in_mni152(Grid(), "world"), is_in_mni152(Grid(), "centre")
        (True, False)
    """
    return taken.space != NATIVE if isinstance(taken, Contract) else alignment == "world"


def _own_of(raw: str) -> Path | None:
    """The file whose voxels are those of a raw scan; None for DICOM, whose slices are no such file."""
    if not raw:
        return None
    path = Path(raw)
    if is_file(path):
        return path
    return next((path / name for name in OF_SUBJECT if is_folder(path) and is_file(path / name)), None)


def _undone(prepared: Path) -> np.ndarray:
    """The millimetres of a prepared volume to those of the raw scan (4, 4), by what its sidecar says of the way there."""
    sidecar = prepared.with_name(f"{prepared.name.removesuffix('.nii.gz')}.json")
    facts = read_json(sidecar)
    if TO_TEMPLATE not in facts:
        raise ImageError(f"{str(sidecar)!r} does not say how the scan was moved; prepare it again")
    moved = facts[TO_TEMPLATE]
    is_native = facts.get("SpatialReference") == NATIVE
    return np.eye(4) if moved is None or is_native else np.linalg.inv(np.array(moved, float))
