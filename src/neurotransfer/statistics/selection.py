"""What choosing a setting on the validation set costs, and by how much the chosen one's validation score flatters it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream
from neurotransfer.statistics.estimates import LEVEL, N_DRAWS, Estimate, estimate_of, times_drawn

LEAST_REPLICATES = 3
N_FOLDS = 5
N_DEALS = 10
# a bootstrap of a maximum is a little higher than what it stands for
_MOVED = ("best_fixed", "cost")
_LEVELS = ("oracle", "best_fixed", "chosen", "average")


@dataclass(frozen=True)
class CostByTest:
    """The same by test scores of all settings, means over replicates.

    Attributes:
        oracle: of the setting that is best on the test set itself; noise of the test set flatters it.
        best_fixed: of the one setting that is best in other replicates than it is judged on.
        chosen: of the setting that validation chose.
        average: of all settings.
        regret: how much better the oracle is than the chosen one.
        cost: how much better the best fixed setting is than the chosen one.
        gain: how much better the chosen one is than the average.
        optimism: by how much validation flatters the chosen one more than it does the average setting.
    """

    oracle: Estimate
    best_fixed: Estimate
    chosen: Estimate
    average: Estimate
    regret: Estimate
    cost: Estimate
    gain: Estimate
    optimism: Estimate


@dataclass(frozen=True)
class SelectionCost:
    """What the choice among settings costs; scores in their own unit, differences above 0 where the first is better.

    Attributes:
        n_replicates: how many were complete enough to count.
        settings: the places of the settings that count, (S,).
        qualities: their mean validation scores, (S,).
        best_setting: the place of the best of these means.
        best_fixed: quality of the one setting that is best in other replicates than it is judged on.
        chosen: quality of those that were chosen.
        average: quality of a setting taken blindly.
        cost: how much better the best fixed setting is than those that were chosen.
        gain: how much better those that were chosen are than a setting taken blindly.
        optimism: by how much the chosen one's own validation score is better than its quality (the winner's curse).
        agreement: how often two replicates chose the same setting, 0 to 1.
        effective_settings: the exponential of the entropy of the choices, 1 to S: among how many they are as if spread evenly.
        noise: standard deviation of validation scores about settings' qualities that is not common to a replicate's settings; it
            is what disturbs the choice.
        common: standard deviation of what all settings of a replicate share, such as easy validation people; it disturbs no choice.
        between: standard deviation of the true qualities; 0 where the means differ by no more than noise makes them.
        by_test: the same by test scores, where these were given.
    """

    n_replicates: int
    settings: np.ndarray
    qualities: np.ndarray
    best_setting: int
    best_fixed: Estimate
    chosen: Estimate
    average: Estimate
    cost: Estimate
    gain: Estimate
    optimism: Estimate
    agreement: float
    effective_settings: float
    noise: float
    common: float
    between: float
    by_test: CostByTest | None


def selection_cost(
    validation: np.ndarray,
    higher_is_better: bool,
    chosen: np.ndarray,
    test: np.ndarray | None = None,
    *,
    level: float = LEVEL,
    n_draws: int = N_DRAWS,
    generator: np.random.Generator | None = None,
) -> SelectionCost:
    """What it costs to choose among S settings by validation scores, from the scores of R replicates.

    The quality of a setting is its mean validation score over replicates. That of the one chosen in a replicate is taken over the
    other replicates, whose scores had no part in the choice: sum over r of Q(-r, c_r) / R. The best of S noisy means would look
    better than any setting is; the best fixed setting is therefore chosen on four fifths of the replicates and judged on the last
    fifth, in turn, for ten deals into fifths. So the cost is 0 on average where all settings are equal, and, where they differ, too
    small by what a choice over 4 R / 5 replicates loses itself. Variance components: two-way analysis of variance, settings by
    replicates, floored at 0.

    What validation alone cannot tell: whether a setting suits the very people of a replicate; its quality counts as the same in
    all. Only test scores of all settings show that. Networks whose epoch was chosen on validation have scores that
    flatter all settings about alike, which leaves differences as they are. Intervals are over replicates (see `estimate_of`), every
    draw choosing its best fixed settings anew; replicates of one pool are less independent than they assume.

    A setting that lacks its score in more than half of the replicates is left out, then each replicate that lacks one of the
    others, or chose none of them. Settings that halving stopped lack theirs because they were worse: use full searches.

    Args:
        validation: scores (R, S), NaN where missing.
        higher_is_better: whether a greater score is the better one.
        chosen: place of the setting that was chosen in each replicate, 0 to S - 1, (R,).
        test: test scores (R, S) of all settings, where they were kept.
        level: coverage of the intervals.
        n_draws: how often replicates are drawn again.
        generator: where deals and draws come from; without one, the same every time.

    Raises:
        InputError: when shapes do not fit, a choice is no setting, or fewer than three replicates or two settings are left.

    Example:
        >>> validation = np.random.default_rng(0).normal(0.7, 0.05, (200, 9))
        >>> found = selection_cost(validation, True, validation.argmax(1))
        >>> found.cost.low < 0 < found.cost.high, found.optimism.low > 0.05
        (True, True)
    """
    replicates, settings, picked = complete(validation, chosen, test)
    generator = generator or stream(0, "selection")
    n, sign = len(replicates), 1.0 if higher_is_better else -1.0
    signed = sign * np.asarray(validation, float)[np.ix_(replicates, settings)]
    deals = np.array([generator.permutation(n) % min(N_FOLDS, n) for _ in range(N_DEALS)])
    weights = times_drawn(n, n_draws, generator)
    by_test = None
    if test is not None:
        tested = sign * np.asarray(test, float)[np.ix_(replicates, settings)]
        by_test = CostByTest(**_estimates(_by_test(signed, tested, picked, deals), weights, sign, level))
    noise, common, between = _components(signed)
    counts = np.bincount(picked, minlength=len(settings))
    share = counts[counts > 0] / n
    return SelectionCost(
        n_replicates=n,
        settings=settings,
        qualities=sign * signed.mean(0),
        best_setting=int(settings[signed.mean(0).argmax()]),
        **_estimates(_by_validation(signed, picked, deals), weights, sign, level),
        agreement=float((counts * (counts - 1)).sum() / (n * (n - 1))),
        effective_settings=float(np.exp(-(share * np.log(share)).sum())),
        noise=noise,
        common=common,
        between=between,
        by_test=by_test,
    )


def best_elsewhere(scores: np.ndarray, drawn: np.ndarray, deals: np.ndarray) -> np.ndarray:
    """Mean score of the setting that is best in other folds of replicates than it is judged on, mean over deals, (B,).

    Args:
        scores: (R, S), all finite, greater is better.
        drawn: how often each replicate counts, (B, R); one that is drawn twice is in one fold both times.
        deals: the fold of every replicate, one deal a row, (n_deals, R).

    Example:
        >>> scores = np.array([[5.0, 1.0], [0.0, 2.0], [2.0, 2.0]])
        >>> best_elsewhere(scores, np.ones((1, 3)), np.array([[0, 1, 2]]))
        array([1.])
    """
    found = np.zeros(len(drawn))
    for fold in deals:
        sums = np.stack([drawn[:, fold == part] @ scores[fold == part] for part in range(fold.max() + 1)], axis=1)
        best = (sums.sum(1, keepdims=True) - sums).argmax(2)
        found += np.take_along_axis(sums, best[:, :, None], axis=2).sum((1, 2))
    return found / len(deals) / drawn.sum(1)


def quality_of_chosen(scores: np.ndarray, chosen: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Mean quality of the chosen settings, each over the replicates other than the one that chose it.

    Args:
        scores: (R, S), all finite.
        chosen: places of settings, (R,).
        drawn: how often each replicate counts, (B, R).

    Returns:
        The mean for every row of `drawn`, (B,); NaN where only one replicate was drawn.

    Example:
        >>> quality_of_chosen(np.array([[1.0, 9.0], [3.0, 5.0]]), np.array([1, 0]), np.ones((1, 2)))
        array([3.])
    """
    of_choices = scores[:, chosen]
    others = drawn.sum(1, keepdims=True) - drawn
    total = drawn @ of_choices - drawn * np.diag(of_choices)
    with np.errstate(invalid="ignore"):
        return (drawn * total / np.where(others > 0, others, np.nan)).sum(1) / drawn.sum(1)


