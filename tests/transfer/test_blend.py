"""The strategy auto: what its members see, that nobody judges who was learnt from, and where its weights go."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from neurotransfer.cohort import Cohort, Grid, Split
from neurotransfer.errors import InputError
from neurotransfer.models.card import Card
from neurotransfer.models.folder import Model
from neurotransfer.models.network import Identity, Network, count_features, seeded
from neurotransfer.models.sfcn import SFCN
from neurotransfer.seeding import stream
from neurotransfer.statistics.metrics import scores
from neurotransfer.statistics.stacking import likelihood_weights, row_losses, stack
from neurotransfer.targets import Target
from neurotransfer.training import Recipe, features
from neurotransfer.transfer import (
    best_of,
    blend,
    fit_setting,
    get_strategy,
    inputs_of,
    make_source,
    predict_rows,
    settings,
)
from neurotransfer.transfer.blend import CAUTION, FOLDS, PENALTIES, blend_heads, folds_of
from neurotransfer.transfer.heads import Features
from neurotransfer.transfer.members import MEMBERS, views_of
from neurotransfer.transfer.search import search
from neurotransfer.transfer.source import Source
from neurotransfer.transfer.strategies import STRATEGIES

GRID = Grid((32, 32, 32), 5.0)
AGE = Target("age", "continuous")
TARGETS = {
    "continuous": AGE,
    "binary": Target("y", "binary", classes=("a", "b")),
    "categorical": Target("y", "categorical", classes=("a", "b", "c")),
    "ordinal": Target("y", "ordinal", classes=("0", "1", "2")),
}
AUTO, EXACT = get_strategy("auto"), get_strategy("auto-exact")
BRIEF = Recipe(epochs=2, batch_size=16)
NOBODY = np.array([], int)


def of_columns(target, n_columns, strategy=EXACT):
    return make_source(strategy, model=None, grid=None, target=target, columns=tuple(map(str, range(n_columns))))


def people(kind, n=90, d=5, strength=2.0, seed=0):
    """Columns of which the first one counts, and labels of a kind."""
    generator = stream(seed, "blend", kind)
    columns = generator.normal(size=(n, d)).astype(np.float32)
    score = strength * columns[:, 0] + generator.normal(size=n)
    if kind == "continuous":
        return columns, 50 + 10 * score
    cuts = [0.0] if kind == "binary" else [-1.0, 1.0]
    return columns, np.digitize(score, cuts).astype(float)


def fitted(target, columns, labels, split, who=None, seed=0):
    return fit_setting(of_columns(target, columns.shape[1]), columns, target, labels, split, {}, Recipe(), seed, who)


def parts(n_train, n_validation, n):
    return Split(np.arange(n_train), np.arange(n_train, n_train + n_validation), np.arange(n_train + n_validation, n))


@pytest.fixture(scope="module")
def model():
    with seeded(0):
        targets = [Target("age", "continuous", location=50.0, scale=12.0), Target("y", "binary", classes=("a", "b"))]
        network = Network(SFCN(width=0.0625), targets)
    card = Card("tiny", "sfcn", {"width": 0.0625}, tuple(targets), GRID)
    return Model(network.eval(), card)


@pytest.fixture(scope="module")
def heads():
    generator = np.random.default_rng(0)
    volumes = generator.uniform(0.3, 0.6, (14, 32, 32, 32)) + np.linspace(-0.1, 0.1, 14)[:, None, None, None]
    volumes[:, :6] = 0
    return np.clip(volumes, 0, 1).astype(np.float32)


def test_members_are_what_is_possible(model):
    target = TARGETS["binary"]
    kinds = {
        ("mean", "linear"): {"columns": ("u", "v"), "grid": None, "model": None},
        ("mean", "linear", "voxels", "together"): {"grid": GRID, "model": None},
        ("mean", "transferred", "linear", "frozen", "layers", "voxels", "together"): {"grid": GRID, "model": model},
    }
    for expected, given in kinds.items():
        source = make_source(AUTO, target=target, **given)
        trained = ("perceptron",) if given.get("columns") else ("finetuned",) if given["model"] else ()
        assert tuple(views_of(source, target)) == (*expected, *trained)
        exact = make_source(EXACT, target=target, **given)
        assert tuple(views_of(exact, target)) == expected
        assert list(MEMBERS) == [*expected] or set(expected) < set(MEMBERS)
    # a target that the model has not learnt, or knows otherwise
    for other in (Target("bmi", "continuous"), Target("y", "binary", classes=("b", "a"))):
        source = make_source(AUTO, target=other, grid=GRID, model=model)
        assert "transferred" not in views_of(source, other)


def test_views_are_columns_of_the_features_of_the_strategies_themselves(model, heads):
    target = TARGETS["binary"]
    nobody = Cohort("none", None)
    source = make_source(AUTO, target=target, grid=GRID, model=model)
    inputs, views = inputs_of(source, nobody, heads, model), views_of(source, target)
    np.testing.assert_array_equal(inputs.volumes, heads)
    assert views["finetuned"].columns is None
    assert inputs.shape[1] == count_features(source.encoder)
    for name in ("linear", "frozen", "voxels"):
        own = make_source(STRATEGIES[name], target=target, grid=GRID, model=model)
        np.testing.assert_array_equal(inputs[:, views[name].columns], inputs_of(own, nobody, heads, model))
    layers = views["layers"]
    assert layers.columns.start < views["frozen"].columns.start
    assert layers.columns.stop == views["frozen"].columns.stop
    assert sum(layers.kind.alike) == layers.columns.stop - layers.columns.start
    np.testing.assert_array_equal(inputs[:], features(source.encoder, heads))


@pytest.mark.parametrize("name", ["age", "y"])
def test_the_member_transferred_is_the_head_of_the_model(model, heads, name):
    own = model.network.targets[name]
    # in the unit of the training labels, which is another one than that of the model
    target = replace(own, location=30.0, scale=4.0) if name == "age" else own
    source = make_source(AUTO, target=target, grid=GRID, model=model)
    inputs, view = inputs_of(source, Cohort("none", None), heads, model), views_of(source, target)["transferred"]
    weights, bias = view.known
    found = target.decode(inputs[:, view.columns] @ weights.T + bias)[0]
    transferred = make_source(STRATEGIES["transferred"], target=own, grid=GRID, model=model)
    alone = inputs_of(transferred, Cohort("none", None), heads, model)
    split = parts(6, 2, 14)
    as_it_is = fit_setting(transferred, alone, own, np.zeros(14), split, {}, Recipe(), 0)
    np.testing.assert_allclose(found, predict_rows(as_it_is, alone, np.arange(14))[0], rtol=1e-4)


def test_columns_and_images_side_by_side(model, heads):
    cohort = Cohort("c", pd.DataFrame({"u": np.arange(14.0), "v": 1.0, "image": "x"}))
    source = make_source(AUTO, target=AGE, grid=GRID, model=model, columns=("u", "v"))
    assert source.is_mixed
    inputs = inputs_of(source, cohort, heads, model)
    np.testing.assert_array_equal(inputs[:, :2], np.column_stack([np.arange(14), np.ones(14)]))
    exact = ("mean", "transferred", "linear", "frozen", "layers", "voxels", "together")
    assert tuple(views_of(source, AGE)) == (*exact, "perceptron", "finetuned")
    assert views_of(source, AGE)["perceptron"].columns == slice(0, 2)
    assert not make_source(AUTO, target=AGE, grid=GRID, model=model).is_mixed


def test_what_there_is_nothing_to_learn_from_is_refused():
    with pytest.raises(InputError, match="strategy 'auto' needs images, or columns"):
        make_source(AUTO, model=None, grid=None, target=AGE)
    with pytest.raises(InputError, match="is the target itself"):
        make_source(AUTO, model=None, grid=None, target=AGE, columns=("age",))


def test_the_blend_of_columns_worked_out_anew():
    """Ridge by scikit-learn on the same folds, then the two steps of the blend from its predictions."""
    columns, labels = people("continuous")
    split = parts(50, 10, 90)
    found = blend_heads(of_columns(AGE, 5), columns, AGE, labels, split, None, BRIEF, 0)
    target = AGE.scaled_to(labels[split.train])
    value = (labels - target.location) / target.scale
    folds = folds_of(np.arange(50), None, stream(0, "blend"))
    assert set(folds) == set(range(FOLDS))

    def predict(train, rows):
        mean, scale = columns[train].mean(0, dtype=float), columns[train].std(0, dtype=float)
        models = [Ridge(penalty * 5).fit((columns[train] - mean) / scale, value[train]) for penalty in PENALTIES]
        return np.array([each.predict((columns[rows] - mean) / scale) for each in models])

    ridge, constant = np.zeros((9, 60)), np.zeros((1, 60))
    ridge[:, 50:] = predict(np.arange(50), split.validation)
    for k in range(FOLDS):
        out = np.flatnonzero(folds == k)
        ridge[:, out] = predict(np.flatnonzero(folds != k), out)
        constant[:, out] = value[:50][folds != k].mean()
    losses = ((ridge - value[:60]) ** 2).mean(1)
    least = min(losses.min(), ((constant - value[:60]) ** 2).mean())
    inner = likelihood_weights(target, losses, 60, least)
    mixed = np.stack([constant[0], inner @ ridge])[..., None]
    own = row_losses(target, mixed, labels[:60]).mean(-1)
    prior = (likelihood_weights(target, own, 60, least) + 0.5) / 2
    (share,) = stack(target, mixed[1:], labels[:60], prior[1:], CAUTION / 60, mixed[0])
    assert found.record["shares"] == pytest.approx({"mean": 1 - share, "linear": share}, abs=1e-4)
    assert found.record["penalties"]["linear"] == pytest.approx(np.exp(inner @ np.log(PENALTIES)), rel=1e-4)
    expected = share * inner @ predict(np.arange(50), split.test)
    np.testing.assert_allclose(columns[split.test] @ found.weights[0] + found.bias, expected, atol=1e-4)


@pytest.mark.parametrize("kind", TARGETS)
def test_the_network_gives_the_blend_and_the_record_its_shares(kind):
    columns, labels = people(kind)
    split, target = parts(60, 12, 90), TARGETS[kind]
    found = fitted(target, columns, labels, split)
    assert sum(found.blend["shares"].values()) == pytest.approx(1)
    assert set(found.blend["shares"]) == {"mean", "linear"}
    assert PENALTIES[0] <= found.blend["penalties"]["linear"] <= PENALTIES[-1]
    predicted, probabilities = predict_rows(found, columns, split.test)
    assert np.corrcoef(predicted, labels[split.test])[0, 1] > 0.5
    assert probabilities.shape == (18, len(target.classes))


@pytest.mark.parametrize("kind", TARGETS)
def test_nobody_is_judged_by_a_fit_that_has_seen_them(kind, monkeypatch):
    """Every person's scans are marked; no fit may see the mark of whom it predicts."""
    columns, labels = people(kind, n=60)
    who = np.repeat(np.arange(30), 2)
    columns[:, -1] = who
    split = Split(np.array([*range(40), 3, 3, 8]), np.arange(44, 50), np.arange(50, 60))
    learnt_from, judged, made = {}, [], []
    heads_of, outputs_of = blend._heads, blend._outputs

    def heads_with_record(view, train, *rest):
        weights, bias = heads_of(view, train, *rest)
        if train.shape[1]:
            # kept, so that no other has its number
            made.append(weights)
            learnt_from[id(weights)] = set(train[:, -1])
        return weights, bias

    def outputs_with_record(weights, bias, seen):
        if seen.shape[1]:
            assert not learnt_from[id(weights)] & set(seen[:, -1])
            judged.extend(seen[:, -1])
        return outputs_of(weights, bias, seen)

    monkeypatch.setattr(blend, "_heads", heads_with_record)
    monkeypatch.setattr(blend, "_outputs", outputs_with_record)
    fitted(TARGETS[kind], columns, labels, split, who)
    assert len(made) >= 3
    # everybody once a row, none of the test
    assert sorted(judged) == sorted(who[np.concatenate([split.train, split.validation])])


