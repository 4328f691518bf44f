"""What a run will take, before it starts: hours, memory and disk, from a trial of a few seconds on this machine."""

import math
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurotransfer.benchmark.effort import Span, seconds_beside, seconds_of_fits
from neurotransfer.benchmark.plan import Plan, split_of, task_labels
from neurotransfer.benchmark.records import finished
from neurotransfer.benchmark.room import Room, bytes_of_cells, room_for
from neurotransfer.benchmark.setup import cohorts_of_models
from neurotransfer.benchmark.status import read_failures
from neurotransfer.benchmark.study import Study
from neurotransfer.benchmark.trial_run import Measured, Trial, measure, peak_memory
from neurotransfer.benchmark.work import start
from neurotransfer.benchmark.workspace import engine_of, input_of, model_folder
from neurotransfer.cohort import Cohort, Split
from neurotransfer.cohort.store import STORE
from neurotransfer.cohort.storing import LEAST_A_PROCESS
from neurotransfer.errors import InputError
from neurotransfer.transfer import get_strategy, settings
from neurotransfer.workers import pool_of

# how much longer it may take than it took in the trial: other work on the machine, caches that are cold
MARGIN = 1.3
Kind = tuple[str, str, int]


@dataclass(frozen=True)
class Forecast:
    """What is still to be done of a run, and what it will take; every span is what is expected, and at most.

    Attributes:
        workers: processes of this machine.
        cells: that are still to be done.
        fits: that they hold.
        starting: seconds until the workers have begun.
        volumes: seconds to read and store the scans of the study's cohort, by all workers.
        pretraining: seconds to pretrain the models that the study describes, in one process.
        features: seconds to run networks that stand still, in one process.
        by_kind: seconds of one worker for all open cells of a task, a strategy and an n.
        parallel: how many cells are done at once.
        worker_bytes: the most that one worker has in memory for itself; 0 where it cannot be told.
        shared_bytes: of volumes and features, of which the workers of a machine share one copy.
        disk: bytes of the run folder, by what they are for; of cells and tables those that are still to be done.
        room: memory and disk that this machine has free.
        kept: bytes of volumes, features and models that the run folder has already.
        notes: what went wrong when a little of it was timed.
    """

    workers: int
    cells: int
    fits: int
    starting: Span
    volumes: Span
    pretraining: Span
    features: Span
    by_kind: Mapping[Kind, Span]
    parallel: int
    worker_bytes: float
    shared_bytes: float
    disk: Mapping[str, Span]
    room: Room
    kept: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def disk_left(self) -> Span:
        """Bytes that are still to be written; never less than none."""
        total = self.disk_bytes
        return Span(max(0.0, total.best - self.kept), max(0.0, total.most - self.kept))

    @property
    def by_strategy(self) -> dict[str, Span]:
        """Seconds of all workers together for the open cells of every strategy."""
        found: dict[str, Span] = {}
        for (_, title, _), seconds in self.by_kind.items():
            found[title] = found.get(title, Span()) + seconds
        return {title: seconds * (1 / self.parallel) for title, seconds in found.items()}

    @property
    def parts(self) -> dict[str, Span]:
        """Seconds by part, one after the other."""
        return {
            "starting": self.starting, "volumes": self.volumes, "pretraining": self.pretraining, "features": self.features,
            "fits": sum(self.by_kind.values(), Span()) * (1 / self.parallel),
        }  # fmt: skip

    @property
    def total(self) -> Span:
        """Seconds from start to end."""
        return sum(self.parts.values(), Span())

    @property
    def memory(self) -> float:
        """Bytes that all workers need, with what they share."""
        return self.workers * self.worker_bytes + self.shared_bytes

    @property
    def disk_bytes(self) -> Span:
        """Bytes of the run folder."""
        return sum(self.disk.values(), Span())


