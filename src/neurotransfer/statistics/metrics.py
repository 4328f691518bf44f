"""Scores of predictions: a table that says what each is called and means, one function for each, one for all."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from neurotransfer.errors import InputError, unknown
from neurotransfer.targets import KINDS

NAN = float("nan")
_RELATIVE_SPREAD = 1e-13


@dataclass(frozen=True)
class Score:
    """What a score is called, which direction is better, what guessing gives, and for which kinds of target it exists.

    `chance` is what a prediction without knowledge expects (None where that depends on the sample); `bounds` are the
    ends of an axis that shows the score (None for an open end).
    """

    name: str
    label: str
    higher_is_better: bool
    chance: float | None
    kinds: tuple[str, ...]
    bounds: tuple[float | None, float | None]

    def chance_level(self, n_classes: int = 2) -> float | None:
        """What guessing gives with `n_classes` classes; only balanced accuracy depends on their number."""
        return 1 / max(n_classes, 2) if self.name == "balanced_accuracy" else self.chance


_NUMERIC = ("continuous", "ordinal")
SCORES: dict[str, Score] = {
    "auc": Score("auc", "Area under the ROC curve", True, 0.5, ("binary", "categorical"), (0.0, 1.0)),
    "balanced_accuracy": Score(
        "balanced_accuracy", "Balanced accuracy", True, 0.5, ("binary", "categorical", "ordinal"), (0.0, 1.0)
    ),
    "brier": Score("brier", "Brier score", False, None, ("binary", "categorical"), (0.0, None)),
    "mae": Score("mae", "Mean absolute error", False, None, _NUMERIC, (0.0, None)),
    "rae": Score("rae", "Relative absolute error", False, 1.0, _NUMERIC, (0.0, None)),
    "r": Score("r", "Correlation (r)", True, 0.0, _NUMERIC, (-1.0, 1.0)),
    "r2": Score("r2", "Explained variance (R²)", True, 0.0, _NUMERIC, (None, 1.0)),
}
SELECTION = {"continuous": "mae", "binary": "auc", "categorical": "auc", "ordinal": "mae"}
"""The score that chooses the best setting on the validation set, by kind of target."""
HEADLINE = {"continuous": "rae", "binary": "auc", "categorical": "auc", "ordinal": "mae"}
"""The score that is shown first, by kind of target."""


def auc(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Area under the ROC curve: how often a one is ranked above a zero, ties counted half; NaN with one class.

    Computed from the ranks (Mann and Whitney 1947): (sum of the ranks of the ones - m (m + 1) / 2) / (m (n - m)).

    Example:
        >>> auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
        0.875
    """
    is_one = np.asarray(observed) == 1
    n_ones, n_zeros = int(is_one.sum()), int((~is_one).sum())
    if not n_ones or not n_zeros:
        return NAN
    rank_sum = float(rankdata(predicted)[is_one].sum())
    return (rank_sum - n_ones * (n_ones + 1) / 2) / (n_ones * n_zeros)


def mean_auc(observed: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of the one-versus-rest AUCs over the classes that are present; NaN with fewer than two.

    `observed` (n,) holds class indices, `probabilities` is (n, K).
    """
    present = np.unique(observed).astype(int)
    if len(present) < 2:
        return NAN
    return float(np.mean([auc(observed == index, probabilities[:, index]) for index in present]))


def balanced_accuracy(observed: np.ndarray, chosen: np.ndarray) -> float:
    """Mean over the classes present of the share of each that is recognised; NaN with fewer than two classes.

    Example:
        >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])).__round__(3)
        0.833
    """
    present = np.unique(observed)
    if len(present) < 2:
        return NAN
    return float(np.mean([np.mean(chosen[observed == index] == index) for index in present]))


def brier(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Mean squared difference of the probability of class 1 from what happened (Brier 1950, halved for two classes)."""
    return float(np.mean((np.asarray(predicted, float) - observed) ** 2))


def multiclass_brier(observed: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over the sample of the sum over classes of squared differences, 0 to 2 (Brier 1950)."""
    happened = np.asarray(observed)[:, None] == np.arange(probabilities.shape[1])
    return float(np.mean(np.sum((probabilities - happened) ** 2, axis=1)))


def mae(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error, in the unit of the target."""
    return float(np.mean(np.abs(np.asarray(predicted, float) - observed)))


def rae(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Relative absolute error sum|y - p| / sum|y - mean(y)|: 1 is as good as the mean; NaN where y is constant.

    Example:
        >>> rae(np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 3.5]))
        0.5
    """
    if _is_constant(observed):
        return NAN
    return mae(observed, predicted) / mae(observed, np.full(len(observed), np.mean(observed)))


def r(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Pearson's correlation; NaN where one of the two is constant (up to rounding)."""
    if _is_constant(observed) or _is_constant(predicted):
        return NAN
    first, second = _unit(observed), _unit(predicted)
    return float(np.clip(first @ second, -1.0, 1.0))


