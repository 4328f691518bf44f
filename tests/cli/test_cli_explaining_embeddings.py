"""`explain embeddings` as a command: whole runs, killed and called again, features of `embed`, what hurried users do."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

import neurotransfer.cli.explaining_embeddings  # noqa: F401

PROGRAM = "import neurotransfer.cli.explaining_embeddings\nfrom neurotransfer.__main__ import main\nmain()"
QUICK = ["--targets", "age,sex", "--workers", "1"]


def run(*arguments, program=PROGRAM):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, "explain", "embeddings", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment)


@pytest.fixture
def explain(called):
    def call(*arguments):
        return called("explain", "embeddings", *arguments)

    return call


def test_features_of_embed_skip_the_network(tiny_cohort, tiny_model, tmp_path, called, explain, monkeypatch):
    table = tmp_path / "f.parquet"
    assert called("embed", tiny_model, tiny_cohort, "--out", table, "--workers", 1)[0] == 0
    monkeypatch.setattr("neurotransfer.explain.gathering.embed_into", None)
    out = tmp_path / "out"
    code, printed, said = explain(
        tiny_model, tiny_cohort, "--features", table, "--out", out, "--covariates", "age", *QUICK
    )
    assert code == 0, said
    assert str(out / "report.html") in printed
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["asked"]["covariates"] == ["age"]
    assert manifest["seed"] == 0
    assert not (out / ".parts").exists()
    made, first = pd.read_parquet(out / "features.parquet"), pd.read_parquet(table)
    pd.testing.assert_series_equal(made["feature_000"], first["feature_000"].astype("float32"))
    # pictures are there where the table says where scans lie
    assert "data:image/jpeg;base64" in (out / "report.html").read_text()
    # nothing is written over
    code, _, said = explain(tiny_model, tiny_cohort, "--features", table, "--out", out)
    assert (code, "is complete already" in said) == (2, True)
    plain = tmp_path / "plain"
    options = ["--out", plain, "--no-pictures", "--nuisance", "diagnosis", *QUICK]
    assert explain(tiny_model, tiny_cohort, "--features", table, *options)[0] == 0
    assert "data:image/jpeg;base64" not in (plain / "report.html").read_text()
    assert pd.read_parquet(plain / "traces.parquet")["n_classes"].tolist() == [2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--covariates", "aeg"], "unknown covariate 'aeg'; allowed: age"),
        (["--targets", "agee"], "unknown target column 'agee'"),
        (["--columns", "none_*"], "unknown columns 'none_*'"),
        (["--nuisance", "scaner"], "unknown nuisance 'scaner'"),
        (["--and", "nowhere"], "'nowhere' is no model folder"),
        (["--features", "a.parquet", "--features", "b.parquet"], "2 tables of --features for 1 models"),
        (["--features", "nowhere.parquet"], "cannot read 'nowhere.parquet'"),
        (["--prepare", "maybe"], "unknown --prepare 'maybe'"),
        (["--volumes", "nowhere.tsv"], "cannot read 'nowhere.tsv'"),
        (["--device", "gpu"], "unknown device 'gpu'"),
    ],
)
def test_what_cannot_be_asked_is_told_before_any_network_is_run(
    tiny_cohort, tiny_model, tmp_path, explain, monkeypatch, options, said
):
    monkeypatch.setattr("neurotransfer.explain.gathering.embed_into", None)
    out = tmp_path / "out"
    code, _, told = explain(tiny_model, tiny_cohort, "--out", out, *options)
    assert code == 2
    assert said in " ".join(told.split())
    assert "Traceback" not in told
    # a folder that holds nothing does not stay
    assert not out.exists()


def test_a_covariate_that_is_constant_and_few_people_are_told_together(tiny_cohort, tiny_model, tmp_path, explain):
    table = pd.read_csv(tiny_cohort, sep="\t").head(6).assign(scanner="one")
    table["image"] = [str(tiny_cohort.parent / image) for image in table["image"]]
    table.to_csv(tmp_path / "few.tsv", sep="\t", index=False)
    code, _, said = explain(tiny_model, tmp_path / "few.tsv", "--out", tmp_path / "out", "--covariates", "scanner")
    said = " ".join(said.split())
    assert code == 2
    assert "covariate 'scanner': found only the value 'one'" in said
    assert "people; 10 or more are needed" in said


def test_features_of_another_model_are_refused(tiny_cohort, tiny_model, tmp_path, explain):
    pd.DataFrame({"participant_id": ["x"], "session_id": [""], "feature_000": [1.0]}).to_parquet(tmp_path / "f.parquet")
    code, _, said = explain(tiny_model, tiny_cohort, "--features", tmp_path / "f.parquet", "--out", tmp_path / "out")
    assert code == 2
    assert "has 1 features, model 'tiny' gives 4" in " ".join(said.split())


def test_a_folder_of_something_else_is_left_alone(tiny_cohort, tiny_model, tmp_path, explain):
    (tmp_path / "thesis.docx").write_text("mine")
    code, _, said = explain(tiny_model, tiny_cohort, "--out", tmp_path)
    assert (code, "holds something else (thesis.docx)" in said) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_two_at_once_are_refused(tiny_cohort, tiny_model, tmp_path, explain):
    from filelock import FileLock

    (tmp_path / "out" / ".parts").mkdir(parents=True)
    with FileLock(tmp_path / "out" / ".parts" / ".lock"):
        code, _, said = explain(tiny_model, tiny_cohort, "--out", tmp_path / "out")
    assert (code, "another process is writing" in said) == (2, True)


@pytest.mark.slow
def test_two_models_of_unlike_inputs_and_a_control_stand_side_by_side(tiny_cohort, tiny_model, tmp_path):
    from dataclasses import replace

    from neurotransfer.cohort import Grid
    from neurotransfer.models import load_model, save_model
    from neurotransfer.models.folder import Model

    model = load_model(tiny_model)
    other = Model(model.network, replace(model.card, name="coarse", input=Grid((32, 32, 32), 6.0)))
    save_model(tmp_path / "coarse", other)
    out = tmp_path / "out"
    done = run(tiny_model, tiny_cohort, "--and", tmp_path / "coarse", "--untrained", "--out", out, "--covariates", "age,site",
               "--volumes", tiny_cohort.parent / "truth.tsv", "--columns", "vent*,cortex", "--seed", 4, *QUICK)  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = pd.read_parquet(out / "summary.parquet")
    assert list(dict.fromkeys(summary["model"])) == ["tiny", "coarse", "tiny untrained"]
    likeness = pd.read_parquet(out / "similarity.parquet")
    assert {"layer 1", "features"} <= set(likeness["layer"])
    assert pd.read_parquet(out / "columns_coarse.parquet")["column"].tolist()[:2] != []
    # the same call elsewhere, with another number of workers, gives the same numbers
    again = run(tiny_model, tiny_cohort, "--and", tmp_path / "coarse", "--untrained", "--out", tmp_path / "again", "--covariates",
                "age,site", "--seed", 4, "--targets", "age,sex", "--workers", 2)  # fmt: skip
    assert again.returncode == 0, again.stderr
    pd.testing.assert_frame_equal(summary, pd.read_parquet(tmp_path / "again" / "summary.parquet"))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_called_again_it_goes_on(tiny_cohort, tiny_model, tmp_path, how):
    program = f"import neurotransfer.predict.blocks as blocks; blocks.MOST_SCANS = 1\n{PROGRAM}"
    command = [sys.executable, "-c", program, "explain", "embeddings", str(tiny_model), str(tiny_cohort), "--out"]
    cut, options = tmp_path / "cut", ["--no-pictures", *QUICK]
    process = subprocess.Popen(
        [*command, str(cut), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 200
    while len(list(cut.glob(".parts/*/part-*.npz"))) < 5 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("it was done before it could be killed")
    assert not (cut / "manifest.json").exists()
    if how == signal.SIGINT:
        assert "run the same command again to go on" in said
    kept = {path.name: path.stat().st_mtime_ns for path in cut.glob(".parts/*/part-*.npz")}
    assert len(kept) >= 5
    shutil.copytree(cut, tmp_path / "copy")
    done = run(tiny_model, tiny_cohort, "--out", cut, *options, program=program)
    assert done.returncode == 0, done.stderr
    whole = run(tiny_model, tiny_cohort, "--out", tmp_path / "whole", *options)
    assert whole.returncode == 0, whole.stderr
    for name in ("features", "summary", "targets"):
        frames = [pd.read_parquet(folder / f"{name}.parquet") for folder in (cut, tmp_path / "whole")]
        pd.testing.assert_frame_equal(*frames, rtol=1e-4, atol=1e-5)


@pytest.mark.shared
def test_children_and_adults_are_held_apart(shared_data, tmp_path):
    """Real heads: the shipped model, which has never seen a real head, holds age; and the command says so."""
    out = tmp_path / "out"
    done = run("sim-base", shared_data / "ds000228", "--space", "MNI152", "--mask", "brain", "--out", out, "--no-layers",
               "--no-pictures", "--targets", "age,group", "--workers", 2)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = pd.read_parquet(out / "targets.parquet")
    ages = found[(found["target"] == "age") & (found["view"] == "raw")]
    assert ages["effect"].abs().max() > 0.8
    assert (ages["p_holm"] < 0.05).sum() > 200
    row = pd.read_parquet(out / "summary.parquet").iloc[0]
    assert row["n_people"] == 123
    assert 10 < row["participation_low"] < row["participation_high"] < 20
    assert "behave like" in (out / "report.html").read_text()
