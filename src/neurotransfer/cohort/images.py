"""The one place that opens images: a file on disk to checked voxels, with a mask where there is one."""

import gzip
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
from nibabel.orientations import aff2axcodes

from neurotransfer.artifacts import is_file
from neurotransfer.errors import ImageError

IMAGE_SUFFIXES = (".nii", ".nii.gz", ".mgz", ".mgh")
LARGEST = 1e30
SIDES_MM = (0.05, 30)
BACKGROUND = 0.1


def read_image(path: Path) -> nibabel.spatialimages.SpatialImage:
    """Open a T1-weighted image; its voxels are read and checked.

    Raises:
        ImageError: when it is absent, not an image, truncated, not 3D, or has NaN, only one value, or no volume.
    """
    return opened(path)[0]


def opened(path: Path) -> tuple[nibabel.spatialimages.SpatialImage, np.ndarray]:
    """The image and its voxels, checked as by `read_image`; so that they are read from the disk only once."""
    if not is_file(path):
        raise ImageError(f"no such image {str(path)!r}")
    if not path.name.lower().endswith(IMAGE_SUFFIXES):
        raise ImageError(f"{str(path)!r} is no image that can be read; allowed: {', '.join(IMAGE_SUFFIXES)}")
    try:
        image: Any = nibabel.load(path)
        voxels = np.asanyarray(image.dataobj)
        affine = np.asarray(image.affine, np.float64)
        _require_checksum(path)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"cannot read {str(path)!r} as an image ({reason}); it may be truncated or no NIfTI") from None
    problem = _problem(voxels, affine) or _unoriented(image)
    if problem:
        raise ImageError(f"{str(path)!r} {problem}")
    return image, voxels


def _require_checksum(path: Path) -> None:
    # nibabel stops after the last voxel and never sees the checksum at the end of a compressed file
    if path.name.lower().endswith((".gz", ".mgz")):
        with gzip.open(path) as file:
            while file.read(2**20):
                pass


def _unoriented(image: nibabel.spatialimages.SpatialImage) -> str:
    if isinstance(image, nibabel.Nifti1Pair) and not (image.header["sform_code"] or image.header["qform_code"]):
        return (
            "does not say where left is (its sform and qform codes are 0); convert it again from DICOM, or set its "
            "affine where you know it (nibabel: image.set_sform(affine, 1))"
        )
    return ""


def _problem(voxels: np.ndarray, affine: np.ndarray) -> str:
    shape = voxels.shape[:3] if voxels.ndim == 4 and voxels.shape[3] == 1 else voxels.shape
    if len(shape) != 3:
        return f"has shape {voxels.shape}; a T1-weighted scan has three dimensions: choose one volume"
    if 0 in shape:
        return f"is empty, shape {voxels.shape}"
    if voxels.dtype.kind not in "iufb":
        return f"has values of type {voxels.dtype}; allowed: numbers"
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        return "has NaN or infinite values; mend it (nilearn.image.clean_img or numpy.nan_to_num)"
    if max(float(voxels.max()), -float(voxels.min())) > LARGEST:
        return f"has values from {voxels.min():g} to {voxels.max():g}; its header or its scaling is damaged"
    if voxels.min() == voxels.max():
        return f"is constant, every voxel is {voxels.flat[0]}"
    sides_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if (
        not np.isfinite(affine).all()
        or abs(np.linalg.det(affine[:3, :3])) < 1e-3 * sides_mm.prod()
        or not sides_mm.all()
    ):
        return "has an affine that maps no volume; its header is damaged"
    if sides_mm.min() < SIDES_MM[0] or sides_mm.max() > SIDES_MM[1]:
        sides = " x ".join(f"{side:.3g}" for side in sides_mm)
        return f"has voxels of {sides} mm; allowed: {SIDES_MM[0]} to {SIDES_MM[1]}: its header is damaged or not in mm"
    return ""


def describe_image(path: Path) -> tuple[tuple[int, ...], str]:
    """Shape and orientation (such as `LAS`) of an image that has passed `read_image`."""
    return _described(read_image(path))


def _described(image: nibabel.spatialimages.SpatialImage) -> tuple[tuple[int, ...], str]:
    return tuple(image.shape[:3]), "".join(aff2axcodes(image.affine))


class Examined(NamedTuple):
    """What `describe_image` says of a scan, what is wrong with its mask (empty text: nothing), and litres of tissue."""

    described: tuple[tuple[int, ...], str]
    remark: str
    litres: float


def examine_scan(path: Path, mask: Path | None = None) -> Examined:
    """Look at a scan with its mask before it is used.

    Its litres are the volume of what is brighter than a tenth of its brightest tissue: 1 to 2.2 for a brain, about 2.5 to
    4 for a head with its skull.

    Raises:
        ImageError: when the image itself cannot be used.
    """
    image, voxels = opened(path)
    try:
        head = head_of(path, image, voxels, mask)
    except ImageError as error:
        return Examined(_described(image), str(error), 0.0)
    voxel_litres = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1e6
    bright = head > BACKGROUND * np.percentile(head[head > 0], 99)
    return Examined(_described(image), "", int(bright.sum()) * voxel_litres)


def head_of(path: Path, image: nibabel.spatialimages.SpatialImage, voxels: np.ndarray, mask: Path | None) -> np.ndarray:
    """The voxels above zero inside the mask as float32 (i, j, k), zero elsewhere."""
    head = np.clip(voxels.reshape(image.shape[:3]), 0, None).astype(np.float32)
    if mask is not None:
        head[~_mask(mask, image, path)] = 0
    if not head.any():
        raise ImageError(f"{str(path)!r} has no voxel above zero{' inside its mask' if mask is not None else ''}")
    return head


def _mask(path: Path, image: nibabel.spatialimages.SpatialImage, scan: Path) -> np.ndarray:
    mask, inside = opened(path)
    if _described(mask) != _described(image):
        found, wanted = (f"{shape} {orientation}" for shape, orientation in map(_described, (mask, image)))
        raise ImageError(
            f"image and mask differ in shape or orientation: {str(path)!r} is {found}, {str(scan)!r} is {wanted}"
        )
    corners = np.array(list(product(*[(0, side - 1) for side in image.shape[:3]], (1,))), float)
    apart_mm = float(np.linalg.norm(corners @ (mask.affine - image.affine).T, axis=1).max())
    if apart_mm > 0.5 * np.linalg.norm(image.affine[:3, :3], axis=0).min():
        raise ImageError(f"image and mask lie {apart_mm:.3g} mm apart: {str(path)!r} is not the mask of {str(scan)!r}")
    return inside.reshape(image.shape[:3]) > 0.5
