"""How a replicate is drawn: the bootstrap of the talk, and every choice that can be made in its place."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from neurotransfer.cohort.choices import FEWEST_FOLDS, Choices
from neurotransfer.cohort.folds import deal_folds, has_whole_class
from neurotransfer.cohort.pool import Pool, Units, images_of, make_pool, one_each, persons_of, rows_of
from neurotransfer.cohort.splits import Split, check_split, fifth, proportional
from neurotransfer.errors import InputError

MOST_DRAWS = 1000
# a pool of which so many draws fail is not enough
FEW_DRAWS = 50


def draw_split(pool: Pool, n: int, choices: Choices, generators: Callable[[str], np.random.Generator]) -> Split:
    """One replicate.

    Draws n images (or people) for training; from those of the participants who were not drawn n / 5 (or a fixed number) for
    validation, or deals the training rows into folds; then the test part. With classes, a draw that leaves one out of a part
    (or out of what a fold leaves to train on) is drawn again.

    Args:
        pool: from `make_pool`.
        n: how many images, or people, to train on.
        choices: how it is drawn.
        generators: sources of randomness by name, so that no choice disturbs the draws of another: `split` draws the parts,
            `images` the one image a person, `folds` the folds.

    Raises:
        InputError: when n is larger than the pool, too few people remain, or a class has too few people.

    Example:
        >>> pool, choices = make_pool(np.arange(100)), Choices(replacement=False, validation="folds", folds=4)
        >>> split = draw_split(pool, 20, choices, lambda name: np.random.default_rng(0))
        >>> len(split.train), len(split.validation), len(split.test), np.bincount(split.folds).tolist()
        (20, 0, 4, [5, 5, 5, 5])
    """
    _require_people(pool, n, choices)
    draws = {name: generators(name) for name in _streams(choices)}
    for _ in range(MOST_DRAWS):
        split = _draw(pool, n, choices, draws)
        if split is not None:
            return check_split(split, pool.people)
    raise InputError(_too_few(pool, n, choices))


def is_enough(pool: Pool, n: int, choices: Choices, generators: Callable[[str], np.random.Generator]) -> bool:
    """Whether splits of a size can be drawn from a pool that has n and the validation part beside, with replacement too.

    A pool of which `FEW_DRAWS` draws fail, for want of people or of a class in a part, is not enough.

    Args:
        pool: from `make_pool`.
        n: how many images, or people, to train on.
        choices: how splits are drawn.
        generators: sources of randomness by name, as for `draw_split`.

    Example:
        >>> [is_enough(make_pool(np.arange(size)), 50, Choices(), lambda _: np.random.default_rng(0)) for size in (59, 60)]
        [False, True]
    """
    is_person = choices.count == "participants" or choices.images == "one"
    if (len(pool.persons) if is_person else len(pool.rows)) < n + choices.to_validate(n):
        return False
    try:
        _require_people(pool, n, choices)
    except InputError:
        return False
    draws = {name: generators(name) for name in _streams(choices)}
    return any(_draw(pool, n, choices, draws) is not None for _ in range(FEW_DRAWS))


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
    """One replicate of the talk's protocol: n rows with replacement, see `draw_split` and `make_pool`.

    Example:
        >>> split = bootstrap_split(np.arange(100), 20, np.random.default_rng(0))
        >>> len(split.train), len(split.validation), len(split.test)
        (20, 4, 4)
    """
    choices = Choices(test=test, stratify=stratify)
    pool = make_pool(participants, rows=rows, classes=classes, class_names=class_names, untested=untested)
    return draw_split(pool, n, choices, lambda _: generator)


def _streams(choices: Choices) -> Iterator[str]:
    yield "split"
    if choices.images == "one":
        yield "images"
    if choices.validation == "folds":
        yield "folds"


def _require_people(pool: Pool, n: int, choices: Choices) -> None:
    is_person = choices.count == "participants"
    most = len(pool.persons) if is_person or choices.images == "one" else len(pool.rows)
    if n < 2 or n > most:
        one = ", one a person" if choices.images == "one" and not is_person else ""
        raise InputError(
            f"n = {n} is not possible: allowed are 2 to {most}, the {choices.count} in the pool{one}"
            f"{', without those held out' if choices.test == 'people' else ''}"
        )
    if choices.test == "people" and not len(pool.held):
        raise InputError("none of the held-out people has a value of the target; change held_out")
    to_train, to_test = pool.people_of_classes
    parts = ["two folds"] if choices.validation == "folds" else ["train", "validation"]
    parts += [] if choices.test == "people" else ["test"]
    needed = len(parts) + (choices.validation == "folds")
    for name, people, held in zip(pool.class_names, to_train.tolist(), to_test.tolist(), strict=True):
        if people < needed:
            listing = " and ".join([*filter(None, [", ".join(parts[:-1])]), parts[-1]])
            raise InputError(
                f"class {name} has {_people(people)}; {listing} need one each: {needed} or more"
                f"{', beside those held out' if choices.test == 'people' else ''}"
            )
        if choices.test == "people" and not held:
            raise InputError(f"class {name} has no participant among those held out; change held_out")


def _people(n: int) -> str:
    return f"{n} participant{'s' * (n != 1)}"


def _too_few(pool: Pool, n: int, choices: Choices) -> str:
    unit, size = choices.count, fifth(n)
    parts = [
        f"{choices.folds} folds" if choices.validation == "folds" else f"{choices.to_validate(n)} validation {unit}"
    ]
    if choices.test != "people":
        parts.append(f"{size if choices.test == 'fifth' else 'any'} test {unit}")
    has_classes = pool.classes is not None
    advice = [
        *(["stratify = true"] if has_classes and not choices.stratify else []),
        *(["fewer folds"] if choices.validation == "folds" and choices.folds > FEWEST_FOLDS else []),
        *(["a smaller validation_size"] if choices.validation == "fixed" else []),
        *([] if choices.replacement else ["replacement = true"]),
    ]
    return (
        f"n = {n} leaves too few people of a pool of {len(pool.persons)} for {' and '.join(parts)}"
        f"{' with every class in them' if has_classes else ''}; "
        f"use {', '.join(['smaller sizes', *advice])} or a larger cohort"
    )


def _draw(pool: Pool, n: int, choices: Choices, draws: dict[str, np.random.Generator]) -> Split | None:
    by_person, held = pool.by_person, pool.held_by_person
    if choices.images == "one":
        by_person, held = (one_each(pool, rows, draws["images"]) for rows in (by_person, held))
    is_person = choices.count == "participants"
    units = (persons_of if is_person else images_of)(pool, by_person)
    drawn = _draw_units(units, n, choices, draws["split"], len(pool.class_names))
    if drawn is None:
        return None
    train, validation, test = (rows_of(pool, by_person, part) for part in drawn) if is_person else drawn
    test = held if choices.test == "people" else test
    split = Split(train, np.sort(validation), np.sort(test))
    if not _has_all(split, pool, choices):
        return None
    return _with_folds(split, pool, choices.folds, draws["folds"]) if choices.validation == "folds" else split


def _with_folds(split: Split, pool: Pool, n_folds: int, generator: np.random.Generator) -> Split | None:
    classes = None if pool.classes is None else pool.classes[split.train]
    folds = deal_folds(pool.people.codes[split.train], n_folds, generator, classes)
    if folds is None or (pool.learnt is not None and has_whole_class(folds, pool.learnt[split.train], n_folds)):
        return None
    return replace(split, folds=folds)


def _draw_units(
    units: Units, n: int, choices: Choices, generator: np.random.Generator, n_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Units for training, validation and test (empty where it is not drawn); None when too few remain."""
    wanted, counts = fifth(n), None
    if choices.stratify and units.stratum is not None:
        counts = np.bincount(units.stratum[units.ids], minlength=n_classes)
        if not counts.all():
            return None
    train = _draw_train(units, n, choices, generator, None if counts is None else _shares(counts, n))
    rest = units.without(units.by_person, train)
    validation, is_short = rest[:0], False
    to_validate = choices.to_validate(n)
    if to_validate:
        shares = None if counts is None else _shares(counts, to_validate)
        validation, rest = _take(units, rest, to_validate, generator, shares)
        is_short = len(validation) < to_validate
    if choices.test == "people":
        return None if is_short else (train, validation, rest[:0])
    rest = rest if units.untested is None else rest[~units.untested[rest]]
    shares = None if counts is None else _shares(counts, wanted)
    if choices.test == "rest":
        wanted, shares = max(1, len(rest)), None
    test, _ = _take(units, rest, wanted, generator, shares)
    return None if is_short or len(test) < wanted else (train, validation, test)


