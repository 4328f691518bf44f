"""Cautions about samples: when they come, and when they stay away."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurotransfer.errors import InputError
from neurotransfer.statistics import bimodality, sample_notes, samples


def draws(seed=0):
    return np.random.default_rng(seed)


def two_groups():
    return np.r_[draws(1).normal(10, 1, 100), draws(2).normal(60, 5, 100)]


def test_bimodality_of_known_distributions():
    assert bimodality(draws().normal(size=100_000)) == pytest.approx(1 / 3, abs=0.01)
    assert bimodality(draws().uniform(size=100_000)) == pytest.approx(5 / 9, abs=0.01)
    assert bimodality(np.r_[np.zeros(5000), np.ones(5000)]) == pytest.approx(1, abs=0.01)
    assert bimodality(two_groups()) > 5 / 9


def test_bimodality_by_hand():
    values = np.array([0.0, 0.0, 1.0, 1.0, 5.0])
    n, deviations = 5, values - values.mean()
    m2, m3, m4 = ((deviations**power).mean() for power in (2, 3, 4))
    skewness = m3 / m2**1.5 * math.sqrt(n * (n - 1)) / (n - 2)
    excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (m4 / m2**2 - 3) + 6)
    assert bimodality(values) == pytest.approx((skewness**2 + 1) / (excess + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))))


@given(arrays(float, st.integers(4, 40), elements=st.floats(-100, 100)), st.floats(0.1, 10), st.floats(-50, 50))
def test_bimodality_does_not_depend_on_the_unit(values, scale, shift):
    assume(np.std(values) > 0.1)
    assert bimodality(-scale * values + shift) == pytest.approx(bimodality(values), rel=1e-4)


@pytest.mark.parametrize("values", [[], [1.0, 2.0, 3.0], [4.0] * 10, [1.0, 2.0, 3.0, math.nan], [0.1 + 1e-17] * 9])
def test_bimodality_of_too_little_is_missing(values):
    assert math.isnan(bimodality(np.array(values)))


def test_no_note_for_a_good_sample():
    assert sample_notes("age", draws().normal(50, 10, 200), "continuous") == []
    assert sample_notes("sex", np.repeat(["F", "M"], 40), "binary") == []


def test_note_for_a_small_sample():
    (note,) = sample_notes("age", np.linspace(20, 80, 49), "continuous")
    assert "49 participants" in note
    assert sample_notes("age", draws().normal(size=50), "continuous") == []


def test_note_for_two_groups_of_ages():
    (note,) = sample_notes("age", two_groups(), "continuous")
    assert "two groups" in note
    assert f"{bimodality(two_groups()):.2f}" in note


def test_note_for_a_small_class():
    labels = pd.Series(["control"] * 60 + ["patient"] * 19 + ["n/a"] * 5)
    (note,) = sample_notes("diagnosis", labels, "binary")
    assert "'patient' has 19" in note
    assert "control" not in note


def test_note_for_a_single_class_and_for_none():
    assert any("1 class;" in note for note in sample_notes("sex", ["F"] * 60, "binary"))
    assert any("0 classes;" in note for note in sample_notes("sex", [], "binary"))


def test_missing_values_do_not_count():
    values = np.r_[draws().normal(size=40), np.full(30, np.nan)]
    assert any("40 participants" in note for note in sample_notes("bmi", values, "continuous"))


def test_unknown_kind_is_refused():
    with pytest.raises(InputError, match="did you mean 'continuous'"):
        sample_notes("age", np.arange(60), "continous")


def test_thresholds_are_the_documented_ones():
    assert (samples.FEW_PARTICIPANTS, samples.FEW_IN_A_CLASS) == (50, 20)
    assert pytest.approx(5 / 9) == samples.BIMODAL_ABOVE


def test_statistics_never_import_torch():
    code = "import sys, neurotransfer.statistics; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
