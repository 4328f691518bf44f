"""Learning curves: the tables of a task -> a figure whose score and statistic can be chosen."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from neurotransfer.pages.looks import Look
from neurotransfer.pages.model import Axis, Choice, Figure, Layer
from neurotransfer.report.evidence import Evidence
from neurotransfer.report.folder import Task
from neurotransfer.report.tables import scores_of, sizes_of
from neurotransfer.report.wording import score_label
from neurotransfer.statistics import SCORES

LOGARITHMIC_ABOVE = 5
TICKS_APART = 1.6
STATISTICS = {"mean": "Mean ± 1.96 SEM", "median": "Median, 95 % bootstrap interval"}
KEYS = {"filled": "filled: beats the next best (p < 0.05)", "hollow": "hollow: it does not, or is last"}
CAPTION = (
    "A filled marker beats the next best strategy at the same n (the one ranked just below it by what is shown; one-sided "
    "paired permutation test over replicates, p < 0.05, uncorrected). The last one has nobody to beat and is always hollow. "
    "Bars are 95 % intervals over replicates, which draw on one pool of people."
)


def learning_curves(
    evidence: Evidence, looks: Mapping[str, Look], name: str, published: pd.DataFrame | None = None
) -> Figure:
    """Every score against n, a line a strategy; the replicates behind it can be shown.

    Args:
        evidence: of the task.
        looks: colour and marker of each strategy.
        name: of the figure.
        published: curves to lay under, from `published_curves`.
    """
    task, shown = evidence.task, _shown(evidence)
    overlay = _overlay(published, task)
    layers = [
        *_chance(task),
        _curve_layer(shown),
        *([overlay] if overlay is not None else []),
        _replicates(evidence),
    ]
    every = [*shown["n"], *([] if overlay is None else overlay.table["n"])]
    overlaid = "" if overlay is None else " Grey: published curves of other data, for orientation."
    scores = scores_of(task)
    return Figure(
        name=name,
        title=f"{task.label}: learning curves",
        description=f"Test scores of {task.label} against the number of training {task.counted}, a line a strategy, with "
        "intervals; filled markers beat the next best strategy.",
        x=sizes_axis(sizes_of(evidence.results, task), task, every),
        y=Axis(
            score_label(scores[0], task),
            switch=True,
            labels={"score": {score: score_label(score, task) for score in scores}},
            logarithmic={"score": tuple(score for score in scores if _is_wide(shown, score))},
        ),
        layers=tuple(layers),
        choices=(
            Choice("statistic", "Statistic", STATISTICS),
            Choice("score", "Score", {score: SCORES[score].label for score in scores}),
        ),
        looks=looks,
        caption=CAPTION + overlaid,
        keys=KEYS,
    )


def _shown(evidence: Evidence) -> pd.DataFrame:
    parts = [table.assign(statistic=statistic, score=score) for (score, statistic), table in evidence.curves.items()]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _curve_layer(shown: pd.DataFrame) -> Layer:
    return Layer(
        "line",
        shown.rename(columns={"value": "shown"}),
        x="n",
        y="shown",
        series="strategy",
        low="low",
        high="high",
        filled="better",
        tips={
            "replicates": "replicates",
            "next_best": "next best",
            "difference": "mean difference from it",
            "p": "p that it beats the next best",
            "p_holm": "p after Holm, over all such tests of the task",
        },
    )


def _replicates(evidence: Evidence) -> Layer:
    """Every replicate of every strategy; `setting` is the one that validation chose."""
    task, results = evidence.task, evidence.results
    rows = results[results["selected"] & (results["task"] == task.name)]
    settings = rows["setting"].map(evidence.words) if "setting" in rows else pd.Series("", index=rows.index)
    parts = [
        pd.DataFrame(
            {
                "score": score,
                "n": rows["n"],
                "strategy": rows["strategy"],
                "replicate": rows["replicate"],
                "value": rows[f"test_{score}"],
                "setting": settings,
            }
        )
        for score in scores_of(task)
    ]
    table = pd.concat(parts, ignore_index=True).dropna(subset=["value"])
    tips = {"replicate": "replicate", "setting": "chosen setting"}
    return Layer("dot", table, x="n", y="value", series="strategy", tips=tips, label="Replicates", shown=False)


def _chance(task: Task) -> list[Layer]:
    levels = {score: SCORES[score].chance_level(len(task.classes)) for score in scores_of(task)}
    known = {score: level for score, level in levels.items() if level is not None}
    if not known:
        return []
    table = pd.DataFrame({"score": list(known), "level": list(known.values())})
    return [Layer("rule", table, y="level", label="chance", quiet=True)]


def _overlay(published: pd.DataFrame | None, task: Task) -> Layer | None:
    if published is None:
        return None
    rows = published[published["score"].isin(scores_of(task))]
    if not len(rows):
        return None
    names = rows["strategy"] + " (" + rows["talk"].str.title() + ")"
    table = rows[["statistic", "score", "n", "value", "sem"]].assign(curve=names).reset_index(drop=True)
    return Layer("line", table, x="n", y="value", series="curve", label="Published curves", quiet=True)


def sizes_axis(sizes: Sequence[int], task: Task, every: Sequence[int] = ()) -> Axis:
    """The axis of training sizes: ticks at those of the study, and at others that stand well apart from the tick before."""
    ticks = list(sizes)
    for n in sorted({int(n) for n in every} - set(sizes)):
        if all(max(n, tick) >= TICKS_APART * min(n, tick) for tick in ticks):
            ticks.append(n)
    scale = "log" if is_logarithmic([*sizes, *every]) else "linear"
    return Axis(
        f"n, training {task.counted}", scale=scale, switch=True, ticks=tuple(float(tick) for tick in sorted(ticks))
    )


def is_logarithmic(sizes: Sequence[float]) -> bool:
    """Whether values span so much that they are shown on a logarithmic axis."""
    return min(sizes) > 0 and max(sizes) > LOGARITHMIC_ABOVE * min(sizes)


def _is_wide(shown: pd.DataFrame, score: str) -> bool:
    """Whether one bad strategy would press the others together on the axis of an error."""
    values = shown.loc[shown["score"] == score, "value"].to_numpy(float)
    values = values[np.isfinite(values)]
    return bool(len(values) and not SCORES[score].higher_is_better and is_logarithmic(values))
