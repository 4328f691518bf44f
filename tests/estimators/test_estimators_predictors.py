"""The strategies as scikit-learn estimators: its conventions, the numbers of `transfer`, and what is refused."""

import pickle
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurotransfer import TransferClassifier, TransferRegressor
from neurotransfer.cohort import load_volume, read_cohort
from neurotransfer.errors import ImageError, InputError, ModelError
from neurotransfer.estimators import ArgumentError, base
from neurotransfer.models import load_model
from neurotransfer.predict import predict
from neurotransfer.training import Recipe
from neurotransfer.transfer import STRATEGIES, get_strategy, transfer

BOTH = (TransferClassifier, TransferRegressor)
LINEAR_CLASSIFIER = partial(TransferClassifier, strategy="linear", grid={"penalty": [1e-3, 1.0]})
LINEAR_REGRESSOR = partial(TransferRegressor, strategy="linear", grid={"penalty": [1e-3, 1.0]})


def options_of(name):
    grid = {key: values[:2] if key != "dropout" else values[:1] for key, values in get_strategy(name).grid.items()}
    return {
        "grid": grid if name not in ("finetuned", "baseline") else grid | {"lr": [1e-3]},
        "recipe": Recipe(epochs=1),
    }


def fitted_names(estimator):
    return {name for name in vars(estimator) if name not in estimator.get_params()}


OF_IMAGES = tuple(name for name, row in STRATEGIES.items() if not row.needs_columns)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_strategy_regresses_with_the_numbers_of_transfer(name, cohort, volumes, ages, tiny_model, tmp_path):
    regressor = TransferRegressor(tiny_model, name, target="age", random_state=4, **options_of(name))
    found = regressor.fit(volumes, ages, groups=cohort.participants).predict(volumes)
    made = transfer(tiny_model, cohort, "age", name, tmp_path / "m", seed=4, **options_of(name))
    assert regressor.setting_ == made.setting
    assert regressor.validation_scores_ == pytest.approx(made.validation_scores, nan_ok=True)
    np.testing.assert_allclose(found, predict(tmp_path / "m", cohort)["age"], rtol=1e-5)
    assert found.std() > 0


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("transferred", "frozen", "finetuned") else pytest.mark.slow)
        for name in OF_IMAGES
    ],
)
def test_every_strategy_classifies_with_the_numbers_of_transfer(name, cohort, volumes, sexes, tiny_model, tmp_path):
    classifier = TransferClassifier(tiny_model, name, target="sex", random_state=4, **options_of(name))
    found = classifier.fit(volumes, sexes, groups=cohort.participants).predict_proba(volumes)
    transfer(tiny_model, cohort, "sex", name, tmp_path / "m", seed=4, **options_of(name))
    expected = predict(tmp_path / "m", cohort)
    assert classifier.classes_.tolist() == ["F", "M"]
    np.testing.assert_allclose(found, expected[["sex_probability_F", "sex_probability_M"]], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.sum(1), 1)
    assert classifier.predict(volumes).tolist() == expected["sex"].tolist()


@pytest.mark.parametrize("name", OF_IMAGES)
def test_the_same_seed_gives_the_same_numbers_whatever_was_drawn_elsewhere(name, volumes, ages, tiny_model):
    few = slice(0, 20)

    def fit(random_state, elsewhere):
        torch.manual_seed(elsewhere)
        np.random.seed(elsewhere)  # noqa: NPY002
        estimator = TransferRegressor(tiny_model, name, target="age", random_state=random_state, **options_of(name))
        return estimator.fit(volumes[few], ages[few]).predict(volumes[few])

    first = fit(1, elsewhere=5)
    np.testing.assert_array_equal(fit(1, elsewhere=6), first)
    assert np.array_equal(fit(2, elsewhere=5), first) == (name == "transferred")


