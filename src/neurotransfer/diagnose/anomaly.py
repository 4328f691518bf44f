"""What does not behave about a curve: it dips, or it stalls while another one goes on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurotransfer.diagnose.case import Case
from neurotransfer.diagnose.gains import ends_of
from neurotransfer.statistics.monotone import MonotoneTest
from neurotransfer.statistics.redrawn import Redrawn

DIP, STALL, NONE = "dip", "stall", "none"


@dataclass(frozen=True)
class Anomaly:
    """The largest thing that does not behave, between two sizes.

    Attributes:
        kind: `dip` (the mean falls), `stall` (it no longer rises and another strategy pulls ahead) or `none`.
        start: index of the size where it begins.
        end: index of the size where it is largest.
        points: how large it is, in points of the score.
        low: lower end of its 95 % interval.
        high: upper end.
        p: that a curve that never falls shows such a dip; NaN where it is none.
        reference: the strategy that pulls ahead, of a stall.
    """

    kind: str
    start: int
    end: int
    points: float
    low: float
    high: float
    p: float
    reference: str = ""


def anomaly_of(case: Case, test: MonotoneTest | None, others: Mapping[str, Redrawn], own: Redrawn) -> Anomaly:
    """The anomaly of a curve: a dip that can be seen, else a stall, else none.

    Args:
        case: the curve.
        test: whether it falls; None where it has fewer than two sizes.
        others: the curves of the other strategies on the same replicates, more is better.
        own: its own, redrawn with the same draws.
    """
    if test is not None and test.depth >= case.visible:
        return Anomaly(DIP, test.start, test.end, test.depth, test.low, test.high, test.p_dip)
    found = _stall(case, others, own)
    return found or Anomaly(NONE, 0, len(case.sizes) - 1, 0.0, np.nan, np.nan, np.nan)


def _stall(case: Case, others: Mapping[str, Redrawn], own: Redrawn) -> Anomaly | None:
    """No visible rise over the upper half of the sizes, while the best of the others rises and ends ahead."""
    known = {name: other for name, other in others.items() if np.isfinite(other.curve[-1])}
    if len(case.sizes) < 3 or not known or not np.isfinite(own.curve[-1]):
        return None
    middle = (len(case.sizes) - 1) // 2
    name = max(known, key=lambda each: known[each].curve[-1])
    lead = known[name].curve - own.curve
    draws = lead + known[name].deviations - own.deviations
    growth, grown = lead[-1] - lead[middle], draws[:, -1] - draws[:, middle]
    low, high = (float(end) for end in ends_of(grown))
    rises = own.curve[-1] - own.curve[middle] >= case.visible
    if rises or lead[-1] < case.visible or growth < case.visible or not low > 0:
        return None
    return Anomaly(STALL, middle, len(case.sizes) - 1, float(growth), low, high, np.nan, name)
