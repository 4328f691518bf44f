"""What a page holds: its figures, and a figure as JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.pages.model import Figure, Item, Page, Row, Volumes


def figures_of(page: Page) -> list[Figure]:
    """Every figure of a page, in order."""
    return [item for section in page.sections for item in _flat(section.items) if isinstance(item, Figure)]


def volumes_of(page: Page) -> list[Volumes]:
    """Every head that can be stepped through, in order."""
    return [item for section in page.sections for item in _flat(section.items) if isinstance(item, Volumes)]


def _flat(items: Sequence[Item]) -> list[Item]:
    return [each for item in items for each in (_flat(item.items) if isinstance(item, Row) else [item])]


def as_data(figure: Figure) -> dict[str, Any]:
    """A figure as JSON: the fields of `Figure` and `Layer`, tables as `{column: [values]}`, missing values as null.

    Numbers keep seven digits that count: what is shown is the table's, and a page stays small.
    """
    plain = {name: value for name, value in vars(figure).items() if name not in ("x", "y", "layers", "choices")}
    return plain | {
        "x": dict(vars(figure.x)),
        "y": dict(vars(figure.y)),
        "looks": {name: [look.colour, look.marker] for name, look in figure.looks.items()},
        "choices": [vars(choice) | {"options": dict(choice.options)} for choice in figure.choices],
        "layers": [vars(layer) | {"table": _columns(layer.table)} for layer in figure.layers],
    }


def _columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    return {str(name): [_value(value) for value in table[name].tolist()] for name in table}


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}") if np.isfinite(value) else None
    return None if value is None or value is pd.NA or value is pd.NaT else value
