"""What would settle a dip: how many replicates, how many test people, how large a pool."""

import math
from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.statistics.redrawn import LEAST_REPLICATES
from neurotransfer.statistics.redrawn_people import PeopleScores


@dataclass(frozen=True)
class DipNoise:
    """The variance of the depth of a dip between two sizes, in parts: pooled + sampled + measured.

    Args:
        pooled: what other people in the pool would change: falls with the size of the pool, as 1 over it, and with nothing else.
        sampled: what other training samples, seeds and choices would change: falls as 1 over the number of replicates.
        measured: what other people in the test part of each replicate would change: falls as 1 over the number of
            replicates, and as 1 over the size of test parts.
        replicates: how many there are, on the average of the two sizes.
    """

    pooled: float
    sampled: float
    measured: float
    replicates: float

    @property
    def total(self) -> float:
        """The variance of the depth."""
        return self.pooled + self.sampled + self.measured


def noise_of_dip(scored: PeopleScores, start: int, end: int) -> DipNoise:
    """The noise of the difference between two sizes, from test predictions, so that all three parts are known.

    `pooled` is the variance of the difference with people drawn again and replicates kept, less `measured`; `sampled` that with
    replicates drawn again and people kept, less `measured` (see `by_people`); neither below zero.

    Args:
        scored: from `people_scores`, or a difference of two of these.
        start: index of the size where the dip begins.
        end: index of the size where it ends.

    Raises:
        InputError: when a size is none of those, or has fewer than three replicates.
    """
    sizes = scored.sizes()
    _require_sizes(start, end, [len(size.scores) for size in sizes])
    first, last = sizes[start], sizes[end]
    measured = first.measured + last.measured
    together = float(((last.influences - first.influences) ** 2).sum())
    sampled = sum(max(0.0, size.replicated - size.measured) for size in (first, last))
    return DipNoise(max(0.0, together - measured), sampled, measured, (len(first.scores) + len(last.scores)) / 2)


def noise_of_scores(scores: np.ndarray, start: int, end: int) -> DipNoise:
    """The noise of the difference between two sizes, from scores alone: all of it counts as `sampled`.

    Without predictions it is not known what the pool and the test parts add: `pooled` and `measured` are 0, and what is said of
    replicates is too hopeful where the pool is small.

    Args:
        scores: (R, K), a row a replicate and a column a size; NaN where missing.
        start: index of the size where the dip begins.
        end: index of the size where it ends.

    Raises:
        InputError: when a size is none of those, or has fewer than three replicates.

    Example:
        >>> noise_of_scores(np.array([[1.0, 3.0], [2.0, 3.0], [3.0, 3.0]]), 0, 1)
        DipNoise(pooled=0.0, sampled=0.3333333333333333, measured=0.0, replicates=3.0)
    """
    columns = [column[np.isfinite(column)] for column in np.asarray(scores, float).T]
    _require_sizes(start, end, [len(column) for column in columns])
    both = (columns[start], columns[end])
    sampled = sum(float(column.var(ddof=1)) / len(column) for column in both)
    return DipNoise(0.0, sampled, 0.0, (len(both[0]) + len(both[1])) / 2)


def replicates_needed(noise: DipNoise, depth: float, visible: float) -> float:
    """How many replicates a size would show a dip of this depth as surely as one of the depth `visible` is shown now.

    What is visible falls with the standard error of the depth, so the variance must fall to `total` (depth / visible)^2. It cannot
    fall below `pooled`: `math.inf` where that is too large, and only other people will tell. The answer can be fewer than there are.

    The depth of a dip that was chosen because it is the deepest is apt to be too large, and then the answer is too small.

    Args:
        noise: of the dip now.
        depth: of the dip, above 0.
        visible: the depth that is seen now with the wished power, from `smallest_visible`.

    Raises:
        InputError: when a depth is not above zero.

    Example:
        >>> replicates_needed(DipNoise(0.0, 0.9, 0.1, 100), depth=0.5, visible=1.0)
        400.0
        >>> replicates_needed(DipNoise(0.5, 0.4, 0.1, 100), depth=0.5, visible=1.0)
        inf
    """
    return _needed(noise.replicates, noise.sampled + noise.measured, noise.pooled, _allowed(noise, depth, visible))


def people_tested_needed(noise: DipNoise, depth: float, visible: float, people_tested: float) -> float:
    """How many test people a replicate would show the dip, with as many replicates as now; `math.inf` where none would.

    Only `measured` falls with them; else as `replicates_needed`.

    Args:
        noise: of the dip now.
        depth: of the dip, above 0.
        visible: the depth that is seen now with the wished power.
        people_tested: how many test people a replicate has now; where sizes differ, the answer stands for the same ratio in each.

    Raises:
        InputError: when a depth or a number is not above zero.

    Example:
        >>> people_tested_needed(DipNoise(0.1, 0.1, 0.8, 100), depth=0.5, visible=1.0, people_tested=20)
        320.0
    """
    rest = noise.pooled + noise.sampled
    return _needed(_positive(people_tested), noise.measured, rest, _allowed(noise, depth, visible))


def people_in_pool_needed(noise: DipNoise, depth: float, visible: float, people_in_pool: float) -> float:
    """How many people the pool would need to show the dip, with replicates and test parts as now; `math.inf` where none would.

    Only `pooled` falls with them; else as `replicates_needed`.

    Args:
        noise: of the dip now.
        depth: of the dip, above 0.
        visible: the depth that is seen now with the wished power.
        people_in_pool: how many people the pool has now.

    Raises:
        InputError: when a depth or a number is not above zero.

    Example:
        >>> people_in_pool_needed(DipNoise(0.8, 0.1, 0.1, 100), depth=0.6, visible=1.0, people_in_pool=300)
        1500.0
    """
    rest = noise.sampled + noise.measured
    return _needed(_positive(people_in_pool), noise.pooled, rest, _allowed(noise, depth, visible))


def _needed(count: float, falls: float, stays: float, allowed: float) -> float:
    """The count at which the part of the variance that falls as 1 / count and the part that stays are what is allowed."""
    if falls == 0:
        return count if stays <= allowed else math.inf
    # rounding must not ask for one more
    return math.inf if stays >= allowed else float(math.ceil(count * falls / (allowed - stays) - 1e-6))


def _allowed(noise: DipNoise, depth: float, visible: float) -> float:
    return noise.total * (_positive(depth) / _positive(visible)) ** 2


def _positive(number: float) -> float:
    if not 0 < number < math.inf:
        raise InputError(f"settling a dip: found {number!r} for a depth or a number of people; allowed: above 0")
    return number


def _require_sizes(start: int, end: int, counts: list[int]) -> None:
    wrong = not 0 <= start < end < len(counts)
    if wrong or min(counts[start], counts[end]) < LEAST_REPLICATES:
        raise InputError(
            f"noise of a dip: found sizes {start!r} and {end!r} of curves with {counts} replicates; allowed: two sizes, the "
            f"smaller first, with {LEAST_REPLICATES} replicates or more"
        )
