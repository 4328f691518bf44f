"""When a gain is a cause: what else must hold before an experiment that helps names it."""

from collections.abc import Mapping

from neurotransfer.diagnose.anomaly import DIP, Anomaly
from neurotransfer.diagnose.case import Case
from neurotransfer.diagnose.from_tables import Fit
from neurotransfer.diagnose.gains import Gain

# the dip ends within so many times the largest size at which training people are fitted without error
NEAR = 2.5


def gated(
    case: Case, anomaly: Anomaly, fit: Fit | None, gains: Mapping[str, Gain], words: Mapping[str, str]
) -> tuple[dict[str, Gain], dict[str, str]]:
    """The gains that may name a cause, and why others may not.

    A penalty helps many a curve. It speaks of interpolation only where there is a dip, the dip lies near the largest size at which
    all training people can be fitted, and the penalty helps more where the curve is lowest than before.
    """
    kept, said = dict(gains), dict(words)
    if "interpolation" in kept:
        why = _no_interpolation(case, anomaly, fit, kept["interpolation"])
        if why:
            del kept["interpolation"]
            said["interpolation"] = why
        else:
            said["interpolation"] = _threshold_words(case, fit)
    return kept, said


def _no_interpolation(case: Case, anomaly: Anomaly, fit: Fit | None, gain: Gain) -> str:
    if anomaly.kind != DIP:
        return "the curve has no dip; a penalty that helps everywhere is a matter of the grid"
    if fit is not None and fit.threshold < 0:
        return "training people are not fitted without error at any size"
    if fit is not None and case.sizes[anomaly.end] > NEAR * case.sizes[fit.threshold]:
        return (
            f"the dip at n = {case.sizes[anomaly.end]} lies far beyond n = {case.sizes[fit.threshold]}, up to which training people "
            "are fitted without error"
        )
    if not gain.points[anomaly.end] > gain.points[anomaly.start]:
        return "a penalty helps no more at the dip than before it"
    return ""


def _threshold_words(case: Case, fit: Fit | None) -> str:
    if fit is None:
        return "this run does not know how well training people were fitted, so that only the penalty's effect speaks"
    return f"training people are fitted without error up to n = {case.sizes[fit.threshold]}, and a penalty takes the dip away"
