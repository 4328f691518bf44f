"""What a hurried user does wrong: exit code 2, one clear message, no traceback, nothing finished lost."""

import gzip
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest


def run(*arguments, **options):
    command = [sys.executable, "-m", "neurotransfer", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, **options)


def refused(*arguments, **options):
    """The message of a command that must end with exit code 2 and without a traceback."""
    done = run(*arguments, **options)
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.fixture
def told(called, monkeypatch, tmp_path):
    """As `refused`, in this process, which saves the start of another one."""

    def call(*arguments):
        monkeypatch.chdir(tmp_path)
        code, _, said = called(*arguments)
        assert code == 2
        assert "Traceback" not in said
        return " ".join(said.split())

    return call


def save(path, voxels):
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([5.0, 5, 5, 1])), path)
    return path


@pytest.fixture
def bad_images(tmp_path):
    """Images that cannot be used, by what is wrong with them."""
    head = np.random.default_rng(0).uniform(1, 9, (32, 38, 32)).astype(np.float32)
    images = {
        "4d": save(tmp_path / "4d.nii.gz", np.stack([head, head], -1)),
        "constant": save(tmp_path / "constant.nii.gz", np.full((32, 32, 32), 7, np.int16)),
        "has-nan": save(tmp_path / "has-nan.nii.gz", np.where(head > 8, np.nan, head)),
        "truncated": save(tmp_path / "truncated.nii.gz", head),
        "empty": tmp_path / "empty.nii.gz",
        "text": tmp_path / "text.nii.gz",
        "absent": tmp_path / "absent.nii.gz",
    }
    images["truncated"].write_bytes(images["truncated"].read_bytes()[:5000])
    images["empty"].write_bytes(b"")
    images["text"].write_bytes(gzip.compress(b"this is no image"))
    return images


SAID = {
    "4d": "three dimensions",
    "constant": "constant",
    "has-nan": "NaN",
    "truncated": "cannot read",
    "empty": "cannot read",
    "text": "cannot read",
    "absent": "absent.nii.gz",
}


def test_every_bad_image_of_a_table_is_told_at_once(bad_images, tiny_model, tmp_path, told):
    table = pd.DataFrame({"participant_id": list(bad_images), "image": [path.name for path in bad_images.values()]})
    table.to_csv(tmp_path / "cohort.csv", index=False)
    message = told("predict", tiny_model, tmp_path / "cohort.csv", "--out", tmp_path / "out.tsv")
    assert f"{len(bad_images)} problems" in message
    for row, name in enumerate(bad_images, start=1):
        assert f"row {row}: {name}" in message
        assert SAID[name] in message
    assert not (tmp_path / "out.tsv").exists()


@pytest.mark.parametrize("name", ["4d", "truncated", "absent"])
def test_a_single_bad_scan(bad_images, tiny_model, tmp_path, name, told):
    assert SAID[name] in told("predict", tiny_model, bad_images[name], "--out", tmp_path / "out.tsv")


def study_of(tmp_path, tiny_cohort, *, target="diagnosis", protocol="sizes = [10]", more=""):
    path = tmp_path / "study.toml"
    path.write_text(
        f'name = "s"\ncohort = {{ path = "{tiny_cohort}" }}\n{more}\n'
        f'grid = {{ shape = [32, 38, 32], voxel_size_mm = 5.06 }}\n[tasks.t]\ntarget = "{target}"\n'
        f'[[strategies]]\nstrategy = "linear"\n[protocol]\n{protocol}\n'
    )
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"protocol": "sizes = [5000]"}, "n = 5000 is not possible: allowed are 2 to"),
        ({"protocol": "sises = [10]"}, "did you mean 'sizes'"),
        ({"target": "diagnose"}, "did you mean 'diagnosis'"),
        ({"target": "participant_id"}, "says which scan a row is"),
        ({"target": "age", "more": 'regional_columns = ["age"]'}, "its target 'age' is a regional column"),
    ],
)
def test_studies_that_cannot_be_run(tmp_path, tiny_cohort, told, options, said):
    message = told("benchmark", study_of(tmp_path, tiny_cohort, **options), "--out", tmp_path / "run")
    assert said in message
    assert not (tmp_path / "run" / "cells").exists()


def altered(tiny_cohort, tmp_path, change):
    table = pd.read_csv(tiny_cohort, sep="\t", dtype=str, keep_default_na=False)
    table["image"] = [str(tiny_cohort.parent / image) for image in table["image"]]
    change(table)
    table.to_csv(tmp_path / "cohort.tsv", sep="\t", index=False)
    return tmp_path / "cohort.tsv"


