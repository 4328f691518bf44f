"""The making of a store: once, whole or not at all, the same by any number of processes, never over a user's own."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pandas as pd
import pytest
from cohort_phantoms import affine_around, noise, save

from neurotransfer.cohort import Cohort, Grid, VolumeStore, contents, load_volume, store_volumes, storing
from neurotransfer.cohort.volumes import RECIPE
from neurotransfer.errors import CohortError, ImageError, InputError, InterruptedRunError, StorageError

SMALL = Grid((32, 32, 32), 6.0)
FILES = {"volumes.npy", "volumes.json", "scans.tsv"}


def people(folder, n=3):
    """A cohort of n real images."""
    rows = []
    for seed in range(n):
        path = save(noise(seed, (40, 40, 40), affine_around((40, 40, 40), 5.0)), folder / f"{seed}.nii")
        rows.append({"participant_id": f"sub-{seed}", "session_id": "", "image": str(path), "mask": "", "site": ""})
    return Cohort("people", pd.DataFrame(rows))


def first(cohort, n):
    return cohort.rows(np.arange(n))


def backwards(cohort):
    return cohort.rows(np.arange(len(cohort))[::-1])


def exact(cohort, grid=SMALL):
    return np.stack([load_volume(path, grid, mask, cohort.alignment) for path, mask in cohort.images])


@pytest.fixture
def cohort(tmp_path):
    return people(tmp_path)


@pytest.fixture
def counted(monkeypatch):
    """The paths that were loaded, in their order."""
    calls = []

    def counting(path, *arguments):
        calls.append(path)
        return load_volume(path, *arguments)

    monkeypatch.setattr(storing, "load_volume", counting)
    return calls


@pytest.mark.parametrize(("bits", "error"), [(16, 7.7e-6), (8, 0.00197)])
def test_the_store_holds_every_volume(tmp_path, cohort, bits, error):
    stored = store_volumes(tmp_path / "store", cohort, SMALL, bits=bits)
    assert (stored.shape, stored.dtype, stored.bits) == ((3, *SMALL.shape), np.float32, bits)
    assert np.abs(stored[:] - exact(cohort)).max() <= error
    assert stored[:].max() == 1


def test_the_store_is_made_once(tmp_path, cohort, counted):
    ticks = []
    one = store_volumes(tmp_path / "store", cohort, SMALL, lambda: ticks.append(1))
    again = store_volumes(tmp_path / "store", cohort, SMALL, lambda: ticks.append(1))
    np.testing.assert_array_equal(one[:], again[:])
    assert (len(counted), len(ticks)) == (3, 3)
    assert {path.name for path in (tmp_path / "store").iterdir()} <= {*FILES, ".volumes.lock"}


def replaced(cohort):
    path = cohort.images[1][0]
    save(noise(99, (40, 40, 40), affine_around((40, 40, 40), 5.0)), path)
    os.utime(path, ns=(1, 1))
    return cohort, SMALL


CHANGES = {
    "a file": replaced,
    "the order": lambda cohort: (backwards(cohort), SMALL),
    "fewer": lambda cohort: (first(cohort, 2), SMALL),
    "a name": lambda cohort: (Cohort("x", cohort.table.assign(participant_id=["a", "b", "c"])), SMALL),
    "the voxel size": lambda cohort: (cohort, Grid((32, 32, 32), 5.0)),
    "the shape": lambda cohort: (cohort, Grid((32, 32, 33), 6.0)),
    "the alignment": lambda cohort: (Cohort("people", cohort.table, "centre"), SMALL),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_store_is_made_again_when_anything_changes(tmp_path, cohort, counted, change):
    store_volumes(tmp_path / "store", cohort, SMALL)
    counted.clear()
    changed, grid = CHANGES[change](cohort)
    stored = store_volumes(tmp_path / "store", changed, grid)
    assert counted == [path for path, _ in changed.images]
    np.testing.assert_allclose(stored[:], exact(changed, grid), atol=7.7e-6)


def test_other_bits_make_the_store_again(tmp_path, cohort, counted):
    for bits in (16, 8, 8, 16):
        assert store_volumes(tmp_path / "store", cohort, SMALL, bits=bits).bits == bits
    assert len(counted) == 9


@pytest.mark.parametrize("bits", [0, 7, 32, 16.5, "16"])
def test_other_numbers_of_bits_are_refused(tmp_path, cohort, bits):
    with pytest.raises(InputError, match=r"unknown number of bits .*; allowed: 8, 16"):
        store_volumes(tmp_path / "store", cohort, SMALL, bits=bits)


def test_a_new_recipe_makes_the_store_again(tmp_path, cohort, counted, monkeypatch):
    store_volumes(tmp_path / "store", cohort, SMALL)
    real = contents.Contents
    monkeypatch.setattr(contents, "Contents", lambda *arguments: real(*arguments[:4], RECIPE + "+"))
    store_volumes(tmp_path / "store", cohort, SMALL)
    assert len(counted) == 6


def test_a_store_of_an_image_that_is_gone_is_refused(tmp_path, cohort):
    cohort.images[0][0].unlink()
    with pytest.raises(ImageError, match=r"no such image .*0.nii"):
        store_volumes(tmp_path / "store", cohort, SMALL)


DAMAGES = {
    "no manifest": lambda folder: (folder / "volumes.json").unlink(),
    "no array": lambda folder: (folder / "volumes.npy").unlink(),
    "no table": lambda folder: (folder / "scans.tsv").unlink(),
    "half a manifest": lambda folder: (folder / "volumes.json").write_text('{"fingerprint": "'),
    "another manifest": lambda folder: (folder / "volumes.json").write_text("[]"),
    "half an array": lambda folder: os.truncate(folder / "volumes.npy", 5000),
    "an empty array": lambda folder: os.truncate(folder / "volumes.npy", 0),
    "another array": lambda folder: np.save(folder / "volumes.npy", np.zeros(3)),
    "a text": lambda folder: (folder / "volumes.npy").write_text("volumes"),
    "what a kill left": lambda folder: (folder / "volumes.npy").rename(folder / "volumes.npy.part"),
    "what the version before left": lambda folder: (
        np.save(folder / "volumes.npy", np.zeros((3, *SMALL.shape), np.float16)),
        (folder / "volumes.json").write_text('{"fingerprint": "a", "n": 3, "shape": [32, 32, 32], "recipe": "grid-1"}'),
        (folder / "scans.tsv").unlink(),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_not_believed_and_made_again(tmp_path, cohort, damage):
    folder = tmp_path / "store"
    whole = store_volumes(folder, cohort, SMALL)[:]
    DAMAGES[damage](folder)
    np.testing.assert_array_equal(store_volumes(folder, cohort, SMALL)[:], whole)
    assert not (folder / "volumes.npy.part").exists()


def test_a_store_in_use_survives_when_it_is_made_again(tmp_path, cohort):
    """A memory map of a truncated file dies of a bus error: the old file has to stay whole for who has it open."""
    old = store_volumes(tmp_path / "store", cohort, SMALL)
    before = old[:2]
    store_volumes(tmp_path / "store", first(cohort, 1), SMALL)
    np.testing.assert_array_equal(old[:], np.concatenate([before, old[2:]]))
    old.verify()


def test_several_at_once_make_one_store(tmp_path, cohort, counted):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(store_volumes(tmp_path / "store", cohort, SMALL)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counted) == 3
    assert len(found) == 3
    np.testing.assert_array_equal(found[0][:], found[2][:])


# --- disks and interruptions


def test_too_little_space_is_told_before_anything_is_computed(tmp_path, cohort, counted, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(storing.shutil, "disk_usage", lambda folder: usage(2**20, 2**20, 2**16))
    with pytest.raises(StorageError, match="has 0 MiB left and the volumes need 0 MiB; free some space"):
        store_volumes(tmp_path / "store", cohort, SMALL)
    assert not counted
    assert not (tmp_path / "store" / "volumes.json").exists()


@pytest.mark.parametrize("bits", [8, 16])
def test_the_space_that_is_asked_for_is_that_of_the_file(tmp_path, cohort, monkeypatch, bits):
    asked = []
    monkeypatch.setattr(storing, "_require_space", lambda folder, needed: asked.append(needed))
    store = store_volumes(tmp_path / "store", cohort, SMALL, bits=bits)
    assert asked == [store.nbytes] == [(store.folder / "volumes.npy").stat().st_size - 128]


class Stop(Exception):  # noqa: N818
    """What is no failure of a file system."""


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StorageError),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), StorageError),
        (OSError(errno.EFBIG, "File too large"), StorageError),
        (PermissionError(errno.EACCES, "Permission denied"), StorageError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (Stop(), Stop),
    ],
)
@pytest.mark.parametrize("is_second", [False, True])
def test_no_half_written_store_is_believed(tmp_path, cohort, counted, failure, raised, is_second):
    folder = tmp_path / "store"
    if is_second:
        store_volumes(folder, backwards(cohort), SMALL)
        counted.clear()

    def fail():
        if len(counted) == 2:
            raise failure

    with pytest.raises(raised):
        store_volumes(folder, cohort, SMALL, fail)
    assert not FILES & {path.name for path in folder.iterdir()}
    assert not list(folder.glob("volumes.npy*"))
    counted.clear()
    stored = store_volumes(folder, cohort, SMALL)
    assert len(counted) == 3
    np.testing.assert_allclose(stored[:], exact(cohort), atol=7.7e-6)


@pytest.mark.parametrize("what", ["write_json", "write_table"])
def test_a_full_disk_at_the_end_leaves_nothing_to_believe(tmp_path, cohort, monkeypatch, what):
    def full(path, value):
        raise StorageError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(storing, what, full)
        with pytest.raises(StorageError):
            store_volumes(tmp_path / "store", cohort, SMALL)
    assert not FILES & {path.name for path in (tmp_path / "store").iterdir()}
    assert store_volumes(tmp_path / "store", cohort, SMALL).shape == (3, *SMALL.shape)


def test_a_scan_that_cannot_be_used_stops_the_store_with_its_name(tmp_path, cohort):
    cohort.images[1][0].write_text("no image")
    with pytest.raises(ImageError, match=r"1\.nii"):
        store_volumes(tmp_path / "store", cohort, SMALL)
    assert not (tmp_path / "store" / "volumes.json").exists()


def test_a_place_that_is_a_file_is_refused(tmp_path, cohort):
    (tmp_path / "store").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*choose another place"):
        store_volumes(tmp_path / "store", cohort, SMALL)


WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_storing import SMALL, Cohort, pd, store_volumes
ticks = []
def tick():
    ticks.append(1)
    print(len(ticks), flush=True)
    time.sleep(60 if len(ticks) == 2 else 0)
store_volumes(Path({folder!r}), Cohort("people", pd.read_csv({table!r}, dtype=str).fillna("")), SMALL, tick)
"""