def test_a_perceptron_on_regional_volumes_has_the_numbers_of_transfer(regions, tiny_model, tmp_path):
    values, numbers, classes, people = regions
    names = [f"column_{index}" for index in range(6)]
    table = pd.DataFrame(values, columns=names).assign(y=numbers, participant_id=people)
    table["session_id"] = ["one", "two"] * 45
    table.to_csv(tmp_path / "regions.csv", index=False)
    cohort = read_cohort(tmp_path / "regions.csv", images=False)
    options = {"grid": {"lr": [1e-2], "width": [16]}, "recipe": Recipe(epochs=8)}
    regressor = TransferRegressor(strategy="perceptron", random_state=4, **options).fit(values, numbers, groups=people)
    transfer(tiny_model, cohort, "y", "perceptron", tmp_path / "m", columns=names, seed=4, **options)
    found = regressor.predict(values)
    np.testing.assert_allclose(found, predict(tmp_path / "m", cohort)["y"], rtol=1e-4)
    assert np.corrcoef(found, numbers)[0, 1] > 0.8
    # other units are the same columns
    again = TransferRegressor(strategy="perceptron", random_state=4, **options).fit(
        values * 1e3, numbers, groups=people
    )
    np.testing.assert_allclose(again.predict(values * 1e3), found, rtol=1e-3)
    classifier = TransferClassifier(strategy="perceptron", random_state=4, **options).fit(
        values, classes, groups=people
    )
    assert classifier.predict_proba(values).shape == (90, 3)
    assert classifier.score(values, classes) > 0.6
    with pytest.raises(InputError, match="'perceptron' takes columns of the table and none are given"):
        TransferRegressor(strategy="perceptron").fit(np.ones((4, 32, 32, 32), np.float32), np.arange(4.0))


@pytest.mark.parametrize("kind", BOTH)
def test_parameters_are_kept_as_they_were_given(kind, tiny_model):
    given = {
        "model": tiny_model,
        "strategy": "finetuned",
        "target": "age",
        "grid": {"lr": [1e-3]},
        "recipe": Recipe(epochs=2),
        "validation_fraction": 0.3,
        "alignment": "centre",
        "random_state": 7,
    } | ({"ordinal": True} if kind is TransferClassifier else {})
    estimator = kind(**given)
    assert estimator.get_params() == given
    assert all(estimator.get_params()[name] is value for name, value in given.items())
    assert not fitted_names(estimator)
    copied = clone(estimator)
    assert copied is not estimator
    assert copied.get_params() == given
    assert estimator.set_params(strategy="voxels", random_state=1) is estimator
    assert (estimator.strategy, estimator.random_state) == ("voxels", 1)
    with pytest.raises(ValueError, match="Invalid parameter 'stratgy'"):
        estimator.set_params(stratgy="voxels")


def test_each_is_what_it_is():
    assert is_classifier(TransferClassifier())
    assert is_regressor(TransferRegressor())
    assert not is_regressor(TransferClassifier())
    assert "TransferClassifier(strategy='voxels')" in repr(TransferClassifier(strategy="voxels"))


def test_a_model_that_is_given_whole_is_cloned_with_the_estimator(tiny_model, volumes, ages):
    estimator = TransferRegressor(load_model(tiny_model), "transferred", target="age")
    first = clone(estimator).fit(volumes, ages).predict(volumes)
    np.testing.assert_array_equal(
        first, TransferRegressor(tiny_model, "transferred", target="age").fit(volumes, ages).predict(volumes)
    )


@pytest.mark.parametrize("name", ["finetuned", "frozen"])
def test_the_model_that_was_given_is_not_trained(name, tiny_model, volumes, ages):
    model = load_model(tiny_model)
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    TransferRegressor(model, name, **options_of(name)).fit(volumes, ages)
    assert all(torch.equal(value, before[key]) for key, value in model.network.state_dict().items())


@pytest.mark.parametrize(
    ("estimator", "method"),
    [(LINEAR_CLASSIFIER(), "predict"), (LINEAR_CLASSIFIER(), "predict_proba"), (LINEAR_REGRESSOR(), "predict")],
)
def test_nothing_is_predicted_before_fit(estimator, method, regions):
    with pytest.raises(NotFittedError):
        getattr(estimator, method)(regions[0])


