"""Networks that are trained beside heads: nobody is judged by one that has seen them, and all of them are the model."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from neurotransfer.cohort import Cohort, Grid, Split
from neurotransfer.errors import DivergedError
from neurotransfer.models.card import Card
from neurotransfer.models.folder import Model
from neurotransfer.models.network import Network, build_encoder, seeded
from neurotransfer.models.sfcn import SFCN
from neurotransfer.seeding import stream
from neurotransfer.targets import Target
from neurotransfer.training import Recipe, features, predictions
from neurotransfer.transfer import fit_setting, get_strategy, inputs_of, make_source, predict_rows, whole_network
from neurotransfer.transfer import learners as module
from neurotransfer.transfer.beside import Beside
from neurotransfer.transfer.fitted import ROWS_AT_ONCE, architecture_of
from neurotransfer.transfer.learners import HEAD_FIRST, taken, train_folds
from neurotransfer.transfer.members import MEMBERS, views_of
from neurotransfer.transfer.strategies import STRATEGIES

AUTO = get_strategy("auto")
GRID = Grid((32, 32, 32), 5.0)
AGE = Target("age", "continuous")
SEX = Target("sex", "binary", classes=("F", "M"))
BRIEF = Recipe(epochs=2, batch_size=8)
NOBODY = np.array([], int)
COLUMNS = ("u", "v", "w")


@pytest.fixture(scope="module")
def model():
    with seeded(0):
        network = Network(SFCN(width=0.0625), [Target("bmi", "continuous", location=25.0, scale=4.0)])
    return Model(network.eval(), Card("tiny", "sfcn", {"width": 0.0625}, tuple(network.targets.values()), GRID))


@pytest.fixture(scope="module")
def heads():
    """Brains whose brightness is what is to be learnt."""
    generator = np.random.default_rng(0)
    bright = np.linspace(-0.15, 0.15, 30)
    volumes = generator.uniform(0.4, 0.6, (30, 32, 32, 32)) + bright[:, None, None, None]
    volumes[:, :6] = 0
    return np.clip(volumes, 0, 1).astype(np.float32), 50 + 100 * bright


def of_images(model, target=AGE, strategy=AUTO):
    return make_source(strategy, model=model, grid=GRID, target=target)


def bent(n=120, seed=0):
    """A target that no straight line sees."""
    generator = stream(seed, "bent")
    columns = generator.normal(size=(n, 3)).astype(np.float32)
    return columns, np.abs(columns[:, 0]) + 0.1 * generator.normal(size=n)


def of_columns(target=AGE):
    return make_source(AUTO, model=None, grid=None, target=target, columns=COLUMNS)


def trained(columns, labels, folds, recipe=BRIEF, target=AGE, seed=0, setting=None):
    (start,) = of_columns(target).learners
    rows = np.arange(len(folds))
    scaled = target.scaled_to(labels[rows])
    chosen = MEMBERS["perceptron"].setting if setting is None else setting
    return train_folds(start, slice(0, 3), columns, scaled, labels[rows], rows, folds, chosen, recipe, seed)


def test_only_the_strategy_that_trains_has_learners(model):
    assert [each.strategy.name for each in of_images(model).learners] == ["finetuned"]
    assert [each.strategy.name for each in of_columns().learners] == ["perceptron"]
    both = make_source(AUTO, model=model, grid=GRID, target=AGE, columns=COLUMNS)
    assert [each.strategy.name for each in both.learners] == ["perceptron", "finetuned"]
    assert both.learns_from_volumes
    assert not of_columns().learns_from_volumes
    for name, strategy in STRATEGIES.items():
        if name not in ("auto", "transferred") and strategy.encoder != "perceptron":
            assert make_source(strategy, model=model, grid=GRID, target=AGE).learners == ()
    # without a model there is nothing to train further
    assert make_source(AUTO, model=None, grid=GRID, target=AGE).learners == ()


@pytest.mark.parametrize("name", ["perceptron", "finetuned"])
def test_nobody_is_judged_by_a_network_that_has_seen_them(name, model, heads, monkeypatch):
    """Every job's rows, and every row that is predicted, by what was run and not by what was asked for."""
    volumes, ages = heads
    folds = np.arange(30) % 3
    learnt, judged, made = {}, [], []
    train, read = module.train_jobs, module.features

    def jobs_with_record(jobs):
        for outcome in train(jobs):
            made.append(outcome)
            learnt[id(outcome.network.encoder)] = set(jobs[0].train.rows)
            assert jobs[0].validation is None
            yield outcome

    def features_with_record(encoder, inputs, rows):
        (own,) = encoder.encoders
        assert not learnt[id(own)] & set(rows)
        judged.extend(rows)
        return read(encoder, inputs, rows)

    monkeypatch.setattr(module, "train_jobs", jobs_with_record)
    monkeypatch.setattr(module, "features", features_with_record)
    if name == "finetuned":
        (start,), inputs, columns = of_images(model).learners, Beside(np.zeros((30, 1)), volumes), None
    else:
        (start,), inputs, columns = of_columns().learners, bent(30)[0], slice(0, 3)
    target, rows = AGE.scaled_to(ages), np.arange(30)
    learner, seen = train_folds(start, columns, inputs, target, ages, rows, folds, MEMBERS[name].setting, BRIEF, 0)
    assert sorted(judged) == list(range(30))
    assert len(learner.encoder.encoders) == len(made) == 3
    assert seen.shape == (30, 1)
    assert np.isfinite(seen).all()


