"""A table as text: one way to read TSV, CSV and Parquet, whatever a missing value looks like."""

from collections import Counter
from pathlib import Path

import pandas as pd

from neurotransfer.artifacts import TABLE_SUFFIXES
from neurotransfer.errors import InputError
from neurotransfer.targets import as_text


def read_text_table(path: Path) -> pd.DataFrame:
    """A table as text, missing values as empty text; columns without a name are left out.

    Raises:
        InputError: when it cannot be read, has no rows, or has two columns of one name.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        advice = "; save the sheet as .csv" if suffix in (".xlsx", ".xls", ".ods") else ""
        raise InputError(
            f"{str(path)!r} is not a table of scans; allowed: {', '.join(TABLE_SUFFIXES)}, or a BIDS folder{advice}"
        )
    try:
        table = pd.read_parquet(path) if suffix == ".parquet" else _separated(path, "\t" if suffix == ".tsv" else ",")
        # in a damaged file the values come to light only when they are read
        texts = [as_text(table.iloc[:, place]).fillna("") for place in range(table.shape[1])]
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = "save it as UTF-8" if isinstance(error, UnicodeError) and suffix != ".parquet" else "write it again"
        raise InputError(f"cannot read {str(path)!r} as a {suffix[1:]} table ({reason}); {advice}") from None
    names = [str(name).strip() for name in table.columns]
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise InputError(f"{str(path)!r} has several columns named {', '.join(twice)}; rename or remove all but one")
    if not len(table):
        raise InputError(f"{str(path)!r} has no rows; a cohort needs one row a scan")
    columns = {name: text for name, text in zip(names, texts, strict=True) if name}
    return pd.DataFrame(columns, index=table.index).reset_index(drop=True)


def _separated(path: Path, separator: str) -> pd.DataFrame:
    # the header is read as a row: else pandas takes the first column of too long rows for an index and shifts the rest
    cells = pd.read_csv(path, sep=separator, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    return cells.iloc[1:].set_axis(as_text(cells.iloc[0]).fillna("").tolist(), axis=1)
