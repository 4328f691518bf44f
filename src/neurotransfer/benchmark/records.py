"""How finished cells are kept: first a small file each, then many in one Parquet file; nothing finished is ever lost.

A worker writes a cell's file whole or not at all, and only then the cell counts. Now and then the process that leads the
run gathers these files into two Parquet files (fits and predictions) and removes them when the Parquet files are on the
disk: a cluster's file system then holds a few files, and a hundred thousand cells are read in seconds. At any moment a
cell is in its own file, in a gathered one, or (after a kill between the two steps) in both, which is the same cell.
"""

import json
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from neurotransfer.artifacts import storage, write_atomically
from neurotransfer.benchmark.plan import Cell
from neurotransfer.errors import StorageError
from neurotransfer.statistics.metrics import SCORES

CELLS = "cells"
KEY = ("task", "n", "replicate", "strategy")
_FITS, _PREDICTIONS = ".fits.parquet", ".predictions.parquet"
TRAIN, VALIDATION, TEST = "train", "validation", "test"
_FILE = re.compile(r"\d+-.+\.json")

_KEY_FIELDS = [("task", pa.string()), ("n", pa.int64()), ("replicate", pa.int64()), ("strategy", pa.string())]
FIT_FIELDS = pa.schema(
    [
        *_KEY_FIELDS,
        ("setting_index", pa.int64()),
        ("setting", pa.string()),
        ("selected", pa.bool_()),
        *((f"{part}_{name}", pa.float64()) for part in (VALIDATION, TEST, TRAIN) for name in SCORES),
        ("validation_loss", pa.float64()),
        ("epochs", pa.int64()),
        ("best_epoch", pa.int64()),
        ("dropped", pa.bool_()),
        ("blend", pa.string()),
        ("seconds", pa.float64()),
        ("n_train_images", pa.int64()),
        ("n_train_participants", pa.int64()),
        ("n_effective_participants", pa.float64()),
        ("n_validation_images", pa.int64()),
        ("n_test_images", pa.int64()),
        ("entered", pa.string()),
        ("error", pa.string()),
    ]
)
PREDICTION_FIELDS = pa.schema(
    [
        *_KEY_FIELDS,
        ("setting_index", pa.int64()),
        ("selected", pa.bool_()),
        ("part", pa.string()),
        ("row", pa.int64()),
        ("predicted", pa.float64()),
        ("probabilities", pa.list_(pa.float64())),
    ]
)
Columns = dict[str, list[Any]]


def cell_path(folder: Path, cell: Cell) -> Path:
    """The file of a cell that is not gathered yet."""
    return folder / CELLS / cell.path


def keep(folder: Path, cell: Cell, fits: Columns, predictions: Columns) -> None:
    """Write a finished cell, whole or not at all.

    Args:
        folder: of the run.
        cell: which one.
        fits: columns of FIT_FIELDS beside the key, a value a setting.
        predictions: columns of PREDICTION_FIELDS beside the key, a value a row that was predicted.

    Raises:
        StorageError: when the disk is full or the place cannot be written.
    """
    text = json.dumps(
        {"cell": [cell.task, cell.n, cell.replicate, cell.strategy], "fits": fits, "predictions": predictions}
    )
    write_atomically(cell_path(folder, cell), lambda temporary: temporary.write_text(text, encoding="utf-8"))


def loose(folder: Path) -> Iterator[Path]:
    """The files of cells that are not gathered yet."""
    root = folder / CELLS
    for task in _entries(root):
        for size in _entries(task.path):
            for entry in _entries(size.path):
                if size.name.isdecimal() and _FILE.fullmatch(entry.name):
                    yield Path(entry.path)


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def cell_of(path: Path) -> Cell:
    """The cell whose file lies at a path."""
    replicate, _, strategy = path.stem.partition("-")
    return Cell(path.parent.parent.name, int(path.parent.name), int(replicate), strategy)


def finished(folder: Path) -> set[Cell]:
    """Every cell that is kept, gathered or not."""
    found = {cell_of(path) for path in loose(folder)}
    for path in gathered(folder):
        table = _opened(path, FIT_FIELDS, columns=[*KEY, "setting_index"])
        first = table.filter(pa.compute.equal(table["setting_index"], 0))
        found |= {Cell(*values) for values in zip(*(first[name].to_pylist() for name in KEY), strict=True)}
    return found


def gathered(folder: Path) -> list[Path]:
    """The Parquet files of fits, oldest first; the predictions of each lie beside it."""
    return sorted((folder / CELLS).glob(f"*{_FITS}"))


def beside(path: Path) -> Path:
    """The file of predictions of a file of fits."""
    return path.with_name(path.name.removesuffix(_FITS) + _PREDICTIONS)


