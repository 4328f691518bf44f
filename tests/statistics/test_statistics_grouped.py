"""Intervals over people: right by an independent bootstrap, wider than those over rows, honest where they cannot be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn.metrics import mean_absolute_error, roc_auc_score

from neurotransfer.seeding import stream
from neurotransfer.statistics import SCORES
from neurotransfer.statistics.grouped import people_intervals


def repeated(n_people, scans, seed=0):
    """Scans of people whose errors are those of the person: every further scan tells nothing new."""
    generator = np.random.default_rng(seed)
    truth, errors = generator.normal(50, 10, n_people), generator.normal(0, 5, n_people)
    people = np.repeat([f"p{number}" for number in range(n_people)], scans)
    return np.repeat(truth, scans), np.repeat(truth + errors, scans), people


def test_it_is_the_percentile_bootstrap_of_whole_people():
    observed, predicted, people = repeated(30, 3)
    found = people_intervals("continuous", observed, predicted, people, n_draws=2000, generator=stream(1, "a"))["mae"]
    names, generator = np.unique(people), np.random.default_rng(7)
    draws = []
    for _ in range(2000):
        rows = np.concatenate([np.flatnonzero(people == name) for name in generator.choice(names, len(names))])
        draws.append(mean_absolute_error(observed[rows], predicted[rows]))
    np.testing.assert_allclose(found, np.quantile(draws, [0.025, 0.975]), rtol=0.05)


def test_further_scans_of_the_same_people_make_no_surer():
    one, many = (
        people_intervals("continuous", *repeated(25, scans), generator=stream(2, "b"))["mae"] for scans in (1, 8)
    )
    np.testing.assert_allclose(one, many)
    observed, predicted, people = repeated(25, 8)
    as_if_apart = people_intervals("continuous", observed, predicted, np.arange(len(people)))["mae"]
    assert as_if_apart[1] - as_if_apart[0] < 0.6 * (many[1] - many[0])


def test_classes_have_the_intervals_of_their_scores():
    generator = np.random.default_rng(3)
    observed = generator.integers(0, 2, 80)
    probability = np.clip(0.3 + 0.4 * observed + generator.normal(0, 0.25, 80), 0, 1)
    found = people_intervals("binary", observed.astype(float), probability, np.arange(80))
    low, high = found["auc"]
    assert low < roc_auc_score(observed, probability) < high
    assert np.isnan(found["mae"]).all()
    assert set(found) == set(SCORES)


def test_a_categorical_target_takes_its_probabilities_along():
    generator = np.random.default_rng(4)
    observed = generator.integers(0, 3, 60).astype(float)
    probabilities = generator.dirichlet(np.ones(3), 60)
    found = people_intervals(
        "categorical", observed, probabilities.argmax(1).astype(float), np.arange(60), probabilities
    )
    assert all(np.isfinite(found[name]).all() for name in ("auc", "balanced_accuracy", "brier"))


@pytest.mark.parametrize("n", [0, 1, 4])
def test_of_fewer_than_five_people_there_is_none(n):
    found = people_intervals("continuous", np.arange(n, dtype=float), np.zeros(n), np.arange(n))
    assert all(np.isnan(ends).all() for ends in found.values())


def test_of_one_class_there_is_none():
    assert np.isnan(people_intervals("binary", np.ones(20), np.linspace(0, 1, 20), np.arange(20))["auc"]).all()


@given(some.integers(5, 20), some.integers(1, 3), some.integers(0, 100))
def test_the_ends_are_in_order_and_the_same_every_time(n, scans, seed):
    rows = repeated(n, scans, seed)
    first, again = (people_intervals("continuous", *rows, n_draws=20) for _ in range(2))
    assert repr(first) == repr(again)
    assert all(low <= high or np.isnan(low) for low, high in first.values())
