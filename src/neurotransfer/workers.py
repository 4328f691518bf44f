"""What every process of ours does when it starts: one thread, no answer to Ctrl-C, an end when its parent ends."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for_handles
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

PATIENCE_S = 5


def start_worker() -> None:
    """Begin a worker process: linear algebra in one thread, so that results do not depend on the number of workers."""
    # the parent hears Ctrl-C and decides
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threadpool_limits(1)


def _end(number: int, frame: object) -> None:
    # a second signal must not cut short what the first one began
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # a pool takes what a job raises for its result, and then waits for the next job, which may never come
    signal.alarm(PATIENCE_S)
    raise SystemExit(128 + number)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_handles([parent.sentinel])
        # first as Ctrl-C would, so that temporary files and processes of other tools go too
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE_S)
        os._exit(1)


@contextmanager
def pool_of(workers: int, start: Callable[..., None], arguments: tuple[Any, ...] = ()) -> Iterator[ProcessPoolExecutor]:
    """Processes that each begin with `start`; when something goes wrong here, they are stopped at once.

    A job that runs has `PATIENCE_S` seconds to clean up.
    """
    context = multiprocessing.get_context("spawn")
    pool: Any = ProcessPoolExecutor(workers, mp_context=context, initializer=start, initargs=arguments)
    # all begin at once: a pool in which one dies overlooks another that is just beginning, and waits for it
    pool._safe_to_dynamically_spawn_children = False
    ended = threading.Event()
    threading.Thread(target=_watch, args=(pool, ended), daemon=True).start()
    try:
        yield pool
    except BaseException:
        _stop(pool)
        raise
    finally:
        try:
            pool.shutdown(wait=True, cancel_futures=True)
        finally:
            ended.set()


def _processes(pool: ProcessPoolExecutor) -> list[Any]:
    return list((pool._processes or {}).values())


def _stop(pool: ProcessPoolExecutor) -> None:
    for process in _processes(pool):
        process.terminate()


def _watch(pool: ProcessPoolExecutor, ended: threading.Event) -> None:
    """Break a pool that does not see that a process died, because it waits for the rest of what that was sending."""
    dead: set[int] = set()
    while not ended.wait(PATIENCE_S):
        before = dead
        dead = {process.sentinel for process in _processes(pool) if wait_for_handles([process.sentinel], 0)}
        if dead & before and not pool._broken:
            _stop(pool)
            results: Any = pool._result_queue
            # nobody is left then who could send the rest, and the pool reads the end of the pipe; it closes the number itself
            with Path(os.devnull).open("wb") as nothing:
                os.dup2(nothing.fileno(), results._writer.fileno())
            return


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch and for linear algebra, as in a worker: the number of threads changes the order of sums."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
