"""Whole runs: the same table whatever the workers and interruptions, failures recorded, nothing finished lost."""

import copy
import errno
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from pyarrow import parquet

from neurotransfer.artifacts import read_json
from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark import cell as cell_module
from neurotransfer.benchmark.plan import learnt_labels, split_of
from neurotransfer.benchmark.records import finished as finished_cells
from neurotransfer.benchmark.records import gathered
from neurotransfer.benchmark.rules import apply_rules
from neurotransfer.benchmark.run import _alone_in
from neurotransfer.benchmark.schedule import Failure
from neurotransfer.benchmark.status import status, write_failures
from neurotransfer.benchmark.study import Study
from neurotransfer.benchmark.workspace import open_workspace
from neurotransfer.errors import InputError, InterruptedRunError, ModelError, StorageError, StudyError
from neurotransfer.models import load_model, save_model
from neurotransfer.report import report
from neurotransfer.statistics.metrics import SCORES, scores
from neurotransfer.transfer import Fitted, inputs_of, predict_rows
from neurotransfer.transfer import search as search_module


def tables(folder):
    fits = pd.read_parquet(folder / "results.parquet").drop(columns="seconds")
    return fits, pd.read_parquet(folder / "predictions.parquet")


def assert_same(first, second):
    for one, other in zip(tables(first), tables(second), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def interrupt_after(n_cells, monkeypatch):
    done = []

    def interrupted(workspace, cell, again):
        if len(done) == n_cells:
            raise KeyboardInterrupt
        done.append(cell)
        cell_module.run_cell(workspace, cell, again)

    monkeypatch.setattr("neurotransfer.benchmark.work.run_cell", interrupted)


@pytest.fixture(scope="module")
def module_study(tiny_values):
    return parse_study(tiny_values)


@pytest.fixture(scope="module")
def finished(module_study, tmp_path_factory):
    """An uninterrupted run in this process: (folder, run)."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    return folder, benchmark(module_study, folder, command="the test")


def test_a_row_a_fit_with_all_that_the_design_promises(finished, module_study):
    _, run = finished
    fits = run.results
    assert len(fits) == run.plan.n_fits
    promised = {"task", "n", "replicate", "strategy", "setting", "selected", "epochs", "seconds", "error"}
    promised |= {f"{part}_{score}" for part in ("validation", "test", "train") for score in SCORES}
    assert promised <= set(fits.columns)
    assert fits["error"].isna().all()
    cells = fits.groupby(["task", "n", "replicate", "strategy"])
    assert (cells["selected"].sum() == 1).all()
    assert cells.ngroups == len(run.plan.cells)


def test_only_the_chosen_setting_is_scored_on_test(finished):
    fits = finished[1].results
    tested = fits[[f"test_{score}" for score in SCORES]].notna().any(axis=1)
    assert not tested[~fits["selected"]].any()
    assert tested[fits["selected"]].all()


@pytest.mark.parametrize("validation", ["fifth", "folds"])
@pytest.mark.parametrize("keep", ["chosen", "all"])
def test_training_scores_are_those_of_the_chosen_setting_on_each_training_row_once(
    module_study, tiny_values, finished, tmp_path, monkeypatch, keep, validation
):
    """Tested on its own training rows a cell gives the same scores as test scores, and nothing else changes."""
    protocol = tiny_values["protocol"] | {"keep": keep, "validation": validation}
    study = parse_study(tiny_values | {"protocol": protocol})
    workspace = replace(open_workspace(finished[0]), study=study, folder=tmp_path)
    strategies = ("multi-frozen", "multi-finetuned", "linear")
    cells = [
        cell for cell in finished[1].plan.cells if cell.strategy in strategies and (cell.n, cell.replicate) == (15, 1)
    ]
    assert len(cells) == 6
    repeated = []
    for cell in cells:
        usual = pd.DataFrame(cell_module.fit_cell(workspace, cell)["fits"])
        own = split_of(study, workspace.cohort, cell.task, workspace.targets[cell.task], cell.n, cell.replicate)
        repeated.append(len(np.unique(own.train)) < len(own.train))
        monkeypatch.setattr(cell_module, "split_of", lambda *_, own=own: replace(own, test=np.unique(own.train)))
        tested = pd.DataFrame(cell_module.fit_cell(workspace, cell)["fits"])
        monkeypatch.undo()
        for score in SCORES:
            np.testing.assert_array_equal(tested[f"test_{score}"], usual[f"train_{score}"])
        pd.testing.assert_frame_equal(
            tested.filter(regex="^(train|validation)_|epoch|selected"),
            usual.filter(regex="^(train|validation)_|epoch|selected"),
        )
        known = usual.filter(regex="^train_").notna().any(axis=1)
        assert known.tolist() == usual["selected"].tolist()
    assert any(repeated)


@pytest.mark.slow
def test_a_run_of_a_version_without_training_scores_is_gone_on_with_and_shown(
    finished, module_study, tmp_path, monkeypatch
):
    later = [f"train_{score}" for score in SCORES]
    interrupt_after(9, monkeypatch)
    with pytest.raises(InterruptedRunError):
        benchmark(module_study, tmp_path / "run")
    monkeypatch.undo()
    for path in [*gathered(tmp_path / "run"), tmp_path / "run" / "results.parquet"]:
        table = parquet.read_table(path)
        parquet.write_table(table.drop_columns(later), path)
    assert status(tmp_path / "run").done == 9
    report(tmp_path / "run")
    run = benchmark(module_study, tmp_path / "run", resume=True)
    fits, whole = run.results, finished[1].results
    pd.testing.assert_frame_equal(
        fits.drop(columns=["seconds", *later]), whole.drop(columns=["seconds", *later]), check_exact=True
    )
    key = ["task", "n", "replicate", "strategy"]
    chosen = fits[fits["selected"]]
    assert chosen[later].isna().all(axis=1).sum() == 9
    done_anew = chosen[chosen[later].notna().any(axis=1)].set_index(key)[later]
    pd.testing.assert_frame_equal(done_anew, whole[whole["selected"]].set_index(key).loc[done_anew.index, later])
    report(tmp_path / "run")


def test_the_chosen_setting_is_the_best_on_validation(finished):
    fits = finished[1].results
    for (task, *_), cell in fits.groupby(["task", "n", "replicate", "strategy"]):
        chosen = cell[cell["selected"]].iloc[0]
        if task == "age":
            assert chosen["validation_mae"] == cell["validation_mae"].min()
        else:
            assert chosen["validation_auc"] == cell["validation_auc"].max()


def test_test_scores_are_those_of_the_predictions(finished):
    fits, predictions = tables(finished[0])
    chosen = fits[fits["selected"]].set_index(["task", "n", "replicate", "strategy"])
    for key, rows in predictions.groupby(["task", "n", "replicate", "strategy"]):
        kind = "continuous" if key[0] == "age" else "binary"
        found = scores(kind, rows["observed"].to_numpy(), rows["predicted"].to_numpy())
        for score, value in found.items():
            np.testing.assert_equal(chosen.loc[key, f"test_{score}"], value)


def test_every_strategy_of_a_replicate_is_tested_on_the_same_images(finished):
    predictions = tables(finished[0])[1]
    for _, replicate in predictions.groupby(["task", "n", "replicate"]):
        rows = replicate.groupby("strategy")["row"].apply(tuple)
        assert rows.nunique() == 1


def test_the_folder_describes_itself(finished):
    folder, run = finished
    study = json.loads((folder / "study.json").read_text())
    assert Study.model_validate(study["study"]) == run.plan.study
    assert study["tasks"]["diagnosis"]["classes"] == ["control", "patient"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["command"] == "the test"
    assert manifest["provenance"]["versions"]["neurotransfer"] == "0.1.0"
    # the model was pretrained on these very people, which must be said
    assert manifest["models"]["multi"]["overlap_participants"] == 40
    assert any("multi-transferred is left out of diagnosis" in note for note in manifest["notes"])


@pytest.mark.slow
def test_two_workers_give_the_same_table(finished, module_study, tmp_path):
    benchmark(module_study, tmp_path / "two", workers=2)
    assert_same(finished[0], tmp_path / "two")


def test_going_on_after_an_interruption_gives_the_same_table(finished, module_study, tmp_path, monkeypatch):
    interrupt_after(9, monkeypatch)
    with pytest.raises(InterruptedRunError, match="run the same command again"):
        benchmark(module_study, tmp_path / "run")
    monkeypatch.undo()
    assert not (tmp_path / "run" / "manifest.json").exists()
    assert len(finished_cells(tmp_path / "run")) == 9
    done = []
    monkeypatch.setattr(
        "neurotransfer.benchmark.work.run_cell", lambda *of: (done.append(of[1]), cell_module.run_cell(*of))
    )
    benchmark(module_study, tmp_path / "run", resume=True)
    assert len(done) == len(set(done)) == 52 - 9
    assert_same(finished[0], tmp_path / "run")


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml(inner)}' for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(inner) for inner in value) + "]"
    return json.dumps(value)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_process_goes_on_to_the_same_table(finished, tiny_study, tmp_path, how):
    (tmp_path / "tiny.toml").write_text("\n".join(f"{key} = {toml(value)}" for key, value in tiny_study.items()))
    command = [sys.executable, "-m", "neurotransfer", "benchmark", str(tmp_path / "tiny.toml")]
    command += ["--out", str(tmp_path / "run"), "--workers", "2"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # tests started in the background of a shell hand an ignored SIGINT to their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    cells = tmp_path / "run" / "cells"
    waited = time.monotonic()
    while len(list(cells.rglob("*.json"))) < 5 and process.poll() is None and time.monotonic() - waited < 300:
        time.sleep(0.02)
    process.send_signal(how)
    _, errors = process.communicate(timeout=300)
    assert not (tmp_path / "run" / "manifest.json").exists()
    if how != signal.SIGKILL:
        # Python itself ends by the signal where it hit code that runs in exec(), an import of torch for example
        assert process.returncode in (2, -signal.SIGINT)
        assert "run the same command again" in errors
        assert "Traceback" not in errors
    again = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert again.returncode == 0, again.stderr
    assert_same(finished[0], tmp_path / "run")


def test_a_failing_fit_is_recorded_and_stops_nothing(module_study, tmp_path, monkeypatch):
    real = search_module.fit_settings

    def failing(source, inputs, target, labels, split, tried, *others, **named):
        outcomes = real(source, inputs, target, labels, split, tried, *others, **named)
        for setting, outcome in zip(tried, outcomes, strict=True):
            if source.strategy.name == "linear" and setting["penalty"] == 1.0:
                yield RuntimeError("the planted failure")
            elif source.strategy.name == "voxels":
                yield FloatingPointError("never finite")
            else:
                yield outcome

    monkeypatch.setattr(search_module, "fit_settings", failing)
    strategies = [part for part in module_study.strategies if part.title in ("linear", "voxels", "random-frozen")]
    study = module_study.model_copy(update={"strategies": tuple(strategies), "models": {}})
    run = benchmark(study, tmp_path / "run")
    failed = run.results[run.results["error"].notna()]
    assert set(failed["error"]) == {"RuntimeError: the planted failure", "FloatingPointError: never finite"}
    chosen = run.results[run.results["selected"]]
    assert set(chosen["strategy"]) == {"linear", "random-frozen"}
    assert chosen["error"].isna().all()
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["cells_failed"] == 2 * 2 * 2
    assert manifest["fits_failed"] == len(failed) == 2 * 2 * 2 * 3


def test_a_full_disk_stops_the_run_with_advice_and_keeps_what_is_done(module_study, tmp_path, monkeypatch):
    real = cell_module.keep
    written = []

    def full(folder, cell, *columns):
        if len(written) == 4:
            raise StorageError("no space left") from OSError(errno.ENOSPC, "full")
        written.append(cell)
        real(folder, cell, *columns)

    monkeypatch.setattr(cell_module, "keep", full)
    with pytest.raises(StorageError):
        benchmark(module_study, tmp_path / "run")
    assert finished_cells(tmp_path / "run") == set(written)
    assert not (tmp_path / "run" / "failed.json").exists()


def test_files_that_do_not_come_to_the_run_folder_are_made_again_or_listed(module_study, tmp_path, monkeypatch):
    """A node that dies before its files are on the disk, after it has said that it wrote them."""
    strategies = tuple(part for part in module_study.strategies if part.title == "linear")
    study = module_study.model_copy(update={"strategies": strategies, "models": {}})
    monkeypatch.setattr("neurotransfer.benchmark.fits.WAIT_FOR_FILES_S", 0)
    real, lost, told = cell_module.keep, [], []

    def losing(folder, cell, *columns):
        if (cell.n, cell.replicate) == (10, 1) and lost.count(cell) < times[cell.task]:
            lost.append(cell)
        else:
            real(folder, cell, *columns)

    monkeypatch.setattr(cell_module, "keep", losing)
    times = {"age": 1, "diagnosis": 5}
    run = benchmark(study, tmp_path / "run", tell=told.append)
    (failure,) = run.failures
    assert (failure.cell.task, failure.cell.n, failure.cell.replicate) == ("diagnosis", 10, 1)
    assert "did not come to the run folder" in failure.error
    assert "2 cells are done and their files are not in" in told[0]
    times = {"age": 0, "diagnosis": 0}
    assert benchmark(study, tmp_path / "run", retry_failed=True).failures == ()
    assert len(finished_cells(tmp_path / "run")) == 8


def test_a_cell_that_was_done_before_a_kill_is_no_longer_listed_as_failed(module_study, tmp_path):
    strategies = tuple(part for part in module_study.strategies if part.title == "linear")
    study = module_study.model_copy(update={"strategies": strategies, "models": {}})
    run = benchmark(study, tmp_path / "run")
    write_failures(tmp_path / "run", [Failure(run.plan.cells[0], "OSError: gone", 3)])
    again = benchmark(study, tmp_path / "run")
    assert again.failures == ()
    assert json.loads((tmp_path / "run" / "failed.json").read_text()) == []


def test_a_wrong_cluster_is_told_before_anything_is_done(module_study, tmp_path):
    for dry_run in (True, False):
        with pytest.raises(InputError, match="unknown cluster 'slrum'"):
            benchmark(module_study, tmp_path / "run", cluster="slrum", dry_run=dry_run)
    assert not (tmp_path / "run").exists()


def test_another_study_is_not_mixed_in(finished, module_study):
    other = module_study.model_copy(update={"seed": 99})
    with pytest.raises(StudyError, match="another study: seed differs"):
        benchmark(other, finished[0])


def test_a_cohort_that_has_changed_is_not_mixed_in(tiny_study, tmp_path):
    table = pd.read_csv(tiny_study["cohort"]["path"], sep="\t", dtype=str, keep_default_na=False)
    root = Path(tiny_study["cohort"]["path"]).parent
    table["image"] = [str(root / image) for image in table["image"]]
    table.to_csv(tmp_path / "people.csv", index=False)
    tiny_study["cohort"]["path"] = str(tmp_path / "people.csv")
    tiny_study["strategies"] = [{"strategy": "linear", "grid": {"penalty": [1.0]}}]
    benchmark(parse_study(tiny_study), tmp_path / "run")
    table.loc[3, "age"] = "33.3"
    table.to_csv(tmp_path / "people.csv", index=False)
    with pytest.raises(InputError, match="this has changed: table"):
        benchmark(parse_study(tiny_study), tmp_path / "run")


def test_images_and_models_that_have_changed_are_not_mixed_in(tiny_study, tiny_cohort, tiny_model, tmp_path):
    shutil.copytree(tiny_cohort.parent, tmp_path / "people")
    shutil.copytree(tiny_model, tmp_path / "model")
    tiny_study["cohort"]["path"] = str(tmp_path / "people" / "cohort.tsv")
    tiny_study["models"]["multi"]["path"] = str(tmp_path / "model")
    tiny_study["strategies"] = [{"strategy": "frozen", "model": "multi", "grid": {"penalty": [1.0]}}]
    study = parse_study(tiny_study)
    benchmark(study, tmp_path / "run")
    other = load_model(tmp_path / "model")
    other.network.head("age").bias.data += 1
    shutil.rmtree(tmp_path / "model")
    save_model(tmp_path / "model", other)
    with pytest.raises(InputError, match="this has changed: models"):
        benchmark(study, tmp_path / "run")
    shutil.rmtree(tmp_path / "model")
    shutil.copytree(tiny_model, tmp_path / "model")
    benchmark(study, tmp_path / "run")
    heads = sorted((tmp_path / "people" / "heads").iterdir())
    # the same head for two scans: another image of about the same size under the same name
    shutil.copy(heads[1], heads[0])
    with pytest.raises(InputError, match="this has changed: volumes"):
        benchmark(study, tmp_path / "run")


def test_settings_that_are_solved_together_share_the_seconds_of_their_cell(finished):
    fits = finished[1].results
    for _, cell in fits.groupby(["task", "n", "replicate", "strategy"]):
        assert cell["seconds"].nunique() == 1
        assert cell["seconds"].iloc[0] > 0


def test_a_strategy_that_cannot_begin_is_recorded_for_each_of_its_settings(module_study, tmp_path, monkeypatch):
    def failing(*_):
        raise InputError("no way to begin")

    monkeypatch.setattr(cell_module, "prepared", failing)
    strategies = tuple(part for part in module_study.strategies if part.title == "linear")
    run = benchmark(module_study.model_copy(update={"strategies": strategies, "models": {}}), tmp_path / "run")
    assert set(run.results["error"]) == {"InputError: no way to begin"}
    assert len(run.results) == 2 * 2 * 2 * 2


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (MemoryError("of this machine"), "MemoryError: of this machine"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "MemoryError: DefaultCPUAllocator"),
        (Fitted(None, 1, 1, 0.5, ("8 images at once need more memory",)), "MemoryError: 8 images at once"),
        (OSError(errno.EIO, "input or output"), "OSError: .*input or output"),
    ],
)
def test_what_is_the_fault_of_the_machine_is_not_kept_as_a_result(module_study, tmp_path, monkeypatch, planted, said):
    calls = []

    def failing(*_, **__):
        calls.append(1)
        return [planted, planted]

    monkeypatch.setattr(search_module, "fit_settings", failing)
    strategies = tuple(part for part in module_study.strategies if part.title == "linear")
    study = module_study.model_copy(update={"strategies": strategies, "models": {}})
    with pytest.raises(InputError, match=f"no cell could be done; the first one, .*{said}"):
        benchmark(study, tmp_path / "run")
    assert finished_cells(tmp_path / "run") == set()
    # each of the eight cells was tried three times
    assert len(calls) == 8 * 3
    assert len(json.loads((tmp_path / "run" / "failed.json").read_text())) == 8
    monkeypatch.undo()
    with pytest.raises(InputError, match="no cell could be done"):
        benchmark(study, tmp_path / "run")
    run = benchmark(study, tmp_path / "run", retry_failed=True)
    assert run.results["error"].isna().all()
    assert run.failures == ()
    assert json.loads((tmp_path / "run" / "failed.json").read_text()) == []


def test_a_run_that_was_interrupted_can_be_shown(module_study, tmp_path, monkeypatch):
    interrupt_after(5, monkeypatch)
    with pytest.raises(InterruptedRunError):
        benchmark(module_study, tmp_path / "run")
    fits = pd.read_parquet(tmp_path / "run" / "results.parquet")
    assert fits.groupby(["task", "n", "replicate", "strategy"]).ngroups == 5
    assert "5 of 52 fits" in report(tmp_path / "run").read_text()


def test_features_that_do_not_fit_the_disk_are_not_half_written(tmp_path):
    script = (
        "import resource, signal, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from neurotransfer.benchmark.workspace import _write_array\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "for n in (400, 100_000):\n"
        "    try:\n"
        "        _write_array(Path(sys.argv[1]) / 'features.npy', np.ones(n, np.float32))\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__)\n"
    )
    found = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=500)
    assert found.stdout.split() == ["StorageError", "StorageError"], found.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_may_not_be_written_is_told(module_study, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="choose another place"):
        benchmark(module_study, tmp_path / "file" / "run")


def test_a_column_called_cohort_is_the_user_s_own(tiny_study, tmp_path):
    table = pd.read_csv(tiny_study["cohort"]["path"], sep="\t", dtype=str, keep_default_na=False)
    root = Path(tiny_study["cohort"]["path"]).parent
    table["image"] = [str(root / image) for image in table["image"]]
    table["cohort"] = ["ADNI", "TOP"] * (len(table) // 2) + [""] * (len(table) % 2)
    table.to_csv(tmp_path / "people.csv", index=False)
    tiny_study |= {"cohort": {"path": str(tmp_path / "people.csv")}, "subgroup": "cohort", "models": {}}
    tiny_study["strategies"] = [{"strategy": "linear", "grid": {"penalty": [1.0]}}]
    benchmark(parse_study(tiny_study), tmp_path / "run")
    predictions = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert set(predictions["subgroup"].dropna()) == {"ADNI", "TOP"}


def test_a_folder_that_is_no_run_is_not_touched(module_study, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and no run of ours"):
        benchmark(module_study, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_nothing_to_resume(module_study, tmp_path):
    with pytest.raises(InputError, match="nothing to resume"):
        benchmark(module_study, tmp_path / "none", resume=True)


def test_a_dry_run_writes_nothing(module_study, tmp_path):
    run = benchmark(module_study, tmp_path / "dry", dry_run=True)
    assert run.results is None
    assert len(run.plan.cells) == 2 * 2 * 6 + 2 * 2 * 7
    assert not (tmp_path / "dry").exists()


def test_two_processes_do_not_work_on_one_run(module_study, tmp_path):
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(InputError, match="another process is working"):
        benchmark(module_study, tmp_path / "run")


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_two_runs_keep_apart_on_a_file_system_without_locks(tmp_path, monkeypatch):
    def missing(*arguments):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", missing)
    folder = tmp_path / "run"
    with (
        _alone_in(folder),
        pytest.raises(InputError, match=r"another process is working.* to be removed"),
        _alone_in(folder),
    ):
        pytest.fail("two work in one folder")
    with _alone_in(folder):
        assert folder.is_dir()


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        (
            {"grid": {"shape": [40, 48, 40], "voxel_size_mm": 4.0}},
            ModelError,
            r"give the study the \[grid\] of the model",
        ),
        ({"regional_columns": ["hippocampus"]}, InputError, "lacks regional columns"),
        ({"regional_columns": ["site"]}, InputError, "hold text"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_run(tiny_study, tmp_path, changes, kind, said):
    with pytest.raises(kind, match=said):
        benchmark(parse_study(tiny_study | changes), tmp_path / "run")
    assert not (tmp_path / "run" / "cells").exists()


def test_workers_and_data_are_checked(module_study, tmp_path):
    with pytest.raises(InputError, match="workers is a whole number of 1 or more"):
        benchmark(module_study, tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="no data folder"):
        benchmark(module_study, tmp_path / "run", data=tmp_path / "none")


def test_a_study_pretrains_the_models_it_describes_once(tiny_study, tiny_cohort, tmp_path):
    tiny_study["models"] = {
        "age": {"cohort": {"path": str(tiny_cohort)}, "targets": ["age"], "training": {"epochs": 1}},
    }
    tiny_study["strategies"] = [{"strategy": "frozen", "model": "age", "grid": {"penalty": [1.0]}}]
    tiny_study["protocol"]["sizes"] = [10]
    run = benchmark(parse_study(tiny_study), tmp_path / "run")
    assert set(run.results["strategy"]) == {"age-frozen"}
    card = (tmp_path / "run" / "models" / "age" / "model.json").read_text()
    benchmark(parse_study(tiny_study), tmp_path / "run")
    assert (tmp_path / "run" / "models" / "age" / "model.json").read_text() == card


def test_regional_columns_make_a_study_without_images(tmp_path):
    generator = np.random.default_rng(0)
    regions = generator.normal(size=(80, 3))
    table = pd.DataFrame(regions, columns=["a", "b", "c"]).assign(
        participant_id=[f"p{index}" for index in range(80)], age=50 + 10 * regions[:, 0] + generator.normal(size=80)
    )
    table.to_csv(tmp_path / "regions.csv", index=False)
    study = parse_study(
        {
            "name": "regions",
            "cohort": {"path": "regions.csv", "images": False},
            "tasks": {"age": {"target": "age"}},
            "regional_columns": ["a", "b", "c"],
            "strategies": [
                {"strategy": "linear"},
                {"strategy": "perceptron", "grid": {"lr": [1e-2], "width": [8, 16]}},
            ],
            # augmentation is for images and is no matter to columns
            "training": {"epochs": 6, "augmentation": "light"},
            "protocol": {"sizes": [20, 40], "replicates": 5},
        }
    )
    run = benchmark(study, tmp_path / "run", data=tmp_path)
    chosen = run.results[run.results["selected"]].set_index("strategy")
    assert chosen.loc["linear", "test_r"].mean() > 0.9
    assert chosen.loc["perceptron", "test_r"].mean() > 0.5
    assert chosen.groupby("strategy").size().to_dict() == {"linear": 10, "perceptron": 10}
    assert run.results["error"].isna().all()
    assert set(run.results.query("strategy == 'perceptron'")["setting"]) == {
        f'{{"lr": 0.01, "width": {width}}}' for width in (8, 16)
    }


def test_test_people_are_never_used_to_choose(module_study, tmp_path, monkeypatch, finished):
    """Garbage labels for the test rows change test scores only: neither a fit nor a choice."""
    from neurotransfer.benchmark.workspace import open_workspace

    workspace = open_workspace(finished[0])
    fits = tables(finished[0])[0]
    cells = [
        cell for cell in finished[1].plan.cells if cell.strategy in ("multi-frozen", "linear") and cell.task == "age"
    ]
    for cell in cells[:4]:
        target = workspace.targets[cell.task]
        split = cell_module.split_of(workspace.study, workspace.cohort, cell.task, target, cell.n, cell.replicate)
        poisoned = cell_module.labels_of(workspace, cell.task).copy()
        poisoned[split.test] = -1e6
        monkeypatch.setattr(cell_module, "labels_of", lambda *_, poisoned=poisoned: poisoned)
        monkeypatch.setattr(cell_module, "split_of", lambda *_, split=split: split)
        rows = pd.DataFrame(cell_module.fit_cell(workspace, cell)["fits"])
        monkeypatch.undo()
        same = fits[(fits["task"] == cell.task) & (fits["n"] == cell.n) & (fits["replicate"] == cell.replicate)]
        same = same[same["strategy"] == cell.strategy].reset_index(drop=True)
        columns = ["selected", "validation_mae", "validation_r", "epochs", "best_epoch"]
        pd.testing.assert_frame_equal(rows[columns], same[columns], check_exact=True)


@pytest.mark.parametrize("validation", ["fifth", "folds"])
def test_wrong_labels_are_learnt_and_chosen_by_and_the_test_is_by_the_true_ones(tiny_values, tmp_path, validation):
    """A run with wrong labels fits as a run on a table that holds them, and is tested by the right ones."""
    tiny_values = copy.deepcopy(tiny_values) | {
        "models": {},
        "tasks": {"age": {"target": "age"}, "sex": {"target": "sex"}},
    }
    tiny_values["strategies"] = [{"strategy": "voxels", "grid": {"penalty": [0.01, 1.0]}}]
    tiny_values["protocol"] = {"sizes": [10], "replicates": 4, "validation": validation, "keep": "all"}
    noise = {"protocol": tiny_values["protocol"] | {"label_noise": 0.4}}
    run = benchmark(parse_study(tiny_values | noise), tmp_path / "wrong")
    clean = benchmark(parse_study(tiny_values), tmp_path / "right")
    assert read_json(tmp_path / "wrong" / "study.json")["protocol"]["label_noise"] == 0.4
    workspace = open_workspace(tmp_path / "wrong")
    predictions = pd.read_parquet(tmp_path / "wrong" / "predictions.parquet")
    every = pd.read_parquet(tmp_path / "wrong" / "predictions_of_settings.parquet")
    for task, target in workspace.targets.items():
        true = cell_module.labels_of(workspace, task)
        learnt = learnt_labels(workspace.study, workspace.cohort, task, target, true)
        assert np.nanmean(learnt != true) > 0.2
        own, kept = (table[table["task"] == task] for table in (predictions, every))
        np.testing.assert_array_equal(own["observed"], true[own["row"]])
        by_part = {"test": true, "validation": learnt}
        assert set(kept["part"]) == set(by_part)
        for part, labels in by_part.items():
            rows = kept[kept["part"] == part]
            np.testing.assert_array_equal(rows["observed"], labels[rows["row"]])
        fits = run.results[run.results["task"] == task].set_index(["replicate", "setting_index"])
        for key, rows in kept.groupby(["replicate", "setting_index", "part"]):
            if key[2] == "validation" or fits.loc[key[:2], "selected"]:
                shares = None if task == "age" else np.stack(rows["probabilities"].to_list())
                for score, value in scores(target.kind, rows["observed"], rows["predicted"], shares).items():
                    np.testing.assert_equal(fits.loc[key[:2], f"{key[2]}_{score}"], value)
        given = replace(workspace, folder=tmp_path, study=parse_study(tiny_values))
        for cell in (cell for cell in run.plan.cells if cell.task == task):
            source = cell_module.prepared(given, cell.strategy, task)
            split = split_of(workspace.study, given.cohort, task, target, cell.n, cell.replicate, true)
            trials = search_module.search(
                *source, target, learnt, split, [{"penalty": 0.01}, {"penalty": 1.0}], given.study.training.recipe, 0
            )
            for index, trial in enumerate(trials):
                rows = kept[(kept["replicate"] == cell.replicate) & (kept["setting_index"] == index)]
                for part, wanted in (
                    ("validation", trial.predicted),
                    ("test", predict_rows(trial.final(), source[1], split.test)[0]),
                ):
                    np.testing.assert_array_equal(rows.loc[rows["part"] == part, "predicted"], wanted)
    # who is drawn is the same as without, and what is learnt is not
    same = pd.read_parquet(tmp_path / "right" / "predictions.parquet")
    age, own = (table[table["task"] == "age"] for table in (same, predictions))
    np.testing.assert_array_equal(age["row"], own["row"])
    assert not np.array_equal(age["predicted"], own["predicted"])
    # a part without one of the wrong classes is drawn again, and no cell is lost
    assert run.results.groupby(["task", "replicate"])["selected"].sum().tolist() == [1] * 8
    assert (apply_rules(tmp_path / "wrong")["rule"] == "score").any()
    assert len(clean.results) == len(run.results)


def test_a_seed_of_fits_changes_fits_and_leaves_the_splits(tiny_study, tmp_path):
    grid, penalty = {"lr": [1e-3], "dropout": [0.0]}, {"penalty": [1.0]}
    tiny_study |= {"models": {}, "tasks": {"age": {"target": "age"}}}
    tiny_study["protocol"] |= {"sizes": [10], "replicates": 1}
    tiny_study["strategies"] = [
        {"strategy": "baseline", "grid": grid},
        {"strategy": "random-frozen", "grid": penalty},
        {"strategy": "voxels", "grid": penalty},
    ]
    found = {}
    for seed in (None, 3, 4):
        study = parse_study(tiny_study | ({} if seed is None else {"fit_seed": seed}))
        benchmark(study, tmp_path / str(seed))
        found[seed] = pd.read_parquet(tmp_path / str(seed) / "predictions.parquet")
    # that of the study is 3
    pd.testing.assert_frame_equal(found[None], found[3], check_exact=True)
    pd.testing.assert_series_equal(found[4]["row"], found[3]["row"])
    differs = (found[4]["predicted"] != found[3]["predicted"]).groupby(found[3]["strategy"]).any()
    assert differs.to_dict() == {"baseline": True, "random-frozen": True, "voxels": False}
    with pytest.raises(StudyError, match="another study: fit_seed differs"):
        benchmark(parse_study(tiny_study | {"fit_seed": 4}), tmp_path / "3")


def test_features_are_those_of_their_encoder_and_a_model_made_anew_is_not_mixed_in(tiny_study, tiny_cohort, tmp_path):
    tiny_study["models"] = {
        "own": {"cohort": {"path": str(tiny_cohort)}, "targets": ["age"], "training": {"epochs": 1}},
    }
    tiny_study["tasks"] = {"age": {"target": "age"}}
    head = {"penalty": [1.0]}
    tiny_study["strategies"] = [
        {"strategy": "frozen", "model": "own", "grid": head},
        {"strategy": "random-frozen", "model": "own", "label": "a", "grid": head},
        {"strategy": "random-frozen", "label": "b", "grid": head},
    ]
    tiny_study["network"] = {"width": 0.125}
    study = parse_study(tiny_study)
    benchmark(study, tmp_path / "run")
    workspace = open_workspace(tmp_path / "run")
    for title in ("own-frozen", "a", "b"):
        source = workspace.source(title, "age")
        expected = inputs_of(source, workspace.cohort, workspace.volumes)
        np.testing.assert_array_equal(workspace.inputs(title, "age"), expected)
    model = load_model(tmp_path / "run" / "models" / "own")
    before = workspace.inputs("own-frozen", "age")
    next(iter(model.network.encoder.parameters())).data += 0.5
    shutil.rmtree(tmp_path / "run" / "models" / "own")
    save_model(tmp_path / "run" / "models" / "own", model)
    assert not np.array_equal(open_workspace(tmp_path / "run").inputs("own-frozen", "age"), before)
    with pytest.raises(InputError, match="this has changed: models"):
        benchmark(study, tmp_path / "run")
