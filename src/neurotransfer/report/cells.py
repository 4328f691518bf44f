"""Tables as the template shows them: headings and rows of formatted cells."""

from typing import Any

import pandas as pd

from neurotransfer.report.folder import Task
from neurotransfer.report.tables import failure_table, holm_matrix
from neurotransfer.report.wording import number, probability
from neurotransfer.statistics import SCORES
from neurotransfer.statistics.permutation import ALPHA


def score_heading(name: str, task: Task) -> str:
    """The label of a score, with the unit where it has one."""
    return f"{SCORES[name].label} ({task.unit})" if name == "mae" and task.unit else SCORES[name].label


def score_grid(scored: pd.DataFrame, task: Task) -> dict[str, Any]:
    """`tables.score_table` as a row a size and strategy and a cell a score; the score shown stands first."""
    names = sorted(dict.fromkeys(scored["score"]), key=lambda name: name != task.score)
    by_key = scored.set_index(["n", "strategy", "score"], drop=False)
    keys = list(dict.fromkeys(zip(scored["n"], scored["strategy"], strict=True)))
    rows = [
        {
            "n": n,
            "strategy": strategy,
            "replicates": int(by_key.loc[(n, strategy, names[0]), "replicates"]),
            "cells": [_score_cell(by_key.loc[(n, strategy, name)]) for name in names],
            "first": index == 0 or keys[index - 1][0] != n,
        }
        for index, (n, strategy) in enumerate(keys)
    ]
    return {"headings": [score_heading(name, task) for name in names], "rows": rows}


def _score_cell(row: pd.Series) -> list[str]:
    digits = _digits(str(row["score"]))
    mean, sem, median, low, high = (number(row[name], digits) for name in ("mean", "sem", "median", "low", "high"))
    return [f"{mean} ± {sem}", f"median {median}", f"{low} to {high}"]


def _digits(score: str) -> int:
    return 2 if score == "mae" else 3


def matrix_grid(n: int, matrix: pd.DataFrame) -> dict[str, Any]:
    """A matrix of p as rows of (text, class of the cell, note); the class says how small p is."""
    adjusted = holm_matrix(matrix)
    rows = [
        (name, [_p_cell(name, other, matrix.loc[name, other], adjusted.loc[name, other]) for other in matrix.columns])
        for name in matrix.index
    ]
    return {"n": n, "columns": list(matrix.columns), "rows": rows}


def _p_cell(name: str, other: str, p: float, adjusted: float) -> tuple[str, str, str]:
    if name == other:
        return "", "self", ""
    strength = "sure" if adjusted < ALPHA else "likely" if p < ALPHA else "open"
    note = f"{name} beats {other}: p {probability(p)}; after Holm {probability(adjusted)}"
    return probability(p) + ("*" if strength == "sure" else ""), strength, note


def subgroup_grid(groups: pd.DataFrame, task: Task, column: str) -> dict[str, Any]:
    """`prediction_tables.subgroup_table` as headings and rows of text."""
    names = [name for name in SCORES if name in groups and groups[name].notna().any()]
    reference = ["reference"] if "reference" in groups else []
    headings = [column, "Strategy", "Predictions", "Participants", *(score_heading(name, task) for name in names)]
    rows = [
        [row["subgroup"], row["strategy"], str(row["predictions"]), str(row["participants"])]
        + [number(row[name], _digits(name)) for name in names]
        + [number(row[name], _digits("mae")) for name in reference]
        for row in groups.to_dict("records")
    ]
    return {"headings": headings + ["MAE of the group's own mean"] * len(reference), "rows": rows}


def failure_rows(results: pd.DataFrame) -> list[dict[str, Any]]:
    """The grouped failures as plain values."""
    return [{str(key): value for key, value in row.items()} for row in failure_table(results).to_dict("records")]
