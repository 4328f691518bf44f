"""How much of a signal features contain: ridge regression from them, judged on people whom it has not seen."""

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream
from neurotransfer.statistics.estimates import LEVEL, N_DRAWS, Estimate, estimate_of, times_drawn
from neurotransfer.statistics.standardise import standardiser

N_FOLDS = 10
LEAST_PEOPLE = 20
# of the mean eigenvalue of the features' covariance
PENALTIES = tuple(10.0**power for power in np.arange(-4, 5.0))


def share_contained(
    features: np.ndarray,
    signal: np.ndarray,
    *,
    alike: bool = True,
    n_folds: int = N_FOLDS,
    level: float = LEVEL,
    n_draws: int = N_DRAWS,
    generator: np.random.Generator | None = None,
) -> Estimate:
    """The share of a signal's variance that ridge regression on features predicts in people whom it has not seen (R²).

    Folds of people; within those who are learnt from, the penalty with the least leave-one-out error (Allen 1974, Technometrics
    16:125). 1 less the squared errors over the squared distances from the mean of those who were learnt from, so that 0 is no better
    than that mean. The interval is over people, whose errors are drawn again; the folds stay as they are.

    Args:
        features: (n, p), one row a person.
        signal: (n,) or (n, k), of which all columns count alike.
        alike: whether features are of one unit, as those of a network layer, see `standardiser`.
        n_folds: of people.
        level: coverage of the interval.
        n_draws: how often people are drawn.
        generator: of folds and draws; without one, the same every time.

    Raises:
        InputError: for unlike numbers of people, fewer than 20, numbers that are not finite, or a signal that is the same for all.

    Example:
        >>> draws = np.random.default_rng(0)
        >>> features = draws.normal(size=(200, 5))
        >>> found = share_contained(features, features[:, 0] + draws.normal(size=200))
        >>> found.low < 0.5 < found.high
        True
    """
    features, signal = np.asarray(features, float), np.asarray(signal, float)
    signal = signal[:, None] if signal.ndim == 1 else signal
    if features.ndim != 2 or signal.ndim != 2 or len(features) != len(signal) or len(features) < LEAST_PEOPLE:
        raise InputError(
            f"what features contain takes one row a person of both and {LEAST_PEOPLE} people or more, got shapes {features.shape} and "
            f"{signal.shape}"
        )
    if not (np.isfinite(features).all() and np.isfinite(signal).all()) or not signal.std(0).any():
        raise InputError("what features contain takes finite numbers and a signal that differs between people")
    generator = generator or stream(0, "contained")
    n = len(features)
    fold_of = generator.permutation(n) % min(n_folds, n)
    errors, around = np.zeros(n), np.zeros(n)
    for fold in range(int(fold_of.max()) + 1):
        tested, learnt = fold_of == fold, fold_of != fold
        errors[tested], around[tested] = _judged(features, signal, learnt, tested, alike)
    drawn = times_drawn(n, n_draws, generator)
    shares = 1 - (drawn @ errors) / (drawn @ around)
    return estimate_of(1 - float(errors.sum() / around.sum()), shares, n, level)


def _judged(
    features: np.ndarray, signal: np.ndarray, learnt: np.ndarray, tested: np.ndarray, alike: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Squared errors of tested people, and their squared distances from the mean of who was learnt from."""
    mean, scale = standardiser(features[learnt], alike=alike)
    seen, new = (features[learnt] - mean) / scale, (features[tested] - mean) / scale
    middle = signal[learnt].mean(0)
    happened = signal[learnt] - middle
    left, spread, right = np.linalg.svd(seen, full_matrices=False)
    squares = spread**2
    turned = left.T @ happened
    mean_square = max(float(squares.mean()), np.finfo(float).tiny)
    kept = [squares / (squares + penalty * mean_square) for penalty in PENALTIES]
    losses = []
    for weights in kept:
        # a person's own part in their prediction, the mean included
        own = (left**2) @ weights + 1 / len(seen)
        residual = (happened - left @ (weights[:, None] * turned)) / np.maximum(1 - own, 1e-9)[:, None]
        losses.append(float((residual**2).sum()))
    best = kept[int(np.argmin(losses))]
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(spread > 0, best / spread, 0.0)
    predicted = middle + new @ (right.T @ (inverse[:, None] * turned))
    return ((signal[tested] - predicted) ** 2).sum(1), ((signal[tested] - middle) ** 2).sum(1)
