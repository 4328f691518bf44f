"""A run folder as the report reads it: the study, its results, and whatever else is there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neurotransfer.artifacts import MANIFEST, read_json
from neurotransfer.errors import InputError, listed, unknown
from neurotransfer.statistics import HEADLINE, SCORES
from neurotransfer.targets import KINDS

KEY = ("task", "n", "replicate", "strategy")
RESULT_COLUMNS = (*KEY, "selected", *(f"test_{name}" for name in SCORES), "epochs", "error")
PREDICTION_COLUMNS = (*KEY, "participant_id", "observed", "predicted", "subgroup")
COHORT_COLUMNS = ("participant_id",)


@dataclass(frozen=True)
class Task:
    """What was predicted: its name in the tables, its title, the target's kind, classes and unit, the score shown.

    `counted` says what the sizes count, images or participants.
    """

    name: str
    label: str
    kind: str
    classes: tuple[str, ...]
    unit: str
    score: str
    target: str
    published: tuple[str, ...] = ()
    counted: str = "images"


@dataclass(frozen=True)
class RunFolder:
    """What a run folder holds; `manifest` is None while a run is not complete, tables where there is no file.

    `cohort_notes` are what the run says of its cohort, whom it left out for example.
    """

    path: Path
    study: dict[str, Any]
    tasks: tuple[Task, ...]
    strategies: tuple[str, ...]
    results: pd.DataFrame
    manifest: dict[str, Any] | None
    predictions: pd.DataFrame | None
    cohort: pd.DataFrame | None
    cohort_notes: tuple[str, ...] = ()


def read_run(path: Path) -> RunFolder:
    """Read and check a run folder.

    Raises:
        InputError: when the folder or its results are not there, cannot be read, or lack columns.
    """
    if not path.is_dir():
        raise InputError(
            f"there is no run folder {str(path)!r}; run `neurotransfer benchmark STUDY --out {path}` first"
        )
    if not (path / "results.parquet").is_file():
        raise InputError(f"no results in {path}: run `neurotransfer benchmark STUDY --out {path}` first")
    study = read_json(path / "study.json")
    tasks = _tasks(study, path)
    results = _results(path / "results.parquet", tasks)
    return RunFolder(
        path=path,
        study=study,
        tasks=tuple(task for task in tasks if (results["task"] == task.name).any()),
        strategies=_strategies(study, results),
        results=results,
        manifest=read_json(path / MANIFEST) if (path / MANIFEST).is_file() else None,
        predictions=_optional(path / "predictions.parquet", PREDICTION_COLUMNS),
        cohort=_optional(path / "cohort.parquet", COHORT_COLUMNS),
        cohort_notes=_cohort_notes(path / "cohort.json"),
    )


def _cohort_notes(path: Path) -> tuple[str, ...]:
    found = read_json(path) if path.is_file() else {}
    return tuple(map(str, found.get("notes", []))) if isinstance(found, dict) else ()


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} cannot be read as Parquet ({error}); run the benchmark again") from error
    absent = [name for name in columns if name not in table]
    if absent:
        raise InputError(
            f"{str(path)!r} has no column {', '.join(map(repr, absent))}; found: {', '.join(map(str, table.columns))}; "
            "run the benchmark again to write it"
        )
    return table


def _optional(path: Path, columns: tuple[str, ...]) -> pd.DataFrame | None:
    return _table(path, columns) if path.is_file() else None


def _results(path: Path, tasks: list[Task]) -> pd.DataFrame:
    results = _table(path, RESULT_COLUMNS)
    if not len(results):
        raise InputError(f"{str(path)!r} has no rows; run `neurotransfer benchmark` again to fill it")
    results = results.assign(selected=results["selected"].astype(bool))
    names = [task.name for task in tasks]
    for task in results["task"].unique():
        if task not in names:
            raise InputError(
                f"{str(path)!r}: {unknown('task', task, names)}; study.json and the table must belong together"
            )
    twice = results[results["selected"]].duplicated(list(KEY))
    if twice.any():
        rows = results[results["selected"]][twice][list(KEY)].astype(str).agg(", ".join, axis=1)
        problems = [f"{', '.join(KEY)} = {row}: two selected fits" for row in rows]
        raise InputError(listed(path, problems, "one fit is selected in each; run the benchmark again", most=5))
    return results


def _strategies(study: dict[str, Any], results: pd.DataFrame) -> tuple[str, ...]:
    planned = [strategy["label"] for strategy in study.get("strategies", [])]
    found = list(dict.fromkeys(results["strategy"]))
    return tuple([name for name in planned if name in found] + [name for name in found if name not in planned])


def _tasks(study: Any, path: Path) -> list[Task]:
    if not isinstance(study, dict) or not isinstance(study.get("tasks"), dict):
        raise InputError(f"{str(path / 'study.json')!r} has no tasks; it is not the study file of a benchmark run")
    counted = study.get("protocol", {}).get("count", "images")
    return [_task(name, values, counted) for name, values in study["tasks"].items()]


def _task(name: str, values: dict[str, Any], counted: str) -> Task:
    kind = values.get("kind")
    if kind not in HEADLINE:
        raise InputError(f"study.json, task {name!r}: {unknown('kind of target', kind, KINDS)}")
    score = values.get("score") or HEADLINE[kind]
    if score not in SCORES:
        raise InputError(f"study.json, task {name!r}: {unknown('score', score, SCORES)}")
    return Task(
        name=name,
        label=values.get("label") or name,
        kind=kind,
        classes=tuple(values.get("classes") or ()),
        unit=values.get("unit") or "",
        score=score,
        target=values.get("target") or name,
        published=tuple(values.get("published") or ()),
        counted=counted,
    )
