"""A table that `predict` wrote, with what its sidecar says of its columns: predictions, and errors where truth is known."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.artifacts import is_file, read_json
from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.errors import InputError
from neurotransfer.view.mistakes import Task, Words, wrongness
from neurotransfer.view.scans import HIGH, Number, numbers_of

PREDICTED, MOST_PROBABLE = "Predicted ", "Most probable "
WRITTEN_BY, GAP = "GeneratedBy", "age_gap"
KEYS = ("participant_id", "session_id", "image")
FLAGS = "preparation_flags"
KEPT = "kept"
# a quoted path: its folders say where the scans lie
_PATH = re.compile(r"(['\"])/[^'\"]*/([^'\"/]*)\1")


def is_described(path: Path) -> bool:
    """Whether a table has a sidecar that says that `predict` wrote it."""
    sidecar = path.with_suffix(".json")
    if not is_file(sidecar):
        return False
    try:
        found = read_json(sidecar)
    except InputError:
        return False
    return isinstance(found, dict) and WRITTEN_BY in found and "participant_id" in found


def read_predictions(path: Path) -> tuple[pd.DataFrame, tuple[Number, ...], tuple[tuple[str, ...], ...]]:
    """The scans of a table of predictions, what they can be sorted by, and their flags.

    Columns that hold a prediction are called `predicted NAME`, so that they are not taken for what is known of a person.

    Raises:
        InputError: when the table cannot be read.
    """
    table, said = read_text_table(path), read_json(path.with_suffix(".json"))
    names = {column: f"predicted {column}" for column in table if _target_of(said.get(column))}
    numbers = [_gap(table)] if GAP in table else []
    shown = table.rename(columns=names)
    numbers += numbers_of(shown, "Predictions", KEYS)
    flags = [_flags(*texts) for texts in zip(_column(table, FLAGS), _column(table, "contract"), strict=True)]
    if GAP in table and "age" in table:
        # what the table said of them: the prediction less the gap
        age = _numbers(table["age"]) - _numbers(table[GAP])
        shown["age"] = [f"{value:.4g}" if np.isfinite(value) else "" for value in age]
    return shown.drop(columns=FLAGS, errors="ignore"), tuple(numbers), tuple(flags)


def _column(table: pd.DataFrame, name: str) -> list[str]:
    return table[name].tolist() if name in table else [""] * len(table)


def _flags(prepared: str, contract: str) -> tuple[str, ...]:
    more = [] if contract in ("", KEPT) else [_PATH.sub(r"\1\2\1", contract)]
    return tuple(filter(None, [*prepared.split("; "), *more]))


def _target_of(said: Any) -> str:
    text = said.get("Description", "") if isinstance(said, dict) else ""
    begun = next((begin for begin in (PREDICTED, MOST_PROBABLE) if text.startswith(begin)), "")
    return text.removeprefix(begun).rstrip(".") if begun else ""


def _gap(table: pd.DataFrame) -> Number:
    return Number("error age", "age: absolute error (years)", "Error of age", np.abs(_numbers(table[GAP])), HIGH)


def errors_of(table: pd.DataFrame, known: pd.DataFrame, path: Path) -> list[Number]:
    """The errors of predictions whose truth another table knows, by target.

    Args:
        table: from `read_predictions`.
        known: a row a scan of `table`, with columns of the targets as text.
        path: of the table of predictions, beside which its sidecar lies.
    """
    said, numbers = read_json(path.with_suffix(".json")), []
    for column, facts in said.items():
        target = _target_of(facts)
        if target and column == target and target in known:
            numbers.append(_error(target, facts, table, known[target]))
    return numbers


def _error(target: str, facts: dict[str, Any], table: pd.DataFrame, known: pd.Series) -> Number:
    classes = tuple(str(level) for level in facts.get("Levels", ()))
    kind = "categorical" if classes else "continuous"
    task = Task(target, target, kind, classes, facts.get("Units", ""))
    if classes:
        places = {label: place for place, label in enumerate(classes)}
        observed = known.map(places).to_numpy(float)
        each = np.stack([_numbers(table[f"{target}_probability_{label}"]) for label in classes], 1)
        predicted = each.argmax(1).astype(float)
        wrong = wrongness(kind, observed, predicted, each.tolist())
    else:
        observed, predicted = _numbers(known), _numbers(table[f"predicted {target}"])
        wrong = wrongness(kind, observed, predicted)
    words = Words(task, np.stack([wrong, observed, predicted]), np.ones(len(wrong), int))
    label = f"{target}: {task.measure.removeprefix('mean ')}"
    return Number(f"error {target}", label, f"Error of {target}", wrong, HIGH, words)


def _numbers(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column.replace("", None), errors="coerce").to_numpy(float)
