"""Whether a learning curve dips beyond chance: its deepest fall, and its distance from the best curve that never falls."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.statistics.isotonic import inverse_variances, isotonic, least_favourable
from neurotransfer.statistics.redrawn import Redrawn

# a sum that is less by no more than this, of the curve's range, is equal up to rounding
_ROUNDING = 1e-12


class Dip(NamedTuple):
    """The deepest fall of a curve: how deep, from the index of which size to that of which larger one."""

    depth: float
    start: int
    end: int


@dataclass(frozen=True)
class MonotoneTest:
    """Whether a curve dips more than a curve that never dips would by chance.

    Args:
        depth: of the deepest dip, from an earlier size to a later one, 0 or more, in the score's own unit.
        start: index of the size where that dip begins.
        end: index of the size where it ends; `start` where there is no dip.
        fitted: the nearest curve that never gets worse (K,), NaN at sizes that are not known.
        distance: sum over sizes of weight times squared distance of the curve from `fitted`.
        p_dip: how often chance makes as deep a dip, anywhere, in a curve that never dips.
        p_distance: how often chance makes as large a distance; sees several small dips better than `p_dip` does.
        expected_depth: the mean depth of the deepest dip that chance gives to a curve that never dips.
        low: lower end of the 95 % interval of the depth of that very dip; NaN where there is none. It does not know that
            the deepest of many was chosen (`p_dip` does), so the depth is apt to be too large.
        high: upper end of it.
        n_sizes: how many sizes were known.
    """

    depth: float
    start: int
    end: int
    fitted: np.ndarray
    distance: float
    p_dip: float
    p_distance: float
    expected_depth: float
    low: float
    high: float
    n_sizes: int


def dips(curve: np.ndarray, higher_is_better: bool) -> Dip:
    """The deepest fall of a curve (K,) from an earlier (smaller) size to a later one; sizes that are NaN are left out.

    Of equally deep ones, the first to end and the last to begin. Depth 0 and the first known size, twice, where it never falls.

    Raises:
        InputError: when no size is known.

    Example:
        >>> dips(np.array([0.6, 0.75, 0.7, 0.5, 0.8]), higher_is_better=True)
        Dip(depth=0.25, start=1, end=3)
    """
    curve = np.asarray(curve, float)
    places = np.flatnonzero(np.isfinite(curve))
    if curve.ndim != 1 or not len(places):
        raise InputError(
            f"dips: found a curve of shape {curve.shape} without a known size; allowed: (K,), one or more known"
        )
    better = curve[places] if higher_is_better else -curve[places]
    falls = np.maximum.accumulate(better) - better
    end = int(np.argmax(falls))
    if falls[end] == 0:
        return Dip(0.0, int(places[0]), int(places[0]))
    start = end - int(np.argmax(better[end::-1] == better[:end].max()))
    return Dip(float(falls[end]), int(places[start]), int(places[end]))


def deepest(better: np.ndarray) -> np.ndarray:
    """The depth (B,) of the deepest dip of each of the curves (B, K), larger values being better."""
    return (np.maximum.accumulate(better, axis=1) - better).max(axis=1)


def monotone_test(redrawn: Redrawn, higher_is_better: bool, weights: np.ndarray | None = None) -> MonotoneTest:
    """Test whether a curve dips, by redrawing a curve that never does and is most apt to dip by chance.

    That curve is the isotonic fit without the rises that may be noise (see `least_favourable`). To it the deviations are added;
    p is (1 + the number of draws with a statistic that is at least the observed one) / (1 + B), which is never zero.

    Args:
        redrawn: the curve and how it varies; sizes that are not known are left out.
        higher_is_better: False for errors.
        weights: of the sizes (K,), above zero; without them, one over the variance of each. They decide the fit and the distance.

    Raises:
        InputError: when no size is known or the weights are no such numbers.

    Example:
        >>> from neurotransfer.statistics.redrawn import by_standard_errors
        >>> curve = np.array([0.60, 0.70, 0.64, 0.75])
        >>> found = monotone_test(by_standard_errors(curve, np.full(4, 0.01)), higher_is_better=True)
        >>> round(found.depth, 6), found.start, found.end, found.p_dip < 0.01, found.fitted.round(2)
        (0.06, 1, 2, True, array([0.6 , 0.67, 0.67, 0.75]))
    """
    places, curve, deviations = _known(redrawn)
    sign = 1.0 if higher_is_better else -1.0
    better, noise = sign * curve, sign * deviations
    covariance = noise.T @ noise / len(noise)
    used = inverse_variances(covariance) if weights is None else _checked(weights, redrawn)[places]
    fitted = isotonic(better[None, :], used)[0]
    depth, start, end = dips(np.where(redrawn.known, redrawn.curve, np.nan), higher_is_better)
    chance = least_favourable(better, covariance, used) + noise
    chance_depths, chance_distances = deepest(chance), _distances(chance, used)
    distance = float(_distances(better[None, :], used)[0])
    low, high = np.nan, np.nan
    if depth > 0:
        first, last = np.searchsorted(places, [start, end])
        low, high = np.quantile(depth + noise[:, first] - noise[:, last], [0.025, 0.975])
    whole = np.full(len(redrawn.curve), np.nan)
    whole[places] = sign * fitted
    tie = _ROUNDING * max(float(np.ptp(better)), float(np.abs(noise).max()))
    return MonotoneTest(
        depth=depth,
        start=start,
        end=end,
        fitted=whole,
        distance=distance,
        p_dip=_p(chance_depths, depth, tie),
        p_distance=_p(chance_distances, distance, _ROUNDING * max(distance, 1.0)),
        expected_depth=float(chance_depths.mean()),
        low=float(low),
        high=float(high),
        n_sizes=len(places),
    )


def _known(redrawn: Redrawn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    places, curve, deviations = redrawn.only_known()
    if not len(places) or not len(deviations):
        raise InputError(
            "monotone test: at no size are a mean and its deviations known; give three replicates or more, or means with "
            "standard errors, at one size or more"
        )
    return places, curve, deviations


def _checked(weights: np.ndarray, redrawn: Redrawn) -> np.ndarray:
    weights = np.asarray(weights, float)
    wrong = weights.shape != redrawn.curve.shape
    if wrong or not (np.isfinite(weights[redrawn.known]) & (weights[redrawn.known] > 0)).all():
        raise InputError(
            f"monotone test: the weights are {weights!r}; allowed: {len(redrawn.curve)} numbers above zero, one a size"
        )
    return weights


def _distances(better: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (better - isotonic(better, weights)) ** 2 @ weights


def _p(by_chance: np.ndarray, observed: float, tie: float) -> float:
    return float((1 + np.count_nonzero(by_chance >= observed - tie)) / (1 + len(by_chance)))
