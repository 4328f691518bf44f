"""Dask as the team: what --cluster may be, what a queueing system is asked for, and real workers of this machine."""

import asyncio
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark import cluster as cluster_module
from neurotransfer.benchmark import jobs as jobs_module
from neurotransfer.benchmark.cluster import dask_team
from neurotransfer.benchmark.jobs import SYSTEMS, ClusterPart
from neurotransfer.errors import InputError, StudyError

# Dask leaves sockets and loops to the garbage collector
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # somebody else on this machine may use Dask
    pytest.mark.filterwarnings("ignore:Port 8787 is already in use"),
]


@pytest.mark.parametrize(
    "cluster", ["local", *SYSTEMS, "tcp://10.0.0.1:8786", "node3:8786", "[::1]:8786", "tls://h.uni.no:8786"]
)
def test_names_addresses_and_files_of_schedulers_are_known(cluster, tmp_path):
    assert callable(dask_team(cluster, 2, tmp_path))


@pytest.mark.parametrize("cluster", ["slrum", "node3", "cluster.yaml", "http//x", ""])
def test_anything_else_is_refused_with_what_is_allowed(cluster, tmp_path):
    with pytest.raises(InputError, match=r"unknown cluster .*allowed: local, slurm, lsf, pbs, sge.*file of settings"):
        dask_team(cluster, 2, tmp_path)


def test_the_extra_is_named_when_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'neurotransfer\[cluster\]'"):
        dask_team("local", 2, tmp_path)


def test_all_that_is_wrong_with_a_file_of_settings_is_said_at_once(tmp_path):
    (tmp_path / "cluster.toml").write_text('system = "slurm"\nmemory = "lots"\nprocesses = 0\nqeue = "gpu"\n')
    with pytest.raises(StudyError, match="3 problems") as found:
        dask_team(str(tmp_path / "cluster.toml"), 2, tmp_path)
    assert "did you mean 'queue'" in str(found.value)


def script_of(part):
    import dask_jobqueue

    with getattr(dask_jobqueue, SYSTEMS[part.system])(
        **part.options, scheduler_options={"dashboard_address": None}
    ) as jobs:
        return jobs.job_script()


def part_of(**changes):
    values = {"system": "slurm", "memory": "16 GB", "time": "12:00:00", "queue": "gpu", "account": "p33"}
    return ClusterPart(**values | changes)


def test_a_slurm_job_asks_for_what_the_settings_say():
    script = script_of(
        part_of(processes=2, gpus=1, directives=("--constraint=a100",), before=("module load Python", "date"))
    )
    for line in (
        "-A p33",
        "-p gpu",
        "-t 12:00:00",
        "--gres=gpu:1",
        "--constraint=a100",
        "--cpus-per-task=2",
        "--mem=15G",
    ):
        assert f"#SBATCH {line}\n" in script
    assert "\nmodule load Python\ndate\n" in script
    # a process does one cell at a time
    assert "--nworkers 2" in script
    assert "--nthreads 1" in script


@pytest.mark.parametrize(
    ("system", "lines"),
    [
        ("lsf", ['#BSUB -P "p33"', "#BSUB -q gpu", '#BSUB -gpu "num=2"']),
        ("pbs", ["#PBS -A p33", "#PBS -q gpu", "#PBS -l walltime=12:00:00"]),
        ("sge", ["#$ -P p33", "#$ -q gpu", "#$ -l h_rt=12:00:00"]),
    ],
)
def test_other_systems_are_asked_in_their_own_words(system, lines, monkeypatch, tmp_path):
    # dask-jobqueue asks LSF for its units of memory
    (tmp_path / "lsf.conf").write_text("LSF_UNIT_FOR_LIMITS=MB\n")
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path))
    script = script_of(part_of(system=system, gpus=2))
    for line in lines:
        assert line in script


