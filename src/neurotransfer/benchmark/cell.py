"""One cell: fit every setting of a strategy on one split, choose on validation, score the chosen one on test."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from neurotransfer.benchmark.harmonised import harmonised
from neurotransfer.benchmark.plan import Cell, learnt_labels, split_of, task_labels
from neurotransfer.benchmark.records import TEST, TRAIN, VALIDATION, Columns, cell_path, keep
from neurotransfer.benchmark.workspace import Workspace, prepared
from neurotransfer.cohort import Split, effective_participants
from neurotransfer.errors import raise_of_the_machine
from neurotransfer.seeding import integer_seed
from neurotransfer.statistics.metrics import SCORES, scores
from neurotransfer.targets import Target
from neurotransfer.transfer import Fitted, Source, best_of, get_strategy, predict_rows, settings
from neurotransfer.transfer.search import Trial, search

NO_SCORES = dict.fromkeys(SCORES, float("nan"))


def run_cell(workspace: Workspace, cell: Cell, again: bool = False) -> None:
    """Do a cell and write its result, whole or not at all; a cell that is done already is left alone.

    A setting whose fit fails is recorded with its error and does not stop the rest. `again` does a cell that is there.
    """
    if again or not cell_path(workspace.folder, cell).is_file():
        found = fit_cell(workspace, cell)
        keep(workspace.folder, cell, found["fits"], found["predictions"])


def fit_cell(workspace: Workspace, cell: Cell, given: tuple[Source, np.ndarray] | None = None) -> dict[str, Columns]:
    """The columns of a cell: `fits`, a value a setting, and `predictions`, a value a row that was predicted.

    `given` are source and inputs in place of the workspace's own.
    """
    started = time.perf_counter()
    part, work = workspace.part(cell.strategy), _Work.of(workspace, cell)
    rows, found = _try_all(work, settings(get_strategy(part.strategy), part.grid), given)
    # settings are solved together: each one's share of the time
    seconds = (time.perf_counter() - started) / len(rows)
    found["selected"] = [rows[index]["selected"] for index in found["setting_index"]]
    return {"fits": _columns(work, rows, seconds), "predictions": found}


@dataclass(frozen=True, eq=False)
class Again:
    """A setting of a cell that was fitted once more.

    Attributes:
        source: where it began.
        fitted: the fit.
        split: on whom.
        test: its scores on the test rows.
    """

    source: Source
    fitted: Fitted
    split: Split
    test: dict[str, float]


def fit_again(workspace: Workspace, cell: Cell, setting: Mapping[str, Any]) -> Again:
    """The fit of one setting of a cell once more, by the same seed on the same split, up to rounding the one that the run had.

    Raises:
        Exception: the error of the fit.
    """
    work = _Work.of(workspace, cell)
    source, inputs = prepared(workspace, cell.strategy, cell.task)
    inputs = harmonised(workspace.study, workspace.cohort, source, inputs, work.split)
    (trial,) = search(
        source, inputs, work.target, work.labels, work.split, [setting], workspace.study.training.recipe, work.seed,
        people=workspace.cohort.people.codes,
    )  # fmt: skip
    fitted, test = trial.final(), work.split.test
    return Again(source, fitted, work.split, work.scores(work.observed, test, *predict_rows(fitted, inputs, test)))


@dataclass(frozen=True)
class _Work:
    """What the fits of a cell share; `labels` are what is learnt and chosen by, `observed` the true ones of the test."""

    workspace: Workspace
    cell: Cell
    target: Target
    labels: np.ndarray
    observed: np.ndarray
    split: Split

    @classmethod
    def of(cls, workspace: Workspace, cell: Cell) -> "_Work":
        study, cohort, target = workspace.study, workspace.cohort, workspace.targets[cell.task]
        observed = labels_of(workspace, cell.task)
        split = split_of(study, cohort, cell.task, target, cell.n, cell.replicate, observed)
        return cls(workspace, cell, target, learnt_labels(study, cohort, cell.task, target, observed), observed, split)

    @property
    def keeps_all(self) -> bool:
        return self.workspace.study.protocol.keep == "all"

    @property
    def seed(self) -> int:
        cell = self.cell
        return integer_seed(self.workspace.study.seed_of_fits, "fit", cell.task, cell.n, cell.replicate, cell.strategy)

    def scores(
        self, labels: np.ndarray, rows: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray
    ) -> dict[str, float]:
        return scores(self.target.kind, labels[rows], predicted, probabilities)


@lru_cache(maxsize=64)
def labels_of(workspace: Workspace, task: str) -> np.ndarray:
    """The labels of a task, (n_rows,), read once in a process."""
    return task_labels(workspace.study, workspace.cohort, task, workspace.targets[task])


def _try_all(
    work: _Work, tried: Sequence[dict[str, Any]], given: tuple[Source, np.ndarray] | None
) -> tuple[list[dict[str, Any]], Columns]:
    """A row a setting, and the predictions that are kept."""
    study, cell = work.workspace.study, work.cell
    rows, found = [_row(setting) for setting in tried], _no_predictions()
    try:
        source, inputs = given or prepared(work.workspace, cell.strategy, cell.task)
        inputs = harmonised(study, work.workspace.cohort, source, inputs, work.split)
    except Exception as error:
        raise_of_the_machine(error)
        return [row | {"error": _text(error)} for row in rows], found
    trials = search(
        source, inputs, work.target, work.labels, work.split, tried, study.training.recipe, work.seed,
        halving=study.protocol.search == "halving", people=work.workspace.cohort.people.codes,
    )  # fmt: skip
    best: tuple[int, Trial, Fitted | None] | None = None
    for index, (row, trial) in enumerate(zip(rows, trials, strict=True)):
        _record(work, row, trial)
        is_best, fitted = _best(work, rows[: index + 1]) == index, None
        if work.keeps_all and trial.error is None:
            _add(found, index, VALIDATION, trial.validation_rows, trial.predicted, trial.probabilities)
            fitted = _test(work, row, index, trial, inputs, found)
        if is_best:
            best = (index, trial, fitted)
    if best is not None:
        index, trial, fitted = best
        if not work.keeps_all:
            fitted = _test(work, rows[index], index, trial, inputs, found)
        rows[index]["selected"] = rows[index]["error"] is None
        if fitted is not None:
            # each row once, however often it was drawn
            trained = np.unique(work.split.train)
            rows[index]["train"] = work.scores(work.labels, trained, *predict_rows(fitted, inputs, trained))
    return rows, found


def _record(work: _Work, row: dict[str, Any], trial: Trial) -> None:
    if trial.error is not None:
        row["error"] = _text(trial.error)
        return
    row |= {"loss": trial.loss, "epochs": trial.epochs, "best_epoch": trial.best_epoch, "dropped": trial.dropped}
    row["validation"] = work.scores(work.labels, trial.validation_rows, trial.predicted, trial.probabilities)


def _row(setting: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "setting": setting, "selected": False, "validation": NO_SCORES, "test": NO_SCORES, "train": NO_SCORES, "epochs": 0,
        "best_epoch": 0, "loss": np.nan, "dropped": False, "blend": None, "error": None,
    }  # fmt: skip


def _best(work: _Work, rows: Sequence[Mapping[str, Any]]) -> int:
    return best_of(
        work.target.kind,
        [row["validation"] for row in rows],
        by=work.workspace.study.protocol.choose,
        losses=[row["loss"] for row in rows],
    )


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _test(
    work: _Work, row: dict[str, Any], index: int, trial: Trial, inputs: np.ndarray, found: Columns
) -> Fitted | None:
    """The fit that was tested; None where it failed."""
    test = work.split.test
    try:
        fitted = trial.final()
        predicted, probabilities = predict_rows(fitted, inputs, test)
    except Exception as error:
        raise_of_the_machine(error)
        row["error"] = _text(error)
        return None
    row["blend"] = fitted.blend and json.dumps(fitted.blend)
    row["test"] = work.scores(work.observed, test, predicted, probabilities)
    _add(found, index, TEST, test, predicted, probabilities)
    return fitted


def _no_predictions() -> Columns:
    return {name: [] for name in ("setting_index", "part", "row", "predicted", "probabilities")}


def _add(
    found: Columns, index: int, part: str, rows: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray
) -> None:
    size = len(rows)
    found["setting_index"] += [index] * size
    found["part"] += [part] * size
    found["row"] += [int(row) for row in rows]
    found["predicted"] += [float(value) for value in predicted]
    found["probabilities"] += [[float(share) for share in shares] or None for shares in probabilities]


def _columns(work: _Work, rows: Sequence[Mapping[str, Any]], seconds: float) -> Columns:
    split, people = work.split, work.workspace.cohort.participants[work.split.train]
    same = {
        "seconds": seconds,
        "n_train_images": len(split.train),
        "n_train_participants": len(set(people)),
        "n_effective_participants": effective_participants(people),
        "n_validation_images": len(split.validation),
        "n_test_images": len(split.test),
        "entered": "+".join(split.entered),
    }
    columns: Columns = {
        "setting_index": list(range(len(rows))),
        "setting": [json.dumps(row["setting"]) for row in rows],
        "validation_loss": [float(row["loss"]) for row in rows],
        **{
            name: [row[name] for row in rows]
            for name in ("selected", "epochs", "best_epoch", "dropped", "blend", "error")
        },
        **{name: [value] * len(rows) for name, value in same.items()},
    }
    for part in (VALIDATION, TEST, TRAIN):
        # with every setting tested, the table still scores the chosen one alone: nobody chooses on test by mistake
        shown = [row[part] if part == VALIDATION or row["selected"] else NO_SCORES for row in rows]
        columns |= {f"{part}_{name}": [float(values[name]) for values in shown] for name in SCORES}
    return columns
