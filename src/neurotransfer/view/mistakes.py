"""How wrong the predictions of each scan are: one number a scan, task and strategy, never pooled across tasks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.errors import InputError, unknown
from neurotransfer.targets import KINDS
from neurotransfer.view.scans import HIGH, Number

NEEDED = ("task", "n", "strategy", "row", "observed", "predicted")
ALL = "all strategies and sizes"


@dataclass(frozen=True)
class Task:
    """What was predicted: its name and title, the kind of its target, classes in their order, and its unit."""

    name: str
    label: str
    kind: str
    classes: tuple[str, ...] = ()
    unit: str = ""

    @property
    def measure(self) -> str:
        """What its error is, with the unit."""
        if self.kind == "ordinal":
            return "mean absolute error (levels)"
        if self.kind != "continuous":
            return "probability of the wrong class"
        return f"mean absolute error{f' ({self.unit})' if self.unit else ''}"

    def words(self, observed: float, predicted: float) -> str:
        """What was observed and predicted on average."""
        if self.kind == "continuous":
            unit = f" {self.unit}" if self.unit else ""
            return f"observed {observed:.4g}{unit}, predicted {predicted:.4g}{unit}"
        label = self.classes[round(observed)] if 0 <= round(observed) < len(self.classes) else f"class {observed:g}"
        if self.kind == "binary" and len(self.classes) == 2:
            return f"observed {label}, probability of {self.classes[1]} {predicted:.3f}"
        return f"observed {label}" + (f", expected level {predicted:.3g}" if self.kind == "ordinal" else "")


def tasks_of(study: Mapping[str, Any]) -> dict[str, Task]:
    """The tasks that `study.json` of a run describes, by name.

    Raises:
        InputError: when the kind of a target is none that there is.
    """
    tasks = {}
    for name, part in study.get("tasks", {}).items():
        kind = part.get("kind")
        if kind not in KINDS:
            raise InputError(f"study.json, task {name!r}: {unknown('kind of target', kind, KINDS)}")
        tasks[name] = Task(
            name, part.get("label") or name, kind, tuple(part.get("classes") or ()), part.get("unit") or ""
        )
    return tasks


def wrongness(
    kind: str, observed: np.ndarray, predicted: np.ndarray, probabilities: Sequence[Sequence[float]] | None = None
) -> np.ndarray:
    """How wrong each prediction is, (n,): |predicted - observed| of a value or a level, else the probability of other classes.

    Args:
        kind: of the target.
        observed: (n,) values, or indices of classes.
        predicted: (n,) values; of a binary target the probability of the second class, of an ordinal one the expected level.
        probabilities: (n, K), of a categorical target.

    Example:
        >>> wrongness("binary", np.array([1.0, 0.0]), np.array([0.8, 0.1])).round(3).tolist()
        [0.2, 0.1]
        >>> wrongness("categorical", np.array([2.0]), np.array([0.0]), [[0.5, 0.3, 0.2]]).tolist()
        [0.8]
    """
    if kind != "categorical":
        return np.abs(predicted - observed)
    assert probabilities is not None, "a categorical target has probabilities"
    wrong = np.full(len(observed), np.nan)
    for place, (label, each) in enumerate(zip(observed, probabilities, strict=True)):
        if each is not None and np.isfinite(label) and 0 <= int(label) < len(each):
            wrong[place] = 1 - each[int(label)]
    return wrong


def mistakes(predictions: pd.DataFrame, tasks: Mapping[str, Task], n_scans: int) -> list[Number]:
    """The mean error of every scan over its test predictions: by task, and by task, strategy and size.

    Args:
        predictions: of a benchmark: a row a test prediction; `row` is the place of its scan in the cohort.
        tasks: by name; predictions of others are left out.
        n_scans: of the cohort.
    """
    numbers = []
    for name, task in tasks.items():
        rows = predictions[predictions["task"] == name]
        if len(rows):
            numbers += _of_task(rows, task, n_scans)
    return numbers


def _of_task(rows: pd.DataFrame, task: Task, n_scans: int) -> list[Number]:
    given = rows["probabilities"].tolist() if task.kind == "categorical" else None
    observed, predicted = rows["observed"].to_numpy(float), rows["predicted"].to_numpy(float)
    wrong = wrongness(task.kind, observed, predicted, given)
    values = np.c_[wrong, observed, predicted]
    scans = rows["row"].to_numpy(int)
    numbers = [_number(task, ALL, values, scans, n_scans)]
    for (strategy, n), places in rows.reset_index(drop=True).groupby(["strategy", "n"], sort=False).indices.items():
        numbers.append(_number(task, f"{strategy}, n = {n}", values[places], scans[places], n_scans))
    return numbers


def _number(task: Task, of: str, values: np.ndarray, scans: np.ndarray, n_scans: int) -> Number:
    known = np.isfinite(values).all(1) & (scans >= 0) & (scans < n_scans)
    values, scans = values[known], scans[known]
    counts = np.bincount(scans, minlength=n_scans)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.stack([np.bincount(scans, column, n_scans) / counts for column in values.T])
    label = f"{task.label}: {task.measure}, {of}"
    return Number(
        f"error {task.name} {of}", label, f"Error of {task.label}", means[0], HIGH, Words(task, means, counts)
    )


@dataclass(frozen=True, eq=False)
class Words(Sequence[str]):
    """What is said of each scan's error, put into words when it is asked for.

    Args:
        task: that was predicted.
        means: (3, n) of the error, what was observed and what was predicted.
        counts: (n,) of test predictions.
    """

    task: Task
    means: np.ndarray
    counts: np.ndarray

    @cached_property
    def _n(self) -> int:
        return self.means.shape[1]

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[str]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, place: Any) -> Any:
        """The words of one scan, empty where nothing is known of it."""
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        wrong, observed, predicted = self.means[:, place]
        if not np.isfinite(wrong):
            return ""
        count = int(self.counts[place])
        mean = f" (mean of {count} test predictions)" if count > 1 else ""
        return f"{wrong:.3g}; {self.task.words(observed, predicted)}{mean}"
