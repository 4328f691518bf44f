"""Successive halving: of fits that are trained in step, the best third goes on at every rung."""

from collections.abc import Mapping, Sequence

import numpy as np

# of three fits one goes on: a rung lies at a ninth of the epochs and one at a third (Jamieson & Talwalkar 2016, AISTATS)
FACTOR = 3
N_RUNGS = 2


def rungs(epochs: Sequence[int]) -> list[list[int]]:
    """The epochs after which fits of `epochs` (S,) are compared, rung by rung: a ninth, then a third of their own, rounded up.

    A rung is left out where no fit has gone on since the one before, or where every fit is at its end.

    Example:
        >>> rungs([30, 9]), rungs([3, 3]), rungs([1])
        ([[4, 1], [10, 3]], [[1, 1]], [])
    """
    found: list[list[int]] = []
    for power in range(N_RUNGS, 0, -1):
        rung = [-(-each // FACTOR**power) for each in epochs]
        if rung != list(epochs) and rung not in found:
            found.append(rung)
    return found


def best_third(losses: Mapping[int, float]) -> list[int]:
    """The fits that go on, by place: a third, rounded up, with the least losses; of equals the first.

    A loss that is not finite is worse than any other.

    Example:
        >>> best_third({0: 0.5, 3: 0.2, 4: float("nan"), 7: 0.2})
        [3, 7]
    """
    ranked = sorted(losses, key=lambda place: (losses[place] if np.isfinite(losses[place]) else np.inf, place))
    return sorted(ranked[: -(-len(ranked) // FACTOR)])
