"""Do cells in this process or in several: the results do not depend on how many."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import torch

from neurotransfer.benchmark.cell import run_cell
from neurotransfer.benchmark.plan import Cell
from neurotransfer.benchmark.workspace import Workspace, engine_of, open_workspace
from neurotransfer.errors import InterruptedRunError
from neurotransfer.training import use
from neurotransfer.workers import one_thread, pool_of, start_worker

_workspace: Workspace | None = None


def run_cells(folder: Path, cells: Sequence[Cell], workers: int, on_cell: Callable[[], object]) -> None:
    """Do every cell of a run folder with `workers` processes, each with one thread.

    Raises:
        InterruptedRunError: when a worker process dies; what was finished is kept.
    """
    if workers == 1 or len(cells) < 2:
        with one_thread():
            workspace = open_workspace(folder)
            for cell in cells:
                run_cell(workspace, cell)
                on_cell()
        return
    try:
        with pool_of(min(workers, len(cells)), _start, (folder,)) as pool:
            _drain(pool, list(cells), on_cell)
    except BrokenProcessPool:
        raise InterruptedRunError(
            "a worker process died, killed or out of memory; what was finished is kept: run the same command again, with "
            "fewer --workers if memory was short"
        ) from None


def _drain(pool: ProcessPoolExecutor, cells: list[Cell], on_cell: Callable[[], object]) -> None:
    waiting = {pool.submit(_work, cell) for cell in cells}
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
            on_cell()


def _start(folder: Path) -> None:
    global _workspace
    start_worker()
    torch.set_num_threads(1)
    _workspace = open_workspace(folder)
    use(replace(engine_of(folder, _workspace.study), threads=1))


def _work(cell: Cell) -> None:
    assert _workspace is not None
    run_cell(_workspace, cell)
