"""Every score of a task as a table of text."""

import pandas as pd

from neurotransfer.pages.model import Table
from neurotransfer.report.folder import Task
from neurotransfer.report.wording import number, score_label


def score_items(scored: pd.DataFrame, task: Task, name: str) -> Table:
    """`tables.score_table` as a row a size and strategy and a column a score; the score that is shown first stands first."""
    names = sorted(dict.fromkeys(scored["score"]), key=lambda score: score != task.score)
    by_key = scored.set_index(["n", "strategy", "score"], drop=False)
    keys = list(dict.fromkeys(zip(scored["n"], scored["strategy"], strict=True)))
    rows = [
        [strategy, str(n), str(int(by_key.loc[(n, strategy, names[0]), "replicates"]))]
        + [_cell(by_key.loc[(n, strategy, score)]) for score in names]
        for n, strategy in keys
    ]
    caption = "Every score: mean over replicates and its 95 % bootstrap interval, on scans that training never saw."
    headings = ["Strategy", "n", "Replicates", *(score_label(score, task) for score in names)]
    return Table(name, caption, headings, rows, tuple(range(1, len(headings))))


def _cell(row: pd.Series) -> str:
    digits = 2 if row["score"] == "mae" else 3
    mean, low, high = (number(row[name], digits) for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"
