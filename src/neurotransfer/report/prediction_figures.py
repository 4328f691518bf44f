"""Observed against predicted, and ROC curves: a table of predictions -> a figure."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neurotransfer.pages.looks import Look
from neurotransfer.pages.style import GREY, axes, figure, legend_below
from neurotransfer.report.folder import Task
from neurotransfer.report.prediction_tables import Agreement, roc_curve
from neurotransfer.report.wording import number
from neurotransfer.statistics.metrics import auc

SIDE = 3.5
LARGEST, SMALLEST = 80.0, 3.0


def agreement_figure(found: Agreement, task: Task, strategy: str, look: Look) -> Figure:
    """Predicted against observed values of one strategy: a bubble a bin, its area the number of predictions in it."""
    drawing = figure(SIDE, SIDE)
    ax = axes(drawing)
    ax.plot(found.ends, found.ends, color=GREY, linewidth=1, zorder=1)
    # few sizes, each drawn as one marker that is used many times: a page stays ten times smaller
    areas = np.maximum(LARGEST * found.counts / found.counts.max(), SMALLEST)
    widths = np.round(np.sqrt(areas) * 2) / 2
    for width in np.unique(widths):
        of_width = widths == width
        ax.plot(
            found.x[of_width],
            found.y[of_width],
            "o",
            color=look.colour,
            markersize=width,
            alpha=0.75,
            markeredgewidth=0,
        )
    margin = 0.03 * (found.ends[1] - found.ends[0])
    limits = (found.ends[0] - margin, found.ends[1] + margin)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    unit = f" ({task.unit})" if task.unit else ""
    ax.set_xlabel(f"observed{unit}")
    ax.set_ylabel(f"predicted{unit}")
    ax.set_title(f"{strategy}\nMAE {number(found.mae, 2)}, r {number(found.r, 2)}", fontsize=9.5)
    return drawing


def roc_figure(predictions: pd.DataFrame, task: Task, looks: dict[str, Look]) -> Figure:
    """The ROC curve of each strategy over the test predictions of all replicates together, its area in the legend."""
    drawing = figure(4.6, 5.0)
    ax = axes(drawing)
    lines = [ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (2, 2)), label="chance")[0]]
    for name, look in looks.items():
        rows = predictions[predictions["strategy"] == name]
        observed, predicted = rows["observed"].to_numpy(float), rows["predicted"].to_numpy(float)
        area = auc(observed, predicted) if len(rows) else float("nan")
        if not np.isnan(area):
            across, up = roc_curve(observed, predicted)
            label, every = f"{name} ({number(area, 2)})", max(1, len(across) // 6)
            lines += ax.plot(
                across, up, color=look.colour, marker=look.marker, markersize=4, markevery=every, label=label
            )
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    positive = task.classes[1] if len(task.classes) > 1 else "1"
    ax.set_xlabel(f"share of others taken for {positive!r}")
    ax.set_ylabel(f"share of {positive!r} recognised")
    ax.set_title(f"{task.label}: ROC curves (area)", fontsize=10.5)
    legend_below(drawing, lines[1:] + lines[:1], columns=2)
    return drawing