def forecast(study: Study, base: Path, folder: Path, plan: Plan, cohort: Cohort, workers: int) -> Forecast:
    """What a run will take, from a trial: a few of its scans, epochs and cells, timed in a process that is like a worker.

    Nothing is written but a temporary folder, which is removed again, whatever happens. Cells that a run folder has already
    are not counted, nor those that were given up.

    Args:
        study: with the paths of its models as they are from here.
        base: the folder that its cohorts are relative to.
        folder: of the run, whether it is there or not.
        plan: from `first_plan`.
        cohort: of the plan.
        workers: processes.

    Raises:
        InputError: when something of the study cannot be used, or memory is too short for a trial.
    """
    done = finished(folder) | {failure.cell for failure in read_failures(folder)}
    cells = tuple(cell for cell in plan.cells if cell not in done)
    with tempfile.TemporaryDirectory(prefix="neurotransfer-forecast-") as place:
        trial = Trial(study, base, folder, cohort, plan.targets, cells, engine_of(folder, study), Path(place))
        found, starting = _tried(trial) if cells else (Measured(), 0.0)
        sizes = bytes_of_cells(Path(place) / "sizes")
    return forecast_from(trial, found, starting, sizes, workers)


def _tried(trial: Trial) -> tuple[Measured, float]:
    """What a trial found, and the seconds until its process had begun."""
    began = time.perf_counter()
    try:
        with pool_of(1, start) as pool:
            pool.submit(peak_memory).result()
            starting = time.perf_counter() - began
            return pool.submit(measure, trial).result(), starting
    except BrokenProcessPool:
        raise InputError(
            "the trial of the study died, killed or out of memory: one worker needs more than this machine has; use a coarser "
            "grid, a smaller batch_size or a micro_batch"
        ) from None


