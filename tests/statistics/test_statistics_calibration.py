"""Calibration against other implementations, and its laws."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import binomtest, spearmanr
from sklearn.calibration import calibration_curve

from neurotransfer.statistics.calibration import (
    COLUMNS,
    calibration_of_classes,
    calibration_of_values,
    rank_correlation,
    share_interval,
)


@given(some.integers(1, 300), some.data())
def test_the_interval_of_a_share_is_that_of_scipy(n, data):
    count = data.draw(some.integers(0, n))
    wanted = binomtest(count, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(share_interval(count / n, n), (wanted.low, wanted.high), atol=1e-12)


def test_classes_are_binned_as_scikit_learn_does():
    generator = np.random.default_rng(0)
    probability = generator.uniform(0, 1, 400)
    happened = generator.uniform(0, 1, 400) < probability
    found = calibration_of_classes(happened, probability, np.arange(400))
    share, mean = calibration_curve(happened, probability, n_bins=10)
    np.testing.assert_allclose(found["observed"], share)
    np.testing.assert_allclose(found["predicted"], mean)
    assert found["predictions"].sum() == 400
    # who is well calibrated is so in nearly every bin
    assert (found["predicted"].between(found["low"], found["high"])).mean() >= 0.8


def test_a_person_counts_once_for_the_interval():
    once = calibration_of_classes(np.array([1, 0]), np.array([0.5, 0.5]), np.array(["a", "b"]))
    often = calibration_of_classes(np.tile([1, 0], 9), np.full(18, 0.5), np.tile(["a", "b"], 9))
    assert once[["low", "high"]].equals(often[["low", "high"]])
    assert often["predictions"].tolist() == [18]
    assert often["participants"].tolist() == [2]


def test_values_are_binned_by_rank():
    generator = np.random.default_rng(1)
    predicted = generator.normal(50, 10, 100)
    observed = predicted + generator.normal(0, 3, 100)
    found = calibration_of_values(observed, predicted, np.arange(100))
    rows = pd.DataFrame({"observed": observed, "predicted": predicted, "bin": pd.qcut(predicted, 10, labels=False)})
    wanted = rows.groupby("bin")[["predicted", "observed"]].mean()
    np.testing.assert_allclose(found[["predicted", "observed"]], wanted)
    error = 1.96 * rows.groupby("bin")["observed"].sem()
    np.testing.assert_allclose(found["high"] - found["observed"], error)


@pytest.mark.parametrize(("n", "bins"), [(0, 0), (1, 1), (9, 1), (10, 2), (49, 9), (1000, 10)])
def test_no_bin_of_values_has_fewer_than_five_rows_where_there_are_five(n, bins):
    found = calibration_of_values(np.arange(n, dtype=float), np.arange(n, dtype=float), np.arange(n))
    assert len(found) == bins
    assert list(found) == list(COLUMNS)
    assert found["predictions"].sum() == n
    assert n < 5 or found["predictions"].min() >= 5


@given(some.lists(some.tuples(some.floats(0, 1), some.booleans()), min_size=1, max_size=60))
def test_no_prediction_is_lost_and_shares_stay_shares(rows):
    probability, happened = (np.array(column) for column in zip(*rows, strict=True))
    found = calibration_of_classes(happened, probability, np.arange(len(rows)))
    assert found["predictions"].sum() == len(rows)
    assert found[["observed", "low", "high"]].stack().between(0, 1).all()
    assert (found["low"] <= found["observed"] + 1e-12).all()
    assert (found["observed"] <= found["high"] + 1e-12).all()


def test_ranks_go_together_as_scipy_says_and_not_where_nothing_varies():
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=30), generator.normal(size=30)
    np.testing.assert_allclose(rank_correlation(x, y), spearmanr(x, y))
    y[3] = np.nan
    np.testing.assert_allclose(rank_correlation(x, y), spearmanr(np.delete(x, 3), np.delete(y, 3)))
    for nothing in (np.zeros(30), np.full(30, np.nan)):
        assert np.isnan(rank_correlation(x, nothing)).all()
    assert np.isnan(rank_correlation(x[:3], x[:3])).all()
