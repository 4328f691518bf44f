"""Who does the cells: this process, processes of this machine, or Dask workers; each a `concurrent.futures.Executor`."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from neurotransfer.benchmark.work import Outcome, Places, forget, start, work
from neurotransfer.workers import one_thread, pool_of


def nobody() -> bool:
    """Nothing to look after: what a team answers that cannot be lost."""
    return False


@dataclass(frozen=True)
class Team:
    """Workers that take cells.

    Attributes:
        executor: to which work is submitted.
        size: how many cells can be done at once; 0 while workers are waited for.
        task: what is submitted: job and cells in, outcomes out.
        broken: errors that say that workers died and the executor with them; another team has to be opened.
        died: errors that say that a worker died of this work, and that others go on.
        lost: whether the scheduler cannot be reached any more.
        text: who they are, for the reader.
        link: the page on which they can be watched, empty without one.
    """

    executor: Executor
    size: Callable[[], int]
    text: str
    task: Callable[..., list[Outcome]] = work
    broken: tuple[type[BaseException], ...] = (BrokenExecutor,)
    died: tuple[type[BaseException], ...] = ()
    lost: Callable[[], bool] = nobody
    link: str = ""


# opens a team of a size, or of all workers that were asked for
Opened = Callable[[int | None], AbstractContextManager[Team]]


class Here(Executor):
    """Does what is submitted at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """A future that is done already; only what stops the whole process is raised here."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def this_process(size: int | None = None) -> Iterator[Team]:
    """The team that is this process alone, with one thread as in a worker."""
    with one_thread():
        try:
            yield Team(Here(), lambda: 1, "this process")
        finally:
            forget()


def processes(workers: int) -> Opened:
    """Processes of this machine, each with one thread; on a machine with NVIDIA GPUs each takes one, or a share of it."""

    @contextmanager
    def opened(size: int | None = None) -> Iterator[Team]:
        count, cards = size or workers, _cards()
        counter = multiprocessing.get_context("spawn").Value("i", 0)
        with pool_of(count, start, (Places(counter, cards),)) as pool:
            shared = f" on {cards} GPU{'s' * (cards != 1)}" if cards else ""
            yield Team(pool, lambda: count, f"{count} process{'es' * (count != 1)} of this machine{shared}")

    return opened


def _cards() -> int:
    import torch

    from neurotransfer.training import current

    chosen = current().device
    # a card that was asked for by its number is everybody's
    return torch.cuda.device_count() if chosen.type == "cuda" and chosen.index is None else 0
