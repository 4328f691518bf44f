"""What a sweep says: where training people are fitted without error, whether the test error has a peak there, what takes it away."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neurotransfer.diagnose.case import mean_of
from neurotransfer.diagnose.sweep import ARMS, PLAIN
from neurotransfer.statistics.estimates import LEVEL, Estimate, estimate_of_mean
from neurotransfer.statistics.peak import LEAST_PLACES, Peak, peak_of
from neurotransfer.statistics.permutation import ALPHA

# the training error that counts as none (Nakkiran et al. 2020, ICLR)
EPSILON = 0.1
# a peak lies at the threshold within so many times the values of the grid between which the threshold is
FACTOR = 2
# errors are compared as ratios, those below this one as if they were it
LEAST_ERROR = 0.01
AXES = ("width", "n", "epochs")

DOUBLE, STAYS, ELSEWHERE, NO_PEAK, UNKNOWN = (
    "double descent",
    "a peak at the threshold that nothing lessens",
    "a peak elsewhere: not interpolation",
    "no peak",
    "cannot be told",
)
KINDS = (DOUBLE, STAYS, ELSEWHERE, NO_PEAK, UNKNOWN)


@dataclass(frozen=True, eq=False)
class Curve:
    """Errors along one axis of a sweep, everything else the same; less is better.

    Attributes:
        axis: one of AXES.
        fixed: the values of what is not varied: noise and the other axes.
        values: of the axis, rising, (K,).
        train: errors on the training people, (R, K); NaN where a fit failed.
        test: errors on test people, by arm: (R, K).
    """

    axis: str
    fixed: Mapping[str, float]
    values: np.ndarray
    train: np.ndarray
    test: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Threshold:
    """Where along an axis training people are fitted.

    `fitted` is the last value of the grid where they are, `beyond` its neighbour where they are not; NaN where the grid has none.
    """

    fitted: float
    beyond: float

    @property
    def is_crossed(self) -> bool:
        """Whether it lies between two values of the grid."""
        return bool(np.isfinite(self.fitted) and np.isfinite(self.beyond))

    def is_near(self, value: float) -> bool:
        """Whether a value of the axis lies between both, or within FACTOR of them.

        Example:
            >>> [Threshold(8.0, 4.0).is_near(width) for width in (1, 2, 16, 32)]
            [False, True, True, False]
        """
        low, high = sorted((self.fitted, self.beyond))
        return low / FACTOR <= value <= high * FACTOR


@dataclass(frozen=True, eq=False)
class Judged:
    """One curve: its threshold, its peak where it has one that is told, and how much lower the error there is in the other arms.

    Near the threshold single errors may be many times the others, so that they are compared as logarithms: differences of `peak` and
    `lessened` (plain less the arm, replicate by replicate on the same people) are natural logarithms of ratios, see `ratio_of`.
    `kind` is one of KINDS, `why` the reason where it cannot be told.
    """

    curve: Curve
    threshold: Threshold
    peak: Peak | None
    lessened: Mapping[str, Estimate]
    kind: str
    why: str = ""


@dataclass(frozen=True, eq=False)
class SweepVerdict:
    """What the sweep of one strategy says of one task.

    Attributes:
        task: its name.
        strategy: its label.
        kind: one of KINDS: the first that holds for a curve.
        judged: every curve, that which decides first.
        errors: what it rests on, a row a fit, see `swept.COLUMNS`.
        complexity: a row a noise, width and epochs of the plain arm: the effective model complexity `n`, the largest size of the
            grid at which training people are fitted (0 for none), and whether it is the largest of the grid (`is_open`).
    """

    task: str
    strategy: str
    kind: str
    judged: tuple[Judged, ...]
    errors: pd.DataFrame
    complexity: pd.DataFrame


def verdicts_of(errors: pd.DataFrame) -> list[SweepVerdict]:
    """The verdict on every task and strategy of a table of errors, see `swept.read_sweeps`."""
    return [
        _verdict(str(task), str(strategy), own.reset_index(drop=True))
        for (task, strategy), own in errors.groupby(["task", "strategy"], sort=False)
    ]


def _verdict(task: str, strategy: str, errors: pd.DataFrame) -> SweepVerdict:
    curves = list(curves_of(errors))
    thresholds = [threshold_of(curve) for curve in curves]
    # the question is asked where the threshold lies inside: so many tests
    asked = sum(each.is_crossed for each in thresholds)
    level = 1 - ALPHA / max(1, asked)
    judged = [judge(curve, threshold, level) for curve, threshold in zip(curves, thresholds, strict=True)]
    judged.sort(key=lambda each: (KINDS.index(each.kind), not each.lessened, -_certainty(each)))
    kind = judged[0].kind if judged else UNKNOWN
    return SweepVerdict(task, strategy, kind, tuple(judged), errors, complexity_of(errors))


def _certainty(judged: Judged) -> float:
    """How far the nearer end of both intervals of a peak lies from zero, as a share of the difference."""
    if judged.peak is None:
        return -np.inf
    found = [each.low / each.value if each.value > 0 else -np.inf for each in (judged.peak.rise, judged.peak.fall)]
    return float(min(found))


def curves_of(errors: pd.DataFrame) -> Iterator[Curve]:
    """The curves of the plain arm along every axis that has two values or more, with those of the other arms beside them."""
    for axis in AXES:
        others = ["noise", *(name for name in AXES if name != axis)]
        for fixed, own in errors.groupby(others):
            plain = own[own["arm"] == PLAIN]
            values = np.sort(plain[axis].unique())
            if len(values) < 2:
                continue
            n_replicates = int(errors["replicate"].max()) + 1
            tests = {arm: _wide(part, axis, values, "test", n_replicates) for arm, part in own.groupby("arm")}
            yield Curve(
                axis,
                dict(zip(others, map(float, fixed), strict=True)),
                values.astype(float),
                _wide(plain, axis, values, "train", n_replicates),
                {arm: tests[arm] for arm in ARMS if arm in tests},
            )


def _wide(rows: pd.DataFrame, axis: str, values: np.ndarray, column: str, n_replicates: int) -> np.ndarray:
    rows = rows[rows[axis].isin(values)]
    found = np.full((n_replicates, len(values)), np.nan)
    found[rows["replicate"].to_numpy(int), np.searchsorted(values, rows[axis])] = rows[column].to_numpy(float)
    return found


def threshold_of(curve: Curve) -> Threshold:
    """The interpolation threshold of a curve: where the mean training error is at most EPSILON.

    Along n that is the largest such size, along width and epochs the smallest such value.
    """
    fitted = mean_of(curve.train) <= EPSILON
    order = range(len(fitted)) if curve.axis != "n" else range(len(fitted) - 1, -1, -1)
    first = next((place for place in order if fitted[place]), None)
    if first is None:
        return Threshold(np.nan, np.nan)
    beyond = first + 1 if curve.axis == "n" else first - 1
    inside = 0 <= beyond < len(fitted)
    return Threshold(float(curve.values[first]), float(curve.values[beyond]) if inside else np.nan)


def judge(curve: Curve, threshold: Threshold, level: float = LEVEL) -> Judged:
    """What a curve says. Double descent is a peak at the threshold that early stopping or weight decay lessens.

    Args:
        curve: with its arms.
        threshold: from `threshold_of`.
        level: of the intervals of the peak.
    """
    if not threshold.is_crossed:
        never = np.isnan(threshold.fitted)
        why = (
            "training people are never fitted without error"
            if never
            else "training people are fitted without error everywhere"
        )
        return Judged(curve, threshold, None, {}, UNKNOWN, why)
    peak = peak_of(_logarithms(curve.test[PLAIN]), level)
    if peak is None:
        return Judged(curve, threshold, None, {}, UNKNOWN, f"fewer than {LEAST_PLACES} values or replicates")
    if not peak.is_shown:
        return Judged(curve, threshold, peak, {}, NO_PEAK)
    lessened = _lessened(curve, peak.place)
    if not threshold.is_near(curve.values[peak.place]):
        return Judged(curve, threshold, peak, lessened, ELSEWHERE)
    is_less = not lessened or any(each.above_zero for each in lessened.values())
    return Judged(curve, threshold, peak, lessened, DOUBLE if is_less else STAYS)


def _lessened(curve: Curve, place: int) -> dict[str, Estimate]:
    """By arm how much lower its test error is at a place than that of the plain arm; intervals hold for all arms at once."""
    plain = _logarithms(curve.test[PLAIN])[:, place]
    lower = {arm: plain - _logarithms(test)[:, place] for arm, test in curve.test.items() if arm != PLAIN}
    lower = {arm: each for arm, each in lower.items() if np.isfinite(each).any()}
    return {arm: estimate_of_mean(each, 1 - ALPHA / len(lower)) for arm, each in lower.items()}


def _logarithms(errors: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.log(np.maximum(errors, LEAST_ERROR))
    return found


def ratio_of(estimate: Estimate) -> Estimate:
    """A difference of logarithms as the ratio that it is.

    Example:
        >>> ratio_of(Estimate(0.0, -np.log(2), np.log(3)))
        Estimate(value=1.0, low=0.5, high=3.0)
    """
    value, low, high = (round(float(np.exp(end)), 12) for end in (estimate.value, estimate.low, estimate.high))
    return Estimate(value, low, high)


def complexity_of(errors: pd.DataFrame) -> pd.DataFrame:
    """The effective model complexity of every noise, width and epochs of the plain arm, see `SweepVerdict`.

    Example:
        >>> rows = [(4.0, 10, 0.05), (4.0, 20, 0.3), (8.0, 10, 0.0), (8.0, 20, 0.02)]
        >>> errors = pd.DataFrame(rows, columns=["width", "n", "train"]).assign(noise=0.0, epochs=9, arm="plain")
        >>> complexity_of(errors)[["width", "n", "is_open"]].values.tolist()
        [[4.0, 10, False], [8.0, 20, True]]
    """
    plain, rows = errors[errors["arm"] == PLAIN], []
    for (noise, width, epochs), own in plain.groupby(["noise", "width", "epochs"]):
        means = own.groupby("n")["train"].mean()
        fitted = [int(n) for n, error in means.items() if error <= EPSILON]
        largest = max(fitted, default=0)
        rows.append((float(noise), float(width), int(epochs), largest, largest == int(own["n"].max())))
    return pd.DataFrame(rows, columns=["noise", "width", "epochs", "n", "is_open"])


def of_curve(verdicts: Sequence[SweepVerdict], task: str, strategy: str) -> SweepVerdict | None:
    """The verdict of a sweep on one curve of a run; None where there was no sweep of it."""
    return next((each for each in verdicts if (each.task, each.strategy) == (task, strategy)), None)
