"""Planted regions lie where the anatomy was changed; localisation scores have their limits and their chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.cohort import Grid
from neurotransfer.errors import InputError
from neurotransfer.explain.planted import Planted, localisation, planted_region, simulated_effects
from neurotransfer.simulate import simulate
from neurotransfer.simulate.anatomy import AMYGDALA, CEREBELLUM, FRONTAL, HIPPOCAMPUS, VENTRICLES
from neurotransfer.simulate.people import EFFECTS

GRID = Grid((32, 40, 32), 5.0)
# where the latent of a target acts, and how near most of its region lies, millimetres
WHERE = {
    "diagnosis": (HIPPOCAMPUS, 25),
    "bmi": (CEREBELLUM, 55),
    "fluid_intelligence": (FRONTAL, 45),
    "neuroticism": (AMYGDALA, 20),
}


def distances_mm(region, spot):
    places = np.argwhere(region) * GRID.voxel_size_mm + GRID.affine[:3, 3]
    places[:, 0] = np.abs(places[:, 0])
    return np.linalg.norm(places - np.array(spot.centre_mm), axis=1)


@pytest.mark.parametrize("target", WHERE)
def test_a_focal_region_lies_around_its_spot(target):
    spot, near_mm = WHERE[target]
    assert np.percentile(distances_mm(planted_region(target, GRID).region, spot), 80) < near_mm


def test_age_widens_ventricles_and_thins_cortex():
    planted = planted_region("age", GRID)
    assert (distances_mm(planted.region, VENTRICLES) < 25).any()
    places = np.argwhere(planted.region) * GRID.voxel_size_mm + GRID.affine[:3, 3]
    assert (np.linalg.norm(places - [0, -18, 10], axis=1) > 60).any()


@pytest.mark.parametrize("target", sorted({effect.target for effect in EFFECTS}))
def test_a_region_is_the_smallest_that_holds_half_of_the_change(target):
    planted = planted_region(target, GRID)
    size = np.where(planted.brain, np.abs(planted.change), 0)
    assert planted.region.sum() > 10
    assert not (planted.region & ~planted.brain).any()
    assert size[planted.region].min() >= size[~planted.region].max()
    without_last = np.sort(size[planted.region])[1:].sum()
    assert without_last < 0.5 * size.sum() <= size[planted.region].sum() * (1 + 1e-9)
    assert 0 < planted.share < 0.3


def test_a_larger_share_is_a_larger_region():
    small, large = (planted_region("age", GRID, held).region for held in (0.3, 0.6))
    assert (small <= large).all()
    assert small.sum() < large.sum()


def test_what_was_not_planted_is_refused():
    with pytest.raises(InputError, match="diagnosis"):
        planted_region("diagnoses", GRID)


def toy(seed=0, shape=(12, 12, 12)):
    generator = np.random.default_rng(seed)
    region = np.zeros(shape, bool)
    region[3:6, 3:6, 3:6] = True
    brain = np.ones(shape, bool)
    return Planted(region, brain, region.astype(float)), generator.normal(size=shape)


def test_a_map_without_knowledge_has_what_chance_gives():
    found = [localisation(values, planted) for planted, values in (toy(seed) for seed in range(200))]
    for score in ("mass", "rank"):
        assert np.mean([each[score] for each in found]) == pytest.approx(found[0]["chance"], abs=0.003)
    # the largest voxel may lie next to the region: 5 x 5 x 5 of 12 x 12 x 12
    assert np.mean([each["pointing"] for each in found]) == pytest.approx(125 / 1728, abs=0.06)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_scores_do_not_depend_on_sign_and_size(seed, factor):
    planted, values = toy(seed)
    one, other = localisation(values, planted), localisation(-factor * values, planted)
    assert one == pytest.approx(other)
    assert all(0 <= each <= 1 for each in one.values())


def test_a_map_of_the_region_has_all_and_one_beside_it_has_nothing():
    planted, _ = toy()
    assert localisation(-planted.region.astype(float), planted) == {
        "pointing": 1,
        "mass": 1,
        "rank": 1,
        "chance": 27 / 1728,
    }
    beside = np.zeros(planted.region.shape)
    beside[9:] = 1
    found = localisation(beside, planted)
    assert (found["pointing"], found["mass"], found["rank"]) == (0, 0, 0)
    assert localisation(np.zeros(planted.region.shape), planted)["mass"] == 0


def test_effects_are_those_of_a_simulated_cohort_only(tmp_path):
    table = simulate(tmp_path / "heads", 1, shape=(32, 40, 32), effect=0.5)
    found = {(each["target"], each["latent"]): each["strength"] for each in simulated_effects(table)}
    assert found == {(each.target, each.latent): pytest.approx(0.5 * each.strength) for each in EFFECTS}
    assert simulated_effects(table.parent) == simulated_effects(table)
    (tmp_path / "heads" / "truth.json").write_text('{"made_by": "somebody else", "effects": [1]}')
    assert simulated_effects(table) == []
    (tmp_path / "heads" / "truth.json").write_text("not json")
    assert simulated_effects(table) == []
    assert simulated_effects(tmp_path / "nothing.tsv") == []


def test_without_effect_nothing_was_planted():
    none = [{"target": each.target, "latent": each.latent, "strength": 0.0} for each in EFFECTS]
    with pytest.raises(InputError, match="planted"):
        planted_region("age", GRID, effects=none)
