"""How much of a score's variance comes from the finite test part alone."""

import numpy as np

from neurotransfer.errors import InputError, unknown
from neurotransfer.statistics.influence import influences
from neurotransfer.statistics.metrics import NAN, SCORES, scores

_BY_CLASS = ("auc", "balanced_accuracy")


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
    shown = None if probabilities is None else np.asarray(probabilities, float)[known]
    contributions = _contributions(observed[known], predicted[known], kind, score, place, shown)
    return float(np.sum(np.bincount(place, weights=contributions) ** 2)) if place.max(initial=0) > 0 else NAN


def _contributions(
    observed: np.ndarray,
    predicted: np.ndarray,
    kind: str,
    score: str,
    place: np.ndarray,
    probabilities: np.ndarray | None,
) -> np.ndarray:
    """What each row (n,) adds to the deviation of the score; squares of people's sums then have its variance as their sum."""
    if score == "auc" and kind == "categorical" and probabilities is not None:
        each = [
            _contributions(
                (observed == index).astype(float), probabilities[:, int(index)], "binary", score, place, None
            )
            for index in np.unique(observed)
        ]
        return np.mean(each, axis=0)
    found = influences(score, kind, observed, predicted, probabilities)[1]
    strata = observed if score in _BY_CLASS else np.zeros(len(observed))
    for stratum in np.unique(strata):
        rows = strata == stratum
        n, n_people = rows.sum(), len(np.unique(place[rows]))
        # jackknife values are n / (n - 1) times the derivatives, and a variance over people has G / (G - 1)
        found[rows] *= (n - 1) / n * np.sqrt(n_people / (n_people - 1)) if n_people > 1 else NAN
    return found