def forecast_from(
    trial: Trial, found: Measured, starting: float, sizes: tuple[float, float, float], workers: int
) -> Forecast:
    """The forecast that follows from what was measured.

    Args:
        trial: what was tried, and the cells that are still to be done.
        found: what it gave.
        starting: seconds until a worker has begun.
        sizes: bytes on the disk a fit, a prediction, and a prediction that waits to be gathered, from `bytes_of_cells`.
        workers: processes.
    """
    study, cohort, cells = trial.study, trial.cohort, trial.cells
    open_cells = Counter((cell.task, cell.strategy, cell.n) for cell in cells)
    splits = {kind: _split(trial, *kind) for kind in {(task, n) for task, _, n in open_cells}}
    by_kind = {
        (task, title, n): count * _cell(found, study, title, task, n, splits[task, n])
        for (task, title, n), count in open_cells.items()
    }
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    images = len(cohort) if cohort.has_images and not (trial.run / "cache" / STORE).is_file() and cells else 0
    readers = max(1, min(workers, cores, len(cohort) // LEAST_A_PROCESS))
    disk = _disk(trial, found, sizes, splits)
    fits = _fits(study)
    return Forecast(
        workers=workers,
        cells=len(cells),
        fits=sum(fits[cell.strategy] for cell in cells),
        # the command itself, then its workers
        starting=_upto(starting * (2 if min(workers, len(cells)) > 1 else 1)),
        volumes=_upto(images * found.scan.get("", 0.0) / readers + (starting if images and readers > 1 else 0.0)),
        pretraining=_pretraining(trial, found),
        features=_upto(len(cohort) * (_features_left(trial, found) + found.drift)),
        by_kind=by_kind,
        parallel=max(1, min(workers, cores, len(cells))),
        worker_bytes=found.memory,
        shared_bytes=disk["volumes"].best + disk["features"].best,
        disk=disk,
        room=room_for(trial.run),
        kept=_kept(trial),
        notes=tuple(found.notes),
    )


def _kept(trial: Trial) -> float:
    there = [trial.run / "cache", *_model_folders(trial)]
    return float(sum(path.stat().st_size for folder in there for path in folder.rglob("*") if path.is_file()))


def _upto(seconds: float) -> Span:
    return Span(seconds, MARGIN * seconds)


def _fits(study: Study) -> dict[str, int]:
    return {part.title: len(settings(get_strategy(part.strategy), part.grid)) for part in study.strategies}


def _split(trial: Trial, task: str, n: int) -> Split:
    target = trial.targets[task]
    return split_of(trial.study, trial.cohort, task, target, n, 0, task_labels(trial.study, trial.cohort, task, target))


def _cell(found: Measured, study: Study, title: str, task: str, n: int, split: Split) -> Span:
    """Seconds of one cell."""
    if title in found.lines:
        part = next(part for part in study.strategies if part.title == title)
        seconds = seconds_of_fits(study, part, split, found.lines[title])
        return Span(seconds.best, MARGIN * seconds.most)
    known = {size: seconds for (own, name, size), seconds in found.cells.items() if (own, name) == (task, title)}
    return _upto(between(known, n) + sum(seconds_beside(study, split, line) for line in found.beside.get(title, ())))


def between(known: Mapping[int, float], n: int) -> float:
    """Seconds at a size from those at a few others: along a power of n between two of them, and beyond.

    Example:
        >>> round(between({10: 1.0, 20: 4.0}, 40), 3), between({10: 1.0}, 20)
        (16.0, 2.0)
    """
    sizes = sorted(known)
    if not sizes:
        return 0.0
    if len(sizes) == 1:
        return known[sizes[0]] * n / sizes[0]
    place = int(np.clip(np.searchsorted(sizes, n), 1, len(sizes) - 1))
    low, high = sizes[place - 1], sizes[place]
    # what does not grow, or grows faster than any solver's time, is noise
    power = np.clip(math.log(known[high] / known[low]) / math.log(high / low), 0.0, 3.0)
    near = low if n < high else high
    return float(known[near] * (n / near) ** power)


def _pretraining(trial: Trial, found: Measured) -> Span:
    total = Span()
    for name, other in cohorts_of_models(trial.study, trial.base).items():
        if name not in found.epochs:
            continue
        recipe = trial.study.models[name].training.recipe
        # patience seldom ends it: the learning rate falls until the end
        once = found.scan.get(name, 0.0) * len(other)
        total += _upto(once + recipe.epochs * found.epochs[name])
    return total


def _features_left(trial: Trial, found: Measured) -> float:
    """Seconds an image of the features that the run folder lacks."""
    seconds = sorted((own for own, _ in found.features.values()), reverse=True)
    return sum(seconds[len(list((trial.run / "cache").glob("features-*.npy"))) :])


def _disk(
    trial: Trial, found: Measured, sizes: tuple[float, float, float], splits: Mapping[tuple[str, int], Split]
) -> dict[str, Span]:
    study, cohort, fits = trial.study, trial.cohort, _fits(trial.study)
    volumes = 2.0 * len(cohort) * math.prod(input_of(study).shape) if cohort.has_images else 0.0
    features = float(len(cohort) * sum(size for _, size in found.features.values()))
    n_fits, n_predictions = 0, 0
    for cell in trial.cells:
        split = splits[cell.task, cell.n]
        n_fits += fits[cell.strategy]
        judged = len(split.validation) if split.folds is None else len(split.train)
        every = fits[cell.strategy] * (judged + len(split.test))
        n_predictions += every if study.protocol.keep == "all" else len(split.test)
    # gathered, and once more in the tables; at most also waiting for it
    kept = 2 * (n_fits * sizes[0] + n_predictions * sizes[1])
    return {
        "volumes": Span(volumes, volumes),
        "features": Span(features, features),
        "cells and tables": Span(kept, kept + n_predictions * sizes[2]),
        "models": Span(found.weights, found.weights),
    }


def _model_folders(trial: Trial) -> Sequence[Path]:
    return [model_folder(trial.run, trial.study, name) for name in cohorts_of_models(trial.study, trial.base)]
