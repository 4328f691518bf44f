"""The participants of rows as whole numbers, who is set aside by name and seed, and how many people a sample is worth."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from neurotransfer.seeding import stream


@dataclass(frozen=True, eq=False)
class People:
    """The participants of a table of scans.

    `names` (n_people,) are different and sorted; `codes` (n_rows,) say which of them a row belongs to; `order` (n_rows,) are
    the rows, person by person.

    Example:
        >>> people = People.of(np.array(["b", "a", "b"]))
        >>> people.names.tolist(), people.codes.tolist(), people.order.tolist()
        (['a', 'b'], [1, 0, 1], [1, 0, 2])
    """

    names: np.ndarray
    codes: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, participants: np.ndarray) -> "People":
        """Those of every row, (n_rows,)."""
        names, codes = np.unique(participants, return_inverse=True)
        return cls(names, codes, np.argsort(codes, kind="stable"))

    def __len__(self) -> int:
        return len(self.names)

    def has(self, rows: np.ndarray) -> np.ndarray:
        """Whether any of these rows is of a person, (n_people,)."""
        found = np.zeros(len(self.names), bool)
        found[self.codes[rows]] = True
        return found


@lru_cache(maxsize=32)
def share_of(people: People, share: float, seed: int, what: str) -> np.ndarray:
    """Which rows (n_rows,) belong to a share of the people, by their names, the seed and what they are set aside for."""
    chosen = np.array([stream(seed, what, name).random() < share for name in people.names], bool)[people.codes]
    chosen.flags.writeable = False
    return chosen


def is_selection(participants: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which rows (n_rows,) belong to the people on whom models are chosen: a share of them, by their names and the seed alone.

    Whoever is chosen stays it when the cohort grows or shrinks; a study that then tests a chosen model leaves them out of its
    test parts.

    Example:
        >>> bool(0.3 < is_selection(np.arange(1000).astype(str), 0.4, 1).mean() < 0.5)
        True
    """
    return share_of(People.of(participants), share, seed, "selection")


def effective_participants(participants: np.ndarray) -> float:
    """How many people with equally many images a sample of rows is worth.

    Kish's effective sample size, (sum w)^2 / sum w^2, with w how often each participant is in the sample: the number of
    people when all are in it equally often, and less the more some of them outweigh others; 0 of no rows.

    Args:
        participants: of every row of the sample, as often as it was drawn, (n,).

    Example:
        >>> effective_participants(np.array(["a", "b", "c"])), effective_participants(np.array(["a", "a", "a", "b"]))
        (3.0, 1.6)
    """
    _, weights = np.unique(participants, return_counts=True)
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0
