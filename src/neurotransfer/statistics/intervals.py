"""How sure a mean or a median over replicates is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError, unknown
from neurotransfer.seeding import stream

NORMAL_95 = 1.96
_CELLS_AT_ONCE = 2**20


@dataclass(frozen=True)
class Summary:
    """Count, mean, standard error of the mean, mean -+ 1.96 SEM, and median of the values that are not missing."""

    n: int
    mean: float
    sem: float
    low: float
    high: float
    median: float


def summary(values: np.ndarray) -> Summary:
    """Summarise values (n,); missing ones are left out, NaN stands where there are too few.

    The SEM is the sample standard deviation (n - 1) over the square root of n. Replicates draw on one pool, so it
    tells how sure the mean over replicates of this pool is, not how the result would vary with a new cohort.

    Example:
        >>> summary(np.array([1.0, 2.0, 3.0, np.nan])).mean
        2.0
    """
    known = _known(values)
    nan = float("nan")
    if not len(known):
        return Summary(0, nan, nan, nan, nan, nan)
    mean, median = float(known.mean()), float(np.median(known))
    sem = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else nan
    return Summary(len(known), mean, sem, mean - NORMAL_95 * sem, mean + NORMAL_95 * sem, median)


_STATISTICS: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "median": np.median}


def bootstrap_interval(
    values: np.ndarray,
    statistic: str = "mean",
    level: float = 0.95,
    n_draws: int = 2000,
    generator: np.random.Generator | None = None,
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean or median of values (n,) (Efron 1979); NaN with fewer than two.

    Args:
        values: one value a replicate; missing ones are left out.
        statistic: "mean" or "median".
        level: the coverage, between 0 and 1.
        n_draws: the number of resamples.
        generator: where the draws come from; without one, the same draws every time.

    Raises:
        InputError: when an argument is none of these.

    Example:
        >>> low, high = bootstrap_interval(np.arange(100.0))
        >>> bool(low < 49.5 < high)
        True
    """
    if statistic not in _STATISTICS:
        raise InputError(unknown("statistic", statistic, _STATISTICS))
    if not 0 < level < 1 or n_draws < 1:
        raise InputError(
            f"bootstrap: level {level!r}, n_draws {n_draws!r}; allowed: a level between 0 and 1, 1 draw or more"
        )
    known = _known(values)
    if len(known) < 2:
        return float("nan"), float("nan")
    draws = _resampled(known, _STATISTICS[statistic], n_draws, generator or stream(0, "bootstrap"))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled(
    values: np.ndarray, statistic: Callable[..., np.ndarray], n_draws: int, generator: np.random.Generator
) -> np.ndarray:
    at_once = max(1, _CELLS_AT_ONCE // len(values))
    sizes = [min(at_once, n_draws - start) for start in range(0, n_draws, at_once)]
    drawn = (values[generator.integers(0, len(values), size=(size, len(values)))] for size in sizes)
    return np.concatenate([statistic(rows, axis=1) for rows in drawn])


def _known(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float).ravel()
    return values[~np.isnan(values)]
