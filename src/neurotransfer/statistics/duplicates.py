"""People who may be one person: pairs of rows so near each other that the room to the next one leaves no other reading."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.statistics.standardise import standardiser

LEAST_PEOPLE, LEAST_COLUMNS = 20, 3
MOST_ROWS = 20_000
AT_ONCE = 512
ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs of rows of different people that are too near to be by chance, the nearest first.

    Attributes:
        rows: of the features, (m, 2), the lower one first.
        p: of every pair, adjusted for the number of rows (Bonferroni), (m,); 0 where all columns are the same.
        dimension: how many dimensions the rows fill around a person.
        n_people: how many people were compared.
        n_columns: by how many columns.
    """

    rows: np.ndarray
    p: np.ndarray
    dimension: float
    n_people: int
    n_columns: int

    @property
    def n_same(self) -> int:
        """How many pairs have the same numbers in all columns."""
        return int((self.p == 0).sum())


def near_pairs(features: np.ndarray, people: np.ndarray, *, alpha: float = ALPHA) -> NearPairs:
    """Pairs of different people whose features are all but the same.

    Around a person the ratio m of the distances to the nearest and to the second nearest other person has P(m > x) = x^-d, whatever
    the density, with d the number of dimensions that people fill (Facco et al. 2017, Scientific Reports 7:12140); d is estimated by
    the median ratio. Somebody whose nearest one is a copy has a ratio that this does not give. Columns with fewer different values
    than half of the rows (sex, say) make nobody the same as somebody else and are left out.

    What it cannot tell: three scans of one person under three names hide each other, unless they are equal; twins, or people of
    one family, may be near too.

    Args:
        features: (n, p); rows with a value that is not finite are left out.
        people: the participant of every row, (n,).
        alpha: the chance of any pair where there is none.

    Raises:
        InputError: for unlike lengths, fewer than 20 people, fewer than three columns of enough values, or more than 20,000 rows.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(100, 6))
        >>> features[99] = features[4] + 1e-6
        >>> found = near_pairs(features, np.arange(100))
        >>> found.rows.tolist(), found.n_same
        ([[4, 99]], 0)
    """
    features, people = np.asarray(features, float), np.asarray(people)
    if features.ndim != 2 or people.shape != features.shape[:1]:
        raise InputError(f"features have shape {features.shape} and people {people.shape}; allowed: (n, p) and (n,)")
    rows = np.flatnonzero(np.isfinite(features).all(1))
    codes = np.unique(people[rows].astype(str), return_inverse=True)[1]
    n_people = int(codes.max(initial=-1)) + 1
    fine = [column for column in features[rows].T if 2 * len(np.unique(column)) >= len(rows)]
    if n_people < LEAST_PEOPLE or len(fine) < LEAST_COLUMNS or len(rows) > MOST_ROWS:
        raise InputError(
            f"people who may be one take {LEAST_PEOPLE} people or more, {LEAST_COLUMNS} columns or more of many different values and "
            f"at most {MOST_ROWS} rows; got {n_people} people, {len(fine)} such columns and {len(rows)} rows"
        )
    table = np.stack(fine, axis=1)
    mean, scale = standardiser(table)
    nearest, first, second = _neighbours((table - mean) / scale, codes)
    apart = first > 0
    ratio = np.log(second[apart] / first[apart])
    usual = np.median(ratio) if len(ratio) else 0.0
    dimension = float(np.log(2) / usual) if usual > 0 else np.nan
    p = np.zeros(len(rows))
    # nothing but the same numbers has a p of zero
    p[apart] = np.clip(len(rows) * np.exp(-dimension * ratio), np.finfo(float).tiny, 1.0)
    found: dict[tuple[int, int], float] = {}
    for row in np.flatnonzero(p < alpha):
        low, high = sorted((int(rows[row]), int(rows[nearest[row]])))
        found[low, high] = min(float(p[row]), found.get((low, high), 1.0))
    pairs = sorted(found, key=lambda pair: (found[pair], pair))
    return NearPairs(
        np.array(pairs, int).reshape(-1, 2), np.array([found[pair] for pair in pairs]), dimension, n_people, len(fine)
    )


def _neighbours(table: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nearest row of another person, its distance, and that of the nearest row of a third person, (n,) each."""
    squares = (table**2).sum(1)
    nearest = np.zeros(len(table), int)
    distances = np.zeros((2, len(table)))
    for start in range(0, len(table), AT_ONCE):
        own = np.arange(start, min(start + AT_ONCE, len(table)))
        away = squares[own][:, None] + squares - 2 * table[own] @ table.T
        away[people[own][:, None] == people] = np.inf
        for place in (0, 1):
            found = away.argmin(1)
            # products lose what lies between rows that are all but the same
            distances[place, own] = np.sqrt(((table[own] - table[found]) ** 2).sum(1))
            nearest[own] = found if place == 0 else nearest[own]
            away[people[found][:, None] == people] = np.inf
    return nearest, distances[0], distances[1]
