"""The shapes that a learning curve may have: the score as a function of the size, straight in all parameters but one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_TRIED = 40


@dataclass(frozen=True)
class Shape:
    """A form f(n) of learning curves, written for scores of which more is better (an error is turned over first).

    f(n) = sum over j of columns(n, c, n_1)[j] x linear[j]: given the nonlinear parameter c it is linear in all others. The
    first column is 1 and its parameter, a level of the score, stays within the score's bounds; all further ones are gains of 0
    or more, so that no shape ever falls. n_1 is the smallest size.

    Attributes:
        description: what it says of a curve.
        formula: f(n) in words and signs.
        parameters: the names of the parameters: the linear ones in the order of the columns, then the nonlinear one.
        bounds: what each of them may be.
        columns: (sizes (n_sizes,) or (k, n_sizes), nonlinear (k,), n_1) -> (k, n_sizes, n_linear).
        starts: sizes (n_sizes,) -> the values (k,) of the nonlinear parameter that are tried; they span its bounds.
        asymptote: (linear (k, n_linear), best possible score) -> (k,), the score with endless data.

    Example:
        >>> columns = SHAPES["power"].columns(np.array([100.0, 400.0]), np.array([0.5]), 100.0)
        >>> columns @ [0.8, 0.2]
        array([[0.6, 0.7]])
    """

    description: str
    formula: str
    parameters: tuple[str, ...]
    bounds: tuple[str, ...]
    columns: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    starts: Callable[[np.ndarray], np.ndarray]
    asymptote: Callable[[np.ndarray, float], np.ndarray]


def _one(sizes: np.ndarray, nonlinear: np.ndarray) -> np.ndarray:
    return np.ones(np.broadcast_shapes(sizes.shape, (len(nonlinear), 1)))


def _flat(sizes: np.ndarray, nonlinear: np.ndarray, first: float) -> np.ndarray:
    return _one(sizes, nonlinear)[..., None]


def _power(sizes: np.ndarray, nonlinear: np.ndarray, first: float) -> np.ndarray:
    missing = (sizes / first) ** -nonlinear[:, None]
    return np.stack([_one(sizes, nonlinear), -missing], axis=-1)


def _exponential(sizes: np.ndarray, nonlinear: np.ndarray, first: float) -> np.ndarray:
    missing = np.exp(-(sizes - first) / nonlinear[:, None])
    return np.stack([_one(sizes, nonlinear), -missing], axis=-1)


def _two_phase(sizes: np.ndarray, nonlinear: np.ndarray, first: float) -> np.ndarray:
    doublings = np.log2(sizes / nonlinear[:, None])
    return np.stack([_one(sizes, nonlinear), np.minimum(doublings, 0), np.maximum(doublings, 0)], axis=-1)


def _no_nonlinear(sizes: np.ndarray) -> np.ndarray:
    return np.ones(1)


def _exponents(sizes: np.ndarray) -> np.ndarray:
    return np.geomspace(0.05, 3, _TRIED)


def _scales(sizes: np.ndarray) -> np.ndarray:
    return np.geomspace((sizes[1] - sizes[0]) / 5, (sizes[-1] - sizes[0]) * 10, _TRIED)


def _breaks(sizes: np.ndarray) -> np.ndarray:
    # two sizes on each side, or one of the slopes would be anything
    return np.unique(np.concatenate([np.geomspace(sizes[1], sizes[-2], _TRIED), sizes[1:-1]]))


def _level(linear: np.ndarray, best: float) -> np.ndarray:
    return linear[:, 0]


def _unending(linear: np.ndarray, best: float) -> np.ndarray:
    return np.where(linear[:, 2] > 0, best, linear[:, 0])


SHAPES = {
    "flat": Shape(
        "more data change nothing",
        "a",
        ("asymptote",),
        ("the score's",),
        _flat,
        _no_nonlinear,
        _level,
    ),
    "power": Shape(
        "what is missing to the asymptote shrinks by the same factor with every doubling",
        "a - b (n / n_1)^-c",
        ("asymptote", "missing at the smallest size", "exponent"),
        ("the score's", "0 or more", "0.05 to 3"),
        _power,
        _exponents,
        _level,
    ),
    "exponential": Shape(
        "what is missing to the asymptote shrinks by the same factor with every further c scans",
        "a - b exp(-(n - n_1) / c)",
        ("asymptote", "missing at the smallest size", "scale in scans"),
        ("the score's", "0 or more", "a fifth of the first step of n to 10 times the range of n"),
        _exponential,
        _scales,
        _level,
    ),
    "two-phase": Shape(
        "one gain a doubling up to a break, another one beyond it; it has no asymptote but the bound of the score unless the"
        " second gain is 0",
        "a + b min(0, log2(n / c)) + d max(0, log2(n / c))",
        ("score at the break", "gain a doubling before", "gain a doubling after", "break"),
        ("the score's", "0 or more", "0 or more", "the second size to the last but one"),
        _two_phase,
        _breaks,
        _unending,
    ),
}
