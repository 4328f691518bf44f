"""Files that are whole or absent: crashes, full disks, places that cannot be written, and round trips."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurotransfer import artifacts
from neurotransfer.artifacts import (
    PACKAGES,
    TABLE_SUFFIXES,
    is_file,
    is_folder,
    provenance,
    read_json,
    remove_whole,
    storage,
    table_suffix,
    write_atomically,
    write_json,
    write_table,
)
from neurotransfer.cohort import Cohort, Grid, store_volumes
from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.errors import InputError, StorageError

QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- atomic writes


def test_a_file_is_written_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "c.txt"
    write_atomically(path, lambda temporary: temporary.write_text("new"))
    assert path.read_text() == "new"
    assert names(path.parent) == ["c.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_writer_gets_a_file_beside_the_target_with_its_suffix(tmp_path):
    seen = []
    write_atomically(tmp_path / "a.parquet", seen.append)
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == ".parquet"
    assert seen[0] != tmp_path / "a.parquet"


@pytest.mark.parametrize("failure", [RuntimeError("crash"), KeyboardInterrupt(), SystemExit(1), MemoryError()])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_crash_of_the_writer_leaves_the_old_file_and_no_other(tmp_path, failure, is_new):
    path = tmp_path / "a.txt"
    if not is_new:
        path.write_text("old")

    def crash(temporary):
        temporary.write_text("hal")
        raise failure

    with pytest.raises(type(failure)):
        write_atomically(path, crash)
    assert names(tmp_path) == ([] if is_new else ["a.txt"])
    assert is_new or path.read_text() == "old"


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("new")
        assert path.read_text() == "old"

    write_atomically(path, write)
    assert path.read_text() == "new"


FULL = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG]
REFUSED = [
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
]


@pytest.mark.parametrize("number", FULL + REFUSED)
def test_a_failure_of_the_disk_says_what_to_do_and_leaves_the_old_file(tmp_path, number):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("hal")
        raise OSError(number, os.strerror(number))

    with pytest.raises(StorageError) as caught:
        write_atomically(path, fail)
    message = str(caught.value)
    assert str(path) in message
    assert os.strerror(number) in message
    assert ("free some space" if number in FULL else "choose another place") in message
    assert isinstance(caught.value.__cause__, OSError)
    assert names(tmp_path) == ["a.txt"]
    assert path.read_text() == "old"


def test_other_failures_are_not_disguised(tmp_path):
    with pytest.raises(OSError, match="Input/output error"), storage(tmp_path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(ZeroDivisionError), storage(tmp_path):
        raise ZeroDivisionError
    with storage(tmp_path):
        pass


@pytest.mark.parametrize("place", ["file/a.txt", "folder", "x" * 300, "file/deep/er/a.txt"])
def test_a_place_that_cannot_be_written_is_told(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*choose another place"):
        write_json(tmp_path / place, {})
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="Permission denied"):
            write_json(tmp_path / "a.json", {})
    finally:
        tmp_path.chmod(0o700)


# --- a disk that is full


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_a_table_on_a_disk_that_is_really_full_leaves_the_old_one(small_disk, suffix):
    path = small_disk / f"results{suffix}"
    write_table(path, pd.DataFrame({"a": ["1", "2"]}))
    with pytest.raises(StorageError, match=r"no space left while writing .*free some space"):
        write_table(path, pd.DataFrame({"a": np.random.default_rng(0).random(60_000)}))
    assert names(small_disk) == [path.name]
    assert list(read_text_table(path)["a"]) == ["1", "2"]


def test_json_on_a_disk_that_is_really_full_leaves_the_old_one(small_disk):
    path = small_disk / "a.json"
    write_json(path, [1])
    with pytest.raises(StorageError, match="No space left on device"):
        write_json(path, ["x" * 1000] * 1000)
    assert read_json(path) == [1]


@pytest.mark.parametrize("is_told", [True, False])
def test_volumes_on_a_disk_that_is_really_full_are_not_believed(small_disk, tmp_path, monkeypatch, is_told):
    import nibabel

    grid = Grid((32, 32, 32), 6.0)
    generator = np.random.default_rng(0)
    rows = []
    for index in range(6):
        voxels = generator.integers(1, 999, grid.shape).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, grid.affine), tmp_path / f"{index}.nii")
        rows.append({"participant_id": f"sub-{index}", "image": str(tmp_path / f"{index}.nii"), "mask": ""})
    cohort = Cohort("six", pd.DataFrame(rows))
    if not is_told:
        monkeypatch.setattr("neurotransfer.cohort.storing._require_space", lambda folder, needed: None)
    with pytest.raises(
        StorageError, match="MiB left and the volumes need" if is_told else "no space left while writing"
    ):
        store_volumes(small_disk / "cache", cohort, grid)
    assert not {"volumes.json", "volumes.npy", "volumes.npy.part", "scans.tsv"} & set(names(small_disk / "cache"))
    assert store_volumes(small_disk / "cache", cohort.rows(np.arange(2)), grid).shape == (2, *grid.shape)


# --- JSON


@QUIET
@given(VALUES)
def test_json_gives_back_what_was_written(tmp_path, value):
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_json_keeps_the_order_of_keys_and_writes_paths_as_text(tmp_path):
    write_json(tmp_path / "a.json", {"b": tmp_path, "a": "ü"})
    assert list(read_json(tmp_path / "a.json").items()) == [("b", str(tmp_path)), ("a", "ü")]
    assert (tmp_path / "a.json").read_text().endswith("}\n")


def test_a_value_that_is_no_json_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    circle = []
    circle.append(circle)
    with pytest.raises(ValueError, match="Circular"):
        write_json(tmp_path / "a.json", circle)
    assert read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_json_is_told(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read as JSON .*; write it again"):
        read_json(tmp_path / "a.json")


def test_json_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*a.json"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_json(tmp_path)


@QUIET
@given(st.binary(max_size=60))
def test_random_bytes_are_json_or_our_error(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    try:
        value = read_json(tmp_path / "a.json")
    except InputError:
        return
    assert json.loads(json.dumps(value)) == value or value != value


# --- tables


COLUMN = st.lists(
    st.none() | st.text("abc ü\"',\t;1.", min_size=1, max_size=6).map(str.strip).filter(bool), min_size=3, max_size=3
)


@QUIET
@given(first=COLUMN, second=COLUMN, suffix=st.sampled_from(TABLE_SUFFIXES))
def test_tables_of_text_give_back_what_was_written(tmp_path, first, second, suffix):
    path = tmp_path / f"a{suffix}"
    write_table(path, pd.DataFrame({"x": first, "a b": second}))
    found = read_text_table(path)
    assert list(found.columns) == ["x", "a b"]
    for column, values in (("x", first), ("a b", second)):
        assert list(found[column]) == ["" if value is None else value for value in values]


@QUIET
@given(st.lists(st.floats(allow_infinity=False, width=64), min_size=1, max_size=6))
def test_numbers_of_tables_are_exact(tmp_path, values):
    table = pd.DataFrame({"value": values, "index": range(len(values))})
    write_table(tmp_path / "a.parquet", table)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), table)
    for suffix, separator in ((".tsv", "\t"), (".csv", ",")):
        write_table(tmp_path / f"a{suffix}", table)
        found = pd.read_csv(tmp_path / f"a{suffix}", sep=separator, float_precision="round_trip")
        np.testing.assert_array_equal(found["value"], values)


def test_missing_values_are_written_as_bids_writes_them(tmp_path):
    write_table(tmp_path / "a.tsv", pd.DataFrame({"age": [1.5, np.nan], "sex": [None, "F"]}))
    assert (tmp_path / "a.tsv").read_text() == "age\tsex\n1.5\tn/a\nn/a\tF\n"


@pytest.mark.parametrize("name", ["a.txt", "a", "a.tsv.gz", ".tsv", "a.xlsx"])
def test_a_table_of_unknown_format_is_refused(tmp_path, name):
    with pytest.raises(
        InputError, match=r"cannot tell the format of table .*; allowed endings: \.tsv, \.csv, \.parquet"
    ):
        write_table(tmp_path / name, pd.DataFrame({"a": [1]}))
    assert names(tmp_path) == []


def test_the_case_of_an_ending_does_not_matter(tmp_path):
    assert table_suffix(tmp_path / "A.TSV") == ".tsv"
    write_table(tmp_path / "A.CSV", pd.DataFrame({"a": ["x"]}))
    assert list(read_text_table(tmp_path / "A.CSV")["a"]) == ["x"]


# --- what is there


def test_what_is_a_file_and_what_is_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    found = [(is_file(path), is_folder(path)) for path in (tmp_path, tmp_path / "file", tmp_path / "absent")]
    assert found == [(False, True), (True, False), (False, False)]
    for name in ("x" * 300, "nul\0", "file/below"):
        assert not is_file(tmp_path / name)
        assert not is_folder(tmp_path / name)


# --- provenance


def test_provenance_names_facts_and_versions():
    found = provenance(seed=3, command="neurotransfer demo")
    assert (found["seed"], found["command"]) == (3, "neurotransfer demo")
    assert set(found["versions"]) == set(PACKAGES)
    assert found["versions"]["numpy"] == np.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert json.loads(json.dumps(found)) == found


def test_a_package_that_is_absent_does_not_stop_provenance(monkeypatch):
    monkeypatch.setattr(artifacts, "PACKAGES", ("numpy", "no-such-package-at-all"))
    assert provenance()["versions"]["no-such-package-at-all"] == "not installed"


def test_a_file_goes_with_the_halves_that_killed_processes_left_of_it(tmp_path):
    for name in ("a.pt", ".a.pt.x1.pt", ".a.pt.zz_9.pt", ".a.json.x1.json", "b.pt", "xa.pt"):
        (tmp_path / name).write_text("x")
    remove_whole(tmp_path / "a.pt")
    assert {path.name for path in tmp_path.iterdir()} == {".a.json.x1.json", "b.pt", "xa.pt"}
    remove_whole(tmp_path / "a.pt")
