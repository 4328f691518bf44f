"""A store of volumes: what is read is what was written to half a step, and what is damaged is never taken for whole."""

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import pytest
from cohort_phantoms import noise, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurotransfer.cohort import Cohort, Grid, VolumeStore
from neurotransfer.cohort.contents import Contents, contents_of, differences
from neurotransfer.cohort.store import DamagedStoreError, self_checksum
from neurotransfer.cohort.storing import _fill, _header, _make, quantised
from neurotransfer.errors import CohortError, ImageError, InputError, StorageError

GRID = Grid((32, 33, 34), 6.0)
QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
N = 7
FILES = ("volumes.npy", "volumes.json", "scans.tsv")


def people(folder, n=N):
    """A cohort of n people, whose images are there (and are looked at by nobody but `stat`)."""
    folder.mkdir(exist_ok=True)
    rows = []
    for index in range(n):
        path = folder / f"scan{index}.nii"
        path.write_text(f"image {index}")
        rows.append(
            {"participant_id": f"sub-{index:02d}", "session_id": "ses-1", "image": str(path), "mask": "", "site": ""}
        )
    return Cohort("people", pd.DataFrame(rows))


def values(n=N, seed=0, grid=GRID):
    return np.random.default_rng(seed).random((n, *grid.shape), np.float32)


