"""Laws of every strategy: what starts where, what moves, what must not be looked at."""

import importlib

import numpy as np
import pandas as pd
import pytest
import torch

from neurotransfer.cohort import Cohort, Grid, Split
from neurotransfer.errors import InputError, ModelError
from neurotransfer.models.card import Card
from neurotransfer.models.folder import Model
from neurotransfer.models.network import Network, build_encoder, normalise, seeded
from neurotransfer.models.sfcn import SFCN
from neurotransfer.targets import Target
from neurotransfer.training import Recipe, features, predictions
from neurotransfer.transfer import (
    STRATEGIES,
    best_of,
    fit_best,
    fit_setting,
    fit_settings,
    get_strategy,
    inputs_of,
    make_source,
    predict_rows,
    settings,
    whole_network,
)
from neurotransfer.transfer.adapt import refit
from neurotransfer.transfer.strategies import SETTINGS, allowed_settings

loop = importlib.import_module("neurotransfer.training.fit")
GRID = Grid((32, 32, 32), 5.0)
AGE = Target("age", "continuous", location=50.0, scale=12.0)
SPLIT = Split(np.array([0, 1, 2, 3, 3, 5]), np.array([6, 7, 8]), np.array([9, 10, 11]))
RECIPE = Recipe(epochs=2, batch_size=4)
NAMES = tuple(STRATEGIES)


@pytest.fixture(scope="module")
def volumes():
    generator = np.random.default_rng(0)
    age = np.linspace(20, 80, 12)
    heads = generator.uniform(0.3, 0.6, (12, 32, 32, 32)) + (age[:, None, None, None] - 50) / 200
    heads[:, :6] = 0
    return np.clip(heads, 0, 1).astype(np.float32), age


@pytest.fixture
def model():
    with seeded(0):
        network = Network(SFCN(width=0.0625), [AGE, Target("sex", "binary", classes=("F", "M"))])
    card = Card("tiny", "sfcn", {"width": 0.0625}, (AGE,), GRID)
    return Model(network.eval(), card)


REGIONS = ("left", "right", "front")


def source_of(name, model, target=AGE, seed=0):
    columns = REGIONS if get_strategy(name).needs_columns else ()
    return make_source(get_strategy(name), model=model, grid=GRID, target=target, columns=columns, seed=seed)


def regions_of(volumes):
    """Regional volumes of heads, in litres."""
    parts = (volumes[:, 6:19], volumes[:, 19:], volumes[:, :, 16:])
    return pd.DataFrame({name: part.sum((1, 2, 3)) / 1000 for name, part in zip(REGIONS, parts, strict=True)})


def given_to(source, volumes, model=None):
    """What a strategy trains on."""
    return inputs_of(source, Cohort("none", regions_of(volumes)), volumes, model)


def fitted_on(name, model, volumes, labels, target=AGE, setting=None, seed=0):
    source = source_of(name, model, target)
    inputs = given_to(source, volumes, model)
    setting = settings(get_strategy(name))[0] if setting is None else setting
    return source, inputs, fit_setting(source, inputs, target, labels, SPLIT, setting, RECIPE, seed)


