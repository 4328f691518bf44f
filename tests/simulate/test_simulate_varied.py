"""Cohorts of varied heads: readable by every stage, true to what they say, the same for ever, refused when they cannot be."""

import json

import nibabel
import numpy as np
import pandas as pd
import pytest

from neurotransfer.cohort import Grid, read_cohort
from neurotransfer.errors import InputError
from neurotransfer.simulate.arguments import COMPLETE
from neurotransfer.simulate.measures import GROUPS, measure
from neurotransfer.simulate.synthesis import Heads
from neurotransfer.simulate.traits import LINKS, TARGETS
from neurotransfer.simulate.varied import AT_ONCE, simulate_varied
from neurotransfer.simulate.variety import PRESETS

SHAPE = (32, 40, 32)
N = AT_ONCE + 2


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return simulate_varied(tmp_path_factory.mktemp("varied") / "people", N, shape=SHAPE, seed=4, sites=2)


def test_every_stage_can_read_the_cohort(table):
    cohort = read_cohort(table, targets=list(TARGETS))
    assert len(cohort.table) == len(set(cohort.participants)) == N
    assert set(cohort.table["site"]) <= {"site-1", "site-2"}
    ages = cohort.table["age"].astype(float)
    assert ages.between(3, 97).all()
    assert cohort.table[list(TARGETS)].notna().all(axis=None)


def test_images_are_the_heads_of_their_index(table):
    made = Heads(Grid(SHAPE, 5.0), with_sites(), seed=4).make([N - 1])
    image = nibabel.load(table.parent / pd.read_csv(table, sep="\t")["image"].iloc[-1])
    assert image.get_data_dtype() == np.int16
    found = np.asarray(image.dataobj, np.float32) / 1000
    assert np.abs(found - made.volumes[0, 0].numpy()).max() < 2e-3
    np.testing.assert_allclose(image.affine, Grid(SHAPE, 5.0).affine)


def with_sites():
    from dataclasses import replace

    return replace(PRESETS["t1w"], sites=2)


def test_the_truth_is_what_is_measured_on_the_heads(table):
    truth = pd.read_csv(table.parent / "truth.tsv", sep="\t")
    made = Heads(Grid(SHAPE, 5.0), with_sites(), seed=4).make(range(3))
    expected = measure(made, [name for name in GROUPS if name not in TARGETS])
    assert set(expected) <= set(truth)
    for name in ("grey_ml", "hippocampus_grey_ml", "trait_thickness", "left_insula_moved_x_mm", "lesion_ml"):
        np.testing.assert_allclose(truth[name].iloc[:3], expected[name], rtol=2e-3, atol=2e-2)


def test_the_facts_are_written_last_and_name_the_sources(table):
    facts = json.loads((table.parent / COMPLETE).read_text(encoding="utf-8"))
    assert facts["arguments"]["variety"] == "t1w"
    assert facts["variety"]["noise"] == PRESETS["t1w"].noise
    assert len(facts["links"]) == len(LINKS)
    assert all(link["source"] for link in facts["links"])


def test_a_larger_cohort_begins_with_the_smaller_one(table, tmp_path):
    small = simulate_varied(tmp_path / "small", 2, shape=SHAPE, seed=4, sites=2)
    one, other = pd.read_csv(small, sep="\t"), pd.read_csv(table, sep="\t").head(2)
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("variety", PRESETS)
def test_every_variety_can_be_written(variety, tmp_path):
    table = simulate_varied(tmp_path / "people", 1, shape=SHAPE, variety=variety)
    image = nibabel.load(table.parent / pd.read_csv(table, sep="\t")["image"][0])
    inside = (np.asarray(image.dataobj) > 0).mean()
    assert (inside > 0.5) == (variety == "whole-head")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"variety": "t2w"}, "unknown variety 't2w'"),
        ({"participants": 0}, "participants is 0"),
        ({"shape": (8, 8, 8)}, "three whole numbers of 32 or more"),
        ({"sites": -1}, "sites is -1"),
        ({"sites": 1.5}, "sites is 1.5"),
        ({"prefix": "a/b"}, "prefix is 'a/b'"),
    ],
)
def test_arguments_that_cannot_be_are_refused(wrong, said, tmp_path):
    values = {"participants": 1, "shape": SHAPE} | wrong
    with pytest.raises(InputError) as error:
        simulate_varied(tmp_path / "people", **values)
    assert said in str(error.value)
    assert not (tmp_path / "people").exists()


def test_a_finished_cohort_is_not_written_over(table):
    with pytest.raises(InputError, match="finished simulated cohort"):
        simulate_varied(table.parent, 1, shape=SHAPE)
