"""Folds of training rows: all copies and images of a participant in one, near equal in size, classes spread over them."""

import heapq

import numpy as np


def deal_folds(
    participants: np.ndarray, n_folds: int, generator: np.random.Generator, classes: np.ndarray | None = None
) -> np.ndarray | None:
    """The fold of every row, (n,) from 0; None when it cannot be: too few people, or a class whose people are all in one fold.

    Class by class, whoever has the most rows comes first (others at random) and goes to the fold with the fewest rows of
    the class, of those to the smallest. Folds differ by no more rows of a class than one person has in it.

    Args:
        participants: of every row, as whole numbers, (n,).
        n_folds: 2 or more.
        generator: the source of randomness.
        classes: of every row, whole numbers from 0, (n,); a person counts as of the class of their first row.

    Example:
        >>> folds = deal_folds(np.array([7, 7, 8, 9, 7]), 2, np.random.default_rng(0))
        >>> folds[[0, 1, 4]].tolist(), bool(folds[2] == folds[3])
        ([0, 0, 0], True)
    """
    people, first, person, counts = np.unique(participants, return_index=True, return_inverse=True, return_counts=True)
    if len(people) < n_folds:
        return None
    strata = np.zeros(len(people), int) if classes is None else classes[first]
    order = generator.permutation(len(people))
    order = order[np.lexsort((-counts[order], strata[order]))]
    fold_of_person = np.zeros(len(people), int)
    totals = [0] * n_folds
    for stratum in np.unique(strata):
        members = order[strata[order] == stratum]
        _deal(members.tolist(), counts.tolist(), totals, fold_of_person)
    folds = fold_of_person[person]
    if classes is not None and has_whole_class(folds, classes, n_folds):
        return None
    return folds


def _deal(members: list[int], counts: list[int], totals: list[int], fold_of_person: np.ndarray) -> None:
    smallest = [(0, total, fold) for fold, total in enumerate(totals)]
    heapq.heapify(smallest)
    for member in members:
        of_class, total, fold = smallest[0]
        fold_of_person[member] = fold
        totals[fold] += counts[member]
        heapq.heapreplace(smallest, (of_class + counts[member], total + counts[member], fold))


def has_whole_class(folds: np.ndarray, classes: np.ndarray, n_folds: int) -> bool:
    """Whether a fold holds all there is of a class, so that those who train without the fold would never see it."""
    table = np.zeros((int(classes.max()) + 1, n_folds), int)
    np.add.at(table, (classes, folds), 1)
    totals = table.sum(axis=1, keepdims=True)
    return bool(((table == totals) & (totals > 0)).any())
