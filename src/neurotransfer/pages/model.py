"""What a page is made of: plain values, the same for the browser, for matplotlib and for a table of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from neurotransfer.pages.looks import Look

MARKS = ("line", "dot", "bar", "cell", "rule")
SCALES = ("linear", "log", "category")
# of cells: values around zero (-1 to 1), values from low to high, and p-values (dark below 0.05)
COLOUR_SCALES = ("diverging", "sequential", "probability")


@dataclass(frozen=True)
class Axis:
    """One axis of a figure.

    Args:
        label: what it shows, with the unit in parentheses where there is one.
        scale: `linear`, `log` or `category` (in the order in which the values first appear).
        switch: whether the reader may change between linear and log.
        ticks: where ticks stand; empty to leave it to whoever draws.
        ends: the lowest and the highest value shown; None for what the data need.
        labels: the label by the value of a choice, `{choice column: {value: label}}`, where it depends on one.
        logarithmic: values of a choice at which the scale is log at first, `{choice column: (value, ...)}`.
    """

    label: str
    scale: str = "linear"
    switch: bool = False
    ticks: tuple[float, ...] = ()
    ends: tuple[float, float] | None = None
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    logarithmic: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """A column by whose value the reader chooses which rows are shown; layers without the column are always shown.

    Args:
        column: of the layers' tables; its values are text.
        label: of the control.
        options: value to what the reader is shown; the first is shown at first.
    """

    column: str
    label: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Layer:
    """Rows drawn in one way; the columns named here are columns of `table`.

    Args:
        mark: `line` (points joined in the order of x, with a marker each), `dot`, `bar` (stacked by series, upwards above zero
            and downwards below), `cell` (one rectangle of a matrix), or `rule` (a straight line: from (x, y) to (x_end, y_end),
            or across the whole figure where x or y is None).
        table: a row a point.
        x: column of the horizontal place; None for a rule across.
        y: column of the vertical place; None for a rule down.
        series: column of what has a colour and a marker of its own (a strategy, a cohort); None for one quiet colour.
        low: column of the lower end of an interval around y.
        high: column of its upper end.
        filled: column of truth values: whether the marker is filled; None for all filled.
        size: column of areas, relative to the largest.
        value: column of a cell's value, which gives its colour.
        text: column of what stands in a cell.
        x_end: column of where a rule ends.
        y_end: column of where a rule ends.
        width: of bars, in units of x.
        tips: what is shown of a row beside its place when it is pointed at or reached by keyboard, `{column: label}`.
        picture: column of small pictures (`data:` addresses) shown with the tips.
        label: of the control that shows or hides the layer, and of the legend; empty for neither.
        shown: whether the layer is shown at first.
        quiet: whether it is drawn thin, dashed and without colour, as something to compare with.
    """

    mark: str
    table: pd.DataFrame
    x: str | None = None
    y: str | None = None
    series: str | None = None
    low: str | None = None
    high: str | None = None
    filled: str | None = None
    size: str | None = None
    value: str | None = None
    text: str | None = None
    x_end: str | None = None
    y_end: str | None = None
    width: float | None = None
    tips: Mapping[str, str] = field(default_factory=dict)
    picture: str | None = None
    label: str = ""
    shown: bool = True
    quiet: bool = False


@dataclass(frozen=True)
class Figure:
    """A figure of one or more layers over the same axes.

    Args:
        name: unlike all others of the page: letters, digits, `-` and `_`; the name of its files.
        title: above it.
        description: one sentence for who cannot see it: what is drawn against what, and what can be read from it.
        x: the horizontal axis.
        y: the vertical axis.
        layers: from the lowest to the topmost; the first one that is shown at first, not quiet and has a series
            or a value is the one whose table is shown and saved first.
        choices: what the reader may choose.
        colour_by: columns of the first layer by which the reader may colour it, `{column: label}`; the first is used at first.
            A column of numbers gets a scale of colours, another one a legend. Empty: the layer's own series.
        looks: of series that look alike in all figures, from `pages.looks.looks`.
        colours: of cells, one of COLOUR_SCALES.
        colour_label: what the colour of cells or of numbers means, with its unit.
        ends: the lowest and the highest value of the colours of cells; None for what the data need.
        square: whether both axes have the same length.
        caption: below it: how it is to be read.
        keys: `{"filled": text, "hollow": text}` in the legend, where markers are filled or not.
    """

    name: str
    title: str
    description: str
    x: Axis
    y: Axis
    layers: tuple[Layer, ...]
    choices: tuple[Choice, ...] = ()
    colour_by: Mapping[str, str] = field(default_factory=dict)
    looks: Mapping[str, Look] = field(default_factory=dict)
    colours: str = "sequential"
    colour_label: str = ""
    ends: tuple[float, float] | None = None
    square: bool = False
    caption: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table of text.

    Args:
        name: unlike all others of the page.
        caption: what it shows.
        headings: one a column.
        rows: cells as text; the first cell of a row names it.
        numeric: places of columns that are numbers, set to the right.
    """

    name: str
    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: tuple[int, ...] = ()


@dataclass(frozen=True)
class Text:
    """A paragraph; `kind` is `plain`, `quiet` or `caution`."""

    text: str
    kind: str = "plain"


@dataclass(frozen=True)
class Facts:
    """Names and values, as a list of terms; closed at first where `folded` is the text that opens it."""

    pairs: Sequence[tuple[str, str]]
    folded: str = ""


@dataclass(frozen=True)
class Code:
    """A command or a file to copy; closed at first where `folded` is the text that opens it."""

    text: str
    folded: str = ""


@dataclass(frozen=True)
class Overlay:
    """A volume over another: `file` is a NIfTI file as bytes (.nii.gz), values from `low` to `high` are coloured, below `low` not.

    `colours` is a colour map that NiiVue and matplotlib both know (`warm`, `winter`, `gray`, `viridis`, `plasma`); a signed map has
    `negative` for what is below -low.
    """

    label: str
    file: bytes
    low: float
    high: float
    colours: str = "warm"
    negative: str = ""


@dataclass(frozen=True)
class Volumes:
    """A head that can be stepped through, with overlays that can be chosen; `slices` is the same as a PNG for who has no WebGL.

    Args:
        name: unlike all others of the page.
        title: above it.
        description: one sentence for who cannot see it.
        base: the head itself.
        overlays: of which one is shown at a time; the first at first.
        slices: a PNG of slices with the first overlay.
        caption: below it.
    """

    name: str
    title: str
    description: str
    base: Overlay
    overlays: tuple[Overlay, ...] = ()
    slices: bytes = b""
    caption: str = ""


@dataclass(frozen=True)
class Row:
    """Items side by side where there is room; `least` is the width in pixels that each needs."""

    items: "Sequence[Item]"
    least: int = 420


Item = Figure | Table | Text | Facts | Code | Volumes | Row


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading; `name` is its address on the page."""

    name: str
    title: str
    items: Sequence[Item]


@dataclass(frozen=True)
class Page:
    """A page: what was found first, then its sections.

    Args:
        title: of the page.
        found: what was found, a sentence or some a paragraph; the first screen.
        sections: what it rests on.
        lead: what this is about, under the title.
        cautions: what to be careful about.
        banner: shown above all when what is shown is not complete.
    """

    title: str
    found: Sequence[str]
    sections: Sequence[Section]
    lead: str = ""
    cautions: Sequence[str] = ()
    banner: str = ""
