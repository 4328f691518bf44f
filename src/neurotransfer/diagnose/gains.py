"""How much better a curve would be without a cause: points at every size, and how sure they are."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.seeding import stream
from neurotransfer.statistics.redrawn import by_replicates

N_DRAWS = 2000
NORMAL_95 = 1.96


@dataclass(frozen=True, eq=False)
class Gain:
    """Points of the score (more is better) that a curve would gain at every size without a cause.

    Attributes:
        points: (K,); NaN where it cannot be told.
        draws: redrawn points, (B, K).
        source: where it comes from: `tables`, or the name of an experiment.
    """

    points: np.ndarray
    draws: np.ndarray
    source: str = "tables"

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """The percentile interval at every size, (K,) and (K,)."""
        return ends_of(self.draws, level)


def ends_of(draws: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval of draws (B, K) or (B,); NaN where no draw is known.

    Example:
        >>> low, high = ends_of(np.array([[0.0, np.nan], [1.0, np.nan]]), 0.5)
        >>> low, high
        (array([0.25,  nan]), array([0.75,  nan]))
    """
    known = np.isfinite(draws).any(axis=0)
    found = np.nanquantile(np.where(known, draws, 0.0), [(1 - level) / 2, (1 + level) / 2], axis=0)
    low, high = np.where(known, found, np.nan)
    return low, high


def gain_of_pairs(pairs: np.ndarray, source: str, seed: int = 0) -> Gain:
    """The gain from differences (R, K) of replicates that were done both ways; whole replicates are drawn again.

    Example:
        >>> found = gain_of_pairs(np.full((10, 2), 0.1), "folds")
        >>> found.points.round(3).tolist(), found.interval()[0].round(3).tolist()
        ([0.1, 0.1], [0.1, 0.1])
    """
    redrawn = by_replicates(pairs, N_DRAWS, stream(seed, "diagnose", source))
    return Gain(redrawn.curve, redrawn.curve + redrawn.deviations, source)


def gain_of_ends(points: np.ndarray, low: np.ndarray, high: np.ndarray, seed: int = 0, name: str = "") -> Gain:
    """The gain from points (K,) and the ends of their 95 % intervals, as if they were normal and independent between sizes."""
    scale = (np.asarray(high, float) - np.asarray(low, float)) / (2 * NORMAL_95)
    noise = stream(seed, "diagnose", "ends", name).standard_normal((N_DRAWS, len(points)))
    return Gain(np.asarray(points, float), points + noise * scale)
