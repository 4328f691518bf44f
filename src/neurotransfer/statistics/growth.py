"""The shape of a learning curve: power law, exponential, two phases or flat, with intervals of asymptote and rate.

What may be concluded, and what not:

- A fit describes the sizes that were measured. An asymptote lies beyond all of them: believe its interval, not its value.
- Fewer than four sizes cannot tell a rise that ends from one that goes on; then only `flat` is fitted, and `left_out` says so.
- `flat` means that no growth is seen beyond the noise of these sizes, not that more data would not help.
- A shape that was chosen is the simplest that predicts held-out sizes about as well; it is no proof of a mechanism. The share of
  redrawn curves that chose it says how firmly: below about two thirds, report the others too.
- No shape falls. A curve that dips is fitted by a level or a rise, and its small p says that no shape describes it.
- Intervals hold if the standard errors and redrawn curves do: replicates that share a pool of people tell of that pool. They include
  the choice among these shapes, not the chance that the truth is none of them. Five noisy sizes hardly tell a power law from an
  exponential: in such simulations some 95 % intervals of asymptote and needed size held the truth less than 88 times in 100.
- Beyond three times the largest size a prediction rests on the shape alone: plan the next study, not the last one, by it.
- A curve of a protocol (settings, budget, validation n/5) is a property of the protocol: with another, it may grow elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream
from neurotransfer.statistics.estimates import Estimate
from neurotransfer.statistics.heldout import Chosen, Curves, choose_shapes
from neurotransfer.statistics.shapes import SHAPES, Shape

N_REDRAWN = 400
LEAST_REDRAWN = 20
_LEAST_SEM = 0.1


@dataclass(frozen=True)
class Band:
    """Values and the ends of their 95 % intervals, each (m,)."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """One shape fitted to a curve.

    Attributes:
        parameters: by name, with intervals over redrawn curves that are all fitted with this shape.
        chi_square: squared errors of the fit in standard errors, summed over the sizes.
        p: the share of redrawn curves of this very shape that fit no better: a small one says that the shape is wrong.
        held_out: the mean squared error of predicted held-out sizes, in standard errors; about 1 or 2 for a shape that is right.
        share: the share of redrawn curves for which this shape is chosen.
    """

    parameters: dict[str, Estimate]
    chi_square: float
    p: float
    held_out: float
    share: float


@dataclass(frozen=True)
class Growth:
    """The shape that a learning curve has, and what follows from it; made by `fit_growth`.

    Attributes:
        sizes: the sizes (n_sizes,) that were measured.
        higher_is_better: False for errors.
        bounds: the least and the greatest possible score; infinite where there are none.
        shape: the name of the chosen shape.
        fits: every shape that was fitted.
        left_out: every shape that was not, and why.
        asymptote: the score with endless data, never beyond the bounds.
        rate: what doubling the largest size still gains, in units of the score, 0 or more.
        chosen: the fits to the curve and to the redrawn ones, turned so that more is better.
    """

    sizes: np.ndarray
    higher_is_better: bool
    bounds: tuple[float, float]
    shape: str
    fits: dict[str, Fitted]
    left_out: dict[str, str]
    asymptote: Estimate
    rate: Estimate
    chosen: Chosen

    def at(self, sizes: np.ndarray) -> Band:
        """The score at any sizes (m,) with 95 % intervals.

        Raises:
            InputError: when a size is not above 0.

        Example:
            >>> sizes = np.array([100, 200, 400, 800, 1600])
            >>> errors = fit_growth(sizes, 2 + 300 / sizes, np.full(5, 0.01), higher_is_better=False, bounds=(0, np.inf))
            >>> errors.at(np.array([300, 3200])).value.round(2)
            array([3.  , 2.09])
        """
        sizes = np.asarray(sizes, float)
        if sizes.ndim != 1 or not (sizes > 0).all():
            raise InputError(f"sizes of a prediction: {sizes!r}; allowed: an array (m,) of numbers above 0")
        values = _sign(self.higher_is_better) * self.chosen.at(sizes)
        low, high = _interval(values)
        return Band(values[0], low, high)


def fit_growth(
    sizes: np.ndarray,
    curve: np.ndarray,
    sem: np.ndarray,
    *,
    higher_is_better: bool,
    bounds: tuple[float, float] | None = None,
    deviations: np.ndarray | None = None,
    shapes: Mapping[str, Shape] = SHAPES,
    generator: np.random.Generator | None = None,
) -> Growth:
    """Fit shapes to a learning curve, choose one by held-out sizes, and redraw the curve for intervals.

    Weighted least squares with weights 1 / sem^2. A shape is fitted when it has fewer parameters than there are sizes. Each size
    but the smallest is predicted from all others; a shape with more parameters is chosen only where its mean squared error is
    less by more than in 95 of 100 curves that truly have the simpler shape. Of shapes with as many parameters (power and
    exponential) the better fit is chosen. Every redrawn curve chooses anew, so the intervals
    of asymptote, rate and predictions include the doubt about the shape.

    Args:
        sizes: training sizes (n_sizes,), increasing, above 0; two or more.
        curve: the score at each (a mean or a median over replicates).
        sem: its standard errors; those below a tenth of the median one count as that, so that no size decides alone.
        higher_is_better: False for errors.
        bounds: the least and the greatest possible score, such as (0, 1) for AUC or (0, inf) for errors.
        deviations: redrawn curves less the curve (n_redrawn, n_sizes), 20 or more, which hold the dependence between sizes (those
            of `Redrawn.only_known`, say); the first 400 are used, which takes about half a second. Without them 400 are drawn
            from independent normal distributions of these standard errors.
        shapes: rows of SHAPES, or one's own.
        generator: where the deviations are drawn from; without one, the same draws every time.

    Raises:
        InputError: when an argument is none of these.

    Example:
        >>> sizes = np.array([100, 200, 400, 800, 1600])
        >>> growth = fit_growth(sizes, 0.9 - 4 / sizes, np.full(5, 0.0005), higher_is_better=True, bounds=(0, 1))
        >>> growth.shape, round(growth.asymptote.value, 4), growth.left_out
        ('power', 0.9, {})
    """
    sizes, curve, sem = _checked(sizes, curve, sem)
    bounds = _checked_bounds(bounds, curve)
    sign = _sign(higher_is_better)
    redrawn = curve + _deviations(deviations, sem, generator)
    turned = (bounds[0], bounds[1]) if higher_is_better else (-bounds[1], -bounds[0])
    curves = Curves(sizes, sign * np.concatenate([curve[None], redrawn]), sem, turned)
    left_out = {name: why for name, shape in shapes.items() if (why := _too_few(shape, len(sizes)))}
    if len(left_out) == len(shapes):
        raise InputError(f"learning curve: no shape can be fitted: {left_out}; add a simpler one, such as 'flat'")
    chosen = choose_shapes(curves, {name: shape for name, shape in shapes.items() if name not in left_out})
    ends = chosen.at(np.array([sizes[-1], 2 * sizes[-1]]))
    return Growth(
        sizes=sizes,
        higher_is_better=higher_is_better,
        bounds=bounds,
        shape=str(chosen.names[0]),
        fits={name: _fitted(name, chosen, sign) for name in chosen.shapes},
        left_out=left_out,
        asymptote=_estimate(sign * chosen.asymptotes()),
        rate=_estimate(ends[:, 1] - ends[:, 0]),
        chosen=chosen,
    )


def _fitted(name: str, chosen: Chosen, sign: int) -> Fitted:
    found = chosen.fits[name]
    values = np.column_stack([sign * found.linear[:, 0], found.linear[:, 1:], found.nonlinear])
    # the last one is no parameter where a shape has none that is nonlinear
    parameters = {label: _estimate(values[:, column]) for column, label in enumerate(chosen.shapes[name].parameters)}
    return Fitted(
        parameters=parameters,
        chi_square=max(0.0, float(found.chi_square[0])),
        p=chosen.p[name],
        held_out=float(chosen.losses[name][0]),
        share=float((chosen.names[1:] == name).mean()),
    )


def _sign(higher_is_better: bool) -> int:
    return 1 if higher_is_better else -1


def _interval(values: np.ndarray) -> np.ndarray:
    # values that occur: between a number and infinity there is nothing to interpolate
    return np.quantile(values[1:], [0.025, 0.975], axis=0, method="inverted_cdf")


def _estimate(values: np.ndarray) -> Estimate:
    low, high = _interval(values)
    return Estimate(float(values[0]), float(low), float(high))


def _too_few(shape: Shape, n_sizes: int) -> str:
    needed = len(shape.parameters) + 1
    return "" if n_sizes >= needed else f"{needed - 1} parameters need {needed} sizes or more, the curve has {n_sizes}"


def _checked(sizes: np.ndarray, curve: np.ndarray, sem: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sizes, curve, sem = (np.asarray(values, float) for values in (sizes, curve, sem))
    if sizes.ndim != 1 or not sizes.shape == curve.shape == sem.shape or len(sizes) < 2:
        raise InputError(
            f"learning curve: sizes {sizes.shape}, scores {curve.shape}, standard errors {sem.shape}; allowed: three arrays"
            " (n_sizes,) of two sizes or more, because one size has no shape"
        )
    if not (np.isfinite(sizes).all() and sizes[0] > 0 and (np.diff(sizes) > 0).all()):
        raise InputError(f"learning curve: sizes {sizes.tolist()}; allowed: increasing numbers above 0")
    if not np.isfinite(curve).all():
        raise InputError(f"learning curve: scores {curve.tolist()}; leave out sizes without a score")
    if not np.isfinite(sem).all() or (sem < 0).any() or not (sem > 0).any():
        raise InputError(
            f"learning curve: standard errors {sem.tolist()}; allowed: 0 or more, one of them above 0; a size with one"
            " replicate has none: leave it out"
        )
    return sizes, curve, np.maximum(sem, _LEAST_SEM * np.median(sem[sem > 0]))


def _checked_bounds(bounds: tuple[float, float] | None, curve: np.ndarray) -> tuple[float, float]:
    low, high = (-np.inf, np.inf) if bounds is None else (float(bounds[0]), float(bounds[1]))
    if not low < high or curve.min() < low or curve.max() > high:
        raise InputError(
            f"learning curve: scores from {curve.min():g} to {curve.max():g} with bounds {bounds!r}; allowed: (least,"
            " greatest) of the score, which hold every value of the curve"
        )
    return low, high


def _deviations(deviations: np.ndarray | None, sem: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
    if deviations is None:
        return sem * (generator or stream(0, "growth")).standard_normal((N_REDRAWN, len(sem)))
    deviations = np.asarray(deviations, float)
    fits = deviations.ndim == 2 and deviations.shape[1] == len(sem) and len(deviations) >= LEAST_REDRAWN
    if not fits or not np.isfinite(deviations).all():
        raise InputError(
            f"learning curve: deviations of shape {deviations.shape}; allowed: finite numbers (n_redrawn, {len(sem)}) of"
            f" {LEAST_REDRAWN} redrawn curves or more"
        )
    return deviations[:N_REDRAWN]
