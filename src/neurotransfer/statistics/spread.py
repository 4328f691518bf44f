"""Where the variance of a score at one size comes from: test people, choice of setting, initialisation, people trained on."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError, unknown
from neurotransfer.seeding import stream
from neurotransfer.statistics.estimates import LEVEL, N_DRAWS, estimate_of, times_drawn
from neurotransfer.statistics.selection import LEAST_REPLICATES, complete

SOURCES = ("measurement", "selection", "initialisation", "sampling")
_LEAST_FOR_CHOICES = 4


@dataclass(frozen=True)
class Component:
    """A part of the variance of a score over replicates.

    Attributes:
        sources: of SOURCES, what it comes from; several where they cannot be told apart.
        variance: in the squared unit of the score, at least 0.
        low: the lower end of its interval, at least 0.
        high: the upper end.
        raw: the estimate before it was floored at 0; well below 0 says that a part is overrated elsewhere.
        share: of the total, 0 to 1 and beyond where parts do not add up.
    """

    sources: tuple[str, ...]
    variance: float
    low: float
    high: float
    raw: float
    share: float


@dataclass(frozen=True)
class Spread:
    """The variance of a score over replicates and its parts.

    Attributes:
        n_replicates: how many there were.
        total: the whole variance.
        parts: what it is made of; raw values add up to the total.
        notes: what these numbers cannot tell apart, as sentences.
    """

    n_replicates: int
    total: Component
    parts: tuple[Component, ...]
    notes: tuple[str, ...]

    def part(self, source: str) -> Component:
        """The part that a source is in.

        Raises:
            InputError: when it is none of SOURCES.
        """
        if source not in SOURCES:
            raise InputError(unknown("source of variance", source, SOURCES))
        return next(part for part in self.parts if source in part.sources)


_MISSING = {
    "measurement": "Without predictions of test people who differ among replicates, their luck is not told apart.",
    "selection": "Without validation scores of all settings, what changing settings add is in the rest.",
    "initialisation": "Without other seeds on the same splits, initialisation cannot be told from the people who are trained on.",
}


def decompose(
    scores: np.ndarray,
    *,
    measurement: np.ndarray | None = None,
    tested_share: float = 0.0,
    validation: np.ndarray | None = None,
    chosen: np.ndarray | None = None,
    seeds: np.ndarray | None = None,
    level: float = LEVEL,
    n_draws: int = N_DRAWS,
    generator: np.random.Generator | None = None,
) -> Spread:
    """Split the variance of test scores over R replicates of one size into what it comes from.

    - measurement: the mean of the variances that finite test parts give, times 1 - tested_share, because people drawn without
      replacement from a pool vary less the more of it they are;
    - selection: the variance over replicates of the quality of the setting that was chosen: the mean, over two that choose and two
      others that judge, of half the product of the differences that these see between the two choices, so that noise adds nothing;
    - initialisation: the mean variance over seeds on the same splits and settings;
    - sampling: what is left, by the people who are trained on.

    What is not given stays in what is left, whose `sources` then name it. Parts are taken as independent: where a choice suits the
    people of its replicate, twice the covariance is in what is left. Differences from it carry the noise of all parts, so a raw value
    may be below 0. Intervals are over replicates (see `estimate_of`). Replicates share a pool: another pool would vary more.

    Args:
        scores: test score of each replicate, (R,); missing ones are left out with all that belongs to them.
        measurement: variance of each by its test part (see `measurement_variance`), (R,), NaN where unknown; None where every
            replicate tests the same people: these make no difference among replicates.
        tested_share: the people of a test part over those of the pool, 0 (a pool without end) to 1.
        validation: scores of all settings by which their quality is judged, (R, S), in the score's unit: of validation, or of the test
            where these were kept.
        chosen: place of the chosen setting, (R,); with `validation` only.
        seeds: scores of the same splits and settings with other seeds, (any number of splits, seeds), NaN where missing.
        level: coverage of the intervals.
        n_draws: how often replicates are drawn again.
        generator: where the draws come from; without one, the same every time.

    Raises:
        InputError: when shapes do not fit, a share is none, or fewer than three replicates or two splits with two seeds are known.

    Example:
        >>> draws = np.random.default_rng(0)
        >>> found = decompose(draws.normal(0.7, 0.05, 400), measurement=np.full(400, 0.04**2))
        >>> found.part("measurement").share.__round__(1), found.part("sampling").sources
        (0.6, ('selection', 'initialisation', 'sampling'))
    """
    scores = np.asarray(scores, float)
    known = _checked(scores, measurement, tested_share, validation, chosen)
    n = len(known)
    generator = generator or stream(0, "spread")
    drawn = np.concatenate([np.ones((1, n)), times_drawn(n, n_draws, generator)])
    total = _variance(scores[known], drawn)
    found: dict[str, np.ndarray] = {}
    if measurement is not None:
        found["measurement"] = (1 - tested_share) * _mean_of_known(np.asarray(measurement, float)[known], drawn)
    if validation is not None and chosen is not None:
        found["selection"] = _selection(np.asarray(validation, float)[known], np.asarray(chosen)[known], drawn)
    if seeds is not None:
        found["initialisation"] = _over_seeds(np.asarray(seeds, float), n_draws, generator)
    rest = total - sum(found.values())
    parts = [_component((source,), value, total, n, level) for source, value in found.items()]
    left = tuple(source for source in SOURCES if source not in found)
    return Spread(
        n_replicates=n,
        total=_component(SOURCES, total, total, n, level),
        parts=(*parts, _component(left, rest, total, n, level)),
        notes=tuple(sentence for source, sentence in _MISSING.items() if source not in found),
    )


def _component(sources: tuple[str, ...], values: np.ndarray, total: np.ndarray, n: int, level: float) -> Component:
    """From the value of the replicates as they are, first, and of those drawn again."""
    found = estimate_of(float(values[0]), values[1:], n, level)
    variance = max(found.value, 0.0)
    share = variance / float(total[0]) if total[0] > 0 else float("nan")
    return Component(sources, variance, max(found.low, 0.0), max(found.high, 0.0), found.value, share)


def _variance(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Unbiased variances (B,); those of draws are raised by n / (n - 1), so that they are about the first."""
    n = len(values)
    centred = values - values.mean()
    square, mean = drawn @ centred**2 / n, drawn @ centred / n
    found = (square - mean**2) * n / (n - 1)
    return found * np.r_[1.0, np.full(len(drawn) - 1, n / (n - 1))]


