"""Make a store of volumes from the scans of a cohort: once, whole or not at all."""

import io
import os
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from neurotransfer.artifacts import storage, write_json, write_table
from neurotransfer.cohort.cohort import Cohort
from neurotransfer.cohort.contents import Contents, contents_of
from neurotransfer.cohort.contract import Input, input_to_dict
from neurotransfer.cohort.store import ARRAY, DTYPES, FORMAT, SCANS, STORE, VolumeStore, self_checksum
from neurotransfer.cohort.volumes import load_volume
from neurotransfer.errors import InputError, InterruptedRunError, StorageError, unknown
from neurotransfer.workers import pool_of, start_worker

# to start a process takes seconds, as some scans do
LEAST_A_PROCESS = 16
MOST_DEATHS = 3
Scan = tuple[Path, Path | None]
Volumes = Generator[np.ndarray, None, None]


def store_volumes(
    folder: Path,
    cohort: Cohort,
    grid: Input,
    on_volume: Callable[[], object] | None = None,
    *,
    bits: int = 16,
    workers: int = 1,
    keep: bool = False,
) -> VolumeStore:
    """Model-ready volumes of all scans of a cohort as a `VolumeStore` in a folder, made only once.

    When a file, the table, the grid or the recipe has changed, or the store is not whole, it is made again. Of several
    processes that want the same store, one makes it and the others wait.

    Args:
        folder: where the store lies or will lie.
        cohort: from `read_cohort`; its alignment says how the scans are laid on the grid.
        grid: of the volumes; or a contract, for scans that a recipe has prepared, which are left as they are.
        on_volume: called after every volume that was made (for a progress bar).
        bits: of a voxel: 16 (wrong by 7.7e-6 or less) or 8 (by 0.002 or less, and half the bytes).
        workers: processes that make volumes; the store does not depend on it.
        keep: True for a folder that a user named: what is there is used when it is whole and of this cohort, refused
            when it is not, and never written over.

    Raises:
        ImageError: when a scan cannot be used, or a store to keep is not whole.
        CohortError: when a store to keep is of other scans.
        StorageError: when the disk is too full for it, or the folder cannot be written.
        InterruptedRunError: when processes of `workers` die again and again at one scan.
    """
    if bits not in DTYPES:
        raise InputError(unknown("number of bits", bits, DTYPES))
    wanted = contents_of(cohort, grid, bits)
    store = _found(folder, wanted, keep)
    if store is None:
        with storage(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / ".volumes.lock"):
                store = _found(folder, wanted, keep)
                if store is None:
                    _make(folder, wanted, _volumes(cohort, grid, bits, workers), on_volume)
                    store = VolumeStore(folder)
    return store


def _found(folder: Path, wanted: Contents, keep: bool) -> VolumeStore | None:
    if not any(os.path.lexists(folder / name) for name in (STORE, ARRAY, SCANS)):
        return None
    try:
        store = VolumeStore(folder)
        store.require_contents(wanted)
    except InputError:
        if keep:
            raise
        return None
    return store


def _make(folder: Path, contents: Contents, volumes: Volumes, on_volume: Callable[[], object] | None) -> None:
    array, unfinished = folder / ARRAY, folder / f"{ARRAY}.part"
    for old in (folder / STORE, array, folder / SCANS, unfinished):
        old.unlink(missing_ok=True)
    shape, kept = (len(contents.table), *contents.grid.shape), DTYPES[contents.bits]
    _require_space(folder, int(np.prod(shape)) * kept.itemsize)
    header = _header(shape, kept)
    try:
        checksums = _fill(unfinished, header, volumes, on_volume)
        write_table(folder / SCANS, contents.table)
        unfinished.replace(array)
        write_json(folder / STORE, _facts(folder, contents, header, checksums))
    except BaseException:
        for half in (unfinished, array, folder / SCANS):
            half.unlink(missing_ok=True)
        raise


