"""What is kept of the scans that a network learnt from, and how other volumes are held against it."""

import numpy as np
import pytest

from neurotransfer.cohort import Grid
from neurotransfer.models.card import Card
from neurotransfer.models.folder import Model
from neurotransfer.models.network import Network, build_encoder, seeded
from neurotransfer.models.reference import ALIKE, OTHER, UNKNOWN
from neurotransfer.targets import Target
from neurotransfer.training import features
from neurotransfer.training.known import LEAST_HELD_OUT, LEAST_KNOWN, drift_of_volumes, reference_from

SHAPE = (32, 32, 32)


@pytest.fixture(scope="module")
def volumes():
    """Heads of a kind: a ball of random brightness, size and texture."""
    random = np.random.default_rng(0)
    places = np.indices(SHAPE) - 15.5
    far = np.sqrt((places**2).sum(0))
    return np.stack(
        [
            np.clip((far < size) * (level + 0.05 * random.normal(size=SHAPE)), 0, 1)
            for size, level in zip(random.uniform(10, 14, 60), random.uniform(0.5, 0.8, 60), strict=True)
        ]
    ).astype(np.float32)


@pytest.fixture(scope="module")
def model(volumes):
    with seeded(0):
        network = Network(build_encoder("sfcn", {"width": 0.125}), [Target("age", "continuous")]).eval()
    known = reference_from(network.encoder, volumes, np.arange(0, 40), np.arange(40, 50))
    return Model(network, Card("toy", "sfcn", {"width": 0.125}, (), Grid(SHAPE, 5.0)), known)


def test_scans_of_the_same_kind_are_alike(model, volumes):
    drift = drift_of_volumes(model, volumes[50:])
    assert drift.verdict == ALIKE
    assert model.reference.n == 50


@pytest.mark.parametrize(
    "change", [lambda x: 1 - x, lambda x: np.clip(2 * x, 0, 1), lambda x: np.roll(x, 9, 1) * (x < 0.7)]
)
def test_other_scans_are_not(model, volumes, change):
    assert drift_of_volumes(model, change(volumes[50:]).astype(np.float32)).verdict == OTHER


def test_features_that_are_there_are_not_made_again(model, volumes, monkeypatch):
    known = features(model.network.encoder, volumes)
    expected = drift_of_volumes(model, volumes)
    monkeypatch.setattr("neurotransfer.training.known.features", lambda *_: pytest.fail("they were made again"))
    np.testing.assert_array_equal(drift_of_volumes(model, volumes, known).outside, expected.outside)


def test_a_model_without_a_reference_runs_nothing(model, volumes, monkeypatch):
    monkeypatch.setattr("neurotransfer.training.known.features", lambda *_: pytest.fail("the network was run"))
    drift = drift_of_volumes(Model(model.network, model.card), volumes)
    assert (drift.verdict, len(drift.outside)) == (UNKNOWN, 60)


@pytest.mark.parametrize(
    ("n", "n_held_out", "is_kept"),
    [(LEAST_KNOWN, LEAST_HELD_OUT, True), (LEAST_KNOWN - 1, 20, False), (40, LEAST_HELD_OUT - 1, False), (0, 0, False)],
)
def test_of_few_scans_nothing_is_kept(model, volumes, n, n_held_out, is_kept):
    found = reference_from(model.network.encoder, volumes, np.arange(n), np.arange(40, 40 + n_held_out))
    assert (found is not None) == is_kept


def test_of_many_scans_a_part_is_enough(model, volumes, monkeypatch):
    monkeypatch.setattr("neurotransfer.training.known.MOST_KNOWN", 20)
    assert reference_from(model.network.encoder, volumes, np.arange(45), np.arange(45, 60)).n == 15 + 15
