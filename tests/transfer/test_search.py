"""The search over the settings of a cell: what a trial says, what it may look at, and whose fault an error is."""

import errno
import importlib

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from neurotransfer.cohort import Cohort, Grid, Split
from neurotransfer.errors import InputError, StorageError
from neurotransfer.models.card import Card
from neurotransfer.models.folder import Model
from neurotransfer.models.network import Network, seeded
from neurotransfer.models.sfcn import SFCN
from neurotransfer.statistics.metrics import scores
from neurotransfer.targets import Target
from neurotransfer.training import Recipe
from neurotransfer.transfer import (
    STRATEGIES,
    Fitted,
    best_of,
    fit_settings,
    get_strategy,
    inputs_of,
    make_source,
    predict_rows,
    search,
    settings,
)
from neurotransfer.transfer.search import loss_of, raise_of_the_machine

module = importlib.import_module("neurotransfer.transfer.search")
GRID = Grid((32, 32, 32), 5.0)
AGE = Target("age", "continuous", location=50.0, scale=12.0)
GROUPS = {
    "binary": Target("group", "binary", classes=("a", "b")),
    "categorical": Target("group", "categorical", classes=("a", "b", "c")),
    "ordinal": Target("group", "ordinal", classes=("a", "b", "c")),
}
SPLIT = Split(np.array([0, 1, 2, 3, 3, 5]), np.array([6, 7, 8]), np.array([9, 10, 11]))
RECIPE = Recipe(epochs=2, batch_size=4)


@pytest.fixture(scope="module")
def heads():
    generator = np.random.default_rng(0)
    age = np.linspace(20, 80, 12)
    volumes = generator.uniform(0.3, 0.6, (12, 32, 32, 32)) + (age[:, None, None, None] - 50) / 200
    volumes[:, :6] = 0
    return np.clip(volumes, 0, 1).astype(np.float32), age


@pytest.fixture(scope="module")
def model():
    with seeded(0):
        network = Network(SFCN(width=0.0625), [AGE])
    return Model(network.eval(), Card("tiny", "sfcn", {"width": 0.0625}, (AGE,), GRID))


def source_of(name, model=None, target=AGE):
    return make_source(
        get_strategy(name), model=model, grid=GRID, target=target, architecture="sfcn", arguments={"width": 0.0625}
    )


