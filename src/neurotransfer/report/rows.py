"""A table that a command wrote, as the report reads it: text, missing values as None, perhaps without a row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.artifacts import is_file, table_suffix
from neurotransfer.errors import InputError
from neurotransfer.pages.looks import COLOURS
from neurotransfer.targets import as_text

MOST_GROUPS, OTHERS = len(COLOURS), "others"


def read_rows(path: Path, needed: Sequence[str], advice: str) -> pd.DataFrame:
    """A table of text (.tsv, .csv, .parquet); it may have no rows.

    Args:
        path: of the table.
        needed: columns that it must have.
        advice: what to do when it is not as it should be.

    Raises:
        InputError: when it is absent, cannot be read or lacks columns.
    """
    suffix = table_suffix(path)
    if not is_file(path):
        raise InputError(f"there is no {str(path)!r}; {advice}")
    try:
        table = pd.read_parquet(path) if suffix == ".parquet" else _separated(path, "\t" if suffix == ".tsv" else ",")
        table = pd.DataFrame({str(name): as_text(table[name]) for name in table.columns}, index=table.index)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{str(path)!r} cannot be read as a {suffix[1:]} table ({reason}); {advice}") from None
    absent = [name for name in needed if name not in table]
    if absent:
        found = ", ".join(map(str, table.columns)) or "nothing"
        raise InputError(f"{str(path)!r} has no column {', '.join(map(repr, absent))}; found: {found}; {advice}")
    return table.reset_index(drop=True)


def _separated(path: Path, separator: str) -> pd.DataFrame:
    return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")


def numbers(table: pd.DataFrame, column: str) -> np.ndarray:
    """A column as float64 (n,): NaN where it holds no number, is missing, or is not there.

    Example:
        >>> numbers(pd.DataFrame({"age": ["30", None, "x"]}), "age")
        array([30., nan, nan])
    """
    if column not in table:
        return np.full(len(table), np.nan)
    found = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
    return np.where(np.isfinite(found), found, np.nan)


def texts(table: pd.DataFrame, column: str, missing: str = "unknown") -> pd.Series:
    """A column as text, `missing` where it has none or is not there."""
    if column not in table:
        return pd.Series(missing, index=table.index, dtype=object)
    return table[column].where(table[column].notna(), missing).astype(object)


def groups_of(table: pd.DataFrame, column: str, most: int = MOST_GROUPS) -> pd.Series | None:
    """The group of every row by a column, the smallest ones put together as "others"; None where there are not two of them.

    Example:
        >>> groups_of(pd.DataFrame({"site": ["A", "B", None]}), "site").tolist()
        ['A', 'B', 'unknown']
    """
    groups = texts(table, column)
    largest = list(groups.value_counts(sort=True).index)
    if len(largest) > most:
        groups = groups.where(groups.isin(largest[: most - 1]), OTHERS)
    return groups if column in table and groups.nunique() > 1 else None
