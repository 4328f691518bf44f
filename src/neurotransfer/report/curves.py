"""Learning curves and epochs: a table -> a figure."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

from neurotransfer.pages.looks import Look
from neurotransfer.pages.style import GREY, HEIGHT, INK, axes, figure, legend_below
from neurotransfer.report.folder import Task
from neurotransfer.statistics import SCORES

LOGARITHMIC_ABOVE = 5
ERRORS_LOGARITHMIC_ABOVE = 5
TICKS_APART = 1.6
OVERLAY_ROOM = 1.1
_DASHES = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 3)), (0, (3, 1, 1, 1, 1, 1)))


def is_logarithmic(sizes: Sequence[float]) -> bool:
    """Whether sizes span so much that they are shown on a logarithmic axis."""
    return max(sizes) > LOGARITHMIC_ABOVE * min(sizes)


def learning_curves(
    curve: pd.DataFrame, task: Task, looks: dict[str, Look], statistic: str, published: pd.DataFrame | None = None
) -> Figure:
    """The score shown against n, a line a strategy; a marker is filled where it beats the next best one at p < 0.05.

    Args:
        curve: from `tables.curve_table`, for the same statistic.
        task: what was predicted.
        looks: colour and marker of each strategy.
        statistic: "mean" (with bars of 1.96 SEM) or "median".
        published: curves to lay under, from `published_curves`.
    """
    drawing = figure(height=HEIGHT + (OVERLAY_ROOM if published is not None else 0))
    ax = axes(drawing)
    overlay = _published_lines(ax, published, task, statistic)
    under = [float(n) for line in overlay for n in np.asarray(line.get_xdata(), float)]
    sizes = pd.Series([*curve["n"], *under], dtype=float)
    names = [name for name in looks if (curve["strategy"] == name).any()]
    for index, name in enumerate(names):
        rows = curve[curve["strategy"] == name].sort_values("n")
        _curve(ax, rows, looks[name], name, _aside(rows["n"], index - (len(names) - 1) / 2, sizes))
    level = SCORES[task.score].chance_level(len(task.classes))
    if level is not None:
        ax.axhline(level, color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        ax.annotate("chance", (1, level), (-2, 2), ax.get_yaxis_transform(), "offset points", ha="right", color=GREY)
    _sizes_axis(ax, sorted({int(n) for n in curve["n"]}), sorted({int(n) for n in sizes}), task.counted)
    if not SCORES[task.score].higher_is_better:
        _errors_axis(ax, curve["value"].to_numpy(float))
    ax.set_ylabel(f"{SCORES[task.score].label}{f' ({task.unit})' if task.score == 'mae' and task.unit else ''}")
    ax.set_title(f"{task.label}: {statistic}{' ± 1.96 SEM' if statistic == 'mean' else ''}", fontsize=10.5)
    handles = [_handle(looks[name], name) for name in names]
    keys = _marker_keys()
    legend_below(drawing, keys + handles + overlay if overlay else handles + keys, 2 if overlay else 3)
    return drawing


def _curve(ax: Axes, rows: pd.DataFrame, look: Look, name: str, x: np.ndarray) -> None:
    ax.plot(x, rows["value"], color=look.colour, linewidth=1.5, zorder=2)
    if rows["low"].notna().any():
        ax.vlines(x, rows["low"], rows["high"], color=look.colour, linewidth=1.2, zorder=2)
    faces = [look.colour if better else "white" for better in rows["better"]]
    ax.scatter(x, rows["value"], s=46, marker=look.marker, c=faces, edgecolors=look.colour, zorder=3, gid=name)


def _aside(n: pd.Series, step: float, sizes: pd.Series) -> np.ndarray:
    """Sizes moved a little, so that the bars of strategies with like scores stand beside one another."""
    x = n.to_numpy(float)
    return x * 1.012**step if is_logarithmic(sizes) else x + 0.006 * step * (sizes.max() - sizes.min())


def _published_lines(ax: Axes, published: pd.DataFrame | None, task: Task, statistic: str) -> list[Line2D]:
    if published is None:
        return []
    fitting = published[(published["statistic"] == statistic) & (published["score"] == task.score)]
    lines: list[Line2D] = []
    for (talk, strategy), rows in fitting.groupby(["talk", "strategy"], sort=True):
        style = _DASHES[len(lines) % len(_DASHES)]
        label = f"published: {strategy} ({str(talk).title()})"
        lines += ax.plot(rows["n"], rows["value"], color=GREY, linewidth=1, linestyle=style, label=label, zorder=1)
    return lines


def _handle(look: Look, name: str) -> Line2D:
    return Line2D([], [], color=look.colour, marker=look.marker, markersize=6, linewidth=1.5, label=name)


def _marker_keys() -> list[Line2D]:
    keys = (("filled: beats the next best", INK), ("hollow: it does not, or is last", "white"))
    return [
        Line2D([], [], linestyle="", marker="o", markersize=6, markeredgecolor=INK, markerfacecolor=face, label=label)
        for label, face in keys
    ]


def _sizes_axis(ax: Axes, sizes: list[int], every: Sequence[int], counted: str) -> None:
    """Ticks at the sizes of the study, and at those of published curves that stand well apart from the tick before."""
    ticks = list(sizes)
    for n in sorted(set(every) - set(sizes)):
        if all(max(n, tick) >= TICKS_APART * min(n, tick) for tick in ticks):
            ticks.append(n)
    if is_logarithmic(every or sizes):
        ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    ax.set_xlabel(f"n, training {counted}")


def _errors_axis(ax: Axes, errors: np.ndarray) -> None:
    """Make the axis of errors logarithmic when one bad strategy would press the others together."""
    if errors.min() <= 0 or errors.max() <= ERRORS_LOGARITHMIC_ABOVE * errors.min():
        return
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def epochs_figure(table: pd.DataFrame, task: Task, looks: dict[str, Look]) -> Figure:
    """How many epochs the selected fits ran against n, mean ± SEM, a line a strategy that trains."""
    drawing = figure(height=3.1)
    ax = axes(drawing)
    names = [name for name in looks if (table["strategy"] == name).any()]
    for index, name in enumerate(names):
        rows = table[table["strategy"] == name].sort_values("n")
        x = _aside(rows["n"], index - (len(names) - 1) / 2, table["n"])
        look = looks[name]
        ax.errorbar(x, rows["mean"], rows["sem"].fillna(0), color=look.colour, marker=look.marker, linewidth=1.5)
    _sizes_axis(ax, sorted({int(n) for n in table["n"]}), (), task.counted)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("Epochs")
    ax.set_title(f"{task.label}: epochs, mean ± SEM", fontsize=10.5)
    legend_below(drawing, [_handle(looks[name], name) for name in names])
    return drawing
