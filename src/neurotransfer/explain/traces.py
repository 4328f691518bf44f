"""What features tell that they should not: how well a site, or another nuisance, can be read from them."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream

N_FOLDS = 10
N_PERMUTATIONS = 999
LEAST_IN_A_CLASS = 5
# of the mean variance of features: enough for more features than people
PENALTY = 1.0
MOST_PEOPLE = 2000


@dataclass(frozen=True)
class Trace:
    """How well classes are read from features of people who were not learnt from.

    `auc` is the mean of the one-against-the-rest areas under the ROC curve, `chance` the middle and `chance_high` the 95th percentile
    of the same with classes shuffled between people, `p` the share of shuffles that reach `auc`; `n_people` and `n_classes`.
    """

    auc: float
    chance: float
    chance_high: float
    p: float
    n_people: int
    n_classes: int


def trace(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    n_folds: int = N_FOLDS,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> Trace:
    """How well the class of people is read from their features by a ridge classifier, in folds of people.

    Every person stands in one row, so that no scan of a person is both learnt from and tested; a fold is what is tested once. The
    folds do not look at the classes, and so every shuffle of the classes is as likely as the classes are, if nothing can be read.

    Args:
        features: (n_people, p), one row a person.
        labels: (n_people,) places of classes, each with five people or more.
        n_folds: of people.
        n_permutations: how often classes are shuffled.
        seed: of folds and shuffles.

    Raises:
        InputError: for fewer than two classes, or one with fewer than five people.

    Example:
        >>> draws = stream(0, "example")
        >>> values, classes = draws.normal(size=(60, 4)), np.repeat([0, 1], 30)
        >>> found = trace(values + 2 * classes[:, None], classes)
        >>> bool(found.auc > 0.9), bool(found.p == 0.001), bool(abs(found.chance - 0.5) < 0.1)
        (True, True, True)
    """
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2 or counts.min() < LEAST_IN_A_CLASS:
        raise InputError(
            f"to be read from features, two classes or more of {LEAST_IN_A_CLASS} people or more are needed, found "
            f"{', '.join(map(str, counts)) or 'none'}"
        )
    draws = stream(seed, "trace")
    kept = np.sort(draws.permutation(len(codes))[:MOST_PEOPLE])
    smoother = folded(np.asarray(features, float)[kept], n_folds, draws)
    happened = (codes[kept][:, None] == np.arange(len(classes))).astype(float)
    seen = _mean_auc(smoother, happened)
    shuffled = np.array([_mean_auc(smoother, happened[draws.permutation(len(kept))]) for _ in range(n_permutations)])
    p = (1 + np.count_nonzero(shuffled >= seen - 1e-12)) / (1 + n_permutations)
    middle, high = np.quantile(shuffled, [0.5, 0.95])
    return Trace(seen, float(middle), float(high), float(p), len(kept), len(classes))


def folded(features: np.ndarray, n_folds: int, generator: np.random.Generator) -> np.ndarray:
    """The matrix (n, n) by which ridge regression makes predictions in folds of indicators: a row is a person who was not learnt from.

    Features are standardised by those who are learnt from; the penalty is their number times the number of features.
    """
    n, p = features.shape
    fold_of = generator.permutation(n) % min(n_folds, n)
    smoother = np.zeros((n, n))
    for fold in range(int(fold_of.max()) + 1):
        tested, learnt = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        mean, spread = features[learnt].mean(0), features[learnt].std(0)
        scale = np.where(spread > 0, spread, np.inf)
        seen, new = (features[learnt] - mean) / scale, (features[tested] - mean) / scale
        inner = seen @ seen.T + PENALTY * p * np.eye(len(learnt))
        # the mean of those who were learnt from is the same for all who are tested
        around = np.eye(len(learnt)) - 1 / len(learnt)
        smoother[np.ix_(tested, learnt)] = new @ np.linalg.solve(inner, seen).T @ around
    return smoother


def _mean_auc(smoother: np.ndarray, happened: np.ndarray) -> float:
    ranks = rankdata(smoother @ happened, axis=0)
    ones = happened.sum(0)
    found = ((ranks * happened).sum(0) - ones * (ones + 1) / 2) / (ones * (len(happened) - ones))
    return float(found.mean())
