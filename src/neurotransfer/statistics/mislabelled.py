"""Labels that predictions contradict: how many, whose, and how many there would be if classes merely overlap."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream
from neurotransfer.statistics.contamination import Contamination, checked_classes, contamination
from neurotransfer.statistics.estimates import LEVEL, N_DRAWS, Estimate, estimate_of, times_drawn

# Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers
OUTLYING_BEYOND = 3.5
_MAD_OF_NORMAL = 0.6744897501960817
_MEAN_OF_NORMAL = 0.7978845608028654
_ROUNDING = 1e-12


@dataclass(frozen=True)
class ConfidentJoint:
    """Given and likely labels together.

    Attributes:
        thresholds: mean probability of each class among those who are given it, (K,).
        joint: share of people given a label (row) whose likely one is another (column), (K, K); rows add up to how often each
            label was given.
        noise_share: what is off its diagonal, with an interval over people; the overlap of classes is part of it.
        expected_share: the same if labels were drawn from the recalibrated probabilities, with the range of such draws: what
            overlap alone gives. Recalibration takes in what label noise does to all predictions alike, so that this is rather too
            much than too little.
        p: how often such draws have as great a share or a greater one.
        noise: label noise that overlap of a usual form does not explain.
        flagged: rows whose given label is doubtful, the most doubtful first.
        likely: the class that each flagged row would have instead.
    """

    thresholds: np.ndarray
    joint: np.ndarray
    noise_share: Estimate
    expected_share: Estimate
    p: float
    noise: Contamination
    flagged: np.ndarray
    likely: np.ndarray


def confident_joint(
    labels: np.ndarray,
    probabilities: np.ndarray,
    people: np.ndarray | None = None,
    *,
    level: float = LEVEL,
    n_draws: int = N_DRAWS,
    generator: np.random.Generator | None = None,
) -> ConfidentJoint:
    """Confident learning: count people who are given one label and confidently predicted another (Northcutt, Jiang & Chuang 2021).

    A person counts for the most probable class among those whose probability reaches the class's threshold, the mean probability of
    that class among those who are given it; rows of counts are then scaled to how often labels were given (Journal of Artificial
    Intelligence Research 70:1373). Flagged are, for each pair of classes, as many people as the joint has, by the margin of the
    other class's probability over the given one's ("prune by noise rate").

    What can and cannot be told: where classes overlap, confident learning counts overlap as noise; `noise_share` alone proves
    nothing. Hold it against `expected_share`; but a model that was fitted to noisy labels is unsure of everybody, and once
    recalibrated it expects the noise too. A greater share than expected is thus a sign of noise, an expected one no sign of clean
    labels. `noise` looks where the two differ, among the people of whom a model should be sure: the upper end of its interval bounds
    random exchanges of labels, a lower end above 0 says that overlap of the usual form is not enough. When predictions are not
    sharp, neither tells. A flagged person is one to look at, not one to relabel.

    Args:
        labels: class indices as given, (n,).
        probabilities: of people whom the fit had not seen, (n, K).
        people: the participant of every row, (n,); rows of one person and label become one, of mean probabilities. Without it, each
            row is another person.
        level: coverage of the intervals.
        n_draws: how often people and labels are drawn.
        generator: where the draws come from; without one, the same every time.

    Raises:
        InputError: as `contamination` does, and when people are not one a row.

    Example:
        >>> draws = np.random.default_rng(0)
        >>> truth = np.arange(300) % 2
        >>> sure = 1 / (1 + np.exp(-4 * (draws.normal(0, 1, 300) + 4 * truth - 2)))
        >>> given = np.where(np.arange(300) < 30, 1 - truth, truth)
        >>> found = confident_joint(given, np.column_stack([1 - sure, sure]))
        >>> round(found.noise_share.value, 2), int((found.flagged < 30).sum()) > 25
        (0.11, True)
    """
    rows_labels, rows_probabilities = checked_classes(labels, probabilities)
    whose = np.arange(len(rows_labels)) if people is None else np.asarray(people)
    if len(whose) != len(rows_labels):
        raise InputError(f"people has {len(whose)} rows; allowed: one for each of {len(rows_labels)} labels")
    person, labels, probabilities = _one_a_person(whose, rows_labels, rows_probabilities)
    noise = contamination(labels, probabilities, level=level)
    generator = generator or stream(0, "mislabelled")
    n_people = int(person.max()) + 1
    whole = np.ones(len(labels))
    joint, thresholds = _joint(labels, probabilities, whole)
    share = _off_diagonal(joint)
    redrawn = [
        _off_diagonal(_joint(labels, probabilities, weights[person])[0])
        for weights in times_drawn(n_people, n_draws, generator)
    ]
    drawn = [
        _off_diagonal(_joint(_drawn_labels(noise.calibrated, generator), probabilities, whole)[0])
        for _ in range(n_draws)
    ]
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    flagged, likely = _flagged(rows_labels, rows_probabilities, joint)
    return ConfidentJoint(
        thresholds=thresholds,
        joint=joint,
        noise_share=estimate_of(share, np.array(redrawn), n_people, level),
        expected_share=Estimate(float(np.mean(drawn)), float(ends[0]), float(ends[1])),
        p=float((1 + np.sum(np.array(drawn) >= share - _ROUNDING)) / (1 + n_draws)),
        noise=noise,
        flagged=flagged,
        likely=likely,
    )


def _joint(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The joint (K, K) of given and likely labels, and the thresholds (K,), of rows that count as often as their weights say."""
    n_classes = probabilities.shape[1]
    given = np.eye(n_classes)[labels] * weights[:, None]
    often = given.sum(0)
    present = often > 0
    own = (given * probabilities).sum(0)
    thresholds = np.where(present, own / np.where(present, often, 1.0), np.inf)
    reached = np.where(probabilities >= thresholds - _ROUNDING, probabilities, -1.0)
    counts = given.T @ (np.eye(n_classes)[reached.argmax(1)] * (reached.max(1) >= 0)[:, None])
    sums = counts.sum(1, keepdims=True)
    # a label of whom nobody is sure is taken as given
    rows = np.where(sums > 0, counts / np.where(sums > 0, sums, 1.0), np.eye(n_classes))
    return rows * often[:, None] / often.sum(), thresholds


