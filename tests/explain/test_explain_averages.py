"""From scans to people: means, covariates and labels, against pandas and by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.cohort.people import People
from neurotransfer.errors import InputError
from neurotransfer.explain.averages import covariates_of, labels_of, numeric_columns, person_means, varying

TABLE = pd.DataFrame({
    "age": ["10", "n/a", "30", "40", "50"],
    "sex": ["F", "M", "F", "M", "M"],
    "site": ["1", "2", "3", "1", "2"],
    "same": ["a"] * 5,
    "empty": [""] * 5,
    "volume": ["1.5", "2.5", "", "4.5", "5.5"],
})  # fmt: skip


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(0, 3))
def test_means_are_those_of_pandas(people, seed):
    draws = np.random.default_rng(seed)
    values = draws.normal(size=(len(people), 3))
    values[draws.random(values.shape) < 0.2] = np.nan
    codes = People.of(np.array(people).astype(str)).codes
    expected = pd.DataFrame(values).groupby(codes).mean().to_numpy()
    np.testing.assert_allclose(person_means(values, codes), expected, rtol=1e-12)


def test_scans_of_nobody_have_no_mean():
    assert person_means(np.zeros((0, 2)), np.zeros(0, int)).shape == (0, 2)


def test_rounding_does_not_vary():
    values = np.column_stack([np.full(9, 0.1), 5 + 1e-8 * np.arange(9), 1e-9 * np.arange(9), np.zeros(9)])
    assert varying(values).tolist() == [False, False, True, False]


def test_columns_are_numbers_and_gaps_are_kept():
    found = numeric_columns(TABLE, ["volume", "age"])
    np.testing.assert_array_equal(found[:, 0], [1.5, 2.5, np.nan, 4.5, 5.5])
    assert numeric_columns(TABLE, []).shape == (5, 0)


def test_all_that_is_wrong_with_columns_is_said_at_once():
    with pytest.raises(InputError) as caught:
        numeric_columns(TABLE, ["volum", "sex", "empty", "volume"])
    text = str(caught.value)
    assert "unknown column 'volum'" in text
    assert "did you mean 'volume'" in text
    assert "column 'sex' holds 'F'" in text
    assert "column 'empty' is empty" in text


def test_covariates_are_numbers_or_indicators():
    found = covariates_of(TABLE, ["age", "sex", "site", "age"])
    # a site is a name, also where names are numbers
    assert found.labels == ("age", "sex M", "site 2", "site 3")
    assert found.names == ("age", "sex", "site")
    np.testing.assert_array_equal(found.values[:, 0], [10, np.nan, 30, 40, 50])
    np.testing.assert_array_equal(found.values[:, 1], [0, 1, 0, 1, 1])
    np.testing.assert_array_equal(found.values[:, 2:].sum(0), [2, 1])


def test_a_missing_class_is_missing_in_all_its_indicators():
    table = pd.DataFrame({"site": ["a", "", "b", "c"]})
    assert np.isnan(covariates_of(table, ["site"]).values).tolist() == [
        [False] * 2,
        [True] * 2,
        [False] * 2,
        [False] * 2,
    ]


def test_covariates_that_take_nothing_out_are_refused_together():
    with pytest.raises(InputError) as caught:
        covariates_of(TABLE, ["same", "empty", "aeg", "sex"])
    text = str(caught.value)
    assert "covariate 'same': found only the value 'a'" in text
    assert "covariate 'empty': found no value at all" in text
    assert "unknown covariate 'aeg'" in text


def test_no_covariates_are_none():
    found = covariates_of(TABLE, [])
    assert found.values.shape == (5, 0)


PEOPLE = pd.DataFrame({
    "person": np.repeat(np.arange(20), 2),
    "age": np.repeat(np.arange(20), 2) + np.tile([0.0, 1.0], 20),
    "sex": ["F", "F"] * 9 + ["F", "M"] + ["M", "M"] * 10,
    "site": np.repeat(["1", "2", "3", "4"], [16, 14, 6, 4]),
    "hand": np.repeat(["L", "R", "Ambi"], [12, 26, 2]),
    "same": "a",
})  # fmt: skip


def test_numbers_are_averaged_and_classes_must_agree():
    codes = PEOPLE["person"].to_numpy()
    age = labels_of(PEOPLE, "age", codes)
    np.testing.assert_array_equal(age.values, np.arange(20) + 0.5)
    sex = labels_of(PEOPLE, "sex", codes)
    assert (sex.target.kind, sex.n_mixed, sex.n_rare) == ("binary", 1, 0)
    # one person is F in one scan and M in the other
    np.testing.assert_array_equal(sex.values, [0] * 9 + [np.nan] + [1] * 10)


def test_rare_classes_are_left_out_and_two_are_binary():
    codes = PEOPLE["person"].to_numpy()
    hand = labels_of(PEOPLE, "hand", codes)
    assert (hand.target.kind, hand.target.classes, hand.n_rare) == ("binary", ("L", "R"), 1)
    np.testing.assert_array_equal(hand.values, [0] * 6 + [1] * 13 + [np.nan])
    site = labels_of(PEOPLE, "site", codes)
    # a site is a name, also where names are numbers
    assert (site.target.kind, site.target.classes, site.n_rare) == ("binary", ("1", "2"), 5)
    # of three people each, nothing would be left
    few = PEOPLE.head(6)
    assert labels_of(few.assign(hand=["L", "L", "R", "R", "R", "R"]), "hand", few["person"].to_numpy()).n_rare == 0


def test_text_among_ages_is_no_class():
    with pytest.raises(InputError, match="found 'old'"):
        labels_of(PEOPLE.assign(age=["old", *map(str, range(39))]), "age", PEOPLE["person"].to_numpy())
    with pytest.raises(InputError, match="found only the value 'a'"):
        labels_of(PEOPLE, "same", PEOPLE["person"].to_numpy())
    with pytest.raises(InputError, match="unknown target column 'aeg'"):
        labels_of(PEOPLE, "aeg", PEOPLE["person"].to_numpy())
