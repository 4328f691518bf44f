"""The tidy tables of a run, put together from its cells."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from neurotransfer.artifacts import write_atomically, write_table
from neurotransfer.benchmark.plan import Plan, learnt_labels, task_labels
from neurotransfer.benchmark.records import KEY, PREDICTION_FIELDS, VALIDATION, all_fits, gather, predictions_of
from neurotransfer.cohort import Cohort
from neurotransfer.targets import as_text

RESULTS, PREDICTIONS, EVERY = "results.parquet", "predictions.parquet", "predictions_of_settings.parquet"
_ROW = [("observed", pa.float64()), ("predicted", pa.float64()), ("probabilities", pa.list_(pa.float64()))]
PREDICTION_TABLE = pa.schema(
    [
        *(PREDICTION_FIELDS.field(name) for name in KEY),
        ("participant_id", pa.string()),
        ("session_id", pa.string()),
        ("row", pa.int64()),
        *_ROW,
        ("subgroup", pa.string()),
    ]
)
EVERY_TABLE = pa.schema(
    [
        *(PREDICTION_FIELDS.field(name) for name in (*KEY, "setting_index", "selected", "part", "row")),
        *_ROW,
    ]
)


def write_results(folder: Path, plan: Plan, cohort: Cohort) -> pd.DataFrame:
    """Write the tables of a run as far as it has come; returns that of the fits.

    `results.parquet` has a row a fit, `predictions.parquet` a row a test prediction of a chosen setting; where the study
    keeps all, `predictions_of_settings.parquet` has a row a prediction of every setting, on validation and test. Rows stand in
    the order of the plan, whatever the order in which the cells were done; without any nothing is written.

    Raises:
        StorageError: when the disk is full.
    """
    gather(folder)
    fits = all_fits(folder)
    if not len(fits):
        return pd.DataFrame()
    fits = fits[_planned(fits, plan)]
    fits = fits.iloc[_order(fits, plan, "setting_index")].reset_index(drop=True)
    write_table(folder / RESULTS, fits)
    _write_parts(folder / PREDICTIONS, PREDICTION_TABLE, _predictions(folder, plan, cohort, every=False))
    if plan.study.protocol.keep == "all":
        _write_parts(folder / EVERY, EVERY_TABLE, _predictions(folder, plan, cohort, every=True))
    return fits


def _planned(fits: pd.DataFrame, plan: Plan) -> pd.Series:
    titles = {part.title for part in plan.study.strategies}
    return fits["task"].isin(plan.targets) & fits["strategy"].isin(titles) & fits["n"].isin(plan.study.protocol.sizes)


def _order(table: pd.DataFrame, plan: Plan, *last: str) -> np.ndarray:
    tasks = {name: place for place, name in enumerate(plan.targets)}
    titles = {part.title: place for place, part in enumerate(plan.study.strategies)}
    keys = [table[name].to_numpy() for name in reversed(last)]
    keys += [table["strategy"].map(titles).to_numpy(), table["replicate"].to_numpy(), table["n"].to_numpy()]
    return np.lexsort([*keys, table["task"].map(tasks).to_numpy()])


def _predictions(folder: Path, plan: Plan, cohort: Cohort, every: bool) -> Iterator[pd.DataFrame]:
    """The predictions of a task and size after the other, so that no more than these are in memory."""
    people, sessions = cohort.table["participant_id"].to_numpy(), cohort.table["session_id"].to_numpy()
    subgroup = plan.study.subgroup
    groups = None if subgroup is None else as_text(cohort.table[subgroup]).to_numpy()
    for task, target in plan.targets.items():
        labels = task_labels(plan.study, cohort, task, target)
        learnt = learnt_labels(plan.study, cohort, task, target, labels)
        for n in plan.study.protocol.sizes:
            found = predictions_of(folder, task, n, every)
            rows = found["row"].to_numpy()
            # what settings are chosen by on validation is what they were chosen by
            found = found.assign(observed=np.where(found["part"] == VALIDATION, learnt[rows], labels[rows]))
            if not every:
                found = found.assign(
                    participant_id=people[rows],
                    session_id=sessions[rows],
                    subgroup=None if groups is None else groups[rows],
                )
            yield found.iloc[_order(found, plan, "setting_index")]


def _write_parts(path: Path, fields: pa.Schema, parts: Iterator[pd.DataFrame]) -> None:
    def write(temporary: Path) -> None:
        with parquet.ParquetWriter(temporary, fields) as writer:
            for part in parts:
                writer.write_table(pa.Table.from_pandas(part[fields.names], fields, preserve_index=False))

    write_atomically(path, write)
