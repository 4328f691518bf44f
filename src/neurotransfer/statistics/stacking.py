"""Blend predictors by what they predicted of people they had not seen: likelihood weights, and stacking with shrinkage."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, softmax

from neurotransfer.errors import InputError
from neurotransfer.targets import Target

# half of the likelihood counts: folds of the same people are no independent data, and a full one trusts the best too soon
TEMPER = 0.5
LEAST_VARIANCE = 1e-12
MOST_ROUNDS = 500
# a weight below the first counts as none; the search goes on to the second, so that none is held up
LEAST_SHARE, LEAST_TRIED = 1e-6, 1e-12
# a head that a penalty has shrunk may be stretched so far
MOST_WEIGHT = 3.0


def row_losses(target: Target, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The loss of every row, (..., n), of outputs (..., n, n_outputs) for labels (n,), as networks and heads learn by it.

    Squared error of the standardised value (continuous), cross-entropy (binary, categorical), mean cross-entropy of the K - 1
    questions "above level k?" (ordinal).

    Example:
        >>> age = Target("age", "continuous", location=50.0, scale=10.0)
        >>> row_losses(age, np.zeros((2, 1)), np.array([60.0, 40.0]))
        array([1., 1.])
    """
    if target.kind == "continuous":
        return (outputs[..., 0] - (labels - target.location) / target.scale) ** 2
    if target.kind == "categorical":
        own = np.take_along_axis(outputs, np.broadcast_to(_codes(labels), (*outputs.shape[:-1], 1)), axis=-1)
        return logsumexp(outputs, axis=-1) - own[..., 0]
    above = labels[:, None] > np.arange(target.n_outputs)
    return (np.logaddexp(0, outputs) - above * outputs).mean(-1)


def _slopes(target: Target, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The derivative of every row's loss by its outputs, (n, n_outputs)."""
    if target.kind == "continuous":
        return 2 * (outputs - ((labels - target.location) / target.scale)[:, None])
    if target.kind == "categorical":
        return softmax(outputs, axis=-1) - (_codes(labels) == np.arange(target.n_outputs))
    above = labels[:, None] > np.arange(target.n_outputs)
    return (expit(outputs) - above) / target.n_outputs


def _codes(labels: np.ndarray) -> np.ndarray:
    return labels.astype(int)[:, None]


def likelihood_weights(target: Target, losses: np.ndarray, n: float, variance: float | None = None) -> np.ndarray:
    """Weights (k,) that rise with how likely each of k predictors makes labels that it had not seen.

    Proportional to likelihood ** TEMPER, with exp(-n * loss) as the likelihood of classes and exp(-n * loss / (2 * variance)) as
    that of a continuous target with normal errors: pseudo Bayesian model averaging (Yao, Vehtari, Simpson & Gelman 2018,
    Bayesian Analysis) with a tempered likelihood. With few people predictors share, with many the best one takes all.

    Args:
        target: what is predicted.
        losses: mean losses on people not seen, (k,).
        n: how many people they are.
        variance: of a continuous target's errors; by default the least loss.

    Raises:
        InputError: when no loss is finite.

    Example:
        >>> sex = Target("sex", "binary", classes=("F", "M"))
        >>> likelihood_weights(sex, np.array([0.69, 0.60]), 10).round(2), likelihood_weights(sex, np.array([0.69, 0.60]), 200).round(2)
        (array([0.39, 0.61]), array([0., 1.]))
    """
    losses = np.asarray(losses, float)
    if not np.isfinite(losses).any():
        raise InputError("no predictor has a finite loss; nothing can be blended")
    unit = 1.0
    if target.kind == "continuous":
        unit = 2 * max(float(np.nanmin(losses)) if variance is None else variance, LEAST_VARIANCE)
    return softmax(np.where(np.isfinite(losses), -TEMPER * n * losses / unit, -np.inf))


def stack(
    target: Target,
    outputs: np.ndarray,
    labels: np.ndarray,
    prior: np.ndarray,
    strength: float,
    base: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Weights (k,), from 0 to MOST_WEIGHT, with which k predictors together fit best: non-negative stacking with shrinkage.

    Predicted is base + sum_i w_i (outputs_i - base). The weights need not add up to 1: what two predictors see of two things adds up,
    and a mean of the two would have half of each (Breiman 1996, Machine Learning). They minimise the mean loss +
    strength * sum_i (w_i log(w_i / prior_i) - w_i + prior_i), a generalised Kullback-Leibler divergence: the weights leave the prior
    only as far as the labels say. The problem is convex, so that the answer does not depend on where its search begins.

    Args:
        target: what is predicted.
        outputs: of every predictor for rows that it had not seen, (k, n, n_outputs).
        labels: without missing values, (n,).
        prior: weights without evidence, each above 0 and at most MOST_WEIGHT, (k,).
        strength: of the prior against the mean loss, above 0; so many people's worth of loss is strength times their number.
        base: what is predicted without any weight, (n, n_outputs) or one number.

    Raises:
        InputError: when the strength or a prior weight is not above 0, a prior weight is above MOST_WEIGHT, or outputs or the base are
            not finite.

    Example:
        >>> age, first, second = Target("age", "continuous"), np.array([1.0, 1.0, -1.0, -1.0]), np.array([1.0, -1.0, 1.0, -1.0])
        >>> outputs = np.stack([first, second, np.zeros(4)])[..., None]
        >>> stack(age, outputs, first + second / 2, np.full(3, 1 / 3), 1e-6).round(2)
        array([1.  , 0.5 , 0.33])
    """
    prior = np.asarray(prior, float)
    if not (
        0 < strength < np.inf
        and ((prior > 0) & (prior <= MOST_WEIGHT)).all()
        and np.isfinite(outputs).all()
        and np.isfinite(base).all()
    ):
        raise InputError(
            f"stacking takes finite outputs and a finite base, a strength above 0 and prior weights from above 0 to {MOST_WEIGHT:g}, "
            f"got strength {strength!r} and prior {prior.tolist()}"
        )
    start, moved = np.log(prior), outputs - base

    def objective(at: np.ndarray) -> tuple[float, np.ndarray]:
        weights, apart = np.exp(at), at - start
        mixed = base + np.tensordot(weights, moved, 1)
        value = row_losses(target, mixed, labels).mean() + strength * float((weights * (apart - 1) + prior).sum())
        slope = np.tensordot(moved, _slopes(target, mixed, labels), 2) / len(labels) + strength * apart
        return float(value), weights * slope

    bounds = [(np.log(LEAST_TRIED), np.log(MOST_WEIGHT))] * len(prior)
    options = {"maxiter": MOST_ROUNDS, "ftol": 1e-14, "gtol": 1e-9}
    # where all outputs have the size of labels, so that no first step is too far
    sane = start - np.log(np.maximum(1.0, np.sqrt(np.square(moved).mean((1, 2)))))
    weights = np.exp(minimize(objective, sane, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x)
    return np.where(weights > LEAST_SHARE, weights, 0.0)
