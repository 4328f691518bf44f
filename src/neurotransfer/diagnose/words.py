"""Verdicts in words."""

import math

from neurotransfer.diagnose.analysis import Analysis
from neurotransfer.diagnose.anomaly import DIP, STALL
from neurotransfer.diagnose.causes import CAUSES
from neurotransfer.diagnose.verdict import NAMED, Finding
from neurotransfer.report.findings import DIRECTION, SHORT
from neurotransfer.report.naming import Names
from neurotransfer.report.wording import joined, number, p_equals, percent
from neurotransfer.statistics import SCORES
from neurotransfer.statistics.permutation import ALPHA


def points(value: float, analysis: Analysis) -> str:
    """Points of the score of a curve, with its name and unit."""
    case = analysis.case
    unit = f" {case.task.unit}" if case.score == "mae" and case.task.unit else ""
    return f"{number(value, digits_of(analysis))}{unit} {SHORT[case.score]}"


def digits_of(analysis: Analysis) -> int:
    """How many digits after the point show a difference that counts."""
    return max(0, min(4, 1 - math.floor(math.log10(analysis.case.visible)))) if analysis.case.visible > 0 else 3


def sentences(analysis: Analysis, names: Names) -> str:
    """What does not behave about a curve and what explains it, most important first."""
    case, anomaly = analysis.case, analysis.verdict.anomaly
    who, sizes = names[case.strategy], case.sizes
    task = case.task.label
    if anomaly.kind == DIP:
        digits = digits_of(analysis)
        chance = f"{'more' if anomaly.p < ALPHA else 'no more'} than chance gives a curve that never falls"
        what = (
            f"{task}: {who} falls by {points(anomaly.points, analysis)} from n = {sizes[anomaly.start]} to {sizes[anomaly.end]} "
            f"(95 % interval {number(anomaly.low, digits)} to {number(anomaly.high, digits)}), {chance} ({p_equals(anomaly.p)})."
        )
    elif anomaly.kind == STALL:
        what = (
            f"{task}: {who} no longer rises from n = {sizes[anomaly.start]} on, while {names[anomaly.reference]} pulls ahead by "
            f"{points(anomaly.points, analysis)} up to n = {sizes[anomaly.end]}."
        )
    else:
        what = f"{task}: {who} does not fall visibly at any size, and no other strategy leaves it behind."
    return " ".join([what, *_others(analysis), _causes(analysis)])


def _others(analysis: Analysis) -> list[str]:
    """Whether the dip would be there with other people."""
    anomaly, test = analysis.verdict.anomaly, analysis.test_of_people
    if anomaly.kind != DIP or test is None or anomaly.p >= ALPHA:
        return []
    if test.p_dip < ALPHA:
        return [f"With other people it would be there too ({p_equals(test.p_dip)})."]
    return [f"Whether other people would show it cannot be said from this pool ({p_equals(test.p_dip)})."]


def _causes(analysis: Analysis) -> str:
    named = analysis.verdict.named
    if not named:
        looked = [CAUSES[each.cause].title for each in analysis.verdict.findings if each.status != "cannot be told"]
        return (
            f"No cause is named; looked for: {joined(looked).lower()}." if looked else "No cause could be looked for."
        )
    first, *others = named
    text = f"{CAUSES[first.cause].title}: {_amount(first, analysis)}."
    if others:
        text += (
            f" Also {joined([f'{CAUSES[each.cause].title.lower()} ({_amount(each, analysis)})' for each in others])}."
        )
    return text


def _amount(finding: Finding, analysis: Analysis) -> str:
    if finding.cause == "luck":
        return "chance alone is enough for it"
    lost = f"{points(finding.points, analysis)} lost{_ends(finding.low, finding.high, digits_of(analysis))}"
    if math.isnan(finding.share):
        return f"{lost}, on average over the sizes"
    return f"{lost}, {share_words(finding)} of what does not behave"


def _ends(low: float, high: float, digits: int) -> str:
    return "" if math.isnan(low) else f" ({number(low, digits)} to {number(high, digits)})"


def share_words(finding: Finding) -> str:
    """The share of the anomaly that a cause explains, with its interval."""
    if math.isnan(finding.share):
        return ""
    share = percent(max(0.0, finding.share))
    if math.isnan(finding.share_low):
        return share
    return f"{share} ({percent(max(0.0, finding.share_low))} to {percent(max(0.0, finding.share_high))})"


def status_words(finding: Finding) -> str:
    """The status as the table shows it."""
    return "named" if finding.status == NAMED else finding.status


def direction(analysis: Analysis) -> str:
    """What a reader must know of an error."""
    return "" if SCORES[analysis.case.score].higher_is_better else DIRECTION
