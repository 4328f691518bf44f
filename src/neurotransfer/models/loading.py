"""Weights into a network: all of them or none, with a report of what fits and what does not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from neurotransfer.errors import ModelError, listed

NAMED = 6


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a weights file, by name.

    `loaded` fit; `missing` are those of the network that the file lacks; `unexpected` are in the file and not in the network;
    `reshaped` have another shape or another kind of numbers; `unusable` hold NaN, infinity or a variance below zero.

    Example:
        >>> report = LoadReport(("a",), missing=("b",))
        >>> report.is_whole, report.text
        (False, '1 loaded, 1 missing (b)')
    """

    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """Each kind of what does not fit, in words; empty when all fits."""
        kinds = ("missing", "unexpected", "reshaped", "unusable")
        return [f"{len(names)} {kind} ({_some(names)})" for kind in kinds if (names := getattr(self, kind))]

    @property
    def is_whole(self) -> bool:
        """Whether everything fits."""
        return not self.problems

    @property
    def text(self) -> str:
        """All of it in one line."""
        return ", ".join([f"{len(self.loaded)} loaded", *self.problems])


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def compared(wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> LoadReport:
    """How the tensors of a file, `found`, fit those of a network, `wanted`; nothing is changed."""
    both = [name for name in wanted if name in found]
    reshaped = [name for name in both if not _alike(wanted[name], found[name])]
    fitting = [name for name in both if name not in reshaped]
    unusable = [name for name in fitting if _is_unusable(name, found[name])]
    shapes = tuple(f"{name}: {_shape(found[name])}, wanted {_shape(wanted[name])}" for name in reshaped)
    return LoadReport(
        tuple(name for name in fitting if name not in unusable),
        tuple(name for name in wanted if name not in found),
        tuple(name for name in found if name not in wanted),
        shapes,
        tuple(unusable),
    )


def _alike(wanted: torch.Tensor, found: torch.Tensor) -> bool:
    return wanted.shape == found.shape and wanted.is_floating_point() == found.is_floating_point()


def _shape(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _is_unusable(name: str, tensor: torch.Tensor) -> bool:
    if not tensor.is_floating_point():
        return False
    return not bool(tensor.isfinite().all()) or (name.endswith("running_var") and bool((tensor < 0).any()))


def load_all(module: nn.Module, found: Mapping[str, torch.Tensor | np.ndarray], source: str) -> LoadReport:
    """Put every tensor of a file into a network, or none.

    Args:
        module: whose state is replaced.
        found: tensors by the names of the module's state.
        source: what messages call the file.

    Raises:
        ModelError: with every kind of what does not fit; the network stays as it was.

    Example:
        >>> load_all(nn.Linear(2, 1), {"weight": torch.ones(1, 2)}, "a file")
        Traceback (most recent call last):
        ...
        neurotransfer.errors.ModelError: 1 problem in a file:
          1 missing (bias)
        nothing of it was loaded: it is of another network, or damaged; copy or convert it again
    """
    tensors = {name: torch.as_tensor(value) for name, value in found.items()}
    report = compared(module.state_dict(), tensors)
    require_whole(report, source)
    module.load_state_dict(tensors)
    return report


def require_whole(report: LoadReport, source: str, advice: Iterable[str] = ()) -> None:
    """Refuse weights of which anything does not fit.

    Raises:
        ModelError: with all of it.
    """
    if not report.is_whole:
        text = "nothing of it was loaded: it is of another network, or damaged; copy or convert it again"
        raise ModelError(listed(source, report.problems, "; ".join([text, *advice])))
