"""How much of a score's variance comes from the finite test part alone."""

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

from neurotransfer.errors import InputError, unknown
from neurotransfer.statistics.metrics import NAN, SCORES, scores


def measurement_variance(
    observed: np.ndarray,
    predicted: np.ndarray,
    kind: str,
    score: str,
    people: np.ndarray | None = None,
    probabilities: np.ndarray | None = None,
) -> float:
    """The variance of a score if other people of the same kind were tested with the same fitted model.

    Each row contributes its influence on the score; a person's contributions are added up, squared, and the squares summed, times
    G / (G - 1) for G people. With one row a person this is, for the AUC, that of DeLong, DeLong & Clarke-Pearson 1988, Biometrics
    44:837, by placements within each class (with several rows, close to Obuchowski 1997, Biometrics 53:567), and the variance of the
    mean for MAE and Brier score. RAE, R and R² are linearised (Huber 1981): of simulated normal values from ten people, to 1.15, 0.7
    and 0.9 of the truth, and from twenty to 1.05, 0.9 and 0.95. An AUC of 1 has a variance of 0 by it, which is too small too.

    Args:
        observed: values or class indices, (n,); rows without one are left out.
        predicted: as `scores` takes them, (n,).
        kind: of the target; see `scores`.
        score: a key of SCORES that exists for the kind.
        people: the participant of every row, (n,); without it, each row is another person.
        probabilities: (n, K), for the AUC and Brier score of a categorical target.

    Returns:
        The variance, in the squared unit of the score; NaN where the score does not exist, with fewer than two people, or where a
        score by class has a class of one person.

    Raises:
        InputError: as `scores` does, and when the score is unknown or not one of the kind.

    Example:
        >>> round(measurement_variance(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 5.0]), "continuous", "mae"), 6)
        0.333333
    """
    if score not in SCORES or kind not in SCORES[score].kinds:
        allowed = [name for name, each in SCORES.items() if kind in each.kinds]
        raise InputError(unknown(f"score of a {kind} target", score, allowed))
    observed, predicted = np.asarray(observed, float), np.asarray(predicted, float)
    if not np.isfinite(scores(kind, observed, predicted, probabilities)[score]):
        return NAN
    known = np.isfinite(observed)
    people = np.arange(len(observed)) if people is None else np.asarray(people)
    if len(people) != len(observed):
        raise InputError(f"people has {len(people)} rows; allowed: one for each of {len(observed)} predictions")
    place = np.unique(people[known].astype(str), return_inverse=True)[1]
    shown = (
        np.asarray(probabilities, float)[known]
        if kind == "categorical" and score != "balanced_accuracy"
        else predicted[known]
    )
    contributions = _CONTRIBUTIONS[score](observed[known], _as_classes(shown, kind, score), place)
    return float(np.sum(np.bincount(place, weights=contributions) ** 2)) if place.max(initial=0) > 0 else NAN


def _as_classes(predicted: np.ndarray, kind: str, score: str) -> np.ndarray:
    if score != "balanced_accuracy" or kind == "categorical":
        return predicted
    # binary is cut at a half, and an ordinal level rounded half up, as the scores do
    return np.floor(predicted + 0.5)


def _widened(place: np.ndarray) -> float:
    n = len(np.unique(place))
    return float(np.sqrt(n / (n - 1))) if n > 1 else NAN


def _of_mean(losses: np.ndarray, place: np.ndarray) -> np.ndarray:
    return (losses - losses.mean()) / len(losses) * _widened(place)


def _mae(observed: np.ndarray, predicted: np.ndarray, place: np.ndarray) -> np.ndarray:
    return _of_mean(np.abs(predicted - observed), place)


def _brier(observed: np.ndarray, predicted: np.ndarray, place: np.ndarray) -> np.ndarray:
    if predicted.ndim == 1:
        return _of_mean((predicted - observed) ** 2, place)
    happened = observed[:, None] == np.arange(predicted.shape[1])
    return _of_mean(((predicted - happened) ** 2).sum(1), place)


def _rae(observed: np.ndarray, predicted: np.ndarray, place: np.ndarray) -> np.ndarray:
    deviation, error = observed - observed.mean(), np.abs(predicted - observed)
    spread = np.abs(deviation)
    # the mean is that of the same people, and moves with them
    spread_moves = spread - spread.mean() - np.sign(deviation).mean() * deviation
    ratio = error.mean() / spread.mean()
    return (error - error.mean() - ratio * spread_moves) / spread.mean() / len(observed) * _widened(place)


def _r(observed: np.ndarray, predicted: np.ndarray, place: np.ndarray) -> np.ndarray:
    x, y = ((values - values.mean()) / values.std() for values in (observed, predicted))
    r = (x * y).mean()
    return (x * y - r * (x**2 + y**2) / 2) / len(observed) * _widened(place)


def _r2(observed: np.ndarray, predicted: np.ndarray, place: np.ndarray) -> np.ndarray:
    squares, deviations = (observed - predicted) ** 2, (observed - observed.mean()) ** 2
    ratio = squares.mean() / deviations.mean()
    return (ratio * deviations - squares) / deviations.mean() / len(observed) * _widened(place)


def _balanced_accuracy(observed: np.ndarray, predicted: np.ndarray, place: np.ndarray) -> np.ndarray:
    present = np.unique(observed)
    found = np.zeros(len(observed))
    for index in present:
        rows = observed == index
        found[rows] = _of_mean((predicted[rows] == index).astype(float), place[rows]) / len(present)
    return found


def _auc(observed: np.ndarray, predicted: np.ndarray, place: np.ndarray) -> np.ndarray:
    if predicted.ndim == 1:
        return _placements(observed == 1, predicted, place)
    present = np.unique(observed).astype(int)
    return np.mean([_placements(observed == index, predicted[:, index], place) for index in present], axis=0)


def _placements(is_one: np.ndarray, predicted: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Contributions to an AUC: of each row of a class, the share of the other one that it is on the right side of."""
    ranks, found = rankdata(predicted), np.zeros(len(predicted))
    for rows, turned in ((is_one, False), (~is_one, True)):
        below = (ranks[rows] - rankdata(predicted[rows])) / (~rows).sum()
        found[rows] = _of_mean(1 - below if turned else below, place[rows])
    return found


_CONTRIBUTIONS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "auc": _auc,
    "balanced_accuracy": _balanced_accuracy,
    "brier": _brier,
    "mae": _mae,
    "rae": _rae,
    "r": _r,
    "r2": _r2,
}
