"""Run experiments: the study of a run again, one choice changed, in folders below it; every one goes on where it was interrupted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neurotransfer.artifacts import is_folder, read_json
from neurotransfer.benchmark import benchmark
from neurotransfer.benchmark.forecast import Forecast
from neurotransfer.benchmark.plan import drawable_sizes
from neurotransfer.benchmark.run import unheard
from neurotransfer.benchmark.setup import Progress, silent
from neurotransfer.benchmark.study import Study
from neurotransfer.benchmark.variants import changed
from neurotransfer.benchmark.workspace import COHORT, COHORT_FACTS, kept_cohort
from neurotransfer.diagnose.experiments import EXPERIMENTS, as_values, kinds_of, possible, within
from neurotransfer.diagnose.sites import ANY_SITES, Sites, site_words, sites_of
from neurotransfer.diagnose.sweep import Sweep
from neurotransfer.errors import InputError, listed, unknown

FOLDER = "diagnosis"


@dataclass(frozen=True)
class Asked:
    """How experiments are done.

    Attributes:
        names: of experiments; empty for none.
        strategies: labels, that are looked at; empty for all.
        sites: the column of sites, empty where there is none.
        data: the folder that paths of the study are relative to.
        workers: processes.
        replicates: at most so many of the run's; 0 for all, and for ten in a sweep.
        sweep: what a sweep varies; None for no sweep.
    """

    names: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    sites: str = ""
    data: Path | None = None
    workers: int = 1
    replicates: int = 0
    sweep: Sweep | None = None


def study_of(run: Path, asked: Asked) -> dict[str, Any]:
    """The study of a run as values: the strategies and replicates that are looked at, its models where they lie now.

    Raises:
        InputError: when this version cannot read the study.
    """
    values = as_values(read_json(run / "study.json").get("study"))
    if values is None:
        raise InputError(
            f"the study of {str(run)!r} cannot be read by this version, so that it cannot be run again with a choice changed; run "
            "the benchmark into another folder first"
        )
    labels = list(kinds_of(values))
    kept = [
        part for part, label in zip(values["strategies"], labels, strict=True) if label in (asked.strategies or labels)
    ]
    replicates = values["protocol"]["replicates"]
    used = {part["model"] for part in kept if part.get("model")}
    return {
        **values,
        "strategies": kept,
        "models": {name: _where(run, name, part) for name, part in values["models"].items() if name in used},
        "protocol": {**values["protocol"], "replicates": min(asked.replicates or replicates, replicates)},
    }


def _where(run: Path, name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """A model of the study by its path: one that the run has pretrained is not pretrained again."""
    if part.get("path") is None:
        return {"path": str((run / "models" / name).resolve())}
    path = Path(part["path"])
    return {"path": str(path.resolve()) if is_folder(path) else part["path"]}


def experiments_of(run: Path, asked: Asked) -> dict[str, dict[str, Any]]:
    """The experiments that were asked for, as studies: values by name.

    Sizes for which an experiment has too few people (of one site, say) are left out of it.

    Raises:
        InputError: for a name that is none, or an experiment that the study has nothing to change for or too few people.
    """
    study = study_of(run, asked)
    allowed = possible(study, sites_of_run(run, asked.sites))
    problems = [unknown("experiment", name, EXPERIMENTS) for name in asked.names if name not in EXPERIMENTS]
    problems += [
        f"experiment {name!r} has nothing to change in this study{_needs(name, study, asked)}"
        for name in asked.names
        if name in EXPERIMENTS and name not in allowed
    ]
    if problems:
        raise InputError(listed(str(run), problems, f"possible are {', '.join(allowed)}"))
    return {name: _with_drawable_sizes(_varied(study, name, allowed[name]), run, name) for name in asked.names}


def sites_of_run(run: Path, column: str) -> Sites:
    """The sites of a run by a column; without one, none.

    Raises:
        InputError: when the run has no such column.
    """
    path = run / COHORT
    tasks = as_tasks(read_json(run / "study.json"))
    return sites_of(pd.read_parquet(path) if column and path.is_file() else None, column, tasks)


def as_tasks(facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The tasks of a run as `study.json` has them, each with the rows that it takes (`where`)."""
    given = (facts.get("study") or {}).get("tasks", {})
    return {name: {**task, "where": given.get(name, {}).get("where", {})} for name, task in facts["tasks"].items()}