_Numbers = Callable[[np.ndarray], dict[str, np.ndarray]]


def _by_validation(signed: np.ndarray, picked: np.ndarray, deals: np.ndarray) -> _Numbers:
    own = signed[np.arange(len(signed)), picked]

    def numbers(drawn: np.ndarray) -> dict[str, np.ndarray]:
        best, quality = best_elsewhere(signed, drawn, deals), quality_of_chosen(signed, picked, drawn)
        average = _mean(signed.mean(1), drawn)
        levels = {"best_fixed": best, "chosen": quality, "average": average}
        return levels | {"cost": best - quality, "gain": quality - average, "optimism": _mean(own, drawn) - quality}

    return numbers


def _by_test(signed: np.ndarray, tested: np.ndarray, picked: np.ndarray, deals: np.ndarray) -> _Numbers:
    rows, flattered = np.arange(len(tested)), signed - tested

    def numbers(drawn: np.ndarray) -> dict[str, np.ndarray]:
        best, oracle = best_elsewhere(tested, drawn, deals), _mean(tested.max(1), drawn)
        chosen, average = _mean(tested[rows, picked], drawn), _mean(tested.mean(1), drawn)
        levels = {"oracle": oracle, "best_fixed": best, "chosen": chosen, "average": average}
        optimism = _mean(flattered[rows, picked] - flattered.mean(1), drawn)
        differences = {"regret": oracle - chosen, "cost": best - chosen, "gain": chosen - average, "optimism": optimism}
        return levels | differences

    return numbers


