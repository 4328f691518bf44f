"""One colour and one marker for whatever is shown in several figures of a page, and the scales of colours of cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Okabe and Ito 2008, without the yellow that cannot be seen on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h", "*")
# of cells: (place from 0 to 1, colour) of what lies between the ends of the scale; colours between are mixed
STOPS: Mapping[str, tuple[tuple[float, str], ...]] = {
    "diverging": ((0.0, "#2166AC"), (0.25, "#92C5DE"), (0.5, "#F7F7F7"), (0.75, "#F4A582"), (1.0, "#B2182B")),
    "sequential": ((0.0, "#F7FBFF"), (0.25, "#C6DBEF"), (0.5, "#6BAED6"), (0.75, "#2171B5"), (1.0, "#08306B")),
}
# of p-values: (below, colour), from the smallest p
STEPS: tuple[tuple[float, str], ...] = ((0.001, "#08519C"), (0.01, "#4292C6"), (0.05, "#9ECAE1"), (1.1, "#F2F2F2"))


@dataclass(frozen=True)
class Look:
    """The colour and the marker by which a strategy is known in every figure of a page."""

    colour: str
    marker: str


def looks(names: Sequence[str]) -> dict[str, Look]:
    """A look for each name, by its position; no two alike below 40 names.

    Example:
        >>> looks(["baseline", "frozen"])["frozen"]
        Look(colour='#D55E00', marker='s')
    """
    return {
        name: Look(COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]) for index, name in enumerate(names)
    }
