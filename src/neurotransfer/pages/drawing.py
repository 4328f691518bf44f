"""Any figure of a page as matplotlib draws it."""

from collections.abc import Mapping
from dataclasses import replace
from textwrap import wrap
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator

from neurotransfer.pages.looks import STEPS, Look
from neurotransfer.pages.marks import DASHES, DRAW, Scene, colour_map
from neurotransfer.pages.model import Axis, Figure, Layer
from neurotransfer.pages.shown import Shown, series_of, shown
from neurotransfer.pages.style import GREY, HEIGHT, INK, SETTINGS, WIDTH, axes, legend_below
from neurotransfer.pages.style import figure as empty_figure

CELL_SIDE = 0.62
LONG_LABEL = 9
LONGEST_UP = 44
NARROW, LEGEND_ROW = 4.4, 0.19


def static_figure(figure: Figure, chosen: Mapping[str, str] | None = None) -> Drawing:
    """A figure as matplotlib draws it, with the options of `chosen` (`{choice column: value}`), the first ones where not given.

    Raises:
        InputError: for a choice or an option that the figure does not have.
    """
    found = _coloured(shown(figure, chosen))
    handles = _handles(found)
    with matplotlib.rc_context(SETTINGS):
        drawing = empty_figure(*_size(found, handles))
        ax = axes(drawing)
        scene = _scene(found, ax)
        for layer, rows in found.layers:
            DRAW[layer.mark](scene, layer, rows)
        _dress(ax.xaxis, found, figure.x, scene)
        _dress(ax.yaxis, found, figure.y, scene)
        if figure.square:
            ax.set_box_aspect(1)
        _title(ax, found)
        _colour_key(drawing, ax, found)
        if handles:
            legend_below(drawing, handles, 3 if max(len(str(each.get_label())) for each in handles) < 26 else 2)
    return drawing


def _coloured(found: Shown) -> Shown:
    """With `colour_by`, the first layer has the series that are used at first."""
    names = list(found.figure.colour_by)
    if not names or not found.layers:
        return found
    (layer, rows), *others = found.layers
    if pd.api.types.is_numeric_dtype(rows[names[0]]) and rows[names[0]].dtype != bool:
        return found
    return replace(found, layers=((replace(layer, series=names[0]), rows), *others))


def _looks(found: Shown) -> dict[str, Look]:
    # by all rows of the layers, so that a series looks alike under every choice
    return series_of(replace(found.figure, layers=tuple(layer for layer, _ in found.layers)))


def _scene(found: Shown, ax: Any) -> Scene:
    figure = found.figure
    places = {
        which: {name: place for place, name in enumerate(found.categories(which))} if axis.scale == "category" else {}
        for which, axis in (("x", figure.x), ("y", figure.y))
    }
    across = np.concatenate(
        [[], *(_numbers(rows[layer.x]) for layer, rows in found.layers if layer.x and not places["x"])]
    )
    return Scene(
        ax,
        _looks(found),
        places,
        found.scale(figure.x) == "log",
        float(np.ptp(across)) if len(across) else float(len(places["x"])),
        figure.colours,
        _colour_ends(found),
    )


def _numbers(values: pd.Series) -> np.ndarray:
    numbers = values.to_numpy(float)
    return numbers[np.isfinite(numbers)]


def _colour_ends(found: Shown) -> tuple[float, float]:
    values = np.concatenate([[], *(_numbers(rows[layer.value]) for layer, rows in found.layers if layer.value)])
    if found.figure.ends is not None:
        return found.figure.ends
    if found.figure.colours == "probability" or not len(values):
        return 0.0, 1.0
    most = float(np.abs(values).max()) or 1.0
    return (-most, most) if found.figure.colours == "diverging" else (float(values.min()), float(values.max()))


