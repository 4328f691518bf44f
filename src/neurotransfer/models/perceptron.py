"""Fully connected layers on columns of the cohort table: the network beside a linear model of the same numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurotransfer.errors import InputError

NORMS: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class Perceptron(nn.Module):
    """`depth` times [linear layer, norm, ReLU, dropout], each of `width` units, on standardised columns.

    Columns are standardised by buffers that `standardise` sets from the people who are learnt from, so that a volume in
    litres trains as one in mm3; until then they are taken as they are. Values (n, n_columns) give features (n, width).

    Args:
        columns: their names, in the order in which they are given.
        width: units of a layer.
        depth: how many layers.
        norm: `batch` (over people, which also regularises) or `layer` (over units).
        dropout: after every layer.

    Raises:
        InputError: with all arguments that cannot be, and for another number of columns.

    Example:
        >>> Perceptron(["hippocampus", "ventricles"], width=8)(torch.ones(3, 2)).shape
        torch.Size([3, 8])
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self, columns: Sequence[str], width: int = 64, depth: int = 2, norm: str = "batch", dropout: float = 0.0
    ) -> None:
        _require(columns, width, depth, norm, dropout)
        super().__init__()
        self.columns, self.n_features = list(columns), width
        self.register_buffer("centre", torch.zeros(len(self.columns)))
        self.register_buffer("scale", torch.ones(len(self.columns)))
        before = [len(self.columns), *[width] * (depth - 1)]
        # a batch norm has a shift of its own and takes any before it away
        self.layers = nn.Sequential(
            *[
                nn.Sequential(nn.Linear(n, width, norm != "batch"), NORMS[norm](width), nn.ReLU(), nn.Dropout(dropout))
                for n in before
            ]
        )

    def standardise(self, mean: np.ndarray, scale: np.ndarray) -> None:
        """Subtract `mean` (n_columns,) from columns and divide them by `scale` (n_columns,) from now on.

        Args:
            mean: of those who are learnt from, see `neurotransfer.statistics.standardise`.
            scale: their standard deviation, above 0.

        Raises:
            FloatingPointError: when a number is not finite, as it is where a value of a column is missing.

        Example:
            >>> network = Perceptron(["age"], width=2, depth=1).eval()
            >>> before = network(torch.tensor([[1.0]]))
            >>> network.standardise(np.array([40.0]), np.array([10.0]))
            >>> bool((network(torch.tensor([[50.0]])) == before).all())
            True
        """
        if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
            raise FloatingPointError("columns of the training rows are not finite")
        self.centre.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(self, values: Tensor) -> Tensor:
        """Features (n, width) of values (n, n_columns)."""
        if values.ndim != 2 or values.shape[1] != len(self.columns):
            raise InputError(
                f"this perceptron takes values (n, {len(self.columns)}) of its columns, got {tuple(values.shape)}"
            )
        found: Tensor = self.layers((values - self.centre) / self.scale)
        return found

    def layer_groups(self) -> list[nn.Module]:
        """The layers from input to output, for learning rates that differ by depth."""
        return list(self.layers)


def _require(columns: Any, width: Any, depth: Any, norm: Any, dropout: Any) -> None:
    names = list(columns) if isinstance(columns, list | tuple) else []
    rules = (
        (f"columns {columns!r}", bool(names) and all(isinstance(name, str) for name in names), "a list of names"),
        (f"width {width!r}", _is_whole(width), "a whole number of 1 or more"),
        (f"depth {depth!r}", _is_whole(depth), "a whole number of 1 or more"),
        (f"norm {norm!r}", norm in list(NORMS), " or ".join(NORMS)),
        (f"dropout {dropout!r}", _is_share(dropout), "from 0 to below 1"),
    )
    wrong = [f"{what}, which is {allowed}" for what, fits, allowed in rules if not fits]
    if wrong:
        raise InputError(f"perceptron: got {'; '.join(wrong)}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1
