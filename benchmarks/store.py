"""Which file to keep volumes in: bytes, volumes a second in random order, and the first volume of a new process.

    python benchmarks/store.py [--shape 80,96,80] [--n 32] [--repeats 5]

Every format keeps the same smooth heads with noise inside and nothing outside, and gives float32 values from 0 to 1.
zarr and h5py are not needed by the package: `pip install -c constraints.txt zarr h5py`; what is absent is said to be.
Reading is from a warm page cache by one process; the median of the repeats is told. What is written is removed.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Reader = Callable[[int], np.ndarray]
FULL = {8: 255, 16: 65535}


class Format(NamedTuple):
    """How a format is written and opened, what it is wrong by, and the package that it needs."""

    write: Callable[[Path, np.ndarray], object]
    open: Callable[[Path], Reader]
    error: float
    package: str = "numpy"


def heads(n: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Smooth heads that fill some 40 % of the grid, float32 (n, x, y, z) from 0 to 1, with noise of 3 % of the brightest."""
    # here, as the import would count in the cold start of every format
    from scipy import ndimage

    generator = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, side) for side in shape], indexing="ij"))
    inside = (places**2).sum(0) < 0.85
    volumes = np.zeros((n, *shape), np.float32)
    for volume in volumes:
        tissue = ndimage.gaussian_filter(generator.normal(size=shape), min(shape) / 30)
        tissue = 0.55 + 0.2 * tissue / tissue.std() + 0.03 * generator.normal(size=shape)
        volume[inside] = np.clip(tissue[inside], 0.02, 1)
    return volumes


def whole(values: np.ndarray, bits: int) -> np.ndarray:
    """Values from 0 to 1 as the nearest whole numbers."""
    return np.rint(values * np.float64(FULL[bits])).astype(f"u{bits // 8}")


def _write_nifti(suffix: str, dtype: str) -> Callable[[Path, np.ndarray], None]:
    def write(folder: Path, volumes: np.ndarray) -> None:
        import nibabel

        for index, volume in enumerate(volumes):
            kept = volume if dtype == "f4" else whole(volume, 8 * np.dtype(dtype).itemsize)
            nibabel.save(nibabel.Nifti1Image(kept, np.eye(4)), folder / f"{index}{suffix}")

    return write


def _open_nifti(suffix: str, full: int) -> Callable[[Path], Reader]:
    def opened(folder: Path) -> Reader:
        import nibabel

        return lambda row: (
            np.asarray(nibabel.load(folder / f"{row}{suffix}").dataobj).astype(np.float32) / np.float32(full)
        )

    return opened


def _write_npy(dtype: str) -> Callable[[Path, np.ndarray], None]:
    def write(folder: Path, volumes: np.ndarray) -> None:
        kept = np.stack([whole(volume, 16) for volume in volumes]) if dtype == "u2" else volumes.astype(dtype)
        np.save(folder / "volumes.npy", kept)

    return write


def _open_npy(folder: Path) -> Reader:
    kept = np.load(folder / "volumes.npy", mmap_mode="r")
    full = np.float32(FULL[16] if kept.dtype.kind == "u" else 1)
    return lambda row: np.divide(kept[row], full, dtype=np.float32)


def _write_store(bits: int) -> Callable[[Path, np.ndarray], None]:
    def write(folder: Path, volumes: np.ndarray) -> None:
        import pandas as pd

        from neurotransfer.cohort.contents import COLUMNS, Contents
        from neurotransfer.cohort.grid import Grid
        from neurotransfer.cohort.storing import _make

        table = pd.DataFrame([[f"sub-{row}", "", "", ""] for row in range(len(volumes))], columns=list(COLUMNS))
        contents = Contents(table, Grid(volumes.shape[1:], 2.0), bits=bits)
        _make(folder, contents, (whole(volume, bits) for volume in volumes), None)

    return write


def _open_store(folder: Path) -> Reader:
    from neurotransfer.cohort.store import VolumeStore

    return VolumeStore(folder).__getitem__


def _write_zarr(folder: Path, volumes: np.ndarray) -> None:
    import zarr

    kept = zarr.create_array(
        folder / "volumes.zarr", shape=volumes.shape, chunks=(1, *volumes.shape[1:]), dtype="u2", zarr_format=2
    )
    for row, volume in enumerate(volumes):
        kept[row] = whole(volume, 16)


def _open_zarr(folder: Path) -> Reader:
    import zarr

    kept = zarr.open_array(folder / "volumes.zarr", mode="r")
    return lambda row: np.divide(kept[row], np.float32(FULL[16]), dtype=np.float32)


def _write_hdf5(**options: Any) -> Callable[[Path, np.ndarray], None]:
    def write(folder: Path, volumes: np.ndarray) -> None:
        import h5py

        with h5py.File(folder / "volumes.h5", "w") as file:
            kept = file.create_dataset("volumes", volumes.shape, "u2", **options)
            for row, volume in enumerate(volumes):
                kept[row] = whole(volume, 16)

    return write


