"""Whether the grid of a hyperparameter ends too early: how often its ends are chosen, and whether scores still rise there."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream
from neurotransfer.statistics.estimates import LEVEL, N_DRAWS, Estimate, estimate_of, times_drawn
from neurotransfer.statistics.selection import complete


@dataclass(frozen=True)
class End:
    """One end of a grid; gains are above 0 where the end is better.

    Attributes:
        value: the last value of the grid.
        share: how often it was chosen, 0 to 1.
        chance: how often it would be without any preference: its share of the settings.
        p: the probability of being chosen as often or more at that chance (one-sided binomial test).
        last_step: how much better the end is than its neighbour, paired over replicates.
        next_value: the value one step further, by ratio where the last steps are more even in ratio, else by difference; NaN where a
            grid without negative values would come to one.
        next_step: what one more step might bring: as much less than the last as the last was less than the one before it, at least 0
            and at most the last; with two values, only the ends of its interval are known.
    """

    value: float
    share: float
    chance: float
    p: float
    last_step: Estimate
    next_value: float
    next_step: Estimate

    @property
    def still_rises(self) -> bool:
        """Whether the interval of the last step's gain lies above 0."""
        return self.last_step.above_zero


@dataclass(frozen=True)
class Edges:
    """Both ends of a grid.

    Attributes:
        n_replicates: how many were complete enough to count.
        values: of the hyperparameter, rising, (V,).
        curve: mean validation score at each, (V,).
        low: the end of the least value.
        high: the end of the greatest.
    """

    n_replicates: int
    values: np.ndarray
    curve: np.ndarray
    low: End
    high: End


def edge(
    validation: np.ndarray,
    values: np.ndarray,
    chosen: np.ndarray,
    higher_is_better: bool,
    *,
    level: float = LEVEL,
    n_draws: int = N_DRAWS,
    generator: np.random.Generator | None = None,
) -> Edges:
    """Whether the chosen value of an ordered hyperparameter lies at an end of its grid, and whether that matters.

    That an end is chosen often is no proof: with S settings and noise alone, each end is chosen in 1 / S of the replicates, and a
    score that is flat there loses nothing. A grid ends too early where the mean score still rises towards the end (`still_rises`).
    What one more step might bring continues the last two steps as a parabola, so that it is never more than the last one brought; it
    is an extrapolation all the same. Settings of one value (grids of several hyperparameters) are averaged over. Incomplete settings
    and replicates are left out as `selection_cost` does; a value that mostly failed is then no end of the grid.

    Args:
        validation: scores (R, S), NaN where missing.
        values: of the hyperparameter in each setting, (S,), finite.
        chosen: place of the setting that was chosen in each replicate, (R,).
        higher_is_better: whether a greater score is the better one.
        level: coverage of the intervals.
        n_draws: how often replicates are drawn again.
        generator: where the draws come from; without one, the same every time.

    Raises:
        InputError: as `selection_cost` does, and when values are not finite or fewer than two differ.

    Example:
        >>> scores = np.array([0.5, 0.6, 0.65]) + np.random.default_rng(0).normal(0, 0.01, (50, 3))
        >>> found = edge(scores, np.array([1e-4, 1e-3, 1e-2]), scores.argmax(1), True).high
        >>> found.share, round(found.last_step.value, 2), round(found.next_value, 6), found.still_rises
        (1.0, 0.05, 0.1, True)
    """
    replicates, settings, picked = complete(validation, chosen, None)
    values = np.asarray(values, float)
    if values.shape != np.shape(validation)[1:] or not np.isfinite(values).all():
        raise InputError(
            f"values of the hyperparameter are finite and one a setting, ({np.shape(validation)[1]},), got {values.tolist()}"
        )
    of_setting = values[settings]
    steps, place = np.unique(of_setting, return_inverse=True)
    if len(steps) < 2:
        raise InputError(f"an edge takes two values or more, got {steps.tolist()} in the settings that are complete")
    scores = np.asarray(validation, float)[np.ix_(replicates, settings)]
    of_value = np.column_stack([scores[:, place == each].mean(1) for each in range(len(steps))])
    signed = of_value if higher_is_better else -of_value
    drawn = times_drawn(len(replicates), n_draws, generator or stream(0, "edge"))
    picked_value = place[picked]
    low, high = (
        _end(
            signed[:, order], steps[order], picked_value == order[-1], float(np.mean(place == order[-1])), drawn, level
        )
        for order in (np.arange(len(steps))[::-1], np.arange(len(steps)))
    )
    return Edges(len(replicates), steps, of_value.mean(0), low, high)


def _end(
    signed: np.ndarray, values: np.ndarray, is_chosen: np.ndarray, chance: float, drawn: np.ndarray, level: float
) -> End:
    """The last column's end; values in the order in which they come to it."""
    n = len(signed)
    gains = np.diff(signed, axis=1)[:, -2:]
    whole, redrawn = gains.mean(0, keepdims=True), drawn @ gains / drawn.sum(1, keepdims=True)
    last = estimate_of(float(whole[0, -1]), redrawn[:, -1], n, level)
    if gains.shape[1] == 2:
        further = estimate_of(float(_next_gain(whole)[0]), _next_gain(redrawn), n, level)
    else:
        further = Estimate(float("nan"), 0.0, max(last.high, 0.0))
    p = float(binomtest(int(is_chosen.sum()), n, chance, alternative="greater").pvalue)
    return End(float(values[-1]), float(is_chosen.mean()), chance, p, last, _next_value(values[-3:]), further)


def _next_gain(gains: np.ndarray) -> np.ndarray:
    """The gain (B,) after two gains (B, 2) whose difference goes on, between 0 and the last."""
    return np.clip(2 * gains[:, 1] - gains[:, 0], 0.0, np.maximum(gains[:, 1], 0.0))


def _next_value(values: np.ndarray) -> float:
    """One step beyond the last of two or three values, in the manner in which these are even."""
    differences = np.diff(values)
    further = float(values[-1] + differences[-1])
    if (values > 0).all():
        ratios = values[1:] / values[:-1]
        if _even_in_ratio(differences, ratios):
            return float(values[-1] * ratios[-1])
    return further if further >= 0 or (values < 0).any() else float("nan")


def _even_in_ratio(differences: np.ndarray, ratios: np.ndarray) -> bool:
    steps = np.abs(np.log(ratios))
    # two values alone do not tell; a grid that doubles or more is taken as one of ratios
    if len(steps) == 1:
        return bool(steps[0] >= np.log(2) - 1e-9)
    return bool(np.ptp(steps) / steps.mean() < np.ptp(np.abs(differences)) / np.abs(differences).mean())
