"""Power to see a dip: against studies that are simulated and tested one by one, against a formula, and what it must obey."""

import numpy as np
import pytest
import scipy.stats

from neurotransfer.errors import InputError
from neurotransfer.statistics.dip_power import power_to_see, smallest_visible
from neurotransfer.statistics.monotone import monotone_test
from neurotransfer.statistics.redrawn import Redrawn, by_replicates, by_standard_errors

CURVE, ERRORS = np.array([0.55, 0.65, 0.72, 0.75]), np.array([0.03, 0.02, 0.01, 0.01])


def draws(seed):
    return np.random.default_rng(seed)


def studies(truth, errors, n_studies, seed=0):
    rng, found = draws(seed), []
    for _ in range(n_studies):
        curve = truth + errors * rng.standard_normal(len(truth))
        found.append(monotone_test(by_standard_errors(curve, errors, 299, rng), True).p_dip <= 0.05)
    return np.mean(found)


@pytest.mark.parametrize(("depth", "place"), [(0.02, 2), (0.04, 2), (0.06, 0)])
def test_agrees_with_studies_one_by_one(depth, place):
    redrawn = by_standard_errors(CURVE, ERRORS, 4000)
    # all rises of this curve are more than noise, so it is itself what the dip is put on
    truth = CURVE.copy()
    truth[place + 1] = truth[place] - depth
    # two shares of 400 and 250 trials: a standard error of at most 4 points
    assert power_to_see(redrawn, depth, place, True) == pytest.approx(studies(truth, ERRORS, 250), abs=0.12)


@pytest.mark.parametrize("depth", [0.0, 1.0, 2.0, 4.0])
def test_of_two_sizes_it_is_a_normal_test(depth):
    redrawn = by_standard_errors(np.array([0.0, 0.0]), np.ones(2), 4000)
    expected = scipy.stats.norm.cdf(depth / np.sqrt(2) - scipy.stats.norm.ppf(0.95))
    assert power_to_see(redrawn, depth, 0, True, n_trials=1500) == pytest.approx(expected, abs=0.06)


def test_rises_with_depth_and_falls_with_noise():
    powers = [power_to_see(by_standard_errors(CURVE, ERRORS), depth, 1, True) for depth in (0, 0.02, 0.05, 0.12)]
    assert powers == sorted(powers)
    assert powers[0] < 0.12
    assert powers[-1] > 0.95
    noisy = [power_to_see(by_standard_errors(CURVE, times * ERRORS), 0.04, 1, True) for times in (0.5, 1, 2, 4)]
    assert noisy == sorted(noisy, reverse=True)


def test_errors_are_the_mirror_image_of_scores():
    up = by_standard_errors(CURVE, ERRORS)
    down = Redrawn(-up.curve, -up.deviations)
    assert power_to_see(up, 0.03, 1, True) == power_to_see(down, 0.03, 1, False)
    assert smallest_visible(up, 1, True) == smallest_visible(down, 1, False)


def test_the_smallest_visible_depth_has_the_power_that_was_wished():
    redrawn = by_standard_errors(CURVE, ERRORS, 4000)
    for power in (0.5, 0.8, 0.95):
        depth = smallest_visible(redrawn, 1, True, power=power)
        assert power_to_see(redrawn, depth, 1, True) == pytest.approx(power, abs=0.04)


def test_of_two_sizes_the_smallest_visible_depth_is_that_of_a_normal_test():
    redrawn = by_standard_errors(np.zeros(2), np.full(2, 0.01), 4000)
    expected = 0.01 * np.sqrt(2) * (scipy.stats.norm.ppf(0.95) + scipy.stats.norm.ppf(0.8))
    assert smallest_visible(redrawn, 0, True, n_trials=1500) == pytest.approx(expected, rel=0.08)


def test_what_is_visible_scales_with_the_noise():
    flat = [by_standard_errors(np.zeros(4), errors * np.ones(4)) for errors in (0.01, 0.02)]
    first, second = (smallest_visible(redrawn, 1, True) for redrawn in flat)
    assert second == pytest.approx(2 * first, rel=0.03)


def test_without_noise_everything_is_visible():
    redrawn = by_replicates(np.tile([0.5, 0.6, 0.7], (5, 1)))
    assert smallest_visible(redrawn, 0, True) == 0
    assert power_to_see(redrawn, 1e-6, 0, True) == 1
    assert power_to_see(redrawn, 0.0, 0, True) == 0


def test_sizes_that_are_not_known_are_passed_over():
    holes = by_standard_errors(np.insert(CURVE, 2, np.nan), np.insert(ERRORS, 2, 0.01), 4000)
    whole = by_standard_errors(CURVE, ERRORS, 4000)
    assert power_to_see(holes, 0.05, 1, True) == pytest.approx(power_to_see(whole, 0.05, 1, True), abs=0.1)
    with pytest.raises(InputError, match=r"\[0, 1, 3\]"):
        power_to_see(holes, 0.05, 2, True)


def test_the_same_draws_every_time_unless_a_generator_says_otherwise():
    redrawn = by_standard_errors(CURVE, ERRORS)
    assert power_to_see(redrawn, 0.03, 1, True) == power_to_see(redrawn, 0.03, 1, True)
    others = {power_to_see(redrawn, 0.03, 1, True, generator=draws(seed)) for seed in range(4)}
    assert len(others) > 1


def test_few_draws_are_used_again():
    few = by_standard_errors(CURVE, ERRORS, 60)
    assert 0 <= power_to_see(few, 0.03, 1, True, n_trials=100) <= 1


def test_what_makes_no_sense_is_refused():
    redrawn = by_standard_errors(CURVE, ERRORS)
    for depth in (-0.1, np.nan):
        with pytest.raises(InputError, match="depth"):
            power_to_see(redrawn, depth, 1, True)
    for place in (-1, 3, 9):
        with pytest.raises(InputError, match=f"place {place}"):
            power_to_see(redrawn, 0.1, place, True)
    with pytest.raises(InputError, match="39 draws"):
        power_to_see(by_standard_errors(CURVE, ERRORS, 39), 0.1, 1, True)
    with pytest.raises(InputError, match="level 5"):
        power_to_see(redrawn, 0.1, 1, True, level=5)
    with pytest.raises(InputError, match="n_trials 0"):
        smallest_visible(redrawn, 1, True, n_trials=0)
    for power in (0.01, 1.0):
        with pytest.raises(InputError, match="wished power"):
            smallest_visible(redrawn, 1, True, power=power)