def copied(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_table_says_what_the_design_says():
    answers = {name: (row.weights, row.head, row.trained) for name, row in STRATEGIES.items()}
    assert answers == {
        "transferred": ("pretrained", "pretrained", "nothing"),
        "frozen": ("pretrained", "new", "head"),
        "finetuned": ("pretrained", "new", "everything"),
        "baseline": ("random", "new", "everything"),
        "random-frozen": ("random", "new", "head"),
        "linear": ("none", "new", "head"),
        "voxels": ("none", "new", "head"),
        "perceptron": ("random", "new", "everything"),
        "auto": ("given", "new", "beside"),
        "auto-exact": ("given", "new", "head"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_nine_settings_unless_there_is_nothing_to_set(name):
    tried = settings(get_strategy(name))
    assert len(tried) == (1 if name in ("transferred", "auto", "auto-exact") else 9)
    assert len({tuple(sorted(setting.items())) for setting in tried}) == len(tried)
    assert all(set(setting) <= set(allowed_settings(get_strategy(name))) for setting in tried)


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_mean_nothing_are_refused(name):
    with pytest.raises(InputError, match="unknown setting 'colour'"):
        settings(get_strategy(name), {"colour": [1]})
    if not get_strategy(name).needs_columns:
        with pytest.raises(InputError, match="unknown setting 'depth'"):
            settings(get_strategy(name), {"depth": [1]})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (1.0, "is a list of values, got 1.0"),
        ("10", "is a list of values, got '10'"),
        ([], "has no values"),
        (["0.1"], "is a number above 0, found '0.1'"),
        ([True], "is a number above 0, found True"),
        ([0.1, -1.0], "is a number above 0, found -1.0"),
        ([float("nan")], "is a number above 0, found nan"),
        ([float("inf")], "is a number above 0, found inf"),
    ],
)
def test_values_that_cannot_be_are_refused(values, said):
    with pytest.raises(InputError, match=rf"strategy 'linear': setting 'penalty' {said}"):
        settings(get_strategy("linear"), {"penalty": values})


def test_the_own_settings_of_every_strategy_pass_the_check_and_counts_come_out_whole():
    for strategy in STRATEGIES.values():
        settings(strategy, strategy.grid)
        assert set(allowed_settings(strategy)) <= set(SETTINGS)
    tried = settings(get_strategy("finetuned"), {"batch_size": np.array([4.0, 8.0]), "lr": (1e-3,)})
    assert tried == [{"batch_size": 4, "lr": 1e-3}, {"batch_size": 8, "lr": 1e-3}]
    assert all(type(setting["batch_size"]) is int for setting in tried)


def test_switches_and_counts_of_training_are_settings_of_whatever_is_trained():
    options = {"steps": [0, 40.0], "lr_growth": [-0.5], "settle": [1.0, 0], "head_first": [2.0], "anchor": [0.0, 0.1],
               "early_stopping": [0.0]}  # fmt: skip
    for name in ("finetuned", "baseline", "perceptron"):
        tried = settings(get_strategy(name), options)
        assert len(tried) == 8
        assert all(
            type(each[key]) is int for each in tried for key in ("steps", "settle", "head_first", "early_stopping")
        )
    with pytest.raises(InputError, match="unknown setting 'anchor'"):
        settings(get_strategy("frozen"), {"anchor": [0.1]})
    for wrong, said in (
        ({"settle": [2]}, r"1 \(yes\) or 0 \(no\)"), ({"steps": [0.5]}, "whole number of 0"), ({"lr_growth": [3]}, "-2 to 2"),
        ({"early_stopping": [0.5]}, r"1 \(yes\) or 0 \(no\)"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            settings(get_strategy("finetuned"), wrong)


def test_a_strong_anchor_keeps_the_encoder_where_it_began_and_heads_first_leave_it(model, volumes):
    first = "blocks.0.0.weight"
    given, far = model.network.encoder.state_dict()[first], {}
    for name, more in (("free", {}), ("held", {"anchor": 90.0}), ("heads", {"head_first": 2})):
        fitted = fitted_on("finetuned", model, *volumes, setting={"lr": 1e-2, "dropout": 0.0} | more)[2]
        far[name] = float((fitted.network.encoder.state_dict()[first] - given).norm())
    assert far["heads"] == 0
    assert 0 < far["held"] < 0.5 * far["free"]


def test_settings_of_unlike_lengths_in_steps_are_each_alone(model, volumes):
    """Also refitted after folds: for the mean of their best epochs, without steps."""
    heads, labels = volumes
    source = source_of("baseline", model)
    inputs = given_to(source, heads, model)
    tried = [{"steps": 2}, {"steps": 9, "lr_growth": 0.5}, {"head_first": 1}]
    together = list(fit_settings(source, inputs, AGE, labels, SPLIT, tried, RECIPE, 0, halving=False))
    assert [fitted.epochs for fitted in together] == [1, 5, 2]
    for setting, fitted in zip(tried, together, strict=True):
        alone = fit_setting(source, inputs, AGE, labels, SPLIT, setting, RECIPE, 0)
        assert same(copied(fitted.network), copied(alone.network))
    again = refit(source, inputs, AGE, labels, SPLIT.train, tried[1], RECIPE, 0, 3)
    assert again.epochs == again.best_epoch == 3


@pytest.mark.parametrize("name", NAMES)
def test_the_given_model_never_changes(name, model, volumes):
    before, modes = copied(model.network), [module.training for module in model.network.modules()]
    fitted_on(name, model, *volumes)
    assert same(before, copied(model.network))
    assert modes == [module.training for module in model.network.modules()]


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_network_predicts_from_volumes_what_the_fit_predicts(name, model, volumes):
    heads, labels = volumes
    source, inputs, fitted = fitted_on(name, model, heads, labels)
    network = whole_network(source, fitted)
    given = regions_of(heads).to_numpy(np.float32) if source.columns else heads
    whole = predictions(network, given, SPLIT.test)["age"][0]
    np.testing.assert_allclose(whole, predict_rows(fitted, inputs, SPLIT.test)[0], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_test_rows_are_never_looked_at(name, model, volumes):
    heads, labels = volumes
    poisoned_heads, poisoned_labels = heads.copy(), labels.copy()
    poisoned_heads[SPLIT.test], poisoned_labels[SPLIT.test] = 0.77, -1e9
    honest = whole_network(*fitted_on(name, model, heads, labels)[::2])
    poisoned = whole_network(*fitted_on(name, model, poisoned_heads, poisoned_labels)[::2])
    assert same(copied(honest), copied(poisoned))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_predictor(name, model, volumes):
    first, second = (fitted_on(name, model, *volumes, seed=4)[2] for _ in range(2))
    assert same(copied(first.network), copied(second.network))


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_label_outside_the_split_does_not_matter(name, model, volumes):
    heads, labels = volumes
    labels = labels.copy()
    labels[4] = np.nan
    fitted = fitted_on(name, model, heads, labels)[2]
    assert all(torch.isfinite(value.float()).all() for value in fitted.network.state_dict().values())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "transferred"])
@pytest.mark.parametrize(
    ("target", "labels"),
    [
        (Target("ill", "binary", classes=("no", "yes")), [0, 1] * 6),
        (Target("group", "categorical", classes=("a", "b", "c")), [0, 1, 2] * 4),
        (Target("stage", "ordinal", classes=("1", "2", "3")), [0, 1, 2] * 4),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_every_kind_of_target(name, target, labels, model, volumes):
    _, inputs, fitted = fitted_on(name, model, volumes[0], np.array(labels, float), target)
    predicted, probabilities = predict_rows(fitted, inputs, SPLIT.test)
    assert predicted.shape == (3,)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


def test_transferred_is_the_model_itself(model, volumes):
    heads, labels = volumes
    _, inputs, fitted = fitted_on("transferred", model, heads, labels)
    expected = predictions(model.network, heads, SPLIT.test)["age"][0]
    np.testing.assert_allclose(predict_rows(fitted, inputs, SPLIT.test)[0], expected, rtol=1e-4)
    assert fitted.epochs == 0


def test_finetuned_starts_from_the_model_and_baseline_does_not(model, volumes):
    still = {"lr": 0.0, "dropout": 0.0}
    finetuned = fitted_on("finetuned", model, *volumes, setting=still)[2]
    baseline = fitted_on("baseline", model, *volumes, setting=still)[2]
    first = "blocks.0.0.weight"
    given = model.network.encoder.state_dict()[first]
    assert torch.equal(finetuned.network.encoder.state_dict()[first], given)
    assert not torch.equal(baseline.network.encoder.state_dict()[first], given)


def test_finetuning_moves_the_encoder_and_leaves_the_model_s(model, volumes):
    finetuned = fitted_on("finetuned", model, *volumes, setting={"lr": 1e-2, "dropout": 0.0})[2]
    first = "blocks.0.0.weight"
    assert not torch.equal(finetuned.network.encoder.state_dict()[first], model.network.encoder.state_dict()[first])


def test_baseline_and_random_frozen_know_nothing_of_the_model_s_weights(volumes, model):
    with seeded(9):
        other = Model(Network(SFCN(width=0.0625), [AGE]).eval(), model.card)
    for name in ("baseline", "random-frozen"):
        one, two = (whole_network(*fitted_on(name, given, *volumes)[::2]) for given in (model, other))
        assert same(copied(one), copied(two))


def test_dropout_is_set_and_is_off_when_predicting(model, volumes):
    _, inputs, fitted = fitted_on("finetuned", model, *volumes, setting={"lr": 1e-3, "dropout": 0.5})
    assert fitted.network.encoder.dropout.p == 0.5
    assert model.network.encoder.dropout.p == 0.0
    first, second = (predict_rows(fitted, inputs, SPLIT.test)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_what_cannot_start_is_refused(model):
    for name in ("transferred", "frozen", "finetuned"):
        with pytest.raises(InputError, match="needs a pretrained model"):
            make_source(get_strategy(name), model=None, grid=GRID, target=AGE)
    with pytest.raises(ModelError, match="it predicts age"):
        source_of("transferred", model, Target("bmi", "continuous"))
    wrong = Target("age", "binary", classes=("old", "young"))
    with pytest.raises(ModelError, match="recode the cohort"):
        source_of("transferred", model, wrong)
    with pytest.raises(InputError, match="needs images"):
        make_source(get_strategy("voxels"), model=None, grid=None, target=AGE)
    with pytest.raises(
        InputError, match=r"'perceptron' takes columns of the table and none are given.*strategy linear"
    ):
        make_source(get_strategy("perceptron"), model=model, grid=GRID, target=AGE)
    with pytest.raises(InputError, match="regional column 'age' is the target itself"):
        make_source(get_strategy("perceptron"), model=model, grid=None, target=AGE, columns=("age",))
    with pytest.raises(InputError, match="did you mean 'frozen'"):
        get_strategy("frozn")


def test_volumes_that_do_not_fit_the_model_are_refused(model):
    source = source_of("frozen", model)
    with pytest.raises(ModelError, match="takes volumes of shape"):
        inputs_of(source, Cohort("none", None), np.zeros((2, 40, 40, 40), np.float32), model)
    with pytest.raises(ModelError, match="values from 0 to 1"):
        inputs_of(source, Cohort("none", None), np.full((2, 32, 32, 32), 200, np.float32), model)
    with pytest.raises(InputError, match="needs images"):
        inputs_of(source, Cohort("none", None), None, model)


def test_the_best_setting_on_validation_is_kept(model, volumes):
    heads, labels = volumes
    source = source_of("voxels", model)
    inputs = inputs_of(source, Cohort("none", None), heads, model)
    tried = settings(get_strategy("voxels"))
    chosen = fit_best(source, inputs, AGE, labels, SPLIT, tried, RECIPE, 0)
    errors = []
    for setting in tried:
        fitted = fit_setting(source, inputs, AGE, labels, SPLIT, setting, RECIPE, 0)
        errors.append(np.abs(predict_rows(fitted, inputs, SPLIT.validation)[0] - labels[SPLIT.validation]).mean())
    assert chosen.setting == tried[int(np.argmin(errors))]
    assert chosen.validation_scores["mae"] == pytest.approx(min(errors))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name, row in STRATEGIES.items()
        for kind in ("continuous", "binary", "categorical", "ordinal")
        if row.on_features and (row.head == "new" or kind == "continuous")
    ],
)
def test_all_settings_at_once_are_each_alone(name, kind, model, volumes):
    heads, ages = volumes
    classes = {"continuous": (), "binary": ("a", "b")}.get(kind, ("a", "b", "c"))
    target = AGE if kind == "continuous" else Target("group", kind, classes=classes)
    labels = ages if kind == "continuous" else np.arange(12.0) % len(classes)
    source = source_of(name, model, target)
    inputs = inputs_of(source, Cohort("none", None), heads, model)
    tried = settings(get_strategy(name))
    together = list(fit_settings(source, inputs, target, labels, SPLIT, tried, RECIPE, 0))
    assert len(together) == len(tried)
    for setting, fitted in zip(tried, together, strict=True):
        alone = fit_setting(source, inputs, target, labels, SPLIT, setting, RECIPE, 0)
        for one, other in zip(copied(fitted.network).values(), copied(alone.network).values(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(1, float(np.abs(other).max())))
        predicted, expected = (predict_rows(fit, inputs, SPLIT.test)[0] for fit in (fitted, alone))
        np.testing.assert_allclose(predicted, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["finetuned", "baseline"])
@pytest.mark.parametrize("most", [9, 1])
def test_networks_of_all_settings_at_once_are_each_alone(name, most, model, volumes, monkeypatch):
    """Also where there is no room for several of them: they are then fitted one by one, with whole batches."""
    heads, labels = volumes
    source = source_of(name, model)
    inputs = inputs_of(source, Cohort("none", None), heads, model)
    tried = settings(get_strategy(name))[:4]
    original, seen = loop.forward_together, []

    def forward(learners, given):
        if len(learners) > most:
            raise RuntimeError("CUDA out of memory")
        seen.append(len(learners))
        return original(learners, given)

    monkeypatch.setattr(loop, "forward_together", forward)
    together = list(fit_settings(source, inputs, AGE, labels, SPLIT, tried, RECIPE, 0))
    assert max(seen) == min(most, len(tried))
    for setting, fitted in zip(tried, together, strict=True):
        alone = fit_setting(source, inputs, AGE, labels, SPLIT, setting, RECIPE, 0)
        assert fitted.notes == ()
        assert fitted.best_epoch == alone.best_epoch
        predicted, expected = (predict_rows(fit, inputs, SPLIT.test)[0] for fit in (fitted, alone))
        np.testing.assert_allclose(predicted, expected, rtol=2e-2)


def test_a_batch_that_had_to_be_made_smaller_is_noted(model, volumes, monkeypatch):
    heads, labels = volumes
    source = source_of("baseline", model)
    inputs = inputs_of(source, Cohort("none", None), heads, model)
    original = loop.forward_together

    def forward(learners, given):
        if len(given) > 2:
            raise RuntimeError("CUDA out of memory")
        return original(learners, given)

    monkeypatch.setattr(loop, "forward_together", forward)
    chosen = fit_best(source, inputs, AGE, labels, SPLIT, settings(get_strategy("baseline"))[:2], RECIPE, 0)
    assert "1 are taken at once" in chosen.fitted.notes[-1]


@pytest.mark.parametrize("name", ["frozen", "random-frozen", "linear", "voxels"])
def test_a_stronger_penalty_gives_smaller_weights_on_what_the_strategy_sees(name, model, volumes):
    heads, labels = volumes
    source = source_of(name, model)
    inputs = inputs_of(source, Cohort("none", None), heads, model)
    fits = list(fit_settings(source, inputs, AGE, labels, SPLIT, settings(get_strategy(name)), RECIPE, 0))
    spreads = [predict_rows(fitted, inputs, SPLIT.train)[0].std() for fitted in fits]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[0] > 2 * spreads[-1]
    assert {(fitted.epochs, fitted.best_epoch) for fitted in fits} == {(0, 0)}


@pytest.mark.parametrize("name", ["frozen", "linear"])
def test_what_cannot_be_solved_gives_every_setting_its_error(name, model, volumes):
    source = source_of(name, model)
    inputs = inputs_of(source, Cohort("none", None), volumes[0], model).copy()
    inputs[SPLIT.train[0], 0] = np.nan
    tried = settings(get_strategy(name))
    outcomes = list(fit_settings(source, inputs, AGE, volumes[1], SPLIT, tried, RECIPE, 0))
    assert [type(outcome) for outcome in outcomes] == [FloatingPointError] * 9
    with pytest.raises(FloatingPointError, match="not finite"):
        fit_setting(source, inputs, AGE, volumes[1], SPLIT, tried[0], RECIPE, 0)
    with pytest.raises(InputError, match=f"no setting of '{name}' gives a score.*not finite"):
        fit_best(source, inputs, AGE, volumes[1], SPLIT, tried, RECIPE, 0)


def test_a_weight_beyond_float32_is_the_error_of_its_setting_alone(model, monkeypatch):
    def solved(features, labels, target, penalties):
        return np.array([[[1.0, 1e39]], [[1.0, 2.0]]]), np.zeros((2, 1))

    monkeypatch.setattr("neurotransfer.transfer.heads.solve_path", solved)
    source = source_of("linear", model)
    features = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    tried = [{"penalty": 1e-3}, {"penalty": 1.0}]
    outcomes = list(fit_settings(source, features, AGE, np.arange(12.0), SPLIT, tried, RECIPE, 0))
    assert isinstance(outcomes[0], FloatingPointError)
    assert not isinstance(outcomes[1], Exception)


def test_errors_that_are_no_divergence_stop_a_choice(model, volumes):
    source = source_of("linear", model)
    inputs = inputs_of(source, Cohort("none", None), volumes[0], model)
    outside = Split(np.array([0, 1, 99]), SPLIT.validation, SPLIT.test)
    with pytest.raises(IndexError):
        fit_best(source, inputs, AGE, volumes[1], outside, settings(get_strategy("linear")), RECIPE, 0)


def test_a_setting_that_diverges_does_not_cost_the_others(model, volumes):
    heads, labels = volumes
    source = source_of("finetuned", model)
    inputs = inputs_of(source, Cohort("none", None), heads, model)
    called = []
    tried = [{"lr": 1e30}, {"lr": 1e-2}]
    chosen = fit_best(source, inputs, AGE, labels, SPLIT, tried, RECIPE, 0, lambda: called.append(1))
    assert chosen.setting == {"lr": 1e-2}
    assert len(called) == 2
    with pytest.raises(InputError, match=r"no setting of 'finetuned' gives a score.*the loss became nan in epoch"):
        fit_best(source, inputs, AGE, labels, SPLIT, tried[:1], RECIPE, 0)


def test_ties_and_missing_scores_of_a_choice():
    assert best_of("binary", [{"auc": 0.5, "brier": 0.1}, {"auc": 0.7, "brier": 0.3}]) == 1
    assert best_of("binary", [{"auc": 0.7, "brier": 0.3}, {"auc": 0.7, "brier": 0.3}]) == 0
    assert best_of("continuous", [{"mae": 2.0, "r": 0.5}, {"mae": 1.0, "r": 0.1}]) == 1
    assert best_of("continuous", [{"mae": 2.0, "r": 0.1}, {"mae": 2.0, "r": 0.5}]) == 1
    assert best_of("continuous", [{"mae": np.nan}, {"mae": 3.0, "r": np.nan}]) == 1
    assert best_of("continuous", [{"mae": np.nan}]) == -1
    assert best_of("binary", []) == -1


@pytest.mark.parametrize(("name", "share"), [("voxels", 0.02), ("frozen", 0), ("random-frozen", 0)])
def test_an_input_at_its_ceiling_in_training_does_not_decide_on_others(name, share, model):
    """One or a share of the inputs stand still in training up to 1e-5 and move in others: predictions stay in range."""
    generator = np.random.default_rng(3)
    source = source_of(name, model)
    n_features = source.encoder.n_features
    features = generator.uniform(0.4, 0.6, (12, n_features)).astype(np.float32)
    n_still = max(1, int(share * n_features))
    features[:9, :n_still] = 1 - 1e-5 * generator.random((9, n_still))
    features[9:, :n_still] = 0.8
    labels = generator.uniform(40, 60, 12)
    for setting in settings(get_strategy(name)):
        fitted = fit_setting(source, features, AGE, labels, SPLIT, setting, Recipe(epochs=20, batch_size=4), 0)
        predicted, _ = predict_rows(fitted, features, SPLIT.test)
        assert np.abs(predicted - 50).max() < 60, setting


@pytest.mark.parametrize("name", [name for name in NAMES if STRATEGIES[name].encoder == "model"])
def test_features_that_stand_still_are_normalised_and_trained_ones_are_not(volumes, name):
    """Every strategy with a network, given a panel that was normalised: which features its head gets."""
    arguments = {"members": 1, "width": 0.0625, "normalised": True}
    with seeded(0):
        network = Network(build_encoder("sfcn-panel", arguments), [AGE]).eval()
    size = network.encoder.n_features
    before = features(network.encoder, volumes[0])
    normalise(network, np.full(size, 0.5), 3 * np.eye(size))
    card = Card(
        name="normalised", architecture="sfcn-panel", arguments=arguments, targets=(AGE,), input=GRID, provenance={}
    )
    strategy = get_strategy(name)
    source = source_of(name, Model(network, card), AGE)
    assert source.arguments["normalised"] == strategy.on_features
    # what a card says is what the weights are of
    build_encoder("sfcn-panel", dict(source.arguments)).load_state_dict(source.encoder.state_dict())
    found = features(source.encoder, volumes[0])
    if strategy.weights == "pretrained":
        np.testing.assert_allclose(found, 3 * (before - 0.5) if strategy.on_features else before, rtol=1e-4, atol=1e-4)
    assert network.encoder.normalised
    np.testing.assert_allclose(features(network.encoder, volumes[0]), 3 * (before - 0.5), rtol=1e-4, atol=1e-4)