def columns(n=24, d=4, seed=1):
    """Columns of a table, and the values that follow from them."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(3, 2, (n, d)).astype(np.float32)
    return inputs, inputs @ np.array([2.0, -1, 0, 0.5]) + 40 + generator.normal(size=n)


def linear(target=AGE):
    return make_source(get_strategy("linear"), model=None, grid=None, target=target, columns=tuple("abcd"))


PENALTIES = [{"penalty": value} for value in (0.01, 0.1, 1.0, 10.0)]
PARTS = Split(np.arange(14), np.arange(14, 20), np.arange(20, 24))


@pytest.mark.parametrize("name", ["transferred", "frozen", "finetuned", "voxels"])
def test_a_trial_says_what_its_fit_gives(name, model, heads):
    """The same numbers, bit by bit, as fits that are made and judged one after another."""
    volumes, labels = heads
    source = source_of(name, model)
    inputs = inputs_of(source, Cohort("none", None), volumes, model)
    tried = settings(get_strategy(name))[:2]
    trials = list(search(source, inputs, AGE, labels, SPLIT, tried, RECIPE, 3))
    fits = list(fit_settings(source, inputs, AGE, labels, SPLIT, tried, RECIPE, 3))
    assert [trial.setting for trial in trials] == tried
    for trial, fitted in zip(trials, fits, strict=True):
        predicted, probabilities = predict_rows(fitted, inputs, SPLIT.validation)
        np.testing.assert_array_equal(trial.predicted, predicted)
        np.testing.assert_array_equal(trial.probabilities, probabilities)
        np.testing.assert_array_equal(trial.validation_rows, SPLIT.validation)
        assert (trial.epochs, trial.best_epoch) == (fitted.epochs, fitted.best_epoch)
        assert trial.error is None
        assert not trial.dropped
        assert np.isfinite(trial.loss)
        if fitted.epochs:
            assert trial.loss == fitted.validation_loss
        for one, other in zip(trial.final().network.parameters(), fitted.network.parameters(), strict=True):
            assert torch.equal(one, other)


def test_the_loss_of_an_exact_fit_is_the_squared_error_of_the_standardised_value():
    inputs, labels = columns()
    scale = labels[PARTS.train].std()
    for trial in search(linear(), inputs, AGE, labels, PARTS, PENALTIES, RECIPE, 0):
        errors = (trial.predicted - labels[PARTS.validation]) / scale
        assert trial.loss == pytest.approx(np.mean(errors**2), rel=1e-4)


@pytest.mark.parametrize("kind", ["binary", "categorical"])
def test_the_loss_of_an_exact_fit_is_the_log_loss(kind):
    inputs, values = columns()
    target = GROUPS[kind]
    labels = np.argsort(np.argsort(values)) * len(target.classes) // len(values) * 1.0
    for trial in search(linear(target), inputs, target, labels, PARTS, PENALTIES, RECIPE, 0):
        expected = log_loss(labels[PARTS.validation], trial.probabilities, labels=range(len(target.classes)))
        assert trial.loss == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_levels_is_that_of_the_questions_above_each():
    target, found, labels = GROUPS["ordinal"], np.array([[0.3, -1.0], [2.0, 1.0]], np.float32), np.array([0.0, 2.0])
    above = 1 / (1 + np.exp(-found))
    expected = -np.mean([np.log(1 - above[0]), np.log(above[1])])
    assert loss_of(target, found, labels) == pytest.approx(expected, rel=1e-6)


def test_a_loss_has_no_weight_leaves_out_who_has_no_label_and_reads_as_the_head_does():
    found, labels = np.array([[1.0], [9.0]], np.float32), np.array([74.0, np.nan])
    assert loss_of(AGE, found, labels) == pytest.approx(1.0)
    heavy = Target("age", "continuous", location=50.0, scale=12.0, weight=7.0)
    assert loss_of(heavy, found, labels) == pytest.approx(1.0)
    assert np.isnan(loss_of(AGE, found, labels * np.nan))
    ranks = Target("age", "continuous", location=1.0, scale=2.0, reading="ranks", levels=(10.0, 20.0, 30.0))
    steps = np.array([[1.0, -1.0], [1.0, 1.0]], np.float32)
    assert loss_of(ranks, steps, np.array([24.0, 30.0])) == pytest.approx(((20 - 24) / 2) ** 2 / 2)


@pytest.mark.parametrize("name", ["frozen", "finetuned", "linear"])
def test_test_people_change_nothing(name, model, heads):
    volumes, labels = heads
    source = source_of(name, model)
    inputs = inputs_of(source, Cohort("none", None), volumes, model).copy()
    tried, poisoned = settings(get_strategy(name))[:2], labels.copy()
    clean = list(search(source, inputs, AGE, labels, SPLIT, tried, RECIPE, 0))
    poisoned[SPLIT.test], inputs[SPLIT.test] = np.nan, np.nan
    for one, other in zip(clean, search(source, inputs, AGE, poisoned, SPLIT, tried, RECIPE, 0), strict=True):
        np.testing.assert_array_equal(one.predicted, other.predicted)
        assert one.loss == other.loss


def test_an_error_of_a_fit_is_recorded_and_the_others_go_on(monkeypatch):
    inputs, labels = columns()
    real = fit_settings

    def failing(*given, **options):
        for place, outcome in enumerate(real(*given, **options)):
            yield RuntimeError("planted") if place == 1 else outcome

    monkeypatch.setattr(module, "fit_settings", failing)
    trials = list(search(linear(), inputs, AGE, labels, PARTS, PENALTIES, RECIPE, 0))
    assert [str(trial.error) for trial in trials] == ["None", "planted", "None", "None"]
    assert np.isnan(trials[1].loss)
    assert len(trials[1].predicted) == trials[1].epochs == 0
    with pytest.raises(RuntimeError, match="planted"):
        trials[1].final()


@pytest.mark.parametrize(
    ("planted", "raised"),
    [
        (MemoryError("of this machine"), MemoryError),
        (StorageError("the disk is full"), StorageError),
        (OSError(errno.EIO, "input or output"), OSError),
        (RuntimeError("CUDA out of memory"), MemoryError),
        (Fitted(None, 1, 1, 0.5, ("8 images at once need more memory",)), MemoryError),
    ],
)
def test_an_error_of_the_machine_is_raised(planted, raised, monkeypatch):
    monkeypatch.setattr(module, "fit_settings", lambda *_, **__: [planted])
    inputs, labels = columns()
    with pytest.raises(raised):
        list(search(linear(), inputs, AGE, labels, PARTS, PENALTIES[:1], RECIPE, 0))


def test_whose_fault_an_error_is():
    for error in (ValueError("no"), FloatingPointError("never finite"), InputError("a smaller lr"), IndexError(3)):
        raise_of_the_machine(error)


def test_a_setting_is_chosen_by_score_or_by_loss():
    inputs, labels = columns()
    trials = list(search(linear(), inputs, AGE, labels, PARTS, PENALTIES, RECIPE, 0))
    found = [scores("continuous", labels[PARTS.validation], trial.predicted) for trial in trials]
    losses = [trial.loss for trial in trials]
    assert best_of("continuous", found, by="score") == int(np.argmin([each["mae"] for each in found]))
    assert best_of("continuous", found, by="loss", losses=losses) == int(np.argmin(losses))
    assert set(STRATEGIES) >= {"linear"}


NONE = {"auc": np.nan}


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([0.5, 0.4, 0.6], 1),
        ([0.4, 0.4, 0.4], 0),
        ([np.nan, 0.9, np.inf], 1),
        ([-1.0, -2.0, 0.0], 1),
        ([np.nan, np.inf, -np.inf], -1),
        ([], -1),
    ],
)
def test_the_least_finite_loss_is_chosen_and_the_first_of_equals(losses, expected):
    assert best_of("binary", [NONE] * len(losses), by="loss", losses=losses) == expected


def test_a_choice_that_cannot_be_made_says_so():
    with pytest.raises(InputError, match=r"unknown way to choose a setting 'lose'.*score, loss.*'loss'"):
        best_of("binary", [NONE], by="lose")
    with pytest.raises(InputError, match="1 settings have 0 losses"):
        best_of("binary", [NONE], by="loss")
