"""Folds: people together, sizes near equal, classes spread; None where it cannot be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.cohort.folds import deal_folds


@st.composite
def samples(draw, most_rows=4, n_classes=3):
    """People of rows, shuffled, classes of rows (one a person), how many folds, and a seed."""
    n = draw(st.integers(2, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    participants = generator.permutation(np.repeat(np.arange(n) * 3, generator.integers(1, most_rows + 1, n)))
    classes = generator.integers(0, n_classes, 3 * n)[participants]
    return participants, classes, draw(st.integers(2, 12)), int(generator.integers(100))


def tables(participants, folds, classes):
    """How many rows of each class are in each fold, (n_classes, n_folds), and the most rows of one person."""
    table = np.zeros((classes.max() + 1, folds.max() + 1), int)
    np.add.at(table, (classes, folds), 1)
    return table, np.bincount(participants).max()


@given(samples(), st.booleans())
def test_laws_of_the_folds(sample, with_classes):
    participants, classes, n_folds, seed = sample
    classes = classes if with_classes else np.zeros(len(participants), int)
    folds = deal_folds(participants, n_folds, np.random.default_rng(seed), classes if with_classes else None)
    people_of_class = [len(set(participants[classes == label])) for label in set(classes)]
    if folds is None:
        assert len(set(participants)) < n_folds or (with_classes and min(people_of_class) < 2)
        return
    assert len(folds) == len(participants)
    assert set(folds) == set(range(n_folds))
    assert len(set(zip(participants, folds, strict=True))) == len(set(participants))
    table, most = tables(participants, folds, classes)
    assert (table.max(axis=1) - table.min(axis=1) <= most).all()
    for fold in range(n_folds) if with_classes else ():
        assert set(classes[folds != fold]) == set(classes)
    again = deal_folds(participants, n_folds, np.random.default_rng(seed), classes if with_classes else None)
    np.testing.assert_array_equal(again, folds)


@given(samples(most_rows=1))
def test_folds_of_different_people_differ_by_one_row_at_most(sample):
    participants, classes, n_folds, seed = sample
    folds = deal_folds(participants, n_folds, np.random.default_rng(seed), classes)
    if folds is not None:
        sizes = np.bincount(folds)
        assert sizes.max() - sizes.min() <= 1


def test_the_folds_are_dealt_at_random():
    found = {tuple(deal_folds(np.arange(6), 3, np.random.default_rng(seed))) for seed in range(300)}
    # all 90 ways, or nearly
    assert len(found) > 80
    ones = np.mean([deal_folds(np.arange(9), 3, np.random.default_rng(seed)) for seed in range(600)], axis=0)
    np.testing.assert_allclose(ones, 1, atol=0.15)


@pytest.mark.parametrize(
    ("participants", "classes", "n_folds"),
    [
        ([1, 1, 1, 2], None, 3),
        ([1, 2, 3, 4], [0, 0, 0, 1], 2),
        ([1, 2, 3, 3, 3], [0, 0, 1, 1, 1], 2),
        ([], None, 2),
    ],
)
def test_what_cannot_be_is_none(participants, classes, n_folds):
    classes = None if classes is None else np.array(classes)
    assert deal_folds(np.array(participants, int), n_folds, np.random.default_rng(0), classes) is None


def test_a_person_of_two_classes_stays_in_one_fold():
    participants, classes = np.repeat(np.arange(10), 2), np.tile([0, 1], 10)
    folds = deal_folds(participants, 5, np.random.default_rng(0), classes)
    np.testing.assert_array_equal(folds[::2], folds[1::2])
    assert np.bincount(folds).tolist() == [4] * 5


def test_golden_folds():
    folds = deal_folds(np.array([5, 5, 6, 7, 7, 7, 8, 9]), 2, np.random.default_rng(3))
    assert np.bincount(folds).tolist() == [4, 4]
    assert folds.tolist() == [1, 1, 0, 0, 0, 0, 1, 1]
