"""The search over the settings of a cell: what a trial says, what it may look at, and whose fault an error is."""

import errno
import importlib

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurotransfer.cohort import Cohort, Grid, Split
from neurotransfer.errors import InputError, LeakageError, StorageError, raise_of_the_machine
from neurotransfer.models.card import Card
from neurotransfer.models.folder import Model
from neurotransfer.models.network import Identity, Network, seeded
from neurotransfer.models.sfcn import SFCN
from neurotransfer.seeding import integer_seed
from neurotransfer.statistics.metrics import scores
from neurotransfer.targets import Target
from neurotransfer.training import Examples, Recipe, fit
from neurotransfer.transfer import (
    Fitted,
    best_of,
    fit_setting,
    fit_settings,
    get_strategy,
    inputs_of,
    make_source,
    predict_rows,
    settings,
)
from neurotransfer.transfer.adapt import parts_of, refit
from neurotransfer.transfer.search import loss_of, search
from neurotransfer.transfer.source import Source

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
    return make_source(get_strategy("linear"), model=None, grid=None, target=target, columns=("w", "x", "y", "z"))


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


NOBODY = np.array([], int)
# people are drawn with repeats, and every person is in one fold
DRAWN = np.array([3, 0, 3, 7, 9, 1, 12, 12, 5, 19, 15, 2, 8, 3, 11, 6])
FOLDS = np.array([2, 1, 0])[DRAWN % 3]
FOLDED = Split(DRAWN, NOBODY, np.arange(20, 24), folds=FOLDS)
RATES = [{"lr": 0.3}, {"lr": 0.05}, {"lr": 0.01}, {"lr": 1e-3}]


def trained():
    """Heads on features that stand still, trained as whole networks are."""
    return Source(get_strategy("finetuned"), "identity", {}, Identity(4))


def folded(source, inputs, labels, tried, recipe=RECIPE, split=FOLDED, **options):
    return list(search(source, inputs, AGE, labels, split, tried, recipe, 5, **options))


def test_folds_of_an_exact_fit_are_those_of_scikit_learn():
    inputs, labels = columns()
    for trial in folded(linear(), inputs, labels, PENALTIES):
        # ours is relative to the number of features
        ridge = make_pipeline(StandardScaler(), Ridge(alpha=trial.setting["penalty"] * inputs.shape[1]))
        expected = cross_val_predict(ridge, inputs[DRAWN].astype(float), labels[DRAWN], cv=PredefinedSplit(FOLDS))
        np.testing.assert_allclose(trial.predicted, expected, rtol=1e-4)
        np.testing.assert_array_equal(trial.validation_rows, DRAWN)
        squares = [
            (trial.predicted - labels[DRAWN])[k == FOLDS] ** 2 / labels[DRAWN[k != FOLDS]].var() for k in range(3)
        ]
        assert trial.loss == pytest.approx(np.concatenate(squares).mean(), rel=1e-4)


@pytest.mark.parametrize(("source", "tried"), [(linear, PENALTIES), (trained, RATES)])
def test_whoever_is_predicted_was_not_seen(source, tried):
    """Labels that only a leak could predict, planted in a fold, move the predictions of all others but not of that fold."""
    inputs, labels = columns()
    recipe = Recipe(epochs=1, batch_size=4)
    clean = folded(source(), inputs, labels, tried, recipe)
    for k in range(3):
        planted, mine = labels.copy(), k == FOLDS
        planted[DRAWN[mine]] += 1000 * np.random.default_rng(k).normal(size=mine.sum())
        for one, other in zip(clean, folded(source(), inputs, planted, tried, recipe), strict=True):
            np.testing.assert_array_equal(one.predicted[mine], other.predicted[mine])
            assert (one.predicted[~mine] != other.predicted[~mine]).all()


def test_a_name_tells_nothing_of_people_who_were_not_seen():
    """A column for every person: a fit knows the labels of its own people by heart and no other's."""
    inputs, labels = np.eye(24, dtype=np.float32), np.random.default_rng(0).normal(size=24)
    source = make_source(get_strategy("linear"), model=None, grid=None, target=AGE, columns=tuple(map(str, range(24))))
    (trial,) = folded(source, inputs, labels, [{"penalty": 1e-6}])
    by_heart, _ = predict_rows(trial.final(), inputs, DRAWN)
    np.testing.assert_allclose(by_heart, labels[DRAWN], atol=1e-3)
    for k in range(3):
        strangers = trial.predicted[k == FOLDS]
        np.testing.assert_allclose(strangers, strangers[0], rtol=1e-4)


