"""Dask as the team: a scheduler that runs somewhere, a queueing system of a cluster, or workers of this machine."""

import importlib.util
import logging
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import Field

from neurotransfer.benchmark.teams import Opened, Team
from neurotransfer.benchmark.work import work_in_thread
from neurotransfer.errors import InputError, unknown
from neurotransfer.pretrain.parts import Part, parse, read_toml

# what runs the jobs: the class of dask-jobqueue, and what its jobs are asked for beside processes and memory
SYSTEMS = {"slurm": "SLURMCluster", "lsf": "LSFCluster", "pbs": "PBSCluster", "sge": "SGECluster"}
LOCAL = "local"
# how a GPU is asked for, where the system has a usual way; {gpus} is the number
GPU_LINES = {"slurm": "--gres=gpu:{gpus}", "lsf": '-gpu "num={gpus}"', "pbs": "", "sge": ""}
# settings to copy, which come with the package
TEMPLATE = Path(__file__).with_name("cluster.toml")
ADDRESS = re.compile(r"^(\w+://)?[\w.\[\]:-]*:\d+$")
SIZE_CHECKED_EVERY_S = 2.0
PATIENCE_S = 30
# a job whose workers are all gone for so long is asked for anew; Dask itself ends what is left of it after 15 s
LOOKED_EVERY_S, GONE_AFTER_S = 1.0, 30.0