def test_a_class_with_too_few_people(tmp_path, tiny_cohort, told):
    def rare(table):
        table["diagnosis"] = ["patient" if row < 1 else "control" for row in range(len(table))]

    cohort = altered(tiny_cohort, tmp_path, rare)
    message = told("benchmark", study_of(tmp_path, cohort), "--out", tmp_path / "run")
    assert "class 'patient' has 1 participant; train, validation and test need one each: 3 or more" in message


def test_text_where_numbers_belong(tmp_path, tiny_cohort, told):
    def words(table):
        table.loc[3, "age"] = "forty"

    message = told("pretrain", altered(tiny_cohort, tmp_path, words), "--targets", "age", "--out", tmp_path / "m")
    assert "'forty'" in message
    assert "numbers" in message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pretrain", "COHORT", "--targets", "agee", "--out", "m"], "did you mean 'age'"),
        (["pretrain", "COHORT", "--targets", "", "--out", "m"], "no target"),
        (["pretrain", "COHORT", "--targets", "age", "--out", "m", "--shape", "10,10,10"], "32 voxels"),
        (["pretrain", "COHORT", "--targets", "age", "--out", "m", "--width", "-1"], "width"),
        (["pretrain", "COHORT", "--targets", "age", "--out", "m", "--device", "gpu"], "device"),
        (["pretrain", "COHORT", "--targets", "age", "--out", "m", "--device", "cuda:7"], "is not here"),
        (["pretrain", "COHORT", "--targets", "age", "--out", "m", "--precision", "fp16"], "float32, bfloat16"),
        (["pretrain", "COHORT", "--targets", "age", "--out", "m", "--augment", "heavy"], "none, light, standard"),
        (["pretrain", "COHORT", "--targets", "age", "--out", "m", "--bits", "12"], "bits"),
        (["pretrain", "COHORT", "--targets", "age", "--out", "m", "--devices", "0"], "devices"),
        (["pretrain", "COHORT", "--targets", "age", "--out", "m", "--ema", "1", "--warm-up", "99"], "ema is from 0"),
        (["predict", "MODEL", "COHORT", "--out", "p.tsv", "--precision", "half"], "precision"),
        (["pretrain", "nowhere", "--targets", "age", "--out", "m"], "there is no cohort at 'nowhere'"),
        (["transfer", "MODEL", "COHORT", "--target", "bmi", "--strategy", "transferred", "--out", "m"], "it predicts age, sex"),
        (["transfer", "MODEL", "COHORT", "--target", "bmi", "--strategy", "finetune", "--out", "m"], "did you mean 'finetuned'"),
        (["transfer", "nowhere", "COHORT", "--target", "bmi", "--strategy", "frozen", "--out", "m"], "no model folder"),
        (["transfer", "MODEL", "COHORT", "--target", "bmi", "--strategy", "frozen", "--out", "MODEL"], "lies already"),
        (["predict", "MODEL", "COHORT", "--out", "p.xlsx"], ".tsv, .csv, .parquet"),
        (["predict", "MODEL", "COHORT", "--out", "COHORT"], "is there already; give another --out"),
        (["embed", "MODEL", "COHORT", "--out", "COHORT"], "is there already; give another --out"),
        (["pretrain", "COHORT", "--targets", "age", "--out", "m", "--voxel-size", "1"], "of the head"),
        (["pretrain", "COHORT", "--targets", "participant_id", "--out", "m"], "says which scan a row is"),
        (["predict", "MODEL", "nowhere", "--out", "p.tsv"], "there is no"),
        (["report", "nowhere"], "nowhere"),
        (["benchmark", "nowhere.toml"], "there is no study file"),
        (["simulate", "heads", "--participants", "0"], "participants"),
        (["simulate", "heads", "--participants", "2", "--shape", "4"], "--shape takes three whole numbers"),
        (["simulate", "heads"], "participants"),
        (["simulat"], "No such command"),
        (["prepare", "nowhere", "out"], "there is no 'nowhere'; give a scan"),
        (["prepare", "COHORT", "out", "--recipe", "templat"], "did you mean 'template'"),
        (["prepare", "COHORT", "out", "--columns", "agee"], "did you mean 'age'"),
        (["prepare", "COHORT", "out", "--declare", "skullstripped"], "did you mean 'stripped'"),
        (["prepare", "COHORT", "MODEL"], "was not prepared here"),
        (["predict", "MODEL", "COHORT", "--out", "p.tsv", "--prepare", "perhaps"], "auto, always, never"),
        (["predict", "MODEL", "COHORT", "--out", "p.tsv", "--prepare", "always", "--alignment", "centre"], "leave --alignment out"),
    ],
)  # fmt: skip
def test_wrong_calls(arguments, said, tiny_cohort, tiny_model, told):
    places = {"COHORT": str(tiny_cohort), "MODEL": str(tiny_model)}
    assert said in told(*[places.get(word, word) for word in arguments])


