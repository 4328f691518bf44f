"""What scikit-learn asks of every estimator: its own checks on regional volumes, and the same ones by hand on volumes."""

import copy
import os
import pickle
import subprocess
import sys
import warnings
import weakref
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from neurotransfer import BrainEmbedder, TransferClassifier, TransferRegressor
from neurotransfer.cohort import Grid
from neurotransfer.models import SFCN, Card, Model, Network
from neurotransfer.models.network import seeded
from neurotransfer.targets import Target
from neurotransfer.training import Recipe

# of levels only; nothing else is expected to fail
EXPECTED_FAILURES = {
    "check_classifiers_classes": "it names classes by the words one, two and three, and the order of words is not known",
}
SIDE = 32
ONE_EPOCH = Recipe(epochs=1, batch_size=6)


@parametrize_with_checks(
    [
        TransferClassifier(strategy="linear"),
        TransferClassifier(strategy="linear", ordinal=True, grid={"penalty": [1e-3, 1.0]}),
        TransferRegressor(strategy="linear"),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES if getattr(estimator, "ordinal", False) else {},
)
def test_scikit_learn_finds_nothing_wrong(estimator, check):
    check(estimator)


ARRAY_API = """
from sklearn.utils.estimator_checks import check_estimator
from neurotransfer import TransferClassifier, TransferRegressor
for kind in (TransferClassifier, TransferRegressor):
    found = [each["status"] for each in check_estimator(kind(strategy="linear"))]
    print(len(found), set(found))
"""


@pytest.mark.slow
def test_nothing_is_left_out_where_the_array_api_is_on():
    done = subprocess.run(
        [sys.executable, "-c", ARRAY_API], env=os.environ | {"SCIPY_ARRAY_API": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(int(line.split()[0]) > 45 and line.endswith("{'passed'}") for line in lines)


@pytest.mark.parametrize("estimator", [TransferClassifier(strategy="voxels"), TransferRegressor(), BrainEmbedder()])
def test_what_takes_no_columns_says_so(estimator):
    assert not get_tags(estimator).input_tags.two_d_array
    assert get_tags(estimator).input_tags.string
    with pytest.warns(SkipTestWarning, match="requires input  of type"):
        assert all(each["status"] == "passed" for each in check_estimator(estimator))


@pytest.mark.parametrize(
    ("estimator", "required"),
    [(TransferClassifier("m"), True), (TransferRegressor("m"), True), (BrainEmbedder("m"), False)],
)
def test_tags_say_whether_labels_are_needed(estimator, required):
    tags = get_tags(estimator)
    assert tags.target_tags.required is required
    assert tags.requires_fit
    assert not tags.input_tags.allow_nan
    assert not tags.input_tags.sparse


@pytest.fixture(scope="module")
def heads():
    """Twelve volumes whose brightness in one corner tells the label, some noise elsewhere."""
    generator = np.random.default_rng(3)
    labels = np.tile([0, 1], 6)
    volumes = generator.random((12, SIDE, SIDE, SIDE), np.float32) * 0.5
    volumes[:, :16, :16, :16] += 0.2 * labels[:, None, None, None] + 0.2
    return volumes, labels


@pytest.fixture(scope="module")
def tiny():
    """An SFCN of width 0.125 for volumes of 32 voxels a side, with random weights."""
    with seeded(3):
        network = Network(SFCN(0.125), [Target("y", "binary", classes=("0", "1"))]).eval()
    return Model(network, Card("tiny", "sfcn", {"width": 0.125}, network_targets(network), Grid((SIDE,) * 3, 5.0)))


def network_targets(network):
    return tuple(network.targets.values())


PENALTIES = {"penalty": [0.1, 1.0]}
KINDS = {
    "transferred": partial(TransferClassifier, strategy="transferred", grid={}),
    "frozen": partial(TransferClassifier, strategy="frozen", grid=PENALTIES),
    "finetuned": partial(
        TransferClassifier, strategy="finetuned", grid={"lr": [1e-3], "dropout": [0.0]}, recipe=ONE_EPOCH
    ),
    "random-frozen": partial(TransferRegressor, strategy="random-frozen", grid=PENALTIES),
    "voxels": partial(TransferRegressor, strategy="voxels", grid=PENALTIES),
    "embedder": BrainEmbedder,
}


@pytest.fixture(params=KINDS)
def estimator(request, tiny):
    return KINDS[request.param](model=tiny)


def answers(estimator, X):
    """Everything that an estimator says of scans, by the name of the method."""
    methods = [name for name in ("predict", "predict_proba", "transform") if hasattr(estimator, name)]
    assert methods
    return {name: getattr(estimator, name)(X) for name in methods}


def assert_alike(found, expected, rtol=0.0, atol=0.0):
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=rtol, atol=atol, err_msg=name)


def test_a_clone_is_not_fitted_and_learns_the_same(estimator, heads):
    expected = answers(estimator.fit(*heads), heads[0])
    copied = clone(estimator)
    assert not [name for name in vars(copied) if name.endswith("_")]
    with pytest.raises(NotFittedError, match="instance is not fitted yet; call fit with"):
        answers(copied, heads[0])
    assert_alike(answers(copied.fit(*heads), heads[0]), expected)


def test_a_second_fit_gives_the_same(estimator, heads):
    expected = answers(estimator.fit(*heads), heads[0])
    assert estimator.fit(*heads) is estimator
    assert_alike(answers(estimator, heads[0]), expected)


def test_answers_do_not_depend_on_the_other_scans(estimator, heads):
    expected = answers(estimator.fit(*heads), heads[0])
    single = [answers(estimator, heads[0][[row]]) for row in range(len(heads[0]))]
    joined = {name: np.concatenate([each[name] for each in single]) for name in expected}
    assert_alike(joined, expected, rtol=1e-4, atol=1e-5)


def test_answers_follow_the_order_of_the_scans(estimator, heads):
    expected = answers(estimator.fit(*heads), heads[0])
    order = np.random.default_rng(0).permutation(len(heads[0]))
    found = answers(estimator, heads[0][order])
    assert_alike(found, {name: values[order] for name, values in expected.items()}, rtol=1e-4, atol=1e-5)


def test_to_ask_changes_nothing(estimator, heads):
    estimator.fit(*heads)
    before = {name: (id(value), copy.copy(value)) for name, value in vars(estimator).items()}
    first = answers(estimator, heads[0])
    assert {name: id(value) for name, value in vars(estimator).items()} == {key: before[key][0] for key in before}
    assert_alike(answers(estimator, heads[0]), first)


def test_fit_changes_neither_parameters_nor_scans_nor_labels(estimator, heads):
    given = estimator.get_params()
    volumes, labels = heads[0].copy(), heads[1].copy()
    for array in (volumes, labels):
        array.setflags(write=False)
    answers(estimator.fit(volumes, labels), volumes)
    assert all(estimator.get_params()[name] is value for name, value in given.items())
    np.testing.assert_array_equal(volumes, heads[0])


def test_what_is_learnt_has_an_underscore_behind_and_none_before(estimator, heads):
    parameters = set(estimator.get_params())
    learnt = set(vars(estimator.fit(*heads))) - parameters
    assert learnt
    assert all(name.endswith("_") and not name.startswith("_") for name in learnt)
    assert estimator.n_features_in_ == SIDE**3


def test_a_pickle_says_the_same_fitted_or_not(estimator, heads):
    expected = answers(pickle.loads(pickle.dumps(estimator)).fit(*heads), heads[0])
    again = pickle.loads(pickle.dumps(estimator.fit(*heads)))
    assert_alike(answers(again, heads[0]), expected)


def test_a_file_of_joblib_says_the_same(estimator, heads, tmp_path):
    expected = answers(estimator.fit(*heads), heads[0])
    joblib.dump(estimator, tmp_path / "it.joblib", compress=3)
    assert_alike(answers(joblib.load(tmp_path / "it.joblib"), heads[0]), expected)


def test_scans_are_not_kept(estimator, heads):
    class Noted(np.ndarray):
        pass

    volumes = heads[0].copy().view(Noted)
    seen = weakref.ref(volumes)
    answers(estimator.fit(volumes, heads[1]), volumes)
    del volumes
    assert seen() is None
    # nor a copy of them: no more than the network twice, once as the parameter and once as what was learnt
    assert len(pickle.dumps(estimator)) < heads[0].nbytes / 2


def test_a_fit_on_other_shapes_forgets_the_first(heads):
    volumes, labels = heads
    regressor = TransferRegressor(strategy="linear", grid=PENALTIES)
    columns = volumes.mean((2, 3)).astype(float)
    once = clone(regressor).fit(columns, labels).predict(columns)
    np.testing.assert_array_equal(regressor.fit(*heads).fit(columns, labels).predict(columns), once)
    assert (regressor.n_features_in_, regressor.input_shape_) == (SIDE, (SIDE,))
    larger = np.pad(volumes, ((0, 0), (0, 2), (0, 0), (0, 4)))
    assert regressor.fit(larger, labels).input_shape_ == (SIDE + 2, SIDE, SIDE + 4)
    assert regressor.n_features_in_ == (SIDE + 2) * SIDE * (SIDE + 4)
    with pytest.raises(ValueError, match=r"X holds scans of shape \(32, 32, 32\), those of fit had \(34, 32, 36\)"):
        regressor.predict(volumes)


def test_names_of_columns_are_kept_and_asked_for(heads):
    volumes, labels = heads
    table = pd.DataFrame(volumes.mean((3,))[:, 0, :4].astype(float), columns=["a", "b", "c", "d"])
    regressor = TransferRegressor(strategy="linear", grid=PENALTIES).fit(table, labels)
    assert regressor.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match=r"feature names should match.* the columns those of fit in their order"):
        regressor.predict(table[["b", "a", "c", "d"]])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        regressor.predict(table.to_numpy())
    assert not hasattr(regressor.fit(*heads), "feature_names_in_")
    assert not hasattr(regressor.fit(table.to_numpy(), labels), "feature_names_in_")


def test_no_warning_comes_of_a_plain_use(estimator, heads):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers(estimator.fit(*heads), heads[0])


@pytest.mark.parametrize("kind", [bool, np.int8, float, str, object])
def test_classes_come_back_as_they_were_given(kind, heads):
    volumes, labels = heads
    given = labels.astype(kind) if kind is not object else np.array(["no", "yes"], dtype=object)[labels]
    classifier = TransferClassifier(strategy="voxels", grid=PENALTIES).fit(volumes, given)
    found = classifier.predict(volumes)
    assert classifier.classes_.dtype == found.dtype == given.dtype
    assert found.tolist() == given.tolist()
