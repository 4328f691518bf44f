"""Finished cells on the disk: whole or absent, in one place or in both, never lost, never counted twice."""

import json
import math
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from neurotransfer.benchmark import records
from neurotransfer.benchmark.plan import Cell
from neurotransfer.benchmark.records import (
    FIT_FIELDS,
    KEY,
    PREDICTION_FIELDS,
    all_fits,
    beside,
    cell_of,
    cell_path,
    finished,
    gather,
    gathered,
    keep,
    loose,
    predictions_of,
)
from neurotransfer.errors import StorageError
from neurotransfer.statistics.metrics import SCORES


def fits_of(n_settings=3, value=0.5, **changes):
    columns = {name: [value] * n_settings for name in FIT_FIELDS.names if name not in KEY}
    whole = ("epochs", "best_epoch", "n_train_images", "n_train_participants", "n_validation_images", "n_test_images")
    columns |= {name: [7] * n_settings for name in whole}
    columns |= {
        "setting_index": list(range(n_settings)),
        "setting": ['{"penalty": 1.0}'] * n_settings,
        "selected": [index == 1 for index in range(n_settings)],
        "dropped": [False] * n_settings,
        "entered": ["a+b"] * n_settings,
        "blend": [""] * n_settings,
        "error": [None] * n_settings,
    }
    return columns | changes


def predictions_for(rows, value=0.25, selected=True, part="test", index=1):
    size = len(rows)
    return {
        "setting_index": [index] * size, "selected": [selected] * size, "part": [part] * size, "row": list(rows),
        "predicted": [value] * size, "probabilities": [[0.75, 0.25]] * size,
    }  # fmt: skip


def cells_of(n, strategy="linear"):
    return [Cell("age", 10 * (1 + index % 3), index, strategy) for index in range(n)]


def fill(folder, cells, **options):
    for cell in cells:
        keep(folder, cell, fits_of(**options), predictions_for([1, 2, 3]))


names = st.from_regex(r"\w[\w .+()-]{0,20}", fullmatch=True)


@given(cell=st.builds(Cell, names, st.integers(8, 10**6), st.integers(0, 10**5), names))
def test_the_path_of_a_cell_tells_which_it_is(cell):
    assert cell_of(cell_path(Path("run"), cell)) == cell


def test_a_cell_counts_from_the_moment_it_is_written_and_after_it_is_gathered(tmp_path):
    assert finished(tmp_path) == set()
    fill(tmp_path, cells_of(5))
    assert finished(tmp_path) == set(cells_of(5))
    assert gather(tmp_path) == 5
    assert list(loose(tmp_path)) == []
    assert finished(tmp_path) == set(cells_of(5))
    assert gather(tmp_path) == 0
    assert len(gathered(tmp_path)) == 1