def test_a_system_without_settings_says_where_to_find_them(tmp_path):
    with (
        pytest.raises(InputError, match=r"jobs of slurm cannot be described .*docs/cluster.md"),
        dask_team("slurm", 1, tmp_path)(),
    ):
        pass


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster_module, "PATIENCE_S", 1)
    with (
        pytest.raises(InputError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:1'"),
        dask_team("tcp://127.0.0.1:1", 1, tmp_path)(),
    ):
        pass


def test_the_settings_that_come_with_the_package_are_settings():
    found = cluster_module._part(str(jobs_module.TEMPLATE))
    assert (found.system, found.processes, found.gpus) == ("slurm", 1, 1)
    for system in SYSTEMS:
        assert ClusterPart(**found.model_dump() | {"system": system}).options["cores"] == 1


@pytest.fixture(scope="module")
def study(tiny_values):
    head = {"penalty": [1.0]}
    return parse_study(
        tiny_values
        | {
            "strategies": [
                {"strategy": "linear", "grid": head},
                {"strategy": "frozen", "model": "multi", "grid": head},
                {"strategy": "baseline", "grid": {"lr": [1e-3], "dropout": [0.0, 0.25]}},
            ],
            "protocol": {"sizes": [10], "replicates": 2},
        }
    )


def same(one, other):
    for name in ("results.parquet", "predictions.parquet"):
        first, second = (
            pd.read_parquet(folder / name).drop(columns="seconds", errors="ignore") for folder in (one, other)
        )
        pd.testing.assert_frame_equal(first, second, check_exact=True)


@pytest.mark.slow
def test_workers_of_dask_and_of_a_queueing_system_give_the_table_of_one_process(study, tmp_path, monkeypatch):
    benchmark(study, tmp_path / "one")
    told = []
    benchmark(study, tmp_path / "local", workers=2, cluster="local", tell=told.append)
    same(tmp_path / "one", tmp_path / "local")
    assert any("2 Dask workers of this machine can be watched at http://" in text for text in told)
    for workers in (2, 4):
        benchmark(study, tmp_path / f"processes {workers}", workers=workers)
        same(tmp_path / "one", tmp_path / f"processes {workers}")
    # a stand-in for the commands of SLURM: it runs the job's script on this machine
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "sbatch").write_text(
        f'#!/bin/sh\ncp "$1" "{tmp_path}/job.sh"\nsetsid sh "{tmp_path}/job.sh" >"{tmp_path}/job.log" 2>&1 &\n'
        'echo "Submitted batch job $!"\n'
    )
    (bin_ / "scancel").write_text('#!/bin/sh\nkill -- -"$1"\n')
    for name in ("sbatch", "scancel"):
        (bin_ / name).chmod((bin_ / name).stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "cluster.toml").write_text(
        'system = "slurm"\njobs = 1\nprocesses = 2\nmemory = "4 GB"\ntime = "1:00:00"\n'
    )
    benchmark(study, tmp_path / "jobs", cluster=str(tmp_path / "cluster.toml"))
    same(tmp_path / "one", tmp_path / "jobs")
    assert "#SBATCH -t 1:00:00" in (tmp_path / "job.sh").read_text()
    assert sys.executable in (tmp_path / "job.sh").read_text()
    # encrypted, with keys that are gone afterwards
    assert "tls://" in (tmp_path / "job.sh").read_text()
    assert not list((tmp_path / "jobs").glob(".keys-*"))


PAGE = Path(__file__).resolve().parents[2] / "docs" / "cluster.md"


def test_the_settings_in_the_docs_are_those_that_come_with_the_package():
    text = PAGE.read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert shown == jobs_module.TEMPLATE.read_text(encoding="utf-8")
    # and every key has a row
    assert set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE)) >= set(ClusterPart.model_fields)


def test_ctrl_c_stays_what_it_was_when_dask_jobqueue_is_imported(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "dask_jobqueue"]:
        monkeypatch.delitem(sys.modules, name)
    before = signal.getsignal(signal.SIGINT)
    assert jobs_module._jobqueue().__name__ == "dask_jobqueue"
    assert signal.getsignal(signal.SIGINT) is before


def test_all_workers_are_counted_and_asked_for_now_and_then_only():
    asked = []
    client = SimpleNamespace(
        status="running", nthreads=lambda: asked.append(1) or {f"tcp://10.0.0.{k}:1": 1 for k in range(9)}
    )
    counted = cluster_module._Counted(client)
    assert [counted(), counted()] == [9, 9]
    assert len(asked) == 1


class Jobs:
    """What `_Kept` sees of a cluster of dask-jobqueue: jobs a, b of two processes, c of one."""

    def __init__(self):
        self.status = SimpleNamespace(name="running")
        self.workers = {name: SimpleNamespace(job_id="1") for name in "abc"}
        self.worker_spec = dict.fromkeys("abc")
        self.down, self.asked = [], 0
        self.has("a-0", "a-1", "b-0", "b-1", "c")

    def has(self, *names):
        self.scheduler_info = {"workers": {str(k): {"name": name} for k, name in enumerate(names)}}

    async def scale_down(self, names):
        self.down += sorted(names)

    def scale(self, jobs):
        assert jobs == 3
        self.asked += 1

    def __await__(self):
        yield from ()


