"""The command as a user runs it: every stage once on tiny heads, in a process of its own."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from neurotransfer.models import load_model


def run(*arguments, cwd=None):
    command = [sys.executable, "-m", "neurotransfer", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=cwd)


def ok(*arguments, cwd=None):
    done = run(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done


COMMANDS = ("demo", "simulate", "pretrain", "transfer", "predict", "embed", "benchmark", "report")


def test_help_is_quick_names_every_command_and_needs_no_torch():
    code = "import sys; sys.argv = ['neurotransfer', '--help']\n"
    code += "from neurotransfer.__main__ import main\n"
    code += "try:\n    main()\nexcept SystemExit:\n    print('torch' in sys.modules)"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.perf_counter() - started < 10
    assert done.stdout.strip().endswith("False")
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, called):
    code, shown, _ = called(command, "--help")
    assert (code, "Usage" in shown, "out" in shown.lower()) == (0, True, True)


def test_simulate_writes_a_cohort_that_can_be_read(tmp_path):
    done = ok("simulate", tmp_path / "heads", "--participants", 3, "--shape", "32,38,32", "--seed", 2)
    assert str(tmp_path / "heads" / "cohort.tsv") in done.stdout
    table = pd.read_csv(tmp_path / "heads" / "cohort.tsv", sep="\t")
    assert table["participant_id"].nunique() == 3


def test_pretrain_transfer_predict_embed(tiny_cohort, tmp_path, called):
    model, fitted = tmp_path / "model", tmp_path / "fitted"
    grid = ["--shape", "32,38,32", "--voxel-size", "5.0526315789473681"]
    done = ok("pretrain", tiny_cohort, "--targets", "age,sex", "--out", model, "--width", 0.0625, "--epochs", 1, *grid)
    assert "age_mae" in done.stdout
    assert len(pd.read_csv(model / "training.tsv", sep="\t")) == 1
    done = ok(
        "transfer", model, tiny_cohort, "--target", "diagnosis", "--strategy", "frozen", "--out", fitted, "--epochs", 2
    )
    assert "optimistic" in done.stdout
    assert "40 of these participants were in the pretraining" in done.stderr
    assert load_model(fitted).card.strategy == "frozen"
    code, _, said = called("predict", fitted, tiny_cohort, "--out", tmp_path / "p.tsv")
    assert (code, "note: the model was trained on 40 of these people" in said) == (0, True)
    table = pd.read_csv(tmp_path / "p.tsv", sep="\t")
    assert {"diagnosis", "diagnosis_probability_patient", "diagnosis_probability_control"} <= set(table)
    assert table["diagnosis_probability_patient"].between(0, 1).all()
    head = next((tiny_cohort.parent / "heads").iterdir())
    said = called("predict", fitted, head, "--out", tmp_path / "one.csv")[2]
    # the file has another name for the person, and the image tells who it is
    assert [line.split(":")[1] for line in said.splitlines() if line.startswith("note")] == [
        " engine",
        " the model was trained on 1 of these people",
    ]
    assert len(pd.read_csv(tmp_path / "one.csv")) == 1
    assert called("embed", fitted, tiny_cohort, "--out", tmp_path / "e.parquet")[0] == 0
    assert [column for column in pd.read_parquet(tmp_path / "e.parquet") if column.startswith("feature_")]


@pytest.mark.slow
def test_pretraining_takes_every_option_of_the_engine(tiny_cohort, tmp_path):
    words = ["--width", 0.0625, "--epochs", 2, "--shape", "32,38,32", "--voxel-size", "5.0526315789473681",
             "--warm-up", 0.5, "--ema", 0.9, "--micro-batch", 4, "--augment", "standard", "--no-flip", "--learned-weights",
             "--bits", 8, "--threads", 1, "--device", "cpu", "--precision", "bfloat16"]  # fmt: skip
    words += ["--volumes", tmp_path / "kept"]
    done = ok("pretrain", tiny_cohort, "--targets", "age,sex", "--out", tmp_path / "model", *words)
    assert "note: engine: CPU" in done.stderr
    assert "1 thread, bfloat16 convolutions" in done.stderr
    facts = load_model(tmp_path / "model").card.provenance
    recipe = facts["recipe"]
    assert (recipe["warm_up"], recipe["ema"], recipe["micro_batch"], recipe["learned_weights"]) == (0.5, 0.9, 4, True)
    assert recipe["augmentation"]["flip"] == 0
    assert "bfloat16" in facts["engine"]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md",
        "model.json",
        "reference.safetensors",
        "training.json",
        "training.tsv",
        "weights.safetensors",
    ]
    assert (tmp_path / "kept" / "volumes.npy").is_file()
    ok("pretrain", tiny_cohort, "--targets", "age", "--out", tmp_path / "again", *words)
    ok(
        "predict",
        tmp_path / "again",
        tiny_cohort,
        "--out",
        tmp_path / "p.tsv",
        "--precision",
        "float32",
        "--device",
        "cpu",
    )


@pytest.mark.parametrize("command", ["transfer", "predict", "embed"])
def test_every_command_that_runs_a_network_says_on_what(command, tiny_cohort, tiny_model, tmp_path, called):
    more = ["--target", "age", "--strategy", "frozen"] if command == "transfer" else []
    code, _, said = called(
        command, tiny_model, tiny_cohort, "--out", tmp_path / "out.tsv", "--precision", "float32", *more
    )
    assert code == 0
    line = [line for line in said.splitlines() if line.startswith("note: engine: ")]
    assert len(line) == 1
    assert "float32 convolutions" in line[0]


def test_a_scan_is_predicted_alike_alone_and_among_others(tiny_cohort, tiny_model, tmp_path, called):
    table = pd.read_csv(tiny_cohort, sep="\t")
    head = tiny_cohort.parent / table["image"][4]
    assert called("predict", tiny_model, tiny_cohort.parent / "heads", "--out", tmp_path / "all.parquet")[0] == 0
    assert called("predict", tiny_model, head, "--out", tmp_path / "one.parquet")[0] == 0
    every, one = pd.read_parquet(tmp_path / "all.parquet"), pd.read_parquet(tmp_path / "one.parquet")
    same = every[every["image"] == str(head.resolve())]
    assert same["age"].iloc[0] == pytest.approx(one["age"].iloc[0], abs=1e-3)


def test_benchmark_and_report(tiny_cohort, tmp_path, called, monkeypatch):
    study = tmp_path / "study.toml"
    study.write_text(
        f'name = "small"\ncohort = {{ path = {json.dumps(str(tiny_cohort))} }}\n'
        'grid = { shape = [32, 38, 32], voxel_size_mm = 5.0526315789473681 }\n[tasks.age]\ntarget = "age"\n'
        '[[strategies]]\nstrategy = "linear"\n[[strategies]]\nstrategy = "voxels"\n'
        "[protocol]\nsizes = [10, 15]\nreplicates = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    code, shown, _ = called("benchmark", study, "--dry-run")
    assert (code, "12 cells, 108 fits" in shown) == (0, True)
    assert not (tmp_path / "runs").exists()
    done = ok("benchmark", study, "--workers", 1, cwd=tmp_path)
    assert "108 fits lie in runs/small/results.parquet" in done.stdout
    manifest = json.loads((tmp_path / "runs" / "small" / "manifest.json").read_text())
    assert manifest["command"].startswith("neurotransfer benchmark")
    page = tmp_path / "page.html"
    run = tmp_path / "runs" / "small"
    code, shown, _ = called("report", run, "--out", page, "--published", "age=november_age")
    assert (code, f"The page lies in {page}" in shown) == (0, True)
    assert "baseline (November 2025)" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_figures_of_a_report_are_files(tmp_path, called):
    figures = tmp_path / "figures"
    results = Path(__file__).resolve().parents[2] / "docs" / "results" / "sim_trained"
    code, shown, _ = called("report", results, "--out", tmp_path / "page.html", "--figures", figures)
    assert (code, f"The figures lie in {figures}" in shown) == (0, True)
    assert {"age-curves-mean-rae.svg", "age-curves-median-mae.pdf", "age-curves.csv"} <= {
        file.name for file in figures.iterdir()
    }


def test_a_report_says_what_it_can_be_made_of(tmp_path, called):
    code, _, said = called("report", tmp_path)
    assert code == 2
    assert "A report is made of: the run folder of neurotransfer benchmark" in said
    code, _, said = called("report", tmp_path, "--published", "age")
    assert (code, "--published takes TASK=CURVE, got age" in said) == (2, True)


SIMULATED = """
name = "small-sim"
licence = "BSD-3-Clause"
grid = { shape = [32, 38, 32], voxel_size_mm = 5.0526315789473681 }
network = { width = 0.0625, members = 2, joined = 1, mirrored = true }
heads = { an_epoch = 16, validation = 8 }
targets = { tissue = 0.8, age = 0.2 }
training = { epochs = 1, batch_size = 8 }
real = { path = "cohort.tsv", target = "age", share = 0.7, sizes = [8], draws = 2 }
"""


@pytest.mark.slow
def test_pretrain_on_simulated_heads_then_embed(tiny_cohort, tmp_path, called):
    study = tmp_path / "small.toml"
    study.write_text(SIMULATED)
    done = ok("pretrain", study, "--out", tmp_path / "model", "--data", tiny_cohort.parent, "--threads", 1)
    assert "real_mae_8" in done.stdout
    assert len(pd.read_csv(tmp_path / "model" / "training.tsv", sep="\t")) == 2
    code, shown, said = called("pretrain", study, "--out", tmp_path / "blind")
    assert (code, "note: without --data no real people judge the features" in said) == (0, True)
    assert "real_mae" not in shown
    assert called("embed", tmp_path / "model", tiny_cohort, "--out", tmp_path / "e.parquet")[0] == 0
    columns = pd.read_parquet(tmp_path / "e.parquet").filter(like="feature_").columns
    assert len(columns) == load_model(tmp_path / "model").network.encoder.n_features


@pytest.mark.slow
def test_the_shipped_model_answers_by_its_name(tiny_cohort, tmp_path):
    ok("embed", "sim-base", tiny_cohort, "--out", tmp_path / "e.parquet", cwd=tmp_path)
    table = pd.read_parquet(tmp_path / "e.parquet")
    assert table["participant_id"].nunique() == 40
    assert table.filter(like="feature_").notna().all(axis=None)
    ok("predict", "sim-base", tiny_cohort, "--out", tmp_path / "p.tsv", cwd=tmp_path)
    found = pd.read_csv(tmp_path / "p.tsv", sep="\t")
    assert found["age"].between(-50, 150).all()
    assert {"hippocampus_grey_ml", "hippocampus_contrast"} <= set(found)
    words = ["--target", "age", "--strategy", "frozen", "--out", tmp_path / "age"]
    ok("transfer", "sim-base", tiny_cohort, *words, cwd=tmp_path)
    assert load_model(tmp_path / "age").card.architecture == "sfcn-panel"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cohort.tsv", "--out", "m"], "--targets"),
        (
            ["cohort.tsv", "--targets", "age", "--data", ".", "--out", "m"],
            "--data belongs to a study of simulated heads",
        ),
        (["nowhere.toml", "--out", "m"], "there is no study file 'nowhere.toml'"),
        (["small.toml", "--out", "m", "--data", "nowhere"], "nowhere"),
        (["small.toml", "--targets", "age", "--out", "m"], "--targets"),
    ],
)
def test_pretraining_that_cannot_be_is_refused_in_one_message(words, said, tiny_cohort, tmp_path):
    (tmp_path / "small.toml").write_text(SIMULATED)
    words = [str(tiny_cohort) if word == "cohort.tsv" else word for word in words]
    done = run("pretrain", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "m").exists()
