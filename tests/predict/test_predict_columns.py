"""Columns of predictions: means and deviations by hand, and what is said of every kind of target."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.predict.columns import OF, mean_of, spread_of, target_columns
from neurotransfer.targets import Target

TARGETS = {
    "continuous": Target("age", "continuous", unit="years", location=40, scale=10),
    "binary": Target("sex", "binary", classes=("F", "M")),
    "categorical": Target("site", "categorical", classes=("a", "b", "c")),
    "ordinal": Target("severity", "ordinal", classes=("0", "1", "2")),
}
KINDS = pytest.mark.parametrize("kind", TARGETS)


def outputs_of(target, seed, n=6):
    return np.random.default_rng(seed).normal(size=(n, target.n_outputs))


@KINDS
@given(seed=st.integers(0, 1000), n_models=st.integers(1, 4))
def test_the_mean_of_models_is_that_of_values_or_of_probabilities(kind, seed, n_models):
    target = TARGETS[kind]
    each = [target.decode(outputs_of(target, seed + place)) for place in range(n_models)]
    predicted, probabilities = mean_of(target, each)
    if kind == "continuous":
        np.testing.assert_allclose(predicted, sum(one for one, _ in each) / n_models)
        return
    np.testing.assert_allclose(probabilities, sum(one for _, one in each) / n_models)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    by_hand = {
        "binary": lambda: probabilities[:, 1],
        "categorical": lambda: probabilities.argmax(1),
        "ordinal": lambda: probabilities @ np.array([0, 1, 2]),
    }
    expected = by_hand[kind]()
    np.testing.assert_allclose(predicted, expected, atol=1e-12)


@KINDS
def test_one_model_is_its_own_mean(kind):
    target = TARGETS[kind]
    one = target.decode(outputs_of(target, 0))
    for found, expected in zip(mean_of(target, [one]), one, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


@KINDS
def test_the_deviation_of_predictions_that_agree_is_zero(kind):
    target = TARGETS[kind]
    one = target.decode(outputs_of(target, 0))
    np.testing.assert_allclose(spread_of(target, one, [one, one, one]), 0, atol=1e-12)


def test_deviations_by_hand():
    age = TARGETS["continuous"]
    each = [age.decode(np.array([[value]])) for value in (0.0, 0.2, 0.4)]
    assert spread_of(age, each[0], each) == pytest.approx(np.std([40, 42, 44], ddof=1))
    # of a class: of the probability of the one that is named, also where others name another
    site = TARGETS["categorical"]
    each = [site.decode(np.log(np.array([row]))) for row in ([0.6, 0.3, 0.1], [0.2, 0.7, 0.1])]
    assert spread_of(site, each[0], each) == pytest.approx(np.std([0.6, 0.2], ddof=1))


@KINDS
def test_scans_that_were_refused_have_no_prediction(kind):
    target = TARGETS[kind]
    predicted, probabilities = target.decode(outputs_of(target, 0))
    predicted = predicted.astype(float)
    predicted[2], probabilities[2] = np.nan, np.nan
    table, said = target_columns(target, (predicted, probabilities), {"views": np.full(6, 0.5)})
    assert table.drop(columns=f"{target.name}_sd_views").iloc[2].isna().all()
    assert not table.drop(index=2).isna().any().any()
    assert list(table) == list(said)
    assert all(each["Description"].endswith(".") for each in said.values())


def test_units_and_levels_are_said():
    _, said = target_columns(TARGETS["continuous"], (np.zeros(1), np.zeros((1, 0))), {name: np.zeros(1) for name in OF})
    assert {each["Units"] for each in said.values()} == {"years"}
    assert len(said) == 1 + len(OF)
    _, said = target_columns(TARGETS["binary"], TARGETS["binary"].decode(np.zeros((1, 1))), {})
    assert said["sex"]["Levels"] == ["F", "M"]
    assert "the probability of M" not in str(said)
