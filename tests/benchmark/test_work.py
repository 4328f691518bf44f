"""What a worker does: opens a run once, keeps each cell, and takes no part in what it cannot do."""

import re
import shutil
from dataclasses import replace

import pytest
import torch

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark import work as work_module
from neurotransfer.benchmark.plan import Cell
from neurotransfer.benchmark.records import finished, loose
from neurotransfer.benchmark.work import Job, forget, job_of, work, work_in_thread
from neurotransfer.errors import StorageError


@pytest.fixture(scope="module")
def run(tiny_values, tmp_path_factory):
    """A run of two cells, done by nobody else."""
    head = {"penalty": [1.0]}
    values = tiny_values | {
        "models": {},
        "tasks": {"age": {"target": "age"}},
        "strategies": [{"strategy": "linear", "grid": head}],
        "protocol": {"sizes": [10], "replicates": 2},
    }
    folder = tmp_path_factory.mktemp("work") / "run"
    benchmark(parse_study(values), folder)
    return folder


@pytest.fixture
def job(run, tmp_path):
    from neurotransfer.training import current, use

    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "cells")
    before, threads = current(), torch.get_num_threads()
    yield job_of(tmp_path / "run")
    forget()
    use(before)
    torch.set_num_threads(threads)


CELLS = [Cell("age", 10, replicate, "linear") for replicate in range(2)]


def test_cells_are_kept_one_by_one_and_not_done_again(job):
    outcomes = work(job, CELLS)
    assert [outcome.cell for outcome in outcomes] == CELLS
    assert all(outcome.error == "" and outcome.seconds > 0 for outcome in outcomes)
    assert finished(job.folder) == set(CELLS)
    before = {path: path.stat().st_mtime_ns for path in loose(job.folder)}
    work(job, CELLS)
    assert {path: path.stat().st_mtime_ns for path in loose(job.folder)} == before
    work(replace(job, again=True), CELLS)
    assert {path: path.stat().st_mtime_ns for path in loose(job.folder)} != before


def test_a_run_is_opened_once_in_a_process(job, monkeypatch):
    opened = []
    real = work_module.open_workspace
    monkeypatch.setattr(work_module, "open_workspace", lambda *of: (opened.append(of), real(*of))[1])
    for _ in range(3):
        work(job, CELLS[:1])
    assert len(opened) == 1


def test_a_job_knows_the_study_and_the_cohort_of_its_folder(job):
    same = job_of(job.folder)
    assert same == job
    text = (job.folder / "cohort.json").read_text()
    (job.folder / "cohort.json").write_text(text.replace("volumes", "Volumes"))
    assert job_of(job.folder).identity != job.identity


def test_models_are_found_from_a_worker_that_was_started_elsewhere(tiny_values, tiny_model, tmp_path, monkeypatch):
    shutil.copytree(tiny_model, tmp_path / "here" / "model")
    head = {"penalty": [1.0]}
    values = tiny_values | {
        "models": {"multi": {"path": "model"}},
        "tasks": {"age": {"target": "age"}},
        "strategies": [{"strategy": "frozen", "model": "multi", "grid": head}],
        "protocol": {"sizes": [10], "replicates": 1},
    }
    monkeypatch.chdir(tmp_path / "here")
    benchmark(parse_study(values), tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "cells")
    job = job_of(tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (outcome,) = work(job, [Cell("age", 10, 0, "multi-frozen")])
    forget()
    assert outcome.error == ""


def test_what_goes_wrong_with_one_cell_does_not_stop_the_next(job, monkeypatch):
    real = work_module.run_cell

    def failing(workspace, cell, again):
        if cell == CELLS[0]:
            raise MemoryError("too large")
        real(workspace, cell, again)

    monkeypatch.setattr(work_module, "run_cell", failing)
    first, second = work(job, CELLS)
    assert (first.error, second.error) == ("MemoryError: too large", "")
    assert finished(job.folder) == {CELLS[1]}


def test_a_full_disk_stops_at_once(job, monkeypatch):
    def full(*_):
        raise StorageError("no space left")

    monkeypatch.setattr(work_module, "run_cell", full)
    with pytest.raises(StorageError):
        work(job, CELLS)


def test_a_worker_with_other_versions_takes_no_part(job):
    outcomes = work(replace(job, versions=(job.versions[0], "1.0")), CELLS)
    for outcome in outcomes:
        assert re.search(
            r"cannot take part: it has .*torch .*, the run has .*torch 1\.0.*same environment", outcome.error
        )
        assert not outcome.counts
    assert finished(job.folder) == set()


def test_a_worker_that_sees_another_run_at_the_same_place_takes_no_part(job):
    """A folder of the node's own, with an older run in it."""
    (outcome, _) = work(replace(job, identity="other"), CELLS)
    assert "is another run" in outcome.error
    assert not outcome.counts
    assert finished(job.folder) == set()


def test_a_worker_that_does_not_see_the_volumes_takes_no_part(job):
    (job.folder / "cache" / "volumes.json").unlink()
    (outcome, _) = work(job, CELLS)
    assert "holds no whole store of volumes" in outcome.error
    assert not outcome.counts
    assert finished(job.folder) == set()


@pytest.fixture(autouse=True)
def waited(monkeypatch):
    found = []
    monkeypatch.setattr(work_module.time, "sleep", found.append)
    return found


def test_a_worker_that_does_not_see_the_folder_gives_cells_back_after_a_while(tmp_path, waited):
    job = Job(tmp_path / "elsewhere", "", tuple(map(work_module.package_version, work_module.VERSIONS)))
    outcomes = work(job, CELLS)
    assert waited == [work_module.WAIT_S]
    assert all("all workers need one file system" in outcome.error and not outcome.counts for outcome in outcomes)


def test_in_a_thread_of_a_foreign_process_there_is_one_thread_of_algebra(job, monkeypatch):
    torch.set_num_threads(2)
    monkeypatch.setattr(work_module, "threadpool_limits", lambda n: None)
    monkeypatch.delattr(work_module._limited, "done", raising=False)
    work_in_thread(job, CELLS)
    assert torch.get_num_threads() == 1
    assert finished(job.folder) == set(CELLS)
