"""What explains a curve: causes in order, each with its points, its share of the anomaly, and where it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurotransfer.diagnose.anomaly import DIP, NONE, Anomaly
from neurotransfer.diagnose.case import Case
from neurotransfer.diagnose.causes import CAUSES
from neurotransfer.diagnose.gains import Gain, ends_of
from neurotransfer.statistics.monotone import MonotoneTest
from neurotransfer.statistics.permutation import ALPHA

NAMED, NOT_NAMED, UNKNOWN = "named", "not named", "cannot be told"


@dataclass(frozen=True)
class Finding:
    """What was found of one cause.

    Attributes:
        cause: its name in CAUSES.
        status: `named`, `not named` (it was looked for and is not shown) or `cannot be told`.
        points: that the curve loses by it, in points of the score: at the anomaly, or on average where there is none.
        low: lower end of the interval of the points, adjusted for the number of causes that were looked for.
        high: upper end.
        share: of the anomaly, 0 to 1 (more where it explains more than all of it); NaN where there is none.
        share_low: lower end.
        share_high: upper end.
        source: `tables` or the name of an experiment.
        why: what it rests on, or why it cannot be told, in words.
    """

    cause: str
    status: str
    points: float = np.nan
    low: float = np.nan
    high: float = np.nan
    share: float = np.nan
    share_low: float = np.nan
    share_high: float = np.nan
    source: str = ""
    why: str = ""


@dataclass(frozen=True, eq=False)
class Verdict:
    """A curve, what does not behave about it, and what explains that; named causes first, the largest first."""

    case: Case
    anomaly: Anomaly
    findings: tuple[Finding, ...]

    @property
    def named(self) -> tuple[Finding, ...]:
        """The causes that are named."""
        return tuple(finding for finding in self.findings if finding.status == NAMED)


def judge(
    case: Case, anomaly: Anomaly, gains: Mapping[str, Gain], words: Mapping[str, str], test: MonotoneTest | None
) -> Verdict:
    """The verdict on one curve.

    A cause is named when what the curve loses by it is visible (`Case.visible`) and its interval, adjusted for the number of
    causes that were looked for (Bonferroni), lies above zero. What a cause explains of an anomaly is how much more the curve
    loses by it at the end of the anomaly than at its start: what is lost at all sizes alike bends no curve, and is told as points.

    Args:
        case: the curve.
        anomaly: from `anomaly_of`.
        gains: by cause, what the curve would gain without it.
        words: by cause, what a finding rests on, or why there is none.
        test: whether the curve falls.
    """
    level = 1 - ALPHA / max(1, len(gains))
    found = [_luck(case, anomaly, test, words.get("luck", ""))]
    for name in CAUSES:
        if name == "luck":
            continue
        if name in gains:
            found.append(_finding(case, anomaly, name, gains[name], level, words.get(name, "")))
        else:
            found.append(Finding(name, UNKNOWN, why=words.get(name, "")))
    return Verdict(case, anomaly, tuple(sorted(found, key=_order)))


def _order(finding: Finding) -> tuple[int, float]:
    points = finding.points if np.isfinite(finding.points) else 0.0
    return [NAMED, NOT_NAMED, UNKNOWN].index(finding.status), -points


def _luck(case: Case, anomaly: Anomaly, test: MonotoneTest | None, why: str) -> Finding:
    if test is None:
        return Finding("luck", UNKNOWN, why=why or "a curve of one size cannot fall")
    share = min(1.0, test.expected_depth / anomaly.points) if anomaly.kind == DIP else np.nan
    status = NAMED if anomaly.kind == DIP and test.p_dip >= ALPHA else NOT_NAMED
    points = anomaly.points if status == NAMED else min(test.expected_depth, test.depth)
    return Finding("luck", status, points, share=share, source="tables", why=why)


def _finding(case: Case, anomaly: Anomaly, name: str, gain: Gain, level: float, why: str) -> Finding:
    at, draws = _lost(anomaly, gain)
    low, high = (float(end) for end in ends_of(draws, level))
    status = NAMED if at >= case.visible and low > 0 else NOT_NAMED
    if anomaly.kind == NONE:
        return Finding(name, status, at, low, high, source=gain.source, why=why)
    bend = gain.points[anomaly.end] - gain.points[anomaly.start]
    bends = ends_of(gain.draws[:, anomaly.end] - gain.draws[:, anomaly.start], level)
    share, share_low, share_high = (float(each) / anomaly.points for each in (bend, *bends))
    return Finding(name, status, at, low, high, share, share_low, share_high, gain.source, why)


def _lost(anomaly: Anomaly, gain: Gain) -> tuple[float, np.ndarray]:
    """Points lost where the curve does not behave, or on average over the sizes."""
    if anomaly.kind == NONE:
        known = np.isfinite(gain.points)
        if not known.any():
            return np.nan, gain.draws[:, 0]
        return float(gain.points[known].mean()), gain.draws[:, known].mean(axis=1)
    return float(gain.points[anomaly.end]), gain.draws[:, anomaly.end]


def cannot_be_told(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """By cause, why nothing can be said of it in any of the curves; empty where something can."""
    found = {}
    for name in CAUSES:
        own = [finding for verdict in verdicts for finding in verdict.findings if finding.cause == name]
        if own and all(finding.status == UNKNOWN for finding in own):
            found[name] = own[0].why
    return found