def test_what_is_learnt_ends_with_an_underscore_and_fit_changes_no_parameter(regions):
    values, numbers, classes, _ = regions
    for estimator, labels in ((LINEAR_REGRESSOR(), numbers), (LINEAR_CLASSIFIER(), classes)):
        before = dict(estimator.get_params())
        assert estimator.fit(values, labels) is estimator
        assert estimator.get_params() == before
        assert fitted_names(estimator)
        assert all(name.endswith("_") and not name.startswith("_") for name in fitted_names(estimator))
        assert estimator.n_features_in_ == 6
        assert set(estimator.setting_) == {"penalty"}


def test_a_second_fit_forgets_the_first(regions):
    values, numbers, classes, _ = regions
    once = LINEAR_REGRESSOR().fit(values, numbers)
    again = LINEAR_REGRESSOR().fit(values[:, :3], 10 * classes[::-1]).fit(values, numbers)
    np.testing.assert_array_equal(again.predict(values), once.predict(values))
    assert LINEAR_CLASSIFIER().fit(values, classes).fit(values, classes > 0).classes_.tolist() == [False, True]


def test_the_score_is_the_accuracy_or_r_squared_of_what_was_planted(regions):
    values, numbers, classes, _ = regions
    regressor, classifier = LINEAR_REGRESSOR().fit(values, numbers), LINEAR_CLASSIFIER().fit(values, classes)
    assert regressor.score(values, numbers) == pytest.approx(r2_score(numbers, regressor.predict(values)))
    assert regressor.score(values, numbers) > 0.99
    assert classifier.score(values, classes) == accuracy_score(classes, classifier.predict(values)) > 0.85


@pytest.mark.parametrize(
    "labels",
    [
        ("patient", "control"),
        (10, 2),
        ("10", "2"),
        (1.0, 0.0),
        (True, False),
        ("c", "a", "b"),
        (10, 9, 100),
        ("10", "9", "100"),
    ],
    ids=str,
)
def test_probabilities_follow_classes_whatever_the_labels_are(regions, labels):
    values, _, classes, _ = regions
    y = np.array(labels)[classes % len(labels)]
    classifier = LINEAR_CLASSIFIER(grid={"penalty": [1e-3]}).fit(values, y)
    found = classifier.predict_proba(values)
    assert classifier.classes_.tolist() == np.unique(y).tolist()
    assert found.shape == (len(y), len(labels))
    np.testing.assert_allclose(found.sum(1), 1)
    assert classifier.predict(values).dtype == y.dtype
    assert classifier.predict(values).tolist() == classifier.classes_[found.argmax(1)].tolist()
    means = np.array([[found[y == label, column].mean() for column in range(len(labels))] for label in np.unique(y)])
    assert means.argmax(0).tolist() == list(range(len(labels)))


def test_a_data_frame_works_like_an_array(regions):
    values, numbers, classes, people = regions
    table = pd.DataFrame(values, columns=[f"region {index}" for index in range(6)], index=people)
    expected = LINEAR_REGRESSOR().fit(values, numbers, groups=people).predict(values)
    found = LINEAR_REGRESSOR().fit(table, pd.Series(numbers), groups=pd.Series(people)).predict(table)
    np.testing.assert_array_equal(found, expected)
    words = pd.Series(np.array(["low", "middle", "high"])[classes], index=people, dtype="category")
    assert set(LINEAR_CLASSIFIER().fit(table, words).predict(table)) == {"low", "middle", "high"}


AS_GIVEN = {
    "text": lambda paths: [str(path) for path in paths],
    "paths": lambda paths: paths,
    "array": lambda paths: np.array([str(path) for path in paths]),
    "objects": lambda paths: np.array(paths, dtype=object)[:, None],
    "series": lambda paths: pd.Series([str(path) for path in paths], index=range(7, 7 + len(paths))),
    "table": lambda paths: pd.DataFrame({"image": [str(path) for path in paths]}),
}


