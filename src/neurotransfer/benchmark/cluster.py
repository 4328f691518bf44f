"""Dask as the team: a scheduler that runs somewhere, a queueing system of a cluster, or workers of this machine."""

import importlib
import importlib.util
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from neurotransfer.artifacts import is_file
from neurotransfer.benchmark.jobs import LOOKED_EVERY_S, SYSTEMS, ClusterPart, jobs_of, security
from neurotransfer.benchmark.teams import Opened, Team
from neurotransfer.benchmark.work import work_in_thread
from neurotransfer.errors import InputError, unknown
from neurotransfer.pretrain.parts import parse, read_toml

LOCAL = "local"
ADDRESS = re.compile(r"^(\w+://)?[\w.\[\]:-]*:\d+$")
SIZE_CHECKED_EVERY_S = 2.0
PATIENCE_S = 30


def dask_team(cluster: str, workers: int, shared: Path) -> Opened:
    """Opens the team that `--cluster` names.

    Args:
        cluster: `local`, a queueing system, a TOML file of [ClusterPart], the address of a scheduler, or its file (.json).
        workers: processes of `local`, jobs of a queueing system whose file does not say how many.
        shared: a folder that all workers see, for the keys of a run's jobs.

    Raises:
        InputError: when it is none of these, the file is wrong, or the extra `cluster` is not installed.
    """
    if importlib.util.find_spec("distributed") is None or importlib.util.find_spec("dask_jobqueue") is None:
        raise InputError("--cluster needs Dask; install it: pip install 'neurotransfer[cluster]'")
    part = _part(cluster)

    @contextmanager
    def opened(size: int | None = None) -> Iterator[Team]:
        with _quiet(), _scheduler(cluster, part, size or workers, shared) as (target, text), _client(target) as client:
            yield _team(client, text)

    return opened


def _part(cluster: str) -> ClusterPart | None:
    if cluster.endswith(".json") and not is_file(Path(cluster)):
        raise InputError(
            f"there is no scheduler file {cluster!r}; `dask scheduler --scheduler-file {cluster}` writes it"
        )
    if cluster in (LOCAL, *SYSTEMS) or cluster.endswith(".json") or ADDRESS.match(cluster):
        return None
    if not cluster.endswith(".toml"):
        raise InputError(
            f"{unknown('cluster', cluster, (LOCAL, *SYSTEMS))} Or give a file of settings (cluster.toml), the address of a Dask "
            "scheduler (host:8786), or its file (scheduler.json)"
        )
    return parse(ClusterPart, read_toml(cluster, "that of docs/cluster.md", "file of settings"), cluster, {})


@contextmanager
def _scheduler(cluster: str, part: ClusterPart | None, size: int, shared: Path) -> Iterator[tuple[Any, str]]:
    """What a client connects to, and what to call it."""
    if part is not None:
        # of a command that was killed; a run has one command at a time
        for left in shared.glob(".keys-*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".keys-", dir=shared) as keys:
            secret = {"security": security(Path(keys))} if part.encrypted else {}
            with jobs_of(part.system, part.options | secret, part.jobs or size) as found:
                yield found
    elif cluster in SYSTEMS:
        with jobs_of(cluster, {}, size) as found:
            yield found
    elif cluster == LOCAL:
        with _here(size) as found:
            yield found, f"{size} Dask workers of this machine"
    else:
        yield cluster, f"the Dask scheduler {cluster}"


@contextmanager
def _here(size: int) -> Iterator[Any]:
    import distributed
    from dask import config
    from tornado.ioloop import PeriodicCallback

    def keep_all() -> None:
        # a worker that dies while it begins is not begun again by itself
        for name, worker in list(found.workers.items()):
            if worker.status.name in ("failed", "closed"):
                del found.workers[name]
        found.scale(size)

    # on this machine whoever is gone has ended
    with (
        config.set({"distributed.deploy.lost-worker-timeout": "1s"}),
        distributed.LocalCluster(
            # other users of the machine reach its ports too
            n_workers=0,
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
            security=True,
        ) as found,
    ):
        found.scale(size)
        kept = PeriodicCallback(keep_all, 1000 * LOOKED_EVERY_S)
        found.loop.add_callback(kept.start)
        try:
            yield found
        finally:
            found.loop.add_callback(kept.stop)


@contextmanager
def _quiet() -> Iterator[None]:
    """What Dask says of workers that come and go is not the reader's; what matters is said by the run."""
    # it gives handlers to its loggers when it is imported
    importlib.import_module("distributed")
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    loggers = [logging.getLogger(name) for name in [*names, "tornado.application"]]
    handlers = [logger.handlers for logger in loggers]
    for logger in loggers:
        logger.handlers = [logging.NullHandler()]
    try:
        yield
    finally:
        for logger, kept in zip(loggers, handlers, strict=True):
            logger.handlers = kept


@contextmanager
def _client(target: Any) -> Iterator[Any]:
    import distributed

    given = {"scheduler_file": target} if isinstance(target, str) and target.endswith(".json") else {"address": target}
    try:
        client = distributed.Client(**given, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"no Dask scheduler answers at {target!r} ({error}); start one with `dask scheduler`, or look at the address"
        ) from None
    with client:
        yield client


def _team(client: Any, text: str) -> Team:
    from distributed.scheduler import KilledWorker, NoValidWorkerError

    return Team(
        client.get_executor(pure=False),
        _Counted(client),
        text,
        task=work_in_thread,
        broken=(),
        died=(KilledWorker, NoValidWorkerError),
        lost=lambda: client.status not in ("running", "connecting"),
        link=client.dashboard_link if "dashboard" in client.scheduler_info()["services"] else "",
    )


class _Counted:
    """How many workers a scheduler has, asked for now and then only."""

    def __init__(self, client: Any) -> None:
        self.client, self.found, self.asked = client, 0, float("-inf")

    def __call__(self) -> int:
        if time.monotonic() - self.asked > SIZE_CHECKED_EVERY_S and self.client.status == "running":
            # of scheduler_info() some versions of Dask tell five workers only; in the moment it dies a scheduler tells nothing
            with suppress(OSError):
                self.found, self.asked = len(self.client.nthreads()), time.monotonic()
        return self.found
