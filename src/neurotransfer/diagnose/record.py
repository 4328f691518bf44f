"""Verdicts as JSON, for scripts: every number in the score's own unit, more is better turned back."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from neurotransfer.artifacts import package_version
from neurotransfer.diagnose.analysis import Analysis
from neurotransfer.diagnose.case import mean_of
from neurotransfer.diagnose.interpolation import Judged, SweepVerdict, ratio_of
from neurotransfer.diagnose.verdict import Finding
from neurotransfer.statistics.estimates import Estimate


def as_json(analyses: Sequence[Analysis], more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What `diagnosis.json` holds: a curve a row, with its anomaly and every cause, and whatever more there is of all of them."""
    curves = [_curve(each) for each in analyses]
    return {"version": package_version("neurotransfer"), "curves": curves, **(more or {})}


def _curve(analysis: Analysis) -> dict[str, Any]:
    case, anomaly, test, others = analysis.case, analysis.verdict.anomaly, analysis.test, analysis.test_of_people
    return {
        "task": case.task.name,
        "strategy": case.strategy,
        "score": case.score,
        "sizes": [int(n) for n in case.sizes],
        "mean": [plain(case.sign * value) for value in case.mean],
        "visible": plain(case.visible),
        "anomaly": {
            "kind": anomaly.kind,
            "from": int(case.sizes[anomaly.start]),
            "to": int(case.sizes[anomaly.end]),
            "points": plain(anomaly.points),
            "low": plain(anomaly.low),
            "high": plain(anomaly.high),
            "p": plain(anomaly.p),
            "reference": anomaly.reference,
        },
        "p_this_pool": None if test is None else plain(test.p_dip),
        "p_other_people": None if others is None else plain(others.p_dip),
        "named": [finding.cause for finding in analysis.verdict.named],
        "causes": [_finding(finding) for finding in analysis.verdict.findings],
    }


def sweep_as_json(verdict: SweepVerdict) -> dict[str, Any]:
    """What `diagnosis.json` holds of a sweep: errors as they are, along every axis; how many times one error another one is."""
    return {
        "task": verdict.task,
        "strategy": verdict.strategy,
        "verdict": verdict.kind,
        "along": [_judged(each) for each in verdict.judged],
        "effective_model_complexity": verdict.complexity.to_dict("records"),
    }


def _judged(judged: Judged) -> dict[str, Any]:
    curve, peak = judged.curve, judged.peak
    return {
        "axis": curve.axis,
        "at": dict(curve.fixed),
        "values": [float(value) for value in curve.values],
        "train": [plain(value) for value in mean_of(curve.train)],
        "test": {arm: [plain(value) for value in mean_of(test)] for arm, test in curve.test.items()},
        "fitted": plain(judged.threshold.fitted),
        "not_fitted": plain(judged.threshold.beyond),
        "peak": None
        if peak is None
        else {"at": float(curve.values[peak.place]), "rise": _estimate(peak.rise), "fall": _estimate(peak.fall)},
        "times_that_of": {arm: _estimate(each) for arm, each in judged.lessened.items()},
        "verdict": judged.kind,
        "why": judged.why,
    }


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {name: plain(value) for name, value in vars(ratio_of(estimate)).items()}


def _finding(finding: Finding) -> dict[str, Any]:
    return {name: plain(value) if isinstance(value, float) else value for name, value in vars(finding).items()}


def plain(value: float) -> float | None:
    """A number as JSON has it: None where it is missing.

    Example:
        >>> plain(float("nan")), plain(0.5)
        (None, 0.5)
    """
    return float(value) if math.isfinite(value) else None
