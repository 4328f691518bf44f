import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.simulate.people import (
    CATEGORIES,
    EFFECTS,
    LATENTS,
    RELATIONS,
    SCALES,
    TARGETS,
    draw_deviations,
    draw_people,
    labels_of,
    latents_of,
    related,
)
from neurotransfer.targets import KNOWN

MANY = 20000


def many_people(seed=0):
    return draw_people(np.random.default_rng(seed), MANY)


def correlation(first, second):
    return np.corrcoef(first, second)[0, 1]


def test_every_target_is_a_category_or_a_scale():
    assert set(TARGETS) == {*CATEGORIES, *SCALES}
    assert {name: KNOWN[name][0] for name in TARGETS} == {
        name: "binary" if name in CATEGORIES else "continuous" for name in TARGETS
    }


def test_every_target_shapes_a_latent_and_every_latent_is_shaped():
    assert {effect.target for effect in EFFECTS} == set(TARGETS)
    assert {effect.latent for effect in EFFECTS} == set(LATENTS)


def test_people_are_standardised():
    people = many_people()
    assert set(people) == set(TARGETS)
    for name in SCALES:
        assert people[name].mean() == pytest.approx(0, abs=0.03), name
        assert people[name].std() == pytest.approx(1, abs=0.03), name
    for name in CATEGORIES:
        assert people[name].mean() == pytest.approx(0, abs=0.03), name
        assert len(np.unique(people[name])) == 2, name


@pytest.mark.parametrize("relation", RELATIONS)
def test_targets_follow_each_other_as_the_table_says(relation):
    targets = related(many_people())
    measured = correlation(targets[relation.source], targets[relation.target])
    assert measured == pytest.approx(relation.correlation, abs=0.03)


def test_a_relation_keeps_the_scale_of_a_target():
    targets = related(many_people())
    assert all(targets[name].std() == pytest.approx(1, abs=0.03) for name in SCALES)


@pytest.mark.parametrize("other", [name for name in TARGETS if name != "diagnosis"])
def test_diagnosis_goes_with_no_other_target(other):
    targets = related(many_people())
    assert correlation(targets["diagnosis"], targets[other]) == pytest.approx(0, abs=0.03)


def test_years_later_age_moves_and_sex_stays():
    people = many_people()
    before, after = labels_of(related(people)), labels_of(related(people, years=1.5))
    np.testing.assert_allclose(after["age"] - before["age"], 1.5, atol=0.101)
    for name in CATEGORIES:
        assert (before[name] == after[name]).all()


def test_years_later_fluid_intelligence_is_lower_and_bmi_higher():
    people = many_people()
    before, after = related(people), related(people, years=10)
    assert (after["fluid_intelligence"] < before["fluid_intelligence"]).all()
    assert (after["bmi"] > before["bmi"]).all()


def test_related_leaves_its_argument_alone():
    people = draw_people(np.random.default_rng(0), 5)
    kept = {name: values.copy() for name, values in people.items()}
    related(people, years=3)
    assert all((people[name] == kept[name]).all() for name in kept)


def test_labels_lie_in_their_ranges():
    labels = labels_of(related(many_people()))
    assert set(labels) == set(TARGETS)
    for name, scale in SCALES.items():
        assert labels[name].min() >= scale.lowest
        assert labels[name].max() <= scale.highest
        assert labels[name].mean() == pytest.approx(scale.mean, abs=0.5)
        np.testing.assert_array_equal(labels[name], labels[name].round(1))


@pytest.mark.parametrize("name", CATEGORIES)
def test_labels_have_their_share(name):
    labels = labels_of(related(many_people()))
    first, second = CATEGORIES[name].labels
    assert set(labels[name]) == {first, second}
    assert (labels[name] == second).mean() == pytest.approx(CATEGORIES[name].share, abs=0.02)


def test_ages_lie_between_18_and_90_even_after_the_second_session():
    ages = labels_of(related(many_people(), years=2))["age"]
    assert ages.min() >= 18
    assert ages.max() <= 90


@given(seed=st.integers(0, 10**6), other=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_without_effect_latents_know_nothing_of_the_targets(seed, other):
    deviations = draw_deviations(np.random.default_rng(0), 3)
    first = latents_of(related(draw_people(np.random.default_rng(seed), 3)), deviations, 0.0)
    second = latents_of(related(draw_people(np.random.default_rng(other), 3)), deviations, 0.0)
    assert all((first[name] == second[name]).all() for name in LATENTS)


@given(effect=st.floats(0.01, 5))
@settings(max_examples=20, deadline=None)
def test_effect_multiplies_what_the_targets_add(effect):
    targets = related(draw_people(np.random.default_rng(1), 4))
    deviations = draw_deviations(np.random.default_rng(2), 4)
    once, scaled = latents_of(targets, deviations, 1.0), latents_of(targets, deviations, effect)
    for name in LATENTS:
        np.testing.assert_allclose(scaled[name] - deviations[name], effect * (once[name] - deviations[name]), atol=1e-9)


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.latent)
def test_each_latent_follows_its_target(effect):
    targets = related(many_people())
    latents = latents_of(targets, draw_deviations(np.random.default_rng(1), MANY), 1.0)
    slope = np.polyfit(targets[effect.target], latents[effect.latent], 1)[0]
    assert slope == pytest.approx(effect.strength, abs=0.1)
