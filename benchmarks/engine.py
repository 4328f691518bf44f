"""The engine of `benchmark`: what it costs beside the fits, on one machine and on many workers.

    python benchmarks/engine.py [--quick]

Fits are stood in for by sleeping, so that what is measured is the engine: handing cells out, writing each whole or not at
all, gathering them, and writing and reading the tables. Records are of nine settings and forty test predictions. Prints

- overhead: cells of 1 s on 2 workers, the time beyond the sleeping as a share of it;
- dispatch: cells of 0 s on 2 workers, how many a second one leading process can hand out and take back: more workers than this
  over the length of a cell cannot be kept busy (the scaling on paper);
- scaling: cells of 1 s on 64 worker processes, the time against cells / 64, once all workers have begun;
- reader: gathering and reading, milliseconds a cell, and how long 100,000 cells in one folder take to open: for `benchmark
  status`, for a run that goes on, and for the report;
- memory: a worker that does real cells, its own memory after 100 and after 1,000 of them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

SETTINGS, TESTED = 9, 40
STRATEGIES = ("baseline", "finetuned", "frozen", "linear", "random-frozen")
SIZES = (50, 100, 200, 500, 1000)


def record_of(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fits and predictions of a cell, with as many digits as real ones."""
    import numpy as np

    from neurotransfer.benchmark.records import FIT_FIELDS, KEY

    generator = np.random.default_rng(seed)
    fits: dict[str, Any] = {name: generator.random(SETTINGS).tolist() for name in FIT_FIELDS.names if name not in KEY}
    whole = ("epochs", "best_epoch", "n_train_images", "n_train_participants", "n_validation_images", "n_test_images")
    fits |= {name: [seed % 100] * SETTINGS for name in whole}
    fits |= {
        "setting_index": list(range(SETTINGS)),
        "setting": [json.dumps({"lr": 10.0**-index, "dropout": 0.25}) for index in range(SETTINGS)],
        "selected": [index == 3 for index in range(SETTINGS)],
        "dropped": [False] * SETTINGS,
        "error": [None] * SETTINGS,
    }
    predictions = {
        "setting_index": [3] * TESTED, "selected": [True] * TESTED, "part": ["test"] * TESTED,
        "row": generator.integers(0, 1000, TESTED).tolist(), "predicted": generator.random(TESTED).tolist(),
        "probabilities": generator.random((TESTED, 2)).tolist(),
    }  # fmt: skip
    return fits, predictions


def sleep_and_keep(job: Any, cells: Any, seconds: float) -> list[Any]:
    """What stands in for the fits of cells: sleeping, and a record that is kept as a real one is."""
    from neurotransfer.benchmark.records import keep
    from neurotransfer.benchmark.work import Outcome

    outcomes = []
    for cell in cells:
        started = time.perf_counter()
        time.sleep(seconds)
        keep(job.folder, cell, *record_of(cell.replicate))
        outcomes.append(Outcome(cell, time.perf_counter() - started))
    return outcomes


def asleep(job: Any, cells: Any) -> list[Any]:
    """Cells of one second."""
    return sleep_and_keep(job, cells, 1.0)


def awake(job: Any, cells: Any) -> list[Any]:
    """Cells that take no time."""
    return sleep_and_keep(job, cells, 0.0)


def cells_of(n: int) -> list[Any]:
    """The first n cells of a study of five sizes and five strategies."""
    from neurotransfer.benchmark.plan import Cell

    every = (Cell("age", size, replicate, name) for replicate in range(n) for size in SIZES for name in STRATEGIES)
    return [cell for cell, _ in zip(every, range(n), strict=False)]


def timed(n: int, workers: int, task: Callable[..., Any]) -> float:
    """Seconds of the schedule for n cells, from the moment that all workers have begun until the last cell is told of."""
    from neurotransfer.benchmark.schedule import Schedule
    from neurotransfer.benchmark.teams import Team, processes
    from neurotransfer.benchmark.work import Job

    begun = ended = 0.0
    with tempfile.TemporaryDirectory() as name:

        @contextmanager
        def opened(size: int | None = None) -> Iterator[Team]:
            nonlocal begun
            with processes(workers)(size) as team:
                # a process is started when work comes and nobody is free: until all have shown themselves
                seen: set[int] = set()
                while len(seen) < workers:
                    seen |= set(team.executor.map(_show, range(2 * workers)))
                begun = time.perf_counter()
                yield replace(team, task=task)

        def heard(outcome: object) -> None:
            nonlocal ended
            if outcome is not None:
                ended = time.perf_counter()

        Schedule(Job(Path(name), "", ()), cells_of(n), opened, heard, heard).run()
        return ended - begun


def _show(_: int) -> int:
    """The number of a process, once it has done a first cell."""
    record_of(0)
    time.sleep(0.5)
    return os.getpid()


