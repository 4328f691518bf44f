"""Steps of a curve: by hand, the coverage of single intervals and of all at once, sizes that are not known."""

import numpy as np
import pytest

from neurotransfer.errors import InputError
from neurotransfer.statistics.redrawn import Redrawn, by_replicates, by_standard_errors
from neurotransfer.statistics.steps import Step, steps


def draws(seed):
    return np.random.default_rng(seed)


def test_by_hand():
    deviations = np.array([[0, 0, 0], [0, 1, 0], [0, -1, 0], [0, 2, 1], [0, -2, -1.0]])
    found = steps(Redrawn(np.array([1.0, 4.0, 2.0]), deviations), level=0.5)
    # the quartiles of 0, 1, -1, 2, -2 are -1 and 1, those of 0, -1, 1, -1, 1 are the same
    assert found == (Step(0, 1, 3.0, 2.0, 4.0), Step(1, 2, -2.0, -3.0, -1.0))


def test_every_pair_by_hand():
    deviations = np.array([[0, 3, 0], [0, -3, 0.0]])
    found = steps(Redrawn(np.array([1.0, 4.0, 2.0]), deviations), every_pair=True)
    # the two differences with noise deviate by one standard error, 3, in every draw; the third not at all
    assert found == (Step(0, 1, 3.0, 0.0, 6.0), Step(0, 2, 1.0, 1.0, 1.0), Step(1, 2, -2.0, -5.0, 1.0))


def test_neighbours_that_are_not_known_are_passed_over():
    redrawn = by_standard_errors(np.array([0.1, np.nan, 0.4, 0.3, 0.9]), np.array([0.1, 0.1, 0.1, np.nan, 0.1]))
    assert [(step.start, step.end) for step in steps(redrawn)] == [(0, 2), (2, 4)]
    assert [(step.start, step.end) for step in steps(redrawn, every_pair=True)] == [(0, 2), (0, 4), (2, 4)]
    assert [round(step.difference, 6) for step in steps(redrawn)] == [0.3, 0.5]


def test_a_curve_of_one_size_has_no_step():
    redrawn = by_standard_errors(np.array([0.1]), np.array([0.1]))
    assert steps(redrawn) == steps(redrawn, every_pair=True) == ()


def covering(every_pair, n_studies=300):
    """How often one interval holds the true step, and how often all of a curve do."""
    truth, rng, held = np.array([0.5, 0.8, 0.7, 0.9]), draws(1), []
    for _ in range(n_studies):
        redrawn = by_replicates(truth + rng.normal(0, [0.3, 0.2, 0.1, 0.1], (40, 4)), 400, rng)
        found = steps(redrawn, every_pair=every_pair)
        held.append([step.low <= truth[step.end] - truth[step.start] <= step.high for step in found])
    return np.mean(held), np.mean(np.all(held, axis=1))


def test_a_single_interval_covers_its_step():
    each, together = covering(every_pair=False)
    # 900 intervals, three a study: a standard error of 0.7 points
    assert each == pytest.approx(0.95, abs=0.025)
    assert together < 0.92


def test_intervals_of_every_pair_hold_at_once():
    each, together = covering(every_pair=True)
    assert together == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 300))
    assert each > 0.97


def test_all_at_once_is_wider_than_alone():
    redrawn = by_replicates(draws(2).normal(size=(50, 5)))
    alone = {(step.start, step.end): step for step in steps(redrawn)}
    together = {(step.start, step.end): step for step in steps(redrawn, every_pair=True)}
    assert set(alone) < set(together)
    assert all(together[pair].high - together[pair].low > step.high - step.low for pair, step in alone.items())


def test_shared_noise_makes_steps_surer():
    shared = np.repeat(draws(3).normal(size=(500, 1)), 2, axis=1)
    (step,) = steps(Redrawn(np.array([0.0, 0.1]), shared))
    assert (step.low, step.high) == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(InputError, match=f"level is {level}"):
        steps(by_standard_errors(np.zeros(2), np.ones(2)), level=level)


def test_draws_that_are_never_whole_are_refused():
    deviations = np.array([[0.1, np.nan, 0.1], [np.nan, 0.1, 0.1], [0.1, 0.1, np.nan]])
    with pytest.raises(InputError, match="no draw"):
        steps(Redrawn(np.zeros(3), deviations))
