"""Who is simulated: the same person whoever else is drawn, curves of age, links of a published size."""

import numpy as np
import pytest

from neurotransfer.simulate.traits import (
    AGE_CURVES,
    AGE_POINTS,
    AGE_RANGE,
    CLASSES,
    LINKS,
    OWN_OF_REGION,
    SCALES,
    TARGETS,
    TRAITS,
    age_curve,
    draw_people,
    labels_of,
)
from neurotransfer.simulate.variety import Variety

MANY = list(range(3000))


@pytest.fixture(scope="module")
def people():
    return draw_people(1, MANY, Variety())


def test_a_person_does_not_depend_on_who_else_is_drawn(people):
    alone = draw_people(1, [17], Variety())
    for name in TRAITS:
        assert alone.traits[name][0] == people.traits[name][17]
    for name in OWN_OF_REGION:
        assert np.array_equal(alone.regional[name][0], people.regional[name][17])
    assert np.array_equal(alone.places[0], people.places[17])


def test_another_seed_is_other_people(people):
    assert draw_people(2, [17], Variety()).targets["age"][0] != people.targets["age"][17]


def test_ages_run_from_childhood_to_old_age(people):
    age = people.targets["age"]
    assert AGE_RANGE[0] <= age.min() < 6
    assert 85 < age.max() <= AGE_RANGE[1]
    assert 0.08 < (age < 12).mean() < 0.35


@pytest.mark.parametrize("trait", AGE_CURVES)
def test_every_curve_has_its_points_and_is_followed(people, trait):
    assert len(AGE_CURVES[trait]) == len(AGE_POINTS)
    expected = age_curve(trait, people.targets["age"])
    assert np.corrcoef(people.traits[trait], expected)[0, 1] > 0.25
    # linked targets add to the spread, nothing else does
    assert abs((people.traits[trait] - expected).std() - 1) < 0.3


def test_there_is_growth_as_well_as_decline():
    for trait in ("white", "cerebellum", "contrast"):
        curve = age_curve(trait, np.array([3.0, 30.0, 90.0]))
        assert curve[0] < curve[1] > curve[2]
    thinning = age_curve("thickness", np.array([3.0, 20.0, 60.0, 90.0]))
    assert (np.diff(thinning) < 0).all()


def test_without_age_nothing_follows_it():
    still = draw_people(1, MANY, Variety(age=0))
    for trait in AGE_CURVES:
        assert abs(np.corrcoef(still.traits[trait], still.targets["age"])[0, 1]) < 0.06


@pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{link.target}-{link.trait}")
def test_a_link_has_the_strength_that_was_published(link):
    people = draw_people(3, list(range(6000)), Variety(age=0))
    target, trait = people.targets[link.target], people.traits[link.trait]
    others = [other for other in LINKS if other.trait == link.trait and other is not link]
    for other in others:
        trait = trait - other.strength * people.targets[other.target]
    slope = np.polyfit(target, trait, 1)[0]
    spread = 1 / (np.std(target) * np.sqrt(len(trait)))
    assert abs(slope - link.strength) < 4 * spread
    assert any(year in link.source for year in ("2013", "2015", "2018", "2021"))


def test_links_name_targets_and_traits_that_exist():
    assert {link.target for link in LINKS} <= set(TARGETS)
    assert {link.trait for link in LINKS} <= set(TRAITS)


def test_sides_are_alike_but_not_the_same(people):
    from neurotransfer.cohort.regions import REGIONS

    left, right = (list(REGIONS).index(f"{side}_hippocampus") for side in ("left", "right"))
    own = people.regional["thickness"]
    assert abs(np.corrcoef(own[:, left], own[:, right])[0, 1] - 0.64) < 0.05
    assert abs(own.std() - 1) < 0.02


def test_lesions_come_with_age_and_atrophy_hits_one_region(people):
    old = people.targets["age"] > 65
    assert (people.lesions[old] > 0).mean() > 4 * (people.lesions[people.targets["age"] < 35] > 0).mean()
    assert set((people.atrophy > 0).sum(1)) == {0, 1}
    none = draw_people(1, MANY, Variety(lesions=0, focal=0))
    assert not none.lesions.any()
    assert not none.atrophy.any()


def test_labels_are_what_a_cohort_table_holds(people):
    labels = labels_of(people)
    assert set(labels) == set(TARGETS)
    for name, (classes, share) in CLASSES.items():
        assert set(labels[name]) == set(classes)
        assert abs((labels[name] == classes[1]).mean() - share) < 0.03
    for name, (mean, deviation) in SCALES.items():
        assert abs(labels[name].mean() - mean) < 0.1 * deviation
