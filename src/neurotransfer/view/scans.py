"""The one table that the page shows: scans of people, their files by role, flags, and numbers to sort them by."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SCAN, MASK, MAP = "scan", "mask", "map"
KEYS = ("participant_id", "session_id")
# of every scan in the list; whatever else a table holds is asked for scan by scan
LISTED = ("participant_id", "session_id", "site", "sex")
HIGH, LOW = "high", "low"
DIGITS = 6
_IN_PARENTHESES = re.compile(r"\s*\([^()]*\)\s*$")
_VALUE = re.compile(r" [-\d.e+]+(?= is unusual)")


@dataclass(frozen=True)
class File:
    """One file of a scan: where it lies with all links followed, and what it is called on the page."""

    path: Path
    label: str


@dataclass(frozen=True, eq=False)
class Number:
    """A number of every scan, by which the page sorts and filters.

    Args:
        name: unlike all others.
        label: what it is, with its unit in parentheses.
        group: under which heading it is offered.
        values: (n,) float64, NaN where there is none.
        worse: `high` or `low` where one end is the bad one, empty where neither is.
        said: (n,) what there is to say of each value beside the number; empty for nothing.
    """

    name: str
    label: str
    group: str
    values: np.ndarray
    worse: str = ""
    said: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Scans:
    """The scans of a run.

    Args:
        title: what is looked at.
        table: a row a scan, as text, missing values as empty text: `participant_id`, `session_id`, `site`, `age`, `sex` (empty
            where not known) and whatever else is known.
        files: a row a scan: file by role, `scan`, `mask`, `map-0`, `map-1`, ...; a scan whose image was not found has none.
        flags: a row a scan: what to look at, in words.
        numbers: what scans can be sorted by; the first is the one to begin with.
        notes: remarks for the reader.
    """

    title: str
    table: pd.DataFrame
    files: Sequence[Mapping[str, File]]
    flags: Sequence[Sequence[str]]
    numbers: Sequence[Number] = ()
    notes: Sequence[str] = field(default=())

    def __len__(self) -> int:
        return len(self.table)


def flag_kind(flag: str) -> str:
    """What a flag is about, without the values of one scan, so that scans can be chosen by it.

    Example:
        >>> flag_kind("cnr 1.2 is unusual here (robust z 4.1)")
        'cnr is unusual here'
        >>> flag_kind("the field of view cuts the brain off (inside 0.91)")
        'the field of view cuts the brain off'
    """
    return _VALUE.sub("", _IN_PARENTHESES.sub("", flag)).strip() or flag


def numbers_of(table: pd.DataFrame, group: str, left_out: Sequence[str] = ()) -> list[Number]:
    """The columns of a table of text that hold numbers, in its order; those that are the same everywhere are left out.

    Example:
        >>> table = pd.DataFrame({"snr": ["1", "2"], "name": ["a", "b"], "same": ["1", "1"]})
        >>> [number.name for number in numbers_of(table, "Quality")]
        ['snr']
    """
    found = []
    for column in table.columns.difference(left_out, sort=False):
        values = pd.to_numeric(table[column].replace("", None), errors="coerce").to_numpy(float)
        known = table[column].to_numpy() != ""
        if np.isfinite(values[known]).all() and len(np.unique(values[known])) > 1:
            found.append(Number(str(column), str(column), group, values))
    return found


def listing(scans: Scans) -> dict[str, Any]:
    """What the page needs of all scans before it shows one: columns as lists, one value a scan; no path and no volume."""
    kinds = [[flag_kind(flag) for flag in row] for row in scans.flags]
    names = list(dict.fromkeys(kind for row in kinds for kind in row))
    places = {name: place for place, name in enumerate(names)}
    columns = {name: scans.table[name].tolist() for name in LISTED}
    age = pd.to_numeric(scans.table["age"].replace("", None), errors="coerce").to_numpy(float)
    return {
        "title": scans.title,
        "notes": list(scans.notes),
        "n": len(scans),
        **columns,
        "age": plain(age),
        "flag_kinds": names,
        "flags": [sorted({places[kind] for kind in row}) for row in kinds],
        "has_image": [int(SCAN in files) for files in scans.files],
        "numbers": [
            {"name": number.name, "label": number.label, "group": number.group, "worse": number.worse}
            for number in scans.numbers
        ],
    }


def facts_of(scans: Scans, index: int) -> dict[str, Any]:
    """What the page shows of one scan: its flags, files by role, the numbers that have words, and its row of the table."""
    row = scans.table.iloc[index]
    return {
        "flags": list(scans.flags[index]),
        "files": [{"role": role, "label": file.label} for role, file in scans.files[index].items()],
        "said": [
            [number.label, number.said[index]] for number in scans.numbers if len(number.said) and number.said[index]
        ],
        "row": [[str(name), value] for name, value in row.items() if value != ""],
    }


def plain(values: np.ndarray) -> list[float | None]:
    """Numbers as JSON has them: `DIGITS` digits that count, null for NaN.

    Example:
        >>> plain(np.array([1.23456789, np.nan]))
        [1.23457, None]
    """
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in values.tolist()]
