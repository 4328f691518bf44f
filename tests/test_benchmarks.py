"""The scripts of `benchmarks/`: they begin, count operations rightly, and measure what they say."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import pytest
import torch
from torch import nn

from neurotransfer.models import SFCN

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
SMALLEST = "32x38x32"


def script(path):
    # scripts import each other by name, as they do when they are run
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


@pytest.fixture(scope="module")
def training():
    return script(FOLDER / "training.py")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_can_be_imported_says_how_it_is_run_and_is_in_the_makefile(path):
    module = script(path)
    assert f"python benchmarks/{path.name}" in module.__doc__
    assert callable(module.main)
    assert f"benchmarks/{path.name}" in (FOLDER.parent / "Makefile").read_text()


def test_operations_are_those_of_the_convolutions(training):
    """Counted by what goes in and comes out of every convolution of three taps."""
    network, counted = SFCN().eval(), []
    with torch.device("meta"):
        weightless = SFCN().eval()
    for module in weightless.modules():
        if isinstance(module, nn.Conv3d) and module.kernel_size == (3, 3, 3):
            module.register_forward_hook(
                lambda layer, given, out: counted.append(2 * out.numel() * layer.weight[0].numel())
            )
    weightless(torch.zeros(1, 1, 80, 96, 80, device="meta"))
    assert training.products((80, 96, 80)) == sum(counted) > 1e10
    plain = training.plain_network()
    sizes = [sum(value.numel() for value in module.parameters()) for module in (plain, network)]
    # the plain one has a head of 65 numbers beside
    assert sizes[0] == sizes[1] + 65


def test_the_rate_is_volumes_by_the_median_step(training, monkeypatch):
    times = iter([0, 0, 0, 2, 2, 2, 4, 4, 4, 14, 14, 14, 16, 16, 16, 18, 100])
    monkeypatch.setattr(training.time, "perf_counter", lambda: float(next(times)))
    assert training.rate(lambda: None, 8, 20) == 4.0


@pytest.mark.slow
def test_what_is_measured_is_a_process_of_its_own(training):
    found = training.measured("plain", SMALLEST, "inference", 0.01)
    assert found["value"] > 0
    assert found["peak"] > 0.05


def test_a_measurement_that_fails_is_told_and_is_no_number(training, capsys):
    found = training.measured("plain", "1x1x1", "training", 0.01)
    assert found["value"] != found["value"]
    assert "plain 1x1x1 training" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("what", ["training", "inference"])
@pytest.mark.parametrize("which", ["plain", "ours"])
def test_every_kind_of_measurement_runs(training, which, what):
    assert training.measured(which, SMALLEST, what, 0.01)["value"] > 0


@pytest.mark.slow
def test_loading_is_measured_from_files_and_from_the_store(training, tmp_path):
    training.write_scans(tmp_path, "40x48x40", 16)
    assert nibabel.load(next(tmp_path.glob("*.nii.gz"))).shape == (40, 48, 40)
    ours = training.measured("our_epoch", "40x48x40", tmp_path)
    assert ours["loading"] > training.measured("plain_epoch", "40x48x40", tmp_path)["loading"]
    assert 0 <= ours["waiting"] < 1


@pytest.mark.slow
def test_the_curve_of_exact_heads_is_measured():
    done = subprocess.run([sys.executable, str(FOLDER / "closed_form.py"), "--replicates", "1"], capture_output=True, text=True,
                          check=False, env=dict(os.environ))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "fits" in done.stdout


@pytest.mark.slow
def test_the_script_for_gpus_shows_itself_on_a_cpu():
    done = subprocess.run([sys.executable, str(FOLDER / "gpu.py"), "--device", "cpu", "--shape", "32,32,32", "--batches", "2,4"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n| ") == 3
    assert "9,000 fits" in done.stdout
    assert "68,570 heads x 30 epochs" in done.stdout