@given(values=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=3, max_size=3))
def test_numbers_come_back_bit_by_bit(values, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    keep(folder, cells_of(1)[0], fits_of(validation_loss=values), predictions_for([4], values[0]))
    gather(folder)
    found = [*all_fits(folder)["validation_loss"], *predictions_of(folder, "age", 10, every=False)["predicted"]]
    for one, other in zip(found, [*values, values[0]], strict=True):
        assert one == other or (math.isnan(one) and math.isnan(other))


def test_the_tables_have_the_promised_types_even_where_everything_is_missing(tmp_path):
    keep(tmp_path, cells_of(1)[0], fits_of(error=["a", "b", "c"], selected=[False] * 3), predictions_for([]))
    gather(tmp_path)
    fits = all_fits(tmp_path)
    assert list(fits) == FIT_FIELDS.names
    assert fits["selected"].dtype == bool
    assert fits["error"].tolist() == ["a", "b", "c"]
    assert list(predictions_of(tmp_path, "age", 10, every=True)) == PREDICTION_FIELDS.names
    assert list(predictions_of(tmp_path / "none", "age", 10, every=True)) == PREDICTION_FIELDS.names
    assert all_fits(tmp_path / "none").empty


@pytest.mark.parametrize(
    "left", [b"", b"{", b'{"cell": ["age"', b"\x00" * 50, b'{"cell": [], "fits": {}}', b"[]", b"null"]
)
def test_a_file_that_a_power_cut_left_is_removed_and_its_cell_is_open_again(tmp_path, left):
    fill(tmp_path, cells_of(3))
    cell_path(tmp_path, cells_of(3)[1]).write_bytes(left)
    assert gather(tmp_path) == 2
    assert finished(tmp_path) == {cells_of(3)[0], cells_of(3)[2]}
    assert list(loose(tmp_path)) == []


def test_half_written_and_foreign_files_are_not_taken_for_cells(tmp_path):
    fill(tmp_path, cells_of(1))
    (cell_path(tmp_path, cells_of(1)[0]).parent / ".0007-linear.json.abc.json").write_text("{}")
    (tmp_path / "cells" / "notes.txt").write_text("mine")
    (tmp_path / "cells" / "age" / "10" / "notes.json").write_text("mine")
    (tmp_path / "cells" / "age" / "old").mkdir()
    (tmp_path / "cells" / "age" / "old" / "0001-linear.json").write_text("mine")
    assert finished(tmp_path) == set(cells_of(1))


def test_a_cell_in_its_own_file_and_gathered_is_one_cell(tmp_path):
    """As after a kill between the two steps of gathering."""
    fill(tmp_path, cells_of(4))
    own = {path: path.read_bytes() for path in loose(tmp_path)}
    gather(tmp_path)
    for path, text in own.items():
        path.write_bytes(text)
    assert finished(tmp_path) == set(cells_of(4))
    gather(tmp_path)
    assert len(gathered(tmp_path)) == 2
    assert len(all_fits(tmp_path)) == 4 * 3
    assert len(predictions_of(tmp_path, "age", 10, every=False)) == 2 * 3


def test_of_a_cell_that_was_done_twice_the_last_time_counts(tmp_path):
    fill(tmp_path, cells_of(2), value=0.5)
    gather(tmp_path)
    cell = cells_of(2)[0]
    keep(tmp_path, cell, fits_of(value=0.75), predictions_for([8], value=0.125))
    gather(tmp_path)
    fits = all_fits(tmp_path)
    assert set(fits.loc[fits["replicate"] == 0, "validation_auc"]) == {0.75}
    assert set(fits.loc[fits["replicate"] == 1, "validation_auc"]) == {0.5}
    found = predictions_of(tmp_path, "age", 10, every=False)
    assert found[["row", "predicted"]].to_numpy().tolist() == [[8, 0.125]]


def test_a_full_disk_while_gathering_loses_nothing(tmp_path, monkeypatch):
    fill(tmp_path, cells_of(3))

    def full(table, where):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(records.parquet, "write_table", full)
    with pytest.raises(StorageError, match="no space left"):
        gather(tmp_path)
    assert finished(tmp_path) == set(cells_of(3))
    assert len(list(loose(tmp_path))) == 3
    monkeypatch.undo()
    assert gather(tmp_path) == 3


def test_predictions_without_their_fits_are_not_read(tmp_path):
    """As after a kill between the two files of a gathering."""
    fill(tmp_path, cells_of(3))
    gather(tmp_path)
    fill(tmp_path, cells_of(3))
    own = {path: path.read_bytes() for path in loose(tmp_path)}
    gather(tmp_path)
    gathered(tmp_path)[-1].unlink()
    for path, text in own.items():
        path.write_bytes(text)
    assert len(predictions_of(tmp_path, "age", 10, every=False)) == 3
    gather(tmp_path)
    assert len(predictions_of(tmp_path, "age", 10, every=False)) == 3


def test_a_damaged_gathered_file_is_told_with_what_to_do(tmp_path):
    fill(tmp_path, cells_of(3))
    gather(tmp_path)
    gathered(tmp_path)[0].write_bytes(b"PAR1 and nothing more")
    with pytest.raises(StorageError, match=r"or remove .*predictions\.parquet' to have their cells done again"):
        all_fits(tmp_path)
    with pytest.raises(StorageError, match="done again"):
        finished(tmp_path)
    with pytest.raises(StorageError, match="done again"):
        predictions_of(tmp_path, "age", 10, every=False) if beside(gathered(tmp_path)[0]).unlink() is None else None


def test_a_file_that_cannot_be_read_now_is_kept(tmp_path, monkeypatch):
    """A network file system that stutters must not cost a finished cell."""
    fill(tmp_path, cells_of(3))
    real = Path.read_bytes

    def stale(path):
        if path == cell_path(tmp_path, cells_of(3)[1]):
            raise OSError(116, "Stale file handle")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", stale)
    with pytest.raises(StorageError, match=r"cannot be read now \(Stale file handle\); run the same command again"):
        gather(tmp_path)
    monkeypatch.undo()
    assert finished(tmp_path) == set(cells_of(3))
    assert gather(tmp_path) == 3


def test_of_machines_whose_clocks_differ_the_last_one_still_counts(tmp_path, monkeypatch):
    fill(tmp_path, cells_of(1), value=0.5)
    gather(tmp_path)
    fill(tmp_path, cells_of(1), value=0.75)
    monkeypatch.setattr(records.time, "time_ns", lambda: 5)
    gather(tmp_path)
    assert set(all_fits(tmp_path)["validation_auc"]) == {0.75}


def test_only_the_chosen_setting_s_test_predictions_are_asked_for_or_all(tmp_path):
    found = predictions_for([1, 2])
    for other in (predictions_for([1, 2], selected=False, index=0), predictions_for([5], part="validation")):
        found = {name: found[name] + other[name] for name in found}
    keep(tmp_path, Cell("age", 10, 0, "linear"), fits_of(), found)
    gather(tmp_path)
    assert predictions_of(tmp_path, "age", 10, every=False)["row"].tolist() == [1, 2]
    every = predictions_of(tmp_path, "age", 10, every=True)
    assert every[["setting_index", "part", "row"]].values.tolist() == [
        [1, "test", 1], [1, "test", 2], [0, "test", 1], [0, "test", 2], [1, "validation", 5],
    ]  # fmt: skip
    assert predictions_of(tmp_path, "age", 20, every=True).empty
    assert predictions_of(tmp_path, "sex", 10, every=True).empty


def test_gathered_cells_of_earlier_versions_lack_columns_and_are_read_beside_later_ones(tmp_path):
    later = [name for name in FIT_FIELDS.names if name.startswith("train_")]
    assert len(later) == len(SCORES)
    numbers, later = later, [*later, "entered"]
    old, new = cells_of(4)[:2], cells_of(4)[1:]
    fill(tmp_path, old, value=0.125)
    gather(tmp_path)
    path = gathered(tmp_path)[0]
    parquet.write_table(parquet.read_table(path).drop_columns(later), path)
    fill(tmp_path, new)
    gather(tmp_path)
    assert finished(tmp_path) == {*old, *new}
    fits = all_fits(tmp_path)
    assert list(fits) == FIT_FIELDS.names
    is_old = fits["replicate"] == old[0].replicate
    assert fits.loc[is_old, later].isna().all(axis=None)
    # the second was done again by the later version
    assert (fits.loc[~is_old, numbers] == 0.5).all(axis=None)
    assert (fits.loc[~is_old, "entered"] == "a+b").all()
    assert fits[numbers].dtypes.astype(str).unique().tolist() == ["float64"]
    assert (fits.loc[is_old, "test_auc"] == 0.125).all()


def test_cells_of_earlier_versions_are_read(tmp_path):
    row = {
        "task": "age", "n": 10, "replicate": 4, "strategy": "linear", "setting_index": 0, "setting": "{}",
        "selected": True, "validation_auc": float("nan"), "validation_mae": 2.5, "test_mae": 3.5, "epochs": 0,
        "best_epoch": 0, "seconds": 0.5, "n_train_images": 10, "n_train_participants": 9, "n_validation_images": 2,
        "n_test_images": 2, "error": None,
    }  # fmt: skip
    prediction = {
        "task": "age", "n": 10, "replicate": 4, "strategy": "linear", "participant_id": "p", "session_id": "",
        "row": 3, "observed": 50.0, "predicted": 51.5, "probabilities": None, "subgroup": None,
    }  # fmt: skip
    cell = Cell("age", 10, 4, "linear")
    cell_path(tmp_path, cell).parent.mkdir(parents=True)
    cell_path(tmp_path, cell).write_text(json.dumps({"fits": [row], "predictions": [prediction]}))
    assert gather(tmp_path) == 1
    assert finished(tmp_path) == {cell}
    fits = all_fits(tmp_path)
    assert fits[["validation_mae", "test_mae", "n_train_participants"]].to_numpy().tolist() == [[2.5, 3.5, 9]]
    assert fits["n_effective_participants"].isna().all()
    assert predictions_of(tmp_path, "age", 10, every=False)["predicted"].tolist() == [51.5]


def _gather_many(folder, times):
    for _ in range(times):
        gather(Path(folder))


@pytest.mark.slow
def test_several_processes_may_write_and_gather_at_once(tmp_path):
    """As when two runs work on one folder by mistake, on a file system whose locks do nothing."""
    context = multiprocessing.get_context("spawn")
    gatherers = [context.Process(target=_gather_many, args=(str(tmp_path), 60)) for _ in range(3)]
    for process in gatherers:
        process.start()
    cells = cells_of(300)
    for _ in range(2):
        for cell in cells:
            keep(tmp_path, cell, fits_of(), predictions_for([1, 2, 3]))
            time.sleep(0.002)
    for process in gatherers:
        process.join(120)
        assert process.exitcode == 0
    gather(tmp_path)
    assert finished(tmp_path) == set(cells)
    assert len(all_fits(tmp_path)) == 300 * 3
    assert sum(len(predictions_of(tmp_path, "age", n, every=False)) for n in (10, 20, 30)) == 300 * 3


@pytest.mark.slow
def test_a_gathering_that_is_killed_at_any_moment_loses_nothing(tmp_path):
    script = (
        "import sys\nfrom pathlib import Path\nfrom neurotransfer.benchmark.records import gather\n"
        "print('ready', flush=True)\nsys.stdin.readline()\ngather(Path(sys.argv[1]))\n"
    )
    cells = cells_of(400)
    for attempt in range(8):
        fill(tmp_path, [cell for cell in cells if cell.replicate % 8 >= attempt])
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        process.stdout.readline()
        process.stdin.write(b"\n")
        process.stdin.flush()
        time.sleep(0.01 + 0.012 * attempt)
        process.kill()
        process.communicate()
        assert finished(tmp_path) == set(cells)
    gather(tmp_path)
    fits = all_fits(tmp_path)
    assert len(fits) == len(fits.drop_duplicates([*KEY, "setting_index"])) == 400 * 3
    assert all(beside(path).is_file() for path in gathered(tmp_path))
    assert isinstance(fits, pd.DataFrame)