def gather(folder: Path) -> int:
    """Move the cells that lie in files of their own into two Parquet files; gives how many.

    A file that is not whole, because the machine went down while it was written, is removed: its cell is done again. May be
    called by two processes at once.

    Raises:
        StorageError: when the disk is full, or a file cannot be read now; nothing is removed then.
    """
    paths = list(loose(folder))
    read = [(path, _read(path)) for path in paths]
    whole = [(path, record) for path, record in read if record]
    if whole:
        # later than all that are there, whatever the clocks of the machines that wrote them
        last = max((int(path.name.split("-")[0]) for path in gathered(folder)), default=0)
        name = f"{max(time.time_ns(), last + 1):020d}-{uuid.uuid4().hex[:8]}"
        target = folder / CELLS / f"{name}{_FITS}"
        records = [record for _, record in whole]
        # fits last: they say that the pair is whole
        _write(beside(target), _table(records, "predictions", PREDICTION_FIELDS))
        _write(target, _table(records, "fits", FIT_FIELDS))
    for path, record in read:
        if record is not None:
            with storage(path):
                path.unlink(missing_ok=True)
    return len(whole)


def _read(path: Path) -> dict[str, Any] | None:
    """A record; an empty one where the file is not whole, None where it has gone to another process that gathers."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"{str(path)!r}, a finished cell, cannot be read now ({error.strerror}); run the same command again"
        ) from error
    try:
        record = json.loads(text)
        if isinstance(record["fits"], list):
            record = _of_format_1(record)
        return record if len(record["cell"]) == len(KEY) and record["fits"]["setting"] else {}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}


def _of_format_1(record: dict[str, Any]) -> dict[str, Any]:
    """A record as earlier versions wrote it: a list of rows of each kind, with the key in every row."""
    fits, predictions = record["fits"], record["predictions"]
    chosen = next((row["setting_index"] for row in fits if row["selected"]), 0)
    columns = [name for name in FIT_FIELDS.names if name not in KEY]
    return {
        "cell": [fits[0][name] for name in KEY],
        "fits": {name: [row.get(name) for row in fits] for name in columns},
        "predictions": {
            "setting_index": [chosen] * len(predictions),
            "selected": [True] * len(predictions),
            "part": [TEST] * len(predictions),
            **{name: [row[name] for row in predictions] for name in ("row", "predicted", "probabilities")},
        },
    }


def _table(records: Iterable[dict[str, Any]], kind: str, fields: pa.Schema) -> pa.Table:
    columns: Columns = {name: [] for name in fields.names}
    for record in records:
        own = record[kind]
        size = len(own["setting_index"])
        for name, value in zip(KEY, record["cell"], strict=True):
            columns[name] += [value] * size
        for name in fields.names[len(KEY) :]:
            columns[name] += own.get(name) or [None] * size
    return pa.table(columns, schema=fields)


def _write(path: Path, table: pa.Table) -> None:
    def write(temporary: Path) -> None:
        parquet.write_table(table, temporary)
        # the files that it takes the place of are removed next: it must survive a power cut
        with temporary.open("rb") as file:
            os.fsync(file.fileno())

    write_atomically(path, write)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def all_fits(folder: Path) -> pd.DataFrame:
    """The fits of all gathered cells; of a cell that was done twice those of the last time."""
    tables = [_opened(path, FIT_FIELDS) for path in gathered(folder)]
    fits = pa.concat_tables(tables).to_pandas() if tables else FIT_FIELDS.empty_table().to_pandas()
    key = [*KEY, "setting_index"]
    return fits.drop_duplicates(key, keep="last", ignore_index=True) if len(tables) > 1 else fits


def _opened(path: Path, fields: pa.Schema, **options: Any) -> pa.Table:
    try:
        return parquet.read_table(path, schema=fields, **options)
    except (OSError, ValueError) as error:
        pair = path.name.removesuffix(_FITS).removesuffix(_PREDICTIONS)
        raise StorageError(
            f"{str(path)!r}, which holds finished cells, cannot be read ({error}); restore it from a copy, or remove "
            f"{pair + _FITS!r} and {pair + _PREDICTIONS!r} to have their cells done again"
        ) from None


def predictions_of(folder: Path, task: str, n: int, every: bool) -> pd.DataFrame:
    """The predictions of a task and size, of the chosen settings on test, or of every setting that was kept.

    Of a cell that was done twice those of the last time.
    """
    wanted = [("task", "=", task), ("n", "=", n)]
    wanted += [] if every else [("selected", "=", True), ("part", "=", TEST)]
    tables = []
    for place, path in enumerate(gathered(folder)):
        table = _opened(beside(path), PREDICTION_FIELDS, filters=wanted)
        tables.append(table.append_column("file", pa.array(np.full(len(table), place))))
    if not tables:
        return PREDICTION_FIELDS.empty_table().to_pandas()
    found = pa.concat_tables(tables).to_pandas()
    last = found.groupby(["replicate", "strategy"])["file"].transform("max")
    return found[found["file"] == last].drop(columns="file")