@pytest.mark.parametrize("halving", [False, True])
def test_a_fold_is_a_fit_of_its_own_with_its_own_seed(halving):
    inputs, labels = columns()
    recipe = Recipe(epochs=6, batch_size=4, patience=6)
    trials = folded(trained(), inputs, labels, RATES, recipe, halving=halving)
    assert sorted({trial.epochs for trial in trials}) == ([3, 6, 18] if halving else [18])
    for trial in trials:
        if trial.dropped:
            continue
        best, losses = [], []
        for k in range(3):
            part = Split(DRAWN[k != FOLDS], DRAWN[k == FOLDS], NOBODY)
            fitted = fit_setting(
                trained(), inputs, AGE, labels, part, trial.setting, recipe, integer_seed(5, "fold", k)
            )
            np.testing.assert_array_equal(trial.predicted[k == FOLDS], predict_rows(fitted, inputs, part.validation)[0])
            best.append(fitted.best_epoch)
            losses.append(fitted.validation_loss)
        assert trial.best_epoch == int(np.mean(best) + 0.5)
        assert trial.loss == pytest.approx(np.average(losses, weights=np.bincount(FOLDS)))
    assert sum(not trial.dropped for trial in trials) == (1 if halving else 4)


def test_the_fit_to_be_tested_is_made_anew_on_all_training_rows_for_the_best_epochs():
    inputs, labels = columns()
    recipe = Recipe(epochs=12, batch_size=4, patience=2, warm_up=2.0)
    trials = folded(trained(), inputs, labels, [{"lr": 0.2}, {"lr": 0.3, "epochs": 5}], recipe)
    for trial in trials:
        final = trial.final()
        assert final.epochs == final.best_epoch == trial.best_epoch
        with seeded(integer_seed(5, "head")):
            network = Network(Identity(4), [AGE.scaled_to(labels[DRAWN])])
        train = Examples(inputs, DRAWN, {"age": labels[DRAWN]})
        its = Recipe(
            epochs=trial.best_epoch, batch_size=4, patience=99, lr=trial.setting["lr"], warm_up=min(2, trial.best_epoch)
        )
        history = fit(network, train, None, its, seed=5)
        assert history.epochs == trial.best_epoch
        assert torch.equal(network.head("age").weight, final.network.head("age").weight)
    assert trials[1].epochs <= 15


def test_the_last_epoch_of_the_fit_to_be_tested_is_kept_whatever_its_loss():
    inputs, labels = columns()
    given = (trained(), inputs, AGE, labels)
    wild = {"lr": 3.0}
    found = [refit(*given, DRAWN, wild, Recipe(batch_size=4), 5, epochs) for epochs in range(1, 6)]
    assert [(fitted.epochs, fitted.best_epoch) for fitted in found] == [(epochs, epochs) for epochs in range(1, 6)]
    assert all(np.isnan(fitted.validation_loss) for fitted in found)
    same = Split(DRAWN, DRAWN, NOBODY)
    assert fit_setting(*given, same, wild, Recipe(epochs=5, batch_size=4), 5).best_epoch < 5


def test_an_exact_fit_to_be_tested_is_solved_on_all_training_rows():
    inputs, labels = columns()
    trial = folded(linear(), inputs, labels, PENALTIES)[1]
    ridge = make_pipeline(StandardScaler(), Ridge(alpha=PENALTIES[1]["penalty"] * 4))
    expected = ridge.fit(inputs[DRAWN].astype(float), labels[DRAWN]).predict(inputs[FOLDED.test])
    np.testing.assert_allclose(predict_rows(trial.final(), inputs, FOLDED.test)[0], expected, rtol=1e-4)
    assert (trial.epochs, trial.best_epoch) == (0, 0)


def test_what_is_not_fitted_predicts_the_training_rows_as_it_is(model, heads):
    volumes, labels = heads
    source = source_of("transferred", model)
    inputs = inputs_of(source, Cohort("none", None), volumes, model)
    split = Split(np.arange(9), NOBODY, np.arange(9, 12), folds=np.arange(9) % 3)
    (trial,) = folded(source, inputs, labels, [{}], split=split)
    np.testing.assert_allclose(trial.predicted, predict_rows(trial.final(), inputs, split.train)[0], rtol=1e-5)
    assert trial.loss == pytest.approx(np.mean(((trial.predicted - labels[:9]) / 12) ** 2), rel=1e-4)


