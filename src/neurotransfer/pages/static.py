"""The figures of a page without a browser: as SVG inside the page, and as files for papers."""

import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure as Drawing

from neurotransfer.artifacts import write_atomically, write_table
from neurotransfer.pages.contents import figures_of
from neurotransfer.pages.drawing import static_figure
from neurotransfer.pages.model import Figure, Page
from neurotransfer.pages.shown import combinations
from neurotransfer.pages.style import SETTINGS, svg

__all__ = ["save_figures", "static_figure", "static_svg"]
RESOLUTION = 300
# without dates and versions: the same figure gives the same bytes
WITHOUT_DATE: Mapping[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "png": {"Software": None},
}


def static_svg(figure: Figure, chosen: Mapping[str, str] | None = None) -> str:
    """A figure as an SVG element that can stand inside a page; the same for the same figure."""
    return svg(static_figure(figure, chosen), figure.name, figure.description or figure.title)


def save_figures(page: Page, folder: Path | str) -> list[Path]:
    """Save every figure of a page as SVG, PDF and PNG (300 dpi), one a combination of choices, and its numbers as CSV.

    A file is called as the figure, followed by the chosen options. The tables are whole: they have a column for each choice.

    Returns:
        The paths of the files, in the order of the page.

    Raises:
        StorageError: when the place cannot be written.
    """
    folder = Path(folder)
    return [path for figure in figures_of(page) for path in (*_drawn(figure, folder), *_numbers(figure, folder))]


def file_stem(figure: Figure, chosen: Mapping[str, str]) -> str:
    """The name of a figure's files without the ending: its own name and the options, as far as file names take them."""
    parts = [figure.name, *(chosen[choice.column] for choice in figure.choices)]
    return "-".join(_safe(part) for part in parts)


def _safe(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", text).strip("_") or "_"


def _drawn(figure: Figure, folder: Path) -> list[Path]:
    return [
        path for chosen in combinations(figure) for path in _save(figure, chosen, folder / file_stem(figure, chosen))
    ]


def _save(figure: Figure, chosen: Mapping[str, str], stem: Path) -> list[Path]:
    drawing = static_figure(figure, chosen)
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("svg", "pdf", "png")]
    title = svg(drawing, figure.name, figure.description or figure.title)
    write_atomically(paths[0], lambda temporary: temporary.write_text(_alone(title), encoding="utf-8"))
    # the places are found: to look for them again takes half of the time
    drawing.set_layout_engine("none")
    for path in paths[1:]:
        write_atomically(path, _writer(drawing, path.suffix[1:]))
    return paths


def _alone(text: str) -> str:
    return '<?xml version="1.0" encoding="utf-8"?>\n' + text


def _writer(drawing: Drawing, ending: str) -> Callable[[Path], None]:
    def write(temporary: Path) -> None:
        # fonttype 42: journals refuse the default, and text stays text
        with matplotlib.rc_context({**SETTINGS, "pdf.fonttype": 42}):
            drawing.savefig(temporary, format=ending, dpi=RESOLUTION, metadata=WITHOUT_DATE[ending])

    return write


def _numbers(figure: Figure, folder: Path) -> list[Path]:
    """A table a layer; that of the first one with a series or a value is called as the figure."""
    layers = [layer for layer in figure.layers if layer.mark != "rule"]
    first = next((layer for layer in layers if layer.series is not None or layer.value is not None), None)
    counts = itertools.count(2)
    paths = []
    for layer in layers:
        name = "" if layer is (first or layers[0]) else f"-{_safe(layer.label) if layer.label else next(counts)}"
        paths.append(folder / f"{_safe(figure.name)}{name}.csv")
        write_table(paths[-1], layer.table.drop(columns=[layer.picture] if layer.picture else []))
    return paths
