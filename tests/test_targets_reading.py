"""How outputs of heads become values: bins, ranks and limits, as the authors of published networks read them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurotransfer.errors import InputError
from neurotransfer.targets import READINGS, Target, infer_target

REG = Target("age", "continuous", unit="years", location=3.0, limits=(3.0, 95.0))
SM = Target("age", "continuous", unit="years", reading="bins", levels=tuple(range(3, 96)))
RANK = Target("age", "continuous", unit="years", reading="ranks", levels=tuple(range(3, 95)))
UKB = Target("age", "continuous", unit="years", reading="bins", levels=tuple(np.arange(42.5, 82)))
READ = {"limits": REG, "sm": SM, "rank": RANK, "ukb": UKB}


def some_outputs(target, n=20, seed=0):
    return np.random.default_rng(seed).normal(0, 3, (n, target.n_outputs))


@pytest.mark.parametrize(("name", "n_outputs"), [("limits", 1), ("sm", 93), ("rank", 91), ("ukb", 40)])
def test_a_head_has_as_many_outputs_as_the_published_one(name, n_outputs):
    assert READ[name].n_outputs == n_outputs


def test_limits_are_those_of_a_relu_with_a_maximum_and_an_offset():
    outputs = np.array([[-50.0], [-0.1], [0.0], [40.25], [91.9], [92.0], [300.0]])
    expected = np.minimum(np.maximum(outputs[:, 0], 0), 92) + 3
    np.testing.assert_allclose(REG.decode(outputs)[0], expected, atol=1e-12)
    assert REG.decode(outputs)[0].min() == 3
    assert REG.decode(outputs)[0].max() == 95


def test_bins_are_the_mean_of_a_softmax():
    outputs = some_outputs(SM)
    chance = np.array([np.exp(row) / np.exp(row).sum() for row in outputs])
    np.testing.assert_allclose(SM.decode(outputs)[0], 3 + (chance * np.arange(93)).sum(1), rtol=1e-12)
    spread = [np.sqrt(np.average((np.arange(93) - np.average(range(93), weights=p)) ** 2, weights=p)) for p in chance]
    np.testing.assert_allclose(SM.spread(outputs), spread, rtol=1e-9)


def test_bins_of_logarithms_of_probabilities_are_those_of_their_scores():
    outputs = some_outputs(UKB)
    logarithms = outputs - np.log(np.exp(outputs).sum(1, keepdims=True))
    np.testing.assert_allclose(UKB.decode(outputs)[0], UKB.decode(logarithms)[0], rtol=1e-9)
    np.testing.assert_allclose(UKB.decode(logarithms)[0], np.exp(logarithms) @ (42.5 + np.arange(40)), rtol=1e-9)


def test_ranks_are_counted_as_rounded_sigmoids():
    outputs = some_outputs(RANK)
    expected = 3 + np.round(1 / (1 + np.exp(-outputs))).sum(1)
    np.testing.assert_array_equal(RANK.decode(outputs)[0], expected)
    # the rounding of numpy goes to the even side: one half is no rank
    assert RANK.decode(np.zeros((1, 91)))[0][0] == 3
    assert RANK.decode(np.full((1, 91), 9.0))[0][0] == 94


@pytest.mark.parametrize("name", ["sm", "ukb", "rank"])
@given(data=st.data())
@settings(max_examples=15)
def test_values_lie_among_the_levels_and_the_spread_within_their_range(name, data):
    target = READ[name]
    outputs = data.draw(arrays(float, (3, target.n_outputs), elements=st.floats(-700, 700)))
    values, probabilities = target.decode(outputs)
    assert probabilities.shape == (3, 0)
    assert (values >= target.levels[0] - 1e-9).all()
    assert (values <= target.levels[-1] + 1e-9).all()
    spread = target.spread(outputs)
    assert np.isfinite(spread).all()
    assert (spread >= 0).all()
    assert (spread <= (target.levels[-1] - target.levels[0]) / 2 + 1e-6).all()


def test_a_sure_head_has_no_spread_and_an_unsure_one_that_of_its_levels():
    sure = 60.0 * np.eye(40)[[3, 30]]
    np.testing.assert_allclose(UKB.decode(sure)[0], [45.5, 72.5])
    np.testing.assert_allclose(UKB.spread(sure), 0, atol=1e-6)
    np.testing.assert_allclose(UKB.spread(np.zeros((1, 40))), np.std(UKB.levels), rtol=1e-12)
    steps = np.where(np.arange(91) < 30, 40.0, -40.0)[None]
    np.testing.assert_allclose(RANK.spread(steps), 0, atol=1e-6)


@pytest.mark.parametrize(
    "target",
    [
        REG,
        Target("age", "continuous"),
        Target("sex", "binary", classes=("F", "M")),
        Target("site", "categorical", classes=("a", "b", "c")),
        Target("grade", "ordinal", classes=("0", "1", "2")),
    ],
)
def test_where_a_head_gives_no_distribution_of_values_there_is_no_spread(target):
    assert target.spread(some_outputs(target)) is None


# --- cards


@pytest.mark.parametrize("name", READ)
def test_a_reading_goes_to_json_and_back(name):
    again = Target.from_dict(json.loads(json.dumps(READ[name].to_dict())))
    assert again == READ[name]
    outputs = some_outputs(again)
    np.testing.assert_array_equal(again.decode(outputs)[0], READ[name].decode(outputs)[0])


def test_a_target_of_an_older_card_is_read_as_one_value():
    old = {"name": "age", "kind": "continuous", "column": "age", "classes": [], "unit": "years", "weight": 1.0,
           "location": 40.0, "scale": 10.0}  # fmt: skip
    target = Target.from_dict(old)
    assert (target.reading, target.levels, target.limits, target.n_outputs) == ("value", (), None, 1)
    np.testing.assert_allclose(target.decode(np.array([[-1.0], [9.0]]))[0], [30, 130])


@pytest.mark.parametrize("name", READ)
def test_a_new_head_for_the_same_target_is_one_value_without_limits(name):
    new = READ[name].scaled_to(np.array([20.0, 30.0, np.nan, 40.0]))
    assert (new.reading, new.levels, new.limits, new.n_outputs) == ("value", (), None, 1)
    assert (new.name, new.unit, new.location) == ("age", "years", 30.0)
    assert infer_target("age", pd.DataFrame({"age": [1.5, 2.5]})).reading == "value"


@pytest.mark.parametrize(
    "values",
    [
        {"reading": "median"},
        {"reading": "bins"},
        {"reading": "ranks", "levels": (3.0,)},
        {"reading": "bins", "levels": (3.0, 3.0)},
        {"reading": "bins", "levels": (5.0, 4.0)},
        {"reading": "bins", "levels": (1.0, float("nan"), 3.0)},
        {"reading": "bins", "levels": (1.0, float("inf"))},
        {"reading": "value", "levels": (1.0, 2.0)},
        {"limits": (3.0, 3.0)},
        {"limits": (95.0, 3.0)},
        {"limits": (1.0, float("nan"))},
        {"limits": (1.0, 2.0, 3.0)},
    ],
)
def test_what_cannot_be_is_refused(values):
    with pytest.raises(InputError, match="age"):
        Target("age", "continuous", **values)


@pytest.mark.parametrize("values", [{"limits": (0.0, 1.0)}, {"reading": "bins", "levels": (0.0, 1.0)}])
@pytest.mark.parametrize(("kind", "classes"), [("binary", ("a", "b")), ("ordinal", ("0", "1")), ("categorical", "abc")])
def test_classes_are_not_read_by_bins_or_limits(kind, classes, values):
    with pytest.raises(InputError, match="only a continuous one"):
        Target("x", kind, classes=tuple(classes), **values)


def test_every_reading_is_tested_here():
    assert {target.reading for target in READ.values()} == set(READINGS)
    assert replace(SM, weight=0.5).levels == SM.levels
