"""Observed against predicted: ROC curves, calibration, confusion, bubbles; never an individual."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from neurotransfer.pages.looks import Look
from neurotransfer.pages.model import Axis, Choice, Figure, Layer, Table
from neurotransfer.report.folder import Task
from neurotransfer.report.prediction_tables import (
    agreement,
    axis_ends,
    confusion,
    predictions_of,
    probabilities_of,
    roc_curve,
    subgroup_table,
)
from neurotransfer.report.scatter import diagonal
from neurotransfer.report.wording import NONE, number, percent, score_label, size_key
from neurotransfer.statistics import SCORES
from neurotransfer.statistics.calibration import calibration_of_classes
from neurotransfer.statistics.metrics import auc, brier, multiclass_brier

POOLED = "Test predictions of all replicates together, so scores can differ from the means over replicates."
UNIT_ENDS = (0.0, 1.0)


def prediction_figures(
    predictions: pd.DataFrame, task: Task, sizes: list[int], looks: Mapping[str, Look], name: str
) -> list[Figure]:
    """The figures that fit the kind of a target, of all sizes and strategies that have predictions, the largest size first."""
    rows = {
        (n, strategy): part
        for n in reversed(sizes)
        for strategy in looks
        if len(part := predictions_of(predictions, task, n, strategy))
    }
    if not rows:
        return []
    makers: dict[str, list[Callable[..., Figure | None]]] = {
        "binary": [roc_figure, calibration_figure],
        "categorical": [confusion_figure, roc_figure, calibration_figure],
        "ordinal": [agreement_figure, confusion_figure],
        "continuous": [agreement_figure],
    }
    return [found for make in makers[task.kind] if (found := make(rows, task, looks, name)) is not None]


Rows = Mapping[tuple[int, str], pd.DataFrame]


def _choices(rows: Rows, *, strategy: bool = True) -> tuple[Choice, ...]:
    sizes = list(dict.fromkeys(n for n, _ in rows))
    names = list(dict.fromkeys(name for _, name in rows))
    choices = (Choice("size", "n", {size_key(n): f"n = {n}" for n in sizes}),)
    return (*choices, Choice("strategy", "Strategy", {name: name for name in names})) if strategy else choices


def _happened(part: pd.DataFrame, task: Task) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """For each class that is asked about: its name, whether it was so, and the probability that was given to it."""
    observed = part["observed"].to_numpy(float)
    if task.kind == "binary":
        return [(positive_of(task), observed == 1, part["predicted"].to_numpy(float))]
    given = probabilities_of(part, task)
    if given is None:
        return []
    return [(label, observed == index, given[:, index]) for index, label in enumerate(task.classes[: given.shape[1]])]


def positive_of(task: Task) -> str:
    """The class of which a binary target's predictions are the probability."""
    return task.classes[1] if len(task.classes) > 1 else "1"


def _with_class(choices: tuple[Choice, ...], table: pd.DataFrame) -> tuple[Choice, ...]:
    names = list(dict.fromkeys(table["class"]))
    return (*choices, Choice("class", "Class", {name: name for name in names})) if len(names) > 1 else choices


def roc_figure(rows: Rows, task: Task, looks: Mapping[str, Look], name: str) -> Figure | None:
    """The ROC curve of each strategy; of a target with several classes one against all others."""
    parts = []
    for (n, strategy), part in rows.items():
        for label, happened, probability in _happened(part, task):
            area = auc(happened.astype(float), probability)
            if np.isfinite(area):
                across, up = roc_curve(happened.astype(float), probability)
                parts.append(
                    pd.DataFrame({"size": size_key(n), "class": label, "strategy": strategy, "others": across, "recognised": up,
                                  "area": round(area, 4)})
                )  # fmt: skip
    if not parts:
        return None
    table = pd.concat(parts, ignore_index=True)
    return Figure(
        name=f"{name}-roc",
        title=f"{task.label}: ROC curves",
        description="Share of a class that is recognised against the share of others that is taken for it, a curve a strategy.",
        x=Axis(_of_class("share of others taken for", table), ends=UNIT_ENDS),
        y=Axis(_of_class("share recognised of", table), ends=UNIT_ENDS),
        layers=(
            diagonal(UNIT_ENDS, "chance"),
            Layer("line", table, x="others", y="recognised", series="strategy", tips={"area": "area under the curve"}),
        ),
        choices=_with_class(_choices(rows, strategy=False), table),
        looks=looks,
        square=True,
        caption=POOLED,
    )


def _of_class(text: str, table: pd.DataFrame) -> str:
    names = list(dict.fromkeys(table["class"]))
    return f"{text} {names[0]!r}" if len(names) == 1 else f"{text} the class"


