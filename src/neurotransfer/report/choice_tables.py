"""What the fits of a run took and chose: epochs, seconds, settings, and how much better validation looked than test."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.report.folder import Task
from neurotransfer.report.tables import replicate_table, scores_of, sizes_of
from neurotransfer.statistics import SCORES, summary

# below this many values tried, an end is no edge that could be moved
LEAST_VALUES = 3
OFTEN = 0.5


def effort_table(results: pd.DataFrame, task: Task, strategies: Iterable[str], column: str) -> pd.DataFrame:
    """The mean of `epochs`, `seconds` or another column over the selected fits: `n`, `strategy`, `mean`, `low`, `high`, `fits`.

    The interval is mean -+ 1.96 SEM. Strategies for which it is zero everywhere (that train no epoch) are left out.
    """
    rows = []
    for n in sizes_of(results, task):
        table = replicate_table(results, task, n, strategies, column)
        for strategy in table:
            found = summary(table[strategy].to_numpy())
            rows.append((n, strategy, found.mean, found.low, found.high, found.n))
    table = pd.DataFrame(rows, columns=["n", "strategy", "mean", "low", "high", "fits"]).dropna(subset=["mean"])
    used = table.groupby("strategy")["mean"].transform("max") > 0
    return table[used].reset_index(drop=True)


def optimism_table(results: pd.DataFrame, task: Task, strategies: Iterable[str]) -> pd.DataFrame:
    """How much better the chosen settings looked on validation than on test, by score.

    Columns: `score`, `n`, `strategy`, `validation`, `test` (means over replicates that have both), `optimism` (validation less
    test, or test less validation for errors), `low`, `high` (-+ 1.96 SEM) and `replicates`.
    """
    names, rows = list(strategies), []
    for score in (name for name in scores_of(task) if f"validation_{name}" in results):
        sign = 1 if SCORES[score].higher_is_better else -1
        for n in sizes_of(results, task):
            validation, test = (
                replicate_table(results, task, n, names, f"{part}_{score}") for part in ("validation", "test")
            )
            both = validation.notna() & test.notna()
            for name in names:
                found = summary((sign * (validation[name] - test[name])).to_numpy())
                means = (table.loc[both[name], name].mean() for table in (validation, test))
                rows.append((score, n, name, *means, found.mean, found.low, found.high, found.n))
    columns = ["score", "n", "strategy", "validation", "test", "optimism", "low", "high", "replicates"]
    return pd.DataFrame(rows, columns=columns).dropna(subset=["optimism"]).reset_index(drop=True)


def setting_table(results: pd.DataFrame, task: Task, strategies: Iterable[str]) -> pd.DataFrame:
    """How often each setting was chosen: `strategy`, `n`, `setting` (in words), `chosen`, `replicates`, `share` and `edge`.

    `edge` says of which hyperparameters the setting has the lowest or the highest value that was tried, where there are three
    or more values and it could be moved on; empty where of none. Strategies with a single setting are left out.
    """
    parts = []
    of_task = results[(results["task"] == task.name)] if "setting" in results else results.iloc[:0]
    for strategy in strategies:
        rows = of_task[of_task["strategy"] == strategy]
        texts = list(dict.fromkeys(rows["setting"]))
        if len(texts) > 1:
            parts.append(_of_strategy(rows, strategy, {text: json.loads(text) for text in texts}))
    columns = ["strategy", "n", "setting", "chosen", "replicates", "share", "edge"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _of_strategy(rows: pd.DataFrame, strategy: str, settings: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    counts = rows[rows["selected"]].groupby(["n", "setting"]).size()
    every = list(settings.values())
    found = [
        (strategy, int(n), setting_words(setting), int(counts.get((n, text), 0)), edge_words(setting, every))
        for n in sorted(rows["n"].unique())
        for text, setting in settings.items()
    ]
    table = pd.DataFrame(found, columns=["strategy", "n", "setting", "chosen", "edge"])
    replicates = table.groupby("n")["chosen"].transform("sum")
    return table.assign(replicates=replicates, share=table["chosen"] / replicates.where(replicates > 0))


def setting_words(setting: Mapping[str, Any]) -> str:
    """A setting as it is read.

    Example:
        >>> setting_words({"lr": 0.001, "dropout": 0.0})
        'lr 0.001, dropout 0'
    """
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}" for name, value in setting.items()
    )


def edge_words(setting: Mapping[str, Any], settings: Sequence[Mapping[str, Any]]) -> str:
    """Of which hyperparameters a setting has an end of what was tried, where it could be moved on.

    Example:
        >>> edge_words({"penalty": 10.0}, [{"penalty": value} for value in (0.1, 1.0, 10.0)])
        'penalty (highest)'
    """
    edges = []
    for name, value in setting.items():
        tried = sorted({each[name] for each in settings if isinstance(each.get(name), int | float)})
        if len(tried) < LEAST_VALUES or value not in (tried[0], tried[-1]):
            continue
        # nothing lies below zero: no dropout, no decay
        if value != 0:
            edges.append(f"{name} ({'lowest' if value == tried[0] else 'highest'})")
    return ", ".join(edges)


def edge_table(settings: pd.DataFrame) -> pd.DataFrame:
    """Where most replicates chose an end of what was tried: `strategy`, `n`, `edge`, `share`, of `setting_table`."""
    rows = settings[settings["edge"] != ""].assign(edge=settings["edge"].str.split(", ")).explode("edge")
    shares = rows.groupby(["strategy", "n", "edge"], sort=False)["share"].sum().reset_index()
    return shares[shares["share"] > OFTEN].reset_index(drop=True)


def effective_table(results: pd.DataFrame, task: Task) -> pd.DataFrame:
    """How many people the training images stood for: `n`, `images`, `participants` and `effective`, means over replicates.

    The effective number is (sum k)^2 / sum k^2 of the images k of each person; NaN where results do not have it.
    """
    rows = results[results["task"] == task.name].drop_duplicates(["n", "replicate"])
    names = {
        "n_train_images": "images",
        "n_train_participants": "participants",
        "n_effective_participants": "effective",
    }
    known = [name for name in names if name in rows and rows[name].notna().any()]
    means = rows.groupby("n")[known].mean().rename(columns=names)
    return means.reindex(columns=list(names.values()), fill_value=np.nan).reset_index()
