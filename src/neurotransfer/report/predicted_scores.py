"""How good predictions are, with intervals over people: of a target, and of each group of people by itself."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from neurotransfer.report.predicted_table import PredictedTarget
from neurotransfer.seeding import stream
from neurotransfer.statistics import SCORES, bootstrap_interval, scores
from neurotransfer.statistics.calibration import calibration_of_classes, calibration_of_values, rank_correlation
from neurotransfer.statistics.grouped import N_DRAWS, people_intervals


def score_table(target: PredictedTarget, people: np.ndarray) -> pd.DataFrame:
    """Every score that exists for the target: `score`, `value`, and the 95 % interval `low` to `high` over people.

    Args:
        target: with observations.
        people: the participant of every row, (n,).
    """
    rows = np.flatnonzero(target.known)
    assert target.observed is not None
    observed, predicted = target.observed[rows], target.predicted[rows]
    probabilities = target.probabilities[rows] if target.kind == "categorical" else None
    found = scores(target.kind, observed, predicted, probabilities)
    ends = people_intervals(
        target.kind,
        observed,
        predicted,
        people[rows],
        probabilities,
        n_draws=N_DRAWS,
        generator=stream(0, "report", "people", target.name),
    )
    kept = [(name, value, *ends[name]) for name, value in found.items() if np.isfinite(value)]
    return pd.DataFrame(kept, columns=["score", "value", "low", "high"])


def dummy_error(target: PredictedTarget) -> float:
    """The mean absolute error of saying the mean of all observed values for everybody, in the unit of the target."""
    assert target.observed is not None
    observed = target.observed[target.known]
    return float(np.abs(observed - observed.mean()).mean()) if len(observed) else float("nan")


def group_table(target: PredictedTarget, groups: Sequence[str], people: np.ndarray) -> pd.DataFrame:
    """How wrong predictions are in each group: `group`, `scans`, `people`, `error`, its interval `low` to `high`, and `bias`.

    `error` is the mean over people of their mean absolute error (of classes: 1 less the probability of the true class), with a
    bootstrap interval over people; `bias`, of numbers only, is the mean of predicted less observed.
    """
    rows = np.flatnonzero(target.known)
    table = pd.DataFrame(
        {"group": np.asarray(groups, object)[rows], "person": people[rows], "error": target.error[rows]}
    )
    found = []
    for group, members in table.groupby("group", sort=True):
        each = members["error"].abs().groupby(members["person"]).mean().to_numpy()
        low, high = bootstrap_interval(each, generator=stream(0, "report", target.name, "group", group))
        bias = float(members["error"].groupby(members["person"]).mean().mean()) if target.is_numeric else float("nan")
        found.append((str(group), len(members), len(each), float(each.mean()), low, high, bias))
    return pd.DataFrame(found, columns=["group", "scans", "people", "error", "low", "high", "bias"])


def calibration_table(target: PredictedTarget, people: np.ndarray) -> pd.DataFrame:
    """`calibration_of_values`, or `calibration_of_classes` of every class (of the second one where there are two), by `class`."""
    rows = np.flatnonzero(target.known)
    assert target.observed is not None
    observed = target.observed[rows]
    if target.is_numeric:
        return calibration_of_values(observed, target.predicted[rows], people[rows])
    places = [1] if target.kind == "binary" else range(len(target.classes))
    parts = [
        calibration_of_classes(observed == place, target.probabilities[rows, place], people[rows]).assign(
            **{"class": target.classes[place]}
        )
        for place in places
    ]
    return pd.concat(parts, ignore_index=True)


def spread_table(target: PredictedTarget) -> pd.DataFrame:
    """Whether uncertainty knows error: `spread`, `scans`, Spearman's `rho` of deviation and absolute error, and its `p`."""
    found = []
    for words, spread in target.spreads.items():
        known = target.known & np.isfinite(spread)
        rho, p = rank_correlation(spread[known], np.abs(target.error[known]))
        found.append((words, int(known.sum()), rho, p))
    return pd.DataFrame(found, columns=["spread", "scans", "rho", "p"])


def worst_rows(target: PredictedTarget, most: int) -> np.ndarray:
    """The rows that are most wrong, worst first, at most `most` of them."""
    rows = np.flatnonzero(target.known)
    return rows[np.argsort(-np.abs(target.error[rows]), kind="stable")][:most]


def headline(table: pd.DataFrame) -> pd.Series | None:
    """The score that says most: the mean absolute error of numbers, the area under the ROC curve of classes."""
    for name in ("mae", "auc", "balanced_accuracy"):
        found = table[table["score"] == name]
        if len(found):
            return found.iloc[0]
    return None


def label_of(score: str, unit: str) -> str:
    """What a score is called, with the unit where it has one."""
    return f"{SCORES[score].label} ({unit})" if score == "mae" and unit else SCORES[score].label