class ClusterPart(Part):
    """The jobs of a queueing system: what one job is, and how many of them there are.

    `processes` of a job share its memory and its GPUs; each does one cell at a time with one thread. `jobs` is how many jobs
    are asked for; `--workers` when it is not given. What else the system wants stands in `directives` (lines of the head of
    the job script), what a job has to do before its workers start in `before` (lines of shell). What is sent between jobs is
    encrypted, and nobody else on the cluster can send work, unless `encrypted` is false.
    """

    system: Literal["slurm", "lsf", "pbs", "sge"]
    jobs: int = Field(0, ge=0)
    processes: int = Field(1, ge=1)
    memory: str = Field(pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$")
    time: str = ""
    queue: str = ""
    account: str = ""
    gpus: int = Field(0, ge=0)
    encrypted: bool = True
    interface: str = ""
    local_folder: str = ""
    directives: tuple[str, ...] = ()
    before: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """The same as arguments of the classes of dask-jobqueue."""
        lines = [*self.directives]
        if self.gpus and GPU_LINES[self.system]:
            lines.append(GPU_LINES[self.system].format(gpus=self.gpus))
        named = {
            "walltime": self.time, "queue": self.queue, "interface": self.interface, "local_directory": self.local_folder,
            ("project" if self.system in ("lsf", "sge") else "account"): self.account,
        }  # fmt: skip
        return {
            "cores": self.processes, "processes": self.processes, "memory": self.memory,
            "job_extra_directives": lines, "job_script_prologue": list(self.before),
            **{name: value for name, value in named.items() if value},
        }  # fmt: skip


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
    if cluster in (LOCAL, *SYSTEMS) or cluster.endswith(".json") or ADDRESS.match(cluster):
        return None
    if not cluster.endswith(".toml"):
        kinds = f"{unknown('cluster', cluster, (LOCAL, *SYSTEMS))}; or give a file of settings (cluster.toml)"
        raise InputError(f"{kinds}, the address of a Dask scheduler (host:8786), or its file (scheduler.json)")
    return parse(ClusterPart, read_toml(cluster, "that of docs/cluster.md"), cluster, {})


@contextmanager
def _scheduler(cluster: str, part: ClusterPart | None, size: int, shared: Path) -> Iterator[tuple[Any, str]]:
    """What a client connects to, and what to call it."""
    if part is not None:
        # of a command that was killed; a run has one command at a time
        for left in shared.glob(".keys-*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".keys-", dir=shared) as keys:
            secret = {"security": _security(Path(keys))} if part.encrypted else {}
            with _jobs(part.system, part.options | secret, part.jobs or size) as found:
                yield found
    elif cluster in SYSTEMS:
        with _jobs(cluster, {}, size) as found:
            yield found
    elif cluster == LOCAL:
        import distributed

        with distributed.LocalCluster(
            n_workers=size, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        ) as found:
            yield found, f"{size} Dask workers of this machine"
    else:
        yield cluster, f"the Dask scheduler {cluster}"


def _security(folder: Path) -> Any:
    """Keys and a certificate of this run alone, in files that only the user can read."""
    from distributed.security import Security

    made, paths = Security.temporary(), {}
    for name in [
        "tls_ca_file",
        *(f"tls_{role}_{kind}" for role in ("client", "scheduler", "worker") for kind in ("cert", "key")),
    ]:
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(getattr(made, name), encoding="utf-8")
        paths[name] = str(path)
    return Security(require_encryption=True, **paths)


@contextmanager
def _quiet() -> Iterator[None]:
    """What Dask says of workers that come and go is not the reader's; what matters is said by the run."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado.application")]
    handlers = [logger.handlers for logger in loggers]
    for logger in loggers:
        logger.handlers = [logging.NullHandler()]
    try:
        yield
    finally:
        for logger, kept in zip(loggers, handlers, strict=True):
            logger.handlers = kept


@contextmanager
def _jobs(system: str, options: Mapping[str, Any], jobs: int) -> Iterator[tuple[Any, str]]:
    from tornado.ioloop import PeriodicCallback

    try:
        found = getattr(_jobqueue(), SYSTEMS[system])(**options)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).partition(", for example")[0]
        raise InputError(
            f"jobs of {system} cannot be described ({reason}); give their memory, time, queue and account in a file "
            "(docs/cluster.md has one to copy): --cluster cluster.toml"
        ) from None
    with found:
        try:
            found.sync(_ask, found, jobs)
        except (RuntimeError, OSError) as error:
            raise InputError(f"{system} does not take the jobs: {_said(error)}; mend the file of settings") from None
        kept = PeriodicCallback(_Kept(found, jobs), 1000 * LOOKED_EVERY_S)
        # in the thread of Dask, which changes the same lists
        found.loop.add_callback(kept.start)
        try:
            yield found, f"{jobs} job{'s' * (jobs != 1)} of {system}"
        finally:
            found.loop.add_callback(kept.stop)


def _jobqueue() -> ModuleType:
    """The package dask_jobqueue, whose import would make of Ctrl-C an end without a word and with code 0."""
    handler = signal.getsignal(signal.SIGINT)
    import dask_jobqueue

    if signal.getsignal(signal.SIGINT) is not handler:
        signal.signal(signal.SIGINT, handler)
    return dask_jobqueue


async def _ask(cluster: Any, jobs: int) -> None:
    """Hand in as many jobs as are missing; raises RuntimeError or OSError when the queueing system does not take them."""
    from distributed.core import Status

    cluster.scale(jobs=jobs)
    try:
        await cluster
    except (RuntimeError, OSError):
        for job in cluster.workers.values():
            if job.job_id is None:
                job.status = Status.failed
        raise


def _said(error: Exception) -> str:
    """What the command of a queueing system had to say, of a longer message of dask-jobqueue."""
    return " ".join(str(error).rpartition("stderr:")[2].split())


class _Kept:
    """Asks anew for jobs whose workers came and are all gone: their time was over, their node failed, somebody ended them.

    Dask does it neither for `scale` nor, where a job has several processes, for `adapt`.
    """

    def __init__(self, cluster: Any, jobs: int) -> None:
        self.cluster, self.jobs = cluster, jobs
        self.seen: dict[str, float] = {}

    async def __call__(self) -> None:
        if self.cluster.status.name != "running":
            return
        now = time.monotonic()
        for name, job in self.cluster.workers.items():
            if job.job_id is None:
                # it could not be handed in
                self.seen.setdefault(name, now)
        for worker in self.cluster.scheduler_info["workers"].values():
            self.seen[self._job(str(worker["name"]))] = now
        gone = [job for job, last in self.seen.items() if now - last > GONE_AFTER_S]
        if gone:
            for job in gone:
                del self.seen[job]
            # the queueing system may be out of order for a while: next time again
            with suppress(RuntimeError, OSError):
                await self.cluster.scale_down(gone)
                await _ask(self.cluster, self.jobs)

    def _job(self, worker: str) -> str:
        # the processes of a job are called after it, with a number behind
        return worker if worker in self.cluster.worker_spec else worker.rpartition("-")[0]


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
            # of scheduler_info() some versions of Dask tell five workers only
            self.found, self.asked = len(self.client.nthreads()), time.monotonic()
        return self.found