def folder_of(folder: Path, n: int) -> None:
    """A run folder that holds n cells, gathered as a run gathers them, without having been run."""
    import pandas as pd

    from neurotransfer.benchmark.fits import GATHER_CELLS
    from neurotransfer.benchmark.records import gather, keep

    replicates = -(-n // (len(SIZES) * len(STRATEGIES)))
    study = {
        "name": "large", "title": "large", "seed": 0, "sizes": list(SIZES), "replicates": replicates, "cells": n,
        "tasks": {"age": {"target": "age", "kind": "binary", "classes": ["no", "yes"], "score": "auc", "unit": "", "label": "Age"}},
        "strategies": [{"label": name, "strategy": name} for name in STRATEGIES],
    }  # fmt: skip
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(study))
    columns = {"participant_id": [f"p{row}" for row in range(1000)], "session_id": [""] * 1000, "image": [""] * 1000}
    pd.DataFrame(columns).assign(age=["no", "yes"] * 500).to_parquet(folder / "cohort.parquet")
    for count, cell in enumerate(cells_of(n), start=1):
        keep(folder, cell, *record_of(cell.replicate))
        if count % GATHER_CELLS == 0:
            gather(folder)


def reader(n: int) -> dict[str, float]:
    """Milliseconds a cell to gather, and seconds to open n cells in one folder."""
    from neurotransfer.benchmark.records import all_fits, finished, gather
    from neurotransfer.benchmark.status import status
    from neurotransfer.report.folder import read_run

    with tempfile.TemporaryDirectory() as name:
        folder, found = Path(name) / "run", {}
        folder_of(folder, n)
        gather(folder)
        for what, action in {"a run that goes on": finished, "status": status, "all fits": all_fits}.items():
            found[what] = _seconds(lambda action=action: action(folder))
        all_fits(folder).to_parquet(folder / "results.parquet")
        found["the report's tables"] = _seconds(lambda: read_run(folder))
    with tempfile.TemporaryDirectory() as name:
        folder, few = Path(name) / "run", 2000
        folder_of(folder, few - 1)
        found["gathering (ms a cell)"] = 1000 * _seconds(lambda: gather(folder)) / few
        found["reading (ms a cell)"] = 1000 * _seconds(lambda: all_fits(folder)) / few
    return found


def _seconds(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def memory(n: int) -> list[float]:
    """MiB that a process has for itself after a tenth of n real cells, and after all of them."""
    from neurotransfer.benchmark import benchmark, parse_study
    from neurotransfer.benchmark import work as work_module
    from neurotransfer.simulate import simulate

    found, real = [], work_module.run_cell

    with tempfile.TemporaryDirectory() as name:
        table = simulate(Path(name) / "people", 60, shape=(32, 38, 32), seed=5)
        study = parse_study(
            {
                "name": "memory",
                "cohort": {"path": str(table)},
                "grid": {"shape": [32, 38, 32], "voxel_size_mm": 192 / 38},
                "network": {"width": 0.0625},
                "tasks": {"age": {"target": "age"}, "sex": {"target": "sex"}},
                "strategies": [
                    {"strategy": "linear"},
                    {"strategy": "random-frozen"},
                    {"strategy": "baseline", "grid": {"lr": [1e-3, 3e-4], "dropout": [0.0]}},
                ],
                "protocol": {"sizes": [10, 20], "replicates": -(-n // 12)},
                "training": {"epochs": 1},
            }
        )

        def counted(*arguments: Any) -> None:
            real(*arguments)
            found.append(_own_mebibytes())

        work_module.run_cell = counted
        benchmark(study, Path(name) / "run")
    return [found[len(found) // 10], found[-1]]


def _own_mebibytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1]) - int(Path("/proc/self/statm").read_text().split()[2])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer cells, 16 workers")
    parser.add_argument("--only", choices=("overhead", "dispatch", "scaling", "reader", "memory"))
    options = parser.parse_args()
    quick = options.quick
    if options.only in (None, "overhead"):
        n = 40 if quick else 120
        seconds = timed(n, 2, asleep)
        print(
            f"overhead: {n} cells of 1 s on 2 workers took {seconds:.2f} s: {100 * (seconds * 2 / n - 1):.1f} % more",
            flush=True,
        )
    if options.only in (None, "dispatch"):
        n = 1000 if quick else 4000
        seconds = timed(n, 2, awake)
        print(
            f"dispatch: {n / seconds:.0f} cells a second ({1000 * seconds / n:.2f} ms a cell, its file included)",
            flush=True,
        )
    if options.only in (None, "scaling"):
        workers = 16 if quick else 64
        n = workers * 20
        seconds = timed(n, workers, asleep)
        print(
            f"scaling: {n} cells of 1 s on {workers} processes took {seconds:.2f} s of {n / workers} s: "
            f"efficiency {100 * n / workers / seconds:.1f} %",
            flush=True,
        )
    if options.only in (None, "reader"):
        n = 10_000 if quick else 100_000
        print(f"reader: {n} cells in one folder")
        for what, value in reader(n).items():
            print(f"  {what}: {value:.2f}{'' if 'ms' in what else ' s'}", flush=True)
    if options.only in (None, "memory"):
        # alone in its process, so that nothing of the above is in it
        here, n = str(Path(__file__).parent), 120 if quick else 1000
        code = f"import sys; sys.path.insert(0, {here!r}); import engine; print(*engine.memory({n}))"
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        before, after = map(float, said[-2:])
        print(
            f"memory: {before:.1f} MiB after a tenth of the cells, {after:.1f} MiB after all: {100 * (after / before - 1):+.1f} %"
        )


if __name__ == "__main__":
    main()
