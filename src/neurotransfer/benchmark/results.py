"""The two tidy tables of a run, put together from its cells."""

from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.artifacts import read_json, write_table
from neurotransfer.benchmark.cell import cell_path
from neurotransfer.benchmark.plan import Plan

RESULTS, PREDICTIONS = "results.parquet", "predictions.parquet"
PREDICTION_COLUMNS = (
    "task", "n", "replicate", "strategy", "participant_id", "session_id", "row", "observed", "predicted", "probabilities",
    "subgroup",
)  # fmt: skip


def write_results(folder: Path, plan: Plan) -> pd.DataFrame:
    """Write `results.parquet` (a row a fit) and `predictions.parquet` (a row a test prediction); returns the first.

    The rows stand in the order of the plan, whatever the order in which the cells were done; without any nothing is
    written.
    """
    done = [read_json(path) for path in (cell_path(folder, cell) for cell in plan.cells) if path.is_file()]
    if not done:
        return pd.DataFrame()
    fits = pd.DataFrame([row for cell in done for row in cell["fits"]])
    predictions = pd.DataFrame([row for cell in done for row in cell["predictions"]], columns=PREDICTION_COLUMNS)
    numbers = [name for name in fits if name.startswith(("validation_", "test_"))]
    fits[numbers] = fits[numbers].astype(np.float64)
    fits["error"] = fits["error"].astype(object).where(fits["error"].notna(), None)
    write_table(folder / RESULTS, fits)
    write_table(folder / PREDICTIONS, predictions)
    return fits
