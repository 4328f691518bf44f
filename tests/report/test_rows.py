"""Tables as they were written, whatever their format, and what is wrong with others in words of ours."""

import numpy as np
import pandas as pd
import pytest

from neurotransfer.artifacts import write_table
from neurotransfer.errors import InputError
from neurotransfer.report.rows import OTHERS, groups_of, numbers, read_rows, texts

TABLE = pd.DataFrame({"scan": ["a", "b", None], "age": [30.0, np.nan, 41.5], "site": ["A", "A", "B"]})


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    write_table(path, TABLE)
    found = read_rows(path, ("scan", "age"), "")
    assert found.fillna("-")["scan"].tolist() == ["a", "b", "-"]
    np.testing.assert_array_equal(numbers(found, "age"), TABLE["age"])


def test_a_table_without_a_row_is_a_table(tmp_path):
    write_table(tmp_path / "none.tsv", TABLE.iloc[:0])
    assert read_rows(tmp_path / "none.tsv", ("scan",), "").shape == (0, 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no"),
        (b"", "cannot be read as a tsv table"),
        (b"\xff\xfe\x00a", "cannot be read as a tsv table"),
        (b"a\tb\n1\t2\t3\n4\t5\t6\t7\n", "cannot be read as a tsv table"),
        (b"other\n1\n", "has no column 'scan', 'age'; found: other; make it anew"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_to_do(tmp_path, content, said):
    path = tmp_path / "table.tsv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="make it anew") as told:
        read_rows(path, ("scan", "age"), "make it anew")
    assert said in str(told.value)


def test_another_ending_and_a_damaged_parquet_are_refused(tmp_path):
    with pytest.raises(InputError, match="allowed endings"):
        read_rows(tmp_path / "table.xlsx", (), "")
    (tmp_path / "table.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read as a parquet table"):
        read_rows(tmp_path / "table.parquet", (), "")


def test_numbers_and_texts_of_what_is_not_there():
    table = pd.DataFrame({"x": ["1", "inf", "word", None]})
    np.testing.assert_array_equal(numbers(table, "x"), [1.0, np.nan, np.nan, np.nan])
    assert np.isnan(numbers(table, "y")).all()
    assert texts(table, "x", "none").tolist() == ["1", "inf", "word", "none"]
    assert texts(table, "y").tolist() == ["unknown"] * 4


def test_the_smallest_groups_are_put_together():
    table = pd.DataFrame({"site": [name for number in range(12) for name in [f"s{number:02d}"] * (20 - number)]})
    found = groups_of(table, "site", 4)
    assert sorted(set(found)) == [OTHERS, "s00", "s01", "s02"]
    assert (found == OTHERS).sum() == sum(20 - number for number in range(3, 12))
    assert groups_of(table.assign(site="one"), "site") is None
    assert groups_of(table, "nothing") is None