@pytest.mark.parametrize("as_given", AS_GIVEN.values(), ids=AS_GIVEN)
def test_image_paths_give_the_numbers_of_the_stored_volumes(as_given, cohort, volumes, ages, tiny_model):
    few = np.arange(8)
    paths = [image for image, _ in cohort.rows(few).images]
    regressor = TransferRegressor(tiny_model, "frozen", **options_of("frozen"))
    expected = clone(regressor).fit(volumes[few], ages[few]).predict(volumes[few])
    np.testing.assert_array_equal(regressor.fit(as_given(paths), ages[few]).predict(as_given(paths)), expected)
    np.testing.assert_allclose(regressor.predict(as_given(paths)[:3]), expected[:3], rtol=1e-5)
    assert regressor.n_features_in_ == np.prod(load_model(tiny_model).card.input.shape)


@pytest.mark.parametrize("name", ["finetuned", "linear", "voxels", "transferred"])
def test_paths_give_the_numbers_of_volumes_whatever_reads_them(name, cohort, volumes, ages, tiny_model):
    few = np.arange(16)
    regressor = TransferRegressor(tiny_model, name, target="age", **options_of(name))
    expected = clone(regressor).fit(volumes[few], ages[few])
    found = regressor.fit([image for image, _ in cohort.rows(few).images], ages[few])
    np.testing.assert_array_equal(found.predict(volumes[few]), expected.predict(volumes[few]))


def test_volumes_in_memory_differ_from_their_paths_by_the_rounding_of_sixteen_bits(cohort, ages, tiny_model):
    paths = [image for image, _ in cohort.rows(np.arange(10)).images]
    loaded = np.stack([load_volume(path, load_model(tiny_model).card.input) for path in paths])
    regressor = TransferRegressor(tiny_model, "transferred", target="age")
    expected = regressor.fit(paths, ages[:10]).predict(paths)
    found = regressor.fit(loaded, ages[:10]).predict(loaded)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_store_of_volumes_is_taken_as_it_is(volumes, ages, tiny_model, monkeypatch):
    expected = TransferRegressor(tiny_model, "frozen").fit(volumes[:], ages).predict(volumes[:])
    read = []
    real = type(volumes).__getitem__
    monkeypatch.setattr(type(volumes), "__getitem__", lambda self, rows: read.append(np.size(rows)) or real(self, rows))
    np.testing.assert_array_equal(TransferRegressor(tiny_model, "frozen").fit(volumes, ages).predict(volumes), expected)
    assert max(read) <= 16


@pytest.mark.parametrize("kind", [np.float64, np.float16])
def test_numbers_of_any_kind_are_taken_without_a_copy_of_all(kind, volumes, ages, tiny_model):
    few = volumes[:12].astype(kind)
    regressor = TransferRegressor(tiny_model, "frozen", grid={"penalty": [1.0]})
    expected = regressor.fit(few.astype(np.float32), ages[:12]).predict(few.astype(np.float32))
    np.testing.assert_array_equal(regressor.fit(few, ages[:12]).predict(few), expected)


def test_levels_are_learnt_by_their_order(regions):
    values, _, classes, _ = regions
    levels = np.array([1, 2, 10])[classes]
    classifier = LINEAR_CLASSIFIER(ordinal=True).fit(values, levels)
    assert classifier.target_.kind == "ordinal"
    assert classifier.target_.classes == ("1", "2", "10")
    assert classifier.classes_.tolist() == [1, 2, 10]
    found = classifier.predict_proba(values)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found >= 0).all()
    assert classifier.score(values, levels) > 0.85
    assert LINEAR_CLASSIFIER(ordinal=True).fit(values, classes > 0).target_.kind == "binary"
    with pytest.raises(InputError, match="the order of high, low, middle is not known"):
        LINEAR_CLASSIFIER(ordinal=True).fit(values, np.array(["low", "middle", "high"])[classes])


