"""Figures of a table of predictions: distributions, the brain-age gap, errors by group, uncertainty, drift."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from neurotransfer.pages.model import Axis, Choice, Figure, Layer
from neurotransfer.report.predicted_scores import calibration_table
from neurotransfer.report.predicted_table import CORRECTED, GAP, PredictedTable, PredictedTarget
from neurotransfer.report.rows import numbers
from neurotransfer.report.scatter import (
    agreement_figure,
    axis_label,
    bars_of,
    calibration_figure,
    distribution,
    roc_figure,
    roc_table,
)

DRIFT_LIMIT = 3.0


def shown_name(target: PredictedTarget) -> str:
    """What the number of a target is called on an axis."""
    if target.kind == "binary":
        return f"probability that {target.name} is {target.classes[1]}"
    return axis_label(f"predicted {target.name}" + (", level" if target.kind == "ordinal" else ""), target.unit)


def distribution_figure(targets: Sequence[PredictedTarget]) -> Figure | None:
    """The distribution of the predictions of each target that is a number or a probability; None where there is none."""
    shown = [each for each in targets if each.kind != "categorical" and np.isfinite(each.predicted).any()]
    if not shown:
        return None
    layers = []
    for target in shown:
        bars = bars_of(target.predicted)
        table = bars.table.drop(columns="group").assign(target=target.name)
        layers.append(
            Layer("bar", table, x="middle", y="scans", width=bars.width, tips={"start": "from", "end": "to below"})
        )
    labels = {target.name: shown_name(target) for target in shown}
    choice = Choice("target", "target", {target.name: target.name for target in shown})
    return Figure(
        "predictions",
        "Distribution of predictions",
        "Number of scans by what was predicted for them.",
        Axis(shown_name(shown[0]), labels={"target": labels}),
        Axis("scans"),
        tuple(layers),
        choices=(choice,) if len(shown) > 1 else (),
    )


def agreement_figures(table: PredictedTable, target: PredictedTarget, groups: pd.Series | None) -> list[Figure]:
    """Observed against predicted, or ROC curves; and calibration."""
    rows, name = np.flatnonzero(target.known), f"target-{table.targets.index(target)}"
    assert target.observed is not None
    observed = target.observed[rows]
    if target.is_numeric:
        columns = {
            "observed": observed,
            "predicted": target.predicted[rows],
            "scan": [table.scans[row] for row in rows],
        }
        group = {} if groups is None else {"group": groups.iloc[rows].tolist()}
        tips = {"scan": "scan"} | ({"group": "group"} if group else {})
        first = agreement_figure(
            f"{name}-agreement",
            f"{target.name}: predicted against observed",
            pd.DataFrame(columns | group),
            target.unit,
            tips,
        )
    else:
        places = [1] if target.kind == "binary" else range(len(target.classes))
        curves = roc_table(
            {target.classes[place]: observed == place for place in places},
            {target.classes[place]: target.probabilities[rows, place] for place in places},
        )
        first = roc_figure(f"{name}-roc", f"{target.name}: ROC curve", curves)
    calibrated = calibration_table(target, table.people)
    second = calibration_figure(
        f"{name}-calibration", f"{target.name}: calibration", calibrated, target.unit, of_classes=not target.is_numeric
    )
    # where all are of one class there is no curve
    return [figure for figure in (first, second) if len(figure.layers[0].table)]


def error_label(target: PredictedTarget) -> str:
    """What an error is on an axis."""
    if not target.is_numeric:
        return "1 less the probability of the true class"
    return axis_label("absolute error", target.unit or ("levels" if target.kind == "ordinal" else ""))


def group_figure(name: str, target: PredictedTarget, table: pd.DataFrame, by: str) -> Figure:
    """The mean error of each group with its interval."""
    return Figure(
        name,
        f"{target.name}: error by {by}",
        f"The mean error of {target.name} in each {by}, with 95 % intervals over people.",
        Axis(by, scale="category"),
        Axis(error_label(target)),
        (Layer("dot", table, x="group", y="error", low="low", high="high", tips={"people": "people", "bias": "bias"}),),
        caption="Bars are 95 % bootstrap intervals over people; a group of one has none.",
    )


def spread_figure(name: str, table: PredictedTable, target: PredictedTarget) -> Figure | None:
    """The error of every scan against how unsure its prediction is; None where no deviation was asked for."""
    if not target.spreads or not target.known.any():
        return None
    rows = np.flatnonzero(target.known)
    parts = [
        pd.DataFrame(
            {
                "over": words,
                "spread": spread[rows],
                "error": np.abs(target.error[rows]),
                "scan": [table.scans[row] for row in rows],
            }
        )
        for words, spread in target.spreads.items()
    ]
    options = {words: f"deviation {words}" for words in target.spreads}
    return Figure(
        name,
        f"{target.name}: error against uncertainty",
        "The error of every scan against the standard deviation of its prediction: where it rises, uncertainty is worth something.",
        Axis(axis_label("standard deviation of the prediction", target.unit)),
        Axis(error_label(target)),
        (Layer("dot", pd.concat(parts, ignore_index=True), x="spread", y="error", tips={"scan": "scan"}),),
        choices=(Choice("over", "deviation", options),) if len(options) > 1 else (),
    )


def gap_figure(table: PredictedTable, age: np.ndarray) -> Figure | None:
    """The brain-age gap against age, as it is and corrected for its bias; None where age is not known."""
    kinds = {"raw": (GAP, "as predicted"), "corrected": (CORRECTED, "corrected for its bias with age")}
    parts = {
        kind: pd.DataFrame(
            {"gap": kind, "age": age, "years": numbers(table.rows, column), "scan": table.scans}
        ).dropna()
        for kind, (column, _) in kinds.items()
    }
    parts = {kind: part for kind, part in parts.items() if len(part)}
    if not parts:
        return None
    zero = Layer("rule", pd.DataFrame({"years": [0.0]}), y="years", label="no gap", quiet=True)
    line = _bias_line(table, age)
    return Figure(
        "gap",
        "Brain-age gap against age",
        "Predicted less known age of every scan against known age: young brains tend to be predicted too old, old ones too young.",
        Axis("age (years)"),
        Axis("brain-age gap (years)"),
        (
            Layer("dot", pd.concat(parts.values(), ignore_index=True), x="age", y="years", tips={"scan": "scan"}),
            zero,
            *([line] if line is not None else []),
        ),
        choices=(Choice("gap", "gap", {kind: kinds[kind][1] for kind in parts}),) if len(parts) > 1 else (),
    )


def bias_of(table: PredictedTable) -> tuple[float, float, int] | None:
    """Intercept, slope and number of people of the line of gap on age that was taken off; None where none was fitted."""
    said = table.said.get(CORRECTED, {})
    try:
        return float(said["Intercept"]), float(said["Slope"]), int(said["People"])
    except (KeyError, TypeError, ValueError):
        return None


def _bias_line(table: PredictedTable, age: np.ndarray) -> Layer | None:
    found = bias_of(table)
    if found is None or not np.isfinite(age).any():
        return None
    ends = [float(np.nanmin(age)), float(np.nanmax(age))]
    y = [found[0] + found[1] * end for end in ends]
    line = pd.DataFrame({"gap": ["raw"], "x": ends[:1], "y": y[:1], "x_end": ends[1:], "y_end": y[1:]})
    return Layer("rule", line, x="x", y="y", x_end="x_end", y_end="y_end", label="bias that is taken off", quiet=True)


def drift_figures(table: PredictedTable) -> list[Figure]:
    """How far the scans are from those that the model knows, with the limit beyond which they are outside."""
    words = {"drift_features": "features", "drift_values": "brightness"}
    return [
        distribution(column.replace("_", "-"), f"How far the {what} are from what the model knows",
                     f"deviations of the {what} beyond the usual", numbers(table.rows, column), rules={"outside": DRIFT_LIMIT})
        for column, what in words.items()
        if column in table.rows and np.isfinite(numbers(table.rows, column)).any()
    ]  # fmt: skip
