"""The one place that writes images: NIfTI, whole or not at all, the same bytes for the same voxels."""

import gzip
from pathlib import Path

import nibabel
import numpy as np

from neurotransfer.artifacts import write_atomically
from neurotransfer.cohort.header import apart_mm, problem_of_affine, problem_of_shape
from neurotransfer.errors import ImageError

ENDING = ".nii.gz"
COMPRESSION = 1
LONGEST_SIDE = 2**15 - 1
STORED_MM = 1e-3


def write_image(path: Path, voxels: np.ndarray, affine: np.ndarray, *, space: str = "") -> None:
    """Write voxels (i, j, k) and their affine (4, 4), voxel indices to mm, as a file that ends in `.nii.gz`.

    Booleans and uint8 are stored as uint8, int16 as it is, and floats as float32. The sform is the affine, and so is the
    qform where it can hold it (an affine without shear); both say `mni` when `space` begins with MNI, else `scanner`. The
    header holds no text.

    Raises:
        ImageError: when the voxels have another type, are no volume or not finite, or the affine maps no volume.
        StorageError: when the disk is full or the place cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "ramp.nii.gz"
        >>> write_image(path, np.arange(8.0).reshape(2, 2, 2), np.diag([2.0, 2, 2, 1]), space="MNI152")
        >>> int(nibabel.load(path).header["sform_code"])
        4
    """
    stored = _stored(path, voxels)
    affine = np.asarray(affine, np.float64)
    problem = _problem(path, stored, affine)
    if problem:
        raise ImageError(f"cannot write {str(path)!r}: the image {problem}")
    image = nibabel.Nifti1Image(stored, affine)
    image.header.set_xyzt_units("mm")
    code = "mni" if space.upper().startswith("MNI") else "scanner"
    image.set_sform(affine, code=code)
    image.set_qform(affine, code=code)
    if apart_mm(stored.shape, image.get_qform(), affine) > STORED_MM:
        image.header["qform_code"] = 0
    content = gzip.compress(image.to_bytes(), compresslevel=COMPRESSION, mtime=0)
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def _stored(path: Path, voxels: np.ndarray) -> np.ndarray:
    kept = {"b1": np.uint8, "u1": np.uint8, "i2": np.int16}
    kind = f"{voxels.dtype.kind}{voxels.dtype.itemsize}"
    if kind in kept or voxels.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return voxels.astype(kept.get(kind, np.float32))
    raise ImageError(
        f"cannot write {str(path)!r}: its values are of type {voxels.dtype}; allowed: bool, uint8, int16 and floats"
    )


def _problem(path: Path, voxels: np.ndarray, affine: np.ndarray) -> str:
    if not path.name.lower().endswith(ENDING):
        return f"has a name that does not end in {ENDING}; give it that ending"
    problem = problem_of_shape(voxels.shape)
    if problem:
        return problem
    if max(voxels.shape) > LONGEST_SIDE:
        return f"has shape {voxels.shape}; a side of a NIfTI image has at most {LONGEST_SIDE} voxels"
    if not np.isfinite(voxels).all():
        return "has values that are NaN, infinite or beyond float32; mend them first"
    if affine.shape != (4, 4) or not (affine[3] == (0, 0, 0, 1)).all():
        return f"has an affine {affine.tolist()}; allowed: (4, 4) with 0, 0, 0, 1 below"
    return problem_of_affine(affine)