def _draw_train(
    units: Units, n: int, choices: Choices, generator: np.random.Generator, shares: list[int] | None
) -> np.ndarray:
    if shares is None:
        return generator.choice(units.ids, n, replace=choices.replacement)
    assert units.stratum is not None
    of_class = units.stratum[units.ids]
    return np.concatenate(
        [
            generator.choice(units.ids[of_class == label], size, replace=choices.replacement)
            for label, size in enumerate(shares)
        ]
    )


def _shares(counts: np.ndarray, n: int) -> list[int]:
    """How many of n each class gets, in the proportions of the pool, at least one where n allows it."""
    shares = proportional(n, counts.tolist())
    for index in np.flatnonzero(np.equal(shares, 0)) if n >= len(shares) else ():
        shares[int(np.argmax(shares))] -= 1
        shares[index] = 1
    return shares


def _take(
    units: Units, ids: np.ndarray, n: int, generator: np.random.Generator, shares: list[int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """At most n ids drawn at random, and the ids of the people of whom none was drawn."""
    if shares is None:
        chosen = generator.permutation(ids)[:n]
        return chosen, units.without(ids, chosen)
    assert units.stratum is not None
    chosen = ids[:0]
    for label, size in enumerate(shares):
        taken = generator.permutation(ids[units.stratum[ids] == label])[:size]
        chosen, ids = np.concatenate([chosen, taken]), units.without(ids, taken)
    return chosen, ids


def _has_all(split: Split, pool: Pool, choices: Choices) -> bool:
    """Whether every class is in every part that is drawn; with folds there is no validation part."""
    if pool.classes is None:
        return True
    learnt_from = [split.train, *([] if choices.validation == "folds" else [split.validation])]
    checked = [pool.classes[part] for part in (*learnt_from, split.test)]
    checked += [] if pool.learnt is None else [pool.learnt[part] for part in learnt_from]
    return all(np.bincount(classes, minlength=len(pool.class_names)).all() for classes in checked)