def written(folder, cohort, dense, bits=16, grid=GRID):
    """A store of given values, written as `store_volumes` writes what it has read from the images."""
    folder.mkdir(parents=True, exist_ok=True)
    _make(folder, contents_of(cohort, grid, bits), (quantised(volume, bits) for volume in dense), None)
    return VolumeStore(folder)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return people(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module", params=[8, 16])
def both(request, cohort, tmp_path_factory):
    """A store of each kind, and the array that it stands for."""
    store = written(tmp_path_factory.mktemp("store") / "s", cohort, values(), request.param)
    dense = np.load(store.folder / "volumes.npy").astype(np.float32) / np.float32(2**request.param - 1)
    return store, dense


@pytest.fixture
def store(tmp_path, cohort):
    return written(tmp_path / "store", cohort, values())


# --- values


@QUIET
@given(
    volume=hnp.arrays(np.float32, 40, elements=st.floats(0, 1, width=32)),
    bits=st.sampled_from([8, 16]),
)
def test_a_value_is_wrong_by_half_a_step_at_most_and_zero_and_one_are_exact(volume, bits):
    kept = quantised(volume, bits)
    read = np.divide(kept, np.float32(2**bits - 1), dtype=np.float32)
    # float32 itself rounds by 2**-25 below 1
    assert np.abs(read.astype(float) - volume).max() <= 0.5 / (2**bits - 1) + 2**-25
    np.testing.assert_array_equal(read[volume == 0], 0)
    np.testing.assert_array_equal(read[volume == 1], 1)
    np.testing.assert_array_equal(quantised(read, bits), kept)


def test_every_whole_number_comes_back():
    for bits, dtype in ((8, np.uint8), (16, np.uint16)):
        every = np.arange(2**bits).astype(dtype)
        np.testing.assert_array_equal(quantised(every / np.float32(2**bits - 1), bits), every)


def test_the_store_is_the_quantised_array(both):
    store, dense = both
    np.testing.assert_array_equal(store[:], dense)
    assert np.abs(store[:] - values()).max() <= 0.51 / (2**store.bits - 1)
    np.testing.assert_array_equal(store.raw(slice(None)), quantised(values(), store.bits))
    assert store.raw(0).dtype == {8: np.uint8, 16: np.uint16}[store.bits]


def test_eight_bits_take_half_the_bytes(tmp_path, cohort):
    small, large = (written(tmp_path / str(bits), cohort, values(), bits) for bits in (8, 16))
    assert 2 * small.nbytes == large.nbytes == 2 * N * np.prod(GRID.shape)
    assert (small.folder / "volumes.npy").stat().st_size == small.nbytes + 128
    np.testing.assert_allclose(small[:], large[:], atol=0.51 / 255 + 1e-5)


def test_it_says_of_itself_what_an_array_says(both):
    store, dense = both
    assert (len(store), store.shape, store.ndim, store.dtype) == (N, dense.shape, 4, np.float32)
    assert store.size == dense.size
    assert "7, 32, 33, 34" in repr(store)
    assert f"{store.bits} bits" in repr(store)


def test_any_numpy_reads_the_file(both):
    store, dense = both
    kept = np.load(store.folder / "volumes.npy", mmap_mode="r")
    facts = json.loads((store.folder / "volumes.json").read_text())
    np.testing.assert_allclose(kept * facts["scale"], dense, atol=1e-6)
    assert facts["shape"] == list(dense.shape)
    assert facts["bytes"] == (store.folder / "volumes.npy").stat().st_size


def test_the_table_beside_it_says_whose_volumes_they_are(both, cohort):
    store, _ = both
    table = pd.read_csv(store.folder / "scans.tsv", sep="\t", dtype=str)
    assert table["participant_id"].tolist() == cohort.participants.tolist()
    assert table["image"].tolist() == [f"scan{index}.nii" for index in range(N)]
    assert {path.name for path in store.folder.iterdir()} == set(FILES)


# --- reading

ROW = st.integers(-N, N - 1)
INDICES = st.one_of(
    ROW,
    ROW.map(np.int64),
    st.slices(N),
    st.lists(ROW, max_size=12),
    st.lists(ROW, min_size=1, max_size=12).map(np.array),
    hnp.arrays(bool, N),
    hnp.arrays(np.int64, (2, 3), elements=ROW),
    st.just(Ellipsis),
)


@QUIET
@given(rows=INDICES)
def test_any_index_gives_what_numpy_gives(both, rows):
    store, dense = both
    found, expected = store[rows], dense[rows]
    assert (found.dtype, found.shape) == (np.float32, expected.shape)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(store.raw(rows), quantised(expected, store.bits))


@pytest.mark.parametrize("rows", [N, -N - 1, [0, N], np.zeros(N + 1, bool), (0, 1), (slice(None), 2), "a", 1.5])
def test_an_index_that_numpy_refuses_or_that_is_no_row_is_refused(both, rows):
    with pytest.raises(IndexError):
        both[0][rows]


def test_what_is_read_is_ones_own(both):
    store, dense = both
    batch = store[[0, 1]]
    batch += 1
    raw = store.raw([0, 1])
    raw[:] = 0
    np.testing.assert_array_equal(store[[0, 1]], dense[:2])


def test_numpy_takes_it_for_an_array(both):
    store, dense = both
    np.testing.assert_array_equal(np.asarray(store), dense)
    np.testing.assert_array_equal(np.asarray(store, dtype=np.float64), dense.astype(np.float64))
    assert np.asarray(store[np.array([3, 1])], dtype=np.float32).flags.writeable
    for volume, expected in zip(store, dense, strict=True):
        np.testing.assert_array_equal(volume, expected)


@QUIET
@given(row=ROW, part=st.tuples(*[st.slices(side) for side in GRID.shape]))
def test_a_patch_is_that_part_of_the_volume(both, row, part):
    store, dense = both
    found = store.patch(row, part)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, dense[row][part])


@pytest.mark.parametrize("part", [(), (slice(3),), (slice(3), slice(3), 3), (slice(3),) * 4])
def test_a_patch_that_is_no_three_slices_is_refused(both, part):
    with pytest.raises(InputError, match="a part of a volume is three slices, one an axis"):
        both[0].patch(0, part)


