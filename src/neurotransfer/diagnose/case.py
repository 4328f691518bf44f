"""One curve of a run with all that its tables know of it: the scores of every replicate, and what was tried on the way."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.report.folder import RunFolder, Task
from neurotransfer.report.tables import sizes_of
from neurotransfer.statistics import SCORES, SELECTION

# what a reader sees in a figure: a change of less than this is no change worth a cause
VISIBLE: Mapping[str, float] = {
    "auc": 0.01, "balanced_accuracy": 0.01, "brier": 0.005, "rae": 0.01, "r": 0.01, "r2": 0.01,
}  # fmt: skip
# of scores that have a unit, a share of the score itself
VISIBLE_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class Case:
    """The curve of one strategy on one task. All scores are turned so that more is better: errors have a minus.

    Attributes:
        task: what was predicted.
        strategy: its label in the tables.
        kind: the strategy behind the label.
        score: the score that is shown first.
        sizes: rising, (K,).
        goods: test scores of the chosen settings, (R, K); NaN where there is none.
        fits: all fits of it, a row a setting.
        visible: the smallest difference that counts, in points of the score.
    """

    task: Task
    strategy: str
    kind: str
    score: str
    sizes: np.ndarray
    goods: np.ndarray
    fits: pd.DataFrame
    visible: float

    @property
    def sign(self) -> int:
        """1 where a higher score is better, -1 for errors."""
        return 1 if SCORES[self.score].higher_is_better else -1

    @property
    def mean(self) -> np.ndarray:
        """The mean over replicates, (K,)."""
        return mean_of(self.goods)

    def of_chosen(self, column: str) -> np.ndarray:
        """A column of the chosen fits, (R, K); NaN where there is none, everywhere where the run does not know the column."""
        return wide(self.fits[self.fits["selected"]], self.sizes, column, len(self.goods))

    @property
    def settings(self) -> list[dict[str, Any]]:
        """Every setting that was tried, by its index."""
        texts = self.fits.drop_duplicates("setting_index").sort_values("setting_index")["setting"]
        return [json.loads(text) for text in texts]

    def validation(self, n: int, every: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """How good every setting was on validation at a size, (R, S) by the score that chooses, and which was chosen, (R,).

        Replicates in which a setting has no score, or none was chosen, are left out; or with `every` they stay, with NaN and -1.
        """
        name = SELECTION[self.task.kind]
        rows = self.fits[self.fits["n"] == n]
        table = rows.pivot(index="replicate", columns="setting_index", values=f"validation_{name}").astype(float)
        table = table.reindex(range(len(self.goods)))
        chosen = rows[rows["selected"]].set_index("replicate")["setting_index"].reindex(table.index)
        places = {index: place for place, index in enumerate(table.columns)}
        found = chosen.map(places).fillna(-1).to_numpy(int)
        known = np.full(len(table), True) if every else (table.notna().all(axis=1) & chosen.notna()).to_numpy()
        sign = 1 if SCORES[name].higher_is_better else -1
        return sign * table.to_numpy()[known], found[known]


def mean_of(goods: np.ndarray) -> np.ndarray:
    """The mean (K,) of values (R, K) that are there; NaN where there is none.

    Example:
        >>> mean_of(np.array([[1.0, np.nan], [2.0, np.nan]]))
        array([1.5, nan])
    """
    known = np.isfinite(goods)
    counts = known.sum(axis=0)
    totals = np.where(known, goods, 0.0).sum(axis=0)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def wide(rows: pd.DataFrame, sizes: np.ndarray, column: str, n_replicates: int) -> np.ndarray:
    """A column of fits, one a size and replicate, as a table (R, K)."""
    found = np.full((n_replicates, len(sizes)), np.nan)
    if column in rows:
        found[rows["replicate"].to_numpy(int), np.searchsorted(sizes, rows["n"])] = rows[column].to_numpy(float)
    return found


def cases_of(run: RunFolder, strategies: Sequence[str] = ()) -> list[Case]:
    """The curves of a run, those of all strategies or of some; curves without a single score are left out."""
    kinds = {part["label"]: part.get("strategy", part["label"]) for part in run.study.get("strategies", [])}
    found = [
        case_of(run.results, task, name, kinds.get(name, name))
        for task in run.tasks
        for name in run.strategies
        if not strategies or name in strategies
    ]
    return [case for case in found if np.isfinite(case.goods).any()]


def case_of(results: pd.DataFrame, task: Task, strategy: str, kind: str) -> Case:
    """One curve from the table of fits."""
    fits = results[(results["task"] == task.name) & (results["strategy"] == strategy)]
    sizes = np.array(sizes_of(results, task))
    n_replicates = int(results["replicate"].max()) + 1
    sign = 1 if SCORES[task.score].higher_is_better else -1
    goods = sign * wide(fits[fits["selected"]], sizes, f"test_{task.score}", n_replicates)
    with_setting = fits if "setting" in fits else fits.assign(setting="{}", setting_index=0)
    return Case(task, strategy, kind, task.score, sizes, goods, with_setting, visible_of(task.score, goods))


def visible_of(score: str, values: np.ndarray) -> float:
    """The smallest difference of a score that counts as one, in its points.

    Example:
        >>> visible_of("auc", np.array([0.7])), round(visible_of("mae", np.array([-4.0, -6.0])), 3)
        (0.01, 0.05)
    """
    if score in VISIBLE:
        return VISIBLE[score]
    known = np.abs(values[np.isfinite(values)])
    return VISIBLE_SHARE * float(known.mean()) if len(known) else 0.0
