"""Test predictions of a run, size by size and replicate by replicate, as the statistics of people take them."""

import numpy as np
import pandas as pd

from neurotransfer.diagnose.case import Case
from neurotransfer.statistics.redrawn_people import Predictions


def tested_parts(case: Case, predictions: pd.DataFrame | None) -> list[list[Predictions]] | None:
    """For each size its replicates in order; None where the run kept no predictions of this curve."""
    if predictions is None:
        return None
    rows = predictions[(predictions["task"] == case.task.name) & (predictions["strategy"] == case.strategy)]
    if not len(rows):
        return None
    people = pd.factorize(predictions["participant_id"])[0][rows.index.to_numpy()]
    rows = rows.assign(person=people)
    found: list[list[Predictions]] = []
    for n in case.sizes:
        of_size = rows[rows["n"] == n]
        found.append([_part(case, own) for _, own in of_size.groupby("replicate", sort=True)])
    return found if all(found) else None


def _part(case: Case, rows: pd.DataFrame) -> Predictions:
    shares = None
    if case.task.kind == "categorical":
        shares = np.stack([np.asarray(each, float) for each in rows["probabilities"]])
    return Predictions(
        rows["observed"].to_numpy(float), rows["predicted"].to_numpy(float), rows["person"].to_numpy(int), shares
    )
