"""Jobs of a queueing system as Dask workers: what one is asked for, its keys, and another one when it ends."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import Field

from neurotransfer.errors import InputError
from neurotransfer.pretrain.parts import Part

# what runs the jobs: the class of dask-jobqueue, and what its jobs are asked for beside processes and memory
SYSTEMS = {"slurm": "SLURMCluster", "lsf": "LSFCluster", "pbs": "PBSCluster", "sge": "SGECluster"}
# how a GPU is asked for, where the system has a usual way; {gpus} is the number
GPU_LINES = {"slurm": "--gres=gpu:{gpus}", "lsf": '-gpu "num={gpus}"', "pbs": "", "sge": ""}
# settings to copy, which come with the package
TEMPLATE = Path(__file__).with_name("cluster.toml")
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


@contextmanager
def jobs_of(system: str, options: Mapping[str, Any], jobs: int) -> Iterator[tuple[Any, str]]:
    """A Dask cluster whose workers are jobs, and what to call it; jobs that end are replaced.

    Raises:
        InputError: when the system needs to know more of a job, or does not take it.
    """
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
        kept = PeriodicCallback(Kept(found, jobs), 1000 * LOOKED_EVERY_S)
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


class Kept:
    """Asks anew for jobs whose workers came and are all gone: their time was over, their node failed, somebody ended them.

    Dask does it neither for `scale` nor, where a job has several processes, for `adapt`.
    """

    def __init__(self, cluster: Any, jobs: int) -> None:
        self.cluster, self.jobs = cluster, jobs
        self.seen: dict[str, float] = {}

    async def __call__(self) -> None:
        """Look who is gone, and ask for others in their place."""
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


def security(folder: Path) -> Any:
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