@pytest.mark.parametrize("kind", list(GROUPS))
def test_folds_give_probabilities_of_classes_in_the_order_of_the_training_rows(kind):
    inputs, values = columns()
    target = GROUPS[kind]
    labels = np.argsort(np.argsort(values)) * len(target.classes) // len(values) * 1.0
    trials = list(search(linear(target), inputs, target, labels, FOLDED, PENALTIES, RECIPE, 0))
    for trial in trials:
        assert trial.probabilities.shape == (len(DRAWN), len(target.classes))
        np.testing.assert_allclose(trial.probabilities.sum(1), 1, rtol=1e-6)
        if kind != "ordinal":
            expected = log_loss(labels[DRAWN], trial.probabilities, labels=range(len(target.classes)))
            assert trial.loss == pytest.approx(expected, rel=1e-4)
    assert np.isfinite(scores(kind, labels[DRAWN], trials[0].predicted, trials[0].probabilities)["balanced_accuracy"])


def test_a_setting_that_fails_in_a_fold_has_failed(monkeypatch):
    inputs, labels = columns()

    def failing(*given, **options):
        for place, outcome in enumerate(fit_settings(*given, **options)):
            yield FloatingPointError("planted") if place == 6 else outcome

    monkeypatch.setattr(module, "fit_settings", failing)
    trials = folded(linear(), inputs, labels, PENALTIES)
    assert [str(trial.error) for trial in trials] == ["None", "None", "planted", "None"]
    assert trials[2].setting == PENALTIES[2]
    with pytest.raises(FloatingPointError, match="planted"):
        trials[2].final()


@pytest.mark.parametrize(
    ("planted", "raised"),
    [
        (RuntimeError("CUDA out of memory"), MemoryError),
        (Fitted(None, 1, 1, 0.5, ("8 images at once need more memory",)), MemoryError),
        (FloatingPointError("never finite"), FloatingPointError),
    ],
)
def test_what_a_fit_to_be_tested_fails_of_is_said_as_in_a_trial(planted, raised, monkeypatch):
    def made(*_):
        if isinstance(planted, Exception):
            raise planted
        return planted

    monkeypatch.setattr(module, "refit", made)
    inputs, labels = columns()
    trial = folded(linear(), inputs, labels, PENALTIES)[0]
    with pytest.raises(raised, match=r"memory|never finite"):
        trial.final()


@pytest.mark.parametrize("halving", [False, True])
@pytest.mark.parametrize("source", [linear, trained])
def test_test_people_change_nothing_with_folds_or_halving(source, halving):
    inputs, labels = columns()
    tried = PENALTIES if source is linear else RATES
    for split in (FOLDED, PARTS):
        clean = folded(source(), inputs, labels, tried, split=split, halving=halving)
        poisoned, other_inputs = labels.copy(), inputs.copy()
        poisoned[split.test], other_inputs[split.test] = np.nan, np.nan
        again = folded(source(), other_inputs, poisoned, tried, split=split, halving=halving)
        for one, other in zip(clean, again, strict=True):
            np.testing.assert_array_equal(one.predicted, other.predicted)
            assert (one.loss, one.epochs, one.dropped) == (other.loss, other.epochs, other.dropped)
            weights = [next(each.final().network.head("age").parameters()) for each in (one, other)]
            assert torch.equal(*weights)


def test_what_is_solved_exactly_knows_no_halving():
    inputs, labels = columns()
    for split in (FOLDED, PARTS):
        found = [folded(linear(), inputs, labels, PENALTIES, split=split, halving=halving) for halving in (True, False)]
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one.predicted, other.predicted)
            assert not one.dropped


def test_a_dropped_setting_is_a_trial_and_may_be_chosen():
    inputs, labels = columns()
    trials = folded(trained(), inputs, labels, RATES, Recipe(epochs=9, batch_size=4), PARTS, halving=True)
    assert sorted(trial.epochs for trial in trials if trial.dropped) == [1, 1, 3]
    for trial in trials:
        predicted, _ = predict_rows(trial.final(), inputs, PARTS.validation)
        np.testing.assert_array_equal(trial.predicted, predicted)
        errors = (trial.predicted - labels[PARTS.validation]) / labels[PARTS.train].std()
        assert trial.loss == pytest.approx(np.mean(errors**2), rel=1e-4)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"folds": np.zeros(16, int)}, InputError, "1 folds of 16 rows"),
        ({"folds": FOLDS[:-1]}, InputError, "3 folds of 15 rows, 16 training rows"),
        ({"validation": np.array([20])}, InputError, "1 validation rows; give two folds or more"),
        ({"folds": np.arange(16) % 2}, LeakageError, "row 3 is in two folds"),
    ],
)
def test_folds_that_cannot_be_are_refused(changed, error, words):
    split = Split(**{"train": DRAWN, "validation": NOBODY, "test": NOBODY, "folds": FOLDS, **changed})
    with pytest.raises(error, match=words):
        parts_of(split, 0)


def test_the_parts_of_a_split_without_folds_are_itself():
    assert parts_of(PARTS, 4) == [(PARTS, 4)]
