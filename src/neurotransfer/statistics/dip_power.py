"""How deep a dip must be for the test of dips to see it, with the noise that a learning curve has."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream
from neurotransfer.statistics.isotonic import inverse_variances, least_favourable
from neurotransfer.statistics.monotone import deepest
from neurotransfer.statistics.redrawn import Redrawn

LEVEL, POWER = 0.05, 0.8
N_TRIALS = 400
# so many draws make the test in a trial; of 499, p can be 0.05 exactly
_MOST_DRAWS, _FEWEST_DRAWS = 499, 40
_PRECISION = 0.02


def power_to_see(
    redrawn: Redrawn,
    depth: float,
    place: int,
    higher_is_better: bool,
    *,
    level: float = LEVEL,
    n_trials: int = N_TRIALS,
    generator: np.random.Generator | None = None,
) -> float:
    """The probability that `monotone_test` finds a dip (p_dip at most `level`) where one of a given depth truly is.

    The truth is the curve that never falls by which the test judges (`least_favourable`), with the known size after `place` set to
    `depth` below the value at `place`; later sizes stay, as after a dip that passes. To it deviations are added, and the test is done
    on each such curve with other deviations: half of the draws are what happens, half what the test knows.

    Args:
        redrawn: the curve and how it varies; 40 draws or more.
        depth: of the dip, 0 or more, in the score's own unit.
        place: index of the known size before the fall; not the last one.
        higher_is_better: False for errors.
        level: of the test, between 0 and 1.
        n_trials: how many curves are tested; the standard error of a power of 0.8 from 400 is 0.02.
        generator: where the draws come from; without one, the same draws every time.

    Raises:
        InputError: when an argument is none of these.

    Example:
        >>> from neurotransfer.statistics.redrawn import by_standard_errors
        >>> redrawn = by_standard_errors(np.array([0.6, 0.7, 0.75]), np.full(3, 0.01))
        >>> power_to_see(redrawn, 0.1, 1, True), power_to_see(redrawn, 0.02, 1, True) < 0.6
        (1.0, True)
    """
    if not depth >= 0:
        raise InputError(f"power: the depth is {depth!r}; allowed: 0 or more, in the unit of the score")
    return _Trials.of(redrawn, place, higher_is_better, level, n_trials, generator).power(depth)


def smallest_visible(
    redrawn: Redrawn,
    place: int,
    higher_is_better: bool,
    *,
    power: float = POWER,
    level: float = LEVEL,
    n_trials: int = N_TRIALS,
    generator: np.random.Generator | None = None,
) -> float:
    """The depth of a dip that `monotone_test` finds with a probability of `power`, to two hundredths; 0 without any noise.

    By bisection of `power_to_see` over the depth, all depths with the same draws; see there for the arguments.

    Raises:
        InputError: as `power_to_see` does, or when the power is not between the level and 1.

    Example:
        >>> from neurotransfer.statistics.redrawn import by_standard_errors
        >>> redrawn = by_standard_errors(np.array([0.6, 0.7, 0.75]), np.full(3, 0.01))
        >>> 0.025 < smallest_visible(redrawn, 1, True) < 0.05
        True
    """
    trials = _Trials.of(redrawn, place, higher_is_better, level, n_trials, generator)
    if not level < power < 1:
        raise InputError(f"power: the wished power is {power!r}; allowed: between the level {level!r} and 1")
    high = float(np.sqrt(np.mean(np.diff(trials.noise[:, trials.step]) ** 2)))
    if high == 0:
        return 0.0
    low = 0.0
    while trials.power(high) < power:
        low, high = high, 2 * high
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        low, high = (low, middle) if trials.power(middle) >= power else (middle, high)
    return (low + high) / 2


@dataclass(frozen=True, eq=False)
class _Trials:
    """What happens in trials (T, K) around a truth that never falls (K,), and what the test knows of it: noise (B, K)."""

    truth: np.ndarray
    happens: np.ndarray
    noise: np.ndarray
    covariance: np.ndarray
    weights: np.ndarray
    step: list[int]
    level: float

    @classmethod
    def of(
        cls,
        redrawn: Redrawn,
        place: int,
        higher_is_better: bool,
        level: float,
        n_trials: int,
        generator: np.random.Generator | None,
    ) -> "_Trials":
        places, curve, deviations = redrawn.only_known()
        if place not in places[:-1]:
            raise InputError(
                f"power: found place {place!r}; allowed: a known size that is not the last, {places[:-1].tolist()}"
            )
        if len(deviations) < _FEWEST_DRAWS or not 0 < level < 1 or n_trials < 1:
            raise InputError(
                f"power: found {len(deviations)} draws, level {level!r} and n_trials {n_trials!r}; allowed: {_FEWEST_DRAWS} draws "
                "or more, a level between 0 and 1, 1 trial or more"
            )
        sign = 1.0 if higher_is_better else -1.0
        generator = generator or stream(0, "power to see a dip")
        shuffled = sign * generator.permutation(deviations)
        half = len(shuffled) // 2
        trials = shuffled[:half] if n_trials <= half else generator.choice(shuffled[:half], n_trials)
        noise = shuffled[half:][:_MOST_DRAWS]
        covariance = noise.T @ noise / len(noise)
        weights = inverse_variances(covariance)
        first = int(np.flatnonzero(places == place)[0])
        truth = least_favourable(sign * curve, covariance, weights)
        return cls(truth, trials[:n_trials], noise, covariance, weights, [first, first + 1], level)

    def power(self, depth: float) -> float:
        """The share of trials in which the test finds a dip when one is so deep."""
        truth = self.truth.copy()
        truth[self.step[1]] = truth[self.step[0]] - depth
        curves = truth + self.happens
        depths = deepest(curves)
        # no curve that never falls dips deeper by chance than a flat one: what is found against that is found
        found = self._is_found(deepest(self.noise), depths)
        for trial in np.flatnonzero(~found & (depths > 0)):
            chance = least_favourable(curves[trial], self.covariance, self.weights) + self.noise
            found[trial] = self._is_found(deepest(chance), depths[trial : trial + 1])[0]
        return float(np.mean(found))

    def _is_found(self, chance: np.ndarray, depths: np.ndarray) -> np.ndarray:
        """Whether p is at most the level, for depths (T,) beside depths by chance (B,)."""
        n_deeper = len(chance) - np.searchsorted(np.sort(chance), depths, side="left")
        return 1 + n_deeper <= self.level * (1 + len(chance))
