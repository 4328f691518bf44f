"""How a learning curve would vary with other people: participants of the whole pool and replicates are both drawn again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream
from neurotransfer.statistics.influence import influences
from neurotransfer.statistics.redrawn import LEAST_REPLICATES, N_DRAWS, Redrawn, mean_deviations

_CELLS_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a replicate predicted of its test part.

    Args:
        observed: values or class indices (n,).
        predicted: as `metrics.scores` takes them (n,).
        people: of every row, the participant as a number from 0 (n,); a number is the same person in all replicates and sizes.
        probabilities: of a categorical target (n, K).
    """

    observed: np.ndarray
    predicted: np.ndarray
    people: np.ndarray
    probabilities: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class PeopleScores:
    """Scores of replicates, and how much each person of the pool moves them.

    Args:
        scores: of each size, the scores of its replicates (R,); NaN where there is none.
        influences: of each size, what each person adds to the score of each replicate (R, n_people), 0 where not tested.
    """

    scores: tuple[np.ndarray, ...]
    influences: tuple[np.ndarray, ...]

    def minus(self, other: "PeopleScores") -> "PeopleScores":
        """The differences to another strategy of which replicate r of a size is the same split; one that either lacks is left out.

        Raises:
            InputError: when sizes, replicates or people are not equally many.
        """
        mine, theirs = ([values.shape for values in scored.influences] for scored in (self, other))
        if mine != theirs:
            raise InputError(
                f"people scores: replicates and people are {mine} and {theirs}; allowed: equally many at each size; "
                "give None for replicates that are missing, and the same n_people"
            )
        return PeopleScores(
            tuple(first - second for first, second in zip(self.scores, other.scores, strict=True)),
            tuple(first - second for first, second in zip(self.influences, other.influences, strict=True)),
        )

    def sizes(self) -> list["SizeNoise"]:
        """What the mean at each size varies by, smallest size first."""
        return [SizeNoise.of(*values) for values in zip(self.scores, self.influences, strict=True)]

    def redrawn(self, n_draws: int = N_DRAWS, generator: np.random.Generator | None = None) -> Redrawn:
        """The curve and its deviations as `by_people` describes them."""
        generator = generator or stream(0, "redrawn people")
        sizes = self.sizes()
        of_people = _deviations(np.column_stack([size.influences for size in sizes]), n_draws, generator)
        of_replicates = [
            mean_deviations(size.scores, n_draws, generator) * np.sqrt(1 - size.share_measured) for size in sizes
        ]
        return Redrawn(np.array([size.mean for size in sizes]), of_people + np.column_stack(of_replicates))


@dataclass(frozen=True, eq=False)
class SizeNoise:
    """What the mean score at one size varies by.

    Args:
        scores: of the replicates that have one (R,).
        influences: what each person adds to the mean over replicates (n_people,).
        measured: the variance of the mean that comes from finite test parts, were they of other people in every replicate.
    """

    scores: np.ndarray
    influences: np.ndarray
    measured: float

    @classmethod
    def of(cls, scores: np.ndarray, influences: np.ndarray) -> "SizeNoise":
        """From the scores (R,) and influences (R, n_people) of all replicates."""
        known = np.isfinite(scores)
        n_known = max(int(known.sum()), 1)
        kept = influences[known]
        return cls(scores[known], kept.sum(axis=0) / n_known, float((kept**2).sum()) / n_known**2)

    @property
    def mean(self) -> float:
        """The mean score; NaN without any."""
        return float(self.scores.mean()) if len(self.scores) else np.nan

    @property
    def replicated(self) -> float:
        """The variance of the mean were replicates drawn again from the same pool; NaN with too few of them."""
        few = len(self.scores) < LEAST_REPLICATES
        return np.nan if few else float(self.scores.var(ddof=1)) / len(self.scores)

    @property
    def share_measured(self) -> float:
        """The share of `replicated` that comes from finite test parts, 0 to 1."""
        return min(1.0, self.measured / self.replicated) if self.replicated > 0 else 0.0

    @property
    def pooled(self) -> float:
        """The variance of the mean that other people in the pool make and that more replicates do not take away."""
        return max(0.0, float((self.influences**2).sum()) - self.measured)


