"""Wrong labels on purpose: whose they are, that they are wrong, and that nothing else is touched."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.benchmark.label_noise import _passed_on, with_wrong_labels
from neurotransfer.cohort.people import People
from neurotransfer.seeding import stream


def noisy(labels, participants, share, is_class, seed=0):
    return with_wrong_labels(
        np.asarray(labels, float), People.of(np.asarray(participants)), share, is_class, stream(seed, "label noise")
    )


def test_no_share_or_too_small_a_one_for_anybody_leaves_all_as_it_was():
    labels = np.array([0.0, 1.0, np.nan, 1.0])
    for share in (0.0, 0.1):
        np.testing.assert_array_equal(noisy(labels, list("abcd"), share, True), labels)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_just_the_share_of_those_with_a_label_is_wrong(share):
    labels = np.tile([0.0, 1.0], 100)
    labels[::10] = np.nan
    changed = noisy(labels, np.arange(200), share, True) != labels
    assert (changed & ~np.isnan(labels)).sum() == round(share * 180)
    for is_class in (True, False):
        assert np.isnan(noisy(labels, np.arange(200), share, is_class)).tolist() == np.isnan(labels).tolist()


@pytest.mark.parametrize("is_class", [True, False])
def test_the_people_of_a_small_share_are_among_those_of_a_larger_one(is_class):
    labels = np.arange(100.0) if not is_class else np.arange(100) % 3.0
    few, more = (set(np.flatnonzero(noisy(labels, np.arange(100), share, is_class) != labels)) for share in (0.1, 0.4))
    assert len(few) == 10
    assert len(more) == 40
    assert few < more


def test_another_seed_has_other_people():
    labels = np.arange(100) % 2.0
    one, other = (noisy(labels, np.arange(100), 0.2, True, seed) for seed in (0, 1))
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(one, noisy(labels, np.arange(100), 0.2, True, 0))


def test_every_other_class_is_as_likely():
    labels = np.repeat([0.0, 1.0, 2.0, 3.0], 500)
    found = noisy(labels, np.arange(2000), 0.9, True)
    wrong = found != labels
    counts = np.zeros((4, 4))
    np.add.at(counts, (labels[wrong].astype(int), found[wrong].astype(int)), 1)
    assert (np.diag(counts) == 0).all()
    expected = counts.sum(axis=1, keepdims=True) / 3
    off = ~np.eye(4, dtype=bool)
    assert ((counts - expected) ** 2 / expected)[off].sum() < 26.2  # chi square, 8 degrees of freedom, p = 0.001


def test_all_rows_of_a_person_get_the_same_class_which_is_right_for_none_of_them():
    # b has both classes of three, c all three and cannot be wrong
    participants = list("aabbccc")
    labels = [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 2.0]
    for seed in range(20):
        found = noisy(labels, participants, 0.9, True, seed)
        assert found[0] == found[1]
        assert found[0] in (1.0, 2.0)
        assert found[2] == found[3] == 2.0
        assert found[4:].tolist() == labels[4:]


def test_classes_that_nobody_has_are_given_to_nobody():
    # the classes of a task on some rows: 1 is not among them
    found = noisy([0.0, 0.0, 2.0, 2.0], list("abcd"), 0.99, True)
    assert found.tolist() == [2.0, 2.0, 0.0, 0.0]
    assert noisy([2.0, 2.0], list("ab"), 0.99, True).tolist() == [2.0, 2.0]


def test_values_change_hands_with_all_rows_of_a_person():
    participants = np.repeat(np.arange(40), 2)
    labels = np.repeat(np.arange(40.0), 2)
    labels[1::2] += 0.5
    found = noisy(labels, participants, 0.5, False)
    wrong = np.unique(participants[found != labels])
    assert len(wrong) == 20
    for person in wrong:
        own = found[participants == person]
        assert own[0] == own[1]
        assert own[0] != person
    # the values of the first rows, each once
    assert sorted(found[::2][np.isin(np.arange(40), wrong)]) == wrong.tolist()


def test_who_alone_is_chosen_keeps_a_value():
    np.testing.assert_array_equal(noisy([1.0, 2.0, 3.0], list("abc"), 0.4, False), [1.0, 2.0, 3.0])


def fewest_equal(own):
    return min(sum(a == b for a, b in zip(own, each, strict=True)) for each in itertools.permutations(own))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 100))
def test_as_few_as_possible_keep_their_value(own, seed):
    given_on = _passed_on(np.array(own), np.random.default_rng(seed))
    assert sorted(given_on) == sorted(own)
    assert (given_on == np.array(own)).sum() == fewest_equal(own)


def test_values_change_hands_at_random_and_not_with_their_neighbours():
    counts = np.zeros((6, 6))
    for seed in range(3000):
        counts[np.arange(6), _passed_on(np.arange(6), np.random.default_rng(seed))] += 1
    assert (np.diag(counts) == 0).all()
    # everybody else's about as often: a fifth
    off = counts[~np.eye(6, dtype=bool)] / 3000
    assert np.abs(off - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 3000)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0.0, 1.0, 2.0, np.nan])), min_size=1, max_size=30),
    st.floats(0, 0.99),
    st.booleans(),
    st.integers(0, 50),
)
def test_laws_of_any_labels(rows, share, is_class, seed):
    participants, labels = np.array([person for person, _ in rows]), np.array([label for _, label in rows])
    before = labels.copy()
    found = noisy(labels, participants, share, is_class, seed)
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(labels))
    known = ~np.isnan(labels)
    assert set(found[known]) <= set(labels[known])
    touched = np.unique(participants[known][found[known] != labels[known]])
    assert len(touched) <= round(share * len(set(participants[known].tolist())))
    for person in touched if is_class else ():
        own = known & (participants == person)
        assert len(set(found[own])) == 1
        assert not set(found[own]) & set(labels[own])