@pytest.mark.parametrize("keep", [False, True])
def test_what_a_killed_process_left_is_made_again(tmp_path, cohort, keep):
    folder, table = tmp_path / "store", tmp_path / "table.csv"
    cohort.table.to_csv(table, index=False)
    text = WRITER.format(tests=os.path.dirname(__file__), folder=str(folder), table=str(table))  # noqa: PTH120
    writer = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    try:
        assert [writer.stdout.readline().strip() for _ in range(2)] == ["1", "2"]
        time.sleep(0.1)
        writer.send_signal(signal.SIGKILL)
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    assert (folder / "volumes.npy.part").exists()
    with pytest.raises(ImageError, match="holds no whole store of volumes"):
        VolumeStore(folder)
    stored = store_volumes(folder, cohort, SMALL, keep=keep)
    np.testing.assert_allclose(stored[:], exact(cohort), atol=7.7e-6)
    assert not (folder / "volumes.npy.part").exists()


# --- a folder that a user named


def test_a_named_store_is_made_when_absent_and_used_when_it_fits(tmp_path, cohort, counted):
    made = store_volumes(tmp_path / "mine", cohort, SMALL, keep=True)
    again = store_volumes(tmp_path / "mine", cohort, SMALL, keep=True)
    assert len(counted) == 3
    np.testing.assert_array_equal(made[:], again[:])


