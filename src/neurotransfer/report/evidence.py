"""The tables of one task that its figures and sentences are made from, computed once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from neurotransfer.report.choice_tables import setting_words
from neurotransfer.report.folder import RunFolder, Task
from neurotransfer.report.tables import curve_table, difference_table, p_matrices, score_table, scores_of


@dataclass(frozen=True)
class Evidence:
    """The tables of one task.

    Args:
        task: what was predicted.
        strategies: in the order of the study.
        kinds: strategy to its label, kind and model, as the study says it.
        results: the table of fits.
        matrices: p of every pair, `{score: {n: matrix}}`.
        curves: `{(score, statistic): curve_table}`.
        differences: `{score: difference_table}`.
        scored: `score_table`.
        words: settings as the table has them, and as they are read.
    """

    task: Task
    strategies: tuple[str, ...]
    kinds: Mapping[str, Mapping[str, str]]
    results: pd.DataFrame
    matrices: Mapping[str, Mapping[int, pd.DataFrame]]
    curves: Mapping[tuple[str, str], pd.DataFrame]
    differences: Mapping[str, pd.DataFrame]
    scored: pd.DataFrame
    words: Mapping[str, str]

    @property
    def headline(self) -> pd.DataFrame:
        """The learning curve of means of the score that is shown first."""
        return self.curves[self.task.score, "mean"]


def evidence_of(run: RunFolder, task: Task) -> Evidence:
    """Compute the tables of a task of a run."""
    seed, results = int(run.study.get("seed", 0)), run.results
    own = results[results["task"] == task.name]
    names = tuple(name for name in run.strategies if (own["strategy"] == name).any())
    matrices = {score: p_matrices(own, task, names, seed, score) for score in scores_of(task)}
    curves = {
        (score, statistic): curve_table(own, task, names, matrices[score], statistic, score=score, seed=seed)
        for score in matrices
        for statistic in ("mean", "median")
    }
    differences = {score: difference_table(own, task, names, score, matrices[score], seed) for score in matrices}
    kinds = {part["label"]: part for part in run.study.get("strategies", [])}
    texts = own["setting"].dropna().unique() if "setting" in own else []
    words = {text: setting_words(json.loads(text)) for text in texts}
    scored = score_table(own, task, names, seed)
    return Evidence(task, names, kinds, own, matrices, curves, differences, scored, words)
