"""How static figures look: quiet axes, a legend that covers nothing, and SVG that can stand inside a page."""

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

GREY = "#767676"
LIGHT = "#d9d9d9"
INK = "#222222"
# what a path is made of, and the blanks in it that nobody needs
_PATH, _BESIDE_LETTERS = re.compile(r'(?<= d=")[^"]*'), re.compile(r"[ \n]*([A-Za-z])[ \n]*")
_STYLE = re.compile(r'(?<= style=")[^"]*')
WIDTH, HEIGHT = 5.4, 3.9
SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",
    "path.simplify": False,
}


def figure(width: float = WIDTH, height: float = HEIGHT) -> Figure:
    """An empty figure, sizes in inches, whose parts make room for one another."""
    with matplotlib.rc_context(SETTINGS):
        return Figure(figsize=(width, height), layout="constrained")


def axes(figure: Figure) -> Axes:
    """The one pair of axes of a figure, with a light horizontal grid and no box."""
    with matplotlib.rc_context(SETTINGS):
        ax = figure.subplots()
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color=LIGHT, linewidth=0.7)
    ax.set_axisbelow(True)
    return ax


def legend_below(figure: Figure, handles: Sequence[Any], columns: int = 3) -> None:
    """A legend under the axes, where it covers nothing."""
    with matplotlib.rc_context(SETTINGS):
        figure.legend(
            handles=list(handles),
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            fontsize=8.5,
            handlelength=2.4,
        )


def svg(figure: Figure, name: str, title: str) -> str:
    """A figure as an SVG element with text as text and a title for who cannot see it; the same for the same figure.

    `name` keeps the identifiers of several figures on one page apart.
    """
    buffer = StringIO()
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = text.replace("'DejaVu Sans', ", "").replace("'DejaVu Sans'", "sans-serif")
    text = _small(_without_idle_identifiers(text, name))
    opening = f'<svg role="img" font-family="sans-serif" aria-label="{_escaped(title)}" '
    text = text.replace("<svg ", opening, 1)
    return re.sub(r"(<svg [^>]*>)", lambda found: f"{found[1]}<title>{_escaped(title)}</title>", text, count=1)


def _small(text: str) -> str:
    """Without blanks, comments and empty groups, places in hundredths of a point: half as long, and the same to look at."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"[ \n]*(</?(?!tspan)[a-z]+[^>]*>)[ \n]*", lambda found: _rounded(found[1]), text)
    while "<g/>" in text or "<g></g>" in text:
        text = text.replace("<g/>", "").replace("<g></g>", "")
    return text


def _rounded(tag: str) -> str:
    """A tag whose numbers have two digits after the point, without blanks and without what is so anyway."""
    tag = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", tag.replace("font-family: sans-serif; ", ""))
    tag = _STYLE.sub(lambda style: re.sub(r"([:;]) ", r"\1", style[0]), tag)
    return _PATH.sub(lambda path: _BESIDE_LETTERS.sub(r"\1", path[0]), re.sub(r"(\d\.\d\d)\d+", r"\1", tag))


def _without_idle_identifiers(text: str, name: str) -> str:
    used = set(re.findall(r"#([\w-]+)", text))

    def keep(found: re.Match[str]) -> str:
        return f' id="{name}-{found[1]}"' if found[1] in used else ""

    text = re.sub(r' id="([^"]*)"', keep, text)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
