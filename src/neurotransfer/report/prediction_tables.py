"""From the table of predictions to what may be shown of them: counts in bins, curves, scores of groups."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from neurotransfer.report.folder import Task
from neurotransfer.statistics import SCORES, scores

N_BINS = 20
MOST_POINTS = 200


@dataclass(frozen=True)
class Agreement:
    """Observed against predicted values in square bins: centres and counts (m,), the ends of both axes, MAE and r."""

    x: np.ndarray
    y: np.ndarray
    counts: np.ndarray
    ends: tuple[float, float]
    mae: float
    r: float


def predictions_of(predictions: pd.DataFrame, task: Task, n: int, strategy: str = "") -> pd.DataFrame:
    """The rows of one task at size n, of one strategy when it is given, with observation and prediction known."""
    chosen = (predictions["task"] == task.name) & (predictions["n"] == n)
    if strategy:
        chosen &= predictions["strategy"] == strategy
    return predictions[chosen].dropna(subset=["observed", "predicted"])


def axis_ends(rows: pd.DataFrame) -> tuple[float, float]:
    """The common ends of both axes: all observations, and predictions but for the most extreme half percent a side."""
    low, high = np.quantile(rows["predicted"], [0.005, 0.995])
    low, high = min(low, rows["observed"].min()), max(high, rows["observed"].max())
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(high) + 0.5)


def agreement(rows: pd.DataFrame, ends: tuple[float, float]) -> Agreement:
    """Count predictions in bins between `ends` (those beyond fall in the outermost); the scores are not binned."""
    edges = np.linspace(*ends, N_BINS + 1)
    observed, predicted = rows["observed"].to_numpy(float), rows["predicted"].to_numpy(float)
    counts, _, _ = np.histogram2d(np.clip(observed, *ends), np.clip(predicted, *ends), bins=(edges, edges))
    across, up = np.nonzero(counts)
    centres = (edges[:-1] + edges[1:]) / 2
    found = scores("continuous", observed, predicted)
    return Agreement(centres[across], centres[up], counts[across, up], ends, found["mae"], found["r"])


def roc_curve(observed: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates, from (0, 0) to (1, 1): a point for each distinct prediction, about 200 at most.

    Example:
        >>> roc_curve(np.array([0, 1, 1]), np.array([0.2, 0.2, 0.9]))
        (array([0., 0., 1.]), array([0. , 0.5, 1. ]))
    """
    order = np.argsort(-predicted, kind="stable")
    ones, ranked = observed[order] == 1, predicted[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true, false = np.cumsum(ones)[last], np.cumsum(~ones)[last]
    kept = np.unique(np.linspace(0, len(last), min(MOST_POINTS, len(last) + 1)).round().astype(int))
    return np.append(0, false / max(false[-1], 1))[kept], np.append(0, true / max(true[-1], 1))[kept]


def subgroup_table(predictions: pd.DataFrame, task: Task, n: int, strategies: tuple[str, ...]) -> pd.DataFrame:
    """Scores of each subgroup by itself at size n, pooled over replicates; empty without subgroups.

    Columns: `subgroup`, `strategy`, `predictions`, `participants`, the scores of the task's kind, and for a numeric
    target `reference`: the mean absolute error of predicting the subgroup's own mean for everybody in it.
    """
    rows = predictions_of(predictions, task, n).dropna(subset=["subgroup"])
    found = []
    for subgroup, members in rows.groupby("subgroup", sort=True):
        for strategy in strategies:
            part = members[members["strategy"] == strategy]
            if len(part):
                found.append({"subgroup": str(subgroup), "strategy": strategy, **_group_scores(part, task)})
    return pd.DataFrame(found)


def _group_scores(part: pd.DataFrame, task: Task) -> dict[str, float]:
    observed = part["observed"].to_numpy(float)
    scored = scores(task.kind, observed, part["predicted"].to_numpy(float), probabilities_of(part, task))
    row: dict[str, float] = {"predictions": len(part), "participants": part["participant_id"].nunique()}
    row |= {name: scored[name] for name in SCORES if task.kind in SCORES[name].kinds}
    if "mae" in row:
        row["reference"] = float(np.abs(observed - observed.mean()).mean())
    return row


def probabilities_of(part: pd.DataFrame, task: Task) -> np.ndarray | None:
    """The probabilities of every class (n, K) of a categorical target; None where there are none."""
    if task.kind != "categorical" or "probabilities" not in part or part["probabilities"].isna().any():
        return None
    return np.stack([np.asarray(shares, float) for shares in part["probabilities"]])


def confusion(part: pd.DataFrame, task: Task) -> pd.DataFrame:
    """How many of each observed class were predicted as each class: `observed`, `predicted`, `predictions`, `share` of the row.

    Of an ordinal target the predicted level is the nearest one.
    """
    names = list(task.classes) or [f"{level:g}" for level in sorted(part["observed"].unique())]
    observed = part["observed"].to_numpy(float).astype(int)
    predicted = np.clip(np.floor(part["predicted"].to_numpy(float) + 0.5), 0, len(names) - 1).astype(int)
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (observed, predicted), 1)
    totals = counts.sum(axis=1)
    rows = [
        (one, other, int(counts[i, j]), counts[i, j] / totals[i] if totals[i] else np.nan)
        for i, one in enumerate(names)
        for j, other in enumerate(names)
    ]
    return pd.DataFrame(rows, columns=["observed", "predicted", "predictions", "share"])
