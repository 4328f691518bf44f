"""What features contain of a signal: known shares, none of noise, more features than people, intervals that hold."""

import numpy as np
import pytest

from neurotransfer.errors import InputError
from neurotransfer.statistics.contained import share_contained


def people(n=300, p=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, p))


def test_a_linear_signal_is_contained_whole_and_noise_is_not():
    features = people()
    whole = share_contained(features, features @ np.arange(8.0))
    assert whole.value > 0.999
    noise = share_contained(features, np.random.default_rng(9).normal(size=300))
    assert abs(noise.value) < 0.05
    assert noise.low < 0.02


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_known_share_is_found(share):
    found = []
    for seed in range(8):
        features = people(400, 5, seed)
        signal = features @ np.ones(5) / np.sqrt(5)
        noise = np.random.default_rng(seed + 50).normal(size=400)
        found.append(share_contained(features, np.sqrt(share) * signal + np.sqrt(1 - share) * noise, n_draws=200))
    assert np.mean([each.value for each in found]) == pytest.approx(share, abs=0.04)
    assert np.mean([each.low < share < each.high for each in found]) >= 0.7


def test_more_features_than_people_contain_no_noise():
    features = people(60, 400)
    assert share_contained(features, people(60, 1, 3)[:, 0], n_draws=100).value < 0.1
    # one strong direction among many
    direction = people(60, 1, 4)
    assert share_contained(features + 3 * direction, direction[:, 0], n_draws=100).value > 0.8


def test_units_of_the_signal_and_of_all_features_change_nothing():
    features = people()
    signal = features[:, 0] + people(300, 1, 5)[:, 0]
    first = share_contained(features, signal, n_draws=100)
    again = share_contained(1000 * features + 5, -3 * signal + 100, n_draws=100)
    assert again.value == pytest.approx(first.value)
    assert (again.low, again.high) == pytest.approx((first.low, first.high))


def test_columns_of_unlike_units_count_alike_where_they_are_no_layer():
    features = people() * np.r_[1e6, np.ones(7)]
    assert share_contained(features, features[:, 1], alike=False).value > 0.99


def test_several_columns_of_a_signal_are_one_share():
    features = people()
    signal = np.column_stack([features[:, 0], people(300, 1, 6)[:, 0]])
    # one of two columns of the same variance
    assert share_contained(features, signal).value == pytest.approx(0.5, abs=0.08)


def test_what_bends_is_not_contained():
    features = people()
    assert share_contained(features, np.abs(features[:, 0])).value < 0.1


@pytest.mark.parametrize(
    ("features", "signal", "said"),
    [
        (people(19), np.arange(19.0), "20 people or more"),
        (people(30), np.arange(29.0), "one row a person"),
        (people(30), np.ones(30), "differs"),
        (np.full((30, 2), np.nan), np.arange(30.0), "finite"),
    ],
    ids=["few", "unlike", "constant", "missing"],
)
def test_what_cannot_be_told_is_refused(features, signal, said):
    with pytest.raises(InputError, match=said):
        share_contained(features, signal)