def _facts(folder: Path, contents: Contents, header: bytes, checksums: list[int]) -> dict[str, Any]:
    grid = contents.grid
    facts = {
        "format": FORMAT,
        "recipe": contents.recipe,
        "grid": input_to_dict(grid),
        "alignment": contents.alignment,
        "bits": contents.bits,
        "scale": 1 / (2**contents.bits - 1),
        "shape": [len(contents.table), *grid.shape],
        "fingerprint": contents.fingerprint,
        "bytes": (folder / ARRAY).stat().st_size,
        "offset": len(header),
        "header": zlib.crc32(header),
        "table": zlib.crc32((folder / SCANS).read_bytes()),
        "checksums": checksums,
    }
    return {**facts, "checksum": self_checksum(facts)}


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"{str(folder)!r} has {free / 2**20:.0f} MiB left and the volumes need {needed / 2**20:.0f} MiB; free some "
            "space, give another --out, or use a coarser grid"
        )


def _header(shape: tuple[int, ...], kept: np.dtype) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kept.str, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _fill(array: Path, header: bytes, volumes: Volumes, on_volume: Callable[[], object] | None) -> list[int]:
    checksums = []
    # a plain file and not a writable memory map, which answers a full disk with a bus error
    with closing(volumes), array.open("wb") as file:
        file.write(header)
        for volume in volumes:
            checksums.append(zlib.crc32(volume.data))
            file.write(volume.data)
            if on_volume is not None:
                on_volume()
    return checksums


def quantised(volume: np.ndarray, bits: int) -> np.ndarray:
    """Values from 0 to 1 as whole numbers of 8 or 16 bits, each the nearest one.

    Example:
        >>> quantised(np.array([0, 0.5, 1]), 8).tolist()
        [0, 128, 255]
    """
    # in float64: rounding in float32 would add to the error that a half step is the whole of
    return np.rint(np.multiply(volume, 2**bits - 1, dtype=np.float64)).astype(DTYPES[bits])


def restored(kept: np.ndarray, bits: int) -> np.ndarray:
    """The values from 0 to 1 of whole numbers of 8 or 16 bits, float32; the inverse of `quantised`.

    Example:
        >>> restored(quantised(np.array([0.0, 1.0]), 8), 8).tolist()
        [0.0, 1.0]
    """
    return kept.astype(np.float32) / np.float32(2**bits - 1)


def _volume(scan: Scan, grid: Input, alignment: str, bits: int) -> np.ndarray:
    image, mask = scan
    return np.ascontiguousarray(quantised(load_volume(image, grid, mask, alignment), bits))


def _volumes(cohort: Cohort, grid: Input, bits: int, workers: int) -> Volumes:
    processes = min(workers, len(cohort) // LEAST_A_PROCESS)
    if processes > 1:
        yield from _by_processes(cohort, grid, bits, processes)
    else:
        for scan in cohort.images:
            yield _volume(scan, grid, cohort.alignment, bits)


def _by_processes(cohort: Cohort, grid: Input, bits: int, processes: int) -> Volumes:
    """All volumes in their order; those of a process that died are made again, by one process fewer."""
    scans = cohort.images
    done = deaths = 0
    while done < len(scans):
        before = done
        try:
            with closing(_by_pool(scans[done:], cohort.alignment, grid, bits, processes)) as volumes:
                for volume in volumes:
                    yield volume
                    done += 1
        except BrokenProcessPool:
            deaths = deaths + 1 if done == before else 1
            if deaths == MOST_DEATHS:
                raise InterruptedRunError(
                    f"a process that made volumes died, killed or out of memory, {deaths} times at {scans[done][0].name!r} or "
                    "just after; run the same command again, with fewer --workers if memory was short"
                ) from None
            processes = max(processes - 1, 1)


def _by_pool(scans: Sequence[Scan], alignment: str, grid: Input, bits: int, processes: int) -> Volumes:
    waiting: deque[Future[np.ndarray]] = deque()
    with pool_of(processes, start_worker) as pool:
        for scan in scans:
            waiting.append(pool.submit(_volume, scan, grid, alignment, bits))
            # in their order, and no more in memory than keeps every process busy
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
