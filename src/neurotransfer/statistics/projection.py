"""Variable projection: on a grid of a shape's nonlinear parameter the others are solved exactly, for many curves at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import product, starmap

import numpy as np
from scipy.optimize import minimize_scalar

from neurotransfer.statistics.shapes import Shape


@dataclass(frozen=True)
class Projected:
    """The best fit of a shape to each of k curves: `linear` (k, n_linear), `nonlinear` (k,), `chi_square` (k,)."""

    linear: np.ndarray
    nonlinear: np.ndarray
    chi_square: np.ndarray

    def at(self, shape: Shape, sizes: np.ndarray, first: float) -> np.ndarray:
        """The curves (k, m) at any sizes (m,) or (k, m); `first` is the smallest size that they were fitted to."""
        return (shape.columns(sizes, self.nonlinear, first) @ self.linear[..., None])[..., 0]

    def some(self, rows: np.ndarray) -> "Projected":
        """The fits to some of the curves."""
        return Projected(self.linear[rows], self.nonlinear[rows], self.chi_square[rows])


def project(shape: Shape, sizes: np.ndarray, curves: np.ndarray, sem: np.ndarray, best_possible: float) -> Projected:
    """Fit a shape to curves (k, n_sizes) by weighted least squares, the nonlinear parameter on the grid of its starts.

    Golub and Pereyra (1973): given the nonlinear parameter the optimum of the others is exact, so the search has one dimension.

    Args:
        shape: a row of SHAPES.
        sizes: increasing, (n_sizes,).
        curves: scores of which more is better, a row a curve.
        sem: standard errors (n_sizes,), above 0.
        best_possible: the level of no shape exceeds it; may be infinite.
    """
    tried = shape.starts(sizes)
    k = np.arange(len(curves))
    columns = shape.columns(sizes, tried, sizes[0])

    def best_of(linear: np.ndarray, chi_square: np.ndarray) -> Projected:
        best = chi_square.argmin(0)
        return Projected(linear[best, :, k], tried[best], chi_square[best, k])

    return reduce(_better, starmap(best_of, _solutions(columns, curves.T[None], 1 / sem, best_possible)))


def polish(
    found: Projected, shape: Shape, sizes: np.ndarray, curves: np.ndarray, sem: np.ndarray, best_possible: float
) -> Projected:
    """The optimum between the neighbours on the grid: by a parabola for each curve, and by Brent's search for the first one."""
    tried = np.log(shape.starts(sizes))
    if len(tried) < 3:
        return found

    def at(log_nonlinear: np.ndarray, rows: slice = slice(None)) -> Projected:
        nonlinear = np.exp(log_nonlinear)
        solutions = _solutions(shape.columns(sizes, nonlinear, sizes[0]), curves[rows, :, None], 1 / sem, best_possible)
        return reduce(_better, (Projected(linear[..., 0], nonlinear, fit[:, 0]) for linear, fit in solutions))

    middle = np.abs(tried - np.log(found.nonlinear)[:, None]).argmin(1).clip(1, len(tried) - 2)
    low, mid, high = tried[middle - 1], tried[middle], tried[middle + 1]
    lowest = _vertex(low, mid, high, *(at(x).chi_square for x in (low, mid, high)))
    found = _better(found, at(lowest))
    searched = minimize_scalar(
        lambda x: at(np.array([x]), slice(1)).chi_square[0],
        bounds=(low[0], high[0]),
        method="bounded",
        options={"xatol": 1e-9},
    )
    exact = np.log(found.nonlinear)
    exact[0] = searched.x
    return _better(found, at(exact))


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


def _vertex(low: np.ndarray, mid: np.ndarray, high: np.ndarray, *values: np.ndarray) -> np.ndarray:
    """Where the parabola through three points has its least value, or the middle where it opens downwards."""
    left, right = (values[1] - values[0]) / (mid - low), (values[2] - values[1]) / (high - mid)
    bend = right - left
    safe = np.where(bend > 0, bend, 1.0)
    vertex = (low + mid) / 2 - left * (high - low) / (2 * safe)
    return np.where(bend > 0, vertex.clip(low, high), mid)


def _better(first: Projected, second: Projected) -> Projected:
    wins = second.chi_square < first.chi_square
    return Projected(
        np.where(wins[:, None], second.linear, first.linear),
        np.where(wins, second.nonlinear, first.nonlinear),
        np.where(wins, second.chi_square, first.chi_square),
    )
