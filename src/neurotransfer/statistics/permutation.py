"""Which strategy is better: paired sign-flip permutation tests, all pairs, and the correction for testing often."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neurotransfer.errors import InputError, unknown
from neurotransfer.seeding import stream

RANKED_BY = ("mean", "median")
N_PERMUTATIONS = 10_000
ALPHA = 0.05
_TIE = 1e-12
_ROUNDING = 1e-14
_CELLS_AT_ONCE = 2**20


@dataclass(frozen=True)
class PairedTest:
    """A paired test: the mean of a - b, the one-sided p that a is better, whether p is exact, the number of pairs."""

    difference: float
    p: float
    exact: bool
    n_pairs: int


def paired_test(
    a: np.ndarray,
    b: np.ndarray,
    *,
    n_permutations: int = N_PERMUTATIONS,
    generator: np.random.Generator | None = None,
    higher_is_better: bool = True,
) -> PairedTest:
    """Test whether `a` beats `b`, one-sided, by flipping the signs of their paired differences.

    If neither is better, a difference is as likely to be positive as negative. The statistic is the mean difference;
    p is the share of sign patterns whose mean is at least the one seen: exactly, over all 2^k patterns of the k
    differences that are not zero (up to rounding), when there are at most `n_permutations` patterns, else
    (1 + count) / (1 + draws) by random draws, which is never zero and keeps its level (Phipson and Smyth 2010). Sums
    that are equal up to rounding count as equal.

    Args:
        a: scores (n,) of one strategy; position i is the same replicate in both.
        b: scores (n,) of the other. Pairs with a value that is not finite are left out.
        n_permutations: the number of draws, 1 or more.
        generator: where the draws come from; without one, the same draws every time.
        higher_is_better: False for errors, where the smaller one wins.

    Raises:
        InputError: when the shapes differ or `n_permutations` is below 1.

    Example:
        >>> paired_test(np.array([0.9, 0.8, 0.9]), np.array([0.7, 0.7, 0.6])).p
        0.125
    """
    pairs = _paired_differences(a, b, n_permutations)
    if not len(pairs):
        return PairedTest(float("nan"), 1.0, True, 0)
    better, _ = _one_sided(pairs if higher_is_better else -pairs, n_permutations, generator)
    return PairedTest(float(pairs.mean()), better, _is_exact(pairs, n_permutations), len(pairs))


def pairwise_matrix(
    table: pd.DataFrame,
    *,
    n_permutations: int = N_PERMUTATIONS,
    generator: np.random.Generator | None = None,
    higher_is_better: bool = True,
) -> pd.DataFrame:
    """The p that the strategy of the row beats that of the column, for all pairs; 1 on the diagonal.

    Args:
        table: scores, a row a replicate and a column a strategy.
        n_permutations: as in `paired_test`.
        generator: as in `paired_test`; both directions of a pair share their draws.
        higher_is_better: as in `paired_test`.

    Example:
        >>> table = pd.DataFrame({"good": [3.0, 4.0, 5.0, 6.0], "bad": [1.0, 2.0, 2.0, 1.0]})
        >>> pairwise_matrix(table)
              good     bad
        good   1.0  0.0625
        bad    1.0  1.0000
    """
    generator = generator or stream(0, "paired_test")
    matrix = np.ones((table.shape[1], table.shape[1]))
    values = table.to_numpy(float) * (1 if higher_is_better else -1)
    for row in range(len(matrix)):
        for column in range(row + 1, len(matrix)):
            pairs = _paired_differences(values[:, row], values[:, column], n_permutations)
            matrix[row, column], matrix[column, row] = _one_sided(pairs, n_permutations, generator)
    return pd.DataFrame(matrix, index=list(table.columns), columns=list(table.columns))


def holm(p_values: np.ndarray) -> np.ndarray:
    """The p-values adjusted so that the chance of any false claim among them is at most the level (Holm 1979).

    The i-th smallest of m is multiplied by m - i + 1; a later one is never smaller than an earlier one, none exceeds
    1. Any shape; NaN stays NaN and does not count.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03, float("nan")]))
        array([0.03, 0.06, 0.06,  nan])
    """
    p_values = np.asarray(p_values, float)
    adjusted = np.full(p_values.shape, np.nan)
    known = ~np.isnan(p_values)
    order = np.argsort(p_values[known], kind="stable")
    factors = np.arange(len(order), 0, -1)
    ascending = np.maximum.accumulate(np.minimum(p_values[known][order] * factors, 1.0))
    found = np.empty(len(order))
    found[order] = ascending
    adjusted[known] = found
    return adjusted


def beats_next_best(
    table: pd.DataFrame,
    *,
    statistic: str = "mean",
    higher_is_better: bool = True,
    matrix: pd.DataFrame | None = None,
    alpha: float = ALPHA,
    n_permutations: int = N_PERMUTATIONS,
    generator: np.random.Generator | None = None,
) -> pd.DataFrame:
    """For each strategy, best first, whether it is better than the one ranked just below it.

    The last one has nobody to beat: its p is NaN and `better` False (the author's published files mark it 1). A
    strategy without any score is left out; ties keep the order of the columns.

    Args:
        table: scores, a row a replicate and a column a strategy.
        statistic: what ranks them, "mean" or "median"; the test is always that of the mean difference.
        higher_is_better: False for errors.
        matrix: the result of `pairwise_matrix` when it is there already; else it is computed.
        alpha: the level below which p makes `better` true.
        n_permutations: as in `paired_test`.
        generator: as in `paired_test`.

    Returns:
        A row a strategy (the index) with `value`, `next_best`, `difference` (mean of the pairs), `p` and `better`.

    Raises:
        InputError: when the statistic is neither of the two.
    """
    if statistic not in RANKED_BY:
        raise InputError(unknown("statistic", statistic, RANKED_BY))
    table = table.loc[:, table.notna().any()]
    values = table.agg(statistic).sort_values(ascending=not higher_is_better, kind="stable")
    if matrix is None:
        matrix = pairwise_matrix(
            table, n_permutations=n_permutations, generator=generator, higher_is_better=higher_is_better
        )
    names = list(values.index)
    rows = [_against_next(table, matrix, name, below) for name, below in zip(names, [*names[1:], None], strict=False)]
    ranked = pd.DataFrame(rows, index=names, columns=["next_best", "difference", "p"])
    ranked.insert(0, "value", values)
    return ranked.assign(better=ranked["p"] < alpha)


def _against_next(
    table: pd.DataFrame, matrix: pd.DataFrame, name: str, below: str | None
) -> tuple[str | None, float, float]:
    if below is None:
        return None, float("nan"), float("nan")
    return below, float((table[name] - table[below]).mean()), float(matrix.loc[name, below])


def _paired_differences(a: np.ndarray, b: np.ndarray, n_permutations: int) -> np.ndarray:
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(f"paired test: a has shape {a.shape} and b {b.shape}; allowed: the same (n,), pair by pair")
    if n_permutations < 1:
        raise InputError(f"paired test: n_permutations is {n_permutations!r}; allowed: 1 or more")
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    return np.where(np.abs(a - b) <= _ROUNDING * np.maximum(np.abs(a), np.abs(b)), 0.0, a - b)


def _is_exact(pairs: np.ndarray, n_permutations: int) -> bool:
    return bool(2.0 ** np.count_nonzero(pairs) <= n_permutations)


def _one_sided(pairs: np.ndarray, n_permutations: int, generator: np.random.Generator | None) -> tuple[float, float]:
    """The p that the differences are positive and the p that they are negative."""
    moved = pairs[pairs != 0]
    exact = _is_exact(pairs, n_permutations)
    n_patterns = 2 ** len(moved) if exact else n_permutations
    tie = _TIE * float(np.abs(moved).sum())
    at_least = at_most = 0
    patterns = _every_pattern(len(moved)) if exact else _random_patterns(len(moved), n_patterns, generator)
    for flipped in patterns:
        excess = -2.0 * (flipped.astype(float) @ moved)
        at_least += int(np.count_nonzero(excess >= -tie))
        at_most += int(np.count_nonzero(excess <= tie))
    seen = 0 if exact else 1
    return (seen + at_least) / (seen + n_patterns), (seen + at_most) / (seen + n_patterns)


def _every_pattern(n_pairs: int) -> Iterator[np.ndarray]:
    numbers = np.arange(2**n_pairs)
    for chunk in np.array_split(numbers, max(1, len(numbers) * n_pairs // _CELLS_AT_ONCE)):
        yield (chunk[:, None] >> np.arange(n_pairs)) & 1 == 1


def _random_patterns(n_pairs: int, n_draws: int, generator: np.random.Generator | None) -> Iterator[np.ndarray]:
    generator = generator or stream(0, "paired_test")
    at_once = max(1, _CELLS_AT_ONCE // n_pairs)
    for start in range(0, n_draws, at_once):
        yield generator.integers(0, 2, size=(min(at_once, n_draws - start), n_pairs), dtype=bool)
