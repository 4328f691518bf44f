"""Wrong labels on purpose: a share of the people has one in training and validation, to see what wrong labels do."""

import numpy as np

from neurotransfer.cohort.people import People


def with_wrong_labels(
    labels: np.ndarray, people: People, share: float, is_class: bool, generator: np.random.Generator
) -> np.ndarray:
    """Labels of which those of a share of the people are wrong, the same wrong one in all rows of a person.

    Classes: one that the person has in no row, at random among those that somebody has; who has all of them is never chosen.
    Values: those of the chosen people (of the first row of each) change hands at random, so that as many values as possible go
    to somebody with another one, and the distribution of values stays what it was; one person alone keeps the right one. With
    a larger share the people of a smaller one are among the chosen.

    Args:
        labels: of every row, (n_rows,), values or class indices; NaN where there is none, which stays.
        people: the participants of the rows.
        share: of the people who have a label, from 0 to below 1.
        is_class: whether labels are classes.
        generator: the source of randomness.

    Example:
        >>> people = People.of(np.array(["a", "a", "b", "c"]))
        >>> with_wrong_labels(np.array([0.0, 0.0, 1.0, np.nan]), people, 0.9, True, np.random.default_rng(0)).tolist()
        [1.0, 1.0, 0.0, nan]
    """
    known = np.flatnonzero(~np.isnan(labels))
    everybody = np.flatnonzero(people.has(known))
    wrong = round(share * len(everybody))
    if not wrong:
        return labels
    values, codes = np.unique(labels[known], return_inverse=True)
    has = np.zeros((len(people), len(values)), bool)
    has[people.codes[known], codes] = True
    order = generator.permutation(everybody)
    chosen = order[~has[order].all(axis=1)][:wrong] if is_class else order[:wrong]
    if is_class:
        given = np.array([generator.choice(np.flatnonzero(~has[person])) for person in chosen], int)
    else:
        given = _passed_on(_first(people.codes[known], codes, len(people))[chosen], generator)
    label_of = np.full(len(people), np.nan)
    label_of[chosen] = values[given]
    of_row = label_of[people.codes]
    return np.where(np.isnan(labels) | np.isnan(of_row), labels, of_row)


def _first(person: np.ndarray, values: np.ndarray, n_people: int) -> np.ndarray:
    """The value of the first row of each person, (n_people,)."""
    found = np.zeros(n_people, int)
    # the last assignment counts
    found[person[::-1]] = values[::-1]
    return found


def _passed_on(own: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The values (n,) in another order, in which as few as possible stand where an equal one stood.

    Whoever would keep an equal value changes with somebody of another one who does not get it back; nobody is left to change
    with only where one value is that of more than half of all, and then the fewest possible are left.
    """
    given = generator.permutation(own)
    for place in np.flatnonzero(given == own):
        others = np.flatnonzero((given != own[place]) & (own != given[place]))
        if given[place] == own[place] and len(others):
            other = generator.choice(others)
            given[[place, other]] = given[[other, place]]
    return given
