"""Stages in a row: the demo, and a learning curve from Python in one call."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurotransfer.benchmark import Run, benchmark, parse_study, read_study
from neurotransfer.benchmark.setup import Progress, silent
from neurotransfer.benchmark.study import file_name
from neurotransfer.cohort.contract import Contract, Input
from neurotransfer.errors import InputError, listed
from neurotransfer.models.folder import SHIPPED, read_card
from neurotransfer.report import report
from neurotransfer.simulate import simulate
from neurotransfer.transfer import STRATEGIES

DEMO_PARTICIPANTS = {"pretraining": 240, "study": 160}
DEMO_SHAPE = (32, 38, 32)


def learning_curve(
    cohort: Path | str,
    target: str,
    *,
    out: Path | str,
    model: Path | str | None = None,
    sizes: Sequence[int] = (50, 100),
    replicates: int = 100,
    strategies: Sequence[str] | None = None,
    test: str = "fifth",
    workers: int = 1,
    seed: int = 0,
    study: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Run:
    """The learning curve of the strategies for one target of one cohort, with its page; resumable.

    Args:
        cohort: a table of scans or a BIDS folder, see `read_cohort`.
        target: the column to predict.
        out: the run folder; the page is `out/report.html`.
        model: the folder of a pretrained model; without one only the strategies that need none are run.
        sizes: numbers of training images.
        replicates: bootstrap samples a size.
        strategies: names of `STRATEGIES`; all that are possible when not given.
        test: `fifth` (n / 5 test images) or `rest` (all who remain).
        workers: processes; with more than one, call it below `if __name__ == "__main__":`.
        seed: of everything random.
        study: anything else that a study file may say, for example `{"training": {"epochs": 10}}`.
        progress: how progress is shown.

    Raises:
        InputError: when something of it cannot be used.

    Example:
        >>> run = learning_curve("cohort.tsv", "diagnosis", out="runs/diagnosis", model="models/multi")  # doctest: +SKIP
    """
    _check_call(cohort, target, model, study)
    taken = None if model is None else read_card(model).input
    if strategies is None:
        names = [name for name in STRATEGIES if _is_possible(name, model, taken, study)]
    else:
        names = [strategies] if isinstance(strategies, str) else list(strategies)
    values: dict[str, Any] = {
        "name": "learning_curve",
        "title": f"Learning curve of {target}",
        "seed": seed,
        "cohort": {"path": str(Path(cohort).absolute())},
        "tasks": {file_name(target): {"target": target, "label": target}},
        "strategies": [_part(name, model) for name in names],
        "protocol": {"sizes": np.asarray(sizes).tolist(), "replicates": replicates, "test": test},
    }
    if model is not None:
        values["models"] = {"model": {"path": str(model) if str(model) in SHIPPED else str(Path(model).absolute())}}
        values |= {} if taken is None else {"grid": _grid_part(taken)}
    run = benchmark(parse_study(_merged(values, study or {})), out, workers=workers, progress=progress)
    report(run.folder)
    return run


def _is_possible(name: str, model: object, taken: Input | None, study: Mapping[str, Any] | None) -> bool:
    if model is None and STRATEGIES[name].needs_model:
        return False
    # tissue is measured on a grid of ours; columns of regional volumes go with any volumes
    strategy = STRATEGIES[name]
    needs_columns = strategy.needs_columns or (strategy.encoder == "linear" and isinstance(taken, Contract))
    return not needs_columns or bool((study or {}).get("regional_columns"))


def _grid_part(taken: Input) -> dict[str, Any]:
    if isinstance(taken, Contract):
        return {"recipe": taken.recipe}
    return {"shape": list(taken.shape), "voxel_size_mm": taken.voxel_size_mm}


def _check_call(cohort: object, target: object, model: object, study: object) -> None:
    problems = [
        f"{name} is a path, got {type(value).__name__}: {advice}"
        for name, value, advice in (
            (
                "cohort",
                cohort,
                "give the path of the table or BIDS folder, what read_cohort takes beside it goes into study",
            ),
            ("model", model, "give the model folder or the name of a shipped model, sim-base"),
        )
        if not isinstance(value, Path | str) and (name != "model" or value is not None)
    ]
    if not isinstance(target, str):
        problems.append(
            f"target is one column, got {target!r}: make one learning curve a target, or a study with several tasks"
        )
    if study is not None and not isinstance(study, Mapping):
        problems.append(
            f"study is a dictionary of keys of a study file, got {study!r}: a whole file goes to benchmark()"
        )
    if problems:
        raise InputError(listed("the arguments of learning_curve", problems))


def _part(name: str, model: Path | str | None) -> dict[str, Any]:
    if model is None or name not in STRATEGIES or not STRATEGIES[name].takes_model:
        return {"strategy": name}
    # random weights take the architecture of the model: else a small model would be compared with a large network
    return {"strategy": name, "model": "model", **({} if STRATEGIES[name].needs_model else {"label": name})}


def _merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in more.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def shipped_study(name: str) -> Path:
    """The path of a study file that comes with the package, installed or in a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "studies", here.parents[1] / "studies"):
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    raise InputError(f"the study file {name}.toml is not part of this installation; install neurotransfer again")


def demo(out: Path | str, *, workers: int = 1, seed: int = 0, progress: Progress = silent) -> Path:
    """Simulate heads, pretrain a small network, run a small learning curve of all strategies; gives the page's path.

    What is there already is used again, so that an interrupted demo goes on.

    Raises:
        InputError: when `out` holds something else; StorageError when the disk is full.
    """
    folder = Path(out)
    for name, participants in DEMO_PARTICIPANTS.items():
        if not (folder / "data" / name / "truth.json").is_file():
            _simulate(folder / "data" / name, participants, seed, name, progress)
    study = read_study(shipped_study("demo")).model_copy(update={"seed": seed})
    run = benchmark(study, folder / "run", data=folder / "data", workers=workers, command="neurotransfer demo",
                    progress=progress)  # fmt: skip
    return report(run.folder)


def _simulate(folder: Path, participants: int, seed: int, name: str, progress: Progress) -> None:
    # the prefix makes them other people than those of the other cohort
    with progress(f"simulate heads for {name}", 0) as advance:
        simulate(folder, participants, shape=DEMO_SHAPE, seed=seed, prefix=name, on_scan=advance)