def _deviations(added: np.ndarray, n_draws: int, generator: np.random.Generator) -> np.ndarray:
    """How means (K,) deviate, to which people add (n_people, K), when people are drawn again (n_draws, K)."""
    n_people = len(added)
    at_once = max(1, _CELLS_AT_ONCE // n_people)
    counts = [min(at_once, n_draws - start) for start in range(0, n_draws, at_once)]
    chance = np.full(n_people, 1 / n_people)
    return np.concatenate([(generator.multinomial(n_people, chance, count) - 1.0) @ added for count in counts])


def people_scores(
    parts: Sequence[Sequence[Predictions | None]], score: str, kind: str, n_people: int | None = None
) -> PeopleScores:
    """Score every replicate, and find how much each person moves it.

    Args:
        parts: of each size, smallest first, its replicates; None for one that is missing.
        score: one of SCORES that exists for the kind of target.
        kind: of the target.
        n_people: how many people the pool has; by default 1 + the largest number in `people`. People who are never tested
            change nothing but this number.

    Raises:
        InputError: when there is no size, when people are no such numbers, or as `influences` does.
    """
    tested = [part for size in parts for part in size if part is not None]
    if not tested:
        raise InputError("people scores: found no replicate; allowed: one size or more, each with its replicates")
    n_people = n_people or 1 + max(int(np.max(part.people, initial=0)) for part in tested)
    for part in tested:
        _require_numbers(part, n_people)
    found = [[_one(part, score, kind, n_people) for part in size] for size in parts]
    return PeopleScores(
        tuple(np.array([value for value, _ in size], float) for size in found),
        tuple(np.array([added for _, added in size], float).reshape(len(size), n_people) for size in found),
    )


def _one(part: Predictions | None, score: str, kind: str, n_people: int) -> tuple[float, np.ndarray]:
    if part is None:
        return np.nan, np.full(n_people, np.nan)
    value, added = influences(score, kind, part.observed, part.predicted, part.probabilities)
    return value, np.bincount(part.people, added, n_people)


def _require_numbers(part: Predictions, n_people: int) -> None:
    people = np.asarray(part.people)
    if people.shape != np.shape(part.observed) or not np.issubdtype(people.dtype, np.integer):
        raise InputError(
            f"people scores: people have shape {people.shape} and type {people.dtype}, observed values shape "
            f"{np.shape(part.observed)}; allowed: a whole number a row"
        )
    if len(people) and not 0 <= people.min() <= people.max() < n_people:
        raise InputError(f"people scores: found people {people.min()} to {people.max()}; allowed: 0 to {n_people - 1}")


def by_people(
    parts: Sequence[Sequence[Predictions | None]],
    score: str,
    kind: str,
    n_draws: int = N_DRAWS,
    generator: np.random.Generator | None = None,
    n_people: int | None = None,
) -> Redrawn:
    """Redraw a curve from the test predictions of its replicates: other people, and other replicates.

    Replicates test people of one finite pool, so that their scores share people, within a size and between sizes, and no number
    of replicates takes that away. A deviation is the sum of two independent ones:

    (a) Participants of the pool are drawn with replacement, once for all sizes and replicates (Owen 2007, Annals of Applied Statistics
    1:386), and each adds to the mean over replicates what it adds to their scores (`influences`) as often as it was drawn. The
    scores are not computed again, because small test parts in which a few people stand for all have scores far out.
    (b) The replicates of a size are drawn again, as in `by_replicates`, which adds what training samples, seeds and choices do.

    Both hold the luck of which people a replicate tests; therefore (b) is shrunk by its share in the variance of replicates. To draw
    (a) and (b) at once, the pigeonhole bootstrap, would count it three times. The variance is what a new pool of the same size
    with new replicates would give, to the first order, except that the networks remain those of this pool: what they have in common
    because they all learnt from the same finite pool is not in it. With few replicates it is apt to be too large, by up to a half.

    For a difference between strategies, `people_scores(a, ...).minus(people_scores(b, ...)).redrawn()`.

    Args:
        parts: of each size, smallest first, its replicates; None for one that is missing.
        score: one of SCORES that exists for the kind of target.
        kind: of the target.
        n_draws: how often people and replicates are drawn.
        generator: where the draws come from; without one, the same draws every time.
        n_people: how many people the pool has; see `people_scores`.

    Raises:
        InputError: as `people_scores` does.

    Example:
        >>> truth = np.arange(30.0)
        >>> parts = [[Predictions(truth, truth + error, np.arange(30)) for error in errors] for errors in ([2, 3, 4], [1, 2, 3])]
        >>> by_people(parts, "mae", "continuous").curve
        array([3., 2.])
    """
    if n_draws < 1:
        raise InputError(f"by_people: n_draws is {n_draws!r}; allowed: 1 or more")
    return people_scores(parts, score, kind, n_people).redrawn(n_draws, generator)
