"""`benchmark`: a study file to the two tidy tables of its learning curves, resumable, on several processes."""

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from neurotransfer.artifacts import MANIFEST, is_file, provenance, read_json, storage, write_json
from neurotransfer.benchmark.cell import cell_path
from neurotransfer.benchmark.known import LEAVE_OUT, drift_facts, require_alike, require_input, without_seen
from neurotransfer.benchmark.plan import Plan, make_plan
from neurotransfer.benchmark.results import RESULTS, write_results
from neurotransfer.benchmark.study import CohortPart, Study, read_study
from neurotransfer.benchmark.workers import run_cells
from neurotransfer.benchmark.workspace import (
    STUDY,
    Workspace,
    arguments_of,
    engine_of,
    input_of,
    model_folder,
    open_workspace,
    require_same_kind,
    write_cohort,
    write_study,
)
from neurotransfer.cohort import Cohort, read_cohort, store_volumes
from neurotransfer.cohort.contract import alignment_for
from neurotransfer.errors import InputError, InterruptedRunError, StudyError
from neurotransfer.models.card import Card
from neurotransfer.models.checks import require_preparation
from neurotransfer.models.folder import CARD, SHIPPED, load_model
from neurotransfer.models.network import build_encoder
from neurotransfer.pretrain import Pretraining, pretrain
from neurotransfer.training import current, using
from neurotransfer.transfer import get_strategy
from neurotransfer.transfer.source import column_values
from neurotransfer.workers import one_thread

Advance = Callable[..., object]
Progress = Callable[[str, int], Any]


@contextmanager
def silent(description: str, total: int) -> Any:
    """No progress is shown."""
    yield lambda *_: None


@dataclass(frozen=True)
class Run:
    """A run that is done (or, after a dry run, only planned): its folder, its plan and its table of fits."""

    folder: Path
    plan: Plan
    results: pd.DataFrame | None


