"""`benchmark`: a study file to the two tidy tables of its learning curves, resumable, on several processes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from neurotransfer.artifacts import MANIFEST, provenance, read_json, storage, write_json
from neurotransfer.benchmark.cluster import dask_team
from neurotransfer.benchmark.fits import Asked, do_fits
from neurotransfer.benchmark.forecast import Forecast, forecast
from neurotransfer.benchmark.known import LEAVE_OUT, drift_facts, without_seen
from neurotransfer.benchmark.plan import Plan, make_plan
from neurotransfer.benchmark.results import RESULTS, write_results
from neurotransfer.benchmark.schedule import Failure
from neurotransfer.benchmark.setup import (
    Progress,
    checked_plan,
    first_plan,
    make_features,
    make_models,
    read_own,
    silent,
    with_model_paths,
)
from neurotransfer.benchmark.status import DONE, STOPPED, Signs, named
from neurotransfer.benchmark.study import Study, read_study
from neurotransfer.benchmark.workspace import (
    COHORT_FACTS,
    STUDY,
    Workspace,
    engine_of,
    input_of,
    model_folder,
    open_workspace,
    require_same_kind,
    write_cohort,
    write_study,
)
from neurotransfer.cohort import store_volumes
from neurotransfer.errors import InputError, InterruptedRunError, StudyError
from neurotransfer.training import current, using
from neurotransfer.workers import one_thread


@dataclass(frozen=True)
class Run:
    """A run that is done (or, after a dry run, only planned): its folder, its plan and its table of fits.

    `forecast` is what it will take, where that was asked for.
    """

    folder: Path
    plan: Plan
    results: pd.DataFrame | None
    failures: tuple[Failure, ...] = ()
    forecast: Forecast | None = None


def unheard(text: str) -> None:
    """What a run has to say on its way is not heard."""


def benchmark(
    study: Study | Path | str,
    out: Path | str | None = None,
    *,
    data: Path | str | None = None,
    workers: int = 1,
    cluster: str = "",
    resume: bool = False,
    retry_failed: bool = False,
    dry_run: bool = False,
    measure: bool = False,
    command: str = "",
    progress: Progress = silent,
    tell: Callable[[str], object] = unheard,
) -> Run:
    """Run a study, or go on with it where it was interrupted.

    A cell (task, n, replicate, strategy) is the unit that is kept: when `out` holds the same study, its finished cells
    are not done again and the tables come out the same, whatever the number of workers, whoever they are, and however often
    it was interrupted. Only the column `seconds` is measured anew. A cell that could not be done (its worker died of it, say)
    is tried three times and then listed; later runs leave it alone unless they are told to try again.

    Args:
        study: a study or its TOML file.
        out: the run folder; `runs/NAME` when not given.
        data: the folder that the paths of cohorts are relative to; that of the study file when not given.
        workers: processes, each with one thread; of a cluster, jobs.
        cluster: who does the fits instead of processes of this machine, see `dask_team`; empty for these.
        resume: insist that `out` holds this study already.
        retry_failed: try the cells again that failed, and those of which a fit failed.
        dry_run: check everything and return the plan; nothing is written.
        measure: with `dry_run`, also time a little of the study and say what the rest will take, see `forecast`.
        command: the command line, for the manifest.
        progress: called with (description, total) and giving a context whose value advances by one; if the value
            has an attribute `left`, that is called with the time that is left, in words.
        tell: called with what a reader wants to know on the way, such as where the workers can be watched.

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
    study = with_model_paths(study, base)
    folder = Path(out) if out is not None else Path("runs") / study.name
    asked = Asked(workers, cluster, retry_failed, progress, tell)
    if cluster:
        # what is wrong with it is said now, and not after hours of pretraining
        dask_team(cluster, workers, folder.resolve())
    if dry_run:
        return _planned(study, base, folder, asked, measure)
    _require_same_study(folder, study, resume or retry_failed)
    try:
        with _alone_in(folder), using(engine_of(folder, study)):
            return _locked(study, base, folder, asked, command)
    except (KeyboardInterrupt, InterruptedRunError) as error:
        reason = f" ({error})" if str(error) else ""
        raise InterruptedRunError(
            f"interrupted{reason}; what was finished is kept in {str(folder)!r}: run the same command again to go on"
        ) from None