@pytest.mark.parametrize("with_folds", [False, True])
def test_test_people_change_nothing(with_folds):
    columns, labels = people("binary")
    split = parts(60, 12, 90)
    if with_folds:
        split = Split(split.train, NOBODY, split.test, folds=split.train % 4)
    other, marred = labels.copy(), columns.copy()
    other[split.test], marred[split.test] = 1 - other[split.test], np.nan
    found = []
    for features_, known in ((columns, labels), (marred, other)):
        (trial,) = search(
            of_columns(TARGETS["binary"], 5), features_, TARGETS["binary"], known, split, [{}], Recipe(), 0
        )
        found.append((trial.predicted, trial.final().blend))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_with_folds_whoever_is_predicted_has_no_part_in_the_weights():
    """A person whose label changes moves the predictions of others and not their own."""
    columns, labels = people("continuous", n=40)
    split = Split(np.arange(40), NOBODY, NOBODY, folds=np.arange(40) % 4)
    changed = labels.copy()
    changed[0] += 1000
    (one,), (other,) = (
        list(search(of_columns(AGE, 5), columns, AGE, known, split, [{}], Recipe(), 0)) for known in (labels, changed)
    )
    moved = one.predicted != other.predicted
    same_fold = split.folds == 0
    # the fold that is judged lends its people to the choice of weights, as to that of an epoch: 0 itself moves a little
    assert moved[~same_fold].all()
    assert (
        abs(one.predicted[0] - other.predicted[0]) < abs(one.predicted[~same_fold] - other.predicted[~same_fold]).mean()
    )


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 8])
def test_of_a_handful_there_is_an_answer(kind, n):
    columns, labels = people(kind)
    for split in (parts(n, 2, 90), Split(np.arange(n), NOBODY, np.arange(n, 90)), parts(1, 1, 90)):
        found = fitted(TARGETS[kind], columns, labels, split)
        predicted, probabilities = predict_rows(found, columns, split.test)
        assert np.isfinite(predicted).all()
        assert np.isfinite(probabilities).all()


