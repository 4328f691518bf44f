"""How a learning curve would vary if it were measured again: the curve, and many curves redrawn around it."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream

N_DRAWS = 2000
# two deviate as a t with one degree of freedom, which has no variance to speak of
LEAST_REPLICATES = 3
_CELLS_AT_ONCE = 2**22


@dataclass(frozen=True)
class Redrawn:
    """A curve and how redrawn curves deviate from it; what tests and intervals of curves are computed from.

    Args:
        curve: the mean score at each size, smallest size first, in the score's own unit (K,); NaN where it is not known.
        deviations: redrawn curves minus the curve (B, K); NaN where a draw gives no score, or where it is not known
            how a size varies. Columns are correlated where sizes share people or replicates.

    Raises:
        InputError: when the shapes do not fit.
    """

    curve: np.ndarray
    deviations: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "curve", np.asarray(self.curve, float))
        object.__setattr__(self, "deviations", np.asarray(self.deviations, float))
        if self.curve.ndim != 1 or not len(self.curve):
            raise InputError(f"redrawn: the curve has shape {self.curve.shape}; allowed: (K,), one size or more")
        if self.deviations.ndim != 2 or self.deviations.shape[1] != len(self.curve) or not len(self.deviations):
            raise InputError(
                f"redrawn: the deviations have shape {self.deviations.shape}; allowed: (B, {len(self.curve)}), one draw or more"
            )

    @property
    def known(self) -> np.ndarray:
        """The sizes (K,) of which the mean is known and also how it varies, in most draws."""
        return np.isfinite(self.curve) & (np.isfinite(self.deviations).mean(axis=0) > 0.5)

    @property
    def standard_errors(self) -> np.ndarray:
        """Standard errors (K,): the root of the mean square of the deviations; NaN at sizes that are not known."""
        squares = np.where(np.isfinite(self.deviations), self.deviations, np.nan)[:, self.known] ** 2
        found = np.full(len(self.curve), np.nan)
        found[self.known] = np.sqrt(np.nanmean(squares, axis=0)) if self.known.any() else np.nan
        return found

    def only_known(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices of the known sizes (k,), the curve there (k,), and deviations (b, k) of draws known at all of them."""
        places = np.flatnonzero(self.known)
        deviations = self.deviations[:, places]
        return places, self.curve[places], deviations[np.isfinite(deviations).all(axis=1)]


def by_replicates(scores: np.ndarray, n_draws: int = N_DRAWS, generator: np.random.Generator | None = None) -> Redrawn:
    """Redraw a curve from its replicates: those of each size are drawn again by themselves, with replacement.

    In a benchmark, replicate r of one size has nothing to do with replicate r of another, so sizes are independent. How
    sure the curve is for this pool; see `by_people` for how a new pool would move it. Where strategies share splits, redraw their
    difference replicate by replicate, `by_replicates(scores - others)`, because it varies less than either.

    Deviations of R replicates are widened by sqrt(R / (R - 1)) and by sqrt((R - 1) / chi-square(R - 1)), drawn anew each time:
    means of normal scores then deviate as Student's t with R - 1 degrees of freedom, and tests keep their level with few replicates.

    Args:
        scores: (R, K), a row a replicate and a column a size; NaN where missing. A size with fewer than three
            replicates has a mean, but no deviations: how it varies is not known.
        n_draws: how many curves are drawn.
        generator: where the draws come from; without one, the same draws every time.

    Raises:
        InputError: when the scores are no such table or `n_draws` is below 1.

    Example:
        >>> redrawn = by_replicates(np.array([[0.6, 0.8], [0.7, 0.8], [0.8, 0.8]]))
        >>> redrawn.curve.round(6), redrawn.deviations.shape, bool(redrawn.deviations[:, 1].any())
        (array([0.7, 0.8]), (2000, 2), False)
    """
    scores = np.asarray(scores, float)
    if scores.ndim != 2 or scores.shape[1] < 1:
        raise InputError(f"by_replicates: scores have shape {scores.shape}; allowed: (R, K), a column a size")
    _require_draws(n_draws)
    generator = generator or stream(0, "redrawn")
    columns = [column[np.isfinite(column)] for column in scores.T]
    curve = np.array([column.mean() if len(column) else np.nan for column in columns])
    return Redrawn(curve, np.column_stack([mean_deviations(column, n_draws, generator) for column in columns]))


def mean_deviations(values: np.ndarray, n_draws: int, generator: np.random.Generator) -> np.ndarray:
    """How the mean of values (R,) deviates when they are drawn again (n_draws,), as `by_replicates` says; NaN below three."""
    n_values = len(values)
    if n_values < LEAST_REPLICATES:
        return np.full(n_draws, np.nan)
    # equal values have no spread, though their mean may differ from them by rounding
    centered = values - values.mean() if np.ptp(values) > 0 else np.zeros(n_values)
    at_once = max(1, _CELLS_AT_ONCE // n_values)
    means = [
        centered[generator.integers(0, n_values, (min(at_once, n_draws - start), n_values))].mean(axis=1)
        for start in range(0, n_draws, at_once)
    ]
    widened = np.sqrt(n_values / generator.chisquare(n_values - 1, n_draws))
    return np.concatenate(means) * widened


def by_standard_errors(
    curve: np.ndarray, sem: np.ndarray, n_draws: int = N_DRAWS, generator: np.random.Generator | None = None
) -> Redrawn:
    """Redraw a curve from means and their standard errors: normal, and independent between sizes.

    All that can be done with a published curve. A standard error over replicates says nothing of how a new pool would move the curve.

    Args:
        curve: mean scores (K,), NaN where missing.
        sem: their standard errors (K,), 0 or more; NaN where not known.
        n_draws: how many curves are drawn.
        generator: where the draws come from; without one, the same draws every time.

    Raises:
        InputError: when the shapes differ, a standard error is negative or `n_draws` is below 1.

    Example:
        >>> redrawn = by_standard_errors(np.array([0.6, 0.7]), np.array([0.02, 0.01]))
        >>> redrawn.standard_errors.round(2)
        array([0.02, 0.01])
    """
    curve, sem = np.asarray(curve, float), np.asarray(sem, float)
    if curve.ndim != 1 or curve.shape != sem.shape:
        raise InputError(
            f"by_standard_errors: curve has shape {curve.shape} and sem {sem.shape}; allowed: the same (K,)"
        )
    if (sem < 0).any():
        raise InputError(f"by_standard_errors: a standard error is {sem.min()!r}; allowed: 0 or more")
    _require_draws(n_draws)
    generator = generator or stream(0, "redrawn")
    return Redrawn(curve, generator.standard_normal((n_draws, len(curve))) * sem)


def _require_draws(n_draws: int) -> None:
    if n_draws < 1:
        raise InputError(f"redrawn: n_draws is {n_draws!r}; allowed: 1 or more")