def contents_of_folder(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.mark.parametrize("change", CHANGES)
def test_a_named_store_that_does_not_fit_is_refused_and_left_alone(tmp_path, cohort, counted, change):
    folder = tmp_path / "mine"
    store_volumes(folder, cohort, SMALL, keep=True)
    before = contents_of_folder(folder)
    counted.clear()
    changed, grid = CHANGES[change](cohort)
    with pytest.raises(CohortError, match=r"the store of volumes .*mine"):
        store_volumes(folder, changed, grid, keep=True)
    assert contents_of_folder(folder) == before
    assert not counted


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "what a kill left"])
def test_a_named_store_that_is_not_whole_is_refused_and_left_alone(tmp_path, cohort, damage):
    folder = tmp_path / "mine"
    store_volumes(folder, cohort, SMALL, keep=True)
    DAMAGES[damage](folder)
    before = contents_of_folder(folder)
    with pytest.raises(ImageError, match="holds no whole store of volumes"):
        store_volumes(folder, cohort, SMALL, keep=True)
    assert contents_of_folder(folder) == before


def test_a_named_store_of_other_bits_is_refused(tmp_path, cohort):
    store_volumes(tmp_path / "mine", cohort, SMALL, bits=8, keep=True)
    with pytest.raises(CohortError, match="its volumes have 8 bits a voxel, asked for are 16"):
        store_volumes(tmp_path / "mine", cohort, SMALL, keep=True)


