"""Figures of single tables: distributions in bars, observed against predicted, ROC curves, calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neurotransfer.pages.looks import looks
from neurotransfer.pages.model import Axis, Figure, Layer
from neurotransfer.report.prediction_tables import agreement, axis_ends, roc_curve
from neurotransfer.report.wording import number
from neurotransfer.statistics.metrics import auc

MOST_BARS = 25
# more dots than this are counted in bins: a page stays small, and a cloud can be read
MOST_DOTS = 2000
ALL = "all"
_STEPS = (1, 2, 5, 10, 20)


@dataclass(frozen=True)
class Bars:
    """Counts in bins of one `width`: `table` has `start`, `end`, `middle`, `group` and `scans`, a row a bin and group."""

    table: pd.DataFrame
    width: float


def axis_label(name: str, unit: str) -> str:
    """The name of an axis, with its unit where there is one.

    Example:
        >>> axis_label("age", "years"), axis_label("cjv", "")
        ('age (years)', 'cjv')
    """
    return f"{name} ({unit})" if unit else name


def diagonal(ends: tuple[float, float], label: str) -> Layer:
    """The line from the lower end of both axes to the upper one, as something to compare with.

    Example:
        >>> diagonal((0.0, 1.0), "chance").table.values.tolist()
        [[0.0, 0.0, 1.0, 1.0]]
    """
    line = pd.DataFrame({"x": [ends[0]], "y": [ends[0]], "x_end": [ends[1]], "y_end": [ends[1]]})
    return Layer("rule", line, x="x", y="y", x_end="x_end", y_end="y_end", label=label, quiet=True)


def round_width(values: np.ndarray, most: int = MOST_BARS) -> float:
    """The width of bins that reads best: 1, 2 or 5 times a power of ten, so that at most `most` hold all values.

    Example:
        >>> round_width(np.array([20.0, 81.0])), round_width(np.array([3.0, 3.0]))
        (5.0, 1.0)
    """
    span = float(np.ptp(values))
    # values that are equal but for rounding stand in one bin
    if not span > 1e-9 * max(1.0, float(np.abs(values).max())):
        return 1.0
    power = 10.0 ** np.floor(np.log10(span / most))
    return float(next(step * power for step in _STEPS if span / (step * power) <= most - 1))


def bars_of(values: np.ndarray, groups: Sequence[str] | None = None, most: int = MOST_BARS) -> Bars:
    """Values counted in bins with round ends, by group; values that are missing count nothing.

    Example:
        >>> bars_of(np.array([1.0, 1.5, 9.0]), most=10).table[["start", "end", "scans"]].values.tolist()
        [[1.0, 2.0, 2.0], [9.0, 10.0, 1.0]]
    """
    rows = pd.DataFrame({"value": values, "group": list(groups) if groups is not None else ALL}).dropna()
    if not len(rows):
        return Bars(pd.DataFrame(columns=["start", "end", "middle", "group", "scans"]), 1.0)
    width = round_width(rows["value"].to_numpy(), most)
    # a value that stands on an end belongs to the bin above, whatever rounding says
    rows["bin"] = np.floor(np.round(rows["value"] / width, 9)).astype(int)
    counted = rows.groupby(["bin", "group"], sort=True).size().rename("scans").reset_index()
    digits = max(0, int(-np.floor(np.log10(width))) + 1)
    start = (counted["bin"] * width).round(digits)
    table = counted.assign(
        start=start, end=(start + width).round(digits), middle=((counted["bin"] + 0.5) * width).round(digits + 1)
    )
    return Bars(table[["start", "end", "middle", "group", "scans"]], width)


def distribution(
    name: str,
    title: str,
    x: str,
    values: np.ndarray,
    *,
    groups: Sequence[str] | None = None,
    rules: Mapping[str, float] | None = None,
    counted: str = "scans",
    caption: str = "",
) -> Figure:
    """A histogram, stacked by group where groups are given, with a rule at each named value.

    Args:
        name: of the figure.
        title: above it.
        x: the name of the axis with its unit.
        values: (n,); missing ones count nothing.
        groups: of every value, (n,).
        rules: words to the value at which a rule stands.
        counted: what is counted.
        caption: below it.
    """
    bars = bars_of(values, groups)
    order = sorted(set(bars.table["group"]))
    several = groups is not None and len(order) > 1
    tips = {"start": "from", "end": "to below"} | ({"group": "group"} if several else {})
    series = "group" if several else None
    layers = [Layer("bar", bars.table, x="middle", y="scans", series=series, width=bars.width, tips=tips)]
    if rules:
        lines = pd.DataFrame({"at": list(rules.values()), "limit": list(rules)})
        layers.append(Layer("rule", lines, x="at", tips={"limit": "limit"}, label="limit", quiet=True))
    described = f"Number of {counted} by {x}" + (", stacked by group." if several else ".")
    shown = looks(order) if several else {}
    return Figure(name, title, described, Axis(x), Axis(counted), tuple(layers), looks=shown, caption=caption)


def agreement_figure(
    name: str, title: str, rows: pd.DataFrame, unit: str = "", tips: Mapping[str, str] | None = None
) -> Figure:
    """Predicted against observed values: a dot a scan, or a bubble a bin of the plane where there are very many.

    Args:
        name: of the figure.
        title: above it.
        rows: `observed`, `predicted` and the columns of `tips`; a column `group` colours dots.
        unit: of both axes.
        tips: columns that are shown of a dot; without them nobody is shown by themselves, whatever the number.
    """
    rows = rows.dropna(subset=["observed", "predicted"])
    ends = axis_ends(rows)
    if tips is not None and len(rows) <= MOST_DOTS:
        series = "group" if "group" in rows and rows["group"].nunique() > 1 else None
        table = rows[[*dict.fromkeys(["observed", "predicted", *([series] if series else []), *tips])]]
        dots = Layer("dot", table, x="observed", y="predicted", series=series, tips=dict(tips))
    else:
        found = agreement(rows, ends)
        table = pd.DataFrame({"observed": found.x, "predicted": found.y, "scans": found.counts.astype(int)})
        dots = Layer("dot", table, x="observed", y="predicted", size="scans", tips={"scans": "scans"})
    return agreement_of_layer(name, title, dots, unit, ends)


def agreement_of_layer(name: str, title: str, dots: Layer, unit: str, ends: tuple[float, float]) -> Figure:
    """The plane of observed and predicted values with the line on which both are equal."""
    margin = 0.03 * (ends[1] - ends[0])
    limits = (ends[0] - margin, ends[1] + margin)
    equal = diagonal(ends, "predicted as observed")
    what = "a dot a scan" if dots.size is None else "a bubble a bin, its area the number of scans"
    shown = looks(sorted(set(dots.table[dots.series]))) if dots.series else {}
    return Figure(
        name,
        title,
        f"Predicted against observed values, {what}; on the line both are equal.",
        Axis(axis_label("observed", unit), ends=limits),
        Axis(axis_label("predicted", unit), ends=limits),
        (dots, equal),
        looks=shown,
        square=True,
        caption=f"{what.capitalize()}. On the line a prediction is what was observed.",
    )


def roc_table(happened: Mapping[str, np.ndarray], probability: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """ROC curves of some classes: `class` (with its area), `others` and `recognised`, shares from 0 to 1."""
    parts = []
    for label, truth in happened.items():
        area = auc(np.asarray(truth, float), probability[label])
        if np.isfinite(area):
            across, up = roc_curve(np.asarray(truth, float), np.asarray(probability[label], float))
            parts.append(
                pd.DataFrame({"class": f"{label} (area {number(area, 2)})", "others": across, "recognised": up})
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["class", "others", "recognised"])


def roc_figure(name: str, title: str, table: pd.DataFrame) -> Figure:
    """The ROC curves of `roc_table`, with the line of chance."""
    return Figure(
        name,
        title,
        "Share of a class that is recognised against the share of others that is taken for it, as the threshold falls.",
        Axis("share of others taken for the class", ends=(0.0, 1.0)),
        Axis("share of the class recognised", ends=(0.0, 1.0)),
        (
            Layer("line", table, x="others", y="recognised", series="class"),
            diagonal((0.0, 1.0), "chance"),
        ),
        looks=looks(list(dict.fromkeys(table["class"]))),
        square=True,
        caption="A curve above the line tells the class from the others; along the line is chance.",
    )


def calibration_figure(name: str, title: str, table: pd.DataFrame, unit: str = "", *, of_classes: bool) -> Figure:
    """What was observed among those that were predicted alike, with 95 % intervals: a point a bin.

    Args:
        name: of the figure.
        title: above it.
        table: from `calibration_of_values` or `calibration_of_classes`; a column `class` gives series.
        unit: of a continuous target.
        of_classes: whether both axes are shares.
    """
    series = "class" if "class" in table and table["class"].nunique() > 1 else None
    every = table[["predicted", "observed", "low", "high"]].to_numpy(float)
    ends = (0.0, 1.0) if of_classes else (float(np.nanmin(every)), float(np.nanmax(every)))
    tips = {"predictions": "scans", "participants": "people"}
    x = "probability that was given" if of_classes else axis_label("predicted, mean of a bin", unit)
    y = "share that came true" if of_classes else axis_label("observed, mean of a bin", unit)
    return Figure(
        name,
        title,
        "What was observed against what was predicted, a point a bin of like predictions, with 95 % intervals.",
        Axis(x, ends=ends if of_classes else None),
        Axis(y, ends=ends if of_classes else None),
        (
            Layer("line", table, x="predicted", y="observed", series=series, low="low", high="high", tips=tips),
            diagonal(ends, "as predicted"),
        ),
        looks=looks(list(dict.fromkeys(table["class"]))) if series else {},
        square=True,
        caption="Points on the line: predictions mean what they say. Bars are 95 % intervals; of a few scans they are wide.",
    )
