"""From the table of fits to the tables that the page shows; every number of the page comes from here."""

import itertools
from collections.abc import Iterable

import numpy as np
import pandas as pd

from neurotransfer.report.folder import Task
from neurotransfer.seeding import stream
from neurotransfer.statistics import SCORES, beats_next_best, bootstrap_interval, holm, pairwise_matrix, summary
from neurotransfer.statistics.permutation import ALPHA


def sizes_of(results: pd.DataFrame, task: Task) -> list[int]:
    """The training sizes that a task has fits for, ascending."""
    return sorted(int(n) for n in results.loc[results["task"] == task.name, "n"].unique())


def replicate_table(
    results: pd.DataFrame, task: Task, n: int, strategies: Iterable[str], column: str = ""
) -> pd.DataFrame:
    """What the selected fits scored on test, a row a replicate and a column a strategy; NaN where a fit failed.

    `column` is a column of the results, by default the test score that the task shows.
    """
    rows = results[results["selected"] & (results["task"] == task.name) & (results["n"] == n)]
    wide = rows.pivot(index="replicate", columns="strategy", values=column or f"test_{task.score}")
    return wide.reindex(columns=list(strategies)).astype(float).rename_axis(columns=None)


def scores_of(task: Task) -> list[str]:
    """The scores that exist for a task's kind, the one that is shown first before the others."""
    names = [name for name, score in SCORES.items() if task.kind in score.kinds]
    return sorted(names, key=lambda name: name != task.score)


def p_matrices(
    results: pd.DataFrame, task: Task, strategies: Iterable[str], seed: int = 0, score: str = ""
) -> dict[int, pd.DataFrame]:
    """For each training size, the p that the strategy of the row beats that of the column on a score, by default the one shown."""
    names, own = list(strategies), score in ("", task.score)
    score = score or task.score
    return {
        n: pairwise_matrix(
            replicate_table(results, task, n, names, f"test_{score}").dropna(axis=1, how="all"),
            higher_is_better=SCORES[score].higher_is_better,
            generator=stream(seed, "report", task.name, n, *([] if own else [score])),
        )
        for n in sizes_of(results, task)
    }


def holm_matrix(matrix: pd.DataFrame) -> pd.DataFrame:
    """The p of all pairs of one matrix, both directions, adjusted for being many; NaN on the diagonal."""
    values = matrix.to_numpy(float).copy()
    np.fill_diagonal(values, np.nan)
    return pd.DataFrame(holm(values), index=matrix.index, columns=matrix.columns)


def curve_table(
    results: pd.DataFrame,
    task: Task,
    strategies: Iterable[str],
    matrices: dict[int, pd.DataFrame],
    statistic: str = "mean",
    *,
    score: str = "",
    seed: int = 0,
) -> pd.DataFrame:
    """The learning curve of a task: a row a size and strategy, best first, with its test against the next best.

    Columns: `n`, `strategy`, `value`, `low`, `high` (mean -+ 1.96 SEM; of a median its 95 % bootstrap interval), `replicates`,
    `next_best`, `difference`, `p`, `better` (p < 0.05) and `p_holm`, adjusted over all such tests of the task. `matrices` are
    those of the same score.
    """
    names, score = list(strategies), score or task.score
    parts = [_ranked(results, task, names, n, matrix, statistic, score, seed) for n, matrix in matrices.items()]
    curve = pd.concat(parts, ignore_index=True)
    return curve.assign(p_holm=holm(curve["p"].to_numpy(float)))


def _ranked(
    results: pd.DataFrame,
    task: Task,
    strategies: list[str],
    n: int,
    matrix: pd.DataFrame,
    statistic: str,
    score: str,
    seed: int,
) -> pd.DataFrame:
    table = replicate_table(results, task, n, strategies, f"test_{score}")
    higher = SCORES[score].higher_is_better
    ranked = beats_next_best(table, statistic=statistic, higher_is_better=higher, matrix=matrix)
    found = [summary(table[name].to_numpy()) for name in ranked.index]
    ends = [(each.low, each.high) for each in found]
    if statistic == "median":
        streams = [stream(seed, "report", n, name, score, "median") for name in ranked.index]
        ends = [
            bootstrap_interval(table[name].to_numpy(), "median", generator=each)
            for name, each in zip(ranked.index, streams, strict=True)
        ]
    return ranked.rename_axis("strategy").reset_index().assign(
        n=n,
        low=[low for low, _ in ends],
        high=[high for _, high in ends],
        replicates=[each.n for each in found],
    )  # fmt: skip