@pytest.mark.parametrize("kind", ["binary", "categorical", "ordinal"])
def test_a_class_with_one_person_or_none_is_no_hindrance(kind):
    columns, labels = people(kind)
    few = np.flatnonzero(labels == labels.max())
    rest = np.setdiff1d(np.arange(90), few)
    for n_few in (0, 1, 2):
        train = np.concatenate([few[:n_few], rest[:20]])
        split = Split(train, rest[20:26], rest[26:])
        found = fitted(TARGETS[kind], columns, labels, split)
        assert np.isfinite(predict_rows(found, columns, split.test)[0]).all()


def test_one_person_alone_is_the_mean_of_their_labels():
    columns, labels = people("continuous")
    found = fitted(AGE, columns, labels, Split(np.arange(4), NOBODY, np.arange(4, 90)), np.zeros(90, int))
    assert found.blend == {"shares": {"mean": 1.0}, "penalties": {}}
    np.testing.assert_allclose(predict_rows(found, columns, np.arange(90))[0], labels[:4].mean(), rtol=1e-5)


def test_folds_keep_people_whole_and_classes_spread():
    who = np.repeat(np.arange(12), 3)
    classes = (who % 3 == 0).astype(int)
    folds = folds_of(who, classes, stream(0, "folds"))
    assert all(len(set(folds[who == person])) == 1 for person in range(12))
    # four people of the rarer class: five folds are possible, and none of them holds that class whole
    assert all((classes[folds != k] == 1).any() for k in set(folds))
    assert folds_of(np.zeros(5, int), None, stream(0, "folds")) is None
    assert len(set(folds_of(np.arange(3), None, stream(0, "folds")))) == 3
    # a class with one person cannot be spread
    assert folds_of(np.arange(6), np.array([1, 0, 0, 0, 0, 0]), stream(0, "folds")) is not None


