"""A pretraining that is killed, stopped or moved goes on and ends with the same bytes; nothing of another one is taken up."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurotransfer.cohort import Grid, VolumeStore, read_cohort
from neurotransfer.errors import DivergedError, InputError, ModelError
from neurotransfer.models import load_model
from neurotransfer.pretrain import Pretraining, pretrain
from neurotransfer.pretrain import run as module
from neurotransfer.training import Recipe
from neurotransfer.training.augment import preset

GRID = Grid((32, 38, 32), 192 / 38)
OPTIONS = Pretraining(
    grid=GRID, arguments={"width": 0.0625, "pooling": "maximum", "dropout": 0.2}, seed=4, checkpoint_seconds=0.0,
    recipe=Recipe(epochs=4, lr=1e-2, ema=0.9, warm_up=0.5, augmentation=preset("light")),
)  # fmt: skip
# the options of the tests as a program of its own, to be killed
PROGRAM = """
import sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[3])
import test_pretrain_resume as options
from neurotransfer.cohort import read_cohort
from neurotransfer.pretrain import pretrain
cohort = read_cohort(sys.argv[1], targets=["age", "sex"])
print("ready", flush=True)
pretrain(cohort, ["age", "sex"], sys.argv[2], options.OPTIONS)
"""


@pytest.fixture(scope="module")
def people(tiny_cohort):
    return read_cohort(tiny_cohort, targets=["age", "sex"])


@pytest.fixture(scope="module")
def undisturbed(people, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "model"
    pretrain(people, ["age", "sex"], folder, OPTIONS)
    return folder


def begin(table, out, **more):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(table), str(out), str(Path(__file__).parent)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, **more,
    )  # fmt: skip


def wait_for(path, process, seconds=120):
    started = time.monotonic()
    while not path.exists() and process.poll() is None and time.monotonic() - started < seconds:
        time.sleep(0.002)


def alike(folder, other):
    assert (folder / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()
    assert (folder / "training.tsv").read_bytes() == (other / "training.tsv").read_bytes()
    assert (folder / "training.json").read_bytes() == (other / "training.json").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in other.iterdir())


def kill_and_finish(table, out, delays):
    """Kill the program after these seconds of training, then let it end; gives how many were really killed."""
    killed = 0
    for delay in delays:
        process = begin(table, out)
        wait_for(out / "checkpoint.pt", process)
        time.sleep(delay)
        process.kill()
        process.communicate(timeout=60)
        killed += process.returncode == -signal.SIGKILL
    done = begin(table, out)
    _, errors = done.communicate(timeout=200)
    assert done.returncode == 0 or "lies already" in errors, errors
    return killed


@pytest.mark.slow
def test_a_pretraining_that_is_killed_ends_with_the_same_bytes(tiny_cohort, undisturbed, tmp_path):
    assert kill_and_finish(tiny_cohort, tmp_path / "model", [0.05]) == 1
    alike(tmp_path / "model", undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_time_it_ends_with_the_same_bytes(seed, tiny_cohort, undisturbed, tmp_path):
    delays = np.random.default_rng(seed).uniform(0, 0.4, 4)
    assert kill_and_finish(tiny_cohort, tmp_path / "model", delays) >= 1
    alike(tmp_path / "model", undisturbed)


@pytest.mark.slow
def test_killed_while_the_volumes_are_made_it_begins_them_anew(tiny_cohort, undisturbed, tmp_path):
    process = begin(tiny_cohort, tmp_path / "model")
    wait_for(tmp_path / "model" / "volumes", process)
    process.kill()
    process.communicate(timeout=60)
    assert not (tmp_path / "model" / "model.json").exists()
    assert kill_and_finish(tiny_cohort, tmp_path / "model", []) == 0
    alike(tmp_path / "model", undisturbed)


def test_killed_while_the_checkpoint_is_written_nothing_is_left_of_it(people, undisturbed, tmp_path):
    folder = tmp_path / "model"
    stopped(people, folder)
    half = folder / ".checkpoint.pt.x7.pt"
    half.write_bytes((folder / "checkpoint.pt").read_bytes()[:1000])
    pretrain(people, ["age", "sex"], folder, OPTIONS)
    alike(folder, undisturbed)


def test_killed_after_the_model_is_written_the_rest_goes_when_it_is_called_again(people, undisturbed, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(undisturbed, folder)
    (folder / "volumes").mkdir()
    (folder / "checkpoint.pt").write_bytes(b"x")
    with pytest.raises(ModelError, match="lies"):
        pretrain(people, ["age", "sex"], folder, OPTIONS)
    alike(folder, undisturbed)


class StopError(Exception):
    """The end of a test's patience."""


def stopped(people, folder, options=OPTIONS, epochs=1, error=StopError):
    """A pretraining that was stopped after some epochs."""

    def stop(row):
        if row["epoch"] == epochs:
            raise error

    with pytest.raises((StopError, InputError, module.InterruptedRunError)):
        pretrain(people, ["age", "sex"], folder, options, on_epoch=stop)


