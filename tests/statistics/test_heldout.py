"""Which shape is chosen: the null holds its level, what is strong is found, what is simple is not made complicated."""

import numpy as np
import pytest

from neurotransfer.statistics.heldout import Curves, choose_shapes, held_out_loss
from neurotransfer.statistics.projection import project
from neurotransfer.statistics.shapes import SHAPES

SIZES = np.array([100.0, 200.0, 400.0, 800.0, 1600.0])


def noisy(true, sem, n=400, seed=0, bounds=(0.0, 1.0), sizes=SIZES):
    sem = np.broadcast_to(np.asarray(sem, float), sizes.shape)
    deviations = np.random.default_rng(seed).normal(size=(n, len(sizes))) * sem
    return Curves(sizes, true + np.concatenate([np.zeros((1, len(sizes))), deviations]), sem, bounds)


def shares(curves, shapes=SHAPES):
    names = choose_shapes(curves, shapes).names[1:]
    return {name: float(np.mean(names == name)) for name in shapes}


@pytest.mark.parametrize("sem", [0.005, 0.02])
def test_flat_curves_are_called_flat(sem):
    # each of two rungs may be climbed by 5 in 100
    assert 0.88 <= shares(noisy(np.full(5, 0.7), sem))["flat"] <= 0.98


@pytest.mark.parametrize("sem", [0.005, 0.01, 0.02])
def test_power_laws_are_not_made_two_phases(sem):
    found = shares(noisy(0.85 - 0.3 * (SIZES / 100) ** -0.5, sem))
    assert found["two-phase"] <= 0.08
    assert found["flat"] <= 0.02
    assert found["power"] > found["exponential"]


def test_exponentials_are_told_from_power_laws_where_noise_allows():
    found = shares(noisy(0.8 - 0.3 * np.exp(-(SIZES - 100) / 250), 0.004))
    assert found["exponential"] >= 0.8


@pytest.mark.parametrize("true", [[0.6, 0.6, 0.6, 0.68, 0.76], [0.5, 0.6, 0.7, 0.71, 0.72]])
def test_strong_phases_are_found(true):
    assert shares(noisy(np.array(true), 0.004))["two-phase"] >= 0.9


def test_held_out_loss_by_hand():
    curves = Curves(np.array([1.0, 2.0, 4.0]), np.array([[0.5, 0.6, 0.8]]), np.array([0.1, 0.1, 0.2]), (0, 1))
    without_second = (0.5 * 100 + 0.8 * 25) / 125
    without_third = 0.55
    expected = (((0.6 - without_second) / 0.1) ** 2 + ((0.8 - without_third) / 0.2) ** 2) / 2
    assert held_out_loss(SHAPES["flat"], curves)[0] == pytest.approx(expected)


def test_held_out_loss_of_a_true_curve_without_noise_is_nothing():
    curves = noisy(0.85 - 0.3 * (SIZES / 100) ** -0.5, 0.01, n=1)
    assert held_out_loss(SHAPES["power"], curves)[0] < 0.01
    assert held_out_loss(SHAPES["flat"], curves)[0] > 20


def test_held_out_sizes_are_not_seen():
    one = noisy(0.85 - 0.3 * (SIZES / 100) ** -0.5, 0.01, n=1)
    kept = one.without(4)
    assert kept.values.shape == (2, 4)
    found = project(SHAPES["power"], kept.sizes, kept.values, kept.sem, 1.0)
    predicted = found.at(SHAPES["power"], SIZES[4:], 100.0)[:, 0]
    changed = Curves(SIZES, one.values + np.array([0, 0, 0, 0, 0.1]), one.sem, (0.0, np.inf))
    again = changed.without(4)
    np.testing.assert_array_equal(again.values, kept.values)
    assert predicted[0] == pytest.approx(one.values[0, 4], abs=0.002)


def test_p_is_uniform_for_the_true_shape_and_small_for_a_wrong_one():
    true = 0.8 - 0.2 * (SIZES / 100) ** -0.5
    found = []
    for seed in range(60):
        deviations = noisy(np.zeros(5), 0.01, n=100, seed=1000 + seed)
        observed = noisy(true, 0.01, n=1, seed=seed).values[1]
        curves = Curves(SIZES, observed + deviations.values, deviations.sem, (0.0, 1.0))
        found.append(choose_shapes(curves, {name: SHAPES[name] for name in ("flat", "power")}).p)
    power = np.array([p["power"] for p in found])
    # bounds that bind make it a little less than uniform
    assert 0.3 < power.mean() < 0.75
    assert (power < 0.05).mean() <= 0.15
    assert max(p["flat"] for p in found) < 0.01


def test_of_shapes_with_as_many_parameters_the_best_fit_wins():
    power_only = choose_shapes(noisy(np.full(5, 0.7), 0.01, n=50), {"power": SHAPES["power"]})
    assert set(power_only.names) == {"power"}
    both = {name: SHAPES[name] for name in ("power", "exponential")}
    chosen = choose_shapes(noisy(0.8 - 0.2 * (SIZES / 100) ** -0.5, 0.01, n=50), both)
    fits = np.array([chosen.fits["power"].chi_square, chosen.fits["exponential"].chi_square])
    np.testing.assert_array_equal(chosen.names == "exponential", fits.argmin(0) == 1)
    assert set(chosen.names) == {"power", "exponential"}


def test_asymptotes_of_two_phases_are_the_bound_unless_the_second_gain_is_nothing():
    chosen = choose_shapes(noisy(np.array([0.5, 0.6, 0.7, 0.7, 0.69]), 0.004, n=40), {"two-phase": SHAPES["two-phase"]})
    second_gain = chosen.fits["two-phase"].linear[:, 2]
    asymptotes = chosen.asymptotes()
    np.testing.assert_array_equal(asymptotes[second_gain > 0], 1.0)
    assert (second_gain == 0).any()
    assert (abs(asymptotes[second_gain == 0] - 0.7) < 0.02).all()