def calibration_figure(rows: Rows, task: Task, looks: Mapping[str, Look], name: str) -> Figure | None:
    """How often a class came true among predictions of like probability."""
    parts = []
    for (n, strategy), part in rows.items():
        people = part["participant_id"].to_numpy()
        for label, happened, probability in _happened(part, task):
            found = calibration_of_classes(happened, probability, people)
            parts.append(
                found.assign(
                    size=size_key(n), strategy=strategy, brier=round(_brier(part, task), 4), **{"class": label}
                )
            )
    if not parts:
        return None
    table = pd.concat(parts, ignore_index=True)
    tips = {"predictions": "predictions", "participants": "participants", "brier": "Brier score of all"}
    return Figure(
        name=f"{name}-calibration",
        title=f"{task.label}: calibration",
        description="The share that came true against the probability that was given, a point a bin of like probabilities.",
        x=Axis(_of_class("probability given to", table), ends=UNIT_ENDS),
        y=Axis(_of_class("share that was", table), ends=UNIT_ENDS),
        layers=(
            diagonal(UNIT_ENDS, "as predicted"),
            Layer("line", table, x="predicted", y="observed", series="strategy", low="low", high="high", tips=tips),
        ),
        choices=_with_class(_choices(rows), table),
        looks=looks,
        square=True,
        caption=f"{POOLED} On the line probabilities mean what they say. Intervals are Wilson's (95 %) for as many observations as "
        "there are different people in a bin: the same person, predicted in many replicates, counts once.",
    )


def _brier(part: pd.DataFrame, task: Task) -> float:
    observed = part["observed"].to_numpy(float)
    given = probabilities_of(part, task)
    if given is not None:
        return multiclass_brier(observed, given)
    return brier(observed, part["predicted"].to_numpy(float))


def confusion_figure(rows: Rows, task: Task, looks: Mapping[str, Look], name: str) -> Figure | None:
    """What each class is taken for, as a share of those who are of it."""
    parts = [confusion(part, task).assign(size=size_key(n), strategy=strategy) for (n, strategy), part in rows.items()]
    table = pd.concat(parts, ignore_index=True)
    table = table.assign(text=[percent(share) if np.isfinite(share) else NONE for share in table["share"]])
    return Figure(
        name=f"{name}-confusion",
        title=f"{task.label}: what each class is taken for",
        description="The share of each observed class (row) that is predicted as each class (column).",
        x=Axis("predicted", "category"),
        y=Axis("observed", "category"),
        layers=(
            Layer(
                "cell",
                table,
                x="predicted",
                y="observed",
                value="share",
                text="text",
                tips={"predictions": "predictions"},
            ),
        ),
        choices=_choices(rows),
        colours="sequential",
        colour_label="share of the row",
        ends=UNIT_ENDS,
        square=True,
        caption=POOLED,
    )


def agreement_figure(rows: Rows, task: Task, looks: Mapping[str, Look], name: str) -> Figure | None:
    """Predicted against observed values: a bubble a bin, its area the number of predictions in it."""
    ends = axis_ends(pd.concat(list(rows.values()), ignore_index=True))
    parts = []
    for (n, strategy), part in rows.items():
        found = agreement(part, ends)
        table = pd.DataFrame({"size": size_key(n), "strategy": strategy, "observed": found.x, "predicted": found.y,
                              "predictions": found.counts.astype(int)})  # fmt: skip
        parts.append(table.assign(mae=round(found.mae, 4), r=round(found.r, 4)))
    margin = 0.03 * (ends[1] - ends[0])
    limits = (ends[0] - margin, ends[1] + margin)
    unit = f" ({task.unit})" if task.unit else ""
    tips = {"predictions": "predictions", "mae": f"mean absolute error of all{unit}", "r": "correlation of all"}
    return Figure(
        name=f"{name}-agreement",
        title=f"{task.label}: observed and predicted",
        description="Predicted against observed values, counted in bins: the larger a bubble, the more predictions.",
        x=Axis(f"observed{unit}", ends=limits),
        y=Axis(f"predicted{unit}", ends=limits),
        layers=(
            diagonal(ends, "predicted as observed"),
            Layer("dot", pd.concat(parts, ignore_index=True), x="observed", y="predicted", series="strategy",
                  size="predictions", tips=tips),
        ),
        choices=_choices(rows),
        looks=looks,
        square=True,
        caption=f"{POOLED} They are counted in bins: the larger a bubble, the more predictions. Bubbles at the edge may stand for "
        "values beyond it.",
    )  # fmt: skip


def subgroup_items(
    predictions: pd.DataFrame, task: Task, n: int, strategies: tuple[str, ...], column: str, name: str
) -> list[Table]:
    """The scores of each subgroup by itself at size n; empty without subgroups."""
    groups = subgroup_table(predictions, task, n, strategies)
    if not len(groups):
        return []
    scores = [score for score in SCORES if score in groups and groups[score].notna().any()]
    reference = ["reference"] if "reference" in groups else []
    rows = [
        [row["subgroup"], row["strategy"], str(row["predictions"]), str(row["participants"])]
        + [number(row[score], 2 if score in ("mae", "reference") else 3) for score in [*scores, *reference]]
        for row in groups.to_dict("records")
    ]
    headings = [column, "Strategy", "Predictions", "Participants", *(score_label(score, task) for score in scores)]
    caption = f"Each group by itself at n = {n}, test predictions of all replicates together."
    if reference:
        caption += (
            " The relative error and the last column refer to predicting the group's own mean for everybody in it: a strategy "
            "that only tells the groups apart does not get below it."
        )
    headings += ["MAE of the group's own mean"] * len(reference)
    return [Table(f"{name}-subgroups", caption, headings, rows, tuple(range(2, len(headings))))]
