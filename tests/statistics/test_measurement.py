"""Variances of scores: by hand, by DeLong's sums, by the jackknife, and against the spread of many test parts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from neurotransfer.errors import InputError
from neurotransfer.statistics.measurement import measurement_variance
from neurotransfer.statistics.metrics import SCORES, scores


def draws(seed=0):
    return np.random.default_rng(seed)


def continuous(seed, n):
    generator = draws(seed)
    observed = generator.normal(50, 10, n)
    return observed, observed * 0.6 + 20 + generator.normal(0, 6, n)


def binary(seed, n):
    generator = draws(seed)
    observed = np.r_[0, 0, 1, 1, generator.integers(0, 2, n - 4)].astype(float)
    return observed, 1 / (1 + np.exp(-(1.2 * observed - 0.6 + generator.normal(0, 1, n))))


def categorical(seed, n):
    generator = draws(seed)
    observed = np.r_[0, 0, 1, 1, 2, 2, generator.integers(0, 3, n - 6)]
    logits = 1.2 * np.eye(3)[observed] + generator.normal(0, 1, (n, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return observed.astype(float), probabilities.argmax(1).astype(float), probabilities


def ordinal(seed, n):
    generator = draws(seed)
    observed = np.r_[0, 0, 1, 1, 2, 2, generator.integers(0, 3, n - 6)].astype(float)
    return observed, np.clip(observed * 0.7 + 0.3 + generator.normal(0, 0.5, n), 0, 2)


def sample(kind, seed, n):
    made = {"continuous": continuous, "binary": binary, "categorical": categorical, "ordinal": ordinal}[kind](seed, n)
    return made if len(made) == 3 else (*made, None)


EVERY = [(kind, name) for name, score in SCORES.items() for kind in score.kinds]


def jackknife(kind, name, observed, predicted, people, probabilities):
    """The variance by leaving out people (Quenouille; Efron & Stein 1981)."""
    each = []
    for person in np.unique(people):
        rows = people != person
        each.append(
            scores(kind, observed[rows], predicted[rows], None if probabilities is None else probabilities[rows])[name]
        )
    n = len(each)
    return (n - 1) / n * np.sum((np.array(each) - np.mean(each)) ** 2)


def delong(observed, predicted):
    """DeLong's variance from all pairs."""
    ones, zeros = predicted[observed == 1], predicted[observed == 0]
    psi = np.array([[1.0 if one > zero else 0.5 if one == zero else 0.0 for zero in zeros] for one in ones])
    return psi.mean(1).var(ddof=1) / len(ones) + psi.mean(0).var(ddof=1) / len(zeros)


@given(some.integers(0, 10_000), some.integers(6, 30), some.booleans())
@settings(deadline=None, max_examples=30)
def test_auc_is_delongs(seed, n, tied):
    observed, predicted = binary(seed, n)
    predicted = np.round(predicted, 1) if tied else predicted
    assert measurement_variance(observed, predicted, "binary", "auc") == pytest.approx(delong(observed, predicted))


def test_auc_by_hand():
    # placements of the ones 1 and 1/2, of the zeros 1 and 1/2: (1/8) / 2 + (1/8) / 2
    found = measurement_variance(np.array([0, 0, 1, 1]), np.array([0.1, 0.5, 0.4, 0.9]), "binary", "auc")
    assert found == pytest.approx(1 / 8)


