"""The cohort: rows, people, paths and labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import neurotransfer.cohort as package
from neurotransfer.cohort import Cohort
from neurotransfer.errors import InputError
from neurotransfer.targets import Target


def cohort_of(people):
    table = pd.DataFrame(
        {
            "participant_id": people,
            "image": [f"{index}.nii" for index in range(len(people))],
            "mask": ["m.nii" if index % 2 else "" for index in range(len(people))],
            "age": [str(index) if index % 3 else "n/a" for index in range(len(people))],
        }
    )
    return Cohort("tiny", table, "centre", ("a note",))


PEOPLE = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12)


@given(PEOPLE)
def test_rows_and_people_are_counted(people):
    cohort = cohort_of(people)
    assert len(cohort) == len(people)
    assert cohort.n_participants == len(set(people))
    assert list(cohort.participants) == people


@given(PEOPLE, st.data())
def test_some_rows_are_the_same_rows_in_that_order(people, data):
    cohort = cohort_of(people)
    indices = np.array(data.draw(st.lists(st.integers(0, len(people) - 1), max_size=8)), int)
    some = cohort.rows(indices)
    assert list(some.participants) == [people[index] for index in indices]
    assert list(some.table.index) == list(range(len(indices)))
    assert (some.name, some.alignment, some.notes) == ("tiny", "centre", ("a note",))
    age = Target("age", "continuous")
    np.testing.assert_array_equal(some.labels(age), cohort.labels(age)[indices])


def test_images_come_with_a_mask_or_none():
    assert cohort_of(["a", "b"]).images == [(Path("0.nii"), None), (Path("1.nii"), Path("m.nii"))]


def test_labels_are_nan_where_missing():
    np.testing.assert_array_equal(
        cohort_of(list("abcd")).labels(Target("years", "continuous", "age")), [np.nan, 1, 2, np.nan]
    )


def test_a_target_that_is_not_in_the_table_is_told():
    with pytest.raises(InputError, match=r"unknown column of target 'years' 'agee'; allowed: .*; did you mean 'age'"):
        cohort_of(["a"]).labels(Target("years", "continuous", "agee"))


def test_the_public_face_is_sorted_and_there():
    assert package.__all__ == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