def test_a_stopped_pretraining_is_no_model_and_says_how_to_go_on(people, tmp_path):
    folder = tmp_path / "model"
    # a background shell starts its programs with interrupts ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(module.InterruptedRunError, match="the same command goes on"):
        pretrain(people, ["age", "sex"], folder, OPTIONS, on_epoch=lambda row: os.kill(os.getpid(), signal.SIGINT))
    assert (folder / "checkpoint.pt").is_file()
    with pytest.raises(Exception, match=r"model\.json"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"seed": 5}, "seed|training images"), ({"recipe": replace(OPTIONS.recipe, lr=0.5)}, "lr .0.01 then, 0.5 now"),
     ({"arguments": {"width": 0.125, "pooling": "maximum"}}, "network"), ({"weights": {"age": 2.0}}, "targets")],
)  # fmt: skip
def test_other_options_do_not_take_up_what_was_begun(people, tmp_path, change, said):
    folder = tmp_path / "model"
    stopped(people, folder)
    before = (folder / "checkpoint.pt").read_bytes()
    with pytest.raises(InputError, match=f"of another training.*({said})"):
        pretrain(people, ["age", "sex"], folder, replace(OPTIONS, **change))
    assert (folder / "checkpoint.pt").read_bytes() == before


def test_another_cohort_or_grid_does_not_take_up_the_volumes(people, tiny_cohort, tmp_path):
    folder = tmp_path / "model"
    stopped(people, folder)
    with pytest.raises(InputError):
        pretrain(people, ["age", "sex"], folder, replace(OPTIONS, grid=Grid((33, 38, 32), 192 / 38)))
    fewer = type(people)(people.name, people.table.iloc[:-2].reset_index(drop=True), people.alignment, people.notes)
    with pytest.raises(InputError):
        pretrain(fewer, ["age", "sex"], folder, OPTIONS)


def test_volumes_that_are_to_be_kept_are_kept_and_used_again(people, undisturbed, tmp_path):
    options = replace(OPTIONS, volumes=tmp_path / "volumes")
    pretrain(people, ["age", "sex"], tmp_path / "one", options)
    store = VolumeStore(tmp_path / "volumes")
    store.verify()
    assert len(store) == len(people)
    made = (tmp_path / "volumes" / "volumes.npy").stat().st_mtime_ns
    pretrain(people, ["age", "sex"], tmp_path / "two", options)
    assert (tmp_path / "volumes" / "volumes.npy").stat().st_mtime_ns == made
    for name in ("one", "two"):
        alike(tmp_path / name, undisturbed)


def test_eight_bits_are_half_the_bytes_and_nearly_the_same_volumes(people, tmp_path):
    stores = []
    for bits in (16, 8):
        options = replace(OPTIONS, volumes=tmp_path / f"volumes-{bits}", bits=bits, recipe=Recipe(epochs=1))
        pretrain(people, ["age"], tmp_path / f"model-{bits}", options)
        stores.append(VolumeStore(options.volumes))
    sizes = [(store.folder / "volumes.npy").stat().st_size for store in stores]
    assert 1.9 < sizes[0] / sizes[1] < 2.1
    first, second = (store[np.arange(3)] for store in stores)
    assert np.abs(first - second).max() <= first.max() / 200


def test_a_scan_that_breaks_the_loss_is_named_and_the_checkpoint_kept(people, tmp_path, monkeypatch):
    original = module.fit

    def poisoned(network, train, validation, recipe, **more):
        values = np.array(train.inputs[np.arange(len(people))])
        values[train.rows[3]] = np.nan
        return original(network, replace(train, inputs=values), replace(validation, inputs=values), recipe, **more)

    monkeypatch.setattr(module, "fit", poisoned)
    with pytest.raises(DivergedError, match=r"cannot pretrain.*tiny-\d+.*remove it"):
        pretrain(people, ["age", "sex"], tmp_path / "model", OPTIONS)
    assert not (tmp_path / "model" / "model.json").exists()


def test_the_card_says_on_what_it_was_trained(undisturbed):
    card = json.loads((undisturbed / "model.json").read_text())
    facts = card["provenance"]
    assert facts["engine"].startswith("CPU")
    assert facts["notes"] == []
    assert facts["recipe"]["augmentation"] is not None


@pytest.mark.parametrize("change", [{"devices": 0}, {"nodes": -1}, {"devices": 2, "nodes": 0}])
def test_machines_that_cannot_be(people, tmp_path, change):
    with pytest.raises(InputError, match="devices and nodes are 1 or more"):
        pretrain(people, ["age"], tmp_path / "model", replace(OPTIONS, **change))


@pytest.mark.slow
def test_two_processes_make_one_model(tiny_cohort, tmp_path):
    """The command as a user writes it; the launcher starts the second process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    models = []
    for devices in (1, 2):
        out = tmp_path / f"model-{devices}"
        done = subprocess.run(
            [sys.executable, "-m", "neurotransfer", "pretrain", str(tiny_cohort), "--targets", "age,sex", "--out", str(out),
             "--width", "0.0625", "--shape", "32,38,32", "--voxel-size", "5.0526315789473681", "--epochs", "2", "--lr", "1e-4",
             "--devices", str(devices), "--threads", "1", "--device", "cpu"],
            capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "MASTER_PORT": port},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("The model lies in") == 1
        assert done.stderr.count("note: engine") == 1
        models.append(load_model(out))
    losses = [model.card.provenance["validation"]["validation_loss"] for model in models]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
