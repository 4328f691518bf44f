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
    """Processes that each begin with `start`; when something goes wrong here, they are stopped at once."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=start, initargs=arguments)
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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