def difference_table(
    results: pd.DataFrame,
    task: Task,
    strategies: Iterable[str],
    score: str,
    matrices: dict[int, pd.DataFrame],
    seed: int = 0,
) -> pd.DataFrame:
    """How far every strategy is from every other, by replicates that both have.

    Columns: `n`, `reference`, `strategy`, `difference` (mean of strategy - reference), `low`, `high` (its 95 % interval: whole
    replicates are drawn again, Efron 1979), `pairs`, `p` (that the strategy beats the reference) and `better` (p < 0.05).
    """
    rows = []
    for n, matrix in matrices.items():
        table = replicate_table(results, task, n, strategies, f"test_{score}")
        for one, other in itertools.combinations(matrix.index, 2):
            pairs = (table[one] - table[other]).dropna().to_numpy()
            low, high = bootstrap_interval(pairs, generator=stream(seed, "report", task.name, n, score, one, other))
            mean = float(pairs.mean()) if len(pairs) else np.nan
            rows.append((n, other, one, mean, low, high, len(pairs), matrix.loc[one, other]))
            rows.append((n, one, other, -mean, -high, -low, len(pairs), matrix.loc[other, one]))
    columns = ["n", "reference", "strategy", "difference", "low", "high", "pairs", "p"]
    found = pd.DataFrame(rows, columns=columns)
    return found.assign(better=found["p"] < ALPHA)


def score_table(results: pd.DataFrame, task: Task, strategies: Iterable[str], seed: int = 0) -> pd.DataFrame:
    """Every score that exists for the task's kind: a row a size, strategy and score.

    Columns: `n`, `strategy`, `score`, `replicates`, `mean`, `sem`, `median`, `low`, `high` (95 % bootstrap interval of
    the mean over replicates).
    """
    rows = []
    for n in sizes_of(results, task):
        for name in (name for name in SCORES if name in scores_of(task)):
            table = replicate_table(results, task, n, strategies, f"test_{name}")
            rows += [_score_row(n, strategy, name, table[strategy].to_numpy(), seed) for strategy in table]
    return pd.DataFrame(rows)


def _score_row(n: int, strategy: str, score: str, values: np.ndarray, seed: int) -> dict[str, object]:
    found = summary(values)
    low, high = bootstrap_interval(values, generator=stream(seed, "report", n, strategy, score))
    row: dict[str, object] = {"n": n, "strategy": strategy, "score": score, "replicates": found.n}
    return row | {"mean": found.mean, "sem": found.sem, "median": found.median, "low": low, "high": high}


def chance_score(task: Task) -> str:
    """The score to compare with chance: the one shown, else the relative error (a mean absolute error has no level)."""
    return task.score if SCORES[task.score].chance is not None else "rae" if "rae" in scores_of(task) else "auc"


def no_better_than_chance(scored: pd.DataFrame, task: Task, n: int) -> list[str]:
    """The strategies whose bootstrap interval at size n includes the chance level or lies on its wrong side."""
    name = chance_score(task)
    level = SCORES[name].chance_level(len(task.classes))
    rows = scored[(scored["n"] == n) & (scored["score"] == name)].dropna(subset=["mean"])
    better = rows["low"] > level if SCORES[name].higher_is_better else rows["high"] < level
    return list(rows.loc[~better, "strategy"])


def failure_table(results: pd.DataFrame) -> pd.DataFrame:
    """Fits that failed, grouped: `task`, `strategy`, `error`, `fits` and the sizes they had, most frequent first."""
    failed = results[results["error"].notna()]
    grouped = failed.groupby(["task", "strategy", "error"], sort=True)
    table = grouped.agg(
        fits=("n", "size"), sizes=("n", lambda sizes: ", ".join(map(str, sorted(set(sizes)))))
    ).reset_index()
    return table.sort_values("fits", ascending=False, kind="stable").reset_index(drop=True)
