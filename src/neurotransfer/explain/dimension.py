"""How many independent features a set of features is worth: its spectrum, and two numbers of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import hyp2f1

from neurotransfer.explain.halves import N_HALVES, Sure, sure
from neurotransfer.seeding import stream

_STEPS = 100_000


def spectrum(features: np.ndarray) -> np.ndarray:
    """The shares of variance of the principal components of standardised features (n, p), largest first, (min(n - 1, p),).

    Example:
        >>> spectrum(np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])).round(6)
        array([1., 0.])
    """
    values = _standardised(features)
    few = values if values.shape[1] <= len(values) else values.T
    strengths = np.linalg.eigvalsh(few.T @ few)[::-1].clip(0)
    return strengths[: min(len(values) - 1, values.shape[1])] / strengths.sum()


def _standardised(features: np.ndarray) -> np.ndarray:
    values = np.asarray(features, float)
    spread = values.std(0)
    return (values - values.mean(0)) / np.where(spread > 0, spread, 1)


def plain_participation(features: np.ndarray) -> float:
    """(sum of the variances)^2 / sum of their squares, of principal components: never above the number of people less one.

    Example:
        >>> round(plain_participation(np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])), 6)
        2.0
    """
    return float(1 / (spectrum(features) ** 2).sum())


def participation(features: np.ndarray) -> float:
    """The participation ratio of standardised features (n, p), what few people take from it given back: 1 to p.

    (tr R)^2 / tr(R^2) of the correlation matrix R, which is p^2 / sum r_ij^2. Between features of n people r^2 comes out too large,
    by 1 / (n - 1) where there is no correlation, and so the ratio too small; here every r^2 is replaced by its unbiased estimate
    (Olkin & Pratt 1958, Annals of Mathematical Statistics 29:201), exact for normal features. A ratio above p is p: then the
    people are too few to tell it.

    Example:
        >>> values = stream(0, "example").normal(size=(40, 60))
        >>> round(plain_participation(values)), bool(participation(values) > 45)
        (24, True)
    """
    values = _standardised(features)
    n, p = values.shape
    # seven digits do, and wide matrices are many numbers
    matrix = (values / np.sqrt(n)).astype(np.float32)
    squares = np.clip((matrix.T @ matrix) ** 2, 0, 1)
    # a feature with itself is no estimate
    total = float(_unbiased_squares(n)[np.rint(squares * _STEPS).astype(np.int32)].sum()) + p - _own(squares, n)
    return float(np.clip(p**2 / total, 1, p)) if total > 0 else float(p)


def _own(squares: np.ndarray, n: int) -> float:
    return float(_unbiased_squares(n)[np.rint(np.diag(squares) * _STEPS).astype(np.int32)].sum())


@lru_cache(maxsize=4)
def _unbiased_squares(n: int) -> np.ndarray:
    """The unbiased estimates for squared correlations of n people, at even steps from 0 to 1."""
    apart = 1 - np.linspace(0, 1, _STEPS + 1)
    return 1 - (n - 3) / (n - 2) * apart * hyp2f1(1, 1, n / 2, apart)


def entropy_dimension(features: np.ndarray) -> float:
    """exp(entropy of the shares of variance) of standardised features (n, p): 1 to min(n - 1, p) (Roy & Vetterli 2007).

    It counts small directions more than the participation ratio does, and few people lower it.

    Example:
        >>> round(entropy_dimension(np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])), 6)
        2.0
    """
    shares = spectrum(features)
    shares = shares[shares > 1e-15]
    return float(np.exp(-(shares * np.log(shares)).sum()))


@dataclass(frozen=True)
class Dimension:
    """Effective dimensions of features of people, each with its interval; `plain` is the participation that few people show."""

    participation: Sure
    entropy: Sure
    plain: float
    n_people: int
    n_features: int


def dimension_of(features: np.ndarray, *, n_halves: int = N_HALVES, seed: int = 0) -> Dimension:
    """The effective dimensions of features (n, p), one row a person, with 95 % intervals from halves of the people.

    Of as many people and the same seed, the halves are the same.

    Raises:
        InputError: for fewer than ten people.

    Example:
        >>> values = stream(0, "example").normal(size=(200, 3)) @ np.array([[1.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]])
        >>> found = dimension_of(values)
        >>> found.n_features, bool(found.participation.low < 2.67 < found.participation.high)
        (4, True)
    """
    n, p = features.shape

    def around(measure: Callable[[np.ndarray], float]) -> Sure:
        generator = stream(seed, "dimension", measure.__name__)
        return sure(lambda rows: measure(features[rows]), n, positive=True, n_draws=n_halves, generator=generator)

    return Dimension(around(participation), around(entropy_dimension), plain_participation(features), n, p)
