"""How each mark of a layer is drawn with matplotlib."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, to_rgb
from matplotlib.patches import Rectangle

from neurotransfer.pages.looks import COLOUR_MAPS, STEPS, Look
from neurotransfer.pages.model import Layer
from neurotransfer.pages.style import GREY, INK

DASHES = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 3)), (0, (3, 1, 1, 1, 1, 1)))
LARGEST, SMALLEST = 80.0, 3.0
MANY_POINTS = 40
# the luminance on which white and INK are read equally well
EVEN = 0.213
ONE = ""


@dataclass(frozen=True)
class Scene:
    """What all marks of a figure share.

    Args:
        ax: where they are drawn.
        looks: of every series.
        places: category to place by axis (`x`, `y`); empty where an axis is none of categories.
        is_log: whether the horizontal axis is logarithmic.
        span: the extent of the horizontal axis.
        colours: the scale of cells.
        ends: of that scale.
    """

    ax: Axes
    looks: Mapping[str, Look]
    places: Mapping[str, Mapping[str, int]]
    is_log: bool
    span: float
    colours: str
    ends: tuple[float, float]

    def along(self, which: str, values: pd.Series) -> np.ndarray:
        """Values of a column as places on an axis."""
        places = self.places[which]
        return values.astype(str).map(places).to_numpy(float) if places else values.to_numpy(float)


def colour_map(name: str) -> Colormap:
    """A scale of cells as matplotlib knows it."""
    return colormaps[COLOUR_MAPS[name]]


def cell_colour(value: float, colours: str, ends: tuple[float, float]) -> str | tuple[float, ...]:
    """The colour of a cell; white where there is no value.

    Example:
        >>> cell_colour(0.03, "probability", (0, 1)), cell_colour(float("nan"), "diverging", (-1, 1))
        ('#7fb9de', 'white')
    """
    if not np.isfinite(value):
        return "white"
    if colours == "probability":
        return next(colour for below, colour in STEPS if value < below)
    share = (value - ends[0]) / ((ends[1] - ends[0]) or 1)
    return colour_map(colours)(float(np.clip(share, 0, 1)))


def ink_on(colour: Any) -> str:
    """Black or white, whichever is read better on a colour (relative luminance of WCAG 2)."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return "white" if 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] < EVEN else INK


