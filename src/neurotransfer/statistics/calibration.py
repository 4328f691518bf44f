"""Whether predictions mean what they say: what was observed among those that were predicted alike."""

from statistics import NormalDist

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from neurotransfer.statistics.intervals import NORMAL_95

N_BINS = 10
COLUMNS = ("predicted", "observed", "low", "high", "predictions", "participants")
_ROWS_A_BIN = 5


def share_interval(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of n observations (Wilson 1927).

    Example:
        >>> [round(end, 3) for end in share_interval(0.5, 10)]
        [0.237, 0.763]
    """
    z = NormalDist().inv_cdf(0.975)
    middle, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, float((middle - half) / (1 + z**2 / n))), min(1.0, float((middle + half) / (1 + z**2 / n)))


def calibration_of_classes(happened: np.ndarray, probability: np.ndarray, people: np.ndarray) -> pd.DataFrame:
    """How often a class came true among predictions of like probability, in ten bins of equal width, empty ones left out.

    Args:
        happened: whether it did, (n,).
        probability: that was given to it, 0 to 1, (n,).
        people: whose prediction it is, (n,); one person may have many.

    Returns:
        A row a bin: `predicted`, its mean probability, `observed`, the share that came true, with its interval of Wilson for as many
        observations as there are people from `low` to `high`, `predictions` and `participants`.

    Example:
        >>> found = calibration_of_classes(np.array([0, 1, 1]), np.array([0.05, 0.91, 0.95]), np.array(["a", "b", "c"]))
        >>> found[["observed", "participants"]].values.tolist()
        [[0.0, 1.0], [1.0, 2.0]]
    """
    probability = np.asarray(probability, float)
    place = np.minimum((probability * N_BINS).astype(int), N_BINS - 1)
    rows = []
    for each in np.unique(place):
        chosen = place == each
        share, n_people = float(np.mean(np.asarray(happened, float)[chosen])), len(np.unique(people[chosen]))
        ends = share_interval(share, n_people)
        rows.append((float(probability[chosen].mean()), share, *ends, int(chosen.sum()), n_people))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def calibration_of_values(observed: np.ndarray, predicted: np.ndarray, people: np.ndarray) -> pd.DataFrame:
    """The mean of what was observed among rows of like prediction: up to ten bins of equal counts, of five rows or more.

    Returns:
        A row a bin: `predicted` and `observed`, the means, the latter less and plus 1.96 standard errors from `low` to `high`
        (the deviation of rows by the root of the number of people; NaN for one of them), `predictions` and `participants`.

    Example:
        >>> found = calibration_of_values(np.arange(10.0), np.arange(10.0), np.arange(10))
        >>> found[["predicted", "observed", "participants"]].values.tolist()
        [[2.0, 2.0, 5.0], [7.0, 7.0, 5.0]]
    """
    order = np.argsort(predicted, kind="stable")
    rows = []
    for part in np.array_split(order, max(1, min(N_BINS, len(order) // _ROWS_A_BIN))):
        if len(part):
            mean, n_people = float(np.mean(observed[part])), len(np.unique(people[part]))
            error = NORMAL_95 * float(np.std(observed[part], ddof=1)) / n_people**0.5 if n_people > 1 else float("nan")
            rows.append((float(np.mean(predicted[part])), mean, mean - error, mean + error, len(part), n_people))
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