def test_the_variance_of_a_mean():
    observed, predicted = continuous(1, 30)
    errors = np.abs(observed - predicted)
    assert measurement_variance(observed, predicted, "continuous", "mae") == pytest.approx(errors.var(ddof=1) / 30)
    observed, predicted = binary(1, 30)
    squares = (observed - predicted) ** 2
    assert measurement_variance(observed, predicted, "binary", "brier") == pytest.approx(squares.var(ddof=1) / 30)


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_it_is_near_the_jackknife(kind, name):
    observed, predicted, probabilities = sample(kind, 2, 400)
    expected = jackknife(kind, name, observed, predicted, np.arange(400), probabilities)
    found = measurement_variance(observed, predicted, kind, name, probabilities=probabilities)
    assert found == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_several_rows_of_a_person_are_near_the_jackknife_over_people(kind, name):
    observed, predicted, probabilities = sample(kind, 3, 300)
    generator = draws(3)
    rows = np.repeat(np.arange(300), generator.integers(1, 4, 300))
    observed, people = observed[rows], rows
    if probabilities is None:
        predicted = predicted[rows] + generator.normal(0, 0.05, len(rows))
    else:
        predicted, probabilities = predicted[rows], probabilities[rows]
    expected = jackknife(kind, name, observed, predicted, people, probabilities)
    found = measurement_variance(observed, predicted, kind, name, people, probabilities)
    assert found == pytest.approx(expected, rel=0.05)
    as_if_apart = measurement_variance(observed, predicted, kind, name, probabilities=probabilities)
    assert found > 1.4 * as_if_apart


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_it_is_the_variance_over_many_test_parts(kind, name):
    found, values = [], []
    for seed in range(250):
        observed, predicted, probabilities = sample(kind, 100 + seed, 60)
        values.append(scores(kind, observed, predicted, probabilities)[name])
        found.append(measurement_variance(observed, predicted, kind, name, probabilities=probabilities))
    # the variance of 250 normal values is sure to 9 %
    assert np.mean(found) == pytest.approx(np.var(values, ddof=1), rel=0.27)


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_whole_people_twice_say_nothing_new(kind, name):
    observed, predicted, probabilities = sample(kind, 4, 40)
    once = measurement_variance(observed, predicted, kind, name, probabilities=probabilities)
    twice = None if probabilities is None else np.tile(probabilities, (2, 1))
    people = np.tile(np.arange(40), 2)
    found = measurement_variance(np.tile(observed, 2), np.tile(predicted, 2), kind, name, people, twice)
    assert found == pytest.approx(once)


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_neither_order_nor_unknown_rows_matter(kind, name):
    observed, predicted, probabilities = sample(kind, 5, 40)
    order = draws(5).permutation(42)
    more = np.r_[observed, np.nan, np.nan][order], np.r_[predicted, 1.0, 0.0][order]
    shown = None if probabilities is None else np.r_[probabilities, probabilities[:2]][order]
    there = measurement_variance(observed, predicted, kind, name, probabilities=probabilities)
    assert measurement_variance(*more, kind, name, probabilities=shown) == pytest.approx(there)


@given(some.floats(0.1, 10), some.floats(-100, 100))
@settings(deadline=None, max_examples=20)
def test_the_unit_of_a_target(factor, offset):
    observed, predicted = continuous(6, 30)
    moved = factor * observed + offset, factor * predicted + offset
    for name in ("mae", "rae", "r", "r2"):
        there = measurement_variance(observed, predicted, "continuous", name)
        scale = factor**2 if name == "mae" else 1.0
        assert measurement_variance(*moved, "continuous", name) == pytest.approx(scale * there, rel=1e-6)


def test_what_has_no_variance_is_nan():
    observed, predicted = continuous(7, 10)
    alone = np.zeros(10)
    assert math.isnan(measurement_variance(observed, predicted, "continuous", "mae", alone))
    assert math.isnan(measurement_variance(np.ones(10), predicted, "continuous", "r"))
    assert math.isnan(measurement_variance(observed, np.full(10, np.nan), "continuous", "mae"))
    assert math.isnan(measurement_variance(observed[:1], predicted[:1], "continuous", "mae"))
    assert math.isnan(measurement_variance(np.array([0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.9]), "binary", "auc"))
    assert math.isnan(measurement_variance(np.zeros(4), np.array([0.1, 0.2, 0.3, 0.9]), "binary", "auc"))


def test_a_perfect_auc_has_none_left():
    assert measurement_variance(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]), "binary", "auc") == 0


def test_what_cannot_be_used_is_said():
    observed, predicted = continuous(8, 10)
    with pytest.raises(InputError, match="unknown score of a continuous target 'auc'; allowed: mae, rae, r, r2"):
        measurement_variance(observed, predicted, "continuous", "auc")
    with pytest.raises(InputError, match="people has 9 rows"):
        measurement_variance(observed, predicted, "continuous", "mae", np.arange(9))
