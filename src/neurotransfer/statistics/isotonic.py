"""The best curve that never falls: isotonic regression of many curves at once, and what of its rise is more than noise."""

import numpy as np

_CELLS_AT_ONCE = 2**22
# a size without any spread counts as one with a hundredth of the largest standard error
_LEAST_VARIANCE = 1e-4


def isotonic(curves: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The curves (B, K) that never fall and are nearest to `curves` (B, K) in weighted squares; weights (K,) above zero.

    By the max-min formula: the fit at k is the largest, over starts i <= k, of the smallest, over ends j >= k, of the weighted mean
    of the values from i to j (Robertson, Wright and Dykstra 1988, Order Restricted Statistical Inference).

    Example:
        >>> isotonic(np.array([[1.0, 3.0, 2.0, 4.0]]), np.ones(4))
        array([[1. , 2.5, 2.5, 4. ]])
    """
    at_once = max(1, _CELLS_AT_ONCE // curves.shape[1] ** 2)
    parts = [_max_min(curves[start : start + at_once], weights) for start in range(0, len(curves), at_once)]
    return np.concatenate(parts) if parts else curves.copy()


def _max_min(curves: np.ndarray, weights: np.ndarray) -> np.ndarray:
    n_sizes = curves.shape[1]
    # sums from each start, not differences of sums from the first size, which would lose digits
    is_within = np.triu(np.ones((n_sizes, n_sizes), bool))
    totals = np.cumsum(np.where(is_within, weights, 0.0), axis=1)
    sums = np.cumsum(np.where(is_within, (weights * curves)[:, None, :], 0.0), axis=2)
    means = np.divide(sums, totals, out=np.full(sums.shape, np.inf), where=is_within)
    # a single value is its own mean, to the last digit, so that a curve that never falls is its own fit
    np.einsum("bkk->bk", means)[:] = curves
    smallest = np.minimum.accumulate(means[:, :, ::-1], axis=2)[:, :, ::-1]
    return np.where(is_within, smallest, -np.inf).max(axis=1)


def inverse_variances(covariance: np.ndarray) -> np.ndarray:
    """Weights (K,) of sizes from their covariance (K, K): one over the variance; all 1 where nothing varies."""
    variances = np.diag(covariance)
    largest = float(variances.max(initial=0.0))
    return 1 / np.maximum(variances, _LEAST_VARIANCE * largest) if largest > 0 else np.ones(len(variances))


def least_favourable(curve: np.ndarray, covariance: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The curve (K,) that never falls and is most apt to dip by chance, among those that `curve` (K,) allows.

    The isotonic fit follows noise upwards, and a curve that rises dips seldom: a test against it would find too many dips. So
    neighbouring levels of the fit become one, the least convincing rise first, while the rise between them is not larger than
    sqrt(2 log K) of its standard errors (generalised moment selection: Andrews and Soares 2010, Econometrica 78:119).

    Args:
        curve: the curve, larger is better (K,).
        covariance: of its sizes (K, K).
        weights: of the sizes (K,), above zero.

    Example:
        >>> least_favourable(np.array([0.5, 0.6, 2.0]), 0.01 * np.eye(3), np.ones(3))
        array([0.55, 0.55, 2.  ])
    """
    fitted = isotonic(curve[None, :], weights)[0]
    needed = np.sqrt(2 * np.log(max(len(curve), 2)))
    starts = [0, *(np.flatnonzero(np.diff(fitted) > 0) + 1)]
    while len(starts) > 1:
        memberships = _memberships(starts, weights)
        steps = np.diff(memberships, axis=0)
        rises, variances = steps @ curve, np.einsum("li,ij,lj->l", steps, covariance, steps)
        noise = np.sqrt(np.maximum(variances, 0.0))
        # a rise without any noise is certain
        convincing = np.divide(rises, noise, out=np.full(len(rises), np.inf), where=noise > 0)
        weakest = int(np.argmin(convincing))
        if convincing[weakest] > needed:
            break
        del starts[weakest + 1]
    memberships = _memberships(starts, weights)
    return (memberships > 0).T.astype(float) @ (memberships @ curve)


def _memberships(starts: list[int], weights: np.ndarray) -> np.ndarray:
    """Of each level that begins at `starts`, the share (levels, K) that each size has in its mean."""
    level = np.searchsorted(starts, np.arange(len(weights)), side="right") - 1
    shares = np.where(level == np.arange(len(starts))[:, None], weights, 0.0)
    return shares / shares.sum(axis=1, keepdims=True)
