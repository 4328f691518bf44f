"""Planted causes: each study has its one cause and is named for it, clean ones for none (ten seeds: benchmarks/planted.py)."""

from dataclasses import replace

import numpy as np
import pytest

from neurotransfer.diagnose.causes import CAUSES
from neurotransfer.diagnose.interpolation import DOUBLE, NO_PEAK, UNKNOWN, verdicts_of
from neurotransfer.diagnose.planted import PLANTED, SWEEP, SWEPT, diagnosed, people_of, planted_study, swept
from neurotransfer.diagnose.sweep import DECAY, EARLY, PLAIN


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_study_is_of_a_cause_and_can_be_read(name):
    planted = PLANTED[name]
    assert planted.cause == ("" if name == "clean" else name)
    assert planted.cause in {"", *CAUSES}
    study = planted_study(name, 3)
    assert study.seed == 3
    assert planted.strategy in {part.title for part in study.strategies}
    people = people_of(name, 3)
    assert set(study.regional_columns) < set(people)
    assert people["participant_id"].is_unique
    assert (people["role"] == "test").sum() >= 300


@pytest.mark.parametrize("name", PLANTED)
def test_people_are_a_matter_of_the_seed(name):
    one, again, other = people_of(name, 1), people_of(name, 1), people_of(name, 2)
    np.testing.assert_array_equal(one["c000"], again["c000"])
    assert not np.array_equal(one["c000"], other["c000"])


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_the_planted_cause_is_named_first(name, tmp_path):
    named = diagnosed(name, 0, tmp_path)
    assert (named[0] if named else "") == PLANTED[name].cause


@pytest.mark.parametrize("name", SWEPT)
def test_a_study_to_be_swept_can_be_read_and_has_a_width_to_vary(name):
    study = planted_study(name, 4)
    (part,) = (part for part in study.strategies if part.title == SWEPT[name].strategy)
    assert part.strategy == "perceptron"
    assert set(study.regional_columns) < set(people_of(name, 4))
    assert (study.protocol.label_noise > 0) == bool(SWEPT[name].cause)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_sweep_of_a_noisy_study_shows_double_descent_which_what_holds_back_takes_away(tmp_path):
    found = swept("double-descent", 0, tmp_path, replace(SWEEP, epochs=(300,), sizes=(40,)))
    assert found.kind == DOUBLE
    first = found.judged[0]
    assert first.curve.axis == "width"
    assert first.threshold.is_near(first.curve.values[first.peak.place])
    assert all(first.lessened[arm].above_zero for arm in (EARLY, DECAY))
    for arm in (EARLY, DECAY):
        # the same study as one who held its fits back would have swept it
        own = found.errors[found.errors["arm"] == arm].assign(arm=PLAIN)
        assert verdicts_of(own)[0].kind in (NO_PEAK, UNKNOWN)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_sweep_of_a_study_in_which_there_is_nothing_to_overfit_shows_none(tmp_path):
    found = swept("nothing-to-overfit", 0, tmp_path, replace(SWEEP, widths=(1, 2, 8, 64), epochs=(300,), sizes=(40,)))
    assert found.kind in (NO_PEAK, UNKNOWN)
