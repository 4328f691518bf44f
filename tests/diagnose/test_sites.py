"""The sites of a table: who is in them, which can be tested alone, and what is said of a study of one."""

import pandas as pd
import pytest

from neurotransfer.diagnose.sites import NO_SITES, Sites, site_words, sites_of
from neurotransfer.errors import InputError

ILL = {"ill": {"target": "ill", "kind": "binary", "classes": ["n", "y"]}}


def table():
    """Site a: 6 people, one with two scans; b: 4; c: 3, of whom one is ill; two people of no site."""
    site = ["a"] * 7 + ["b"] * 4 + ["c"] * 3 + [None, "n/a"]
    people = ["p0", *(f"p{place}" for place in range(15))]
    ill = [*"nnynyny", *"nyny", *"nyn", *"ny"]
    sex = ["F", "M"] * 8
    return pd.DataFrame({"participant_id": people, "site": site, "ill": ill, "sex": sex})


def test_people_are_counted_and_not_scans_and_most_come_first():
    found = sites_of(table(), "site", ILL)
    assert found.people == (("a", 6), ("b", 4), ("c", 3))
    assert (found.column, found.largest) == ("site", "a")


def test_a_site_can_be_tested_alone_where_every_class_has_two_people():
    found = sites_of(table(), "site", ILL)
    assert found.testable == ("a", "b")
    assert found.middle == "b"
    # of every task
    few = {**ILL, "sex": {"target": "sex", "kind": "binary", "classes": ["F", "M"], "where": {"site": "a"}}}
    assert sites_of(table(), "site", few).testable == ("a",)


def test_rows_that_are_not_the_tasks_do_not_count():
    some = table().assign(group=["x"] * 7 + ["x", "y", "x", "y"] + ["x"] * 5)
    task = {"ill": {**ILL["ill"], "where": {"group": "x"}}}
    assert sites_of(some, "site", task).testable == ("a",)


def test_values_need_people_and_no_classes():
    age = {"age": {"target": "age", "kind": "continuous", "classes": []}}
    aged = table().assign(age=["40"] * 11 + ["n/a"] * 5)
    assert sites_of(aged, "site", age).testable == ("a", "b")


def test_without_a_column_or_a_table_there_are_no_sites():
    assert sites_of(table(), "", ILL) == NO_SITES
    assert sites_of(None, "site", ILL) == Sites("site")
    assert Sites("site").largest == Sites("site").middle == ""


def test_a_column_that_is_not_there_is_refused_with_the_likely_one():
    with pytest.raises(InputError, match="did you mean 'site'"):
        sites_of(table(), "sites", ILL)


def test_numbers_that_name_sites_are_text_as_everywhere():
    found = sites_of(table().assign(site=[1.0] * 10 + [2.0] * 6), "site", {})
    assert [name for name, _ in found.people] == ["1", "2"]


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ({"protocol": {"held_out": {"site": "b"}}, "tasks": {}}, "tested on site = b, trained on the others"),
        ({"protocol": {"held_out": 0.2}, "tasks": {"x": {"where": {"site": "a"}}}}, "site = a alone"),
        ({"protocol": {}, "tasks": {"x": {"where": None}}}, ""),
    ],
)
def test_which_site_it_is_stands_in_words(study, said):
    assert site_words(study, "site") == said