def test_an_estimator_outlives_the_folder_of_its_model(tiny_model, volumes, ages, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "copy")
    regressor = TransferRegressor(folder, "frozen", **options_of("frozen")).fit(volumes, ages)
    expected = regressor.predict(volumes)
    shutil.rmtree(folder)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(regressor)).predict(volumes), expected)


@pytest.mark.parametrize("name", ["baseline", "random-frozen", "linear", "voxels"])
def test_what_needs_no_model_takes_volumes_alone(name, volumes, sexes):
    grid = {"lr": [1e-3]} if name == "baseline" else {"penalty": [1.0]}
    classifier = TransferClassifier(strategy=name, grid=grid, recipe=Recipe(epochs=1, batch_size=16))
    few = slice(0, 16)
    found = classifier.fit(volumes[few], sexes[few]).predict_proba(volumes[few])
    np.testing.assert_allclose(found.sum(1), 1)
    assert found[:, 0].std() > 0


def test_a_scan_is_predicted_alike_alone_and_among_others(tiny_model, volumes, ages):
    regressor = TransferRegressor(tiny_model, "transferred", target="age").fit(volumes, ages)
    every = regressor.predict(volumes)
    np.testing.assert_allclose(
        [regressor.predict(volumes[[row]])[0] for row in (0, 20, 39)], every[[0, 20, 39]], rtol=1e-5
    )


def test_nobody_is_in_train_and_validation_when_groups_are_given(regions, monkeypatch):
    values, numbers, _, people = regions
    seen = []
    real = base.fit_best

    def spy(source, inputs, target, labels, split, *rest, **more):
        seen.append(split)
        return real(source, inputs, target, labels, split, *rest, **more)

    monkeypatch.setattr(base, "fit_best", spy)
    LINEAR_REGRESSOR(validation_fraction=0.4).fit(values, numbers, groups=people)
    LINEAR_REGRESSOR(validation_fraction=0.4).fit(values, numbers)
    grouped, alone = seen
    assert not set(people[grouped.train]) & set(people[grouped.validation])
    assert len(set(people[grouped.validation])) == 18
    assert set(people[alone.train]) & set(people[alone.validation])
    assert sorted([*grouped.train, *grouped.validation]) == list(range(90))


def test_cross_validation_with_people_who_have_several_scans(regions):
    values, numbers, classes, people = regions
    how = {"groups": people, "cv": GroupKFold(3), "params": {"groups": people}}
    assert cross_val_score(LINEAR_REGRESSOR(), values, numbers, **how).min() > 0.95
    assert cross_val_score(LINEAR_CLASSIFIER(), values, classes, scoring="roc_auc_ovr", **how).min() > 0.9
    probabilities = cross_val_predict(LINEAR_CLASSIFIER(), values, classes, method="predict_proba", **how)
    np.testing.assert_allclose(probabilities.sum(1), 1)


def test_cross_validation_of_labels_without_signal_finds_none(regions):
    values, _, classes, people = regions
    shuffled = np.random.default_rng(0).permutation(classes > 0)
    found = cross_val_score(
        LINEAR_CLASSIFIER(),
        values,
        shuffled,
        groups=people,
        cv=GroupKFold(3),
        params={"groups": people},
        scoring="roc_auc",
    )
    assert found.mean() == pytest.approx(0.5, abs=0.2)


def test_cross_validation_of_volumes_and_of_paths(cohort, volumes, ages, tiny_model):
    few = np.arange(16)
    regressor = TransferRegressor(tiny_model, "frozen", grid={"penalty": [1.0]})
    how = {"groups": cohort.participants[few], "cv": GroupKFold(2), "scoring": "neg_mean_absolute_error"}
    of_volumes = cross_val_score(regressor, volumes[few], ages[few], **how)
    of_paths = cross_val_score(regressor, [image for image, _ in cohort.rows(few).images], ages[few], **how)
    np.testing.assert_allclose(of_volumes, of_paths, rtol=1e-2)
    assert (of_volumes < 0).all()