def _mean_of_known(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    weights = drawn[:, known].sum(1)
    return drawn[:, known] @ values[known] / np.where(weights > 0, weights, np.nan)


def _selection(validation: np.ndarray, chosen: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    replicates, settings, picked = complete(validation, chosen, None)
    if len(replicates) < _LEAST_FOR_CHOICES:
        raise InputError(
            f"what the choice adds takes {_LEAST_FOR_CHOICES} replicates or more with all validation scores, got {len(replicates)}"
        )
    scores = validation[np.ix_(replicates, settings)]
    # what a replicate's settings share is no difference of settings
    scores = scores - scores.mean(1, keepdims=True)
    whole = variance_of_choices(scores, picked)
    quick = _nearly_variance_of_choices(scores, picked, drawn[:, replicates])
    return np.r_[whole, quick[1:] + whole - quick[0]]


def variance_of_choices(scores: np.ndarray, chosen: np.ndarray) -> float:
    """The variance of the quality of chosen settings, without bias by noise: no replicate judges its own choice, nor itself.

    Args:
        scores: (R, S), finite, R of 4 or more.
        chosen: places of settings, (R,).

    Example:
        >>> variance_of_choices(np.tile([0.0, 2.0], (4, 1)), np.array([0, 1, 0, 1]))
        1.3333333333333333
    """
    n, own = len(scores), scores[np.arange(len(scores)), chosen]
    # differences of the choices of a row's and a column's replicate, as the first, the second, and all together see them
    first = own[:, None] - scores[:, chosen]
    second = -first.T
    sums = scores.sum(0)[chosen]
    squares = (scores.T @ scores)[np.ix_(chosen, chosen)]
    norms = np.diag(squares)
    others = sums[:, None] - sums - first - second
    others_squared = norms[:, None] + norms - 2 * squares - first**2 - second**2
    products = (others**2 - others_squared) / ((n - 2) * (n - 3)) / 2
    return float(products[~np.eye(n, dtype=bool)].mean())


def _nearly_variance_of_choices(scores: np.ndarray, chosen: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The same (B,) for replicates that count as often as drawn, with those that choose among those that judge: quick."""
    size, n = len(scores), drawn.sum(1)
    share = drawn @ np.eye(scores.shape[1])[chosen] / n[:, None]
    sums = drawn @ scores
    of_all = (share * sums**2).sum(1) - (share * sums).sum(1) ** 2
    of_one = (share * (drawn**2 @ scores**2)).sum(1) - (drawn**2 * (share @ scores.T) ** 2).sum(1)
    n_pairs = n**2 - (drawn**2).sum(1)
    found = (of_all - of_one) / np.where(n_pairs > 0, n_pairs, np.nan) * size / (size - 1)
    return found * np.r_[1.0, np.full(len(drawn) - 1, size / (size - 1))]


def _over_seeds(seeds: np.ndarray, n_draws: int, generator: np.random.Generator) -> np.ndarray:
    if seeds.ndim != 2:
        raise InputError(f"scores of other seeds are (splits, seeds), got shape {seeds.shape}")
    enough = seeds[np.isfinite(seeds).sum(1) >= 2]
    if len(enough) < 2:
        raise InputError(
            f"initialisation takes two splits or more with two seeds or more, got {len(enough)} such splits"
        )
    within = np.nanvar(enough, axis=1, ddof=1)
    return _mean_of_known(
        within, np.concatenate([np.ones((1, len(within))), times_drawn(len(within), n_draws, generator)])
    )


def _checked(
    scores: np.ndarray,
    measurement: np.ndarray | None,
    tested_share: float,
    validation: np.ndarray | None,
    chosen: np.ndarray | None,
) -> np.ndarray:
    """The replicates that have a score."""
    if scores.ndim != 1:
        raise InputError(f"scores are one a replicate, (R,), got shape {scores.shape}")
    for what, values in (("measurement", measurement), ("validation", validation), ("chosen", chosen)):
        if values is not None and len(values) != len(scores):
            raise InputError(f"{what} has {len(values)} replicates; allowed: as many as scores, {len(scores)}")
    if (validation is None) != (chosen is None):
        raise InputError("validation and chosen go together: scores of all settings, and the one that was chosen")
    if not 0 <= tested_share <= 1:
        raise InputError(
            f"tested_share {tested_share!r}; allowed: 0 to 1, people of a test part over those of the pool"
        )
    known = np.flatnonzero(np.isfinite(scores))
    if len(known) < LEAST_REPLICATES:
        raise InputError(f"a variance takes {LEAST_REPLICATES} replicates or more with a score, got {len(known)}")
    if measurement is not None and not np.isfinite(np.asarray(measurement, float)[known]).any():
        raise InputError("measurement is unknown in all replicates; give None where it cannot be known")
    return known