def _size(found: Shown, handles: list[Any]) -> tuple[float, float]:
    figure = found.figure
    if any(layer.mark == "cell" for layer, _ in found.layers):
        names = [found.categories(which) for which in "xy"]
        room = 0.085 * max((len(name) for name in names[1]), default=0)
        wide = CELL_SIDE * max(len(names[0]), 4) + room + 1.2
        return wide, max(0.45 * max(len(names[1]), 3), wide - room - 1.2 if figure.square else 0) + 1.6
    width, height = (NARROW, NARROW - 0.2) if figure.square else (WIDTH, HEIGHT)
    return width, height + LEGEND_ROW * max(0, len(handles) // 2 - 2)


def _dress(side: Any, found: Shown, axis: Axis, scene: Scene) -> None:
    """Scale, ends, ticks and label of an axis."""
    ax, which = side.axes, side.axis_name
    places = scene.places[which]
    if places:
        _categories(side, list(places))
    elif found.scale(axis) == "log":
        getattr(ax, f"set_{which}scale")("log")
        side.set_major_locator(LogLocator(subs=(1, 2, 5)))
        side.set_minor_locator(NullLocator())
        side.set_major_formatter(FuncFormatter(_plain))
    if axis.ticks:
        side.set_major_locator(FixedLocator(list(axis.ticks)))
        side.set_minor_locator(NullLocator())
        side.set_major_formatter(FuncFormatter(_plain))
    if axis.ends is not None and not places:
        margin = 0.0 if found.scale(axis) == "log" else 0.02 * (axis.ends[1] - axis.ends[0])
        getattr(ax, f"set_{which}lim")(axis.ends[0] - margin, axis.ends[1] + margin)
    if which == "y" and _is_mirrored(found):
        side.set_major_formatter(FuncFormatter(lambda value, _: _plain(abs(value))))
    label = found.label(axis)
    side.set_label_text("\n".join(wrap(label, LONGEST_UP)) if which == "y" else label)


def _plain(value: float, _: object = None) -> str:
    return f"{value:.10g}".replace("-", "−")


def _is_mirrored(found: Shown) -> bool:
    """Whether bars go both ways: counts of two groups, of which none is negative."""
    bars = [rows[layer.y] for layer, rows in found.layers if layer.mark == "bar" and layer.y is not None]
    return any((heights < 0).any() for heights in bars)


def _categories(side: Any, names: list[str]) -> None:
    side.set_major_locator(FixedLocator(range(len(names))))
    side.set_major_formatter(FixedFormatter(names))
    limits = (-0.5, len(names) - 0.5)
    if side.axis_name == "y":
        # the first category on top, as a table is read
        side.axes.set_ylim(*limits[::-1])
    else:
        side.axes.set_xlim(*limits)
        if max((len(name) for name in names), default=0) > LONG_LABEL:
            side.set_tick_params(rotation=35)
            for label in side.get_ticklabels():
                label.set(ha="right", rotation_mode="anchor")
    side.set_tick_params(length=0)
    side.grid(visible=False)


def _title(ax: Any, found: Shown) -> None:
    options = found.options()
    ax.set_title("\n".join([found.figure.title, *([options] if options else [])]), fontsize=10.5)
    if not any(len(rows) for layer, rows in found.layers if layer.mark != "rule"):
        ax.text(0.5, 0.5, "nothing to show", transform=ax.transAxes, ha="center", color=GREY)


def _colour_key(drawing: Drawing, ax: Any, found: Shown) -> None:
    """A bar of colours where cells have values; steps of p have a legend instead."""
    figure = found.figure
    is_cells = any(layer.value is not None for layer, _ in found.layers)
    if is_cells and figure.colours != "probability" and figure.colour_label:
        scale = ScalarMappable(Normalize(*_colour_ends(found)), colour_map(figure.colours))
        drawing.colorbar(scale, ax=ax, label=figure.colour_label, shrink=0.8, aspect=30)


def _handles(found: Shown) -> list[Any]:
    """What the legend shows: series, what filled markers mean, quiet layers, rules."""
    looks = _looks(found)
    handles = [handle for layer, rows in found.layers for handle in _of_layer(layer, rows, looks, found)]
    unique = {str(handle.get_label()): handle for handle in handles}
    if any(layer.filled is not None for layer, _ in found.layers):
        unique |= {text: _key(key, text) for key, text in found.figure.keys.items()}
    return list(unique.values()) if len(unique) > 1 else []


def _of_layer(layer: Layer, rows: pd.DataFrame, looks: Mapping[str, Look], found: Shown) -> list[Any]:
    if layer.mark == "cell":
        return _steps(found)
    if layer.quiet or layer.mark == "rule":
        return _quiet_handles(layer, rows)
    if layer.series is None:
        return [Line2D([], [], color=INK, marker="o", linestyle="", label=layer.label)] if layer.label else []
    names = [name for name in looks if (rows[layer.series].astype(str) == name).any()]
    if layer.mark == "bar":
        return [Patch(facecolor=looks[name].colour, label=name) for name in names]
    style: dict[str, Any] = {"linewidth": 1.5} if layer.mark == "line" else {"linestyle": ""}
    return [
        Line2D([], [], color=looks[name].colour, marker=looks[name].marker, markersize=6, label=name, **style)
        for name in names
    ]


def _quiet_handles(layer: Layer, rows: pd.DataFrame) -> list[Any]:
    if layer.mark == "rule":
        style: Any = (0, (2, 2)) if layer.quiet else "-"
        return [Line2D([], [], color=GREY, linewidth=1, linestyle=style, label=layer.label)] if layer.label else []
    before = f"{layer.label}: " if layer.label else ""
    series = [] if layer.series is None else list(dict.fromkeys(rows[layer.series].astype(str)))
    names = [before + name for name in series] if layer.series is not None else [layer.label]
    dots: dict[str, Any] = {"marker": "o", "linestyle": ""} if layer.mark == "dot" else {}
    return [
        Line2D([], [], color=GREY, linewidth=1, label=name, **({"linestyle": DASHES[index % len(DASHES)]} | dots))
        for index, name in enumerate(names)
        if name
    ]


def _steps(found: Shown) -> list[Any]:
    if found.figure.colours != "probability":
        return []
    texts = [f"p < {below:g}" for below, _ in STEPS[:-1]] + [f"p ≥ {STEPS[-2][0]:g}"]
    return [Patch(facecolor=colour, edgecolor=GREY, label=text) for (_, colour), text in zip(STEPS, texts, strict=True)]


def _key(key: str, text: str) -> Line2D:
    face = INK if key == "filled" else "white"
    return Line2D([], [], linestyle="", marker="o", markersize=6, markeredgecolor=INK, markerfacecolor=face, label=text)
