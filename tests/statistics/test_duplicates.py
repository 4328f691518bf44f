"""People who may be one: copies are found, nobody else is, whatever the number and kind of columns."""

import numpy as np
import pytest

from neurotransfer.errors import InputError
from neurotransfer.statistics.duplicates import near_pairs


def people(n=200, d=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_a_copy_is_found_and_is_the_same_throughout():
    features = people()
    features[150] = features[3]
    found = near_pairs(features, np.arange(200))
    assert found.rows.tolist() == [[3, 150]]
    assert found.p.tolist() == [0.0]
    assert found.n_same == 1
    assert (found.n_people, found.n_columns) == (200, 8)


@pytest.mark.parametrize("noise", [1e-9, 1e-3, 0.05])
def test_a_copy_that_was_measured_again_is_found_as_near_and_not_as_the_same(noise):
    features = people()
    features[150] = features[3] + noise * np.random.default_rng(1).normal(size=8)
    found = near_pairs(features, np.arange(200))
    assert found.rows.tolist() == [[3, 150]]
    assert 0 < found.p[0] < 0.05
    assert found.n_same == 0


def test_several_pairs_stand_nearest_first():
    features = people()
    for copy, (one, noise) in enumerate([(1, 0.05), (2, 1e-4), (3, 0.0)], start=150):
        features[copy] = features[one] + noise * np.random.default_rng(copy).normal(size=8)
    found = near_pairs(features, np.arange(200))
    assert found.rows.tolist() == [[3, 152], [2, 151], [1, 150]]
    assert (np.diff(found.p) >= 0).all()


def test_scans_of_one_person_are_no_pair_and_do_not_hide_one():
    features = people(120)
    features[100:] = features[:20] + 0.01 * people(20, 8, 5)
    whose = np.r_[np.arange(100), np.arange(20)]
    assert not len(near_pairs(features, whose).rows)
    # person 50 is person 0 under another name, who has two scans
    features[50] = features[0] + 0.001
    assert [0, 50] in near_pairs(features, whose).rows.tolist()


def test_units_and_axes_change_nothing():
    features = people()
    features[150] = features[3] + 1e-3
    scaled = features * 10.0 ** np.arange(-4, 4) + 1000
    assert near_pairs(scaled, np.arange(200)).rows.tolist() == near_pairs(features, np.arange(200)).rows.tolist()


def test_columns_with_few_values_make_nobody_the_same():
    coarse = np.random.default_rng(0).integers(0, 3, (200, 2)).astype(float)
    features = np.column_stack([people(), coarse, np.ones(200)])
    found = near_pairs(features, np.arange(200))
    assert found.n_columns == 8
    assert not len(found.rows)


def test_rows_with_missing_numbers_are_left_out_and_places_stay():
    features = people()
    features[0, 2] = np.nan
    features[150] = features[3]
    found = near_pairs(features, np.arange(200))
    assert found.rows.tolist() == [[3, 150]]
    assert found.n_people == 199


@pytest.mark.parametrize(("n", "d"), [(60, 3), (300, 10), (150, 60)])
def test_where_nobody_is_there_twice_a_pair_is_rarely_found(n, d):
    any_found = []
    for seed in range(60):
        draws = np.random.default_rng(seed)
        # of two sites, with columns that go with each other
        mixed = draws.normal(size=(n, d)) @ draws.normal(size=(d, d)) + 5 * (np.arange(n) % 2)[:, None]
        any_found.append(len(near_pairs(mixed, np.arange(n)).rows) > 0)
    assert np.mean(any_found) <= 0.1


def test_many_rows_are_compared_in_parts_as_few_are(monkeypatch):
    features = people(300)
    features[299] = features[0] + 1e-3
    whole = near_pairs(features, np.arange(300))
    monkeypatch.setattr("neurotransfer.statistics.duplicates.AT_ONCE", 37)
    parts = near_pairs(features, np.arange(300))
    assert parts.rows.tolist() == whole.rows.tolist()
    np.testing.assert_allclose(parts.p, whole.p)


@pytest.mark.parametrize(
    ("features", "whose"),
    [
        (people(19), np.arange(19)),
        (people(100, 2), np.arange(100)),
        (people(100), np.zeros(100)),
        (np.zeros((100, 5)), np.arange(100)),
        (people(100), np.arange(99)),
        (np.full((100, 5), np.nan), np.arange(100)),
    ],
    ids=["few people", "few columns", "one person", "no differences", "unlike lengths", "nothing known"],
)
def test_what_cannot_be_compared_is_refused(features, whose):
    with pytest.raises(InputError, match="people"):
        near_pairs(features, whose)
