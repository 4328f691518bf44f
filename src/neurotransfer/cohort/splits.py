"""Train, validation and test without a participant in two of them: the bootstrap of the talk, and a plain holdout."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError, LeakageError, unknown

TEST_SETS = ("fifth", "rest")
MOST_DRAWS = 1000


@dataclass(frozen=True)
class Split:
    """Rows of a cohort: `train` (with repeats when bootstrapped), `validation` and `test`, each an integer array."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def check_split(split: Split, participants: np.ndarray) -> Split:
    """The split itself, when no participant is in two of its parts.

    Raises:
        LeakageError: naming the participants who are.

    Example:
        >>> parts = Split(np.array([0]), np.array([1]), np.array([2]))
        >>> check_split(parts, np.array(["a", "b", "a"]))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        neurotransfer.errors.LeakageError: 1 participant both in train and in test: a; no participant may be in two ...
    """
    parts = {name: set(participants[getattr(split, name)]) for name in ("train", "validation", "test")}
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        shared = sorted(parts[first] & parts[second])
        if shared:
            raise LeakageError(
                f"{len(shared)} participant{'s' * (len(shared) > 1)} both in {first} and in {second}: "
                f"{', '.join(map(str, shared[:5]))}; no participant may be in two parts of a split"
            )
    return split


def fifth(n: int) -> int:
    """A fifth of n, rounded, at least 1: the size of validation and test."""
    return max(1, round(n / 5))


def bootstrap_split(
    participants: np.ndarray,
    n: int,
    generator: np.random.Generator,
    *,
    classes: np.ndarray | None = None,
    test: str = "fifth",
    stratify: bool = False,
    rows: np.ndarray | None = None,
    class_names: Sequence[str] = (),
    untested: np.ndarray | None = None,
) -> Split:
    """One replicate of the talk's protocol.

    Draws n rows with replacement for training; from the rows of the participants who were not drawn, n / 5 rows for
    validation and n / 5 for test (`test="rest"`: all that remain), with no participant in two parts.

    Args:
        participants: of every row of the cohort, (n_rows,).
        n: how many images to train on.
        generator: the source of randomness.
        classes: of every row, (n_rows,); when given, every class must be in every part: a draw where one is not is
            drawn again.
        test: `fifth` or `rest`.
        stratify: draw every part with the proportions that the classes have in the pool.
        rows: the pool, as indices of rows; all rows when not given.
        class_names: what the classes 0, 1, ... are called in messages.
        untested: which rows of the cohort are never in the test part, (n_rows,): people on whom something was chosen.

    Raises:
        InputError: when n is larger than the pool, too few people remain, a class has too few people or is not known,
            or `test` is none of the two.

    Example:
        >>> split = bootstrap_split(np.arange(100), 20, np.random.default_rng(0))
        >>> len(split.train), len(split.validation), len(split.test)
        (20, 4, 4)
    """
    if test not in TEST_SETS:
        raise InputError(unknown("test set", test, TEST_SETS))
    rows = np.arange(len(participants)) if rows is None else np.asarray(rows)
    _require_pool(participants, n, classes, rows, class_names)
    for _ in range(MOST_DRAWS):
        split = _draw(participants, n, generator, classes if stratify else None, test, rows, untested)
        if split is not None and (classes is None or _has_all(split, classes, rows)):
            return check_split(split, participants)
    raise InputError(
        f"n = {n} leaves too few people of a pool of {len(set(participants[rows]))} for {fifth(n)} validation and "
        f"{fifth(n) if test == 'fifth' else 'any'} test images"
        f"{' with every class in them' if classes is not None else ''}; "
        f"use smaller sizes{'' if stratify or classes is None else ', stratify = true'} or a larger cohort"
    )


def _require_pool(
    participants: np.ndarray, n: int, classes: np.ndarray | None, rows: np.ndarray, class_names: Sequence[str]
) -> None:
    if n < 2 or n > len(rows):
        raise InputError(f"n = {n} is not possible: allowed are 2 to {len(rows)}, the images in the pool")
    if classes is None:
        return
    if np.isnan(classes[rows]).any():
        raise InputError("the pool has rows whose class is missing; leave them out of `rows`")
    for label in np.unique(classes[rows]):
        people = len(set(participants[rows][classes[rows] == label]))
        if people < 3:
            name = repr(class_names[int(label)]) if class_names else f"{label:g}"
            raise InputError(
                f"class {name} has {people} participant{'s' * (people != 1)}; train, validation and test need one "
                "each: 3 or more"
            )


def _draw(
    participants: np.ndarray,
    n: int,
    generator: np.random.Generator,
    strata: np.ndarray | None,
    test: str,
    rows: np.ndarray,
    untested: np.ndarray | None,
) -> Split | None:
    train = _bootstrap(rows, n, generator, strata)
    rest = rows[~np.isin(participants[rows], participants[train])]
    shares = None if strata is None else _shares(strata, rows, fifth(n))
    validation, rest = _take(participants, rest, fifth(n), generator, strata, shares)
    rest = rest if untested is None else rest[~untested[rest]]
    wanted = fifth(n) if test == "fifth" else len(rest)
    held_out, _ = _take(participants, rest, wanted, generator, strata, shares if test == "fifth" else None)
    if len(validation) < fifth(n) or len(held_out) < max(1, wanted):
        return None
    return Split(train, np.sort(validation), np.sort(held_out))


def _bootstrap(rows: np.ndarray, n: int, generator: np.random.Generator, strata: np.ndarray | None) -> np.ndarray:
    if strata is None:
        return generator.choice(rows, n, replace=True)
    return np.concatenate(
        [generator.choice(rows[strata[rows] == label], size) for label, size in _shares(strata, rows, n).items()]
    )


def _shares(strata: np.ndarray, rows: np.ndarray, n: int) -> dict[float, int]:
    """How many of n rows each class gets, in the proportions of the pool, at least one where n allows it."""
    labels, counts = np.unique(strata[rows], return_counts=True)
    shares = proportional(n, counts.tolist())
    for index in np.flatnonzero(np.equal(shares, 0)) if n >= len(shares) else ():
        shares[int(np.argmax(shares))] -= 1
        shares[index] = 1
    return dict(zip(labels.tolist(), shares, strict=True))


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


def _take(
    participants: np.ndarray,
    rows: np.ndarray,
    n: int,
    generator: np.random.Generator,
    strata: np.ndarray | None = None,
    shares: dict[float, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """At most n rows drawn at random, and the rows of the participants of whom none was drawn."""
    if strata is not None and shares is not None:
        chosen, rest = rows[:0], rows
        for label, size in shares.items():
            taken, _ = _take(participants, rest[strata[rest] == label], size, generator)
            chosen = np.concatenate([chosen, taken])
            rest = rest[~np.isin(participants[rest], participants[taken])]
        return chosen, rest
    chosen = generator.permutation(rows[np.argsort(participants[rows], kind="stable")])[:n]
    return chosen, rows[~np.isin(participants[rows], participants[chosen])]


def _has_all(split: Split, classes: np.ndarray, rows: np.ndarray) -> bool:
    every = set(classes[rows])
    return all(set(classes[part]) == every for part in (split.train, split.validation, split.test))


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