def test_networks_learn_by_the_labels_of_their_own_folds_in_one_unit():
    """Without a step, a network says the mean of the labels of its own training rows, whatever those of the others are."""
    columns, _ = bent(12)
    labels = np.array([0.0] * 6 + [100.0] * 6)
    folds = np.repeat([0, 1], 6)
    _, seen = trained(columns, labels, folds, replace(BRIEF, epochs=1), setting={"lr": 0.0})
    target = AGE.scaled_to(labels)
    # one fold's labels are all alike: scale 1, and their mean but for a weight that was never trained
    found = target.decode(seen)[0]
    assert abs(found[:6].mean() - 100) < 5
    assert abs(found[6:].mean() - 0) < 5


@pytest.mark.parametrize(
    "target", [AGE, SEX, Target("y", "ordinal", classes=("0", "1", "2"))], ids=lambda each: each.kind
)
def test_all_say_the_mean_of_what_each_says(target):
    columns, values = bent(40)
    labels = values if target.kind == "continuous" else np.digitize(values, [0.6, 1.2][: len(target.classes) - 1]) * 1.0
    learner, _ = trained(columns, labels, np.arange(40) % 4, target=target)
    said = learner.seen(columns, np.arange(40))
    assert said.shape == (40, target.n_outputs)
    alone = []
    for encoder, layer in zip(learner.encoder.encoders, learner.encoder.layers, strict=True):
        alone.append(features(encoder, columns) @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())
    np.testing.assert_allclose(said, np.mean(alone, 0), atol=1e-4)


def test_the_recipe_is_the_study_s_with_the_setting_of_the_member(model):
    setting = MEMBERS["finetuned"].setting
    (start,) = of_images(model).learners
    found = module._recipe(start, Recipe(epochs=10, patience=2, batch_size=4, warm_up=9.0), setting, 50)
    assert (found.epochs, found.batch_size, found.patience) == (10, 4, 10)
    assert found.head_first == round(10 * HEAD_FIRST)
    assert found.warm_up + found.head_first <= found.epochs
    assert (found.lr, found.layer_decay, found.anchor) == (setting["lr"], setting["layer_decay"], setting["anchor"])
    assert module._recipe(start, Recipe(epochs=30, steps=20, batch_size=10), setting, 100).epochs == 2
    # a network that begins with random weights has no head to spare
    assert module._recipe(of_columns().learners[0], Recipe(), {"lr": 0.01}, 50).head_first == 0
    assert module._recipe(start, Recipe(epochs=1), setting, 50).epochs == 1


def test_columns_or_volumes():
    columns, volumes = bent(6)[0], np.random.default_rng(0).random((6, 4, 4, 4))
    rows = np.array([5, 1, 5])
    values, places = taken(slice(1, 3), columns, rows)
    np.testing.assert_array_equal(values[places], columns[rows, 1:3])
    given, places = taken(None, Beside(columns, volumes), rows)
    assert given is volumes
    np.testing.assert_array_equal(places, rows)


def test_a_network_sees_what_no_head_sees():
    columns, labels = bent(220)
    split = Split(np.arange(120), np.arange(120, 140), np.arange(140, 220))
    recipe = Recipe(epochs=30, batch_size=16)
    found = fit_setting(of_columns(), columns, AGE, labels, split, {}, recipe, 0)
    assert found.blend["shares"]["perceptron"] > 0.7
    assert set(found.blend["penalties"]) == {"linear"}
    predicted = predict_rows(found, columns, split.test)[0]
    assert np.corrcoef(predicted, labels[split.test])[0, 1] > 0.7
    exact = make_source(get_strategy("auto-exact"), model=None, grid=None, target=AGE, columns=COLUMNS)
    without = predict_rows(fit_setting(exact, columns, AGE, labels, split, {}, recipe, 0), columns, split.test)[0]
    assert abs(np.corrcoef(without, labels[split.test])[0, 1]) < 0.5 or without.std() < 1e-6


def test_the_same_seed_gives_the_same_networks_and_test_people_change_nothing():
    columns, labels = bent(60)
    split = Split(np.arange(40), np.arange(40, 48), np.arange(48, 60))
    other, marred = labels.copy(), columns.copy()
    other[split.test], marred[split.test] = -other[split.test], 1e6
    first, again = (
        fit_setting(of_columns(), x, AGE, y, split, {}, BRIEF, 3) for x, y in ((columns, labels), (marred, other))
    )
    assert first.blend == again.blend
    np.testing.assert_array_equal(
        predict_rows(first, columns, np.arange(60))[0], predict_rows(again, columns, np.arange(60))[0]
    )
    another = fit_setting(of_columns(), columns, AGE, labels, split, {}, BRIEF, 4)
    assert another.blend != first.blend