def test_what_else_lies_in_a_named_folder_is_left_alone(tmp_path, cohort):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    store_volumes(tmp_path / "mine", cohort, SMALL, keep=True)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


# --- several processes


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return people(tmp_path_factory.mktemp("many"), 2 * storing.LEAST_A_PROCESS)


def test_the_store_does_not_depend_on_the_number_of_processes(tmp_path, many):
    ticks = []
    one, two = (
        store_volumes(tmp_path / str(workers), many, SMALL, lambda: ticks.append(1), workers=workers)
        for workers in (1, 2)
    )
    for name in FILES:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()
    assert len(ticks) == 2 * len(many)


def test_a_scan_that_cannot_be_used_stops_all_processes(tmp_path, many):
    (tmp_path / "bad.nii").write_text("no image")
    images = [*many.table["image"][:-1], str(tmp_path / "bad.nii")]
    with pytest.raises(ImageError, match=r"bad\.nii"):
        store_volumes(tmp_path / "store", Cohort("bad", many.table.assign(image=images)), SMALL, workers=2)
    assert not FILES & {path.name for path in (tmp_path / "store").iterdir()}


def test_processes_that_die_again_and_again_are_told(tmp_path, many, monkeypatch):
    monkeypatch.setattr(storing, "start_worker", die)
    name = many.images[0][0].name
    with pytest.raises(
        InterruptedRunError, match=f"a process that made volumes died.* 3 times at '{name}' or just after"
    ):
        store_volumes(tmp_path / "store", many, SMALL, workers=2)
    assert not FILES & {path.name for path in (tmp_path / "store").iterdir()}


def test_a_process_that_is_killed_changes_nothing(tmp_path, many):
    ticks = []

    def killing():
        ticks.append(1)
        if len(ticks) in {3, 20}:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)

    store = store_volumes(tmp_path / "killed", many, SMALL, killing, workers=2)
    assert len(ticks) == len(many)
    quiet = store_volumes(tmp_path / "quiet", many, SMALL)
    for name in FILES:
        assert (store.folder / name).read_bytes() == (quiet.folder / name).read_bytes()


def test_after_a_death_there_is_one_process_fewer(tmp_path, many, monkeypatch):
    used = []

    def pool(scans, alignment, grid, bits, processes):
        used.append((len(scans), processes))
        for scan in scans[:5]:
            yield storing._volume(scan, grid, alignment, bits)
        if len(used) < 5:
            raise BrokenProcessPool
        for scan in scans[5:]:
            yield storing._volume(scan, grid, alignment, bits)

    monkeypatch.setattr(storing, "_by_pool", pool)
    monkeypatch.setattr(storing, "LEAST_A_PROCESS", 8)
    store = store_volumes(tmp_path / "store", many, SMALL, workers=3)
    # five deaths at five places are no scan that kills
    assert used == [(32, 3), (27, 2), (22, 1), (17, 1), (12, 1)]
    assert len(store) == 32


def die():
    os._exit(1)