def test_a_search_and_a_pipeline(regions):
    values, numbers, _, _ = regions
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LINEAR_REGRESSOR()),
        {"transferregressor__grid": [{"penalty": [1e-3]}, {"penalty": [1e3]}]},
        cv=3,
    )
    assert search.fit(values, numbers).best_params_ == {"transferregressor__grid": {"penalty": [1e-3]}}


def replaced(values, row, value):
    changed = np.array(values, dtype=object if isinstance(value, str) or value is None else None)
    changed[row] = value
    return changed


@pytest.mark.parametrize(
    ("options", "change", "said"),
    [
        ({"strategy": "linaer"}, {}, "did you mean 'linear'"),
        ({"strategy": "frozen"}, {}, "regional volumes, for the strategies linear, perceptron, auto, auto-exact, not 'frozen'"),
        ({"grid": {"lr": [1e-3]}}, {}, "unknown setting 'lr'"),
        ({"grid": {"penalty": []}}, {}, "has no values"),
        ({"validation_fraction": 0.0}, {}, "leaves train or validation empty"),
        ({"validation_fraction": 1.5}, {}, "leaves train or validation empty"),
        ({"random_state": None}, {}, "random_state is a whole number"),
        ({"random_state": -1}, {}, "0 or more"),
        ({"random_state": 1.5}, {}, "random_state is a whole number"),
        ({}, {"X": lambda X: X[:-1]}, "X has 89 scans, y 90 labels"),
        ({}, {"X": lambda X: X[:, 0]}, r"got \(90,\)"),
        ({}, {"X": lambda X: X[:, :, None]}, r"got \(90, 6, 1\)"),
        ({}, {"X": lambda X: replaced(X, 3, np.nan)}, "X has missing or infinite values"),
        ({}, {"X": lambda X: replaced(X, 3, np.inf)}, "X has missing or infinite values"),
        ({}, {"X": lambda X: [f"scan-{row}.nii.gz" for row in range(len(X))]}, "image paths need a model"),
        ({}, {"groups": lambda people: people[:-1]}, r"90 scans and groups \(89,\); give one person a scan"),
        ({}, {"groups": lambda people: np.full(90, "one")}, "leaves train or validation empty"),
        ({}, {"y": lambda y: y[:-1]}, "y 89 labels"),
        ({}, {"y": lambda y: np.stack([y, y], 1)}, r"y has one label a scan, \(n,\), got \(90, 2\)"),
        ({}, {"y": lambda y: None}, "requires y to be passed, but the target y is None; give one label a scan"),
        ({}, {"y": lambda y: y[:1], "X": lambda X: X[:1], "groups": lambda people: None}, "1 (sample|class)"),
        ({}, {"groups": lambda people: replaced(people, 4, None)}, "groups has nobody in row 5"),
        ({"target": "", "grid": 3, "random_state": -1}, {}, "3 problems in the parameters"),
        ({"model": 3}, {}, "model is a model, its folder, its name, or None, got 3; set_params changes it"),
        ({"alignment": "center"}, {}, "alignment is 'world' or 'centre', got 'center'"),
        ({"recipe": {"epochs": 3}}, {}, "recipe is a Recipe, or None"),
        ({"validation_fraction": "a fifth"}, {}, "validation_fraction is a number between 0 and 1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", BOTH)
def test_what_neither_can_be_fitted_on(kind, options, change, said, regions):
    values, numbers, classes, people = regions
    given = {"X": values, "y": numbers if kind is TransferRegressor else classes, "groups": people}
    given |= {name: how(given[name]) for name, how in change.items()}
    with pytest.raises(InputError, match=said):
        kind(**({"strategy": "linear"} | options)).fit(**given)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_missing_are_refused(value, regions):
    with pytest.raises(InputError, match="y has missing or infinite values"):
        LINEAR_REGRESSOR().fit(regions[0], replaced(regions[1], 3, value))


def test_words_where_numbers_belong_are_refused(regions):
    with pytest.raises(ArgumentError, match=r"no numbers: 'old' \(row 4\); mend them, or use TransferClassifier"):
        LINEAR_REGRESSOR().fit(regions[0], replaced(regions[1], 3, "old"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: np.zeros(90), "y has 1 class, only the value '0.0'; TransferClassifier needs two or more"),
        (lambda y: replaced(y.astype(float), 3, np.nan), "y has missing labels"),
        (lambda y: replaced(y, 3, None), "y has missing labels"),
        (lambda y: replaced(y.astype(str), 3, "n/a"), "y has missing labels"),
        (lambda y: replaced(y.astype(str), 3, " 1"), "differ by spaces only"),
        (lambda y: replaced(y, 3, 7), "a class has too few people"),
        (lambda y: np.linspace(0, 1, 90), "Unknown label type: y is continuous.* use TransferRegressor"),
        (lambda y: np.where(y > 0, 2.5, 1.5), "y is continuous"),
    ],
)
def test_labels_that_no_classifier_can_learn_are_refused(change, said, regions):
    with pytest.raises(InputError, match=said):
        LINEAR_CLASSIFIER().fit(regions[0], change(regions[2]))


@pytest.mark.parametrize("kind", BOTH)
def test_scans_that_differ_from_those_of_fit_are_refused(kind, regions):
    estimator = kind(strategy="linear").fit(regions[0], regions[2])
    with pytest.raises(ArgumentError, match=r"X has 5 features, but Transfer.* is expecting 6 features as input; give"):
        estimator.predict(regions[0][:, :5])
    with pytest.raises(ArgumentError, match=r"X holds scans, fit had regional volumes in 6 columns"):
        estimator.predict(np.full((2, 32, 32, 32), 0.5))
    with pytest.raises(InputError, match="missing or infinite"):
        estimator.predict(replaced(regions[0], 3, np.nan))


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (lambda X: X[:, 1:], ModelError, "takes volumes of shape"),
        (lambda X: X * 200, ModelError, "takes values from 0 to 1"),
        (lambda X: replaced(X, 5, np.nan), InputError, "missing or infinite"),
    ],
)
def test_volumes_that_do_not_fit_the_model_are_refused(change, kind, said, tiny_model, volumes, ages):
    few = change(np.asarray(volumes[:10], np.float32))
    with pytest.raises(kind, match=said):
        TransferRegressor(tiny_model, "frozen").fit(few, ages[:10])