def benchmark(
    study: Study | Path | str,
    out: Path | str | None = None,
    *,
    data: Path | str | None = None,
    workers: int = 1,
    resume: bool = False,
    dry_run: bool = False,
    command: str = "",
    progress: Progress = silent,
) -> Run:
    """Run a study, or go on with it where it was interrupted.

    A cell (task, n, replicate, strategy) is the unit that is kept: when `out` holds the same study, its finished cells
    are not done again and the tables come out the same, whatever the number of workers and interruptions. Only the
    column `seconds` is measured anew.

    Args:
        study: a study or its TOML file.
        out: the run folder; `runs/NAME` when not given.
        data: the folder that the paths of cohorts are relative to; that of the study file when not given.
        workers: processes, each with one thread.
        resume: insist that `out` holds this study already.
        dry_run: check everything and return the plan; nothing is written.
        command: the command line, for the manifest.
        progress: called with (description, total) and giving a context whose value advances by one.

    Raises:
        InputError: when study, cohort or models are wrong, or `out` holds another study; StorageError when the disk is full;
            InterruptedRunError when it was stopped; what was finished is kept.
    """
    if not isinstance(workers, int) or workers < 1:
        raise InputError(f"--workers is a whole number of 1 or more, got {workers!r}")
    base = Path(data) if data is not None else Path(study).parent if isinstance(study, Path | str) else Path()
    if not base.is_dir():
        raise InputError(f"there is no data folder {str(base)!r}; give --data the folder that holds the cohorts")
    study = study if isinstance(study, Study) else read_study(study)
    study = _with_model_paths(study, base)
    folder = Path(out) if out is not None else Path("runs") / study.name
    if dry_run:
        cohort = _read(study, study.cohort, base, _targets(study), progress)
        return Run(folder, _first_plan(study, base, cohort), None)
    _require_same_study(folder, study, resume)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        with storage(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        with using(engine_of(folder, study)):
            return _locked(study, base, folder, workers, command, progress)
    except Timeout:
        raise InputError(f"another process is working on {str(folder)!r}; wait for it, or give another --out") from None
    except (KeyboardInterrupt, InterruptedRunError):
        raise InterruptedRunError(
            f"interrupted; what was finished is kept in {str(folder)!r}: run the same command again to go on"
        ) from None
    finally:
        lock.release()


def _locked(study: Study, base: Path, folder: Path, workers: int, command: str, progress: Progress) -> Run:
    started = time.perf_counter()
    require_same_kind(folder)
    cohort = _read(study, study.cohort, base, _targets(study), progress)
    plan = _first_plan(study, base, cohort)
    write_study(folder, plan)
    _make_models(study, base, folder, progress)
    cohort, seen = without_seen(study, cohort, {name: model_folder(folder, study, name) for name in study.models})
    _plan(study, cohort)
    volumes = None
    if cohort.has_images:
        with progress("volumes", len(cohort)) as advance:
            volumes = store_volumes(folder / "cache", cohort, input_of(study), advance, workers=workers)
    write_cohort(folder, study, cohort, volumes)
    workspace = open_workspace(folder)
    plan = make_plan(study, cohort, {name: model.card for name, model in workspace.models.items()})
    write_study(folder, plan)
    with one_thread(), progress("features of networks that stand still", len(study.strategies)) as advance:
        _make_features(workspace, plan, advance)
    pending = [cell for cell in plan.cells if not cell_path(folder, cell).is_file()]
    with progress("fits (cells of all settings)", len(plan.cells)) as advance:
        for _ in range(len(plan.cells) - len(pending)):
            advance()
        try:
            run_cells(folder, pending, workers, advance)
        except BaseException:
            # so that `report` shows what there is
            write_results(folder, plan)
            raise
    results = write_results(folder, plan)
    seconds = float(results["seconds"].sum())
    manifest = _manifest(workspace, plan, results, seen, command, seconds)
    write_json(folder / MANIFEST, manifest | {"seconds": time.perf_counter() - started})
    return Run(folder, plan, results)


def _with_model_paths(study: Study, base: Path) -> Study:
    models = {
        name: part.model_copy(update={"path": _model_path(part.path, base)}) if part.path is not None else part
        for name, part in study.models.items()
    }
    return study.model_copy(update={"models": models})


def _model_path(path: str, base: Path) -> str:
    return path if path in SHIPPED and not is_file(base / path / CARD) else str(base / path)


def _targets(study: Study) -> list[str]:
    return sorted({part.target for part in study.tasks.values() if not part.kind})


def _read(study: Study, part: CohortPart, base: Path, targets: list[str], progress: Progress) -> Cohort:
    with progress(f"check {part.path}", 0) as advance:
        return read_cohort(base / part.path, **_options(study, part), targets=targets, on_scan=advance)


def _options(study: Study, part: CohortPart) -> dict[str, Any]:
    return part.model_dump(exclude={"path"}) | {"alignment": alignment_for(input_of(study), part.alignment)}


def _first_plan(study: Study, base: Path, cohort: Cohort) -> Plan:
    """The plan before any model of the study is pretrained: what cannot be is found out now, and not after hours."""
    others = {
        name: read_cohort(base / part.cohort.path, **_options(study, part.cohort), check=False)
        for name, part in study.models.items()
        if part.cohort is not None
    }
    for name, other in others.items():
        require_alike(name, other, cohort)
    if any(part.model is None for part in study.strategies) or others:
        build_encoder(study.network.architecture, arguments_of(study))
    ready = {name: part.path for name, part in study.models.items() if part.path is not None}
    return _plan(study, without_seen(study, cohort, ready, others)[0])


def _plan(study: Study, cohort: Cohort) -> Plan:
    cards: dict[str, Card] = {}
    for name, part in study.models.items():
        if part.path is not None:
            cards[name] = load_model(part.path).card
            require_input(name, cards[name], study)
            require_preparation(cards[name], cohort)
    plan = make_plan(study, cohort, cards)
    if study.regional_columns:
        column_values(cohort, study.regional_columns)
    return plan


def _require_same_study(folder: Path, study: Study, resume: bool) -> None:
    path = folder / STUDY
    if not path.is_file():
        if resume:
            raise InputError(f"there is nothing to resume in {str(folder)!r}; leave out --resume to begin")
        if folder.is_dir() and any(folder.iterdir()) and not (folder / ".lock").exists():
            raise InputError(f"{str(folder)!r} is not empty and no run of ours; give another --out")
        return
    try:
        found = Study.model_validate(read_json(path)["study"])
    except (LookupError, TypeError, ValueError):
        raise StudyError(f"{str(path)!r} is not the study of a run of this version; give another --out") from None
    if found != study:
        differing = [name for name in Study.model_fields if getattr(found, name) != getattr(study, name)]
        raise StudyError(
            f"{str(folder)!r} holds another study: {', '.join(differing)} differ{'s' * (len(differing) == 1)}; give another "
            "--out, or restore the study file to go on with that run"
        )


def _make_models(study: Study, base: Path, folder: Path, progress: Progress) -> None:
    for name, part in study.models.items():
        path = model_folder(folder, study, name)
        if part.cohort is None or (path / "model.json").is_file():
            continue
        cohort = _read(study, part.cohort, base, list(part.targets), progress)
        options = Pretraining(
            grid=input_of(study),
            architecture=study.network.architecture,
            arguments=arguments_of(study),
            recipe=part.training.recipe,
            weights=part.weights,
            seed=study.seed,
        )
        with one_thread(), progress(f"pretrain {name}", part.training.epochs) as advance:
            pretrain(cohort, part.targets, path, options, on_epoch=advance)


def _make_features(workspace: Workspace, plan: Plan, advance: Advance) -> None:
    for part in workspace.study.strategies:
        task = next((cell.task for cell in plan.cells if cell.strategy == part.title), None)
        if task is not None and get_strategy(part.strategy).on_features:
            workspace.inputs(part.title, task)
        advance()


def _manifest(
    workspace: Workspace, plan: Plan, results: pd.DataFrame, seen: dict[str, int], command: str, fit_seconds: float
) -> dict[str, Any]:
    models = {}
    for name, model in workspace.models.items():
        card = model.card
        cohorts = card.provenance.get("cohorts", [])
        models[name] = {
            "cohort": ", ".join(cohort["name"] for cohort in cohorts),
            "n_images": sum(cohort["n_images"] for cohort in cohorts),
            "n_participants": sum(cohort["n_participants"] for cohort in cohorts),
            "targets": [target.name for target in card.targets],
            "metrics": card.provenance.get("validation", {}),
            "overlap_participants": seen[name],
            "overlap_left_out": workspace.study.protocol.seen == LEAVE_OUT,
            "drift": drift_facts(workspace, name),
        }
    return {
        "command": command,
        "provenance": provenance(seed=plan.study.seed, engine=str(current())),
        "fit_seconds": fit_seconds,
        "cells": len(plan.cells),
        "cells_failed": int(len(plan.cells) - results["selected"].sum()),
        "fits": len(results),
        "fits_failed": int(results["error"].notna().sum()),
        "results": RESULTS,
        "notes": list(plan.notes),
        "models": models,
    }