def _planned(study: Study, base: Path, folder: Path, asked: Asked, measure: bool) -> Run:
    if measure:
        # the cells that are done must be of this study
        _require_same_study(folder, study, False)
    cohort = read_own(study, base, asked.progress)
    plan = first_plan(study, base, cohort)
    if not measure:
        return Run(folder, plan, None)
    with asked.progress("time a little of it", 0):
        found = forecast(study, base, folder, plan, cohort, asked.workers)
    return Run(folder, plan, None, forecast=found)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder, so that two commands do not do the same work."""
    lock = FileLock(folder / ".lock", timeout=0)
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"another process is working on {str(folder)!r} (neurotransfer benchmark status {folder} says which); wait for "
                "it, or give another --out; on a file system without locks a run that was killed leaves "
                f"{lock.lock_file}, which is then to be removed"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _locked(study: Study, base: Path, folder: Path, asked: Asked, command: str) -> Run:
    started = time.perf_counter()
    require_same_kind(folder)
    with Signs(folder) as signs:
        try:
            run, manifest = _done(study, base, folder, asked, command, signs)
        except BaseException:
            signs.give(state=STOPPED)
            raise
        write_json(folder / MANIFEST, manifest | {"seconds": time.perf_counter() - started})
        signs.give(state=DONE, left_s=0.0)
    return run


def _done(
    study: Study, base: Path, folder: Path, asked: Asked, command: str, signs: Signs
) -> tuple[Run, dict[str, Any]]:
    progress, begun = asked.progress, (folder / COHORT_FACTS).is_file()
    cohort = read_own(study, base, progress)
    plan = first_plan(study, base, cohort, draw=not begun)
    write_study(folder, plan)
    make_models(study, base, folder, progress)
    everybody = cohort
    cohort, seen = without_seen(study, cohort, {name: model_folder(folder, study, name) for name in study.models})
    checked_plan(study, cohort, draw=not begun and len(cohort) < len(everybody))
    volumes = None
    if cohort.has_images:
        with progress("volumes", len(cohort)) as advance:
            volumes = store_volumes(folder / "cache", cohort, input_of(study), advance, workers=asked.workers)
    write_cohort(folder, study, cohort, volumes)
    workspace = open_workspace(folder)
    plan = make_plan(study, cohort, {name: model.card for name, model in workspace.models.items()}, draw=False)
    write_study(folder, plan)
    with one_thread(), progress("features of networks that stand still", len(study.strategies)) as advance:
        make_features(workspace, plan, advance)
    failures = do_fits(folder, plan, cohort, asked, signs)
    results = write_results(folder, plan, cohort)
    if not len(results):
        first = f"; the first one, {named(failures[0].cell)}: {failures[0].error}" if failures else ""
        raise InputError(f"no cell could be done{first}. When that is mended: the same command with --retry-failed")
    manifest = _manifest(workspace, plan, results, failures, seen, command, signs.sign.workers)
    return Run(folder, plan, results, tuple(failures)), manifest


def _require_same_study(folder: Path, study: Study, resume: bool) -> None:
    path = folder / STUDY
    if not path.is_file():
        if resume:
            raise InputError(
                f"there is nothing to resume in {str(folder)!r}; leave out --resume and --retry-failed to begin"
            )
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


def _manifest(
    workspace: Workspace,
    plan: Plan,
    results: pd.DataFrame,
    failures: list[Failure],
    seen: dict[str, int],
    command: str,
    workers: str,
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
        "workers": workers,
        "fit_seconds": float(results["seconds"].sum()),
        "cells": len(plan.cells),
        "cells_failed": int(len(plan.cells) - results["selected"].sum()),
        "cells_given_up": [{"cell": named(failure.cell), "error": failure.error} for failure in failures],
        "fits": len(results),
        "fits_failed": int(results["error"].notna().sum()),
        "results": RESULTS,
        "notes": list(plan.notes),
        "models": models,
    }
