"""Real processes: whatever happens to one of a pool, the pool ends, and soon."""

import multiprocessing
import os
import signal
import struct
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import psutil
import pytest
from threadpoolctl import threadpool_info

from neurotransfer import workers
from neurotransfer.workers import one_thread, pool_of, start_worker

LONG_S = 600


def pid_of_worker():
    return os.getpid()


def long_job(sign):
    """Says that it runs, and that it was ended."""
    Path(sign).write_text(str(os.getpid()))
    try:
        time.sleep(LONG_S)
    finally:
        Path(sign).with_suffix(".cleaned").touch()


def deaf_job(sign):
    """Does not let itself be ended by an exception."""
    Path(sign).write_text(str(os.getpid()))
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        try:
            time.sleep(LONG_S)
        except SystemExit:
            continue


def threads():
    return [found["num_threads"] for found in threadpool_info()]


def interrupt_self():
    os.kill(os.getpid(), signal.SIGINT)
    return "went on"


def slow_to_clean(sign):
    Path(sign).write_text(str(os.getpid()))
    try:
        time.sleep(LONG_S)
    finally:
        time.sleep(0.5)
        Path(sign).with_suffix(".cleaned").touch()


def begin_to_send_and_die():
    """Ends as a process does that is killed while it sends a large result."""
    results = sys._getframe(1).f_locals["result_queue"]
    results._wlock.acquire()
    os.write(results._writer.fileno(), struct.pack("!i", 100_000) + b"the beginning")
    os.kill(os.getpid(), signal.SIGKILL)


def appears(path, seconds=60):
    end = time.monotonic() + seconds
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return int(path.read_text())


def the_other_one(pool, busy):
    """A process of the pool that waits for a job, and therefore holds the lock of the queue of jobs."""
    others = [pid for pid in pool._processes if pid != busy]
    assert len(others) == 1
    return others[0]


def start_impatient():
    """As every worker, with less time to clean up."""
    workers.PATIENCE_S = 1
    start_worker()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE_S", 1)


def kill_beside(job, sign):
    """The error of a job that runs while a process that waits for one is killed, and its process."""
    with pool_of(2, start_impatient) as pool:
        first = pool.submit(time.sleep, 0.5)
        future = pool.submit(job, str(sign))
        first.result()
        busy = appears(sign)
        time.sleep(0.3)
        os.kill(the_other_one(pool, busy), signal.SIGKILL)
        error = future.exception()
    return error, busy


@pytest.mark.parametrize("job", [long_job, slow_to_clean, deaf_job])
def test_a_pool_ends_soon_when_an_idle_process_is_killed_beside_a_busy_one(tmp_path, job):
    began = time.monotonic()
    error, busy = kill_beside(job, tmp_path / "sign")
    assert isinstance(error, BrokenProcessPool)
    assert time.monotonic() - began < LONG_S / 4
    assert not psutil.pid_exists(busy)
    if job is not deaf_job:
        assert (tmp_path / "sign.cleaned").exists()


def test_all_processes_begin_before_one_can_die():
    with pool_of(3, start_impatient) as pool:
        pool.submit(pid_of_worker).result()
        begun = set(pool._processes)
        assert len(begun) == 3
        assert {pool.submit(pid_of_worker).result() for _ in range(20)} <= begun
        assert set(pool._processes) == begun
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_process_that_is_killed_while_it_sends_does_not_hold_the_pool(size):
    with pool_of(size, start_impatient) as pool:
        others = [pool.submit(time.sleep, LONG_S) for _ in range(size - 1)]
        future = pool.submit(begin_to_send_and_die)
        errors = [one.exception() for one in (future, *others)]
    assert {type(error) for error in errors} == {BrokenProcessPool}
    assert not multiprocessing.active_children()


def test_a_long_job_beside_processes_that_have_nothing_to_do_is_left_alone():
    with pool_of(3, start_impatient) as pool:
        short = [pool.submit(pid_of_worker) for _ in range(3)]
        long = pool.submit(time.sleep, 3)
        assert all(one.result() for one in short)
    assert long.exception() is None


def interrupt(sign):
    with pool_of(1, start_impatient) as pool:
        pool.submit(long_job, str(sign))
        appears(sign)
        raise KeyboardInterrupt


def test_an_error_here_ends_a_job_that_runs_and_lets_it_clean_up(tmp_path):
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupt(tmp_path / "sign")
    assert time.monotonic() - began < LONG_S / 4
    assert (tmp_path / "sign.cleaned").exists()


def test_a_worker_has_one_thread_and_does_not_hear_of_interrupts():
    with pool_of(1, start_worker) as pool:
        assert set(pool.submit(threads).result()) <= {1}
        assert pool.submit(interrupt_self).result() == "went on"


def test_one_thread_is_for_a_while():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
