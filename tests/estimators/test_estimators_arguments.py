"""Labels, groups, columns and parameters: what is taken, and in which words the rest is refused."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from neurotransfer import TransferRegressor
from neurotransfer.errors import InputError, NeurotransferError
from neurotransfer.estimators.arguments import (
    ArgumentError,
    array_of,
    as_argument,
    labels_of,
    numbers_of,
    people_of,
    require,
    require_classes_of,
    rows_named,
    shown,
    table_of,
)


def test_an_argument_error_is_ours_and_what_scikit_learn_expects():
    assert issubclass(ArgumentError, InputError)
    assert issubclass(ArgumentError, NeurotransferError)
    assert issubclass(ArgumentError, ValueError)
    again = pickle.loads(pickle.dumps(ArgumentError("y has 1 class")))
    assert type(again) is ArgumentError
    assert str(again) == "y has 1 class"


@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_what_a_library_refuses_gets_an_advice(kind):
    with pytest.raises(ArgumentError, match=r"^two words; do this$"), as_argument("do this"):
        raise kind("two\n  words.")


@pytest.mark.parametrize("kind", [InputError, ArgumentError])
def test_what_we_refuse_stays_as_it_is(kind):
    with pytest.raises(kind, match=r"^ours$") as caught, as_argument("do this"):
        raise kind("ours")
    assert type(caught.value) is kind


def test_other_errors_pass():
    with pytest.raises(KeyError), as_argument("do this"):
        raise KeyError("x")


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (None, r"X is image paths, volumes \(n, x, y, z\) or regional volumes \(n, columns\), got None; give a list"),
        ("scan.nii.gz", "got 'scan.nii.gz'; give a list or an array with one entry a scan"),
        (b"scan", "got b'scan'"),
        ({"image": [1]}, r"got \{'image': \[1\]\}"),
        ({1, 2}, r"got \{1, 2\}"),
        (3.5, "got 3.5"),
        ((value for value in (1, 2)), r"X is a generator.* give list\(X\)"),
        (iter([1, 2]), r"X is a generator"),
        (map(abs, [1, 2]), r"X is a generator"),
        (sparse.csr_matrix(np.eye(3)), r"X is sparse, and scans are dense; give X.toarray\(\)"),
        (sparse.coo_array(np.eye(3)), "X is sparse"),
        (np.ones((2, 2)) * 1j, "Complex data not supported: X has complex numbers"),
        ([np.zeros((2, 2)), np.zeros((3, 2))], r"inhomogeneous.*; X is image paths.* all of one shape"),
    ],
)
def test_what_is_no_array_is_refused(X, said):
    with pytest.raises(ArgumentError, match=said):
        array_of(X)


def test_an_array_is_not_copied():
    values = np.zeros((2, 3, 4, 5), np.float16)
    assert array_of(values) is values
    assert array_of([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]


def test_a_long_value_is_cut_and_on_one_line():
    assert shown(np.zeros((3, 3))) == "array([[0., 0., 0.], [0., 0., 0.], [0., 0., 0.]])"
    assert len(shown("x" * 500)) == 80
    assert shown("x" * 500).endswith("xxx...")


@pytest.mark.parametrize("X", [np.eye(3), np.eye(3).tolist(), pd.DataFrame(np.eye(3)), np.eye(3).astype(object)])
def test_columns_become_float32_and_are_counted(X):
    estimator = TransferRegressor()
    found = table_of(estimator, X, first=True)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.eye(3))
    assert estimator.n_features_in_ == 3
    np.testing.assert_array_equal(table_of(estimator, X, first=False), np.eye(3))
    with pytest.raises(ArgumentError, match="X has 2 features, but TransferRegressor is expecting 3 features as input"):
        table_of(estimator, np.eye(2), first=False)


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (np.zeros((0, 3)), r"Found array with 0 sample\(s\).* give regional volumes as numbers"),
        (np.zeros((3, 0)), r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1 is required"),
        ([["a", "b"], ["c", "d"]], "could not convert string to float: 'a'; give regional volumes as numbers"),
        ([[1.0, {}], [2.0, 3.0]], "not 'dict'; give regional volumes"),
        (pd.DataFrame({"age": [1.0, 2.0], "sex": ["F", "M"]}), "could not convert string to float: 'F'"),
        (
            [[1.0, np.nan], [2.0, 3.0]],
            r"X has missing or infinite values \(NaN, or beyond float32\) in row 1; leave those",
        ),
        ([[1.0, 1.0], [-np.inf, 3.0]], "row 2"),
        ([[1.0, 1e39], [2.0, 3.0]], "beyond float32.* in row 1"),
    ],
    ids=str,
)
def test_columns_that_are_no_numbers_are_refused(X, said):
    with pytest.raises(ArgumentError, match=said):
        table_of(TransferRegressor(), X, first=True)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (None, "It requires y to be passed, but the target y is None; give one label a scan"),
        (3, r"y has one label a scan, \(n,\), got \(\)"),
        (np.zeros((3, 2)), r"got \(3, 2\); fit one estimator a label"),
        (np.zeros((3, 1, 1)), r"got \(3, 1, 1\)"),
        (np.ones(3) * 1j, "Complex data not supported: y has complex numbers"),
        ([[1, 2], [3]], r"inhomogeneous.*; y has one label a scan"),
    ],
    ids=str,
)
def test_labels_of_another_shape_are_refused(y, said):
    with pytest.raises(ArgumentError, match=said):
        labels_of(y, "It")


def test_a_column_of_labels_is_taken_with_a_warning():
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when a 1d array was expected"):
        assert labels_of(np.array([["a"], ["b"]]), "It").tolist() == ["a", "b"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_come_as_they_are_also_from_text(values):
    assert numbers_of(values, "It").tolist() == values
    assert numbers_of([repr(value) for value in values], "It").tolist() == values
    assert numbers_of(pd.Series(values, index=range(5, 5 + len(values))), "It").tolist() == values


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (
            ["1", "old", "2", "x"],
            r"no numbers: .*'old'.* \(row 2\), .*'x'.* \(row 4\); mend them, or use TransferClassifier",
        ),
        ([1.0, np.nan, np.inf], "missing or infinite values in rows 2, 3; leave those scans out"),
        ([None, 1.0], "in row 1"),
        (pd.array([1, None], dtype="Int64"), "in row 2"),
        (["a"] * 9, r"\(row 5\); mend"),
    ],
    ids=str,
)
def test_labels_that_are_no_numbers_are_refused_with_their_rows(y, said):
    with pytest.raises(ArgumentError, match=said):
        numbers_of(y, "It")


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([3.0, 1.0, 3.0], [1.0, 3.0]),
        ([True, False], [False, True]),
        (["b", "a", "c"], ["a", "b", "c"]),
        (np.array(["b", "a"], object), ["a", "b"]),
        (np.array([2, 10, 9]), [2, 9, 10]),
    ],
)
def test_classes_are_sorted(values, classes):
    assert require_classes_of(np.asarray(values), "It").tolist() == classes


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([0.5, 1.0]), "Unknown label type: y is continuous.* use TransferRegressor"),
        (np.array(["a", "a"]), "y has 1 class, only the value 'a'; It needs two or more"),
        (np.array([]), "y has 0 classes; It needs two or more"),
        (np.array([1, "a"], object), "labels are of one type; give all as text, or all as numbers"),
    ],
    ids=str,
)
def test_what_are_no_classes_is_refused(values, said):
    with pytest.raises(ArgumentError, match=said):
        require_classes_of(values, "It")


def test_without_groups_everybody_has_one_scan():
    assert len(set(people_of(None, 12))) == 12
    assert people_of(pd.Series([2, 1, 2], index=[5, 6, 7]), 3).tolist() == ["2", "1", "2"]
    assert people_of(pd.Series(["x", "y"], dtype="category"), 2).tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (["a", "b"], r"there are 3 scans and groups \(2,\); give one person a scan, \(3,\)"),
        (np.zeros((3, 1)), r"groups \(3, 1\)"),
        ("abc", r"groups \(\)"),
        ([1.0, np.nan, np.nan], "groups has nobody in rows 2, 3; say whose scan each is, or leave it out"),
        (["a", None, "b"], "nobody in row 2"),
    ],
    ids=str,
)
def test_groups_that_do_not_say_whose_scans_are_refused(groups, said):
    with pytest.raises(ArgumentError, match=said):
        people_of(groups, 3)


def test_rows_are_counted_from_one_and_the_first_few_named():
    assert rows_named(np.arange(7)) == "rows 1, 2, 3, 4, 5 and 2 more"
    assert rows_named(np.array([6])) == "row 7"


def test_all_parameters_that_cannot_be_are_named_at_once():
    good = ("x", lambda value: isinstance(value, str), "text")
    bad = (3, lambda value: isinstance(value, str), "text")
    require({"a": good})
    with pytest.raises(ArgumentError, match=r"^b is text, got 3; set_params changes it$"):
        require({"a": good, "b": bad})
    with pytest.raises(
        ArgumentError, match="2 problems in the parameters:\n  b is text, got 3\n  c is text, got 3\nset"
    ):
        require({"b": bad, "c": bad})
