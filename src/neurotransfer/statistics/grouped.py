"""How sure a score of predictions is, where one person may have several of them: whole people are drawn again."""

import numpy as np

from neurotransfer.seeding import stream
from neurotransfer.statistics.metrics import SCORES, scores

N_DRAWS = 1000
# below this the percentiles of redrawn people say little
LEAST_PEOPLE = 5


def people_intervals(
    kind: str,
    observed: np.ndarray,
    predicted: np.ndarray,
    people: np.ndarray,
    probabilities: np.ndarray | None = None,
    *,
    level: float = 0.95,
    n_draws: int = N_DRAWS,
    generator: np.random.Generator | None = None,
) -> dict[str, tuple[float, float]]:
    """The percentile bootstrap interval of every score, people being drawn with replacement and with all their rows (Efron 1979).

    Rows of one person are no independent evidence: an interval from rows that are drawn one by one would be too narrow. A draw
    in which a score does not exist (one class only) counts nothing for it. NaN where a score does not exist, or below five people.

    Args:
        kind: of the target; see `scores`.
        observed: values or class indices, (n,).
        predicted: as `scores` takes them, (n,).
        people: the participant of every row, (n,).
        probabilities: of a categorical target, (n, K).
        level: the coverage, between 0 and 1.
        n_draws: how often people are drawn.
        generator: where the draws come from; without one, the same draws every time.

    Raises:
        InputError: as `scores` does.

    Example:
        >>> truth = np.arange(40.0)
        >>> low, high = people_intervals("continuous", truth, truth + 2, np.arange(40))["mae"]
        >>> low, high
        (2.0, 2.0)
    """
    names, place = np.unique(np.asarray(people, str), return_inverse=True)
    whole = scores(kind, observed, predicted, probabilities)
    if len(names) < LEAST_PEOPLE:
        return dict.fromkeys(SCORES, (np.nan, np.nan))
    rows_of = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    # of many people with one row each, putting rows together would take longer than the scores
    firsts, single = np.array([rows[0] for rows in rows_of]), len(names) == len(place)
    generator = generator or stream(0, "people")
    found: dict[str, list[float]] = {name: [] for name, value in whole.items() if np.isfinite(value)}
    for _ in range(n_draws):
        people_drawn = generator.integers(0, len(names), len(names))
        rows = firsts[people_drawn] if single else np.concatenate([rows_of[person] for person in people_drawn])
        drawn = scores(kind, observed[rows], predicted[rows], None if probabilities is None else probabilities[rows])
        for name, values in found.items():
            values.append(drawn[name])
    return {name: _ends(found.get(name, []), level) for name in SCORES}


def _ends(values: list[float], level: float) -> tuple[float, float]:
    known = np.array(values, float)
    known = known[np.isfinite(known)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
