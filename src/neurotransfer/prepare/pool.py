"""Prepare many scans in several processes: what fails is told, what kills its process does not take others with it."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from neurotransfer.errors import NeurotransferError, StorageError, is_no_memory
from neurotransfer.prepare.job import Job
from neurotransfer.prepare.source import Source
from neurotransfer.workers import one_thread, pool_of, start_worker

Result = Mapping[str, Any] | str
DIED = "its process died twice (killed, or out of memory); run the same command again, with fewer --workers if memory was short"


def prepare_all(
    sources: Sequence[Source], job: Job, workers: int, on_scan: Callable[[], object]
) -> Iterator[tuple[Source, Result]]:
    """Every scan with its sidecar, or with the reason why it failed, as they come.

    With one worker all is done in this process. With more, a scan whose process was killed is tried once more, alone.

    Raises:
        StorageError: when the output cannot be written: then no scan can be.
    """
    if workers == 1:
        with one_thread():
            for source in sources:
                yield source, _prepared(source, job)
                on_scan()
        return
    suspects: list[Source] = []
    for source, result in _by(sources, job, workers, suspects):
        on_scan()
        yield source, result
    for source in suspects:
        alone: list[Source] = []
        yield from _by([source], job, 1, alone)
        on_scan()
        if alone:
            yield source, DIED


def _by(sources: Sequence[Source], job: Job, workers: int, died: list[Source]) -> Iterator[tuple[Source, Result]]:
    """Those that ended; those whose process died are added to `died`."""
    left = deque(sources)
    while left:
        with pool_of(min(workers, len(left)), _start) as pool:
            waiting: dict[Future[Result], Source] = {}
            try:
                while left or waiting:
                    while left and len(waiting) < workers:
                        waiting[pool.submit(_prepared, left[0], job)] = left[0]
                        left.popleft()
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        yield waiting.pop(future), result
            except BrokenProcessPool:
                died.extend(waiting.values())


def _start() -> None:
    start_worker()
    # torch, which only a head with its skull needs, is not loaded yet and takes its threads from here
    os.environ["OMP_NUM_THREADS"] = "1"


def _prepared(source: Source, job: Job) -> Result:
    from neurotransfer.prepare.one import prepare_source

    try:
        return prepare_source(source, job)
    except StorageError:
        raise
    except NeurotransferError as error:
        return str(error)
    except Exception as error:
        if is_no_memory(error):
            return f"not enough memory ({error}); run the same command again with fewer --workers"
        return f"a failure of ours, please report it: {type(error).__name__}: {error}"
