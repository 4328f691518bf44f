"""Planted causes: each study has its one cause and is named for it, clean ones for none (ten seeds: benchmarks/planted.py)."""

import numpy as np
import pytest

from neurotransfer.diagnose.causes import CAUSES
from neurotransfer.diagnose.planted import PLANTED, diagnosed, people_of, planted_study


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
