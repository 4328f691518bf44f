"""Train, validation and test without a participant in two of them, and the guard that every split passes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurotransfer.cohort.people import People
from neurotransfer.errors import InputError, LeakageError


@dataclass(frozen=True)
class Split:
    """Rows of a cohort: `train` (with repeats when bootstrapped), `validation` and `test`, each an integer array.

    `folds` (len(train),) is the fold of every training row, from 0, where folds of the training rows are the validation:
    `validation` is then empty. `entered` are the values of a column whose people it was drawn from, where these enter with size.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    folds: np.ndarray | None = None
    entered: tuple[str, ...] = ()


def check_split(split: Split, participants: np.ndarray | People) -> Split:
    """The split itself, when no participant is in two of its parts or in two of its folds.

    Args:
        split: of rows of a table.
        participants: of every row of the table, (n_rows,); or the same as `People`, which is faster.

    Raises:
        LeakageError: naming the participants who are.
        InputError: when the folds are not one a training row, numbered from 0 without a gap, beside an empty validation.

    Example:
        >>> parts = Split(np.array([0]), np.array([1]), np.array([2]))
        >>> check_split(parts, np.array(["a", "b", "a"]))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        neurotransfer.errors.LeakageError: 1 participant both in train and in test: a; no participant may be in two ...
    """
    people = participants if isinstance(participants, People) else People.of(participants)
    parts = {name: people.has(getattr(split, name)) for name in ("train", "validation", "test")}
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        _require_apart(people.names[parts[first] & parts[second]], first, second, "parts of a split")
    if split.folds is not None:
        _check_folds(split, split.folds, people)
    return split


def _check_folds(split: Split, folds: np.ndarray, people: People) -> None:
    found = np.unique(folds)
    if len(folds) != len(split.train) or len(split.validation) or found.tolist() != list(range(len(found))):
        raise InputError(
            f"{len(folds)} folds {found.tolist()[:20]} of {len(split.train)} training rows, with {len(split.validation)} "
            "validation rows beside; give the fold of every training row, 0, 1, ... without a gap, and no validation"
        )
    codes, lowest = people.codes[split.train], np.full(len(people), len(found))
    np.minimum.at(lowest, codes, folds)
    in_two = np.flatnonzero(folds != lowest[codes])
    if len(in_two):
        one, other = int(lowest[codes[in_two[0]]]), int(folds[in_two[0]])
        _require_apart(people.names[np.unique(codes[in_two])], f"fold {one}", f"fold {other}", "folds")


def _require_apart(shared: np.ndarray, first: str, second: str, of_what: str) -> None:
    if len(shared):
        raise LeakageError(
            f"{len(shared)} participant{'s' * (len(shared) > 1)} both in {first} and in {second}: "
            f"{', '.join(map(str, shared[:5]))}; no participant may be in two {of_what}"
        )


def fifth(n: int) -> int:
    """A fifth of n, rounded, at least 1: the size of validation and test."""
    return max(1, round(n / 5))


def proportional(n: int, counts: Sequence[int]) -> list[int]:
    """Shares of n in proportion to `counts`, by largest remainders.

    Example:
        >>> proportional(10, [2, 1])
        [7, 3]
    """
    exact = n * np.asarray(counts, float) / sum(counts)
    shares = np.floor(exact).astype(int)
    for index in np.argsort(shares - exact, kind="stable")[: n - shares.sum()]:
        shares[index] += 1
    return [int(share) for share in shares]


def holdout_split(
    participants: np.ndarray, fraction: float, generator: np.random.Generator, classes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows for training and for validation: a fraction of the participants, with all their rows, is held out.

    `classes` (n_rows,) stratifies by each participant's first class.

    Raises:
        InputError: when the fraction is not between 0 and 1, or a part would be empty.

    Example:
        >>> train, validation = holdout_split(np.array(["a", "a", "b", "c", "d"]), 0.25, np.random.default_rng(0))
        >>> len(set(train) & set(validation))
        0
    """
    people, first = np.unique(participants, return_index=True)
    wanted = round(fraction * len(people)) if 0 < fraction < 1 else 0
    if not 0 < wanted < len(people):
        raise InputError(
            f"a validation fraction of {fraction!r} of {len(people)} participants leaves train or validation empty; "
            "give a fraction between 0 and 1 and enough people"
        )
    strata = np.zeros(len(people)) if classes is None else np.nan_to_num(np.asarray(classes, float)[first], nan=-1)
    groups = [people[strata == label] for label in np.unique(strata)]
    held = [
        generator.permutation(group)[:size]
        for group, size in zip(groups, proportional(wanted, [len(group) for group in groups]), strict=True)
    ]
    is_held = np.isin(participants, np.concatenate(held))
    split = Split(np.flatnonzero(~is_held), np.flatnonzero(is_held), np.array([], int))
    check_split(split, participants)
    return split.train, split.validation
