"""How much of the linear model's signal the features of a model contain: its test predictions, regressed on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neurotransfer.benchmark.workspace import Workspace, prepared
from neurotransfer.diagnose.case import Case
from neurotransfer.errors import InputError
from neurotransfer.report.folder import RunFolder
from neurotransfer.report.prediction_tables import predictions_of, probabilities_of
from neurotransfer.seeding import stream
from neurotransfer.statistics.contained import share_contained
from neurotransfer.statistics.estimates import Estimate
from neurotransfer.transfer import get_strategy, make_source

LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class Contained:
    """How much of a linear model's signal features contain.

    Attributes:
        task: what was predicted.
        strategy: the linear model, whose test predictions at the largest size are the signal.
        model: whose features they are.
        n_people: who was tested.
        share: R² from the features of the model, in people whom the regression has not seen.
        own: the same from what the linear model itself sees: what can be had at most, since its fits differ by replicate.
    """

    task: str
    strategy: str
    model: str
    n_people: int
    share: Estimate
    own: Estimate


def model_features(workspace: Workspace, name: str, task: str) -> np.ndarray:
    """The features (n_rows, n_features) that a model of a run gives of every scan."""
    model = workspace.models[name]
    source = make_source(
        get_strategy("frozen"), model=model, grid=workspace.grid, target=workspace.targets[task], seed=0
    )
    return np.asarray(workspace.features(source, model), float)


def contained_of(run: RunFolder, cases: Sequence[Case], workspace: Workspace, untold: list[str]) -> Iterator[Contained]:
    """How much of every linear model's signal the features of every model of a run contain.

    Args:
        run: from `read_run`.
        cases: the curves that are looked at.
        workspace: of the run, with its volumes.
        untold: gets what cannot be told, and why.
    """
    linear = [case for case in cases if case.kind == "linear"]
    if not linear or not workspace.models or run.predictions is None:
        untold.append(
            "How much of the linear model's signal the frozen features contain: that takes a strategy linear, a pretrained model and "
            "the run's predictions."
        )
        return
    for case in linear:
        for name in workspace.models:
            try:
                yield _of_case(run, case, workspace, name)
            except InputError as error:
                untold.append(f"What {name} contains of {case.strategy} in {case.task.label}: {error}.")


def _of_case(run: RunFolder, case: Case, workspace: Workspace, name: str) -> Contained:
    assert run.predictions is not None
    rows = predictions_of(run.predictions, case.task, int(case.sizes[-1]), case.strategy)
    names, place = np.unique(rows["participant_id"].to_numpy(str), return_inverse=True)
    signal = _means(_signal(case, rows), place, len(names))
    people = workspace.cohort.participants
    kept = np.isin(people, names)
    whose = np.searchsorted(names, people[kept])
    seen = [
        model_features(workspace, name, case.task.name),
        np.asarray(prepared(workspace, case.strategy, case.task.name)[1], float),
    ]
    share, own = (
        share_contained(
            _means(values[kept], whose, len(names)), signal, alike=alike,
            generator=stream(0, "diagnose", "contained", case.task.name),
        )
        for values, alike in zip(seen, (True, False), strict=True)
    )  # fmt: skip
    return Contained(case.task.name, case.strategy, name, len(names), share, own)


def _means(values: np.ndarray, place: np.ndarray, n: int) -> np.ndarray:
    """Means (n, k) of the rows of every person."""
    sums = np.zeros((n, values.shape[1]))
    np.add.at(sums, place, values)
    return sums / np.bincount(place, minlength=n)[:, None]


def _signal(case: Case, rows: pd.DataFrame) -> np.ndarray:
    """Predictions as a linear model makes them: values, the log odds of two classes, log probabilities of more."""
    predicted = rows["predicted"].to_numpy(float)
    if case.task.kind == "binary":
        predicted = np.clip(predicted, LEAST_SHARE, 1 - LEAST_SHARE)
        return np.log(predicted / (1 - predicted))[:, None]
    if case.task.kind == "categorical":
        shares = probabilities_of(rows, case.task)
        if shares is None:
            raise InputError("the run kept no probabilities of its classes")
        logs = np.log(np.clip(shares, LEAST_SHARE, None))
        return np.asarray(logs - logs.mean(1, keepdims=True))
    return predicted[:, None]