def test_a_batch_is_read_without_a_copy_of_the_whole(tmp_path):
    """A file far larger than the batch (a hole on the disk): memory grows by the batch alone."""
    import tracemalloc

    grid, n = Grid((160, 192, 160), 1.0), 40
    folder, cohort = tmp_path / "large", people(tmp_path / "images", n)
    volume = np.zeros(grid.shape, np.uint16)
    _make(folder_made(folder), contents_of(cohort, grid, 16), (volume for _ in range(n)), None)
    store = VolumeStore(folder)
    tracemalloc.start()
    store[np.arange(30, 34)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * 4 * 4 * volume.size


def folder_made(folder):
    folder.mkdir()
    return folder


def test_an_empty_store_is_whole(tmp_path, cohort):
    nobody = cohort.rows(np.arange(0))
    store = written(tmp_path / "empty", nobody, values(0))
    assert store[:].shape == (0, *GRID.shape)
    store.verify()
    store.require(nobody, GRID)


# --- several processes


def mean_of(store, rows):
    return [float(store[int(row)].mean()) for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_several_processes_read_at_once(both, method):
    store, dense = both
    store[0]
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        found = list(pool.map(mean_of, [store] * 6, [np.random.default_rng(seed).permutation(N) for seed in range(6)]))
    for seed, means in enumerate(found):
        order = np.random.default_rng(seed).permutation(N)
        np.testing.assert_array_equal(means, [float(dense[row].mean()) for row in order])


def test_several_threads_read_at_once(both):
    store, dense = both
    fresh, found = VolumeStore(store.folder), {}
    threads = [threading.Thread(target=lambda key=key: found.update({key: fresh[:]})) for key in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    for batch in found.values():
        np.testing.assert_array_equal(batch, dense)


def test_a_pickle_holds_no_volume_and_opens_the_file_again(both):
    store, dense = both
    sent = pickle.dumps(store)
    assert len(sent) < 8000
    np.testing.assert_array_equal(pickle.loads(sent)[:], dense)


def test_a_pickle_verifies_anew(store):
    store[:]
    sent = pickle.dumps(store)
    flip(store.folder / "volumes.npy", 128 + 5)
    with pytest.raises(DamagedStoreError, match=r"sub-00 ses-1 \(row 1\)"):
        pickle.loads(sent)[0]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_pickle_of_a_store_that_is_no_longer_there_is_refused(store, cohort, is_there):
    sent = pickle.dumps(store)
    if is_there:
        written(store.folder, cohort.rows(np.arange(3)), values(3))
    else:
        (store.folder / "volumes.npy").unlink()
    with pytest.raises(DamagedStoreError, match="is not the store that it was"):
        pickle.loads(sent)


def test_a_pickle_never_reads_other_volumes_of_the_same_shape(store, cohort):
    sent = pickle.dumps(store)
    written(store.folder, cohort, values(seed=1))
    with pytest.raises(DamagedStoreError):
        pickle.loads(sent)[2]


# --- damage


def flip(path, byte, bit=0):
    """Another bit in place, as a disk does it."""
    with path.open("r+b") as file:
        file.seek(byte)
        old = file.read(1)[0]
        file.seek(byte)
        file.write(bytes([old ^ (1 << bit)]))


@QUIET
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), name=st.sampled_from(FILES))
def test_a_flipped_bit_anywhere_is_found(both, place, bit, name):
    store, _ = both
    path = store.folder / name
    byte = int(place * path.stat().st_size)
    before = path.read_bytes()
    flip(path, byte, bit)
    try:
        if path.name == "volumes.json" and is_same_json(before, path.read_bytes()):
            VolumeStore(store.folder).verify()
        else:
            with pytest.raises(DamagedStoreError):
                VolumeStore(store.folder).verify()
    finally:
        flip(path, byte, bit)
    VolumeStore(store.folder).verify()


def is_same_json(one, other):
    """Layout does not matter: a blank that became another one."""
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


@pytest.mark.parametrize("byte", range(128))
def test_every_byte_of_the_header_counts(both, byte):
    path = both[0].folder / "volumes.npy"
    flip(path, byte, byte % 8)
    try:
        with pytest.raises(DamagedStoreError, match=r"no whole store of volumes .*the header of"):
            VolumeStore(both[0].folder)
    finally:
        flip(path, byte, byte % 8)


READS = {
    "one row": lambda store: store[3],
    "a slice": lambda store: store[2:5],
    "rows": lambda store: store[[5, 3]],
    "the numbers": lambda store: store.raw(3),
    "a patch elsewhere": lambda store: store.patch(3, (slice(0, 2),) * 3),
    "all": np.asarray,
}


@pytest.mark.parametrize("read", READS)
def test_a_damaged_volume_is_named_when_it_is_first_read_and_the_others_are_read(store, read):
    flip(store.folder / "volumes.npy", 128 + 4 * 2 * int(np.prod(GRID.shape)) - 1, 7)
    with pytest.raises(DamagedStoreError, match=r"sub-03 ses-1 \(row 4\), in volumes.npy; remove .* makes them anew"):
        READS[read](store)
    assert store[[0, 1, 2, 4, 5, 6]].shape == (6, *GRID.shape)
    with pytest.raises(ImageError):
        READS[read](store)


def test_verify_names_every_damaged_volume(store):
    size = 2 * int(np.prod(GRID.shape))
    store[:]
    for row in (1, 4):
        flip(store.folder / "volumes.npy", 128 + row * size)
    with pytest.raises(
        DamagedStoreError, match=r"2 damaged volumes, sub-01 ses-1 \(row 2\), sub-04 ses-1 \(row 5\), in"
    ):
        store.verify()


def test_a_volume_is_verified_once(store, monkeypatch):
    store[[2, 2]]
    monkeypatch.setattr(zlib, "crc32", lambda data: pytest.fail("verified again"))
    assert store[2].shape == GRID.shape


def test_damage_is_a_fault_of_the_machine_and_of_the_image():
    """A run stops at a StorageError and does not write it down as the fault of a fit; a process can send it home."""
    assert issubclass(DamagedStoreError, (ImageError, StorageError))
    assert str(pickle.loads(pickle.dumps(DamagedStoreError("here")))) == "here"


def rewritten(folder, change):
    path = folder / "volumes.json"
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps({**facts, "checksum": self_checksum(facts)}))


