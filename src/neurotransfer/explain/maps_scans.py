"""Whose maps are made, to which group each scan belongs, and what its files are called."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from neurotransfer.cohort import Cohort
from neurotransfer.errors import InputError, unknown
from neurotransfer.explain.one_scan import Named
from neurotransfer.prepare.source import Source
from neurotransfer.targets import as_text

MOST_GROUPS = 12


def chosen_rows(cohort: Cohort, group: str, most: int) -> np.ndarray:
    """The rows whose maps are made: the first `most`, in turn from every group; rows without a group are left out.

    Raises:
        InputError: for a column that is not there, or has no value, or more than twelve.
    """
    groups = groups_of_rows(cohort, range(len(cohort)), group)
    if not group:
        return np.arange(min(most, len(cohort)))
    members = {name: [row for row, own in enumerate(groups) if own == name] for name in dict.fromkeys(groups) if name}
    if not members or len(members) > MOST_GROUPS:
        raise InputError(f"the column {group!r} has {len(members)} different values; groups are 1 to {MOST_GROUPS}")
    turns = [row for turn in range(len(cohort)) for rows in members.values() for row in rows[turn : turn + 1]]
    return np.sort(np.array(turns[:most]))


def groups_of_rows(cohort: Cohort, rows: Sequence[int] | range, group: str) -> list[str]:
    """The group of each row, "" where there is none.

    Raises:
        InputError: when there is no such column.
    """
    if not group:
        return [""] * len(rows)
    if group not in cohort.table:
        raise InputError(unknown("column of --group", group, sorted(cohort.table.columns)))
    text = as_text(cohort.table[group])
    return [str(text.iloc[row] or "") for row in rows]


def names_of(cohort: Cohort, rows: Iterable[int]) -> list[Named]:
    """What the files of rows are called: as BIDS would, with a run where one person has several scans of a session."""
    found, taken = [], set()
    sessions = cohort.table["session_id"] if "session_id" in cohort.table else [""] * len(cohort)
    for row in rows:
        person, session = str(cohort.participants[row]), str(list(sessions)[row] or "")
        stem = whole = Source(person, session, Path()).stem
        run = 1
        while whole in taken:
            run += 1
            whole = f"{stem}_run-{run}"
        taken.add(whole)
        found.append(Named(int(row), person, session, str(cohort.images[row][0]), whole))
    return found