def _open_hdf5(folder: Path) -> Reader:
    import h5py

    kept = h5py.File(folder / "volumes.h5", "r")["volumes"]
    return lambda row: np.divide(kept[row], np.float32(FULL[16]), dtype=np.float32)


def formats(shape: tuple[int, int, int]) -> dict[str, Format]:
    """Everything that is compared; the first is what the others are told in ratio to."""
    chunks = {"chunks": (1, *shape), "compression": "gzip", "compression_opts": 4}
    half, byte = 0.51 / FULL[16], 0.51 / FULL[8]
    return {
        "nii.gz float32": Format(_write_nifti(".nii.gz", "f4"), _open_nifti(".nii.gz", 1), 0, "nibabel"),
        "nii.gz uint8": Format(_write_nifti(".nii.gz", "u1"), _open_nifti(".nii.gz", FULL[8]), byte, "nibabel"),
        "nii float32": Format(_write_nifti(".nii", "f4"), _open_nifti(".nii", 1), 0, "nibabel"),
        "nii uint16": Format(_write_nifti(".nii", "u2"), _open_nifti(".nii", FULL[16]), half, "nibabel"),
        "npy float16": Format(_write_npy("f2"), _open_npy, 2**-12),
        "npy uint16, unchecked": Format(_write_npy("u2"), _open_npy, half),
        "zarr uint16": Format(_write_zarr, _open_zarr, half, "zarr"),
        "HDF5 uint16": Format(_write_hdf5(), _open_hdf5, half, "h5py"),
        "HDF5 uint16 gzip": Format(_write_hdf5(**chunks), _open_hdf5, half, "h5py"),
        "**VolumeStore, 16 bits**": Format(_write_store(16), _open_store, half),
        "**VolumeStore, 8 bits**": Format(_write_store(8), _open_store, byte),
    }


COLD = """
import sys, time
started = time.perf_counter()
from pathlib import Path
sys.path.insert(0, {here!r})
import store
store.formats({shape!r})[{name!r}].open(Path({folder!r}))({row!r})
print(time.perf_counter() - started)
"""


def cold_seconds(name: str, folder: Path, shape: tuple[int, int, int], row: int) -> float:
    """Seconds from a Python that has begun to its first volume: import, open, read."""
    here = str(Path(__file__).resolve().parent)
    text = COLD.format(here=here, shape=shape, name=name, folder=str(folder), row=row)
    return float(subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True).stdout)


def volumes_a_second(read: Reader, n: int, repeats: int) -> float:
    """The median over repeats of all volumes read in random order; the first round, which warms up, is not counted."""
    generator, rates = np.random.default_rng(1), []
    for _ in range(repeats + 1):
        order = generator.permutation(n)
        started = time.perf_counter()
        for row in order:
            read(int(row))
        rates.append(n / (time.perf_counter() - started))
    return statistics.median(rates[1:])


def measured(name: str, form: Format, volumes: np.ndarray, repeats: int) -> tuple[float, float, float] | None:
    """Bytes a volume, volumes a second and seconds of a cold start of one format; None when its package is absent."""
    if importlib.util.find_spec(form.package) is None:
        return None
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        form.write(folder, volumes)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / len(volumes)
        read = form.open(folder)
        wrong = float(np.abs(read(len(volumes) - 1) - volumes[-1]).max())
        assert wrong <= form.error + 1e-7, f"{name} is wrong by {wrong}"
        rate = volumes_a_second(read, len(volumes), repeats)
        del read
        cold = [cold_seconds(name, folder, volumes.shape[1:], row % len(volumes)) for row in range(min(repeats, 3))]
    return size, rate, statistics.median(cold)


def main() -> None:
    """Measure everything and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="80,96,80", help="sides of a volume in voxels")
    parser.add_argument("--n", type=int, default=32, help="how many volumes")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    x, y, z = map(int, options.shape.split(","))
    volumes = heads(options.n, (x, y, z))
    print(f"{options.n} volumes of {x} x {y} x {z}; in brackets: times as much as nii.gz float32\n")
    print("| format | MB a volume | volumes a second | cold start, s |\n|---|---|---|---|")
    base: tuple[float, float, float] | None = None
    for name, form in formats((x, y, z)).items():
        found = measured(name, form, volumes, options.repeats)
        if found is None:
            print(f"| {name} | {form.package} is not installed | | |", flush=True)
            continue
        base = base or found
        ratios = [value / first for value, first in zip(found, base, strict=True)]
        size, rate, cold = found
        print(
            f"| {name} | {size / 1e6:.2f} ({ratios[0]:.2f}) | {rate:.0f} ({ratios[1]:.1f}) | {cold:.2f} ({ratios[2]:.2f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