def test_the_same_seed_gives_the_same_and_another_one_other_folds():
    columns, labels = people("binary")
    split = parts(60, 12, 90)
    first, again, other = (fitted(TARGETS["binary"], columns, labels, split, seed=seed).blend for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_row_that_was_drawn_often_is_judged_once():
    split = Split(np.array([5, 5, 2, 7]), np.array([9, 8]), NOBODY)
    rows = np.concatenate([split.train, split.validation])
    assert rows[blend._judged(split, np.array([0, 0, 1, 1]))].tolist() == [2, 5, 7, 8, 9]
    assert rows[blend._judged(split, None)].tolist() == [8, 9]


def mean_shares(target, columns_of, labels_of, n=60, repeats=6):
    shares = []
    for seed in range(repeats):
        generator = stream(seed, "shares")
        columns = generator.normal(size=(n + 20, 6)).astype(np.float32)
        columns = columns_of(columns, generator)
        labels = labels_of(columns, generator)
        shares.append(fitted(target, columns, labels, parts(n, 12, n + 20), seed=seed).blend["shares"])
    return {name: float(np.mean([each[name] for each in shares])) for name in shares[0]}


def test_the_weight_goes_to_the_mean_when_nothing_tells_anything():
    shares = mean_shares(
        AGE, lambda columns, _: columns, lambda columns, generator: generator.normal(size=len(columns))
    )
    assert shares["mean"] > 0.45
    shares = mean_shares(AGE, lambda columns, _: columns, lambda columns, generator: columns[:, 0] * 1.0)
    assert shares["linear"] > 0.95


def of_parts(target):
    """Three parts of made-up features: 4 columns, 20 features of a network with a head, 150 voxels."""
    with seeded(0):
        network = Network(Identity(20), [target])
    parts = tuple(
        Source(STRATEGIES[name], name, {}, Identity(size), network if name == "frozen" else None)
        for name, size in (("linear", 4), ("frozen", 20), ("voxels", 150))
    )
    return Source(EXACT, "several", {}, Identity(174), parts=parts)


@pytest.mark.parametrize("kind", ["continuous", "binary"])
@pytest.mark.parametrize("where", ["linear", "frozen", "voxels", "transferred"])
def test_the_weight_goes_to_the_member_that_sees_it(kind, where):
    target = Target("age", "continuous", location=50.0, scale=12.0) if kind == "continuous" else TARGETS["binary"]
    source, generator = of_parts(target), stream(0, "where", where)
    inputs = generator.normal(size=(160, 174)).astype(np.float32) + 1
    view = views_of(source, target)[where]
    own = inputs[:, view.columns]
    if where == "transferred":
        weights, bias = view.known
        score = (own @ weights.T + bias)[:, 0]
    else:
        score = generator.normal(size=160)
        own += score[:, None]
    score = (score - score.mean()) / score.std()
    noisy = score + 0.5 * generator.normal(size=160)
    labels = 50 + 12 * noisy if kind == "continuous" else (noisy > 0).astype(float)
    found = fit_setting(source, inputs, target, labels, parts(100, 20, 160), {}, Recipe(), 0)
    shares = found.blend["shares"]
    # what the model predicts already is a direction of its features
    right = shares[where] + (shares["frozen"] if where == "transferred" else 0)
    rest = {name: share for name, share in shares.items() if name not in ("mean", "together", where)}
    assert right > 0.4
    assert right + shares["together"] > 2 * sum(rest.values()), shares
    predicted = predict_rows(found, inputs, np.arange(120, 160))[0]
    assert np.corrcoef(predicted, score[120:])[0, 1] > 0.7


@pytest.mark.parametrize("kind", TARGETS)
def test_what_two_members_see_of_two_things_adds_up(kind):
    """A mean of both heads, or half of each, would be far from the sum that is to be predicted."""
    target, source, generator = TARGETS[kind], of_parts(TARGETS[kind]), stream(0, "adds up", kind)
    inputs = generator.normal(size=(900, 174)).astype(np.float32) + 1
    score = inputs[:, 0] + inputs[:, 4:24].mean(1) * np.sqrt(20)
    score = (score - score.mean()) / score.std()
    cuts = [0.0] if kind == "binary" else [-0.6, 0.6]
    labels = 50 + 12 * score if kind == "continuous" else np.digitize(score, cuts).astype(float)
    found = fit_setting(source, inputs, target, labels, parts(300, 60, 900), {}, Recipe(), 0)
    shares = found.blend["shares"]
    # the weights of the others are more than 1 together
    assert shares["mean"] < 0, shares
    predicted, probabilities = predict_rows(found, inputs, np.arange(360, 900))
    if kind == "continuous":
        assert np.polyfit(predicted, labels[360:], 1)[0] == pytest.approx(1, abs=0.1), shares
    else:
        predicted = np.log(probabilities[:, -1] / probabilities[:, 0])
    assert np.corrcoef(predicted, score[360:])[0, 1] > 0.95, shares


def test_what_a_blend_says_is_the_mean_and_how_far_each_member_departs_from_it(monkeypatch):
    """Also where a network is among them; worked out from the outputs of every member alone."""
    columns, labels = people("continuous", n=90)
    labels = labels + 20 * np.abs(columns[:, 1])
    source, split, target = of_columns(AGE, 5, AUTO), parts(60, 12, 90), AGE.scaled_to(labels[:60])
    kept = {}
    summed = blend._summed

    def with_record(given, found, shares, inner):
        kept.update(found=found, shares=shares, inner=inner)
        return summed(given, found, shares, inner)

    monkeypatch.setattr(blend, "_summed", with_record)
    found = fit_setting(source, columns, AGE, labels, split, {}, replace(BRIEF, epochs=20), 0)
    rows, alone = split.test, {}
    for name, solved in kept["found"].items():
        if solved.learner is None:
            weights, bias = np.tensordot(kept["inner"][name], solved.weights, 1), kept["inner"][name] @ solved.bias
            alone[name] = columns[rows][:, solved.columns] @ weights.T + bias
        else:
            alone[name] = solved.learner.seen(columns, rows)
    assert set(alone) == {"mean", "linear", "perceptron"}
    expected = alone["mean"] + sum(kept["shares"][name] * (alone[name] - alone["mean"]) for name in alone)
    assert kept["shares"]["perceptron"] > 0
    np.testing.assert_allclose(predict_rows(found, columns, rows)[0], target.decode(expected)[0], rtol=1e-4)


def test_together_is_every_part_with_as_much_variance(model, heads):
    """Also where a part has layers, or voxels that lie outside the brain; worked out with features standardised by hand."""
    source, generator = of_parts(AGE), stream(0, "together")
    inputs = generator.normal(size=(40, 174)) * np.repeat([5.0, 0.1, 1.0], [4, 20, 150]) + 1
    inputs[:, -50:] -= 2
    # units that are silent have no share in the variance
    inputs[:, 10:24] = 1
    view, labels = views_of(source, AGE)["together"], generator.normal(size=40)
    weights, bias = blend._heads(view, inputs, labels, AGE)
    counted = [range(4), range(4, 10), range(24, 124)]
    rows = []
    for own in counted:
        values = inputs[:, own] - inputs[:, own].mean(0)
        spread = values.std(0)
        if len(own) > 4:
            spread = np.maximum(spread, 0.1 * np.median(spread))
        values = values / spread
        rows.append(values * np.sqrt(124 / 3 / values.var(0).sum()))
    by_hand = np.concatenate(rows, 1)
    expected = [Ridge(penalty * 110).fit(by_hand, labels).predict(by_hand) for penalty in PENALTIES]
    np.testing.assert_allclose(np.einsum("sok,nk->sn", weights, inputs) + bias, expected, atol=1e-8)
    assert not weights[:, :, 124:].any()
    np.testing.assert_allclose(weights[:, :, 10:24], 0, atol=1e-12)
    layered = views_of(make_source(AUTO, target=AGE, grid=GRID, model=model), AGE)
    ((_, tissue), (size, frozen), (n_voxels, voxels)) = layered["together"].kind.parts
    assert tissue == Features()
    assert (size, frozen) == (sum(layered["layers"].kind.alike), layered["layers"].kind)
    assert voxels == Features((n_voxels,), voxels=True)


def simulated(seed, kind, sees, n):
    """Parts, labels and the best prediction there can be, for a target that some of the parts see, each with noise of its own."""
    generator = stream(seed, "regret", kind, *sees, n)
    size = n + n // 5 + 300
    score = generator.normal(size=size)
    inputs = generator.normal(size=(size, 174)).astype(np.float32) + 1
    for start, stop, name in ((0, 4, "linear"), (4, 24, "frozen"), (24, 174, "voxels")):
        if name in sees:
            seen = 0.8 * score + 0.6 * generator.normal(size=size)
            inputs[:, start:stop] += (seen[:, None] * generator.normal(size=stop - start)).astype(np.float32)
    if kind == "continuous":
        return inputs, score
    return inputs, (generator.random(size) < 1 / (1 + np.exp(-3 * score))).astype(float)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_never_far_behind_the_best_single_one_ahead_of_each_on_average_and_better_with_more_people(kind):
    target = AGE if kind == "continuous" else TARGETS["binary"]
    singles = ("linear", "frozen", "voxels")
    behind, means = [], {name: [] for name in ("auto", *singles)}
    curve = []
    for n in (20, 60, 180):
        for sees in (("linear",), ("frozen",), ("linear", "frozen"), singles):
            scored = {name: [] for name in means}
            for seed in range(8):
                inputs, labels = simulated(seed, kind, sees, n)
                split = parts(n, n // 5, len(labels))
                source = of_parts(target)
                for name in means:
                    view = None if name == "auto" else views_of(source, target.scaled_to(labels))[name]
                    if view is None:
                        trials = list(search(source, inputs, target, labels, split, [{}], Recipe(), seed))
                        best, own = trials[0], inputs
                    else:
                        own = inputs[:, view.columns]
                        part = next(part for part in source.parts if part.strategy.name == name)
                        tried = settings(part.strategy)
                        trials = list(search(part, own, target, labels, split, tried, Recipe(), seed))
                        found = [scores(kind, labels[split.validation], t.predicted, t.probabilities) for t in trials]
                        best = trials[max(0, best_of(kind, found))]
                    predicted, probabilities = predict_rows(best.final(), own, split.test)
                    test = scores(kind, labels[split.test], predicted, probabilities)
                    scored[name].append(-test["mae"] if kind == "continuous" else test["auc"])
            values = {name: np.array(found) for name, found in scored.items()}
            strongest = max(singles, key=lambda name: values[name].mean())
            gap = values["auto"] - values[strongest]
            behind.append(gap.mean() + 2.5 * gap.std(ddof=1) / np.sqrt(len(gap)))
            for name, found in values.items():
                means[name].append(found.mean())
        curve.append(np.mean(means["auto"][-4:]))
    # nowhere behind beyond noise, on the whole ahead of each
    assert min(behind) > -0.01, behind
    assert all(np.mean(means["auto"]) > np.mean(means[name]) + 0.01 for name in singles), means
    assert curve == sorted(curve), curve
