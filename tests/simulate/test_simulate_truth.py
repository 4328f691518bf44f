import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.simulate.people import CATEGORIES, SCALES, TARGETS
from neurotransfer.simulate.truth import best_attainable

FEW = 6000
EXPECTED = {
    "age": ("r", 0.91, 0.02),
    "sex": ("auc", 0.96, 0.02),
    "diagnosis": ("auc", 0.93, 0.02),
    "handedness": ("auc", 0.65, 0.04),
    "bmi": ("r", 0.40, 0.04),
    "fluid_intelligence": ("r", 0.40, 0.04),
    "neuroticism": ("r", 0.15, 0.04),
}


@pytest.fixture(scope="module")
def by_effect():
    return {effect: best_attainable(0, effect, FEW) for effect in (0.0, 0.5, 1.0, 2.0)}


def main_score(scores, name):
    return scores[name]["best"]["auc" if name in CATEGORIES else "r"]


def test_every_target_has_its_scores(by_effect):
    scores = by_effect[1.0]
    assert tuple(scores) == TARGETS
    for name in CATEGORIES:
        assert set(scores[name]["best"]) == set(scores[name]["chance"]) == {"auc"}
    for name in SCALES:
        assert set(scores[name]["best"]) == set(scores[name]["chance"]) == {"mae", "r"}


@pytest.mark.parametrize("name", TARGETS)
def test_the_default_strengths_give_what_their_table_says(name):
    score, expected, within = EXPECTED[name]
    assert best_attainable(3, 1.0)[name]["best"][score] == pytest.approx(expected, abs=within)


@pytest.mark.parametrize("name", TARGETS)
def test_without_effect_nothing_beats_chance(by_effect, name):
    chance = 0.5 if name in CATEGORIES else 0.0
    assert main_score(by_effect[0.0], name) == pytest.approx(chance, abs=0.06)
    if name in SCALES:
        assert by_effect[0.0][name]["best"]["mae"] == pytest.approx(by_effect[0.0][name]["chance"]["mae"], rel=0.02)


@pytest.mark.parametrize("name", TARGETS)
def test_stronger_effects_can_be_predicted_better(by_effect, name):
    scores = [main_score(by_effect[effect], name) for effect in (0.0, 0.5, 1.0, 2.0)]
    assert scores == sorted(scores)


@given(seed=st.integers(0, 1000), effect=st.floats(0.8, 3))
@settings(max_examples=8, deadline=None)
def test_strong_targets_beat_chance_for_any_seed(seed, effect):
    scores = best_attainable(seed, effect, 1000)
    assert scores["age"]["best"]["mae"] < 0.7 * scores["age"]["chance"]["mae"]
    assert scores["sex"]["best"]["auc"] > 0.85
    assert scores["diagnosis"]["best"]["auc"] > 0.8


def test_the_residual_of_age_is_6_to_8_years(by_effect):
    # the mean absolute error of a normal residual is 0.8 standard deviations
    assert 6 < by_effect[1.0]["age"]["best"]["mae"] / 0.8 < 8


def test_the_same_seed_gives_the_same_scores():
    assert best_attainable(5, 1.0, 1000) == best_attainable(5, 1.0, 1000)
    assert best_attainable(5, 1.0, 1000) != best_attainable(6, 1.0, 1000)