WRECKS = {
    "no manifest": lambda folder: (folder / "volumes.json").unlink(),
    "no array": lambda folder: (folder / "volumes.npy").unlink(),
    "no table": lambda folder: (folder / "scans.tsv").unlink(),
    "half a manifest": lambda folder: os.truncate(folder / "volumes.json", 300),
    "an empty manifest": lambda folder: os.truncate(folder / "volumes.json", 0),
    "another manifest": lambda folder: (folder / "volumes.json").write_text("[]"),
    "a number": lambda folder: (folder / "volumes.json").write_text("3"),
    "the manifest of the version before": lambda folder: (folder / "volumes.json").write_text('{"fingerprint": "a"}'),
    "the manifest of a later version": lambda folder: rewritten(folder, lambda facts: facts.update(format="next")),
    "a manifest without a key": lambda folder: rewritten(folder, lambda facts: facts.pop("checksums")),
    "a checksum too few": lambda folder: rewritten(folder, lambda facts: facts["checksums"].pop()),
    "a checksum that is no number": lambda folder: rewritten(folder, lambda facts: facts.update(checksums=["a"] * N)),
    "other bits": lambda folder: rewritten(folder, lambda facts: facts.update(bits=8)),
    "bits that are none": lambda folder: rewritten(folder, lambda facts: facts.update(bits=7)),
    "another grid": lambda folder: rewritten(folder, lambda facts: facts["grid"].update(shape=[32, 33, 35])),
    "a grid that is none": lambda folder: rewritten(folder, lambda facts: facts["grid"].update(shape=[1])),
    "half a table": lambda folder: os.truncate(folder / "scans.tsv", 100),
    "half an array": lambda folder: os.truncate(folder / "volumes.npy", 5000),
    "a byte too few": lambda folder: os.truncate(folder / "volumes.npy", (folder / "volumes.npy").stat().st_size - 1),
    "a byte too many": lambda folder: os.truncate(folder / "volumes.npy", (folder / "volumes.npy").stat().st_size + 1),
    "half a header": lambda folder: os.truncate(folder / "volumes.npy", 60),
    "an empty array": lambda folder: os.truncate(folder / "volumes.npy", 0),
    "another array": lambda folder: np.save(folder / "volumes.npy", np.zeros(3)),
    "the array in float16": lambda folder: np.save(folder / "volumes.npy", np.zeros((N, *GRID.shape), np.float16)),
    "what a kill left": lambda folder: (folder / "volumes.npy").rename(folder / "volumes.npy.part"),
    "a folder for an array": lambda folder: ((folder / "volumes.npy").unlink(), (folder / "volumes.npy").mkdir()),
}


@pytest.mark.parametrize("wreck", WRECKS)
def test_what_is_not_whole_is_refused(store, wreck):
    WRECKS[wreck](store.folder)
    with pytest.raises(DamagedStoreError, match=r"no whole store of volumes .*; remove volumes.json, volumes.npy"):
        VolumeStore(store.folder)


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_a_place_without_a_store_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match="holds no whole store of volumes"):
        VolumeStore(tmp_path / place)


