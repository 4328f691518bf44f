"""Whether a curve has a peak inside: somewhere it is higher than at a place before and at a place after, beyond chance."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.statistics.estimates import LEVEL, Estimate, estimate_of_mean

LEAST_PLACES, LEAST_REPLICATES = 3, 3


@dataclass(frozen=True)
class Peak:
    """The place inside a curve that stands out most, and how far, as judged by replicates that did not pick it.

    Attributes:
        place: index of the highest place.
        before: index of the lowest place before it.
        after: index of the lowest place after it.
        rise: how much higher it is than `before`, in points of the curve.
        fall: how much higher it is than `after`.
    """

    place: int
    before: int
    after: int
    rise: Estimate
    fall: Estimate

    @property
    def is_shown(self) -> bool:
        """Whether both intervals lie above zero."""
        return self.rise.above_zero and self.fall.above_zero


def peak_of(values: np.ndarray, level: float = LEVEL) -> Peak | None:
    """The peak of a curve that is measured in replicates; None where there are too few places or replicates to tell one.

    The place and the two lows beside it are those of the mean curve for which the lower of both differences is largest. A place
    that is picked because it looks high looks higher than it is: so the differences of every replicate are taken at the places that
    the mean of the *other* replicates picks, and the intervals are those of Student's t over replicates. A curve that only
    rises, only falls or lies flat then has a peak no more often than 1 - level allows.

    Args:
        values: (R, K), a row a replicate and a column a place, from left to right; a row with a missing value is left out.
        level: of both intervals, between 0 and 1.

    Raises:
        InputError: when the values are no such table, or the level is none.

    Example:
        >>> noise = np.random.default_rng(0).normal(0, 0.1, (8, 5))
        >>> found = peak_of(np.array([1.0, 2.0, 5.0, 3.0, 2.0]) + noise)
        >>> found.place, found.before, found.after, found.is_shown
        (2, 0, 4, True)
        >>> peak_of(np.array([5.0, 4.0, 3.0, 2.0, 1.0]) + noise).is_shown
        False
    """
    values = np.asarray(values, float)
    if values.ndim != 2:
        raise InputError(f"peak_of: values have shape {values.shape}; allowed: (R, K), a column a place")
    whole = values[np.isfinite(values).all(axis=1)]
    if values.shape[1] < LEAST_PLACES or len(whole) < LEAST_REPLICATES:
        return None
    others = (whole.sum(axis=0) - whole) / (len(whole) - 1)
    rise, fall = np.empty(len(whole)), np.empty(len(whole))
    for replicate, (own, mean) in enumerate(zip(whole, others, strict=True)):
        before, place, after = _most_prominent(mean)
        rise[replicate], fall[replicate] = own[place] - own[before], own[place] - own[after]
    before, place, after = _most_prominent(whole.mean(axis=0))
    return Peak(place, before, after, estimate_of_mean(rise, level), estimate_of_mean(fall, level))


def _most_prominent(curve: np.ndarray) -> tuple[int, int, int]:
    """The lowest place before, the place and the lowest place after, of the place inside a curve (K,) that stands out most."""
    inside = np.arange(1, len(curve) - 1)
    before = np.array([np.argmin(curve[:place]) for place in inside])
    after = np.array([place + 1 + np.argmin(curve[place + 1 :]) for place in inside])
    best = int(np.argmax(curve[inside] - np.maximum(curve[before], curve[after])))
    return int(before[best]), int(inside[best]), int(after[best])
