"""Run the studies of a sweep in folders below a run, and read the errors of all that was fitted."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neurotransfer.artifacts import read_json
from neurotransfer.benchmark import benchmark
from neurotransfer.benchmark.forecast import Forecast
from neurotransfer.benchmark.run import unheard
from neurotransfer.benchmark.setup import Progress, silent
from neurotransfer.benchmark.study import Study
from neurotransfer.benchmark.variants import title_of
from neurotransfer.diagnose.sweep import ARMS, MOST_REPLICATES, studies_of, swept
from neurotransfer.diagnose.trials import FOLDER, Asked, read_experiment, require_same_people, study_of
from neurotransfer.errors import InputError, StudyError
from neurotransfer.report.folder import Task
from neurotransfer.statistics import SCORES

SWEEP = "sweep"
# by kind of target the score that an error is made of, and what the error is called
ERRORS: dict[str, tuple[str, str]] = {
    "binary": ("balanced_accuracy", "error (1 − balanced accuracy)"),
    "categorical": ("balanced_accuracy", "error (1 − balanced accuracy)"),
    "continuous": ("rae", "relative absolute error"),
    "ordinal": ("rae", "relative absolute error"),
}
COLUMNS = ["task", "strategy", "noise", "arm", "width", "epochs", "n", "replicate", "train", "test"]


def studies_asked(run: Path, asked: Asked) -> dict[Path, dict[str, Any]]:
    """The studies of the sweep that is asked for, as values by the folders that they are run in.

    Raises:
        InputError: when the run has nothing to sweep, or a value cannot be.
    """
    assert asked.sweep is not None
    study = study_of(run, asked)
    replicates = min(study["protocol"]["replicates"], asked.replicates or MOST_REPLICATES)
    study = {**study, "protocol": {**study["protocol"], "replicates": replicates}}
    return {
        run / FOLDER / SWEEP / title_of(part) / name: values
        for part in swept(study, bool(asked.strategies))
        for name, values in studies_of(study, part, asked.sweep).items()
    }


def forecast_sweep(run: Path, asked: Asked, progress: Progress = silent) -> dict[str, Forecast]:
    """What every study of the sweep will take, from a trial of a few seconds each."""
    found = {}
    for folder, values in studies_asked(run, asked).items():
        planned = benchmark(
            Study.model_validate(values), folder, data=asked.data or Path(), workers=asked.workers, dry_run=True,
            measure=True, progress=progress,
        )  # fmt: skip
        assert planned.forecast is not None
        found[str(folder.relative_to(run / FOLDER))] = planned.forecast
    return found


def run_sweep(run: Path, asked: Asked, progress: Progress = silent, tell: Callable[[str], object] = unheard) -> None:
    """Run the studies of the sweep that is asked for, each where it was interrupted; those that are done are not done again.

    Raises:
        InputError: when there is nothing to sweep, the cohort has changed, or a sweep with other values lies there.
    """
    for folder, values in studies_asked(run, asked).items():
        tell(f"{folder.relative_to(run / FOLDER)}: {len(values['strategies'])} entries")
        try:
            study = Study.model_validate(values)
        except ValueError as error:
            raise InputError(f"the sweep is no study: {error}") from None
        try:
            benchmark(study, folder, data=asked.data or Path(), workers=asked.workers, progress=progress, tell=tell)
        except StudyError as error:
            raise InputError(
                f"{error}. A sweep is kept: ask for the same values again, or remove {str(folder.parent)!r} to sweep anew"
            ) from None
        require_same_people(run, folder)


def read_sweeps(run: Path, tasks: Sequence[Task]) -> pd.DataFrame:
    """The errors of every finished sweep below a run, a row a fit with COLUMNS; no rows where there is none.

    Args:
        run: the folder.
        tasks: of the run; `train` and `test` are errors of their kind, see ERRORS. Training people are held against the labels that
            were learnt from, wrong ones included, test people against the true ones.
    """
    kinds = {task.name: task.kind for task in tasks}
    parts = [_errors(folder, kinds) for folder in _finished(run)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def _finished(run: Path) -> Iterator[Path]:
    for path in sorted((run / FOLDER / SWEEP).glob("*/*/manifest.json")):
        if (path.parent / "results.parquet").is_file():
            yield path.parent


def _errors(folder: Path, kinds: Mapping[str, str]) -> pd.DataFrame:
    study, fits = read_json(folder / "study.json")["study"], read_experiment(folder)
    fits = fits[fits["selected"] & fits["task"].isin(list(kinds))].reset_index(drop=True)
    settings = [json.loads(text) for text in fits["setting"]]
    own_width = float(study["network"]["width"]) if "-width-" in folder.name else 0.0
    found = {
        "task": fits["task"],
        "strategy": folder.parent.name,
        "noise": float(study["protocol"]["label_noise"]),
        "arm": [arm_of(setting) for setting in settings],
        # 0: there is no width that is varied, or nothing is trained by epochs
        "width": [float(setting.get("width", own_width)) for setting in settings],
        "epochs": [int(setting.get("epochs", 0)) for setting in settings],
        "n": fits["n"].astype(int),
        "replicate": fits["replicate"].astype(int),
    }
    scores = [ERRORS[kinds[task]][0] for task in fits["task"]]
    for part in ("train", "test"):
        found[part] = [error_of(name, float(fits.at[row, f"{part}_{name}"])) for row, name in enumerate(scores)]
    return pd.DataFrame(found, columns=COLUMNS)


def arm_of(setting: Mapping[str, float]) -> str:
    """The arm that a setting of a sweep belongs to.

    Example:
        >>> arm_of({"lr": 0.1, "early_stopping": 0, "weight_decay": 1.0}), arm_of({"penalty": 1e-9})
        ('weight decay', 'plain')
    """
    return next(
        arm
        for arm, choices in ARMS.items()
        if any(own and all(setting.get(name) == value for name, value in own.items()) for own in choices)
    )


def error_of(score: str, value: float) -> float:
    """A score as an error, of which less is better.

    Example:
        >>> error_of("balanced_accuracy", 0.75), error_of("rae", 0.5)
        (0.25, 0.5)
    """
    return 1 - value if SCORES[score].higher_is_better else value