def test_a_store_of_the_version_before_is_told_as_such(store):
    WRECKS["the manifest of the version before"](store.folder)
    with pytest.raises(DamagedStoreError, match=r"volumes.json does not say its 'format'"):
        VolumeStore(store.folder)
    (store.folder / "volumes.json").write_text('{"format": "next"}')
    with pytest.raises(DamagedStoreError, match=r"format 'next', this version reads 'neurotransfer-volumes-2'"):
        VolumeStore(store.folder)


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
sys.path.insert(0, {tests!r})
from test_store import GRID, N, contents_of, people, quantised, values, _make
def slow():
    for index, volume in enumerate(values()):
        print(index, flush=True)
        if index == {stop}:
            time.sleep(60)
        yield quantised(volume, 16)
    print("end", flush=True)
folder = Path({folder!r})
folder.mkdir()
_make(folder, contents_of(people(Path({images!r})), GRID, 16), slow(), None)
"""


@pytest.mark.parametrize("stop", [0, N // 2, N - 1])
def test_a_killed_writer_leaves_nothing_to_believe(tmp_path, stop):
    folder, images = tmp_path / "store", tmp_path / "images"
    text = WRITER.format(tests=os.path.dirname(__file__), folder=str(folder), images=str(images), stop=stop)  # noqa: PTH120
    writer = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    try:
        for line in writer.stdout:
            if line.strip() == str(stop):
                break
        time.sleep(0.1)
        writer.send_signal(signal.SIGKILL)
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    assert (folder / "volumes.npy.part").exists()
    with pytest.raises(DamagedStoreError):
        VolumeStore(folder)
    assert not (folder / "volumes.json").exists()


# --- whose volumes they are


def changed(cohort, **columns):
    return Cohort(cohort.name, cohort.table.assign(**columns), cohort.alignment)


def renamed(cohort):
    return changed(cohort, participant_id=["someone", *cohort.participants[1:]])


MISFITS = {
    "fewer people": (lambda cohort: (cohort.rows(np.arange(5)), GRID), "holds sub-05 ses-1, sub-06 ses-1, not in the"),
    "no people": (lambda cohort: (cohort.rows(np.arange(0)), GRID), "sub-01 ses-1, sub-02 ses-1 and 4 more, not in"),
    "another person": (lambda cohort: (renamed(cohort), GRID), "it lacks someone ses-1 of the cohort"),
    "another session": (lambda cohort: (changed(cohort, session_id="ses-2"), GRID), "it lacks sub-00 ses-2"),
    "another order": (
        lambda cohort: (cohort.rows(np.arange(N)[::-1]), GRID),
        "holds the scans of the cohort in another order: sub-00 ses-1, sub-01 ses-1",
    ),
    "another shape": (
        lambda cohort: (cohort, Grid((32, 33, 35), 6.0)),
        "its volumes lie on 32 x 33 x 34 voxels of 6 mm, asked for is 32 x 33 x 35 voxels of 6 mm",
    ),
    "other voxels": (lambda cohort: (cohort, Grid((32, 33, 34), 5.5)), "asked for is 32 x 33 x 34 voxels of 5.5 mm"),
    "another alignment": (
        lambda cohort: (Cohort(cohort.name, cohort.table, "centre"), GRID),
        "its volumes have alignment 'world', the cohort has 'centre'",
    ),
    "other images": (
        lambda cohort: (changed(cohort, image=cohort.table["image"].to_numpy()[::-1]), GRID),
        "the image or mask of sub-00 ses-1, sub-01 ses-1, sub-02 ses-1 and 3 more has changed or moved",
    ),
    "a mask": (
        lambda cohort: (changed(cohort, mask=[""] * (N - 1) + [cohort.table["image"].iloc[0]]), GRID),
        "the image or mask of sub-06 ses-1 has changed",
    ),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_store_of_another_cohort_is_refused_with_what_differs(store, cohort, misfit):
    change, said = MISFITS[misfit]
    with pytest.raises(CohortError) as caught:
        store.require(*change(cohort))
    assert said in str(caught.value)
    assert str(store.folder) in str(caught.value)
    assert "remove that folder to have it made again, name another folder" in str(caught.value)


def test_a_store_of_the_cohort_is_taken(both, cohort):
    both[0].require(cohort, GRID)
    both[0].require(cohort, GRID, both[0].bits)
    with pytest.raises(CohortError, match=f"its volumes have {both[0].bits} bits a voxel, asked for are"):
        both[0].require(cohort, GRID, 24 - both[0].bits)


def test_other_targets_of_the_same_scans_do_not_matter(store, cohort):
    store.require(changed(cohort, age="30", site="Leipzig"), GRID)


def test_another_recipe_is_refused(store, cohort):
    found = contents_of(cohort, GRID)
    wanted = Contents(found.table, found.grid, found.alignment, found.bits, "grid-9")
    with pytest.raises(CohortError, match="made by recipe 'grid-1', this version makes 'grid-9'"):
        store.require_contents(wanted)


@pytest.mark.parametrize("change", ["touched", "longer", "gone"])
def test_an_image_that_has_changed_is_named(tmp_path, change):
    cohort = people(tmp_path / "images")
    store, path = written(tmp_path / "store", cohort, values()), cohort.images[2][0]
    if change == "touched":
        os.utime(path, ns=(1, 1))
    elif change == "longer":
        before = path.stat().st_mtime_ns
        path.write_text("another image")
        os.utime(path, ns=(before, before))
    else:
        path.unlink()
    with pytest.raises(
        InputError, match="no such image .*scan2" if change == "gone" else "of sub-02 ses-1 has changed"
    ):
        store.require(cohort, GRID)
    store.require(cohort, GRID, files=False)


def test_without_looking_at_files_the_people_still_have_to_be_the_same(store, cohort):
    with pytest.raises(CohortError, match="in another order"):
        store.require(cohort.rows(np.arange(N)[::-1]), GRID, files=False)


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)


@QUIET
@given(names=st.lists(NAMES, min_size=1, max_size=3, unique=True))
def test_people_of_any_name_are_known_again(tmp_path, names):
    rows = [
        {"participant_id": name, "session_id": "n/a", "image": str(save_once(tmp_path, index)), "mask": ""}
        for index, name in enumerate(names)
    ]
    cohort = Cohort("odd", pd.DataFrame(rows))
    store = written(tmp_path / "store", cohort, values(len(names)))
    store.require(cohort, GRID)
    assert store.contents.fingerprint == contents_of(cohort, GRID).fingerprint


def save_once(folder, index):
    path = folder / f"{index}.nii"
    return path if path.exists() else save(noise(index), path)


def test_a_file_name_that_is_no_text_is_kept(tmp_path):
    path = save(noise(0), tmp_path / "a.nii").rename(tmp_path / os.fsdecode(b"caf\xe9.nii"))
    table = pd.DataFrame([{"participant_id": "a", "session_id": "", "image": str(path), "mask": ""}], dtype=object)
    cohort = Cohort("odd", table)
    written(tmp_path / "store", cohort, values(1)).require(cohort, GRID)


def test_the_fingerprint_tells_all_of_it_apart(cohort):
    wanted = contents_of(cohort, GRID)
    others = [contents_of(*change(cohort)) for change, _ in MISFITS.values()] + [contents_of(cohort, GRID, 8)]
    others.append(Contents(wanted.table, wanted.grid, recipe="grid-9"))
    assert len({wanted.fingerprint, *[other.fingerprint for other in others]}) == len(others) + 1
    assert all(differences(wanted, other) and differences(other, wanted) for other in others)
    assert not differences(wanted, contents_of(cohort, GRID))


def test_a_cohort_without_sessions_is_stored(tmp_path, cohort):
    bare = Cohort("bare", cohort.table[["participant_id", "image", "mask"]])
    store = written(tmp_path / "bare", bare, values())
    store.require(bare, GRID)
    assert store.contents.scans[0] == "sub-00"


def test_the_header_is_that_of_numpy(tmp_path):
    volume = np.arange(24, dtype="<u2").reshape(2, 3, 4)
    checksums = _fill(tmp_path / "a.npy", _header((1, 2, 3, 4), volume.dtype), (each for each in [volume]), None)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), volume[None])
    assert checksums == [zlib.crc32(volume.tobytes())]
