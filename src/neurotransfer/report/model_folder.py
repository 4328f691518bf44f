"""A model folder as the report reads it, without a network: its card, and the record of how it was trained where there is one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neurotransfer.artifacts import is_file, read_json
from neurotransfer.cohort.contract import Input, input_from_dict
from neurotransfer.errors import InputError
from neurotransfer.report.rows import numbers, read_rows
from neurotransfer.targets import Target

CARD, WEIGHTS, REFERENCE = "model.json", "weights.safetensors", "reference.safetensors"
HISTORY, RECORD = "training.tsv", "training.json"
_NEEDED = ("name", "architecture", "targets", "provenance")


@dataclass(frozen=True, eq=False)
class ModelFolder:
    """What a model folder says of itself.

    Args:
        path: of the folder.
        card: of `model.json`, as plain values.
        targets: one a head.
        input: what it takes; None for columns of a table.
        history: a row an epoch of `training.tsv`, numbers; None where there is none.
        record: of `training.json`: how good it is on those who chose its epoch; empty where there is none.
    """

    path: Path
    card: dict[str, Any]
    targets: tuple[Target, ...]
    input: Input | None
    history: pd.DataFrame | None
    record: dict[str, Any]

    @property
    def provenance(self) -> dict[str, Any]:
        """Cohorts, seed, scores, versions."""
        found = self.card["provenance"]
        return found if isinstance(found, dict) else {}

    @property
    def judged(self) -> dict[str, dict[str, Any]]:
        """What the record has of every target that has scores."""
        found = self.record.get("Targets", {})
        return {name: each for name, each in found.items() if isinstance(each, dict) and each.get("Scores")}

    @property
    def has_reference(self) -> bool:
        """Whether it knows what the scans were like that it learnt from."""
        return is_file(self.path / REFERENCE)


def is_model(path: Path) -> bool:
    """Whether a path is the folder of a model."""
    return is_file(path / CARD)


def read_model(path: Path) -> ModelFolder:
    """Read and check what a model folder says of itself; its weights are not loaded.

    Raises:
        InputError: when the card or the record of the training cannot be read or cannot be.
    """
    card = read_json(path / CARD)
    if not isinstance(card, dict) or any(key not in card for key in _NEEDED):
        raise InputError(
            f"{str(path / CARD)!r} is not a model card ({', '.join(_NEEDED)} are needed); it may be damaged: copy the folder again"
        )
    try:
        targets = tuple(Target.from_dict(values) for values in card["targets"])
        # the first format of cards had a grid only
        taken = card.get("input", card.get("grid"))
        read = None if taken is None else input_from_dict(taken)
    except (InputError, TypeError, AttributeError, LookupError, ValueError) as error:
        raise InputError(
            f"{str(path / CARD)!r} is no valid model card: {error}; `neurotransfer models check {path}` says more"
        ) from None
    record = read_json(path / RECORD) if is_file(path / RECORD) else {}
    return ModelFolder(path, card, targets, read, _history(path), record if isinstance(record, dict) else {})


def _history(path: Path) -> pd.DataFrame | None:
    if not is_file(path / HISTORY):
        return None
    rows = read_rows(path / HISTORY, ("epoch", "train_loss"), f"copy the model folder again, or remove {HISTORY}")
    return pd.DataFrame({name: numbers(rows, name) for name in rows}) if len(rows) else None
