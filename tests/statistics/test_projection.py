"""Fits by variable projection against plain searches over all parameters at once."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from neurotransfer.statistics.projection import project, sharpen
from neurotransfer.statistics.shapes import SHAPES

SIZES = np.array([50.0, 120.0, 300.0, 700.0, 1500.0, 4000.0])
SEM = np.array([0.02, 0.015, 0.01, 0.01, 0.008, 0.008])


def curves(n, seed=0, noise=1.0):
    rising = 0.8 - 0.3 * (SIZES / 50) ** -0.5
    return rising + noise * SEM * np.random.default_rng(seed).normal(size=(n, len(SIZES)))


def searched(shape, curve, best_possible):
    """The least chi-square that scipy finds over all parameters from many starts."""
    tried = np.log(shape.starts(SIZES))
    n_linear = shape.columns(SIZES, np.ones(1), SIZES[0]).shape[2]

    def residuals(parameters):
        columns = shape.columns(SIZES, np.exp(parameters[-1:]), SIZES[0])[0]
        return (columns @ parameters[:-1] - curve) / SEM

    low = [-np.inf, *[0.0] * (n_linear - 1), tried[0] - 1e-9]
    high = [best_possible, *[np.inf] * (n_linear - 1), tried[-1] + 1e-9]
    starts = [[0.6, *[0.1] * (n_linear - 1), start] for start in np.linspace(tried[0], tried[-1], 7)]
    return min(2 * least_squares(residuals, start, bounds=(low, high), xtol=1e-12).cost for start in starts)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("best_possible", [np.inf, 0.85])
def test_the_optimum_is_that_of_a_search_over_all_parameters(name, best_possible):
    shape = SHAPES[name]
    noisy = curves(4, noise=2.0)
    found = project(shape, SIZES, noisy, SEM, best_possible)
    expected = [searched(shape, curve, best_possible) for curve in noisy]
    # where a bound begins to hold, the profile has a kink that a parabola misses a little
    np.testing.assert_allclose(found.chi_square, expected, atol=0.1)
    assert np.median(found.chi_square - expected) < 0.001
    sharp = sharpen(found, shape, SIZES, noisy, SEM, best_possible)
    assert sharp.chi_square[0] == pytest.approx(expected[0], abs=1e-5)
    np.testing.assert_array_equal(sharp.chi_square[1:], found.chi_square[1:])


@pytest.mark.parametrize("name", SHAPES)
def test_chi_square_is_that_of_the_curve_that_is_given_back(name):
    noisy = curves(50, noise=3.0)
    found = project(SHAPES[name], SIZES, noisy, SEM, 0.82)
    again = (((found.at(SHAPES[name], SIZES, SIZES[0]) - noisy) / SEM) ** 2).sum(1)
    np.testing.assert_allclose(found.chi_square, again, rtol=1e-9, atol=1e-9)
    assert (found.linear[:, 0] <= 0.82).all()
    assert (found.linear[:, 1:] >= 0).all()


def test_many_curves_at_once_are_fitted_as_each_alone():
    noisy, shape = curves(5), SHAPES["power"]
    together = project(shape, SIZES, noisy, SEM, 1.0)
    alone = [project(shape, SIZES, curve[None], SEM, 1.0).linear[0] for curve in noisy]
    np.testing.assert_allclose(together.linear, alone, atol=1e-8)


@pytest.mark.parametrize("name", ["power", "exponential", "two-phase"])
def test_a_falling_curve_becomes_its_weighted_mean(name):
    falling = np.linspace(0.8, 0.6, 6)[None]
    found = project(SHAPES[name], SIZES, falling, SEM, 1.0)
    mean = (falling / SEM**2).sum() / (1 / SEM**2).sum()
    np.testing.assert_allclose(found.at(SHAPES[name], SIZES, SIZES[0])[0], mean)


def test_a_curve_beyond_the_best_possible_score_stays_at_it():
    beyond = np.full((1, 6), 1.01)
    found = project(SHAPES["power"], SIZES, beyond, SEM, 1.0)
    np.testing.assert_array_equal(found.at(SHAPES["power"], SIZES, SIZES[0])[0], 1.0)


def test_columns_take_sizes_of_each_curve():
    found = project(SHAPES["two-phase"], SIZES, curves(3), SEM, 1.0)
    own = np.array([[100.0], [200.0], [300.0]])
    expected = found.at(SHAPES["two-phase"], own[:, 0], SIZES[0]).diagonal()
    np.testing.assert_allclose(found.at(SHAPES["two-phase"], own, SIZES[0])[:, 0], expected)
