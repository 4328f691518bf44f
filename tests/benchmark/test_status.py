"""How far a run is, for anybody who asks: running, done, stopped, or killed without a word."""

import json
import time
from pathlib import Path

import pytest

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark import status as status_module
from neurotransfer.benchmark.plan import Cell
from neurotransfer.benchmark.schedule import Failure
from neurotransfer.benchmark.status import Sign, Signs, named, read_failures, status, write_failures
from neurotransfer.errors import InputError


@pytest.fixture(scope="module")
def finished(tiny_values, tmp_path_factory):
    values = tiny_values | {
        "strategies": [
            {"strategy": "linear", "grid": {"penalty": [1.0]}},
            {"strategy": "transferred", "model": "multi"},
        ],
        "protocol": {"sizes": [10, 15], "replicates": 2},
    }
    folder = tmp_path_factory.mktemp("status") / "run"
    benchmark(parse_study(values), folder)
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    import shutil

    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_finished_run(finished):
    found = status(finished)
    # transferred is not possible for the diagnosis
    assert (found.state, found.done, found.planned) == ("done", 4 + 4 + 4, 4 + 4 + 4)
    assert "12 of 12 cells (100.0 %)" in str(found)
    assert "diagnosis, multi-transferred" not in str(found)
    assert "run the same command again" not in str(found)


def test_asking_changes_nothing(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    status(finished)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


@pytest.mark.parametrize(
    ("state", "ago", "expected"),
    [
        ("running", 1, "running"), ("preparing", 1, "preparing"), ("running", 3600, "stopped without a word"),
        ("stopped", 3600, "stopped"), ("done", 10**6, "done"),
    ],
)  # fmt: skip
def test_the_state_is_the_last_sign_unless_it_is_old(copied, state, ago, expected):
    sign = json.loads((copied / "progress.json").read_text())
    (copied / "progress.json").write_text(json.dumps(sign | {"state": state, "updated": time.time() - ago}))
    found = status(copied)
    assert found.state == expected
    assert ("run the same command again" in str(found)) == expected.startswith("stopped")


def test_a_run_of_an_earlier_version_has_no_sign(copied):
    (copied / "progress.json").unlink()
    assert status(copied).state == "done"
    (copied / "manifest.json").unlink()
    assert status(copied).state == "stopped"
    study = json.loads((copied / "study.json").read_text())
    study.pop("pairs")
    (copied / "study.json").write_text(json.dumps(study))
    assert status(copied).planned == 16


def test_a_running_one_says_who_works_and_how_long_it_takes(copied):
    sign = Sign("running", "fits", left_s=7200, workers="8 jobs of slurm", at_once=6, link="http://node:8787/status")
    (copied / "progress.json").write_text(json.dumps(vars(sign)))
    said = str(status(copied))
    assert "fits; 8 jobs of slurm (6 cells at once); 2 h 0 min left" in said
    assert "http://node:8787/status" in said


def test_a_folder_without_a_run_is_told(tmp_path, called):
    with pytest.raises(InputError, match="no run in"):
        status(tmp_path)
    code, _, errors = called("benchmark", "status", tmp_path / "none")
    assert code == 2
    assert "begin one: neurotransfer benchmark STUDY --out" in errors


@pytest.mark.parametrize(
    ("name", "text"), [("study.json", "{}"), ("study.json", "[]"), ("failed.json", '[{"task": 1}]')]
)
def test_files_of_another_shape_are_told(copied, name, text):
    (copied / name).write_text(text)
    with pytest.raises(InputError, match="no run of this version, or its files were changed"):
        status(copied)


def test_signs_are_given_from_a_thread_while_something_long_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(status_module, "SIGN_EVERY_S", 0.02)
    with Signs(tmp_path) as signs:
        first = json.loads((tmp_path / "progress.json").read_text())
        signs.give(doing="pretraining")
        end = time.monotonic() + 10
        while json.loads((tmp_path / "progress.json").read_text())["doing"] != "pretraining":
            assert time.monotonic() < end
            time.sleep(0.01)
        signs.give(state="done", done=4)
    last = json.loads((tmp_path / "progress.json").read_text())
    assert (first["state"], last["state"], last["done"]) == ("preparing", "done", 4)
    assert last["updated"] >= first["updated"]


def test_a_place_that_cannot_be_written_does_not_stop_the_signs(tmp_path):
    (tmp_path / "file").write_text("")
    with Signs(tmp_path / "file" / "run") as signs:
        signs.give(state="running")


def test_failures_come_back_and_are_shown(copied):
    failures = [Failure(Cell("age", 10, r, "linear"), f"OSError: number {r}", 3) for r in range(7)]
    assert read_failures(copied) == []
    write_failures(copied, failures)
    assert read_failures(copied) == failures
    said = str(status(copied))
    assert "7 failed" in said
    assert "failed: age, linear, n = 10, replicate 0: OSError: number 0" in said
    assert "and 2 more in failed.json" in said
    assert "--retry-failed" in said
    assert named(failures[0].cell) == "age, linear, n = 10, replicate 0"
