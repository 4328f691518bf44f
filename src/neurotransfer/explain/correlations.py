"""What features share: correlations between columns of people, raw and without covariates, in an order that shows groups."""

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.special import betaln

from neurotransfer.errors import InputError

# people beyond those that covariates use up
LEAST_LEFT = 5


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's correlation of every column of `first` (n, p) with every one of `second` (n, q): (p, q), NaN where one is constant.

    Example:
        >>> correlations(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0, 2.0], [2.0, 1.0], [4.0, 0.0]]))
        array([[ 1., -1.]])
    """
    return np.clip(_units(first).T @ _units(second), -1, 1)


def _units(values: np.ndarray) -> np.ndarray:
    centred = np.asarray(values, float) - np.mean(values, axis=0, dtype=float)
    length = np.sqrt((centred**2).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(length > 1e-12 * np.abs(values).max(initial=0), centred / length, np.nan)


def basis(covariates: np.ndarray) -> np.ndarray:
    """An orthonormal basis (n, rank) of a constant and covariates (n, k); what is told by the others counts once.

    Raises:
        InputError: when they leave fewer than five people free.

    Example:
        >>> basis(np.array([[0.0], [0.0], [0.0], [1.0], [1.0], [2.0], [2.0]])).shape
        (7, 2)
    """
    values = np.asarray(covariates, float)
    spread = values.std(0) if values.shape[1] else np.zeros(0)
    scaled = (values - values.mean(0)) / np.where(spread > 0, spread, 1) if values.shape[1] else values
    axes, strengths, _ = np.linalg.svd(np.column_stack([np.ones(len(values)), scaled]), full_matrices=False)
    found = axes[:, strengths > 1e-9 * strengths[0]]
    if len(values) - found.shape[1] < LEAST_LEFT:
        raise InputError(
            f"{found.shape[1] - 1} covariates (a class but one counts each) of {len(values)} people leave fewer than {LEAST_LEFT} "
            "people free; take fewer covariates, or more people"
        )
    return found


def residuals(values: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """Values (n, p) without what a constant and covariates (n, k) tell of them by least squares.

    Raises:
        InputError: when the covariates leave fewer than five people free.

    Example:
        >>> age = np.arange(8.0)[:, None]
        >>> bool(np.abs(residuals(3 * age + 1, age)).max() < 1e-9)
        True
    """
    axes = basis(covariates)
    values = np.asarray(values, float)
    return values - axes @ (axes.T @ values)


def clustered(matrix: np.ndarray) -> np.ndarray:
    """An order (p,) of the rows of a correlation matrix (p, p) in which those that are alike, or opposite, stand together.

    Average linkage of 1 - |r|, leaves in the order that keeps neighbours nearest (Bar-Joseph et al. 2001).

    Example:
        >>> clustered(np.array([[1.0, 0.0, 0.9], [0.0, 1.0, 0.0], [0.9, 0.0, 1.0]])).tolist()[1] in (0, 2)
        True
    """
    if len(matrix) < 3:
        return np.arange(len(matrix))
    return np.asarray(leaves_list(linkage(_distances(matrix), "average", optimal_ordering=True)))


def _distances(matrix: np.ndarray) -> np.ndarray:
    apart = 1 - np.abs(np.nan_to_num(matrix))
    apart = np.clip((apart + apart.T) / 2, 0, None)
    np.fill_diagonal(apart, 0)
    return squareform(apart, checks=False)


def clustered_rows(matrix: np.ndarray) -> np.ndarray:
    """An order (p,) of the rows of a matrix of correlations (p, q) with other columns: those alike in all of them together.

    Example:
        >>> clustered_rows(np.array([[0.9, 0.0], [0.0, 0.9], [0.8, 0.0]])).tolist()[1] in (0, 2)
        True
    """
    if len(matrix) < 3:
        return np.arange(len(matrix))
    return np.asarray(leaves_list(linkage(np.nan_to_num(matrix), "average", optimal_ordering=True)))


def redundancy(values: np.ndarray, covariates: np.ndarray | None = None) -> float:
    """The mean absolute correlation between different columns of values (n, p): 0 for what shares nothing, 1 for one thing said often.

    Example:
        >>> round(redundancy(np.array([[0.0, 0.0], [1.0, -1.0], [2.0, -2.0]])), 6)
        1.0
    """
    left = values if covariates is None or not covariates.shape[1] else residuals(values, covariates)
    matrix = np.abs(correlations(left, left))
    n = len(matrix)
    return float((np.nansum(matrix) - np.nansum(np.diag(matrix))) / max(n * (n - 1), 1))


def chance_redundancy(n: int, n_covariates: int = 0) -> float:
    """The mean absolute correlation of unrelated normal columns of n people, after n_covariates were taken out.

    Without a relation r^2 has the beta distribution (1/2, (v - 1)/2) with v = n - 1 - n_covariates.

    Example:
        >>> round(chance_redundancy(100), 3)
        0.08
    """
    half = (n - 2 - n_covariates) / 2
    return float(np.exp(betaln(1.0, half) - betaln(0.5, half)))