def _mean(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    return drawn @ values / drawn.sum(1)


def _estimates(numbers: _Numbers, weights: np.ndarray, sign: float, level: float) -> dict[str, Estimate]:
    n = weights.shape[1]
    whole, drawn = numbers(np.ones((1, n))), numbers(weights)
    unit = {name: sign if name in _LEVELS else 1.0 for name in whole}
    return {
        name: estimate_of(unit[name] * float(value[0]), unit[name] * drawn[name], n, level, centred=name in _MOVED)
        for name, value in whole.items()
    }


def _components(signed: np.ndarray) -> tuple[float, float, float]:
    """Standard deviations of noise, of what replicates share, and of settings' qualities, by mean squares."""
    n, n_settings = signed.shape
    of_replicate, of_setting = signed.mean(1, keepdims=True), signed.mean(0)
    left = signed - of_replicate - of_setting + signed.mean()
    noise = (left**2).sum() / ((n - 1) * (n_settings - 1))
    common = of_replicate.var(ddof=1) - noise / n_settings
    between = of_setting.var(ddof=1) - noise / n
    return float(noise**0.5), float(max(common, 0.0) ** 0.5), float(max(between, 0.0) ** 0.5)


def complete(
    validation: np.ndarray, chosen: np.ndarray, test: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The replicates and settings that are complete, and the places of the choices among the latter."""
    known = _known(validation, chosen, test)
    chosen = np.asarray(chosen, int)
    settings = np.flatnonzero(known.mean(0) >= 0.5)
    replicates = np.flatnonzero(known[:, settings].all(1) & np.isin(chosen, settings))
    if len(replicates) < LEAST_REPLICATES or len(settings) < 2:
        raise InputError(
            f"the cost of a choice takes scores of two settings or more in {LEAST_REPLICATES} replicates or more; complete are "
            f"{len(replicates)} of {len(known)} replicates and {len(settings)} of {known.shape[1]} settings"
        )
    return replicates, settings, np.searchsorted(settings, chosen[replicates])


def _known(validation: np.ndarray, chosen: np.ndarray, test: np.ndarray | None) -> np.ndarray:
    validation, chosen = np.asarray(validation, float), np.asarray(chosen)
    if validation.ndim != 2 or chosen.shape != validation.shape[:1]:
        raise InputError(
            f"validation scores are (R, S) and choices (R,), got shapes {validation.shape} and {chosen.shape}"
        )
    wrong = chosen[~np.isin(chosen, np.arange(validation.shape[1]))]
    if len(wrong):
        raise InputError(f"chosen has {wrong[0]!r}; allowed: places of settings from 0 to {validation.shape[1] - 1}")
    if test is None:
        return np.isfinite(validation)
    if np.shape(test) != validation.shape:
        raise InputError(f"test scores have shape {np.shape(test)}; allowed: that of validation, {validation.shape}")
    return np.isfinite(validation) & np.isfinite(np.asarray(test, float))