def test_a_training_that_diverges_is_left_out_and_one_without_memory_is_raised(monkeypatch):
    columns, labels = bent(40)
    split = Split(np.arange(30), NOBODY, np.arange(30, 40))
    for error, expected in (
        (DivergedError("the loss is not finite"), None),
        (RuntimeError("out of memory"), MemoryError),
    ):
        monkeypatch.setattr(module, "train_jobs", lambda jobs, error=error: iter([error]))
        if expected is None:
            found = fit_setting(of_columns(), columns, AGE, labels, split, {}, BRIEF, 0)
            assert set(found.blend["shares"]) == {"mean", "linear"}
            assert found.learners == ()
        else:
            with pytest.raises(expected):
                fit_setting(of_columns(), columns, AGE, labels, split, {}, BRIEF, 0)
    monkeypatch.setattr(module, "train_jobs", lambda jobs: iter([KeyError("a mistake of ours")]))
    with pytest.raises(KeyError):
        fit_setting(of_columns(), columns, AGE, labels, split, {}, BRIEF, 0)


@pytest.mark.parametrize("who", [np.zeros(30, int), None])
def test_one_person_alone_trains_nothing(who):
    columns, labels = bent(30)
    rows = np.arange(1) if who is None else np.arange(4)
    found = fit_setting(of_columns(), columns, AGE, labels, Split(rows, NOBODY, np.arange(4, 30)), {}, BRIEF, 0, who)
    assert found.learners == ()
    assert np.isfinite(predict_rows(found, columns, np.arange(30))[0]).all()


def test_of_volumes_the_whole_network_says_what_the_fit_says(model, heads):
    volumes, ages = heads
    source = of_images(model)
    inputs = inputs_of(source, Cohort("none", None), volumes, model)
    split = Split(np.arange(20), np.arange(20, 24), np.arange(24, 30))
    recipe = Recipe(epochs=4, batch_size=8)
    found = fit_setting(source, inputs, AGE, ages, split, {}, recipe, 0)
    assert "finetuned" in found.blend["shares"]
    # whatever it earned, so that the networks have something to say
    ((learner, *_), width) = (found.learners or (train_again(source, inputs, ages, split, recipe),)), inputs.shape[1]
    weighed = replace(found, learners=(learner,), network=with_weight(found.network, width, 0.5))
    network = whole_network(source, weighed)
    rows = np.arange(30)
    np.testing.assert_allclose(
        predictions(network, volumes, rows)["age"][0], predict_rows(weighed, inputs, rows)[0], rtol=1e-3
    )
    # as its card makes it anew
    architecture, arguments = architecture_of(source, weighed, {})
    again = Network(build_encoder(architecture, arguments), network.targets.values()).eval()
    again.load_state_dict(network.state_dict())
    np.testing.assert_allclose(
        predictions(again, volumes, rows)["age"][0], predictions(network, volumes, rows)["age"][0]
    )


def train_again(source, inputs, ages, split, recipe):
    view = views_of(source, AGE.scaled_to(ages[split.train]))["finetuned"]
    folds = np.arange(len(split.train)) % 5
    args = (view.learner, None, inputs, AGE.scaled_to(ages[split.train]), ages[split.train], split.train, folds)
    return train_folds(*args, MEMBERS["finetuned"].setting, recipe, 0)[0]


def with_weight(network, n_features, weight):
    """The head of a fit, with a weight of the learner after the features."""
    found = Network(type(network.encoder)(n_features + 1), network.targets.values())
    with torch.no_grad():
        own = network.head("age").weight[:, :n_features]
        found.head("age").weight.copy_(torch.cat([own, torch.full((1, 1), weight)], 1))
        found.head("age").bias.copy_(network.head("age").bias)
    return found.eval()


def test_many_rows_are_read_in_portions():
    columns, labels = bent(2 * ROWS_AT_ONCE + 10)
    split = Split(np.arange(60), NOBODY, NOBODY)
    found = fit_setting(of_columns(), columns, AGE, labels, split, {}, Recipe(epochs=20, batch_size=16), 0)
    assert found.learners
    rows = np.arange(len(columns))
    every = predict_rows(found, columns, rows)[0]
    some = np.array([0, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE + 9])
    np.testing.assert_allclose(predict_rows(found, columns, some)[0], every[some], rtol=1e-5)
    assert len(predict_rows(found, columns, NOBODY)[0]) == 0


def test_columns_and_images_both_teach(model, heads):
    volumes, ages = heads
    table = pd.DataFrame({name: bent(30)[0][:, place] for place, name in enumerate(COLUMNS)}).assign(image="x")
    source = make_source(AUTO, model=model, grid=GRID, target=AGE, columns=COLUMNS)
    inputs = inputs_of(source, Cohort("c", table), volumes, model)
    assert isinstance(inputs, Beside)
    split = Split(np.arange(20), np.arange(20, 24), np.arange(24, 30))
    found = fit_setting(source, inputs, AGE, ages, split, {}, BRIEF, 0)
    assert {"perceptron", "finetuned", "linear", "voxels"} <= set(found.blend["shares"])
    assert np.isfinite(predict_rows(found, inputs, split.test)[0]).all()
