"""One colour and one marker for whatever is shown in several figures of a page, and the scales of colours of cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

# Okabe and Ito 2008, without the yellow that cannot be seen on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h", "*")
# of cells, by the names that matplotlib has for them
COLOUR_MAPS: Mapping[str, str] = {"diverging": "RdBu_r", "sequential": "viridis"}
# of p-values: (below, colour), from the smallest p
STEPS: tuple[tuple[float, str], ...] = ((0.001, "#08519c"), (0.01, "#3182bd"), (0.05, "#7fb9de"), (inf, "#f3f5f7"))


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
