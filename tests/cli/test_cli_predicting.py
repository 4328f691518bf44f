"""`predict` and `embed` as commands: sidecars, uncertainty, killed and called again, contracts and drift."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest

from neurotransfer.models import load_model, save_model

COMMAND = [sys.executable, "-m", "neurotransfer"]


def run(*arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def test_everything_that_a_table_can_hold(tiny_cohort, tiny_model, tmp_path, called):
    out = tmp_path / "p.tsv"
    code, _, _ = called("predict", tiny_model, tiny_cohort, "--out", out, "--views", 2, "--also", tiny_model,
                        "--gap-reference", "diagnosis=control", "--workers", 2)  # fmt: skip
    assert code == 0
    table = pd.read_csv(out, sep="\t", na_values="n/a")
    assert {"age", "age_sd_views", "age_sd_models", "age_gap", "age_gap_corrected", "contract"} <= set(table)
    assert table["age_sd_models"].max() < 1e-4
    said = json.loads(out.with_suffix(".json").read_text())
    assert list(said) == [*table.columns, "GeneratedBy"]
    assert said["age"]["Units"] == said["age_sd_views"]["Units"] == "years"
    assert [model["Name"] for model in said["GeneratedBy"]["Models"]] == ["tiny", "tiny"]
    assert not list(tmp_path.glob(".*parts"))
    # nothing is written over
    code, _, said = called("predict", tiny_model, tiny_cohort, "--out", out)
    assert (code, "is there already" in said) == (2, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gap-reference", "control"], "--gap-reference takes COLUMN=VALUE such as group=control, got 'control'"),
        (["--gap-reference", "grup=x"], "unknown column of --gap-reference 'grup'"),
        (["--views", "1"], "views is 0 for none, or 2 or more"),
        (["--also", "nowhere"], "'nowhere' is no model folder"),
    ],
)
def test_what_cannot_be_asked_is_told_without_a_trace(tiny_cohort, tiny_model, tmp_path, called, options, said):
    code, _, told = called("predict", tiny_model, tiny_cohort, "--out", tmp_path / "p.tsv", *options)
    assert code == 2
    assert said in " ".join(told.split())
    assert "Traceback" not in told
    # no table, and no folder of parts that holds nothing
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("command", ["predict", "embed"])
def test_killed_and_called_again_it_goes_on(tiny_cohort, tiny_model, tmp_path, how, command):
    """Parts of one scan, so that many are finished when the process dies."""
    code = "import sys, neurotransfer.predict.blocks as blocks; blocks.MOST_SCANS = 1\nfrom neurotransfer.__main__ import main\nmain()"
    options = ["--views", "8", "--seed", "3"] if command == "predict" else []
    call = [sys.executable, "-c", code, command, str(tiny_model), str(tiny_cohort), "--out"]
    whole = subprocess.run(
        [*call, str(tmp_path / "whole.parquet"), *options], capture_output=True, text=True, timeout=300
    )
    assert whole.returncode == 0, whole.stderr
    out, parts = tmp_path / "cut.parquet", tmp_path / ".cut.parquet.parts"
    process = subprocess.Popen([*call, str(out), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while len(list(parts.glob("*/part-*.npz"))) < 5 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("it was done before it could be killed")
    assert not out.exists()
    if how == signal.SIGINT:
        assert process.returncode != 0
        assert "run the same command again to go on" in said
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("*/part-*.npz")}
    assert len(kept) >= 5
    done = subprocess.run([*call, str(out), *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(tmp_path / "whole.parquet"), rtol=1e-6)
    assert not parts.exists()


def test_two_at_once_are_refused(tiny_cohort, tiny_model, tmp_path, called):
    from filelock import FileLock

    place = tmp_path / ".p.tsv.parts"
    place.mkdir()
    with FileLock(place / ".lock"):
        code, _, said = called("predict", tiny_model, tiny_cohort, "--out", tmp_path / "p.tsv")
    assert (code, "another process is writing" in said) == (2, True)


def test_a_broken_scan_does_not_stop_the_others(tiny_cohort, tiny_model, tmp_path):
    """It breaks between the check and the run, as a disk does."""
    table = pd.read_csv(tiny_cohort, sep="\t").head(4)
    table["image"] = [str(tiny_cohort.parent / image) for image in table["image"]]
    table.to_csv(tmp_path / "cohort.tsv", sep="\t", index=False)
    broken = table["image"].iloc[1]
    code = (
        "import neurotransfer.predict.blocks as blocks\nfrom neurotransfer.errors import ImageError\nreal = blocks.load_volume\n"
        "def load(path, *rest):\n"
        f"    if str(path) == {broken!r}:\n        raise ImageError('cannot read it')\n"
        "    return real(path, *rest)\n"
        "blocks.load_volume = load\nfrom neurotransfer.__main__ import main\nmain()"
    )
    call = [
        sys.executable,
        "-c",
        code,
        "predict",
        str(tiny_model),
        str(tmp_path / "cohort.tsv"),
        "--out",
        str(tmp_path / "p.csv"),
    ]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "cannot read it" in done.stderr
    assert "these scans have no prediction in the table" in done.stderr
    found = pd.read_csv(tmp_path / "p.csv", na_values="n/a")
    assert found["age"].isna().tolist() == [False, True, False, False]
    assert found["contract"].tolist() == ["kept", "refused: cannot read it", "kept", "kept"]


def test_the_catalogue_lists_shows_and_checks(tiny_cohort, tiny_model, tmp_path, called):
    code, listed, _ = called("models", "list", tiny_model.parent)
    assert code == 0
    for word in ("sim-base", "sfcn-reg-2022", "CC-BY-NC-4.0", "multi-2025", "resnet10", str(tiny_model)):
        assert word in listed
    shown = called("models", "show", tiny_model)[1]
    assert "# tiny" in shown
    assert "| age | continuous | years |" in shown
    card = json.loads(called("models", "show", tiny_model, "--json")[1])
    assert card["name"] == "tiny"
    code, checked, _ = called("models", "check", tiny_model)
    assert (code, "the weights are whole" in checked) == (0, True)
    code, checked, said = called("models", "check", tiny_model, "--scans", tiny_cohort)
    assert (code, "all 50 scans keep the input contract" in checked) == (0, True)
    assert "40 of these people were in the training" in said
    scaled = pd.read_csv(tiny_cohort, sep="\t").head(1)
    scaled["image"] = "nowhere.nii"
    scaled.to_csv(tmp_path / "c.tsv", sep="\t", index=False)
    code, _, said = called("models", "check", tiny_model, "--scans", tmp_path / "c.tsv")
    assert (code, "no such image" in said) == (2, True)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in tiny_model.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    content = (damaged / "weights.safetensors").read_bytes()
    (damaged / "weights.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    code, _, said = called("models", "check", damaged)
    assert code == 2
    assert "copy the model folder again" in said or "nothing of it was loaded" in said


GRID = ["--shape", "32,38,32", "--voxel-size", "5.0526315789473681"]


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--architecture", "resnet10", "--width", "0.0625"], {"width": 0.0625, "dropout": 0.0}),
        (["--architecture", "vit", "--options", '{"patch": 16, "channels": 12, "layers": 1, "heads": 2}'],
         {"shape": [32, 38, 32], "patch": 16, "channels": 12, "layers": 1, "heads": 2, "dropout": 0.0}),
    ],
)  # fmt: skip
def test_another_architecture_is_pretrained_by_its_name(tiny_cohort, tmp_path, called, options, arguments):
    code, _, said = called(
        "pretrain", tiny_cohort, "--targets", "age", "--out", tmp_path / "m", "--epochs", 1, *GRID, *options
    )
    assert code == 0, said
    card = json.loads((tmp_path / "m" / "model.json").read_text())
    assert (card["architecture"], card["arguments"]) == (options[1], arguments)
    assert called("models", "check", tmp_path / "m")[0] == 0
    assert (tmp_path / "m" / "reference.safetensors").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--architecture", "resnet"], "unknown architecture 'resnet'"),
        (["--options", "patch=8"], "--options takes a JSON object"),
        (["--options", "[8]"], "--options takes a JSON object"),
        (["--options", '{"patch": 8}'], "does not take"),
        (["--architecture", "swin", "--options", '{"channels": 10}'], "channels is a multiple of 3"),
        (["--architecture", "columns"], "takes no volumes"),
        (["--width", "-1"], "width"),
    ],
)
def test_an_architecture_that_cannot_be_is_told(tiny_cohort, tmp_path, called, options, said):
    code, _, told = called(
        "pretrain", tiny_cohort, "--targets", "age", "--out", tmp_path / "m", "--epochs", 1, *GRID, *options
    )
    assert (code, said in " ".join(told.split())) == (2, True), told
    assert not (tmp_path / "m").exists()


def test_converted_models_run_in_float32_unless_told_otherwise(tiny_cohort, tiny_model, tmp_path, called, monkeypatch):
    # what a machine would choose by itself
    monkeypatch.setenv("NEUROTRANSFER_PRECISION", "bfloat16")
    model = load_model(tiny_model)
    folder = save_model(tmp_path / "m", replace(model, card=replace(model.card, strategy="converted")))
    for place, (given, options, said) in enumerate([
        (tiny_model, [], "bfloat16 convolutions"),
        (folder, [], "float32 convolutions"),
        (folder, ["--precision", "bfloat16"], "bfloat16 convolutions"),
    ]):  # fmt: skip
        code, _, told = called("embed", given, tiny_cohort, "--out", tmp_path / f"{place}.parquet", *options)
        assert (code, said in told) == (0, True)


def test_a_foreign_card_does_not_end_a_list(tmp_path, called):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.json").write_text('{"hello": 1}')
    code, listed, _ = called("models", "list", tmp_path)
    assert (code, "cannot be read" in listed, "multi-2025" in listed) == (0, True, True)


def test_what_is_left_after_an_error_is_named_and_nobody_else_s(tiny_cohort, tiny_model, tmp_path, called, monkeypatch):
    from neurotransfer.errors import InputError
    from neurotransfer.predict import blocks

    monkeypatch.setattr(blocks, "MOST_SCANS", 10)
    monkeypatch.setattr(
        "neurotransfer.predict.run._add_gap", lambda *_: (_ for _ in ()).throw(InputError("no such thing"))
    )
    code, _, said = called("predict", tiny_model, tiny_cohort, "--out", tmp_path / "p.tsv")
    place = tmp_path / ".p.tsv.parts"
    assert (code, str(place) in said, "mend it and go on" in said) == (2, True, True)
    assert place.stat().st_mode & 0o077 == 0
    assert len(list(place.glob("*/part-*.npz"))) == 5
    monkeypatch.undo()
    assert called("predict", tiny_model, tiny_cohort, "--out", tmp_path / "p.tsv")[0] == 0
    assert not place.exists()