@pytest.mark.parametrize("name", ["voxels", "baseline", "linear"])
def test_raw_intensities_are_refused_without_a_model_too(name, volumes, ages):
    with pytest.raises(InputError, match="values from 0 to 1, got 0 to 400"):
        TransferRegressor(strategy=name).fit(np.asarray(volumes[:10], np.float32) * 400, ages[:10])


@pytest.mark.parametrize("name", ["transferred", "frozen", "finetuned"])
def test_a_strategy_that_needs_a_model_asks_for_one(name, volumes, ages):
    with pytest.raises(InputError, match="needs a pretrained model"):
        TransferRegressor(strategy=name).fit(volumes[:10], ages[:10])


def test_a_model_that_is_not_there_or_does_not_know_the_target_is_refused(tiny_model, volumes, ages, tmp_path):
    with pytest.raises(ModelError, match="is no model folder"):
        TransferRegressor(tmp_path, "frozen").fit(volumes[:10], ages[:10])
    with pytest.raises(ModelError, match="to 'y': it predicts age, sex"):
        TransferRegressor(tiny_model, "transferred").fit(volumes[:10], ages[:10])
    with pytest.raises(ModelError, match="knows 'sex' as binary F/M, the cohort has it as continuous"):
        TransferRegressor(tiny_model, "transferred", target="sex").fit(volumes[:10], ages[:10])


def test_a_path_without_an_image_is_named(tiny_model, tmp_path, ages):
    with pytest.raises(ImageError, match=r"no such image .*lost\.nii\.gz"):
        TransferRegressor(tiny_model, "frozen").fit([tmp_path / "lost.nii.gz"] * 10, ages[:10])
