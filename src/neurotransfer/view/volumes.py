"""Volumes as the browser gets them: files as they are where it can read them, else a small NIfTI made of them."""

import gzip
from math import prod
from pathlib import Path

import numpy as np

from neurotransfer.cohort.header import HEADER_BYTES, read_header, require_fitting
from neurotransfer.cohort.images import opened
from neurotransfer.cohort.volumes import laid_on
from neurotransfer.cohort.writing import write_image
from neurotransfer.errors import ImageError

NIFTI = (".nii", ".nii.gz")
# 320 voxels a side: beyond it browsers stumble
MOST_VOXELS = 2**25
STEPS = 4095


def can_be_shown_as_it_is(path: Path) -> bool:
    """Whether an image is a NIfTI file of a size that a browser shows.

    Raises:
        ImageError: when it is no image, so that nothing else is ever sent under its name.
    """
    compressed = path.name.lower().endswith((".gz", ".mgz"))
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            header = read_header(file.read(HEADER_BYTES), path)
        require_fitting(header, path.stat().st_size, compressed)
    except ImageError:
        raise
    except Exception:
        raise ImageError(f"{str(path)!r} is no image that can be read") from None
    return path.name.lower().endswith(NIFTI) and prod(header.shape) <= MOST_VOXELS


def write_small(image: Path, path: Path) -> None:
    """Write an image as `.nii.gz` with no more than `MOST_VOXELS` voxels.

    Integers of 8 and 16 bits are kept as they are; other values are rounded to 4095 steps of the largest, so that the file is
    small: they are wrong by an eight-thousandth of the largest at most.

    Raises:
        ImageError: when the image cannot be read.
    """
    read, voxels = opened(image)
    affine = np.asarray(read.affine, float)
    factor = (prod(voxels.shape) / MOST_VOXELS) ** (1 / 3)
    if factor > 1:
        voxels, affine = _coarser(voxels.astype(np.float32), affine, factor)
    write_image(path, voxels if voxels.dtype in (np.uint8, np.int16) else rounded(voxels), affine)


def _coarser(voxels: np.ndarray, affine: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    shape = tuple(max(int(side / factor), 1) for side in voxels.shape)
    larger = affine @ np.diag([*[factor] * 3, 1.0])
    # so that the first voxels have the same outer corner
    larger[:3, 3] = affine[:3, 3] + affine[:3, :3] @ np.full(3, (factor - 1) / 2)
    return laid_on(voxels, affine, shape, larger), larger


def rounded(voxels: np.ndarray) -> np.ndarray:
    """Voxels as float32, rounded to steps of a 4095th of the largest absolute value.

    Example:
        >>> rounded(np.array([0.0, 0.50001, 1.0])).round(4).tolist()
        [0.0, 0.5001..., 1.0]
    """
    largest = float(np.abs(voxels).max())
    step = largest / STEPS if largest > 0 else 1.0
    return (np.rint(voxels.astype(np.float32) / np.float32(step)) * np.float32(step)).astype(np.float32)
