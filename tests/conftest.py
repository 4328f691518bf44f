"""What all tests share: one thread for torch, tiny simulated heads, a tiny model, and where the real heads lie."""

import copy
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import settings

from browser import chromium  # noqa: F401

# before NumPy is there: two processes of tests whose linear algebra has two threads each on two cores hold each other up
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# a shell lets what runs in its background ignore Ctrl-C, and so would the commands that tests interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# exact comparisons of whole runs need it; what bfloat16 gives is the subject of tests of its own
os.environ["NEUROTRANSFER_PRECISION"] = "float32"

# a busy machine is no failure; NEUROTRANSFER_TEST_EXAMPLES=1000 looks harder for a case that breaks a law
settings.register_profile(
    "patient", deadline=None, max_examples=int(os.environ.get("NEUROTRANSFER_TEST_EXAMPLES", "30"))
)
settings.load_profile("patient")

# after so many minutes what is left is skipped, and counted as that: on a slow machine all slow tests take hours
MINUTES, BEGAN = float(os.environ.get("NEUROTRANSFER_TEST_MINUTES", "inf")), time.monotonic()


def pytest_runtest_setup(item):
    if time.monotonic() - BEGAN > 60 * MINUTES:
        pytest.skip(f"NEUROTRANSFER_TEST_MINUTES={MINUTES:g} are over")


TINY_SHAPE = (32, 38, 32)
TINY_VOXEL_MM = 192 / 38


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real heads in ../shared/data are not here")
    return folder


@pytest.fixture(scope="session")
def tiny_cohort(tmp_path_factory) -> Path:
    """The table of 40 simulated people, some with two sessions, nothing missing but what the table says."""
    from neurotransfer.simulate import simulate

    return simulate(tmp_path_factory.mktemp("tiny") / "people", 40, shape=TINY_SHAPE, seed=5, prefix="tiny")


@pytest.fixture(scope="session")
def tiny_model(tiny_cohort, tmp_path_factory) -> Path:
    """A model folder of a very small network that was pretrained for one epoch on age and sex."""
    from neurotransfer.cohort import Grid, read_cohort
    from neurotransfer.pretrain import Pretraining, pretrain
    from neurotransfer.training import Recipe

    folder = tmp_path_factory.mktemp("models") / "tiny"
    options = Pretraining(
        grid=Grid(TINY_SHAPE, TINY_VOXEL_MM), arguments={"width": 0.0625}, recipe=Recipe(epochs=1), seed=1
    )
    pretrain(read_cohort(tiny_cohort), ["age", "sex"], folder, options)
    return folder


@pytest.fixture
def tiny_study(tiny_values) -> dict:
    """A study of all strategies that takes some seconds; a test may change it before it parses it."""
    return copy.deepcopy(tiny_values)


@pytest.fixture(scope="session")
def tiny_values(tiny_cohort, tiny_model) -> dict:
    """The values of `tiny_study`, not to be changed."""
    network = {"lr": [1e-3], "dropout": [0.0]}
    penalty = {"penalty": [0.01, 1.0]}
    return {
        "name": "tiny",
        "seed": 3,
        "subgroup": "site",
        "cohort": {"path": str(tiny_cohort)},
        "grid": {"shape": list(TINY_SHAPE), "voxel_size_mm": TINY_VOXEL_MM},
        "network": {"width": 0.0625},
        "models": {"multi": {"path": str(tiny_model)}},
        "tasks": {"age": {"target": "age"}, "diagnosis": {"target": "diagnosis"}},
        "protocol": {"sizes": [10, 15], "replicates": 2, "test": "fifth"},
        "training": {"epochs": 2, "batch_size": 8},
        "strategies": [
            {"strategy": "transferred", "model": "multi"},
            {"strategy": "frozen", "model": "multi", "grid": penalty},
            {"strategy": "finetuned", "model": "multi", "grid": network},
            {"strategy": "baseline", "grid": network},
            {"strategy": "random-frozen", "grid": penalty},
            {"strategy": "linear", "grid": penalty},
            {"strategy": "voxels", "grid": penalty},
        ],
    }


@pytest.fixture
def called(monkeypatch, capsys):
    """A command in this process, which has torch already: (exit code, what it printed, what it said)."""
    import torch

    from neurotransfer.__main__ import main
    from neurotransfer.training import current, use

    before, threads, on_term = current(), torch.get_num_threads(), signal.getsignal(signal.SIGTERM)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["neurotransfer", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        return code, *capsys.readouterr()

    yield call
    # a command chooses device, precision and threads for the process that it thinks is its own
    use(before)
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, on_term)
