"""The chosen setting against the best one on the test set and against an average one, where a run kept all settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.benchmark.records import TEST
from neurotransfer.benchmark.results import EVERY
from neurotransfer.diagnose.case import Case
from neurotransfer.errors import InputError
from neurotransfer.pages.looks import looks
from neurotransfer.pages.model import Axis, Choice, Figure, Layer
from neurotransfer.report.curves import sizes_axis
from neurotransfer.report.wording import score_label
from neurotransfer.statistics import SCORES, SELECTION, scores
from neurotransfer.statistics.selection import CostByTest, selection_cost

# what is drawn, and in words
LEVELS = {
    "oracle": "best on the test set itself",
    "best_fixed": "best one setting of other replicates",
    "chosen": "chosen by validation",
    "average": "average of all settings",
}


def by_test_of(case: Case, run: Path) -> dict[int, CostByTest]:
    """By size what the choice gave on the test set beside the best, the best fixed and an average setting.

    Every setting's test predictions are needed, which a run keeps with `keep = "all"`. Scores are those that choose (AUC, MAE), with a
    minus for errors; nothing is chosen by them but the oracle, which is no result.

    Args:
        case: the curve.
        run: the run folder.

    Returns:
        By size; empty where the run did not keep all, or a size has too few complete replicates or settings.
    """
    if not (run / EVERY).is_file():
        return {}
    wanted = [("task", "=", case.task.name), ("strategy", "=", case.strategy), ("part", "=", TEST)]
    rows, found = pd.read_parquet(run / EVERY, filters=wanted), {}
    for n in map(int, case.sizes):
        validation, chosen = case.validation(n, every=True)
        test = _tested(case, rows[rows["n"] == n], np.unique(case.fits.loc[case.fits["n"] == n, "setting_index"]))
        known = chosen >= 0
        if not known.any():
            continue
        try:
            cost = selection_cost(validation[known], True, chosen[known], test[known])
        except InputError:
            continue
        if cost.by_test is not None:
            found[n] = cost.by_test
    return found


def _tested(case: Case, rows: pd.DataFrame, settings: np.ndarray) -> np.ndarray:
    """Test scores (R, S), more is better; NaN where there is none."""
    name = SELECTION[case.task.kind]
    sign = 1 if SCORES[name].higher_is_better else -1
    table = np.full((len(case.goods), len(settings)), np.nan)
    for (replicate, index), part in rows.groupby(["replicate", "setting_index"], sort=False):
        place = np.searchsorted(settings, index)
        if place < len(settings) and settings[place] == index:
            shares = None
            if case.task.kind == "categorical":
                shares = np.stack([np.asarray(each, float) for each in part["probabilities"]])
            observed, predicted = part["observed"].to_numpy(float), part["predicted"].to_numpy(float)
            table[int(replicate), place] = sign * scores(case.task.kind, observed, predicted, shares)[name]
    return table


def oracle_figure(found: Sequence[tuple[Case, Mapping[int, CostByTest]]], name: str) -> Figure | None:
    """The four levels against size, a strategy at a time; None where no run of the task kept all settings.

    Args:
        found: the curves of one task, each with its levels by size.
        name: of the figure.
    """
    rows = [_row(case, n, cost, level, words) for case, own in found for n, cost in own.items()
            for level, words in LEVELS.items()]  # fmt: skip
    if not rows:
        return None
    case, table = found[0][0], pd.DataFrame(rows)
    score = SELECTION[case.task.kind]
    better = "" if SCORES[score].higher_is_better else ", lower is better"
    return Figure(
        name=name,
        title=f"{case.task.label}: the chosen setting against the best and an average one",
        description="Test scores of the chosen setting, of the best one on the test set, of the best fixed one and the average over "
        "all settings, against size.",
        x=sizes_axis(sorted({int(n) for n in table["n"]}), case.task),
        y=Axis(f"{score_label(score, case.task)}{better}"),
        layers=(Layer("line", table, x="n", y="shown", series="setting", low="low", high="high"),),
        choices=(Choice("strategy", "Strategy", {each: each for each in dict.fromkeys(table["strategy"])}),),
        looks=looks(list(LEVELS.values())),
        caption="Means over replicates with 95 % intervals. The best on the test set is chosen on the test set: what choosing could "
        "give at most, flattered by the luck of the test people, and no result. Chosen below the best fixed setting: too few "
        "validation people. Chosen no better than the average: the settings hardly differ, or validation cannot tell them apart.",
    )


def _row(case: Case, n: int, cost: CostByTest, level: str, words: str) -> dict[str, object]:
    estimate = getattr(cost, level)
    sign = 1 if SCORES[SELECTION[case.task.kind]].higher_is_better else -1
    low, high = sorted((sign * estimate.low, sign * estimate.high))
    return {
        "strategy": case.strategy,
        "n": n,
        "setting": words,
        "shown": sign * estimate.value,
        "low": low,
        "high": high,
    }
