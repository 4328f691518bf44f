"""A number with its interval, from replicates that are drawn again."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from neurotransfer.errors import InputError

N_DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its interval; NaN where there is none.

    Example:
        >>> Estimate(0.02, 0.01, 0.03).above_zero
        True
    """

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0


def times_drawn(n: int, n_draws: int, generator: np.random.Generator) -> np.ndarray:
    """How often each of n replicates comes up when n are drawn with replacement, (n_draws, n).

    Example:
        >>> times_drawn(5, 3, np.random.default_rng(0)).sum(1).tolist()
        [5.0, 5.0, 5.0]
    """
    return generator.multinomial(n, np.full(n, 1 / n), size=n_draws).astype(float)


def estimate_of(value: float, draws: np.ndarray, n: int, level: float = LEVEL, *, centred: bool = False) -> Estimate:
    """A value with the expanded percentile interval of its bootstrap draws (Hesterberg 2015, The American Statistician 69:371).

    Percentiles of draws from few replicates are too narrow, as a normal interval with the root of the sum of squares over n would be;
    taken further out, at the normal probability of -sqrt(n / (n - 1)) t(n - 1), they are as wide as the interval of Student.

    Args:
        value: what the replicates as they are give.
        draws: what they give when drawn again, (n_draws,); those that are not finite are left out.
        n: the number of replicates; with fewer than two there is no interval.
        level: the coverage, between 0 and 1.
        centred: whether the draws are first moved so that their mean is the value: for statistics that a bootstrap moves.

    Raises:
        InputError: when the level is none.

    Example:
        >>> found = estimate_of(0.5, np.linspace(0, 1, 1001), 1000)
        >>> round(found.low, 3), round(found.high, 3)
        (0.025, 0.975)
    """
    if not 0 < level < 1:
        raise InputError(f"level {level!r}; allowed: between 0 and 1, such as 0.95")
    known = np.asarray(draws, float)
    known = known[np.isfinite(known)]
    if n < 2 or not len(known) or not np.isfinite(value):
        return Estimate(float(value), float("nan"), float("nan"))
    outside = float(norm.cdf(-np.sqrt(n / (n - 1)) * t.ppf((1 + level) / 2, n - 1)))
    low, high = np.quantile(known, [outside, 1 - outside]) + (value - known.mean() if centred else 0.0)
    return Estimate(float(value), float(low), float(high))


def estimate_of_mean(values: np.ndarray, level: float = LEVEL) -> Estimate:
    """The mean of values (n,) with the interval of Student's t; those that are not finite are left out, two or more give an interval.

    Raises:
        InputError: when the level is none.

    Example:
        >>> found = estimate_of_mean(np.array([1.0, 2.0, 3.0]))
        >>> found.value, round(found.low, 2), round(found.high, 2)
        (2.0, -0.48, 4.48)
    """
    if not 0 < level < 1:
        raise InputError(f"level {level!r}; allowed: between 0 and 1, such as 0.95")
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    mean = float(known.mean()) if len(known) else float("nan")
    if len(known) < 2:
        return Estimate(mean, float("nan"), float("nan"))
    half = float(t.ppf((1 + level) / 2, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return Estimate(mean, mean - half, mean + half)
