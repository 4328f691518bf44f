"""The one place that reads images: a scan on disk to a model-ready volume, and a store of them."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
from nibabel.orientations import aff2axcodes
from scipy import ndimage

from neurotransfer.artifacts import read_json, storage, write_json
from neurotransfer.cohort.grid import Grid
from neurotransfer.errors import ImageError, StorageError

RECIPE = "grid-1"
ALIGNMENTS = ("world", "centre")
IMAGE_SUFFIXES = (".nii", ".nii.gz", ".mgz", ".mgh")


def read_image(path: Path) -> nibabel.spatialimages.SpatialImage:
    """Open a T1-weighted image; its voxels are read and checked.

    Raises:
        ImageError: when it is absent, not an image, truncated, not 3D, or has NaN, only one value, or no volume.
    """
    if not path.is_file():
        raise ImageError(f"no such image {str(path)!r}")
    try:
        image = nibabel.load(path)
        voxels = np.asanyarray(image.dataobj)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"cannot read {str(path)!r} as an image ({reason}); it may be truncated or no NIfTI") from None
    problem = _problem(voxels, image.affine)
    if problem:
        raise ImageError(f"{str(path)!r} {problem}")
    return image


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
    if voxels.min() == voxels.max():
        return f"is constant, every voxel is {voxels.flat[0]}"
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        return "has an affine that maps no volume; its header is damaged"
    return ""


def describe_image(path: Path) -> tuple[tuple[int, ...], str]:
    """Shape and orientation (such as `LAS`) of an image that has passed `read_image`."""
    image = read_image(path)
    return tuple(image.shape[:3]), "".join(aff2axcodes(image.affine))


def load_volume(path: Path, grid: Grid, mask: Path | None = None, alignment: str = "world") -> np.ndarray:
    """A scan as a model-ready volume: float32 (x, y, z) of the grid, RAS, values 0 (outside) to 1.

    `alignment` says how the scan is laid on the grid: `world` by its own affine (a scan in MNI space), `centre` with the
    centre of its brain's bounding box on the centre of the grid (a scan in native space; nothing is scaled or turned).

    The mask is applied first (where given), then the scan is smoothed against aliasing, laid on the grid by linear
    interpolation and divided by the 99th percentile of its voxels above zero.

    Raises:
        ImageError: as `read_image`, when mask and image differ in shape, or when nothing of the head meets the grid.
    """
    image = read_image(path)
    voxels = np.asarray(image.dataobj, np.float32).reshape(image.shape[:3])
    if mask is not None:
        voxels = np.where(_mask(mask, voxels.shape, path), voxels, 0.0).astype(np.float32)
    volume = resample(np.clip(voxels, 0, None), image.affine, grid, alignment)
    inside = volume[volume > 0]
    if inside.size < 0.001 * volume.size:
        raise ImageError(
            f"{str(path)!r} does not meet the grid of the model (alignment {alignment!r}); a scan in native space "
            'needs alignment = "centre"'
        )
    return np.clip(volume / np.percentile(inside, 99), 0, 1).astype(np.float32)


def _mask(path: Path, shape: tuple[int, ...], image: Path) -> np.ndarray:
    inside = np.asarray(read_image(path).dataobj)
    if inside.reshape(inside.shape[:3]).shape != shape:
        raise ImageError(f"the mask {str(path)!r} has shape {inside.shape}, its image {str(image)!r} has {shape}")
    return inside.reshape(shape) > 0.5


def resample(voxels: np.ndarray, affine: np.ndarray, grid: Grid, alignment: str = "world") -> np.ndarray:
    """Voxels (i, j, k) with their affine (4, 4), by linear interpolation on the grid; zero outside.

    Where the grid is coarser than the image, the image is first smoothed by a Gaussian with a full width at half
    maximum of the voxel size of the grid (less that of the image, in quadrature).
    """
    sides_mm = np.linalg.norm(affine[:3, :3], axis=0)
    width_mm = np.sqrt(np.clip(grid.voxel_size_mm**2 - sides_mm**2, 0, None))
    sigma = width_mm / sides_mm / np.sqrt(8 * np.log(2))
    smooth = ndimage.gaussian_filter(voxels, sigma) if sigma.max() > 0 else voxels
    to_image = np.linalg.inv(affine) @ (_shift(voxels, affine, grid, alignment) @ grid.affine)
    return ndimage.affine_transform(smooth, to_image[:3, :3], to_image[:3, 3], output_shape=grid.shape, order=1)


def _shift(voxels: np.ndarray, affine: np.ndarray, grid: Grid, alignment: str) -> np.ndarray:
    shift = np.eye(4)
    if alignment == "centre":
        corners = _bounding_box(voxels)
        centre = affine @ np.append(corners.mean(0), 1.0)
        middle = grid.affine @ np.append((np.array(grid.shape) - 1) / 2, 1.0)
        shift[:3, 3] = (centre - middle)[:3]
    return shift


def _bounding_box(voxels: np.ndarray) -> np.ndarray:
    inside = voxels > 0.05 * voxels.max()
    sides = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return np.array([[side[0] for side in sides], [side[-1] for side in sides]], float)


def fingerprint(paths: Sequence[tuple[Path, Path | None]], grid: Grid, alignment: str) -> str:
    """What a store of volumes depends on: every file's path, size and time of change, the grid and the recipe."""
    digest = hashlib.sha256(repr((RECIPE, grid, alignment)).encode())
    for pair in paths:
        for path in pair:
            if path is not None:
                status = path.stat()
                digest.update(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def store_volumes(
    folder: Path,
    paths: Sequence[tuple[Path, Path | None]],
    grid: Grid,
    alignment: str = "world",
    on_volume: Callable[[], object] | None = None,
) -> np.ndarray:
    """Model-ready volumes of (image, mask) pairs as one memory-mapped float16 array (n, x, y, z), made only once.

    The array lies in `folder` as `volumes.npy` beside a manifest that is written last; it is made again when a file,
    the grid or the recipe has changed.

    Raises:
        StorageError: when the disk is too full for it.
    """
    key = fingerprint(paths, grid, alignment)
    array, manifest = folder / "volumes.npy", folder / "volumes.json"
    if not (manifest.is_file() and array.is_file() and read_json(manifest).get("fingerprint") == key):
        manifest.unlink(missing_ok=True)
        with storage(array):
            folder.mkdir(parents=True, exist_ok=True)
            _require_space(folder, 2 * len(paths) * int(np.prod(grid.shape)))
            _fill(array, paths, grid, alignment, on_volume)
        write_json(manifest, {"fingerprint": key, "n": len(paths), "shape": grid.shape, "recipe": RECIPE})
    return np.load(array, mmap_mode="r")


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"{str(folder)!r} has {free / 2**20:.0f} MiB left and the volumes need {needed / 2**20:.0f} MiB; free some "
            "space, give another --out, or use a coarser grid"
        )


def _fill(
    array: Path,
    paths: Sequence[tuple[Path, Path | None]],
    grid: Grid,
    alignment: str,
    on_volume: Callable[[], object] | None,
) -> None:
    # a plain file and not a writable memory map, which answers a full disk with a bus error
    with array.open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (len(paths), *grid.shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for image, mask in paths:
            file.write(load_volume(image, grid, mask, alignment).astype("<f2").tobytes())
            if on_volume is not None:
                on_volume()
