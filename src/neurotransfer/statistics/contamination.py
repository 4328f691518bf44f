"""Whether labels contradict sure predictions more often than classes that overlap would: label noise as one parameter of a fit."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

from neurotransfer.errors import InputError
from neurotransfer.statistics.estimates import LEVEL, Estimate

LEAST_PEOPLE = 20
# beyond these odds, how sure a prediction was is rounding
_LEAST_PROBABILITY = 1e-6
_LEAST_LIKELIHOOD = 1e-12
_STARTS = (0.05, 0.3)
# of the logarithm of the slope, and of the intercepts
_SLOPES = (-4.0, 4.0)
_INTERCEPTS = (-30.0, 30.0)
# of the share at which labels say nothing
_MOST = 0.98
_EXACT = 1e-3


@dataclass(frozen=True)
class Contamination:
    """How many labels were exchanged for another one, as far as predictions can tell.

    Attributes:
        share: of labels that were exchanged, 0 to 1, with its profile likelihood interval.
        likelihood_ratio: twice the logarithm of the likelihood with that share over the one without any.
        p: of no label noise at all, against some.
        calibrated: probabilities (n, K) of the given labels without label noise: the overlap of classes alone.
    """

    share: Estimate
    likelihood_ratio: float
    p: float
    calibrated: np.ndarray


def contamination(labels: np.ndarray, probabilities: np.ndarray, *, level: float = LEVEL) -> Contamination:
    """The share of exchanged labels by which predictions that should be sure are contradicted.

    Model: the true class has probabilities q = softmax(a log p + b), recalibrated by a slope and an intercept a class (Cox 1958;
    Platt 1999); with probability e it is exchanged for any other class: P(k) = (1 - e) q_k + e (1 - q_k) / (K - 1). Classes that
    overlap make labels uncertain in the middle and certain at the ends; exchanged labels are as frequent at the ends as anywhere.
    The test of e = 0 is that of the likelihood ratio at a boundary, half a chi-square with one degree of freedom
    (Copas 1988, Journal of the Royal Statistical Society B 50:225; Self & Liang 1987).

    What it can and cannot tell: the upper end of the interval bounds how many labels can have been exchanged at random. A lower end
    above 0 says that overlap of this form does not explain the labels; it would do so for normal classes of one covariance, and a
    group of patients whose images are those of controls cannot be told from exchanged labels by any such means. Where no prediction
    is sure, or all are equally so, a smaller slope explains as much as exchanged labels do, and the interval is wide. Of 200 simulated
    people, 15 % of exchanged labels had p < 0.05 in 95 % of studies with normal classes 4 standard deviations apart, in 27 % with 1.

    Args:
        labels: class indices as given, (n,), one row a person.
        probabilities: of people whom the fit had not seen, (n, K), above 0 or nearly.
        level: coverage of the interval.

    Raises:
        InputError: when shapes do not fit, a label is no class, fewer than two classes occur or there are fewer than 20 people.

    Example:
        >>> draws = np.random.default_rng(0)
        >>> labels, x = np.arange(400) % 2, draws.normal(0, 1, 400)
        >>> sure = 1 / (1 + np.exp(-4 * (x + 4 * labels - 2)))
        >>> given = np.where(np.arange(400) < 40, 1 - labels, labels)
        >>> found = contamination(given, np.column_stack([1 - sure, sure]))
        >>> found.p < 0.01, found.share.low < 0.1 < found.share.high
        (True, True)
    """
    labels, probabilities = checked_classes(labels, probabilities)
    if len(labels) < LEAST_PEOPLE or len(np.unique(labels)) < 2:
        raise InputError(
            f"label noise takes {LEAST_PEOPLE} people or more of two classes or more, got {len(labels)} of {len(np.unique(labels))}"
        )
    logs = np.log(np.clip(probabilities, _LEAST_PROBABILITY, None))
    logs -= logs.mean(1, keepdims=True)
    n_classes = probabilities.shape[1]
    most = _MOST * (n_classes - 1) / n_classes
    without = _fit(labels, logs, (0.0, 0.0), np.zeros(n_classes + 1))
    tried = [_fit(labels, logs, (0.0, most), np.r_[without[1][:-1], start * most]) for start in _STARTS]
    loss, found = min([without, *tried], key=lambda each: each[0])
    # from where the fit with a share ended the one without may end lower than from nothing
    without = min(without, _fit(labels, logs, (0.0, 0.0), np.r_[found[:-1], 0.0]), key=lambda each: each[0])
    ratio = 2 * (without[0] - loss)
    limit = float(chi2.ppf(level, 1))

    def beyond(share: float) -> float:
        return 2 * (_fit(labels, logs, (share, share), np.r_[found[:-1], share])[0] - loss) - limit

    share = float(found[-1])
    low = 0.0 if ratio <= limit else float(brentq(beyond, 0.0, share, xtol=_EXACT))
    high = float(brentq(beyond, share, most, xtol=_EXACT)) if share < most and beyond(most) > 0 else most
    p = float(chi2.sf(ratio, 1)) / 2 if ratio > _EXACT else 1.0
    return Contamination(Estimate(share, low, high), float(ratio), p, _of_classes(logs, without[1]))


def _of_classes(logs: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Probabilities (n, K) of the true class: softmax(a log p + b), a as its logarithm first, then b of all classes but one."""
    scores = np.exp(parameters[0]) * logs + np.r_[0.0, parameters[1:-1]]
    scores = np.exp(scores - scores.max(1, keepdims=True))
    return scores / scores.sum(1, keepdims=True)