def r2(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Explained variance 1 - SSE / SST, negative when worse than the sample's own mean; NaN where y is constant."""
    if _is_constant(observed):
        return NAN
    observed = np.asarray(observed, float)
    with np.errstate(over="ignore"):
        errors, total = np.sum((observed - predicted) ** 2), np.sum((observed - observed.mean()) ** 2)
        return float(1 - errors / total)


def _is_constant(values: np.ndarray) -> bool:
    values = np.asarray(values, float)
    return bool(len(values) < 2 or np.ptp(values) <= _RELATIVE_SPREAD * np.max(np.abs(values)))


def _unit(values: np.ndarray) -> np.ndarray:
    centered = np.asarray(values, float) - np.mean(values)
    centered = centered / np.max(np.abs(centered))
    return centered / math.sqrt(float(centered @ centered))


def _numeric(observed: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {score.__name__: score(observed, predicted) for score in (mae, rae, r, r2)}


def _continuous(observed: np.ndarray, predicted: np.ndarray, _: np.ndarray | None) -> dict[str, float]:
    return _numeric(observed, predicted)


def _binary(observed: np.ndarray, predicted: np.ndarray, _: np.ndarray | None) -> dict[str, float]:
    chosen = (predicted >= 0.5).astype(float)
    return {
        "auc": auc(observed, predicted),
        "balanced_accuracy": balanced_accuracy(observed, chosen),
        "brier": brier(observed, predicted),
    }


def _categorical(observed: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None) -> dict[str, float]:
    found = {"balanced_accuracy": balanced_accuracy(observed, predicted)}
    if probabilities is None or not np.isfinite(probabilities).all():
        return found
    return found | {"auc": mean_auc(observed, probabilities), "brier": multiclass_brier(observed, probabilities)}


def _ordinal(observed: np.ndarray, predicted: np.ndarray, _: np.ndarray | None) -> dict[str, float]:
    nearest_level = np.floor(predicted + 0.5)
    return _numeric(observed, predicted) | {"balanced_accuracy": balanced_accuracy(observed, nearest_level)}


_BY_KIND: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray | None], dict[str, float]]] = {
    "continuous": _continuous,
    "binary": _binary,
    "categorical": _categorical,
    "ordinal": _ordinal,
}


def scores(
    kind: str, observed: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None = None
) -> dict[str, float]:
    """Every score of `SCORES`, NaN where it does not exist for the kind of target or for this sample.

    Rows without an observation are left out; a prediction that is not finite makes every score NaN, and so does a
    sample of fewer than two. `observed` (n,) holds values, or class indices; `predicted` (n,) the value (continuous),
    the probability of class 1 (binary, cut at 0.5), the class index (categorical) or the expected level (ordinal,
    rounded half up for the balanced accuracy); `probabilities` (n, K) is needed for the AUC and Brier score of a
    categorical target only.

    Raises:
        InputError: when the kind is unknown, the shapes differ or an observation is not a class.

    Example:
        >>> found = scores("binary", np.array([0, 1, 1]), np.array([0.2, 0.4, 0.9]))
        >>> found["auc"], found["balanced_accuracy"], round(found["brier"], 3), found["mae"]
        (1.0, 0.75, 0.137, nan)
    """
    if kind not in _BY_KIND:
        raise InputError(unknown("kind of target", kind, KINDS))
    observed, predicted, probabilities = _checked(kind, observed, predicted, probabilities)
    found: dict[str, float] = {}
    if len(observed) >= 2 and np.isfinite(predicted).all():
        found = _BY_KIND[kind](observed, predicted, probabilities)
    return {name: found.get(name, NAN) for name in SCORES}


def _checked(
    kind: str, observed: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    observed, predicted = np.asarray(observed, float), np.asarray(predicted, float)
    if observed.ndim != 1 or observed.shape != predicted.shape:
        raise InputError(
            f"scores: observed has shape {observed.shape} and predicted {predicted.shape}; allowed: the same (n,)"
        )
    known = np.isfinite(observed)
    if probabilities is not None and kind == "categorical":
        probabilities = np.asarray(probabilities, float)
        if probabilities.ndim != 2 or len(probabilities) != len(observed):
            raise InputError(f"scores: probabilities have shape {probabilities.shape}; allowed: ({len(observed)}, K)")
        probabilities = probabilities[known]
    observed = observed[known]
    _check_classes(kind, observed, probabilities)
    return observed, predicted[known], probabilities


def _check_classes(kind: str, observed: np.ndarray, probabilities: np.ndarray | None) -> None:
    if kind == "continuous":
        return
    n_classes = {"binary": 2.0}.get(kind, np.inf)
    if kind == "categorical" and probabilities is not None:
        n_classes = probabilities.shape[1]
    wrong = observed[(observed < 0) | (observed >= n_classes) | (observed != np.floor(observed))]
    if len(wrong):
        raise InputError(f"scores: observed {wrong[0]!r} is not a class of a {kind} target; allowed: indices from 0")
