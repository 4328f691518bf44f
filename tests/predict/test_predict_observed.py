"""What is known already comes along as it is, is judged by the target alone, and changes no prediction."""

import numpy as np
import pandas as pd
import pytest

from neurotransfer.cohort import Cohort
from neurotransfer.predict.observed import observed_columns
from neurotransfer.targets import Target

AGE = Target("age", "continuous", unit="years")
SEX = Target("sex", "binary", classes=("F", "M"))
GROUP = Target("group", "categorical", column="diagnosis", classes=("a", "b", "c"))
LEVEL = Target("level", "ordinal", classes=("0", "1", "2"))


def cohort(**columns):
    n = len(next(iter(columns.values()))) if columns else 2
    people = {"participant_id": [f"p{row}" for row in range(n)], "session_id": [""] * n, "image": [""] * n}
    return Cohort("made up", pd.DataFrame(people | columns))


def test_every_kind_of_target_comes_along_by_its_column():
    table, said = observed_columns(
        [AGE, SEX, GROUP, LEVEL],
        cohort(age=["30", "", "41.5"], sex=["M", "F", "n/a"], diagnosis=["a", "c", ""], level=["2", "0", "1"]),
    )
    assert list(table) == list(said) == ["age_observed", "sex_observed", "group_observed", "level_observed"]
    np.testing.assert_array_equal(table["age_observed"], [30.0, np.nan, 41.5])
    assert table["sex_observed"].fillna("-").tolist() == ["M", "F", "-"]
    assert table["group_observed"].fillna("-").tolist() == ["a", "c", "-"]
    assert table["level_observed"].tolist() == ["2", "0", "1"]
    assert said["age_observed"]["Units"] == "years"
    assert "Units" not in said["sex_observed"]


@pytest.mark.parametrize(
    ("target", "values"),
    [(AGE, ["old", "30"]), (SEX, ["x", "M"]), (SEX, ["0", "1"]), (AGE, ["", "n/a"]), (LEVEL, ["3", "1"])],
)
def test_a_column_that_means_something_else_is_left_out_as_a_whole(target, values):
    table, said = observed_columns([target], cohort(**{target.name: values}))
    assert (list(table), said) == ([], {})
    assert len(table) == 2


def test_sites_come_along_where_there_are_any():
    assert observed_columns([], cohort(site=["A", ""]))[0]["site"].fillna("-").tolist() == ["A", "-"]
    assert list(observed_columns([], cohort(site=["", ""]))[0]) == []
    assert list(observed_columns([AGE], cohort())[0]) == []