@pytest.fixture
def looked(monkeypatch):
    """A function that has `_Kept` look at jobs after so many seconds more."""
    clock = [0.0]
    monkeypatch.setattr(jobs_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def look(kept, seconds):
        clock[0] += seconds
        asyncio.run(kept())
        return kept.cluster.down

    return look


def test_a_job_is_asked_for_anew_when_all_its_workers_are_gone_for_long(looked):
    jobs = Jobs()
    kept = jobs_module.Kept(jobs, 3)
    assert looked(kept, 1) == []
    jobs.has("a-1", "b-0")
    assert looked(kept, 29) == []
    assert looked(kept, 2) == ["c"]
    # once only, until it has come again
    assert looked(kept, 1000) == ["c"]
    jobs.has("b-0")
    assert looked(kept, 31) == ["c", "a"]
    assert jobs.asked == 2


def test_a_job_that_waits_in_the_queue_is_left_there_and_one_that_was_not_taken_is_handed_in_again(looked):
    jobs = Jobs()
    jobs.has()
    kept = jobs_module.Kept(jobs, 3)
    assert looked(kept, 1) == looked(kept, 10_000) == []
    jobs.workers["b"].job_id = None
    assert looked(kept, 1) == []
    assert looked(kept, 31) == ["b"]


def test_nothing_is_asked_for_while_the_jobs_are_being_ended(looked):
    jobs = Jobs()
    kept = jobs_module.Kept(jobs, 3)
    looked(kept, 1)
    jobs.has()
    jobs.status.name = "closing"
    assert looked(kept, 1000) == []


def commands(folder, monkeypatch, **scripts):
    """Stand-ins for commands of a queueing system, found before all others."""
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_what_the_queueing_system_says_of_jobs_that_it_refuses_is_told(tmp_path, monkeypatch):
    commands(tmp_path / "bin", monkeypatch, sbatch='echo "sbatch: error: no such account" >&2; exit 1', scancel="true")
    (tmp_path / "cluster.toml").write_text('system = "slurm"\nmemory = "1 GB"\nencrypted = false\n')
    with (
        pytest.raises(InputError, match=r"slurm does not take the jobs: sbatch: error: no such account; mend"),
        dask_team(str(tmp_path / "cluster.toml"), 2, tmp_path)(),
    ):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_job_that_ends_in_the_middle_is_replaced(processes, tmp_path, monkeypatch):
    import dask

    monkeypatch.setattr(jobs_module, "LOOKED_EVERY_S", 0.2)
    monkeypatch.setattr(jobs_module, "GONE_AFTER_S", 2.0)
    job = f'setsid sh "{tmp_path}/job.sh" >/dev/null 2>&1 &\necho "job $!" | tee -a "{tmp_path}/jobs"'
    commands(tmp_path / "bin", monkeypatch, sbatch=f'cp "$1" "{tmp_path}/job.sh"\n{job}', scancel='kill -- -"$1"')
    (tmp_path / "cluster.toml").write_text(f'system = "slurm"\nmemory = "1 GB"\nprocesses = {processes}\n')
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "0.5s"}),
        dask_team(str(tmp_path / "cluster.toml"), 1, tmp_path)() as team,
    ):
        for ended in range(2):
            answer = team.executor.submit(os.getpid)
            assert answer.result(timeout=60) > 0
            (*_, last) = (tmp_path / "jobs").read_text().split()
            assert len((tmp_path / "jobs").read_text().splitlines()) == ended + 1
            # looked at
            time.sleep(0.5)
            subprocess.run(["kill", "-9", "--", f"-{last}"], check=True)
            time.sleep(0.5)
        assert team.executor.submit(os.getpid).result(timeout=60) > 0


def test_keys_that_a_killed_command_left_are_removed(tmp_path, monkeypatch):
    (tmp_path / ".keys-old").mkdir()
    (tmp_path / ".keys-old" / "tls_ca_file").write_text("secret")
    commands(tmp_path / "bin", monkeypatch, sbatch="exit 1", scancel="true")
    (tmp_path / "cluster.toml").write_text('system = "slurm"\nmemory = "1 GB"\n')
    with pytest.raises(InputError, match="does not take"), dask_team(str(tmp_path / "cluster.toml"), 1, tmp_path)():
        pass
    assert not list(tmp_path.glob(".keys-*"))
