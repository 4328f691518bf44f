"""The depths of an encoder: its layers from input to output, and the means of their maps beside its features, in one pass."""

import copy
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neurotransfer.errors import ModelError

FEATURES = "features"


@dataclass(frozen=True)
class Depth:
    """A layer of an encoder: its name for the reader, and the modules whose outputs it consists of, side by side."""

    name: str
    modules: tuple[nn.Module, ...]


def depths_of(encoder: nn.Module) -> list[Depth]:
    """The layers of an encoder from input to output; none where it has no layers (columns of a table, smoothed voxels).

    Those of a panel at one depth are one layer.

    Example:
        >>> from neurotransfer.models.sfcn import SFCN
        >>> [depth.name for depth in depths_of(SFCN(width=0.125))]
        ['layer 1', 'layer 2', 'layer 3', 'layer 4', 'layer 5', 'layer 6']
    """
    groups: list[nn.Module] = encoder.layer_groups() if hasattr(encoder, "layer_groups") else []  # type: ignore[operator]
    # the members of a panel stand side by side, the parts of a stage one after another
    beside = hasattr(encoder, "members")
    return [Depth(f"layer {place}", _modules(group, beside)) for place, group in enumerate(groups, start=1)]


def _modules(group: nn.Module, beside: bool) -> tuple[nn.Module, ...]:
    if not isinstance(group, nn.ModuleList):
        return (group,)
    parts = list(group) if beside else list(group)[-1:]
    # a list is never run itself
    return tuple(module for part in parts for module in (_modules(part, False)))


class Layered(nn.Module):
    """An encoder that gives the means of its layers' maps over space before its features: (n, n_features of all).

    `sizes` is how many numbers each layer gives, and last the features; `names` are those of the layers, and "features".

    Raises:
        ModelError: when a layer gives no maps.

    Example:
        >>> from neurotransfer.models.sfcn import SFCN
        >>> layered = Layered(SFCN(width=0.125), (32, 32, 32)).eval()
        >>> layered.sizes, layered(torch.rand(2, 1, 32, 32, 32)).shape
        ((4, 8, 16, 32, 32, 8, 8), torch.Size([2, 108]))
    """

    def __init__(self, encoder: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = encoder
        depths = depths_of(encoder)
        self.names = (*(depth.name for depth in depths), FEATURES)
        self.sizes = self._sizes(shape)
        self.n_features = sum(self.sizes)

    def _sizes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        weightless = copy.deepcopy(self.encoder).to("meta").eval()
        with torch.inference_mode():
            parts = _seen(weightless, torch.zeros((1, 1, *shape), device="meta"))
        return tuple(part.shape[1] for part in parts)

    def forward(self, volumes: Tensor) -> Tensor:
        """Means of the layers' maps and features of volumes (n, 1, x, y, z)."""
        return torch.cat(_seen(self.encoder, volumes), 1)


def _seen(encoder: nn.Module, volumes: Tensor) -> list[Tensor]:
    depths = depths_of(encoder)
    kept: list[list[list[Tensor]]] = [[[] for _ in depth.modules] for depth in depths]
    with ExitStack() as stack:
        for depth, found in zip(depths, kept, strict=True):
            for module, outputs in zip(depth.modules, found, strict=True):
                stack.callback(module.register_forward_hook(_keeper(outputs)).remove)
        features = encoder(volumes).float()
    # a panel that looks at the mirror image too runs twice: what it gives is the mean of both
    means = [torch.cat([torch.stack(outputs).mean(0) for outputs in found], 1) for found in kept]
    return [*means, features]


def _keeper(outputs: list[Tensor]) -> Callable[..., None]:
    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        # only means are kept: memory does not grow with the size of the maps
        outputs.append(_over_space(output))

    return keep


def _over_space(output: Any) -> Tensor:
    if isinstance(output, tuple | list):
        output = output[-1]
    if not isinstance(output, Tensor) or output.ndim not in (3, 5):
        raise ModelError(f"a layer gives {type(output).__name__} and no maps; leave --layers out")
    # maps (n, channels, x, y, z), or patches (n, patches, channels)
    return output.float().mean((2, 3, 4)) if output.ndim == 5 else output.float().mean(1)
