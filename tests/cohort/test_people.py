"""People: as whole numbers, set aside by name and seed, and how many a sample is worth; by exact cases and Hypothesis."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.cohort import Cohort, People, effective_participants, is_selection
from neurotransfer.cohort.people import share_of

SAMPLES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40)


@given(st.lists(st.one_of(st.sampled_from("abc"), st.text("xyz", max_size=2)), max_size=20))
def test_codes_give_the_names_back_and_the_order_goes_person_by_person(names):
    participants = np.array(names, str)
    people = People.of(participants)
    np.testing.assert_array_equal(people.names[people.codes], participants)
    assert people.names.tolist() == sorted(set(names))
    assert len(people) == len(set(names))
    np.testing.assert_array_equal(people.order, np.argsort(participants, kind="stable"))


def test_who_has_rows_is_found():
    people = People.of(np.array(["b", "a", "b", "c"]))
    assert people.has(np.array([0, 2])).tolist() == [False, True, False]
    assert people.has(np.array([], int)).tolist() == [False] * 3


def test_a_cohort_knows_its_people_and_forgets_them_with_its_rows():
    cohort = Cohort("tiny", pd.DataFrame({"participant_id": ["b", "a", "b"]}))
    people = cohort.people
    assert cohort.people is people
    np.testing.assert_array_equal(people.names[people.codes], cohort.participants)
    some = cohort.rows(np.array([1, 0]))
    np.testing.assert_array_equal(some.people.names[some.people.codes], cohort.participants[[1, 0]])


# --- set aside


@given(share=st.floats(0, 1), seed=st.integers(0, 5), n=st.integers(1, 40))
def test_who_selects_depends_on_name_and_seed_alone(share, seed, n):
    people = np.array([f"p{index}" for index in range(n)])
    chosen = is_selection(people, share, seed)
    np.testing.assert_array_equal(is_selection(people[::-1], share, seed), chosen[::-1])
    np.testing.assert_array_equal(is_selection(np.repeat(people, 3), share, seed), np.repeat(chosen, 3))
    np.testing.assert_array_equal(is_selection(people[: n // 2], share, seed), chosen[: n // 2])
    # a larger share only adds people
    assert (is_selection(people, min(1, share + 0.2), seed) >= chosen).all()


def test_another_seed_selects_others():
    people = np.array([f"p{index}" for index in range(200)])
    first, second = (is_selection(people, 0.4, seed) for seed in (1, 2))
    assert (first != second).any()
    assert 0.3 < first.mean() < 0.5


def test_those_set_aside_for_one_thing_are_not_those_for_another():
    participants = np.array([f"p{index}" for index in range(400)])
    people = People.of(participants)
    chosen, held = (share_of(people, 0.5, 1, what) for what in ("selection", "held out"))
    np.testing.assert_array_equal(chosen, is_selection(participants, 0.5, 1))
    # as independent as two coins: half of one half
    assert 0.15 < (chosen & held).mean() < 0.35


def test_what_is_remembered_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        share_of(People.of(np.array(["a", "b"])), 0.5, 1, "selection")[0] = True


# --- the effective number


@pytest.mark.parametrize(
    ("sample", "expected"),
    [("", 0), ("a", 1), ("aaaa", 1), ("abc", 3), ("aabbcc", 3), ("aaab", 1.6), ("aab", 9 / 5), ("aaaabbcd", 64 / 22)],
)
def test_the_effective_number_of_people_is_that_of_kish(sample, expected):
    assert effective_participants(np.array(list(sample), str)) == pytest.approx(expected)


@given(SAMPLES, st.randoms(use_true_random=False))
def test_laws_of_the_effective_number(sample, random):
    found = effective_participants(np.array(sample))
    shuffled = random.sample(sample, len(sample))
    n = len(set(sample))
    assert 1 <= found <= n * (1 + 1e-12)
    assert effective_participants(np.array(shuffled)) == found
    # three copies of a sample are worth the sample
    assert effective_participants(np.array(sample * 3)) == pytest.approx(found)
    weights = np.array([sample.count(person) for person in set(sample)])
    assert found == pytest.approx(n / (1 + weights.var() / weights.mean() ** 2))
    assert effective_participants(np.array(sorted(set(sample)) * 4)) == pytest.approx(n)


@given(SAMPLES)
def test_one_more_image_of_a_new_person_is_worth_more_and_of_the_commonest_less(sample):
    found = effective_participants(np.array(sample))
    commonest = max(set(sample), key=sample.count)
    assert effective_participants(np.array([*sample, commonest])) <= found + 1e-9
    assert effective_participants(np.array([*sample, "new"])) > found
