"""Memory and disk that a machine has free, and how much of the disk finished cells take."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from neurotransfer.benchmark.plan import Cell
from neurotransfer.benchmark.records import (
    FIT_FIELDS,
    KEY,
    PREDICTION_FIELDS,
    Columns,
    beside,
    cell_path,
    gather,
    gathered,
    keep,
)

# cells, fits and predictions of each, that are written to see how many bytes they take
CELLS, FITS, PREDICTIONS = 40, 9, 50


@dataclass(frozen=True)
class Room:
    """Bytes of memory and of disk that are free; None where that cannot be told."""

    memory: float | None
    disk: float | None


def room_for(folder: Path) -> Room:
    """What is free here, and on the disk that a folder lies on or will lie on."""
    there = next((path for path in [folder.absolute(), *folder.absolute().parents] if path.is_dir()), Path())
    return Room(free_memory(), float(shutil.disk_usage(there).free))


def free_memory(root: Path = Path("/")) -> float | None:
    """Bytes of memory that are available, no more than the control group of this process allows; None where not known."""
    found = [value for value in (_of_machine(root), _of_group(root)) if value is not None]
    return min(found) if found else None


def _of_machine(root: Path) -> float | None:
    try:
        for line in (root / "proc" / "meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return None


def _of_group(root: Path) -> float | None:
    group = root / "sys" / "fs" / "cgroup"
    try:
        most, now = (float((group / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        return max(0.0, most - now)
    except (OSError, ValueError):
        # `max`, which is no limit, is no number either
        return None


def bytes_of_cells(folder: Path) -> tuple[float, float, float]:
    """Bytes a fit and a prediction take when they are gathered, and a prediction that waits to be, from cells written here.

    Args:
        folder: an empty one, or one that is made.
    """
    generator, waiting = np.random.default_rng(0), 0
    for place in range(CELLS):
        cell = Cell("size", 100, place, "trial")
        keep(folder, cell, _values(FIT_FIELDS, FITS, generator), _values(PREDICTION_FIELDS, PREDICTIONS, generator))
        waiting += cell_path(folder, cell).stat().st_size
    gather(folder)
    path = gathered(folder)[-1]
    fits, predictions = path.stat().st_size, beside(path).stat().st_size
    return fits / (CELLS * FITS), predictions / (CELLS * PREDICTIONS), waiting / (CELLS * PREDICTIONS)


def _values(fields: pa.Schema, size: int, generator: np.random.Generator) -> Columns:
    """Columns of records with values that can be compressed about as well as real ones."""
    columns: Columns = {}
    for place, field in enumerate(fields):
        kind = str(field.type)
        if field.name in KEY:
            continue
        if kind == "double":
            # predictions are numbers of 32 bits
            drawn = generator.standard_normal(size, np.float32 if field.name == "predicted" else np.float64).tolist()
            # one setting is tested, and half of the scores are of other kinds of targets
            known = 1 if field.name.startswith(("test_", "train_")) else size
            known = 0 if place % 2 and "_" in field.name else known
            columns[field.name] = drawn[:known] + [float("nan")] * (size - known)
        elif kind == "int64":
            columns[field.name] = generator.integers(0, 1000, size).tolist()
        elif kind == "bool":
            columns[field.name] = [False] * size
        elif kind.startswith("list"):
            shares = generator.random((size, 2), np.float32).tolist()
            columns[field.name] = [each if row % 2 else None for row, each in enumerate(shares)]
        else:
            columns[field.name] = ["test"] * size
    return columns


def peak_memory() -> float:
    """Bytes that this process had in memory at most; 0 where that cannot be told."""
    status = Path("/proc/self/status")
    if status.is_file():
        # of this process alone: what getrusage gives may be that of the one that started it
        for line in _lines(status):
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else most * 1024)


def _lines(path: Path) -> Iterator[str]:
    yield from path.read_text(encoding="ascii", errors="replace").splitlines()