def _fit(
    labels: np.ndarray, logs: np.ndarray, shares: tuple[float, float], start: np.ndarray
) -> tuple[float, np.ndarray]:
    """The least negative log-likelihood with a share of exchanged labels between two, and where it is."""
    n, n_classes = logs.shape
    rows = np.arange(n)
    happened = np.eye(n_classes)[labels]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        each, share = _of_classes(logs, parameters), parameters[-1]
        own = each[rows, labels]
        slope = 1 - share * n_classes / (n_classes - 1)
        likelihood = np.maximum(slope * own + share / (n_classes - 1), _LEAST_LIKELIHOOD)
        of_scores = (slope * own / likelihood)[:, None] * (happened - each)
        of_log_a = float((of_scores * logs).sum()) * np.exp(parameters[0])
        of_share = float((((1 - own) / (n_classes - 1) - own) / likelihood).sum())
        return -float(np.log(likelihood).sum()), -np.r_[of_log_a, of_scores.sum(0)[1:], of_share]

    bounds = [_SLOPES, *[_INTERCEPTS] * (n_classes - 1), shares]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.fun), found.x


def checked_classes(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) as indices and probabilities (n, K), which add up to 1.

    Raises:
        InputError: when they are not.

    Example:
        >>> checked_classes(np.array([1.0, 0.0]), np.array([[0.2, 0.8], [0.9, 0.1]]))[0]
        array([1, 0])
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, float)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or probabilities.shape[1] < 2:
        raise InputError(
            f"labels are (n,) and probabilities (n, K) of two classes or more, got shapes {labels.shape} and {probabilities.shape}"
        )
    wrong = labels[~np.isin(labels, np.arange(probabilities.shape[1]))]
    if len(wrong):
        raise InputError(
            f"label {wrong[0]!r} is no class; allowed: whole numbers from 0 to {probabilities.shape[1] - 1}"
        )
    sums = probabilities.sum(1)
    if not (np.isfinite(probabilities).all() and (probabilities >= 0).all() and np.allclose(sums, 1, atol=1e-3)):
        raise InputError("probabilities are finite, 0 or more, and add up to 1 in every row")
    return labels.astype(int), probabilities / sums[:, None]
