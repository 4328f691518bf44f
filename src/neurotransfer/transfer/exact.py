"""Linear heads with an L2 penalty, solved exactly and for all penalties at once: ridge and logistic regression."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np

from neurotransfer.targets import Target

# a penalty below this share of the largest curvature of the data would drown in rounding
LEAST_SHARE = 1e-12
MOST_STEPS, MOST_HALVINGS = 100, 40
# a Newton step from which at most this share of the objective is to be gained squares the error: it is the last one
NEARLY_THERE = 1e-9
# how many float64 numbers the curvatures of problems that are solved together may fill (240 MB)
MOST_NUMBERS = 30_000_000


def fold(weights: np.ndarray, bias: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n_outputs, n_features) and bias (n_outputs,) for raw features, from those for standardised features."""
    folded = weights / scale
    return folded, bias - folded @ mean


def solve_path(
    features: np.ndarray, labels: np.ndarray, target: Target, penalties: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (S, n_outputs, n_features) and bias (S, n_outputs) of the best linear heads for S penalties.

    Minimises sum of losses + penalty * k * |w|^2 with the loss of the target's kind and k the number of features that are
    not all zero; the bias is free. Squared errors of the standardised value have no halves, as in scikit-learn's `Ridge`;
    cross-entropies stand beside penalty * k * |w|^2 / 2, as in its `LogisticRegression`. Ridge comes from one
    decomposition of the features for all penalties; logistic regression from Newton's method on all penalties (and
    levels of an ordinal target) at once, each step halved until it leads downwards.

    Everything is solved in the principal axes of the training features, which is exact for an L2 penalty, so that there
    may be many more features than people. A class that training lacks is never predicted.

    Args:
        features: standardised, (n, n_features).
        labels: without missing values, (n,).
        target: continuous targets are solved on their standardised scale.
        penalties: relative to the number of features, (S,); 0.001 to 10 is a useful range.

    Raises:
        FloatingPointError: when features or labels are not all finite.

    Example:
        >>> features, labels = np.array([[-1.0], [1.0]]), np.array([0.0, 4.0])
        >>> weights, bias = solve_path(features, labels, Target("y", "continuous"), [1.0, 3.0])
        >>> weights[:, 0, 0].round(3), bias[:, 0]
        (array([1.333, 0.8  ]), array([2., 2.]))
    """
    if not (np.isfinite(features).all() and np.isfinite(labels).all()):
        raise FloatingPointError("features or labels of the training rows are not finite")
    middle = features.mean(0)
    scores, axes = _rotated(features - middle)
    squares = np.square(scores).sum(0)
    top = squares.max(initial=0.0) or 1.0
    with np.errstate(over="ignore"):
        strengths = np.asarray(penalties, float) * max(1, int(features.any(axis=0).sum()))
    strengths = np.clip(strengths, LEAST_SHARE * top, max(1.0, top) / LEAST_SHARE)
    if target.kind == "continuous":
        weights, bias = _ridge(scores, squares, (labels - target.location) / target.scale, strengths)
    elif target.kind == "categorical":
        weights, bias = _classes(scores, labels.astype(int), strengths, target.n_outputs)
    else:
        weights, bias = _levels(scores, labels, strengths, target.n_outputs)
    weights = weights @ axes
    return weights, bias - weights @ middle


def _rotated(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n, k) on axes (k, n_features) at right angles, k <= n, whose product is `features` (centred)."""
    if features.shape[1] <= features.shape[0]:
        axes = np.linalg.eigh(features.T @ features)[1].T
        return features @ axes.T, axes
    # by the small matrix of inner products, which is much quicker for many voxels and few people
    squares, left = np.linalg.eigh(features @ features.T)
    kept = squares > squares.max() * 1e-12
    values = np.sqrt(squares[kept])
    return left[:, kept] * values, (left[:, kept] / values).T @ features


