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


def test_numbers_are_averaged_and_classes_must_agree():
    codes = np.array([0, 0, 1, 2, 2])
    age = labels_of(TABLE, "age", codes)
    np.testing.assert_array_equal(age.values, [10, 30, 45])
    sex = labels_of(TABLE, "sex", codes)
    assert sex.target.kind == "binary"
    # the first person is F in one scan and M in the other
    np.testing.assert_array_equal(sex.values, [np.nan, 0, 1])
    assert (sex.n_mixed, age.n_mixed) == (1, 0)
    site = labels_of(TABLE, "site", np.arange(5))
    assert (site.target.kind, site.target.classes) == ("categorical", ("1", "2", "3"))
    with pytest.raises(InputError, match="found only the value 'a'"):
        labels_of(TABLE, "same", codes)