def test_a_finished_cohort_is_not_simulated_away(tiny_cohort, told):
    before = {path: path.read_bytes() for path in tiny_cohort.parent.rglob("*") if path.is_file()}
    message = told("simulate", tiny_cohort.parent, "--participants", 3)
    assert "holds a finished simulated cohort" in message
    assert {path: path.read_bytes() for path in tiny_cohort.parent.rglob("*") if path.is_file()} == before


def test_a_place_that_cannot_be_written_is_told_before_the_training(tiny_cohort, tiny_model, tmp_path, told):
    (tmp_path / "file").write_text("x")
    place = tmp_path / "file" / "below"
    message = refused("pretrain", tiny_cohort, "--targets", "age", "--out", place, "--epochs", 10_000)
    assert "cannot write" in message
    assert "epochs:" not in message
    message = told("predict", tiny_model, tiny_cohort, "--out", place / "p.tsv")
    assert "cannot write" in message
    assert "scans:" not in message


def interrupted(process):
    """What a process says that is interrupted until it ends: some imports of torch swallow an interrupt, and people press again."""
    for _ in range(30):
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=5)[1]
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    pytest.fail("it does not end")


@pytest.mark.parametrize("stage", ["pretrain", "transfer"])
def test_an_interrupted_training_says_so_and_leaves_no_half_model(stage, tiny_cohort, tiny_model, tmp_path):
    place, endless = tmp_path / "m", 10**6
    words = {
        "pretrain": [tiny_cohort, "--targets", "age,sex", "--width", "0.0625", "--shape", "32,38,32", "--voxel-size", "5.06"],
        "transfer": [tiny_model, tiny_cohort, "--target", "age", "--strategy", "finetuned"],
    }[stage]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "neurotransfer", stage, *map(str, words), "--out", str(place), "--epochs", str(endless)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    waited = time.monotonic()
    while not place.is_dir() and process.poll() is None and time.monotonic() - waited < 120:
        time.sleep(0.05)
    time.sleep(0.5)
    errors = interrupted(process)
    # Python itself ends by the signal where it hit code that runs in exec(), an import of torch for example
    assert process.returncode in (2, -signal.SIGINT), errors
    assert "Traceback" not in errors
    if stage == "pretrain":
        assert "the same command goes on from there" in errors
        assert not (place / "model.json").exists()
    else:
        assert "no model was kept" in errors
        assert not place.exists()


@pytest.mark.slow
def test_a_full_disk_keeps_what_is_finished(tmp_path, tiny_cohort):
    """A real file system of 6 MiB, filled while the benchmark writes; with room, the same command goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here: " + mounted.stderr.decode().strip())
    try:
        study = study_of(tmp_path, tiny_cohort, protocol="sizes = [10, 15]\nreplicates = 6", target="age")
        filler = disk / "filler"
        filler.write_bytes(b"0" * (4 * 2**20))
        message = refused("benchmark", study, "--out", disk / "run", "--workers", 1)
        filler.unlink()
        assert "left and the volumes need" in message or "no space" in message
        filler.write_bytes(b"0" * max(0, free_bytes(disk) - needed_for_volumes(tiny_cohort) - 4096 * 20))
        message = refused("benchmark", study, "--out", disk / "run", "--workers", 1)
        assert "no space" in message
        assert "free some space" in message
        kept = sorted((disk / "run" / "cells").rglob("*.json"))
        filler.unlink()
        assert run("benchmark", study, "--out", disk / "run", "--workers", 1).returncode == 0
        assert set(kept) <= set((disk / "run" / "cells").rglob("*.json"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def needed_for_volumes(tiny_cohort) -> int:
    return 2 * len(pd.read_csv(tiny_cohort, sep="\t")) * 32 * 38 * 32


def test_a_file_that_grows_too_large_is_a_message(tiny_cohort, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    arguments = ["pretrain", tiny_cohort, "--targets", "age", "--out", tmp_path / "m", "--width", 0.0625, "--epochs", 1]
    message = refused(*arguments, "--shape", "32,38,32", preexec_fn=limit)
    assert "no space left" in message
    assert not (tmp_path / "m" / "model.json").exists()
