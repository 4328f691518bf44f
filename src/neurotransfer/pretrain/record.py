"""How good a pretrained network is on those who chose its epoch, kept beside it as counts and curves, never person by person."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from neurotransfer.cohort import Cohort
from neurotransfer.models.network import Network
from neurotransfer.seeding import stream
from neurotransfer.statistics.calibration import calibration_of_classes, calibration_of_values
from neurotransfer.statistics.grouped import N_DRAWS, people_intervals
from neurotransfer.statistics.metrics import auc, scores
from neurotransfer.targets import Target, as_text
from neurotransfer.training import outputs

RECORD, FORMAT = "training.json", 1
N_BINS, MOST_POINTS, YEARS = 20, 100, 5
# curves and bins of fewer people would tell of single ones
LEAST_PEOPLE, ROWS_A_BIN = 20, 5
DIGITS = 6
LEARNT, CHOSE = "learnt from", "chose the epoch"


def record_from(
    network: Network,
    volumes: Any,
    cohort: Cohort,
    labels: Mapping[str, np.ndarray],
    parts: tuple[np.ndarray, np.ndarray],
) -> dict[str, Any]:
    """`record_of` of a finished network on its validation part, and `Ages`, see `ages_of`.

    Args:
        network: as it is kept.
        volumes: of the cohort, (n, x, y, z).
        cohort: that it was trained on.
        labels: (n,) by target, NaN where missing.
        parts: rows that were learnt from, and rows that chose the epoch.
    """
    train, validation = parts
    means = {name: float(np.nanmean(values[train])) for name, values in labels.items()}
    known = {name: values[validation] for name, values in labels.items()}
    found = outputs(network, volumes, validation)
    record = record_of(network.targets, found, known, cohort.participants[validation], means)
    return record | {"Ages": ages_of(cohort.table, train, validation)}


def record_of(
    targets: Mapping[str, Target],
    found: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    people: np.ndarray,
    means: Mapping[str, float],
) -> dict[str, Any]:
    """What is kept of the validation part, by target, as plain values for JSON.

    Of a target there are `Scores`, with 95 % `Intervals` over people, and `Guess`, the scores of saying the same for everybody (the
    mean of the training part, or its share of the second class); of 20 people or more also `Calibration`, and `Agreement`, counts in
    bins of observed and predicted values, or `Roc`, a curve of every class.

    Args:
        targets: of the network, by name.
        found: outputs of the network for the validation part, (n, n_outputs) by target.
        labels: (n,) by target, NaN where missing.
        people: the participant of every row, (n,).
        means: of the labels of the training part, by target: the mean, or the share of the second class; NaN where not known.
    """
    facts = {
        name: _target(target, found[name], np.asarray(labels[name], float), people, means.get(name, np.nan))
        for name, target in targets.items()
    }
    return {"Format": FORMAT, "Images": len(people), "Participants": len(np.unique(people)), "Targets": facts}


def _target(target: Target, found: np.ndarray, labels: np.ndarray, people: np.ndarray, mean: float) -> dict[str, Any]:
    known = ~np.isnan(labels)
    observed, people = labels[known], people[known]
    predicted, probabilities = target.decode(found[known])
    facts: dict[str, Any] = {
        "Kind": target.kind,
        "Unit": target.unit,
        "Classes": list(target.classes),
        "Images": len(observed),
    }
    if not len(observed):
        return facts
    facts["Scores"] = _plain(scores(target.kind, observed, predicted, probabilities))
    facts["Intervals"] = _intervals(target, observed, predicted, people, probabilities)
    facts["Guess"] = _guess(target, observed, mean)
    if len(np.unique(people)) < LEAST_PEOPLE:
        return facts
    if target.kind in ("continuous", "ordinal"):
        facts["Agreement"] = _agreement(observed, predicted)
        return facts | {"Calibration": _columns(calibration_of_values(observed, predicted, people))}
    places = [1] if target.kind == "binary" else range(len(target.classes))
    by_class = {target.classes[place]: (observed == place, probabilities[:, place]) for place in places}
    facts["Roc"] = {label: curve for label, (truth, given) in by_class.items() if (curve := _roc(truth, given))}
    facts["Calibration"] = {
        label: _columns(calibration_of_classes(truth, given, people)) for label, (truth, given) in by_class.items()
    }
    return facts


def _intervals(
    target: Target, observed: np.ndarray, predicted: np.ndarray, people: np.ndarray, probabilities: np.ndarray
) -> dict[str, list[float]]:
    found = people_intervals(
        target.kind,
        observed,
        predicted,
        people,
        probabilities,
        n_draws=N_DRAWS,
        generator=stream(0, "pretrain", "record", target.name),
    )
    return {name: [round(end, DIGITS) for end in ends] for name, ends in found.items() if np.isfinite(ends).all()}


def _guess(target: Target, observed: np.ndarray, mean: float) -> dict[str, float]:
    """The scores of one answer for everybody, which is what no knowledge of a person gives."""
    if target.kind == "categorical" or not np.isfinite(mean):
        return {}
    return _plain(scores(target.kind, observed, np.full(len(observed), mean)))


def _agreement(observed: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    low, high = float(min(observed.min(), predicted.min())), float(max(observed.max(), predicted.max()))
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    edges = np.linspace(low, high, min(N_BINS, len(observed) // ROWS_A_BIN) + 1)
    counts, _, _ = np.histogram2d(observed, predicted, bins=(edges, edges))
    across, up = np.nonzero(counts)
    middle = (edges[:-1] + edges[1:]) / 2
    return {
        "Ends": [round(low, DIGITS), round(high, DIGITS)],
        "Observed": middle[across].round(DIGITS).tolist(),
        "Predicted": middle[up].round(DIGITS).tolist(),
        "Images": counts[across, up].astype(int).tolist(),
    }


def _roc(happened: np.ndarray, probability: np.ndarray) -> dict[str, Any]:
    """A ROC curve of about a hundred points, and its area; empty where all are of one class."""
    area = auc(happened, probability)
    if not np.isfinite(area):
        return {}
    across, up, _ = roc_curve(happened, probability)
    kept = np.unique(np.linspace(0, len(across) - 1, min(MOST_POINTS, len(across))).round().astype(int))
    return {
        "Area": round(area, DIGITS),
        "Others": across[kept].round(DIGITS).tolist(),
        "Recognised": up[kept].round(DIGITS).tolist(),
    }


def ages_of(table: pd.DataFrame, train: np.ndarray, validation: np.ndarray) -> list[dict[str, Any]]:
    """How many scans there are by age in steps of five years, sex and part; empty where fewer than 20 people have both.

    Args:
        table: of scans.
        train: rows that were learnt from.
        validation: rows that chose the epoch.
    """
    if not {"age", "sex"} <= set(table.columns):
        return []
    part = pd.Series("", index=range(len(table)))
    part.iloc[train], part.iloc[validation] = LEARNT, CHOSE
    age = pd.to_numeric(as_text(table["age"]), errors="coerce").to_numpy(float)
    rows = pd.DataFrame({"Sex": as_text(table["sex"]).to_numpy(), "Age": age, "Part": part.to_numpy()}).dropna()
    rows = rows[rows["Part"] != ""].assign(Age=lambda each: YEARS * np.floor(each["Age"] / YEARS))
    if table["participant_id"].iloc[rows.index].nunique() < LEAST_PEOPLE:
        return []
    counted = rows.groupby(["Sex", "Age", "Part"], sort=True).size()
    return [
        {"Sex": str(sex), "Age": float(age), "Years": YEARS, "Part": str(part), "Images": int(n)}
        for (sex, age, part), n in counted.items()
    ]


def _columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    rounded = table.round(DIGITS).astype(object)
    # a missing number is no number of JSON
    return {str(name).capitalize(): rounded[name].where(table[name].notna(), None).tolist() for name in table}


def _plain(found: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), DIGITS) for name, value in found.items() if np.isfinite(value)}
