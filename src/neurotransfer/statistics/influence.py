"""How much each row moves a score: from this it is known how the score varies with other people, without scoring again."""

from collections.abc import Callable

import numpy as np

from neurotransfer.errors import InputError, unknown
from neurotransfer.statistics.metrics import SCORES, scores


def influences(
    name: str, kind: str, observed: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """A score and what each row adds to it (n,): the score less that without the row, to the first order.

    The derivative by the weight of the row, times n / (n - 1); n counts the rows of its class for AUC and balanced accuracy. For these
    two, MAE and Brier score this is exactly the delete-one jackknife (of an AUC, the placement values of DeLong, DeLong and
    Clarke-Pearson 1988, Biometrics 44:837), for the others its linear part (the infinitesimal jackknife: Efron 1982, The Jackknife,
    the Bootstrap and Other Resampling Plans). They sum to zero; the sum of their squares is the variance of the score over samples of
    independent rows. Rows without an observation have 0; all are NaN where the score does not exist.

    Args:
        name: of the score, one of SCORES that exists for the kind of target.
        kind: of the target; see `metrics.scores` for what it says of the arrays.
        observed: values or class indices (n,).
        predicted: (n,).
        probabilities: of a categorical target (n, K); needed for its AUC and Brier score.

    Raises:
        InputError: when the score does not exist for the kind, or as `metrics.scores` does.

    Example:
        >>> influences("mae", "continuous", np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 5.0]))
        (1.0, array([-0.5,  0. ,  0.5]))
    """
    if name not in SCORES:
        raise InputError(unknown("score", name, SCORES))
    if kind not in SCORES[name].kinds:
        raise InputError(unknown(f"kind of target with the score {name!r}", kind, SCORES[name].kinds))
    value = scores(kind, observed, predicted, probabilities)[name]
    observed, predicted = np.asarray(observed, float), np.asarray(predicted, float)
    if not np.isfinite(value):
        return value, np.full(len(observed), np.nan)
    known = np.isfinite(observed)
    found = np.zeros(len(observed))
    kept = None if probabilities is None else np.asarray(probabilities, float)[known]
    found[known] = _BY_NAME[name](kind, observed[known], predicted[known], kept)
    return value, found


def _from_mean(values: np.ndarray) -> np.ndarray:
    """What each of the values (n,) adds to their mean, in comparison with their mean without it."""
    return (values - values.mean()) / max(len(values) - 1, 1)


def _placements(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The share of `others` that each value is above, ties counted half."""
    ranked = np.sort(others)
    return (np.searchsorted(ranked, values, "left") + np.searchsorted(ranked, values, "right")) / (2 * len(ranked))


def _on_area(is_one: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    found = np.empty(len(predicted))
    found[is_one] = _from_mean(_placements(predicted[is_one], predicted[~is_one]))
    found[~is_one] = -_from_mean(_placements(predicted[~is_one], predicted[is_one]))
    return found


def _auc(kind: str, observed: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray:
    if kind == "binary" or probabilities is None:
        return _on_area(observed == 1, predicted)
    classes = np.unique(observed).astype(int)
    return np.mean([_on_area(observed == index, probabilities[:, index]) for index in classes], axis=0)


def _balanced_accuracy(
    kind: str, observed: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None
) -> np.ndarray:
    chosen = {"binary": predicted >= 0.5, "categorical": predicted}.get(kind, np.floor(predicted + 0.5))
    is_right = (chosen == observed).astype(float)
    found, classes = np.empty(len(observed)), np.unique(observed)
    for index in classes:
        found[observed == index] = _from_mean(is_right[observed == index]) / len(classes)
    return found


def _brier(kind: str, observed: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray:
    if kind == "binary" or probabilities is None:
        return _from_mean((predicted - observed) ** 2)
    happened = observed[:, None] == np.arange(probabilities.shape[1])
    return _from_mean(((probabilities - happened) ** 2).sum(axis=1))


def _mae(kind: str, observed: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray:
    return _from_mean(np.abs(predicted - observed))


def _rae(kind: str, observed: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray:
    errors, centered = np.abs(predicted - observed), observed - observed.mean()
    spread = np.abs(centered)
    # the mean of the sample moves too, and with it every distance from it
    on_spread = _from_mean(spread) - _from_mean(observed) * np.sign(centered).mean()
    return (_from_mean(errors) - errors.mean() / spread.mean() * on_spread) / spread.mean()


def _r(kind: str, observed: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray:
    first, second = (_standardised(values) for values in (observed, predicted))
    r = np.mean(first * second)
    return (first * second - r * (first**2 + second**2) / 2) / max(len(first) - 1, 1)


def _standardised(values: np.ndarray) -> np.ndarray:
    centered = values - values.mean()
    return centered / np.sqrt(np.mean(centered**2))


def _r2(kind: str, observed: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray:
    errors, spread = (predicted - observed) ** 2, (observed - observed.mean()) ** 2
    return (errors.mean() / spread.mean() * _from_mean(spread) - _from_mean(errors)) / spread.mean()


_BY_NAME: dict[str, Callable[[str, np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]] = {
    "auc": _auc,
    "balanced_accuracy": _balanced_accuracy,
    "brier": _brier,
    "mae": _mae,
    "rae": _rae,
    "r": _r,
    "r2": _r2,
}
