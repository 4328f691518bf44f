"""What of a figure is shown under a choice: rows, places on the axes, labels and looks; the same whoever draws it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import pandas as pd

from neurotransfer.errors import InputError, unknown
from neurotransfer.pages.looks import Look, looks
from neurotransfer.pages.model import Axis, Figure, Layer


@dataclass(frozen=True)
class Shown:
    """The layers of a figure that are shown, each with its rows, under the chosen options `{choice column: value}`."""

    figure: Figure
    chosen: Mapping[str, str]
    layers: tuple[tuple[Layer, pd.DataFrame], ...]

    def label(self, axis: Axis) -> str:
        """What an axis shows under this choice."""
        for column, labels in axis.labels.items():
            if self.chosen.get(column) in labels:
                return labels[self.chosen[column]]
        return axis.label

    def scale(self, axis: Axis) -> str:
        """The scale of an axis under this choice."""
        is_log = any(self.chosen.get(column) in values for column, values in axis.logarithmic.items())
        return "log" if is_log else axis.scale

    def categories(self, which: str) -> list[str]:
        """The categories along `x` or `y`, in the order in which they first appear."""
        parts = [rows[name] for layer, rows in self.layers if (name := getattr(layer, which)) is not None]
        return list(dict.fromkeys(str(value) for part in parts for value in part.dropna()))

    def options(self) -> str:
        """The chosen options as the reader is shown them."""
        return ", ".join(choice.options[self.chosen[choice.column]] for choice in self.figure.choices)


def shown(figure: Figure, chosen: Mapping[str, str] | None = None) -> Shown:
    """The rows that are shown under a choice; what is not chosen has its first option.

    Raises:
        InputError: for a choice or an option that the figure does not have.
    """
    chosen = dict(chosen or {})
    for column in chosen:
        if column not in [choice.column for choice in figure.choices]:
            raise InputError(
                unknown(f"choice of figure {figure.name!r}", column, [each.column for each in figure.choices])
            )
    for choice in figure.choices:
        value = chosen.setdefault(choice.column, next(iter(choice.options)))
        if value not in choice.options:
            raise InputError(unknown(f"option of {choice.label!r} in figure {figure.name!r}", value, choice.options))
    return Shown(figure, chosen, tuple((layer, _rows(layer, chosen)) for layer in figure.layers if layer.shown))


def _rows(layer: Layer, chosen: Mapping[str, str]) -> pd.DataFrame:
    rows = layer.table
    for column, value in chosen.items():
        if column in rows:
            rows = rows[rows[column].astype(str) == value]
    return rows


def combinations(figure: Figure) -> list[dict[str, str]]:
    """Every combination of options under which the figure has rows, the one that is shown at first before the others."""
    columns = [choice.column for choice in figure.choices]
    every = [dict(zip(columns, values, strict=True)) for values in product(*(each.options for each in figure.choices))]
    return [
        chosen
        for chosen in every
        if any(len(rows) for layer, rows in shown(figure, chosen).layers if layer.mark != "rule")
    ]


def series_of(figure: Figure) -> dict[str, Look]:
    """The look of every series of a figure: its own, or by the order in which they first appear."""
    names = [
        str(name)
        for layer in figure.layers
        if layer.series is not None and not layer.quiet
        for name in layer.table[layer.series].dropna().unique()
    ]
    order = [name for name in figure.looks if name in names] + [name for name in names if name not in figure.looks]
    return {name: figure.looks.get(name, look) for name, look in looks(list(dict.fromkeys(order))).items()}