def _ridge(
    scores: np.ndarray, squares: np.ndarray, labels: np.ndarray, strengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    weights = scores.T @ (labels - labels.mean()) / (squares + strengths[:, None])
    return weights[:, None], np.full((len(strengths), 1), labels.mean())


def _levels(
    scores: np.ndarray, labels: np.ndarray, strengths: np.ndarray, n_outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """The questions "above level 0?", "above level 1?" and so on; a binary target has the first one only."""
    above = labels > np.arange(n_outputs)[:, None]
    weights = np.zeros((n_outputs, len(strengths), scores.shape[1]))
    # all on one side: the log odds with one made-up person on the other
    bias = np.where(above[:, :1], 1.0, -1.0).repeat(len(strengths), axis=1) * np.log(len(labels) + 1.0)
    open_ones = np.flatnonzero(above.any(1) & ~above.all(1))
    if len(open_ones):
        codes = above[open_ones].astype(int).repeat(len(strengths), axis=0)
        found = _logistic(scores, codes, np.tile(strengths, len(open_ones)))
        weights[open_ones] = found[:, 0, :-1].reshape(len(open_ones), len(strengths), -1)
        bias[open_ones] = found[:, 0, -1].reshape(len(open_ones), -1)
    return weights.swapaxes(0, 1), bias.T


def _classes(
    scores: np.ndarray, labels: np.ndarray, strengths: np.ndarray, n_outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    present, codes = np.unique(labels, return_inverse=True)
    weights, bias = np.zeros((len(strengths), n_outputs, scores.shape[1])), np.full((len(strengths), n_outputs), -5.0)
    if len(present) == 1:
        bias[:, present] = 0
        return weights, bias
    found = _logistic(scores, np.tile(codes, (len(strengths), 1)), strengths)
    every = np.concatenate([np.zeros_like(found[:, :1]), found], axis=1)
    every -= every.mean(1, keepdims=True)
    bias += every[:, :, -1].min(1, keepdims=True)
    weights[:, present], bias[:, present] = every[:, :, :-1], every[:, :, -1]
    return weights, bias


def _logistic(scores: np.ndarray, codes: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Coefficients (B, C, k + 1), bias last, of classes 1 to C against class 0 for B codings (B, n) of the same people."""
    rows = np.column_stack([scores, np.ones(len(scores))])
    problems = _Problems(rows, codes, strengths, int(codes.max()))
    size = problems.n_others * rows.shape[1]
    together = max(1, MOST_NUMBERS // (max(size * problems.n_others, len(rows)) * rows.shape[1]))
    chunks = np.split(np.arange(len(codes)), range(together, len(codes), together))
    return np.concatenate([_newton(problems.take(chunk)) for chunk in chunks])


@dataclass(frozen=True)
class _Problems:
    """B logistic regressions on the same rows (n, d), the last column 1: classes (B, n) from 0 and strengths (B,).

    Class 0 has no coefficients. With more than two classes the penalty is that of coefficients of all classes whose sum
    is zero, |v|^2 - |sum of v|^2 / K: it favours no class.
    """

    rows: np.ndarray
    codes: np.ndarray
    strengths: np.ndarray
    n_others: int

    def take(self, chosen: np.ndarray) -> "_Problems":
        return replace(self, codes=self.codes[chosen], strengths=self.strengths[chosen])

    @property
    def penalty(self) -> np.ndarray:
        """The matrix (C, C) of the penalty between classes, times the strength of each problem: (B, C, C)."""
        share = 0.0 if self.n_others == 1 else 1 / (self.n_others + 1)
        return self.strengths[:, None, None] * (np.eye(self.n_others) - share)

    def pull(self, at: np.ndarray) -> np.ndarray:
        """The gradient of the penalty, (B, C, d); the bias is free."""
        found = self.penalty @ at
        found[:, :, -1] = 0
        return found

    def loss(self, at: np.ndarray) -> np.ndarray:
        """The objective (B,) at coefficients (B, C, d)."""
        logits = np.insert(at @ self.rows.T, 0, 0.0, axis=1)
        own = self.codes[:, None]
        above = logits - np.take_along_axis(logits, own, axis=1)
        # the own class apart, so that a loss near zero is exact
        np.put_along_axis(above, own, -np.inf, axis=1)
        losses = np.logaddexp(0, np.logaddexp.reduce(above, axis=1))
        return losses.sum(1) + (at * self.pull(at)).sum((1, 2)) / 2

    def slopes(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (B, C, d) and curvature (B, C d, C d) of the objective."""
        logits = at @ self.rows.T
        shift = np.maximum(logits.max(1, keepdims=True), 0)
        shares = np.exp(logits - shift)
        shares /= np.exp(-shift) + shares.sum(1, keepdims=True)
        others = np.arange(1, self.n_others + 1)[:, None] == self.codes[:, None]
        gradient = (shares - others) @ self.rows + self.pull(at)
        return gradient, self._curvature(shares)

    def _curvature(self, shares: np.ndarray) -> np.ndarray:
        n_problems, n_others, d = len(shares), self.n_others, self.rows.shape[1]
        free = np.diag(np.append(np.ones(d - 1), 0.0))
        found = self.penalty[:, :, None, :, None] * free[:, None, :]
        for one, other in combinations_with_replacement(range(n_others), 2):
            weight = shares[:, one] * (float(one == other) - shares[:, other])
            block = (weight[:, None] * self.rows.T) @ self.rows
            found[:, one, :, other] += block
            if one != other:
                found[:, other, :, one] += block
        return found.reshape(n_problems, n_others * d, n_others * d)


def _newton(problems: _Problems) -> np.ndarray:
    """The coefficients (B, C, d) where the objectives are least."""
    found = np.zeros((len(problems.codes), problems.n_others, problems.rows.shape[1]))
    loss, active = problems.loss(found), np.arange(len(found))
    for _ in range(MOST_STEPS):
        left = problems.take(active)
        gradient, curvature = left.slopes(found[active])
        move = np.linalg.solve(curvature, gradient.reshape(len(active), -1, 1)).reshape(gradient.shape)
        gain = (move * gradient).sum((1, 2))
        found[active], after = _step(left, found[active], move, loss[active], gain)
        loss[active] = after
        active = active[gain > NEARLY_THERE * after]
        if not len(active):
            break
    return found


def _step(
    problems: _Problems, at: np.ndarray, move: np.ndarray, loss: np.ndarray, gain: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One step against `move`, halved until the objective falls by a share of `gain`; coefficients and objective there."""
    length, rounding = np.ones(len(at)), 1e-14 * (loss + len(problems.rows))
    for _ in range(MOST_HALVINGS):
        tried = at - length[:, None, None] * move
        after = problems.loss(tried)
        uphill = after > loss - 1e-4 * length * gain + rounding
        if not uphill.any():
            break
        length[uphill] /= 2
    return tried, after
