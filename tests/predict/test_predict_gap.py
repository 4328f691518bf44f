"""The brain-age gap: its line by an independent fit, what it takes away, and what it leaves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from neurotransfer.predict.gap import LEAST_PEOPLE, age_gap

PEOPLE = np.arange(60)
AGE = np.linspace(20, 80, 60)


def predicted(seed=0, slope=0.6):
    return 50 + slope * (AGE - 50) + np.random.default_rng(seed).normal(0, 5, 60)


def test_the_line_is_that_of_scipy():
    found = predicted()
    gap = age_gap(found, AGE, PEOPLE)
    fit = stats.linregress(AGE, found - AGE)
    assert gap.slope == pytest.approx(fit.slope)
    assert gap.intercept == pytest.approx(fit.intercept)
    np.testing.assert_allclose(gap.corrected, found - AGE - fit.intercept - fit.slope * AGE)
    assert gap.n_people == 60


@given(st.integers(0, 10_000), st.floats(-2, 2), st.floats(-50, 50))
def test_what_is_corrected_has_no_mean_and_no_relation_to_age(seed, slope, shift):
    gap = age_gap(predicted(seed, slope) + shift, AGE, PEOPLE)
    assert gap.corrected.mean() == pytest.approx(0, abs=1e-9)
    assert np.cov(gap.corrected, AGE)[0, 1] == pytest.approx(0, abs=1e-7)
    # a bias that grows with age changes nothing of what is corrected
    tilted = age_gap(predicted(seed, slope) + 3 + 0.5 * AGE, AGE, PEOPLE)
    np.testing.assert_allclose(tilted.corrected, gap.corrected, atol=1e-9)


def test_a_person_counts_once_however_many_scans():
    found = predicted()
    once = age_gap(found, AGE, PEOPLE)
    rows = np.concatenate([PEOPLE, np.zeros(200, int)])
    often = age_gap(found[rows], AGE[rows], rows)
    assert (often.slope, often.n_people) == (pytest.approx(once.slope), 60)


def test_the_line_of_the_healthy_leaves_the_gap_of_the_ill():
    found = predicted()
    ill = PEOPLE % 2 == 1
    found[ill] += 6
    gap = age_gap(found, AGE, PEOPLE, ~ill)
    assert gap.corrected[~ill].mean() == pytest.approx(0, abs=1e-9)
    assert gap.corrected[ill].mean() == pytest.approx(6, abs=2.5)
    assert gap.n_people == 30
    # a line through all would have shared the six years among both
    assert age_gap(found, AGE, PEOPLE).corrected[ill].mean() < 4


def test_unknown_ages_have_no_gap_and_do_not_count():
    age = AGE.copy()
    age[::3] = np.nan
    gap = age_gap(predicted(), age, PEOPLE)
    np.testing.assert_array_equal(np.isnan(gap.raw), np.isnan(age))
    np.testing.assert_array_equal(np.isnan(gap.corrected), np.isnan(age))
    assert gap.n_people == 40


@pytest.mark.parametrize(("n", "is_known"), [(LEAST_PEOPLE - 1, False), (LEAST_PEOPLE, True)])
def test_few_people_give_no_line(n, is_known):
    gap = age_gap(predicted()[:n], AGE[:n], PEOPLE[:n])
    assert np.isfinite(gap.corrected).all() == np.isfinite(gap.slope) == is_known
    assert np.isfinite(gap.raw).all()


def test_people_of_one_age_have_a_mean_and_no_slope():
    gap = age_gap(predicted(), np.full(60, 40.0), PEOPLE)
    assert gap.slope == 0
    assert gap.corrected.mean() == pytest.approx(0)
