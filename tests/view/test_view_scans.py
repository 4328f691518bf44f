"""The list that the page gets: no path, columns of one length, numbers found by what columns hold."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.view.scans import Number, Scans, facts_of, flag_kind, listing, numbers_of, plain


@pytest.fixture
def scans(tmp_path):
    from neurotransfer.view.scans import File

    table = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-2"],
            "session_id": ["", "ses-1"],
            "site": ["A", ""],
            "age": ["20.5", "n/a?"],
            "sex": ["F", "M"],
            "image": ["a.nii", "b.nii"],
        }
    )
    flags = (("cnr 1.2 is unusual here (robust z 4.1)", "the field of view cuts the brain off (inside 0.91)"),
             ("cnr 0.9 is unusual here (robust z 6.0)",))  # fmt: skip
    files = [{"scan": File(tmp_path / "a.nii", "a.nii")}, {}]
    number = Number("error", "Error (years)", "Errors", np.array([1.23456789, np.nan]), "high", ("bad", ""))
    return Scans("Two", table, files, flags, (number,), ("note",))


def test_the_list_has_a_value_a_scan_and_no_path(scans, tmp_path):
    found = listing(scans)
    assert str(tmp_path) not in json.dumps(found)
    for name in ("participant_id", "session_id", "site", "sex", "age", "flags", "has_image"):
        assert len(found[name]) == found["n"] == 2
    assert found["age"] == [20.5, None]
    assert found["has_image"] == [1, 0]
    assert found["flag_kinds"] == ["cnr is unusual here", "the field of view cuts the brain off"]
    assert found["flags"] == [[0, 1], [0]]
    assert found["numbers"] == [{"name": "error", "label": "Error (years)", "group": "Errors", "worse": "high"}]


def test_the_facts_of_a_scan_leave_out_what_is_not_known(scans, tmp_path):
    first, second = facts_of(scans, 0), facts_of(scans, 1)
    assert first["said"] == [["Error (years)", "bad"]]
    assert second["said"] == []
    assert first["files"] == [{"role": "scan", "label": "a.nii"}]
    assert ["site", "A"] in first["row"]
    assert "site" not in dict(second["row"])
    assert first["flags"][0].startswith("cnr 1.2")
    assert str(tmp_path) not in json.dumps(first)


def test_numbers_are_columns_of_numbers_that_differ():
    table = pd.DataFrame(
        {
            "a": ["1", "", "3"],
            "same": ["1", "1", "1"],
            "text": ["1", "two", "3"],
            "empty": ["", "", ""],
            "left_out": ["1", "2", "3"],
            "endless": ["1", "inf", "3"],
        }
    )
    found = numbers_of(table, "G", ("left_out",))
    assert [(number.name, number.group) for number in found] == [("a", "G")]
    assert found[0].values[[0, 2]].tolist() == [1.0, 3.0]
    assert np.isnan(found[0].values[1])


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), max_size=30))
def test_numbers_as_json_are_close_and_never_nan(values):
    found = plain(np.array(values, float))
    json.dumps(found, allow_nan=False)
    for value, written in zip(values, found, strict=True):
        assert (written is None) == (not np.isfinite(value))
        if written is not None:
            assert written == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("flag", "kind"),
    [
        ("brain_litres 0.5 is unusual here (robust z 9.0)", "brain_litres is unusual here"),
        ("cjv -1.2e-05 is unusual here (robust z 9.0)", "cjv is unusual here"),
        ("is it T1-weighted? (contrast 0.01)", "is it T1-weighted?"),
        ("a sentence", "a sentence"),
        ("(all in parentheses)", "(all in parentheses)"),
    ],
)
def test_flags_of_one_kind_are_one_kind(flag, kind):
    assert flag_kind(flag) == kind
