"""Redrawn curves: their spread against formulas and against measuring again, what is missing, what is refused."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurotransfer.errors import InputError
from neurotransfer.statistics import redrawn as module
from neurotransfer.statistics.redrawn import Redrawn, by_replicates, by_standard_errors, mean_deviations


def draws(seed):
    return np.random.default_rng(seed)


def test_the_curve_is_the_mean_of_what_is_there():
    scores = np.array([[1.0, 5.0, np.nan], [2.0, np.nan, np.nan], [3.0, 7.0, np.nan], [6.0, 9.0, 4.0]])
    redrawn = by_replicates(scores, n_draws=50)
    np.testing.assert_allclose(redrawn.curve, [3.0, 7.0, 4.0])
    assert redrawn.deviations.shape == (50, 3)


def test_a_size_with_too_few_replicates_has_a_mean_and_no_deviations():
    scores = np.array([[1.0, 5.0, np.nan], [2.0, 6.0, np.nan], [3.0, np.nan, np.nan]])
    redrawn = by_replicates(scores, n_draws=20)
    np.testing.assert_array_equal(redrawn.known, [True, False, False])
    np.testing.assert_array_equal(redrawn.curve, [2.0, 5.5, np.nan])
    assert np.isnan(redrawn.deviations[:, 1:]).all()
    assert np.isnan(redrawn.standard_errors[1:]).all()


@pytest.mark.parametrize("n_replicates", [20, 100])
def test_replicates_deviate_by_the_standard_error_of_the_mean(n_replicates):
    scores = draws(1).normal(0.7, 0.05, (n_replicates, 4)) * [1, 2, 3, 4]
    expected = scores.std(axis=0, ddof=1) / np.sqrt(n_replicates)
    # a t distribution is wider than the normal one
    widened = np.sqrt((n_replicates - 1) / (n_replicates - 3))
    found = by_replicates(scores, n_draws=20_000).standard_errors
    np.testing.assert_allclose(found, expected * widened, rtol=0.03)


@pytest.mark.parametrize("n_replicates", [5, 12, 60])
def test_means_of_normal_scores_deviate_as_students_t(n_replicates):
    quantiles = [0.9, 0.95, 0.975]
    found = []
    for seed in range(300):
        values = draws(seed).normal(0, 1, n_replicates)
        deviations = mean_deviations(values, 2000, draws(seed + 1000))
        found.append(np.quantile(deviations, quantiles) / (values.std(ddof=1) / np.sqrt(n_replicates)))
    expected = scipy.stats.t.ppf(quantiles, n_replicates - 1)
    np.testing.assert_allclose(np.mean(found, axis=0), expected, rtol=0.06)


@pytest.mark.parametrize("n_replicates", [4, 10, 50])
def test_intervals_of_a_mean_cover_it(n_replicates):
    covered = 0
    for seed in range(600):
        redrawn = by_replicates(draws(seed).normal(3.0, 2.0, (n_replicates, 1)), 400, draws(seed + 5000))
        low, high = redrawn.curve[0] + np.quantile(redrawn.deviations[:, 0], [0.025, 0.975])
        covered += low <= 3.0 <= high
    # 600 intervals: a standard error of 0.9 points, and the tails of a resampled mean of four are lighter than normal ones
    assert 0.92 <= covered / 600 <= 0.975


def test_sizes_are_drawn_apart_and_draws_are_many():
    scores = np.repeat(draws(2).normal(size=(60, 1)), 3, axis=1)
    deviations = by_replicates(scores, n_draws=4000).deviations
    np.testing.assert_allclose(np.corrcoef(deviations.T), np.eye(3), atol=0.06)
    assert len(np.unique(deviations[:, 0])) > 3000


def test_a_paired_difference_varies_less_than_either():
    rng = draws(3)
    split = rng.normal(0, 0.1, (100, 2))
    first, second = split + rng.normal(0, 0.01, (100, 2)), split + rng.normal(0, 0.01, (100, 2))
    difference = by_replicates(first - second)
    assert (difference.standard_errors < 0.3 * by_replicates(first).standard_errors).all()


def test_equal_scores_do_not_vary_at_all():
    redrawn = by_replicates(np.full((7, 2), 0.1))
    assert (redrawn.deviations == 0).all()
    assert redrawn.known.all()


def test_the_same_draws_every_time_unless_a_generator_says_otherwise():
    scores = draws(4).normal(size=(10, 2))
    first, again = by_replicates(scores), by_replicates(scores)
    np.testing.assert_array_equal(first.deviations, again.deviations)
    other = by_replicates(scores, generator=draws(9)).deviations
    assert not np.array_equal(other, first.deviations)
    np.testing.assert_array_equal(other, by_replicates(scores, generator=draws(9)).deviations)


def test_chunks_do_not_change_the_number_of_draws(monkeypatch):
    values = draws(5).normal(size=30)
    whole = mean_deviations(values, 1001, draws(1))
    monkeypatch.setattr(module, "_CELLS_AT_ONCE", 100)
    parts = mean_deviations(values, 1001, draws(1))
    assert parts.shape == whole.shape == (1001,)
    assert parts.std() == pytest.approx(whole.std(), rel=0.15)


@given(
    arrays(float, (6, 2), elements=st.integers(-50, 50).map(lambda level: level / 8)),
    st.sampled_from([-2.0, 0.25, 8.0]),
    st.integers(-3, 3),
)
@settings(deadline=None, max_examples=40)
def test_another_unit_changes_nothing_else(scores, factor, shift):
    plain, other = by_replicates(scores, 30), by_replicates(factor * scores + shift, 30)
    np.testing.assert_allclose(other.curve, factor * plain.curve + shift, atol=1e-9)
    np.testing.assert_allclose(other.deviations, factor * plain.deviations, atol=1e-9)


def test_standard_errors_come_back():
    sem = np.array([0.02, 0.0, 0.1])
    redrawn = by_standard_errors(np.array([0.5, 0.6, 0.7]), sem, n_draws=20_000)
    np.testing.assert_allclose(redrawn.standard_errors, sem, rtol=0.03)
    np.testing.assert_allclose(redrawn.deviations.mean(axis=0), 0, atol=0.003)
    assert scipy.stats.kstest(redrawn.deviations[:2000, 0] / 0.02, "norm").pvalue > 0.01
    assert abs(np.corrcoef(redrawn.deviations[:, [0, 2]].T)[0, 1]) < 0.03


def test_a_standard_error_that_is_not_known_leaves_its_size_unknown():
    redrawn = by_standard_errors(np.array([0.5, np.nan, 0.7]), np.array([0.1, 0.1, np.nan]))
    np.testing.assert_array_equal(redrawn.known, [True, False, False])
    places, curve, deviations = redrawn.only_known()
    np.testing.assert_array_equal(places, [0])
    np.testing.assert_array_equal(curve, [0.5])
    assert deviations.shape == (2000, 1)


def test_draws_without_a_score_at_some_size_are_left_out_where_all_sizes_are_needed():
    deviations = np.array([[0.1, np.nan, np.nan], [0.2, 0.3, np.nan], [-0.1, -0.2, 0.5]])
    redrawn = Redrawn(np.array([1.0, 2.0, 3.0]), deviations)
    np.testing.assert_array_equal(redrawn.known, [True, True, False])
    np.testing.assert_array_equal(redrawn.only_known()[2], [[0.2, 0.3], [-0.1, -0.2]])
    np.testing.assert_allclose(redrawn.standard_errors[:2], np.sqrt([0.06 / 3, 0.13 / 2]))


@pytest.mark.parametrize(
    ("curve", "deviations", "found"),
    [
        (np.zeros((2, 2)), np.zeros((3, 2)), r"\(2, 2\)"),
        (np.zeros(0), np.zeros((3, 0)), r"\(0,\)"),
        (np.zeros(2), np.zeros((3, 4)), r"\(3, 4\)"),
        (np.zeros(2), np.zeros((0, 2)), r"\(0, 2\)"),
        (np.zeros(2), np.zeros(2), r"\(2,\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(curve, deviations, found):
    with pytest.raises(InputError, match=found):
        Redrawn(curve, deviations)


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="a column a size"):
        by_replicates(np.zeros(5))
    with pytest.raises(InputError, match="n_draws is 0"):
        by_replicates(np.zeros((5, 2)), n_draws=0)
    with pytest.raises(InputError, match="n_draws is -1"):
        by_standard_errors(np.zeros(2), np.ones(2), n_draws=-1)
    with pytest.raises(InputError, match="the same"):
        by_standard_errors(np.zeros(2), np.ones(3))
    with pytest.raises(InputError, match=r"-0\.1"):
        by_standard_errors(np.zeros(2), np.array([0.1, -0.1]))