def _with_drawable_sizes(values: dict[str, Any], run: Path, name: str) -> dict[str, Any]:
    if not (run / COHORT).is_file():
        return values
    sizes = drawable_sizes(_study(values), kept_cohort(run))
    if not sizes:
        raise InputError(
            f"experiment {name!r} has too few people for every size of the run, the smallest of which is n = "
            f"{values['protocol']['sizes'][0]}; leave it out, or run the benchmark with smaller sizes"
        )
    return {**values, "protocol": {**values["protocol"], "sizes": list(sizes)}}


def _needs(name: str, study: Mapping[str, Any], asked: Asked) -> str:
    return " (give --sites the column of sites)" if not asked.sites and name in possible(study, ANY_SITES) else ""


def _varied(study: Mapping[str, Any], name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    touched = within(study, EXPERIMENTS[name])
    kept = [part for part, label in zip(study["strategies"], kinds_of(study), strict=True) if label in touched]
    own = {key: value for key, value in changes.items() if not key.startswith("strategies.")}
    of_strategies = {key: value for key, value in changes.items() if key not in own}
    varied: dict[str, Any] = changed({**study, "strategies": kept}, {**of_strategies, **own})
    return varied


def forecast_of(run: Path, asked: Asked, progress: Progress = silent) -> dict[str, Forecast]:
    """What every experiment that was asked for will take, from a trial of a few seconds each."""
    found = {}
    for name, values in experiments_of(run, asked).items():
        planned = benchmark(
            _study(values), run / FOLDER / name, data=_data(asked), workers=asked.workers, dry_run=True, measure=True,
            progress=progress,
        )  # fmt: skip
        assert planned.forecast is not None
        found[name] = planned.forecast
    return found


def run_experiments(
    run: Path, asked: Asked, progress: Progress = silent, tell: Callable[[str], object] = unheard
) -> dict[str, pd.DataFrame]:
    """The fits of every experiment that was asked for, by its name; those that are done are not done again.

    Raises:
        InputError: when an experiment cannot be, or the cohort is no longer what the run was made on.
    """
    found = {}
    for name, values in experiments_of(run, asked).items():
        tell(f"experiment {name}: {EXPERIMENTS[name].question}{_said(values, asked)}")
        folder = run / FOLDER / name
        benchmark(_study(values), folder, data=_data(asked), workers=asked.workers, progress=progress, tell=tell)
        require_same_people(run, folder)
        found[name] = read_experiment(folder)
    return found


def _said(values: Mapping[str, Any], asked: Asked) -> str:
    sizes = ", ".join(map(str, values["protocol"]["sizes"]))
    return "; ".join(["", *filter(None, [site_words(values, asked.sites)]), f"n = {sizes}"])


def finished_experiments(run: Path) -> dict[str, pd.DataFrame]:
    """The fits of every experiment of an earlier call that is complete."""
    folders = {name: run / FOLDER / name for name in EXPERIMENTS}
    return {
        name: read_experiment(folder)
        for name, folder in folders.items()
        if (folder / "manifest.json").is_file() and (folder / "results.parquet").is_file()
    }


def read_experiment(folder: Path) -> pd.DataFrame:
    """The fits of an experiment."""
    return pd.read_parquet(folder / "results.parquet").assign(selected=lambda table: table["selected"].astype(bool))


def _study(values: dict[str, Any]) -> Study:
    return Study.model_validate(values)


def _data(asked: Asked) -> Path:
    return asked.data or Path()


def require_same_people(run: Path, folder: Path) -> None:
    """Refuse to compare a run with one below it that was made on another table; raises InputError."""
    before, now = (read_json(place / COHORT_FACTS).get("depends_on", {}).get("table") for place in (run, folder))
    if before != now:
        raise InputError(
            f"the cohort is not what {str(run)!r} was made on: rows or values of its table have changed, so that nothing can be "
            "compared; restore it, or run the benchmark again"
        )


def names_of(text: Sequence[str], run: Path, asked: Asked) -> tuple[str, ...]:
    """Names of experiments as they are asked for: `all` that are possible, `causes` for those that test a cause, or names.

    Raises:
        InputError: for a name that is none, see `experiments_of`.
    """
    allowed = possible(study_of(run, asked), sites_of_run(run, asked.sites))
    found: list[str] = []
    for name in text:
        if name == "all":
            found += allowed
        elif name == "causes":
            found += [each for each in allowed if EXPERIMENTS[each].cause]
        else:
            found.append(name)
    return tuple(dict.fromkeys(found))
