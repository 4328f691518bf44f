"""How many scans a score needs: the size at which a learning curve reaches it, with the doubt about it."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.statistics.growth import Growth

# beyond this many times the largest size a curve counts as one that never reaches the score
NEVER = 1000
# beyond this many times the largest size an answer comes with a caution
FAR = 3
_HALVINGS = 60


@dataclass(frozen=True)
class Needed:
    """The size at which a learning curve reaches a score; infinite where it never does.

    Attributes:
        target: the score.
        size: by the shape chosen for the curve; the smallest size stands for itself or fewer.
        median: over redrawn curves.
        low: the lower end of the 95 % interval.
        high: the upper end.
        never: the share of redrawn curves that do not reach the score within 1000 times the largest size.
        beyond: the median over the largest size that was measured.
        extrapolated: whether that is more than 1.
        caution: what to keep in mind, in words; empty where there is nothing.
    """

    target: float
    size: float
    median: float
    low: float
    high: float
    never: float
    beyond: float
    extrapolated: bool
    caution: str


def scans_needed(growth: Growth, target: float) -> Needed:
    """The size at which a learning curve reaches a score, in the units of its sizes (images or participants).

    Every redrawn curve answers by the shape that it chose, so the interval holds the doubt about the shape. All shapes are
    monotone: each curve reaches a score once or never.

    Args:
        growth: what `fit_growth` gives.
        target: a score within its bounds.

    Raises:
        InputError: when the target is not within the bounds.

    Example:
        >>> from neurotransfer.statistics.growth import fit_growth
        >>> sizes = np.array([100, 200, 400, 800, 1600])
        >>> growth = fit_growth(sizes, 0.9 - 20 / sizes, np.full(5, 0.002), higher_is_better=True, bounds=(0, 1))
        >>> round(scans_needed(growth, 0.8).size), scans_needed(growth, 0.95).size
        (200, inf)
    """
    if not np.isfinite(target) or not growth.bounds[0] <= target <= growth.bounds[1]:
        raise InputError(
            f"scans needed for a score of {target!r}; allowed: within the bounds {growth.bounds} of the score"
        )
    sizes = _reached(growth, target if growth.higher_is_better else -target)
    # values that occur: between a number and infinity there is nothing to interpolate
    low, median, high = np.quantile(sizes[1:], [0.025, 0.5, 0.975], method="inverted_cdf")
    never = float(np.isinf(sizes[1:]).mean())
    beyond = float(median / growth.sizes[-1])
    return Needed(
        target=float(target),
        size=float(sizes[0]),
        median=float(median),
        low=float(low),
        high=float(high),
        never=never,
        beyond=beyond,
        extrapolated=beyond > 1,
        caution=_caution(growth, float(sizes[0]), never, beyond),
    )


def _reached(growth: Growth, target: float) -> np.ndarray:
    """The size (k,) at which each curve reaches a target of which more is better, by bisection of log n."""
    low, high = np.log(growth.sizes[0]), np.log(NEVER * growth.sizes[-1])
    ends = growth.chosen.at(np.exp(np.array([low, high])))
    below, above = np.full(len(ends), low), np.full(len(ends), high)
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        reached = growth.chosen.at(np.exp(middle)[:, None])[:, 0] >= target
        below, above = np.where(reached, below, middle), np.where(reached, middle, above)
    sizes = np.where(ends[:, 0] >= target, growth.sizes[0], np.exp(above))
    return np.where(ends[:, 1] >= target, sizes, np.inf)


def _caution(growth: Growth, size: float, never: float, beyond: float) -> str:
    if growth.shape == "flat" and np.isinf(size):
        return "no growth is seen beyond the noise of these sizes, so they do not say what more data would reach"
    if never > 0.5:
        return f"{never:.0%} of the redrawn curves never reach it: more data alone may not"
    if beyond > FAR:
        return f"it lies {beyond:.1f} times beyond the largest size that was measured and rests on the shape alone"
    return ""
