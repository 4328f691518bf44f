"""How the curves grow: the shape that fits, what endless data would give, how many scans a score needs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from neurotransfer.diagnose.analysis import Analysis
from neurotransfer.diagnose.words import digits_of
from neurotransfer.pages.looks import Look
from neurotransfer.pages.model import Axis, Figure, Item, Layer, Table, Text
from neurotransfer.report.curves import sizes_axis
from neurotransfer.report.wording import number, p_equals, score_label
from neurotransfer.statistics import SCORES
from neurotransfer.statistics.estimates import Estimate
from neurotransfer.statistics.growth import Growth, fit_growth
from neurotransfer.statistics.needed import Needed, scans_needed

# how far beyond the largest size curves are drawn
BEYOND = 3.0
N_POINTS = 40
# below this a curve is of none of the shapes
UNFIT = 0.01


def growth_of(analysis: Analysis) -> Growth | None:
    """The shape of a curve; None where fewer than two sizes are known."""
    case, redrawn = analysis.case, analysis.redrawn
    known = redrawn.known
    if known.sum() < 2 or not (redrawn.standard_errors[known] > 0).any():
        return None
    places, curve, deviations = redrawn.only_known()
    return fit_growth(
        case.sizes[places].astype(float),
        case.sign * curve,
        redrawn.standard_errors[places],
        higher_is_better=SCORES[case.score].higher_is_better,
        bounds=_bounds(case.score),
        deviations=case.sign * deviations[:400],
    )


def _bounds(score: str) -> tuple[float, float]:
    low, high = SCORES[score].bounds
    return -np.inf if low is None else low, np.inf if high is None else high


def growth_figure(found: Sequence[Analysis], known: Mapping[str, Look], name: str) -> Figure | None:
    """The fitted shapes with their intervals, three times as far as the sizes go."""
    case, bands, means = found[0].case, [], []
    for each in found:
        growth = growth_of(each)
        if growth is not None:
            bands.append(_band(each, growth))
            means.append(_means(each))
    if not bands:
        return None
    fitted = Layer(
        "line", pd.concat(bands, ignore_index=True), x="n", y="fit", series="strategy", quiet=True,
        tips={"least": "95 % interval from", "most": "to"},
    )  # fmt: skip
    return Figure(
        name=name,
        title=f"{case.task.label}: the shapes of the curves, and where they go",
        description="The fitted shape of every curve, three times as far as the largest size, over the measured means.",
        x=sizes_axis([int(n) for n in case.sizes], case.task, [int(BEYOND * case.sizes[-1])]),
        y=Axis(score_label(case.score, case.task)),
        layers=(fitted, Layer("dot", pd.concat(means, ignore_index=True), x="n", y="mean", series="strategy")),
        looks=known,
        caption="Lines are the shapes that predict held-out sizes best (power law, exponential, two phases or flat). Beyond the "
        "largest measured size they are extrapolations, and no curve of these shapes falls.",
    )


def _band(analysis: Analysis, growth: Growth) -> pd.DataFrame:
    sizes = np.geomspace(growth.sizes[0], BEYOND * growth.sizes[-1], N_POINTS).round()
    band = growth.at(sizes)
    values = {"n": sizes, "fit": band.value, "least": band.low, "most": band.high}
    return pd.DataFrame({"strategy": analysis.case.strategy, **values})


def _means(analysis: Analysis) -> pd.DataFrame:
    case = analysis.case
    return pd.DataFrame(
        {"strategy": case.strategy, "n": case.sizes, "mean": case.sign * analysis.redrawn.curve}
    ).dropna()


def growth_items(found: Sequence[Analysis], name: str, reach: float | None) -> list[Item]:
    """Shape, asymptote and rate of every curve as a table, and the scans that a score needs."""
    rows, left_out = [], []
    for each in found:
        growth = growth_of(each)
        if growth is not None:
            rows.append(_row(each, growth, reach))
            left_out += [
                f"{each.case.strategy}: {shape} was not tried, {why}." for shape, why in growth.left_out.items()
            ]
    if not rows:
        return [Text("A shape needs two sizes or more with replicates.", "quiet")]
    headings = ["Strategy", "Shape", "With endless data (95 % interval)", "Gain of twice the largest size"]
    headings += [f"Scans for {number(reach, 2)}"] if reach is not None else []
    caution = (
        "Intervals are of this pool and this protocol; what lies beyond the largest size rests on the shape alone."
    )
    return [Table(name, "The shapes of the curves", headings, rows), Text(" ".join([caution, *left_out]), "quiet")]


def _row(analysis: Analysis, growth: Growth, reach: float | None) -> list[str]:
    digits = digits_of(analysis)
    row = [
        analysis.case.strategy,
        _shape_words(growth),
        _with_ends(growth.asymptote, digits),
        _with_ends(growth.rate, digits),
    ]
    return row if reach is None else [*row, needed_words(scans_needed(growth, reach))]


def _shape_words(growth: Growth) -> str:
    """The chosen shape, and that none describes the curve where even this one does not."""
    p = growth.fits[growth.shape].p
    return growth.shape if p >= UNFIT else f"{growth.shape}; no shape fits ({p_equals(p)})"


def _with_ends(estimate: Estimate, digits: int) -> str:
    return f"{number(estimate.value, digits)} ({number(estimate.low, digits)} to {number(estimate.high, digits)})"


def needed_words(needed: Needed) -> str:
    """The scans that a score needs, with their interval and what to keep in mind.

    Example:
        >>> needed_words(Needed(0.8, 210.0, 212.0, 180.0, float("inf"), 0.04, 0.5, False, ""))
        '212 (180 to more than any)'
    """
    low, median, high = (_scans(value) for value in (needed.low, needed.median, needed.high))
    return f"{median} ({low} to {high})" + (f"; {needed.caution}" if needed.caution else "")


def _scans(value: float) -> str:
    return "more than any" if np.isinf(value) else f"{value:.0f}"
