"""Rows of a cohort by the values of a column: who is held out, and whose values enter only when a size needs them."""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from neurotransfer.benchmark.protocols import EnterPart
from neurotransfer.benchmark.study import Study
from neurotransfer.cohort import Cohort, Pool
from neurotransfer.cohort.people import share_of
from neurotransfer.cohort.sampling import is_enough
from neurotransfer.errors import unknown
from neurotransfer.seeding import stream
from neurotransfer.targets import as_text


def problems_of_rows(key: str, where: Mapping[str, str], cohort: Cohort) -> Iterator[str]:
    """What is wrong with columns and values that a key of a study names; nothing where a cohort has them."""
    for column, value in where.items():
        if column not in cohort.table:
            yield unknown(f"column of {key}", column, cohort.table.columns)
            continue
        found = as_text(cohort.table[column])
        if value not in set(found):
            yield unknown(f"value of {key}, column {column!r},", value, sorted(found.dropna().unique()))


def problems_of_held_out(study: Study, cohort: Cohort) -> Iterator[str]:
    """What is wrong with the columns by which people are held out."""
    held_out = study.protocol.held_out
    if not isinstance(held_out, dict):
        return
    yield from problems_of_rows("held_out", held_out, cohort)
    for column, value in held_out.items():
        if column not in cohort.table:
            continue
        is_held, people = values_of(cohort, column) == value, cohort.people
        both = people.names[people.has(np.flatnonzero(is_held)) & people.has(np.flatnonzero(~is_held))]
        if len(both):
            yield (
                f"held_out, column {column!r}: {len(both)} participant{'s' * (len(both) > 1)} with rows that are {value!r} and "
                f"rows that are not: {', '.join(map(str, both[:5]))}; give a column that all rows of a person agree in"
            )


def problems_of_enter(study: Study, cohort: Cohort) -> Iterator[str]:
    """What is wrong with the column whose values enter with size."""
    enter = study.protocol.enter
    if enter is None:
        return
    if enter.column not in cohort.table:
        yield from problems_of_rows("enter", {enter.column: ""}, cohort)
        return
    for value in enter.order:
        yield from problems_of_rows("enter", {enter.column: value}, cohort)
    pairs = set(zip(cohort.participants.tolist(), values_of(cohort, enter.column).tolist(), strict=True))
    both = sorted(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    if both:
        yield (
            f"enter, column {enter.column!r}: {len(both)} participant{'s' * (len(both) > 1)} with rows of two values: "
            f"{', '.join(map(str, both[:5]))}; give a column that all rows of a person agree in"
        )


def values_of(cohort: Cohort, column: str) -> np.ndarray:
    """The values of a column as text, (n_rows,); empty where there is none."""
    codes, found = pd.factorize(cohort.table[column], use_na_sentinel=False)
    return as_text(pd.Series(found, dtype=object)).fillna("").to_numpy(object)[codes]


def held_out_rows(study: Study, cohort: Cohort) -> np.ndarray | None:
    """Which rows (n_rows,) are of the fixed test people; None when the test people are drawn with every replicate.

    People on whom a model of the study was chosen may be of them: they are neither trained on nor tested.
    """
    held_out = study.protocol.held_out
    if held_out is None:
        return None
    if isinstance(held_out, dict):
        return np.all([values_of(cohort, column) == value for column, value in held_out.items()], axis=0)
    return share_of(cohort.people, held_out, study.seed, "held out")


def entered(study: Study, cohort: Cohort, pool: Pool, task: str, n: int) -> tuple[Pool, tuple[str, ...]]:
    """What the splits of a size are drawn from, and whose values these are: the fewest first ones that are enough.

    They are the same in every replicate. Where all of them are not enough they are all in, and drawing says what lacks.

    Args:
        study: says which column it is, and how splits are drawn.
        cohort: of the study.
        pool: of a task, from everybody.
        task: the task.
        n: how many images, or people, to train on.

    Returns:
        The pool and the values; the pool as it is, and no values, where everybody may be drawn at every size.
    """
    enter = study.protocol.enter
    if enter is None:
        return pool, ()
    values, names = values_of(cohort, enter.column), []
    found = pool.only(np.zeros(len(values), bool))
    for value in enter.order or order_of(cohort, enter):
        if not (values[pool.rows] == value).any():
            continue
        names.append(value)
        found = pool.only(np.isin(values, names))
        if is_enough(found, n, study.protocol.choices, lambda what: stream(study.seed, "enter", what, task, n)):
            break
    return found, tuple(names)


def order_of(cohort: Cohort, enter: EnterPart) -> tuple[str, ...]:
    """The values of the column by their number of people, most first, then by name; rows without a value never enter."""
    values = values_of(cohort, enter.column)
    people = Counter(value for value, _ in set(zip(values.tolist(), cohort.participants.tolist(), strict=True)))
    return tuple(sorted(filter(None, people), key=lambda value: (-people[value], value)))
