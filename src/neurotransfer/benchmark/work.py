"""What a worker does, whoever started it: open the run folder once, then cell after cell, each kept as it is finished."""

import hashlib
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from neurotransfer.artifacts import package_version
from neurotransfer.benchmark.cell import labels_of, run_cell
from neurotransfer.benchmark.plan import Cell
from neurotransfer.benchmark.workspace import COHORT_FACTS, STUDY, Workspace, engine_of, open_workspace, prepared
from neurotransfer.errors import InputError, StorageError
from neurotransfer.training import use
from neurotransfer.workers import start_worker

VERSIONS = ("neurotransfer", "torch")
# a worker that cannot take part must not take cell after cell from those that can
WAIT_S = 10.0


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: the seconds that it took, or why it could not be done."""

    cell: Cell
    seconds: float
    error: str = ""
    counts: bool = True


@dataclass(frozen=True)
class Job:
    """What all work on a run has in common; small, for it is sent with every piece of work.

    Attributes:
        folder: of the run.
        identity: of study and cohort, so that a worker that outlives a run does not go on with an older one.
        versions: of the packages that decide numbers, which a worker must have too.
        base: the folder that paths in the study are relative to, wherever the worker was started.
        again: whether cells that are there are done once more.
    """

    folder: Path
    identity: str
    versions: tuple[str, ...]
    base: Path = Path()
    again: bool = False


def job_of(folder: Path, again: bool = False) -> Job:
    """The job of a run folder that is ready for its cells."""
    versions = tuple(package_version(name) for name in VERSIONS)
    return Job(folder.resolve(), _identity(folder), versions, Path.cwd(), again)


def _identity(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in (STUDY, COHORT_FACTS):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:16]


def work(job: Job, cells: Sequence[Cell]) -> list[Outcome]:
    """Do cells one after another in this process, whose linear algebra has one thread; each is on the disk before it counts.

    What goes wrong with one cell is its outcome, and the next one is tried. A worker that cannot open the run gives cells back.

    Raises:
        StorageError: when the disk is full, or kept volumes are damaged.
    """
    try:
        workspace = _opened(job)
    except Exception as error:
        # of this worker and not of the cells: others may be able to do them
        time.sleep(WAIT_S)
        return [
            Outcome(cell, 0.0, f"a worker on {socket.gethostname()} cannot take part: {error}", False) for cell in cells
        ]
    return [_outcome(workspace, cell, job.again) for cell in cells]


def work_in_thread(job: Job, cells: Sequence[Cell]) -> list[Outcome]:
    """As `work`, in a process that others have started and in any of its threads, one at a time."""
    # device, precision and threads are the process's own
    with _turn:
        if not getattr(_limited, "done", False):
            # OpenMP keeps the number for every thread by itself
            torch.set_num_threads(1)
            threadpool_limits(1)
            _limited.done = True
        return work(job, cells)


def _outcome(workspace: Workspace, cell: Cell, again: bool) -> Outcome:
    started, error = time.perf_counter(), ""
    try:
        run_cell(workspace, cell, again)
    except StorageError:
        raise
    except Exception as found:
        error = f"{type(found).__name__}: {found}"
    return Outcome(cell, time.perf_counter() - started, error)


_turn = threading.Lock()
_device: str = "auto"
_open: dict[Job, Workspace] = {}
_limited = threading.local()


def start(places: "Places | None" = None) -> None:
    """Begin a worker process of this machine, with the next graphics card where there are some."""
    global _device
    start_worker()
    if places is not None:
        _device = places.take()


class Places:
    """Which card each worker process of this machine takes: in turn, so that more workers than cards share them.

    Args:
        counter: a number that all processes share (multiprocessing.Value), or anything with `value` and `get_lock()`.
        cards: how many NVIDIA GPUs there are.
    """

    def __init__(self, counter: object, cards: int) -> None:
        self.counter, self.cards = counter, cards

    def take(self) -> str:
        """The device of the next worker."""
        with self.counter.get_lock():  # type: ignore[attr-defined]
            place = self.counter.value  # type: ignore[attr-defined]
            self.counter.value = place + 1  # type: ignore[attr-defined]
        return f"cuda:{place % self.cards}" if self.cards else "auto"


def _opened(job: Job) -> Workspace:
    key = replace(job, again=False)
    if key not in _open:
        _require_versions(job)
        if not (job.folder / STUDY).is_file():
            raise InputError(f"it does not see {str(job.folder / STUDY)!r}; all workers need one file system")
        if _identity(job.folder) != job.identity:
            raise InputError(f"what it sees in {str(job.folder)!r} is another run; all workers need one file system")
        forget()
        workspace = open_workspace(job.folder, job.base)
        engine = engine_of(job.folder, workspace.study)
        use(replace(engine, threads=1, device=_device if engine.device == "auto" else engine.device))
        _open[key] = workspace
    return _open[key]


def forget() -> None:
    """Let go of the run that was worked on, so that a worker that outlives it does not keep its features."""
    _open.clear()
    prepared.cache_clear()
    labels_of.cache_clear()


def _require_versions(job: Job) -> None:
    own = tuple(package_version(name) for name in VERSIONS)
    if own != job.versions:
        found, wanted = (
            ", ".join(f"{name} {version}" for name, version in zip(VERSIONS, versions, strict=True))
            for versions in (own, job.versions)
        )
        raise InputError(f"it has {found}, the run has {wanted}; start the workers from the same environment")
