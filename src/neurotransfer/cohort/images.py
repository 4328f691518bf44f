"""The one place that opens images: a file on disk to checked voxels, with a mask where there is one."""

import gzip
import io
import stat
from math import prod
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
from nibabel.orientations import aff2axcodes

from neurotransfer.cohort.header import (
    HEADER_BYTES,
    LARGEST_EXTRA_BYTES,
    Header,
    apart_mm,
    read_header,
    require_fitting,
)
from neurotransfer.errors import ImageError

IMAGE_SUFFIXES = (".nii", ".nii.gz", ".mgz", ".mgh")
LARGEST = 1e30
BACKGROUND = 0.1
VOXELS_AT_ONCE = 2**20


def read_image(path: Path) -> nibabel.spatialimages.SpatialImage:
    """Open a T1-weighted image; its voxels are read and checked.

    Raises:
        ImageError: when it is absent, not an image, truncated, damaged, too large for a head, not 3D, or has NaN, only one
            value, no volume, or no side that is left.
    """
    return opened(path)[0]


def opened(path: Path) -> tuple[nibabel.spatialimages.SpatialImage, np.ndarray]:
    """The image and its voxels (i, j, k), checked as by `read_image`; so that they are read from the disk only once.

    Integers of up to 32 bits are as they are stored; everything else, and what has a slope or an intercept, is float32.
    Whatever the file, no more memory is taken than the largest head needs, 512 MiB.
    """
    file_bytes = _size_of(path)
    if not path.name.lower().endswith(IMAGE_SUFFIXES):
        raise ImageError(
            f"{str(path)!r} is no image that can be read; allowed: {', '.join(IMAGE_SUFFIXES)}: convert it to NIfTI "
            "(mri_convert or nibabel for .img, .hdr and .mnc, dcm2niix for DICOM)"
        )
    try:
        header, voxels = _read(path, file_bytes)
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        raise ImageError(_refusal(path, error)) from None
    with np.errstate(all="ignore"):
        problem = _problem(voxels)
    if problem:
        raise ImageError(f"{str(path)!r} {problem}")
    return header.image(path), voxels


def _size_of(path: Path) -> int:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise ImageError(f"no such image {str(path)!r}") from None
    except OSError as error:
        raise ImageError(f"no such image {str(path)!r}, or it cannot be reached: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
        raise ImageError(f"no such image {str(path)!r}: it is {what}; give a file")
    return found.st_size


def _refusal(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"cannot read {str(path)!r}: {error.strerror}; ask its owner for the right to read it"
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"cannot read {str(path)!r} as an image ({reason}); it may be truncated or no NIfTI"


def _read(path: Path, file_bytes: int) -> tuple[Header, np.ndarray]:
    compressed = path.name.lower().endswith((".gz", ".mgz"))
    with gzip.open(path) if compressed else path.open("rb") as file:
        header = read_header(file.read(HEADER_BYTES), path)
        require_fitting(header, file_bytes, compressed)
        file.seek(header.offset)
        voxels = _voxels(file, header)
        if compressed:
            _require_end(file)
    return header, voxels


def _voxels(file: io.BufferedIOBase, header: Header) -> np.ndarray:
    """The voxels (i, j, k) from where the file stands, a part at a time, so that they are never there twice."""
    slope, intercept = header.fields.get_slope_inter()
    scaled = (slope or 1.0, intercept or 0.0) != (1.0, 0.0)
    kept = header.dtype.kind in "iu" and header.dtype.itemsize <= 4 and not scaled
    voxels = np.empty(prod(header.shape), header.dtype.newbyteorder("=") if kept else np.float32)
    with np.errstate(all="ignore"):
        for start in range(0, voxels.size, VOXELS_AT_ONCE):
            part = voxels[start : start + VOXELS_AT_ONCE]
            stored = np.frombuffer(_exactly(file, part.size * header.dtype.itemsize), header.dtype)
            part[:] = stored.astype(np.float64) * slope + intercept if scaled else stored
    return voxels.reshape(header.shape, order="F")


def _exactly(file: io.BufferedIOBase, n_bytes: int) -> bytes:
    content = file.read(n_bytes)
    if len(content) != n_bytes:
        raise ValueError(f"it ends {n_bytes - len(content)} bytes or more before its last voxel")
    return content


def _require_end(file: io.BufferedIOBase) -> None:
    # the checksum of a compressed file is compared at its end
    for _ in range(LARGEST_EXTRA_BYTES // 2**20):
        if not file.read(2**20):
            return
    raise ValueError(f"it goes on for more than {LARGEST_EXTRA_BYTES} bytes after its last voxel")


def _problem(voxels: np.ndarray) -> str:
    lowest, highest = voxels.min(), voxels.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        return "has NaN or infinite values; mend it (nilearn.image.clean_img or numpy.nan_to_num)"
    if max(float(highest), -float(lowest)) > LARGEST:
        return f"has values from {lowest:g} to {highest:g}; its header or its scaling is damaged"
    if lowest == highest:
        return f"is constant, every voxel is {lowest}"
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
    del voxels
    return Examined(_described(image), "", bright_litres(head, image.affine))


def bright_litres(head: np.ndarray, affine: np.ndarray) -> float:
    """Litres of what is brighter than a tenth of the brightest tissue; `head` (i, j, k) has voxels above zero.

    Example:
        >>> bright_litres(np.ones((100, 100, 100)), np.diag([1.0, 1, 1, 1]))
        1.0
    """
    bright = head > BACKGROUND * np.percentile(head[head > 0], 99, overwrite_input=True)
    return int(bright.sum()) * (abs(float(np.linalg.det(affine[:3, :3]))) / 1e6)


def head_of(path: Path, image: nibabel.spatialimages.SpatialImage, voxels: np.ndarray, mask: Path | None) -> np.ndarray:
    """The voxels above zero inside the mask as float32 (i, j, k), zero elsewhere."""
    head = voxels.astype(np.float32)
    np.clip(head, 0, None, out=head)
    if mask is not None:
        head[~mask_of_scan(mask, image, path)] = 0
    if not head.any():
        raise ImageError(f"{str(path)!r} has no voxel above zero{' inside its mask' if mask is not None else ''}")
    return head


def mask_of_scan(path: Path, image: nibabel.spatialimages.SpatialImage, scan: Path, least: float = 0.5) -> np.ndarray:
    """What is above `least` in the mask (i, j, k) bool of an image, which was read from `scan`.

    Raises:
        ImageError: when it cannot be read, or differs from the image in shape, orientation or place.
    """
    mask, inside = opened(path)
    if _described(mask) != _described(image):
        found, wanted = (f"{shape} {orientation}" for shape, orientation in map(_described, (mask, image)))
        raise ImageError(
            f"image and mask differ in shape or orientation: {str(path)!r} is {found}, {str(scan)!r} is {wanted}"
        )
    distance_mm = apart_mm(image.shape, mask.affine, image.affine)
    if distance_mm > 0.5 * np.linalg.norm(image.affine[:3, :3], axis=0).min():
        raise ImageError(
            f"image and mask lie {distance_mm:.3g} mm apart: {str(path)!r} is not the mask of {str(scan)!r}"
        )
    return inside > least
