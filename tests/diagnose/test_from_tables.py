"""What the table of fits alone says, on made-up fits whose truth is known."""

import made_up
import numpy as np
import pytest

from neurotransfer.diagnose.anomaly import DIP, NONE, Anomaly
from neurotransfer.diagnose.case import case_of
from neurotransfer.diagnose.from_tables import Fit, fit_of, gains_of_tables, tables_of
from neurotransfer.diagnose.gains import Gain
from neurotransfer.diagnose.gates import gated

PENALTIES = tuple({"penalty": value} for value in (0.1, 1.0, 10.0))


def case(quality, noise, n=60, settings=PENALTIES, seed=0, train=None):
    """A curve whose settings have these true qualities (K, S) and validation scores with so much noise."""
    generator = np.random.default_rng(seed)
    quality = np.asarray(quality, float)
    validation = quality + noise * generator.standard_normal((n, *quality.shape))
    chosen = validation.argmax(2)
    scores = np.take_along_axis(np.broadcast_to(quality, validation.shape), chosen[..., None], 2)[..., 0]
    table = made_up.fits(scores, settings=settings, validation=validation, train=train)
    return case_of(table, made_up.TASK, "linear", "linear")


def test_choosing_by_noise_costs_what_it_costs():
    quality = np.tile([0.6, 0.7, 0.6], (5, 1))
    noisy, exact = case(quality, 0.1), case(quality, 0.001)
    gains, words = gains_of_tables(noisy, tables_of(noisy), 0)
    truth = 0.7 - noisy.mean
    np.testing.assert_allclose(gains["selection"].points, truth, atol=0.02)
    assert (gains["selection"].interval()[0] > 0).all()
    assert "did not choose" in words["selection"]
    none, _ = gains_of_tables(exact, tables_of(exact), 0)
    np.testing.assert_allclose(none["selection"].points, 0, atol=1e-3)


def test_equal_settings_cost_nothing():
    equal = case(np.full((5, 3), 0.7), 0.1)
    gains, _ = gains_of_tables(equal, tables_of(equal), 0)
    low, high = np.quantile(gains["selection"].draws.mean(1), [0.025, 0.975])
    assert low < 0 < high
    assert abs(gains["selection"].points.mean()) < 0.015


def test_scores_that_still_rise_at_an_end_are_an_edge():
    rising = case(np.tile([0.60, 0.66, 0.72], (5, 1)), 0.01)
    tables = tables_of(rising)
    assert {n: found[:2] for n, found in tables.ends.items()} == dict.fromkeys(made_up.SIZES, ("penalty", "highest"))
    gains, words = gains_of_tables(rising, tables, 0)
    np.testing.assert_allclose(gains["edge"].points, 0.06, atol=0.02)
    assert "highest penalty at n = 50" in words["edge"]


def test_a_best_value_inside_the_grid_is_no_edge():
    inside = case(np.tile([0.60, 0.72, 0.66], (5, 1)), 0.01)
    tables = tables_of(inside)
    assert not tables.ends
    gains, words = gains_of_tables(inside, tables, 0)
    np.testing.assert_array_equal(gains["edge"].points, 0)
    assert "no end of the grid" in words["edge"]


def test_what_cannot_be_moved_on_is_no_edge():
    dropouts = tuple({"dropout": value} for value in (0.0, 0.25, 0.5))
    lowest = case(np.tile([0.72, 0.66, 0.60], (5, 1)), 0.01, settings=dropouts)
    assert not tables_of(lowest).ends


@pytest.mark.parametrize(
    ("n", "settings"), [(4, PENALTIES), (30, PENALTIES[:1])], ids=["few replicates", "one setting"]
)
def test_where_nothing_was_chosen_nothing_is_said(n, settings):
    small = case(np.full((5, len(settings)), 0.7), 0.01, n=n, settings=settings)
    tables = tables_of(small)
    gains, words = gains_of_tables(small, tables, 0)
    assert not gains
    assert not tables.selection
    assert words["selection"].startswith("needs 5 replicates")


def test_two_values_are_no_grid_that_has_an_edge():
    two = case(np.tile([0.6, 0.7], (5, 1)), 0.01, settings=PENALTIES[:2])
    gains, words = gains_of_tables(two, tables_of(two), 0)
    assert set(gains) == {"selection"}
    assert "3 values or more" in words["edge"]


def test_how_well_training_people_are_fitted():
    found = fit_of(case(np.full((5, 3), 0.7), 0.01, train={"train_auc": [1.0, 1.0, 0.995, 0.9, 0.85]}))
    assert found.score == "auc"
    np.testing.assert_allclose(found.train, [1.0, 1.0, 0.995, 0.9, 0.85])
    assert found.threshold == 2
    np.testing.assert_allclose(found.gap, found.train - 0.7, atol=0.01)


def test_people_who_are_never_fitted_have_no_threshold():
    assert fit_of(case(np.full((5, 3), 0.7), 0.01, train={"train_auc": [0.9] * 5})).threshold == -1
    # fitted at a large size but not at a smaller one is no threshold either
    assert fit_of(case(np.full((5, 3), 0.7), 0.01, train={"train_auc": [0.9, 1.0, 1.0, 1.0, 1.0]})).threshold == -1


def test_a_run_that_does_not_know_its_training_scores():
    assert fit_of(case(np.full((5, 3), 0.7), 0.01)) is None


# --- when a penalty that helps speaks of interpolation

HELPS = Gain(np.array([0.0, 0.02, 0.08, 0.02, 0.0]), np.zeros((10, 5)), "regularised")
DIPS = Anomaly(DIP, 0, 2, 0.06, 0.05, 0.07, 0.001)


def fit(threshold):
    return Fit("auc", np.ones(5), np.full(5, 0.7), threshold)


@pytest.mark.parametrize(
    ("anomaly", "known", "gain", "kept", "why"),
    [
        (DIPS, fit(1), HELPS, True, "fitted without error up to n = 100"),
        (DIPS, None, HELPS, True, "does not know"),
        (DIPS, fit(-1), HELPS, False, "not fitted without error"),
        (DIPS, fit(0), HELPS, False, "far beyond n = 50"),
        (Anomaly(NONE, 0, 4, 0, 0, 0, 1), fit(1), HELPS, False, "no dip"),
        (DIPS, fit(1), Gain(np.full(5, 0.05), np.zeros((10, 5))), False, "no more at the dip"),
    ],
    ids=["at the threshold", "not known", "never fitted", "far away", "no dip", "helps everywhere"],
)
def test_a_penalty_that_helps_speaks_of_interpolation_only_at_the_threshold(anomaly, known, gain, kept, why):
    one = case(np.full((5, 3), 0.7), 0.01)
    gains, words = gated(one, anomaly, known, {"interpolation": gain, "edge": gain}, {"edge": "x"})
    assert ("interpolation" in gains) is kept
    assert "edge" in gains
    assert why in words["interpolation"]