def _off_diagonal(joint: np.ndarray) -> float:
    return float(max(1.0 - np.trace(joint), 0.0))


def _drawn_labels(probabilities: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    edges = np.cumsum(probabilities, axis=1)[:, :-1]
    return (generator.random(len(probabilities))[:, None] >= edges).sum(1)


def _one_a_person(
    people: np.ndarray, labels: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The person (as a number), label and mean probabilities of every pair of a person and a label."""
    number = np.unique(people.astype(str), return_inverse=True)[1]
    pairs, place, often = np.unique(np.column_stack([number, labels]), axis=0, return_inverse=True, return_counts=True)
    sums = np.zeros((len(pairs), probabilities.shape[1]))
    np.add.at(sums, place.ravel(), probabilities)
    return pairs[:, 0], pairs[:, 1], sums / often[:, None]


def _flagged(labels: np.ndarray, probabilities: np.ndarray, joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Doubtful rows and their likely classes: of each pair of classes as many as the joint has, by their margins."""
    margin = probabilities - probabilities[np.arange(len(labels)), labels][:, None]
    worst = np.full(len(labels), -np.inf)
    likely = labels.copy()
    for given, other in zip(*np.nonzero(~np.eye(len(joint), dtype=bool)), strict=True):
        rows = np.flatnonzero(labels == given)
        n_doubtful = int(np.floor(joint[given, other] * len(labels) + 0.5))
        for row in rows[np.argsort(-margin[rows, other], kind="stable")][:n_doubtful]:
            if margin[row, other] > max(worst[row], 0.0):
                worst[row], likely[row] = margin[row, other], other
    flagged = np.flatnonzero(np.isfinite(worst))
    flagged = flagged[np.argsort(-worst[flagged], kind="stable")]
    return flagged, likely[flagged]


@dataclass(frozen=True)
class Outlying:
    """Values that are far from what was predicted.

    Attributes:
        deviation: of every row, in robust standard deviations, (n,); NaN where something is missing.
        rows: those beyond 3.5, the furthest first.
        share: how many of the known rows they are, 0 to 1.
    """

    deviation: np.ndarray
    rows: np.ndarray
    share: float


def outlying(observed: np.ndarray, predicted: np.ndarray) -> Outlying:
    """Values of a continuous target whose residual is beyond 3.5 robust standard deviations from the median one.

    Deviation: 0.6745 (r - median(r)) / median |r - median(r)| (Iglewicz & Hoaglin 1993); where more than half of the residuals are
    the same, by their mean absolute deviation from the median instead. Of normal residuals, one in 2,000 is that far out; where
    residuals have long tails, or are wider at some ages, many are without any wrong value. A wrong value that is plausible is not
    found.

    Args:
        observed: values as given, (n,); NaN where missing.
        predicted: of people whom the fit had not seen, (n,).

    Raises:
        InputError: when shapes differ.

    Example:
        >>> found = outlying(np.array([20.0, 31.0, 42.0, 49.0, 99.0]), np.array([21.0, 30.0, 40.0, 50.0, 60.0]))
        >>> found.rows.tolist(), found.share
        ([4], 0.2)
    """
    observed, predicted = np.asarray(observed, float), np.asarray(predicted, float)
    if observed.ndim != 1 or observed.shape != predicted.shape:
        raise InputError(f"observed has shape {observed.shape} and predicted {predicted.shape}; allowed: the same (n,)")
    residual = observed - predicted
    known = np.isfinite(residual)
    deviation = np.full(len(residual), np.nan)
    if known.any():
        centred = residual[known] - np.median(residual[known])
        typical = np.median(np.abs(centred)) / _MAD_OF_NORMAL
        mean = np.mean(np.abs(centred)) / _MEAN_OF_NORMAL
        scale = typical if typical > _ROUNDING * np.abs(observed[known]).max() else mean
        deviation[known] = centred / scale if scale > 0 else 0.0
    distance = np.where(known, np.abs(deviation), 0.0)
    rows = np.flatnonzero(distance > OUTLYING_BEYOND)
    rows = rows[np.argsort(-distance[rows], kind="stable")]
    return Outlying(deviation, rows, len(rows) / max(int(known.sum()), 1))
