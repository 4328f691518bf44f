"""What splits are drawn from: the rows of a cohort, those of held-out people, and the images or people that are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from neurotransfer.cohort.people import People
from neurotransfer.errors import InputError


@dataclass(frozen=True, eq=False)
class Pool:
    """The rows that splits are drawn from, see `make_pool`; all that does not change from one split to the next.

    `rows` are those to train on (and to test on, where nobody is held out), `held` those of held-out people. `classes`
    (n_rows,) are 0, 1, ... of every row of the cohort, below 0 outside of the pool; `class_names` what messages call them.
    `untested` (n_rows,) says which rows are never tested. `learnt` (n_rows,) are the classes that are trained on and chosen by,
    where they are not the true ones.
    """

    people: People
    rows: np.ndarray
    held: np.ndarray
    classes: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    untested: np.ndarray | None = None
    learnt: np.ndarray | None = None

    @cached_property
    def by_person(self) -> np.ndarray:
        """The rows, person by person."""
        return self._sorted(self.rows)

    @cached_property
    def held_by_person(self) -> np.ndarray:
        """The rows of held-out people, person by person."""
        return self._sorted(self.held)

    @cached_property
    def persons(self) -> np.ndarray:
        """The codes of those who have rows to train on, rising."""
        return np.flatnonzero(self.people.has(self.rows))

    @cached_property
    def people_of_classes(self) -> np.ndarray:
        """How many people have rows of each class to train on, and how many of the held-out have, (2, n_classes)."""
        if self.classes is None:
            return np.zeros((2, 0), int)
        found = np.zeros((2, len(self.class_names), len(self.people)), bool)
        for index, rows in enumerate((self.rows, self.held)):
            found[index, self.classes[rows], self.people.codes[rows]] = True
        return found.sum(axis=2)

    def only(self, is_row: np.ndarray) -> "Pool":
        """The same with some of the rows to train on, (n_rows,); every class must still be in every part, held-out people stay."""
        return replace(self, rows=self.rows[is_row[self.rows]])

    def _sorted(self, rows: np.ndarray) -> np.ndarray:
        if (np.diff(rows) > 0).all():
            # the order of all rows is known: no need to sort again
            is_of_pool = np.zeros(len(self.people.codes), bool)
            is_of_pool[rows] = True
            return self.people.order[is_of_pool[self.people.order]]
        return rows[np.argsort(self.people.codes[rows], kind="stable")]


def make_pool(
    participants: np.ndarray | People,
    *,
    rows: np.ndarray | None = None,
    classes: np.ndarray | None = None,
    class_names: Sequence[str] = (),
    untested: np.ndarray | None = None,
    held_out: np.ndarray | None = None,
    learnt: np.ndarray | None = None,
) -> Pool:
    """What splits are drawn from.

    Args:
        participants: of every row of the cohort, (n_rows,), or the same as `People`.
        rows: which rows there are to draw, as indices; all when not given.
        classes: of every row, (n_rows,); when given, every class must be in every part of a split.
        class_names: what the classes 0, 1, ... are called in messages.
        untested: which rows are never in the test part, (n_rows,): people on whom something was chosen.
        held_out: which rows are of the fixed test people, (n_rows,); those of them who are never tested are left out
            altogether.
        learnt: classes of every row that are trained on and chosen by, (n_rows,), where they are not `classes`: every class of
            these must be in the training and validation parts as well.

    Raises:
        InputError: when the class of a row of the pool is missing.

    Example:
        >>> pool = make_pool(np.array(["a", "a", "b"]), held_out=np.array([False, False, True]))
        >>> pool.rows.tolist(), pool.held.tolist()
        ([0, 1], [2])
    """
    people = participants if isinstance(participants, People) else People.of(participants)
    rows = np.arange(len(people.codes)) if rows is None else np.asarray(rows)
    is_held = np.zeros(len(people.codes), bool) if held_out is None else np.asarray(held_out)
    tested = is_held if untested is None else is_held & ~untested
    codes, names = _coded(None if classes is None else np.asarray(classes, float), rows, class_names)
    wrong = None if learnt is None or classes is None else _coded_alike(learnt, classes, rows)
    return Pool(people, rows[~is_held[rows]], rows[tested[rows]], codes, names, untested, wrong)


def _coded(
    classes: np.ndarray | None, rows: np.ndarray, class_names: Sequence[str]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if classes is None:
        return None, ()
    if np.isnan(classes[rows]).any():
        raise InputError("the pool has rows whose class is missing; leave them out of `rows`")
    found, codes = np.unique(classes[rows], return_inverse=True)
    of_rows = np.full(len(classes), -1)
    of_rows[rows] = codes
    return of_rows, tuple(repr(class_names[int(label)]) if class_names else f"{label:g}" for label in found)


def _coded_alike(learnt: np.ndarray, classes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    of_rows = np.full(len(classes), -1)
    of_rows[rows] = np.searchsorted(np.unique(np.asarray(classes, float)[rows]), np.asarray(learnt, float)[rows])
    return of_rows


@dataclass(frozen=True, eq=False)
class Units:
    """What is drawn, images or people: `ids` in their own order, and `by_person`, the same person by person.

    `person`, `stratum` (None when there are no classes) and `untested` (None when all may be tested) are looked up by id.
    """

    ids: np.ndarray
    by_person: np.ndarray
    person: np.ndarray
    n_people: int
    stratum: np.ndarray | None
    untested: np.ndarray | None

    def without(self, ids: np.ndarray, gone: np.ndarray) -> np.ndarray:
        """Those ids whose person has none of those that are gone."""
        is_gone = np.zeros(self.n_people, bool)
        is_gone[self.person[gone]] = True
        return ids[~is_gone[self.person[ids]]]


def images_of(pool: Pool, by_person: np.ndarray) -> Units:
    """Images as units: rows of the pool, all or some, given person by person."""
    ids = pool.rows if by_person is pool.by_person else np.sort(by_person)
    return Units(ids, by_person, pool.people.codes, len(pool.people), pool.classes, pool.untested)


def persons_of(pool: Pool, by_person: np.ndarray) -> Units:
    """People as units, by their codes; a person is of the class of the first row, and untested when any row is."""
    persons, everyone = pool.persons, np.arange(len(pool.people))
    stratum, untested = None, None
    if pool.classes is not None:
        stratum = np.full(len(everyone), -1)
        stratum[persons] = pool.classes[by_person[starts_of(pool, by_person)[persons]]]
    if pool.untested is not None:
        untested = pool.people.has(np.flatnonzero(pool.untested))
    return Units(persons, persons, everyone, len(everyone), stratum, untested)


def counts_of(pool: Pool, by_person: np.ndarray) -> np.ndarray:
    """How many of these rows a person has, (n_people,)."""
    return np.bincount(pool.people.codes[by_person], minlength=len(pool.people))


def starts_of(pool: Pool, by_person: np.ndarray) -> np.ndarray:
    """Where the rows of a person begin among rows that are given person by person, (n_people,)."""
    counts = counts_of(pool, by_person)
    return np.cumsum(counts) - counts


def one_each(pool: Pool, by_person: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One row of each person at random, person by person."""
    counts = counts_of(pool, by_person)
    present = counts > 0
    steps = np.floor(generator.random(int(present.sum())) * counts[present]).astype(int)
    return by_person[starts_of(pool, by_person)[present] + steps]


def rows_of(pool: Pool, by_person: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """All of these rows of persons, as often as a person is named."""
    counts, starts = counts_of(pool, by_person)[persons], starts_of(pool, by_person)[persons]
    ends = np.cumsum(counts)
    return by_person[np.repeat(starts - (ends - counts), counts) + np.arange(ends[-1] if len(ends) else 0)]
