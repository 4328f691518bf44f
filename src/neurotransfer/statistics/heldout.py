"""Which shape a learning curve has: the simplest, unless another predicts held-out sizes better than noise would let it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from neurotransfer.statistics.projection import Projected, project, sharpen
from neurotransfer.statistics.shapes import Shape

# a shape with more parameters must do better than in this share of curves that truly have the simpler one
CONFIDENCE = 0.95
# the key of the losses of the curves themselves, beside those of curves of a known shape
_SEEN = ""


@dataclass(frozen=True)
class Curves:
    """A learning curve and redrawn ones, turned so that more is better.

    Attributes:
        sizes: increasing, (n_sizes,).
        values: the curve (the first row) and the redrawn ones, (k, n_sizes).
        sem: standard errors (n_sizes,), above 0.
        bounds: the least and the best possible score; may be infinite.
    """

    sizes: np.ndarray
    values: np.ndarray
    sem: np.ndarray
    bounds: tuple[float, float]

    def without(self, left: int) -> "Curves":
        """The same without one size."""
        kept = np.arange(len(self.sizes)) != left
        return Curves(self.sizes[kept], self.values[:, kept], self.sem[kept], self.bounds)

    def around(self, true: np.ndarray) -> "Curves":
        """Curves (k - 1, n_sizes) that truly are `true` (n_sizes,), with the deviations of the redrawn ones."""
        return replace(self, values=true + self.values[1:] - self.values[0])


@dataclass(frozen=True)
class Chosen:
    """Shapes fitted to k curves, and the one that each curve chose.

    Attributes:
        shapes: the shapes by name.
        fits: by name, the fits to all curves.
        losses: by name, the held-out losses (k,).
        p: by name, the share of curves that truly have this shape and fit it no better than the first curve does.
        names: the name of the shape that each curve chose, (k,).
        first: the smallest size.
        bounds: the least and the best possible score.
    """

    shapes: dict[str, Shape]
    fits: dict[str, Projected]
    losses: dict[str, np.ndarray]
    p: dict[str, float]
    names: np.ndarray
    first: float
    bounds: tuple[float, float]

    def at(self, sizes: np.ndarray) -> np.ndarray:
        """The score (k, m) at sizes (m,) for all or (k, m) for each, of each curve by its own shape."""
        sizes = np.broadcast_to(sizes, (len(self.names), sizes.shape[-1]))
        found = np.empty(sizes.shape)
        for name, shape in self.shapes.items():
            own = self.names == name
            found[own] = self.fits[name].some(own).at(shape, sizes[own], self.first)
        return found.clip(*self.bounds)

    def asymptotes(self) -> np.ndarray:
        """The score (k,) with endless data, of each curve by its own shape."""
        found = np.empty(len(self.names))
        for name, shape in self.shapes.items():
            own = self.names == name
            found[own] = shape.asymptote(self.fits[name].linear[own], self.bounds[1])
        return found.clip(*self.bounds)


def choose_shapes(curves: Curves, shapes: Mapping[str, Shape]) -> Chosen:
    """Fit every shape to every curve, and let every curve choose one.

    Shapes stand on a ladder by their number of parameters; of those on one rung the least chi-square wins, which tells them
    apart better than a few held-out sizes do. From the lowest rung on, that of a higher one is taken if its held-out loss is less
    than that of the shape below by more than a margin: what is exceeded by 5 in 100 of the curves that truly have the shape below,
    with the same noise. Margins are found once, around the first curve.

    Example:
        >>> from neurotransfer.statistics.shapes import SHAPES
        >>> sizes, noise = np.array([100.0, 200, 400, 800]), np.random.default_rng(0).normal(0, 0.005, (50, 4))
        >>> curves = Curves(sizes, np.concatenate([np.zeros((1, 4)), noise]) + 0.8 - 20 / sizes, np.full(4, 0.005), (0, 1))
        >>> choose_shapes(curves, {name: SHAPES[name] for name in ("flat", "power")}).names[0]
        'power'
    """
    ladder = _ladder(shapes)
    fits = {
        name: sharpen(_projected(shape, curves), shape, curves.sizes, curves.values, curves.sem, curves.bounds[1])
        for name, shape in shapes.items()
    }
    nulls = {
        name: curves.around(fits[name].at(shape, curves.sizes, curves.sizes[0])[0]) for name, shape in shapes.items()
    }
    judged = {name: _judged(name, shapes, curves, nulls) for name in shapes}
    seen = {name: _Judged(fits[name].chi_square, judged[name][_SEEN].held_out) for name in shapes}
    by_noise = {name: _margins(name, judged, ladder) for name in shapes}
    return Chosen(
        shapes=dict(shapes),
        fits=fits,
        losses={name: seen[name].held_out for name in shapes},
        p={name: float((judged[name][name].chi_square >= fits[name].chi_square[0]).mean()) for name in shapes},
        names=_climbed(seen, ladder, by_noise),
        first=curves.sizes[0],
        bounds=curves.bounds,
    )


def held_out_loss(shape: Shape, curves: Curves) -> np.ndarray:
    """The mean squared error (k,), in standard errors, with which each size but the smallest is predicted from all others.

    The largest is extrapolated, the inner ones are interpolated. Nobody asks for sizes below the smallest, so it always stays.

    Example:
        >>> from neurotransfer.statistics.shapes import SHAPES
        >>> sizes, sem = np.array([100.0, 200.0]), np.array([0.1, 0.1])
        >>> held_out_loss(SHAPES["flat"], Curves(sizes, np.array([[0.5, 0.7]]), sem, (0, 1))).round(6)
        array([4.])
    """
    errors = np.empty((len(curves.sizes) - 1, len(curves.values)))
    for left in range(1, len(curves.sizes)):
        found = _projected(shape, curves.without(left))
        predicted = found.at(shape, curves.sizes[left : left + 1], curves.sizes[0])[:, 0].clip(*curves.bounds)
        errors[left - 1] = (curves.values[:, left] - predicted) / curves.sem[left]
    return (errors**2).mean(0)


def _projected(shape: Shape, curves: Curves) -> Projected:
    return project(shape, curves.sizes, curves.values, curves.sem, curves.bounds[1])


def _ladder(shapes: Mapping[str, Shape]) -> list[list[str]]:
    counts = sorted({len(shape.parameters) for shape in shapes.values()})
    return [[name for name, shape in shapes.items() if len(shape.parameters) == count] for count in counts]


@dataclass(frozen=True)
class _Judged:
    """How well a shape fits k curves, and how well it predicts their held-out sizes."""

    chi_square: np.ndarray
    held_out: np.ndarray


def _judged(name: str, shapes: Mapping[str, Shape], curves: Curves, nulls: dict[str, Curves]) -> dict[str, _Judged]:
    """How good one shape is for the curves themselves, and for those that truly have it or a simpler one."""
    n_parameters = len(shapes[name].parameters)
    simpler = [other for other, shape in shapes.items() if other == name or len(shape.parameters) < n_parameters]
    values = {_SEEN: curves.values, **{other: nulls[other].values for other in simpler}}
    # one call for all of them: most of the time would else go into starting
    together = replace(curves, values=np.concatenate(list(values.values())))
    ends = np.cumsum([len(rows) for rows in values.values()])[:-1]
    fitted = np.split(_projected(shapes[name], together).chi_square, ends)
    held_out = np.split(held_out_loss(shapes[name], together), ends)
    return {truth: _Judged(*both) for truth, *both in zip(values, fitted, held_out, strict=True)}


def _margins(simpler: str, judged: dict[str, dict[str, _Judged]], ladder: list[list[str]]) -> dict[int, float]:
    """For each rung above that of the simpler shape, by how much its best shape beats it by noise alone."""
    own = next(rung for rung, names in enumerate(ladder) if simpler in names)
    by_noise = {}
    for rung in range(own + 1, len(ladder)):
        under = {name: judged[name][simpler] for name in [simpler, *ladder[rung]]}
        rivals = _held_out(under, _best_fit(under, ladder[rung]))
        by_noise[rung] = max(0.0, float(np.quantile(under[simpler].held_out - rivals, CONFIDENCE)))
    return by_noise


def _climbed(judged: dict[str, _Judged], ladder: list[list[str]], by_noise: dict[str, dict[int, float]]) -> np.ndarray:
    chosen = _best_fit(judged, ladder[0])
    for rung in range(1, len(ladder)):
        rival = _best_fit(judged, ladder[rung])
        gain = _held_out(judged, chosen) - _held_out(judged, rival)
        margin = np.array([by_noise[name][rung] for name in chosen])
        chosen = np.where(gain > margin, rival, chosen)
    return chosen


def _best_fit(judged: dict[str, _Judged], names: list[str]) -> np.ndarray:
    return np.array(names, dtype=object)[np.argmin([judged[name].chi_square for name in names], axis=0)]


def _held_out(judged: dict[str, _Judged], chosen: np.ndarray) -> np.ndarray:
    return np.array([judged[name].held_out[row] for row, name in enumerate(chosen)])
