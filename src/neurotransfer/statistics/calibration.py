"""Whether predictions mean what they say: what was observed among those that were predicted alike."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest, spearmanr

from neurotransfer.statistics.intervals import NORMAL_95

N_BINS = 10
COLUMNS = ("predicted", "observed", "low", "high", "n")


def share_interval(count: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); NaN of nothing.

    Example:
        >>> [round(end, 3) for end in share_interval(5, 10)]
        [0.237, 0.763]
    """
    if not n:
        return float("nan"), float("nan")
    found = binomtest(int(count), int(n)).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def calibration_of_classes(happened: np.ndarray, probability: np.ndarray, n_bins: int = N_BINS) -> pd.DataFrame:
    """How often a class came true among rows of like probability, bins of equal width from 0 to 1, empty ones left out.

    Args:
        happened: whether a row is of the class, (n,).
        probability: that was given to the class, 0 to 1, (n,).
        n_bins: how many bins.

    Returns:
        A row a bin: `predicted`, its mean probability, `observed`, the share that came true, with its interval of Wilson from
        `low` to `high`, and `n`.

    Example:
        >>> calibration_of_classes(np.array([0, 1, 1]), np.array([0.05, 0.91, 0.95]))[["observed", "n"]].values.tolist()
        [[0.0, 1.0], [1.0, 2.0]]
    """
    place = np.minimum((np.asarray(probability, float) * n_bins).astype(int), n_bins - 1)
    rows = []
    for each in np.unique(place):
        chosen = place == each
        n, count = int(chosen.sum()), int(np.asarray(happened, bool)[chosen].sum())
        rows.append((float(np.mean(np.asarray(probability)[chosen])), count / n, *share_interval(count, n), n))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def calibration_of_values(observed: np.ndarray, predicted: np.ndarray, n_bins: int = N_BINS) -> pd.DataFrame:
    """The mean of what was observed among rows of like prediction: bins of equal counts, at most one for every five rows.

    Returns:
        A row a bin: `predicted` and `observed`, the means, the latter less and plus 1.96 standard errors from `low` to `high`
        (NaN for one row), and `n`.

    Example:
        >>> calibration_of_values(np.arange(20.0), np.arange(20.0), 2)[["predicted", "observed", "n"]].values.tolist()
        [[4.5, 4.5, 10.0], [14.5, 14.5, 10.0]]
    """
    order = np.argsort(predicted, kind="stable")
    rows = []
    for part in np.array_split(order, max(1, min(n_bins, len(order) // 5))):
        if len(part):
            mean = float(np.mean(observed[part]))
            error = NORMAL_95 * float(np.std(observed[part], ddof=1)) / len(part) ** 0.5 if len(part) > 1 else np.nan
            rows.append((float(np.mean(predicted[part])), mean, mean - error, mean + error, len(part)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def rank_correlation(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Spearman's correlation of two columns (n,), and its p; NaN with fewer than four rows or where one does not vary.

    Example:
        >>> rank_correlation(np.arange(5.0), np.arange(5.0) ** 3)[0]
        1.0
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 4 or not np.ptp(x) > 0 or not np.ptp(y) > 0:
        return float("nan"), float("nan")
    found = spearmanr(x, y)
    return round(float(found.statistic), 12), float(found.pvalue)
