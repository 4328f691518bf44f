"""Dask as the team: what --cluster may be, what a queueing system is asked for, and real workers of this machine."""

import os
import stat
import sys

import pandas as pd
import pytest

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark import cluster as cluster_module
from neurotransfer.benchmark.cluster import SYSTEMS, ClusterPart, dask_team
from neurotransfer.errors import InputError, StudyError

# Dask leaves sockets and loops to the garbage collector
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize(
    "cluster", ["local", *SYSTEMS, "tcp://10.0.0.1:8786", "node3:8786", "[::1]:8786", "tls://h.uni.no:8786", "s.json"]
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
    found = cluster_module._part(str(cluster_module.TEMPLATE))
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
