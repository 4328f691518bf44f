"""Test predictions of a run, size by size and replicate by replicate, as the statistics of people take them."""

import numpy as np
import pandas as pd

from neurotransfer.diagnose.case import Case
from neurotransfer.statistics.redrawn_people import Predictions


def tested_parts(case: Case, predictions: pd.DataFrame | None) -> list[list[Predictions | None]] | None:
    """For each size its replicates in the order of the case, None for one that is missing; None where the run kept none at all."""
    if predictions is None:
        return None
    rows = predictions[(predictions["task"] == case.task.name) & (predictions["strategy"] == case.strategy)]
    if not len(rows):
        return None
    people = pd.factorize(predictions["participant_id"])[0][rows.index.to_numpy()]
    found = {key: _part(case, own) for key, own in rows.assign(person=people).groupby(["n", "replicate"], sort=False)}
    return [[found.get((n, replicate)) for replicate in range(len(case.goods))] for n in map(int, case.sizes)]


def _part(case: Case, rows: pd.DataFrame) -> Predictions:
    shares = None
    if case.task.kind == "categorical":
        shares = np.stack([np.asarray(each, float) for each in rows["probabilities"]])
    return Predictions(
        rows["observed"].to_numpy(float), rows["predicted"].to_numpy(float), rows["person"].to_numpy(int), shares
    )
