"""Variable projection: on a grid of a shape's nonlinear parameter the others are solved exactly, for many curves at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np

from neurotransfer.statistics.shapes import Shape

# each zoom makes the grid seven times finer
_ZOOMS = 9
_ZOOMED = 15


@dataclass(frozen=True)
class Projected:
    """The best fit of a shape to each of k curves: `linear` (k, n_linear), `nonlinear` (k,), `chi_square` (k,)."""

    linear: np.ndarray
    nonlinear: np.ndarray
    chi_square: np.ndarray

    def at(self, shape: Shape, sizes: np.ndarray, first: float) -> np.ndarray:
        """The curves (k, m) at any sizes (m,) or (k, m); `first` is the smallest size that they were fitted to."""
        return (shape.columns(sizes, self.nonlinear, first) @ self.linear[..., None])[..., 0]

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Its three arrays."""
        return self.linear, self.nonlinear, self.chi_square

    def some(self, rows: np.ndarray) -> "Projected":
        """The fits to some of the curves."""
        return Projected(self.linear[rows], self.nonlinear[rows], self.chi_square[rows])


def project(shape: Shape, sizes: np.ndarray, curves: np.ndarray, sem: np.ndarray, best_possible: float) -> Projected:
    """Fit a shape to curves (k, n_sizes) by weighted least squares.

    Given the nonlinear parameter the optimum of the others is exact (Golub and Pereyra 1973), so the search has one dimension: the
    least chi-square on the grid of the shape's starts, then the parabola through it and its neighbours.

    Args:
        shape: a row of SHAPES.
        sizes: increasing, (n_sizes,).
        curves: scores of which more is better, a row a curve.
        sem: standard errors (n_sizes,), above 0.
        best_possible: no level exceeds it; may be infinite.

    Example:
        >>> from neurotransfer.statistics.shapes import SHAPES
        >>> sizes = np.array([100.0, 200.0, 400.0, 800.0])
        >>> curves = np.array([0.8 - 20 / sizes, 0.9 - 2 / sizes**0.5])
        >>> project(SHAPES["power"], sizes, curves, np.full(4, 0.01), 1.0).nonlinear.round(2)
        array([1. , 0.5])
    """
    tried = shape.starts(sizes)
    profile = _profile(shape, sizes, curves, sem, best_possible, tried)
    found = _solved(shape, sizes, curves, sem, best_possible, tried[profile.argmin(0)])
    if len(tried) < 3:
        return found
    lowest = np.exp(_vertices(np.log(tried), profile))
    return _better(found, _solved(shape, sizes, curves, sem, best_possible, lowest))


def sharpen(
    found: Projected, shape: Shape, sizes: np.ndarray, curves: np.ndarray, sem: np.ndarray, best_possible: float
) -> Projected:
    """The same with the first curve at its exact optimum: ever finer grids between the neighbours on the last one.

    The arguments are those of `project`, and what it found.

    Example:
        >>> from neurotransfer.statistics.shapes import SHAPES
        >>> problem = SHAPES["power"], np.array([1.0, 2, 4, 8]), np.array([[0.5, 0.6, 0.68, 0.7]]), np.full(4, 0.01), 1.0
        >>> found = project(*problem)
        >>> bool(sharpen(found, *problem).chi_square[0] <= found.chi_square[0])
        True
    """
    tried, first = shape.starts(sizes), found.some(np.array([0]))
    if len(tried) < 3:
        return found
    at = np.abs(np.log(tried / first.nonlinear)).argmin()
    for _ in range(_ZOOMS):
        tried = np.geomspace(tried[max(at - 1, 0)], tried[min(at + 1, len(tried) - 1)], _ZOOMED)
        at = _profile(shape, sizes, curves[:1], sem, best_possible, tried)[:, 0].argmin()
    first = _better(first, _solved(shape, sizes, curves[:1], sem, best_possible, tried[at : at + 1]))
    return Projected(*(np.concatenate([one, rest[1:]]) for one, rest in zip(first.parts, found.parts, strict=True)))


def _profile(
    shape: Shape, sizes: np.ndarray, curves: np.ndarray, sem: np.ndarray, best_possible: float, tried: np.ndarray
) -> np.ndarray:
    """The least chi-square (len(tried), k) for each nonlinear parameter that is tried."""
    solutions = _solutions(shape.columns(sizes, tried, sizes[0]), curves.T[None], 1 / sem, best_possible)
    return reduce(np.minimum, (chi_square for _, chi_square in solutions))


def _solved(
    shape: Shape, sizes: np.ndarray, curves: np.ndarray, sem: np.ndarray, best_possible: float, nonlinear: np.ndarray
) -> Projected:
    """The optimum for one given nonlinear parameter (k,) a curve."""
    solutions = _solutions(shape.columns(sizes, nonlinear, sizes[0]), curves[..., None], 1 / sem, best_possible)
    return reduce(_better, (Projected(linear[..., 0], nonlinear, fit[:, 0]) for linear, fit in solutions))


def _solutions(
    columns: np.ndarray, curves: np.ndarray, weights: np.ndarray, best_possible: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The linear parameters (k, n_linear, m) and chi-squares (k, m) for columns (k, n_sizes, n_linear), curves (k or 1, n_sizes, m).

    One pair for every set of parameters that may lie on their bounds (gains of 0, a level of the best possible score); a
    solution that breaks a bound has an infinite chi-square. The least of them is the exact optimum, as the problem is convex.
    """
    k, _, n_linear = columns.shape
    middle = float(curves[0].mean())
    for at_best in [False, True][: 1 + int(np.isfinite(best_possible))]:
        shift = best_possible if at_best else middle
        goal = weights[:, None] * (curves - shift)
        squared = (goal**2).sum(1)
        for gains in product([True, False], repeat=n_linear - 1):
            free = np.flatnonzero([not at_best, *gains])
            linear = np.zeros((k, n_linear, curves.shape[2]))
            orthogonal, triangle = np.linalg.qr(weights[:, None] * columns[..., free])
            explained = orthogonal.swapaxes(1, 2) @ goal
            linear[:, free] = np.linalg.inv(triangle) @ explained
            linear[:, 0] += shift
            allowed = (linear[:, 1:] >= 0).all(1) & (linear[:, 0] <= best_possible)
            yield linear, np.where(allowed, squared - (explained**2).sum(1), np.inf)


def _vertices(x: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Where the parabola through the least value of each column (len(x), k) and its neighbours is least, within them."""
    middle = profile.argmin(0).clip(1, len(x) - 2)
    at = [middle - 1, middle, middle + 1]
    low, mid, high = (x[rows] for rows in at)
    left, centre, right = (profile[rows, np.arange(len(middle))] for rows in at)
    rise, later = (centre - left) / (mid - low), (right - centre) / (high - mid)
    bend = later - rise
    vertex = (low + mid) / 2 - rise * (high - low) / (2 * np.where(bend > 0, bend, 1.0))
    return np.where(bend > 0, vertex.clip(low, high), mid)


def _better(first: Projected, second: Projected) -> Projected:
    wins = second.chi_square < first.chi_square
    return Projected(
        np.where(wins[:, None], second.linear, first.linear),
        np.where(wins, second.nonlinear, first.nonlinear),
        np.where(wins, second.chi_square, first.chi_square),
    )
