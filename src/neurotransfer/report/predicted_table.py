"""A table that `predict` wrote, as the report reads it: by target what was predicted, what was observed, and how unsure it is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.artifacts import is_file, read_json
from neurotransfer.errors import InputError, listed
from neurotransfer.report.rows import numbers, read_rows, texts
from neurotransfer.targets import as_text

KEYS = ("participant_id", "session_id", "image")
MADE = "GeneratedBy"
AGE, GAP, CORRECTED = "age", "age_gap", "age_gap_corrected"
SPREADS = {"views": "between views of a scan", "models": "between models", "bins": "over the bins of the network"}
KEPT, OUTSIDE, REFUSED = "kept", "kept, but outside", "refused: "
_VALUE, _CLASS = "Predicted ", "Most probable "


@dataclass(frozen=True, eq=False)
class PredictedTarget:
    """What a table holds of one target.

    Args:
        name: of the target.
        kind: continuous, binary, categorical or ordinal.
        classes: in their order; empty for a continuous target.
        unit: of a continuous target.
        predicted: (n,) the value, the probability of the second class, the index of the class or the expected level; NaN where
            a scan was refused.
        probabilities: (n, K), K classes.
        observed: (n,) the value or the index of the class, NaN where not known; None where the table has no such column.
        spreads: standard deviations (n,) by what they are over.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    unit: str
    predicted: np.ndarray
    probabilities: np.ndarray
    observed: np.ndarray | None
    spreads: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def is_numeric(self) -> bool:
        """Whether errors are differences of numbers."""
        return self.kind in ("continuous", "ordinal")

    @property
    def known(self) -> np.ndarray:
        """Rows with a prediction and an observation, (n,) of truth values."""
        if self.observed is None:
            return np.zeros(len(self.predicted), bool)
        return np.isfinite(self.predicted) & np.isfinite(self.observed)

    @property
    def error(self) -> np.ndarray:
        """How wrong each row is, (n,): predicted less observed; for classes, 1 less the probability that the true class was given."""
        if self.observed is None:
            return np.full(len(self.predicted), np.nan)
        if self.is_numeric:
            return self.predicted - self.observed
        found = np.full(len(self.predicted), np.nan)
        rows = np.flatnonzero(self.known)
        found[rows] = 1 - self.probabilities[rows, self.observed[rows].astype(int)]
        return found


@dataclass(frozen=True, eq=False)
class PredictedTable:
    """A table of predictions: its rows as text, its targets, and what its sidecar says of columns and of how it was made."""

    path: Path
    rows: pd.DataFrame
    targets: tuple[PredictedTarget, ...]
    said: dict[str, Any]

    @property
    def made(self) -> dict[str, Any]:
        """How the table was made: models, cohort, engine, versions."""
        found = self.said.get(MADE)
        return found if isinstance(found, dict) else {}

    @property
    def people(self) -> np.ndarray:
        """The participant of every row, (n,) of text."""
        return texts(self.rows, "participant_id").to_numpy(str)

    @property
    def scans(self) -> list[str]:
        """What every row is called: participant and session."""
        sessions = texts(self.rows, "session_id", "")
        return [f"{person} {session}".strip() for person, session in zip(self.people, sessions, strict=True)]

    @property
    def refused(self) -> list[tuple[str, str]]:
        """Scans that were refused, and why."""
        contract = texts(self.rows, "contract", "")
        return [
            (scan, said.removeprefix(REFUSED))
            for scan, said in zip(self.scans, contract, strict=True)
            if said.startswith(REFUSED)
        ]


def sidecar_of(path: Path) -> Path:
    """The file that says what the columns of a table hold."""
    return path.with_suffix(".json")


def read_predicted(path: Path) -> PredictedTable:
    """Read and check a table of predictions and its sidecar.

    Raises:
        InputError: when one of them is absent, cannot be read, or is not what `predict` writes.
    """
    rows = read_rows(path, KEYS, "give a table that `neurotransfer predict` wrote")
    if not is_file(sidecar_of(path)):
        raise InputError(
            f"there is no {str(sidecar_of(path))!r}, which says what the columns of {str(path)!r} hold; `predict` wrote it beside "
            "the table: copy it too"
        )
    said = read_json(sidecar_of(path))
    if not isinstance(said, dict) or not all(isinstance(each, dict) for each in said.values()):
        raise InputError(f"{str(sidecar_of(path))!r} is no sidecar of a table; `predict` writes one, copy it again")
    names = {name: kind for name in said if (kind := _kind_of(name, said))}
    if not names:
        what = "features" if any(name.startswith("feature_") for name in said) else "no prediction"
        raise InputError(
            f"{str(path)!r} holds {what}, by {str(sidecar_of(path))!r}; give a table that `neurotransfer predict` wrote"
        )
    problems = [f"no column {column!r}" for name in names for column in _columns_of(name, said) if column not in rows]
    if problems:
        raise InputError(
            listed(path, problems, "somebody has changed it since `predict` wrote it: predict again, or copy it again")
        )
    return PredictedTable(path, rows, tuple(_target(name, kind, rows, said) for name, kind in names.items()), said)


def _kind_of(name: str, said: dict[str, Any]) -> str:
    """The kind of target that a column is the prediction of; "" for any other column."""
    words = str(said[name].get("Description", ""))
    if words == f"{_VALUE}{name}.":
        return "continuous"
    if words != f"{_CLASS}{name}.":
        return ""
    if f"{name}_level" in said:
        return "ordinal"
    return "binary" if len(said[name].get("Levels", ())) == 2 else "categorical"


def _columns_of(name: str, said: dict[str, Any]) -> list[str]:
    probabilities = [f"{name}_probability_{label}" for label in said[name].get("Levels", ())]
    return [name, *probabilities, *([f"{name}_level"] if f"{name}_level" in said else [])]


def _target(name: str, kind: str, rows: pd.DataFrame, said: dict[str, Any]) -> PredictedTarget:
    classes = tuple(str(label) for label in said[name].get("Levels", ()))
    probabilities = np.column_stack(
        [np.zeros((len(rows), 0)), *(numbers(rows, f"{name}_probability_{label}") for label in classes)]
    )
    place = {label: index for index, label in enumerate(classes)}
    predicted = {
        "continuous": lambda: numbers(rows, name),
        "binary": lambda: probabilities[:, 1],
        "categorical": lambda: rows[name].map(place).to_numpy(float),
        "ordinal": lambda: numbers(rows, f"{name}_level"),
    }[kind]()
    spreads = {words: numbers(rows, f"{name}_sd_{key}") for key, words in SPREADS.items() if f"{name}_sd_{key}" in rows}
    unit = str(said[name].get("Units", ""))
    return PredictedTarget(name, kind, classes, unit, predicted, probabilities, _observed(name, rows, place), spreads)


def _observed(name: str, rows: pd.DataFrame, place: dict[str, int]) -> np.ndarray | None:
    column = f"{name}_observed"
    if column in rows:
        return as_text(rows[column]).map(place).to_numpy(float) if place else numbers(rows, column)
    if name == AGE and GAP in rows and not place:
        # the gap is predicted less observed age
        return numbers(rows, AGE) - numbers(rows, GAP)
    return None
