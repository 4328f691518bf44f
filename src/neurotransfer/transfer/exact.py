"""Linear heads with an L2 penalty, solved exactly: ridge regression and logistic regression."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from neurotransfer.targets import Target

LEAST_SCALE = 0.1


def standardiser(features: np.ndarray, *, alike: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale, each (n_features,), of training features (n, n_features): their standard deviation, or 1.

    Where features are `alike` (voxels, outputs of one network layer; not columns of mixed units), the scale of a feature
    that varies is at least a tenth of the median one: a voxel at the ceiling in every training image, or a unit that is
    nearly silent there, would else be blown up to thousands of standard deviations in a new image.

    Example:
        >>> standardiser(np.array([[0.0, 1.0], [2.0, 1.0]]))
        (array([1., 1.]), array([1., 1.]))
    """
    mean, scale = features.mean(0, dtype=float), features.std(0, dtype=float)
    # a spread that is only rounding of a constant would be blown up to noise
    varies = scale > 1e-6 * np.maximum(1.0, np.abs(mean))
    if alike and varies.any():
        return mean, np.maximum(scale, LEAST_SCALE * np.median(scale[varies]))
    return mean, np.where(varies, scale, 1.0)


def fold(weights: np.ndarray, bias: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n_outputs, n_features) and bias (n_outputs,) for raw features, from those for standardised features."""
    folded = weights / scale
    return folded, bias - folded @ mean


def solve(features: np.ndarray, labels: np.ndarray, target: Target, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n_outputs, n_features) and bias (n_outputs,) of the best linear head on standardised features.

    Minimises sum of losses + penalty * k * |w|^2 (halves left out where the loss has them) with the loss of the target's
    kind and k the number of features that are not all zero; the bias is free. Solved in the span of the training
    features, which is exact for an L2 penalty, so that there may be many more features than people.

    Args:
        features: standardised, (n, n_features).
        labels: without missing values, (n,).
        target: continuous targets are solved on their standardised scale.
        penalty: relative to the number of features; 0.001 to 10 is a useful range.
    """
    scores, right = _rotated(features)
    alpha = penalty * max(1, int(features.any(axis=0).sum()))
    if target.kind == "continuous":
        standard = (labels - target.location) / target.scale
        return _ridge(scores, standard, alpha, right)
    if target.kind == "ordinal":
        parts = [_logistic(scores, (labels > level).astype(int), alpha, right) for level in range(target.n_outputs)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    weights, bias = _logistic(scores, labels.astype(int), alpha, right)
    return (weights, bias) if target.kind == "binary" else _all_classes(weights, bias, labels, target)


def _rotated(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n, k) and directions (k, n_features), k <= n, whose product is `features`: its singular value decomposition."""
    if features.shape[1] <= features.shape[0]:
        return features, np.eye(features.shape[1])
    # by the small matrix of inner products, which is much quicker for many voxels and few people
    squares, left = np.linalg.eigh(features @ features.T)
    kept = squares > squares.max() * 1e-12
    values = np.sqrt(squares[kept])
    return left[:, kept] * values, (left[:, kept] / values).T @ features


def _ridge(scores: np.ndarray, labels: np.ndarray, alpha: float, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, middle = labels.mean(), scores.mean(0)
    centred = scores - middle
    inner = centred.T @ centred + alpha * np.eye(centred.shape[1])
    weights = np.linalg.solve(inner, centred.T @ (labels - mean))
    return (weights @ right)[None], np.array([mean - weights @ middle])


def _logistic(scores: np.ndarray, labels: np.ndarray, alpha: float, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(np.unique(labels)) < 2:
        # one class only: the log odds of that class with one made-up person of the other
        odds = np.log(len(labels) + 1.0) * (1 if labels[0] else -1)
        return np.zeros((1, right.shape[1])), np.array([odds])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=1 / max(alpha, 1e-12), max_iter=500).fit(scores, labels)
    return model.coef_ @ right, model.intercept_


def _all_classes(
    weights: np.ndarray, bias: np.ndarray, labels: np.ndarray, target: Target
) -> tuple[np.ndarray, np.ndarray]:
    present = np.unique(labels.astype(int))
    if len(present) == 2:
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    elif len(present) == 1:
        weights, bias = weights * 0, np.zeros(1)
    every = np.zeros((target.n_outputs, weights.shape[1]))
    every_bias = np.full(target.n_outputs, bias.min() - 5.0)
    every[present], every_bias[present] = weights, bias
    return every, every_bias
