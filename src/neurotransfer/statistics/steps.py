"""The steps of a learning curve from size to size, each with its interval, alone or all at once."""

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.statistics.redrawn import Redrawn


@dataclass(frozen=True)
class Step:
    """The difference of the curve at size `end` from that at size `start` (indices), with the ends of its interval."""

    start: int
    end: int
    difference: float
    low: float
    high: float


def steps(redrawn: Redrawn, *, every_pair: bool = False, level: float = 0.95) -> tuple[Step, ...]:
    """Every step between neighbouring sizes that are known, or between every two, with intervals.

    Of neighbours, each interval stands alone: percentiles of the deviations of the difference. Of every pair, all hold at once with
    the probability `level`: difference -+ c standard errors, c being that quantile of the largest |deviation| / standard error
    over all pairs in a draw (single-step max-t: Hothorn, Bretz and Westfall 2008, Biometrical Journal 50:346).

    Args:
        redrawn: the curve and how it varies.
        every_pair: whether to give every pair of sizes, with intervals that hold together.
        level: the coverage, between 0 and 1.

    Raises:
        InputError: when the level is no such number, or no draw is known at all known sizes.

    Example:
        >>> from neurotransfer.statistics.redrawn import by_standard_errors
        >>> redrawn = by_standard_errors(np.array([0.6, 0.8, 0.7]), np.array([0.0, 0.0, 0.0]))
        >>> [(step.start, step.end, round(step.difference, 3)) for step in steps(redrawn)]
        [(0, 1, 0.2), (1, 2, -0.1)]
    """
    if not 0 < level < 1:
        raise InputError(f"steps: level is {level!r}; allowed: between 0 and 1")
    places, curve, deviations = redrawn.only_known()
    pairs = list(combinations(range(len(places)), 2) if every_pair else pairwise(range(len(places))))
    if not pairs:
        return ()
    if not len(deviations):
        raise InputError("steps: no draw is known at all sizes; allowed: one or more draws without NaN")
    starts, ends = np.array(pairs).T
    differences, varied = curve[ends] - curve[starts], deviations[:, ends] - deviations[:, starts]
    lows, highs = (
        _together(varied, level) if every_pair else np.quantile(varied, [(1 - level) / 2, (1 + level) / 2], axis=0)
    )
    rows = zip(places[starts], places[ends], differences, differences + lows, differences + highs, strict=True)
    return tuple(Step(int(start), int(end), *map(float, numbers)) for start, end, *numbers in rows)


def _together(varied: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The ends of deviations (B, pairs) that all pairs stay within at once."""
    errors = np.sqrt(np.mean(varied**2, axis=0))
    standardised = np.divide(np.abs(varied), errors, out=np.zeros_like(varied), where=errors > 0)
    half_width = np.quantile(standardised.max(axis=1), level) * errors
    return -half_width, half_width
