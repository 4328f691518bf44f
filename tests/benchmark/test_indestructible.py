"""Real processes and real kills: nothing finished is lost, nothing counts twice, the end is that of an undisturbed run.

All of it is slow. The tables of a quiet run in this process are what every disturbed run has to end with, bit by bit.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pandas as pd
import psutil
import pytest
from test_benchmark_run import toml

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark.records import finished
from neurotransfer.benchmark.status import status
from neurotransfer.errors import InterruptedRunError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    # Dask leaves sockets and loops to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # a thread of Dask that hears of a killed worker
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(scope="module")
def values(tiny_values):
    """48 cells, of which a third takes about half a second."""
    head = {"penalty": [0.1, 1.0]}
    return tiny_values | {
        "strategies": [
            {"strategy": "linear", "grid": head},
            {"strategy": "frozen", "model": "multi", "grid": head},
            {"strategy": "baseline", "grid": {"lr": [1e-3], "dropout": [0.0]}},
        ],
        "protocol": {"sizes": [10, 15], "replicates": 4, "keep": "all"},
        "training": {"epochs": 8, "batch_size": 8, "patience": 8},
    }


@pytest.fixture(scope="module")
def quiet(values, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quiet") / "run"
    benchmark(parse_study(values), folder)
    return folder


@pytest.fixture(scope="module")
def study_file(values, tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.toml"
    path.write_text("\n".join(f"{key} = {toml(value)}" for key, value in values.items()))
    return path


def assert_same(one, other):
    for name in ("results.parquet", "predictions.parquet", "predictions_of_settings.parquet"):
        first, second = (
            pd.read_parquet(folder / name).drop(columns="seconds", errors="ignore") for folder in (one, other)
        )
        pd.testing.assert_frame_equal(first, second, check_exact=True)


def command(study_file, folder, *options):
    return [
        sys.executable, "-m", "neurotransfer", "benchmark", str(study_file), "--out", str(folder), *map(str, options)
    ]  # fmt: skip


def started(arguments, **options):
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def children(pid):
    """All processes below one."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def busy(pid):
    """The worker processes below one."""
    found = []
    for child in children(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


def wait_for(what, seconds=300):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("seed", range(3))
def test_workers_of_this_machine_that_are_killed_at_random(quiet, study_file, tmp_path, seed):
    dice = random.Random(seed)
    process = started(command(study_file, tmp_path / "run", "--workers", 2))
    kills = 0
    while process.poll() is None and kills < 3:
        # one is enough: cells that are suspected are done by a single worker for a while
        wait_for(lambda: process.poll() is not None or busy(process.pid))
        time.sleep(2 + 3 * dice.random())
        for pid in busy(process.pid)[:1] if dice.random() < 0.5 else busy(process.pid)[-1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                kills += 1
    said = process.communicate(timeout=600)[0]
    assert kills >= 1
    # a cell that chance has killed again and again is listed, and done when it is asked for
    assert process.returncode == (1 if (tmp_path / "run" / "failed.json").is_file() else 0), said
    again = subprocess.run(
        command(study_file, tmp_path / "run", "--retry-failed"), capture_output=True, text=True, timeout=600
    )
    assert again.returncode == 0, again.stderr
    assert_same(quiet, tmp_path / "run")
    assert status(tmp_path / "run").state == "done"


@pytest.mark.timeout(2700)
def test_twenty_runs_on_dask_workers_that_are_killed_at_random(quiet, values, tmp_path):
    dice, study, kills, stop = random.Random(7), parse_study(values), [], threading.Event()

    def cells():
        return sum(len(finished(folder)) for folder in tmp_path.iterdir())

    def kill_at_random():
        before = 0
        while not stop.wait(1 + 4 * dice.random()):
            # on a busy machine workers that are killed before they do anything would never do anything
            if cells() == before:
                continue
            before = cells()
            for pid in dice.sample(found := busy(os.getpid()), min(1, len(found))):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    kills.append(pid)

    killer = threading.Thread(target=kill_at_random)
    killer.start()
    try:
        for number in range(20):
            folder = tmp_path / str(number)
            run = again_and_again(study, folder)
            # a cell that chance has killed again and again is listed, and done when it is asked for
            while run.failures:
                assert {failure.error for failure in run.failures} == {"its worker died of it, killed or out of memory"}
                run = again_and_again(study, folder, retry_failed=True)
            assert_same(quiet, folder)
    finally:
        stop.set()
        killer.join()
    assert len(kills) >= 20


def again_and_again(study, folder, **options):
    """As a user who does what the message says, when chance has killed a process that was making volumes."""
    while True:
        with contextlib.suppress(InterruptedRunError):
            return benchmark(study, folder, cluster="local", workers=2, **options)


def test_the_whole_run_killed_again_and_again(quiet, study_file, tmp_path):
    folder, dice, done = tmp_path / "run", random.Random(3), 0
    for _ in range(4):
        process = started(command(study_file, folder, "--workers", 2))
        before = done
        wait_for(partial(went_on, process, folder, before + 3))
        time.sleep(dice.random())
        process.kill()
        process.communicate()
        found = finished(folder)
        assert len(found) >= before
        done = len(found)
    state = status(folder)
    assert state.state in ("running", "stopped without a word")
    assert state.done == done
    again = subprocess.run(command(study_file, folder, "--resume"), capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stderr
    assert_same(quiet, folder)


def went_on(process, folder, cells):
    return process.poll() is not None or len(finished(folder)) >= cells


@pytest.fixture
def dask(tmp_path):
    """Starts a scheduler and workers as a cluster does, by commands; all are gone at the end."""
    running = []
    environment = os.environ | {
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "6s", "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false",
    }  # fmt: skip

    def start(*arguments):
        log = (tmp_path / f"{len(running)}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *map(str, arguments)],
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def scheduler_and_workers(dask, tmp_path, name, workers=2):
    file = tmp_path / f"{name}.json"
    scheduler = dask("scheduler", "--scheduler-file", file, "--port", 0, "--no-dashboard", "--host", "127.0.0.1")
    wait_for(file.is_file)
    team = [
        dask("worker", "--scheduler-file", file, "--nthreads", 1, "--no-dashboard", "--no-nanny")
        for _ in range(workers)
    ]
    return file, scheduler, team


def test_a_scheduler_that_is_killed_ends_the_run_with_advice_and_another_one_finishes_it(
    quiet, study_file, tmp_path, dask
):
    file, scheduler, _ = scheduler_and_workers(dask, tmp_path, "first")
    process = started(command(study_file, tmp_path / "run", "--cluster", file))
    wait_for(lambda: len(finished(tmp_path / "run")) >= 5)
    os.killpg(scheduler.pid, signal.SIGKILL)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 2
    assert "the scheduler" in said
    assert "run the same command again" in said
    assert "Traceback" not in said
    assert 5 <= len(finished(tmp_path / "run")) < 48
    assert status(tmp_path / "run").state == "stopped"
    file, *_ = scheduler_and_workers(dask, tmp_path, "second")
    again = subprocess.run(
        command(study_file, tmp_path / "run", "--cluster", file, "--resume"),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert again.returncode == 0, again.stderr
    assert_same(quiet, tmp_path / "run")


def test_a_worker_that_loses_the_network_and_comes_back_late(quiet, study_file, tmp_path, dask):
    """Stopped, a worker is silent as behind a dead switch; its work goes to others, and what it finishes late counts once."""
    file, _, (lost, _) = scheduler_and_workers(dask, tmp_path, "net")
    process = started(command(study_file, tmp_path / "run", "--cluster", file))
    wait_for(lambda: len(finished(tmp_path / "run")) >= 4)
    os.killpg(lost.pid, signal.SIGSTOP)
    said = process.communicate(timeout=400)[0]
    assert process.returncode == 0, said
    os.killpg(lost.pid, signal.SIGCONT)
    time.sleep(5)
    again = benchmark(parse_study_of(study_file), tmp_path / "run")
    assert again.failures == ()
    assert_same(quiet, tmp_path / "run")


def parse_study_of(path):
    from neurotransfer.benchmark import read_study
    from neurotransfer.benchmark.setup import with_model_paths

    return with_model_paths(read_study(path), path.parent)


def test_a_disk_that_is_really_full(quiet, study_file, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk cannot be made here")
    try:
        ran = subprocess.run(
            command(study_file, disk / "run", "--workers", 2), capture_output=True, text=True, timeout=600
        )
        if ran.returncode == 0:
            # the volumes leave room: take it away and let the rest of the work find that
            pytest.fail("the disk was large enough; make it smaller")
        assert ran.returncode == 2, ran.stderr
        assert "free some space" in ran.stderr
        assert "Traceback" not in ran.stderr
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        (disk / "filler").unlink(missing_ok=True)
        again = subprocess.run(command(study_file, disk / "run"), capture_output=True, text=True, timeout=600)
        assert again.returncode == 0, again.stderr
        assert_same(quiet, disk / "run")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_disk_that_fills_while_cells_are_written(quiet, study_file, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a small disk cannot be made here")
    try:
        process = started(command(study_file, disk / "run", "--workers", 2))
        wait_for(lambda: len(finished(disk / "run")) >= 3)
        with contextlib.suppress(OSError), (disk / "filler").open("wb") as filler:
            while True:
                filler.write(bytes(2**16))
                filler.flush()
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 2, said
        assert "no space left" in said
        assert "Traceback" not in said
        kept = finished(disk / "run")
        assert len(kept) >= 3
        (disk / "filler").unlink()
        again = subprocess.run(command(study_file, disk / "run"), capture_output=True, text=True, timeout=600)
        assert again.returncode == 0, again.stderr
        assert kept <= finished(disk / "run")
        assert_same(quiet, disk / "run")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_two_runs_in_one_folder_by_mistake(quiet, study_file, tmp_path):
    first = started(command(study_file, tmp_path / "run", "--workers", 1))
    wait_for(lambda: (tmp_path / "run" / "progress.json").is_file())
    second = subprocess.run(command(study_file, tmp_path / "run"), capture_output=True, text=True, timeout=300)
    assert second.returncode == 2
    assert "another process is working on" in second.stderr
    assert first.wait(600) == 0
    assert_same(quiet, tmp_path / "run")


def test_two_runs_in_one_folder_where_locks_do_nothing(quiet, study_file, tmp_path):
    """As on network file systems that say yes to every lock."""
    script = (
        "import contextlib, sys\n"
        "from pathlib import Path\n"
        "from neurotransfer.benchmark import run\n"
        "def alone(folder):\n"
        "    Path(folder).mkdir(parents=True, exist_ok=True)\n"
        "    Path(folder, '.lock').touch()\n"
        "    return contextlib.nullcontext()\n"
        "run._alone_in = alone\n"
        "run.benchmark(sys.argv[1], sys.argv[2], workers=2)\n"
    )
    both = [started([sys.executable, "-c", script, str(study_file), str(tmp_path / "run")]) for _ in range(2)]
    for process in both:
        said = process.communicate(timeout=600)[0]
        assert process.returncode == 0, said
    assert_same(quiet, tmp_path / "run")


def test_a_cell_that_kills_its_worker_is_listed_and_the_rest_is_done(quiet, study_file, tmp_path):
    """A planted cell ends its process as the kernel does when memory is short."""
    planted = (
        "import os, signal\n"
        "real = work.run_cell\n"
        "def deadly(workspace, cell, again):\n"
        "    if (cell.task, cell.n, cell.replicate, cell.strategy) == ('age', 15, 2, 'linear'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(workspace, cell, again)\n"
        "work.run_cell = deadly\n"
    )
    # read by every Python process at its start, the workers too, once torch is there
    hook = (
        "import os, sys, threading\n"
        "if os.environ.get('PLANTED') and 'multiprocessing' in ' '.join(sys.orig_argv):\n"
        "    import importlib.abc, importlib.util\n"
        "    class Finder(importlib.abc.MetaPathFinder):\n"
        "        def find_spec(self, name, path, target=None):\n"
        "            if name != 'neurotransfer.benchmark.work': return None\n"
        "            sys.meta_path.remove(self)\n"
        "            spec = importlib.util.find_spec(name)\n"
        "            run = spec.loader.exec_module\n"
        "            def both(module):\n"
        "                run(module)\n"
        "                exec(os.environ['PLANTED'], {'work': module})\n"
        "            spec.loader.exec_module = both\n"
        "            return spec\n"
        "    sys.meta_path.insert(0, Finder())\n"
    )
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(hook)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "hook"), "PLANTED": planted}
    ran = subprocess.run(
        command(study_file, tmp_path / "run", "--workers", 2),
        capture_output=True,
        text=True,
        timeout=900,
        env=environment,
    )
    assert ran.returncode == 1, ran.stderr
    assert "1 of 48 cells could not be done" in ran.stderr
    (failure,) = json.loads((tmp_path / "run" / "failed.json").read_text())
    assert (failure["task"], failure["n"], failure["replicate"], failure["strategy"]) == ("age", 15, 2, "linear")
    assert "killed or out of memory" in failure["error"]
    told = subprocess.run(
        [sys.executable, "-m", "neurotransfer", "benchmark", "status", str(tmp_path / "run")],
        capture_output=True,
        text=True,
    )
    assert "age, linear: 7 of 8, 1 failed" in told.stdout
    assert "--retry-failed" in told.stdout
    again = subprocess.run(
        command(study_file, tmp_path / "run", "--retry-failed"), capture_output=True, text=True, timeout=600
    )
    assert again.returncode == 0, again.stderr
    assert_same(quiet, tmp_path / "run")


def test_ctrl_c_on_dask_ends_its_workers(study_file, tmp_path):
    process = started(
        command(study_file, tmp_path / "run", "--cluster", "local", "--workers", 2),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(lambda: len(finished(tmp_path / "run")) >= 3)
    below = children(process.pid)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 2, said
    assert "run the same command again" in said
    assert "Traceback" not in said
    assert len(below) >= 2
    wait_for(lambda: not any(child.is_running() for child in below), 30)


def test_an_interrupted_run_raises_for_those_who_call_it_from_python(values, tmp_path, monkeypatch):
    monkeypatch.setattr("neurotransfer.benchmark.work.run_cell", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(InterruptedRunError, match="run the same command again"):
        benchmark(parse_study(values), tmp_path / "run")
