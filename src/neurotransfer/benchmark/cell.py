"""One cell: fit every setting of a strategy on one split, choose on validation, score the chosen one on test."""

import json
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from neurotransfer.artifacts import write_json
from neurotransfer.benchmark.plan import Cell, split_of, task_labels
from neurotransfer.benchmark.workspace import Workspace, prepared
from neurotransfer.cohort import Split
from neurotransfer.errors import StorageError, is_no_memory
from neurotransfer.seeding import integer_seed
from neurotransfer.statistics.metrics import SCORES, scores
from neurotransfer.targets import Target, as_text
from neurotransfer.transfer import Fitted, best_of, fit_settings, get_strategy, predict_rows, settings

NO_SCORES = dict.fromkeys(SCORES, float("nan"))


def run_cell(workspace: Workspace, cell: Cell) -> None:
    """Do a cell and write its result, whole or not at all; a cell that is done already is left alone.

    A setting whose fit fails is recorded with its error and does not stop the rest.
    """
    path = cell_path(workspace.folder, cell)
    if not path.is_file():
        write_json(path, fit_cell(workspace, cell))


def cell_path(folder: Path, cell: Cell) -> Path:
    """The file of a cell's result in a run folder."""
    return folder / "cells" / cell.path


def fit_cell(workspace: Workspace, cell: Cell) -> dict[str, list[dict[str, Any]]]:
    """The rows of a cell: `fits`, one a setting, and `predictions`, one a test image."""
    target = workspace.targets[cell.task]
    labels = labels_of(workspace, cell.task)
    split = split_of(workspace.study, workspace.cohort, cell.task, target, cell.n, cell.replicate, labels)
    part = workspace.part(cell.strategy)
    tried = settings(get_strategy(part.strategy), part.grid)
    rows, best = _fit_all(workspace, cell, target, labels, split, tried)
    chosen = best_of(target.kind, [row["validation"] for row in rows])
    predictions: list[dict[str, Any]] = []
    test_scores = NO_SCORES
    if best is not None:
        test_scores, predictions = _test(workspace, cell, target, labels, split, best)
    n_people = len(set(workspace.cohort.participants[split.train]))
    fits = [
        _fit_row(cell, index, row, index == chosen, test_scores if index == chosen else NO_SCORES, split, n_people)
        for index, row in enumerate(rows)
    ]
    return {"fits": fits, "predictions": predictions}


@lru_cache(maxsize=64)
def labels_of(workspace: Workspace, task: str) -> np.ndarray:
    """The labels of a task, (n_rows,), read once in a process."""
    return task_labels(workspace.study, workspace.cohort, task, workspace.targets[task])


def _fit_all(
    workspace: Workspace, cell: Cell, target: Target, labels: np.ndarray, split: Split, tried: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], tuple[Fitted, np.ndarray] | None]:
    started = time.perf_counter()
    rows: list[dict[str, Any]] = []
    best = None
    for setting, (outcome, inputs) in zip(tried, _outcomes(workspace, cell, target, labels, split, tried), strict=True):
        row = {"setting": setting, "validation": NO_SCORES, "epochs": 0, "best_epoch": 0, "loss": np.nan, "error": None}
        rows.append(row)
        try:
            if isinstance(outcome, Exception):
                raise outcome
            if outcome.notes:
                # fits of one comparison must not differ in what batch norm saw
                raise MemoryError(f"{'; '.join(outcome.notes)}: give [training] a smaller batch_size or a micro_batch")
            predicted, probabilities = predict_rows(outcome, inputs, split.validation)
            row["validation"] = scores(target.kind, labels[split.validation], predicted, probabilities)
            row |= {"epochs": outcome.epochs, "best_epoch": outcome.best_epoch, "loss": outcome.validation_loss}
            if best_of(target.kind, [other["validation"] for other in rows]) == len(rows) - 1:
                best = (outcome, inputs)
        except (StorageError, OSError, MemoryError):
            # of the machine and not of the fit: another time it may go well
            raise
        except Exception as error:
            if is_no_memory(error):
                raise MemoryError(str(error)) from None
            row["error"] = f"{type(error).__name__}: {error}"
    # settings are solved together: each one's share of the time
    seconds = (time.perf_counter() - started) / len(rows)
    return [row | {"seconds": seconds} for row in rows], best


def _outcomes(
    workspace: Workspace, cell: Cell, target: Target, labels: np.ndarray, split: Split, tried: list[dict[str, Any]]
) -> Iterator[tuple[Fitted | Exception, np.ndarray]]:
    recipe = workspace.study.training.recipe
    seed = integer_seed(workspace.study.seed, "fit", cell.task, cell.n, cell.replicate, cell.strategy)
    try:
        source, inputs = prepared(workspace, cell.strategy, cell.task)
    except Exception as error:
        yield from [(error, np.zeros(0))] * len(tried)
        return
    for outcome in fit_settings(source, inputs, target, labels, split, tried, recipe, seed):
        yield outcome, inputs


def _test(
    workspace: Workspace, cell: Cell, target: Target, labels: np.ndarray, split: Split, best: tuple[Fitted, np.ndarray]
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    predicted, probabilities = predict_rows(*best, split.test)
    found = scores(target.kind, labels[split.test], predicted, probabilities)
    table, subgroup = workspace.cohort.table, workspace.study.subgroup
    people, sessions = (table[name].iloc[split.test] for name in ("participant_id", "session_id"))
    groups = [None] * len(people) if subgroup is None else as_text(table[subgroup].iloc[split.test]).tolist()
    columns = (people, sessions, split.test, labels[split.test], predicted, probabilities, groups)
    rows = [
        {
            **_key(cell),
            "participant_id": person,
            "session_id": session,
            "row": int(row),
            "observed": float(label),
            "predicted": float(value),
            "probabilities": [float(share) for share in shares] or None,
            "subgroup": group,
        }
        for person, session, row, label, value, shares, group in zip(*columns, strict=True)
    ]
    return found, rows


def _key(cell: Cell) -> dict[str, Any]:
    return {"task": cell.task, "n": cell.n, "replicate": cell.replicate, "strategy": cell.strategy}


def _fit_row(
    cell: Cell,
    index: int,
    row: Mapping[str, Any],
    selected: bool,
    test_scores: Mapping[str, float],
    split: Split,
    n_people: int,
) -> dict[str, Any]:
    return {
        **_key(cell),
        "setting_index": index,
        "setting": json.dumps(row["setting"]),
        "selected": selected,
        **{f"validation_{name}": row["validation"][name] for name in SCORES},
        **{f"test_{name}": test_scores[name] for name in SCORES},
        "validation_loss": row["loss"],
        "epochs": row["epochs"],
        "best_epoch": row["best_epoch"],
        "seconds": row["seconds"],
        "n_train_images": len(split.train),
        "n_train_participants": n_people,
        "n_validation_images": len(split.validation),
        "n_test_images": len(split.test),
        "error": row["error"],
    }