def _series(layer: Layer, rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if layer.series is None:
        return [(ONE, rows)]
    return [(str(name), part) for name, part in rows.groupby(layer.series, sort=False)]


def _line(scene: Scene, layer: Layer, rows: pd.DataFrame) -> None:
    parts = sorted(_series(layer, rows), key=lambda part: [*scene.looks, part[0]].index(part[0]))
    for index, (name, part) in enumerate(parts):
        places = scene.along("x", part[layer.x])
        order = np.argsort(places, kind="stable")
        part, places = part.iloc[order], places[order]
        if layer.quiet:
            style = DASHES[index % len(DASHES)]
            scene.ax.plot(places, part[layer.y], color=GREY, linewidth=1, linestyle=style, zorder=1, gid=name or None)
            continue
        look = scene.looks.get(name, Look(INK, "o"))
        if layer.low is not None:
            places = _aside(scene, places, index - (len(parts) - 1) / 2)
        scene.ax.plot(places, part[layer.y], color=look.colour, linewidth=1.5, zorder=2)
        _intervals(scene, layer, part, places, look.colour)
        _markers(scene, layer, part, places, look, name)


def _aside(scene: Scene, places: np.ndarray, step: float) -> np.ndarray:
    """Places moved a little, so that the bars of series with like values stand beside one another."""
    return places * 1.012**step if scene.is_log else places + 0.006 * step * scene.span


def _intervals(scene: Scene, layer: Layer, rows: pd.DataFrame, places: np.ndarray, colour: str) -> None:
    if layer.low is not None and layer.high is not None:
        low, high = (scene.along("y", rows[name]) for name in (layer.low, layer.high))
        known = np.isfinite(low) & np.isfinite(high)
        scene.ax.vlines(places[known], low[known], high[known], color=colour, linewidth=1.2, zorder=2)


def _markers(
    scene: Scene, layer: Layer, rows: pd.DataFrame, places: np.ndarray, look: Look, name: str, size: float = 46
) -> None:
    every = max(1, len(rows) // 6) if len(rows) > MANY_POINTS and layer.mark == "line" else 1
    filled = np.ones(len(rows), bool) if layer.filled is None else rows[layer.filled].eq(True).to_numpy(bool)
    faces = [look.colour if is_filled else "white" for is_filled in filled[::every]]
    heights = scene.along("y", rows[layer.y])[::every]
    scene.ax.scatter(
        places[::every],
        heights,
        s=size,
        marker=look.marker,
        c=faces,
        edgecolors=look.colour,
        zorder=3,
        gid=name or None,
    )


def _dot(scene: Scene, layer: Layer, rows: pd.DataFrame) -> None:
    largest = None if layer.size is None else float(rows[layer.size].max())
    for name, part in _series(layer, rows):
        look = scene.looks.get(name, Look(GREY if layer.quiet else INK, "o"))
        places = scene.along("x", part[layer.x])
        if layer.size is not None:
            _bubbles(scene, part, places, scene.along("y", part[layer.y]), part[layer.size] / largest, look.colour)
            continue
        _intervals(scene, layer, part, places, look.colour)
        _markers(scene, layer, part, places, look, name, 14 if len(rows) > MANY_POINTS else 40)


def _bubbles(scene: Scene, rows: pd.DataFrame, x: np.ndarray, y: np.ndarray, share: pd.Series, colour: str) -> None:
    # few sizes, each drawn as one marker that is used many times: a page stays ten times smaller
    widths = np.round(np.sqrt(np.maximum(LARGEST * share.to_numpy(float), SMALLEST)) * 2) / 2
    for width in np.unique(widths):
        of_width = widths == width
        scene.ax.plot(
            x[of_width], y[of_width], "o", color=colour, markersize=width, alpha=0.75, markeredgewidth=0, zorder=3
        )


def _bar(scene: Scene, layer: Layer, rows: pd.DataFrame) -> None:
    width = layer.width or 0.8
    ends: dict[tuple[float, bool], float] = {}
    for name, part in sorted(_series(layer, rows), key=lambda part: [*scene.looks, part[0]].index(part[0])):
        colour = scene.looks[name].colour if name in scene.looks else GREY
        for place, height in zip(scene.along("x", part[layer.x]), part[layer.y].to_numpy(float), strict=True):
            under = ends.get((place, height >= 0), 0.0)
            scene.ax.bar(place, height, width, under, color=colour, edgecolor="white", linewidth=0.4, zorder=2)
            ends[place, height >= 0] = under + height
    if any(not up for _, up in ends):
        scene.ax.axhline(0, color=INK, linewidth=1)


def _cell(scene: Scene, layer: Layer, rows: pd.DataFrame) -> None:
    x, y = scene.along("x", rows[layer.x]), scene.along("y", rows[layer.y])
    wide, high = _spacing(x), _spacing(y)
    values = rows[layer.value].to_numpy(float)
    texts = [""] * len(rows) if layer.text is None else rows[layer.text].fillna("").astype(str)
    for across, up, value, text in zip(x, y, values, texts, strict=True):
        colour = cell_colour(value, scene.colours, scene.ends)
        corner = (across - wide / 2, up - high / 2)
        scene.ax.add_patch(Rectangle(corner, wide, high, facecolor=colour, edgecolor="white", linewidth=0.8, zorder=1))
        if text:
            scene.ax.text(across, up, text, ha="center", va="center", fontsize=8, color=ink_on(colour))


def _spacing(places: np.ndarray) -> float:
    apart = np.diff(np.unique(places))
    return float(apart.min()) if len(apart) else 1.0


def _rule(scene: Scene, layer: Layer, rows: pd.DataFrame) -> None:
    style: dict[str, Any] = {
        "color": GREY,
        "linewidth": 1,
        "linestyle": (0, (2, 2)) if layer.quiet else "-",
        "zorder": 1,
    }
    for _, row in rows.iterrows():
        if layer.x is None and layer.y is not None:
            scene.ax.axhline(float(row[layer.y]), **style)
        elif layer.y is None and layer.x is not None:
            scene.ax.axvline(float(row[layer.x]), **style)
        elif layer.x_end is not None and layer.y_end is not None:
            scene.ax.plot([row[layer.x], row[layer.x_end]], [row[layer.y], row[layer.y_end]], **style)


DRAW: dict[str, Callable[[Scene, Layer, pd.DataFrame], None]] = {
    "line": _line,
    "dot": _dot,
    "bar": _bar,
    "cell": _cell,
    "rule": _rule,
}
