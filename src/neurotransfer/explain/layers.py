"""Layers that give relevance back: each runs forward, remembers what it needs, and spreads the relevance of its output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv3d_input

from neurotransfer.explain.rules import TINY, Box, Rule

SPACE = (2, 3, 4)


class Layer(Protocol):
    """Something between an input and an output.

    For every layer the relevance of the input adds up to that of the output.
    """

    def forward(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """The output of an input, and what `back` needs."""
        ...

    def back(self, kept: Any, relevance: Tensor) -> Tensor:
        """The relevance of the input from that of the output."""
        ...


@dataclass(frozen=True, eq=False)
class Weighted:
    """A weighted sum: a convolution (weight of five axes) or a dense layer (two), with the rule of its relevance."""

    weight: Tensor
    bias: Tensor
    rule: Rule
    stride: tuple[int, ...] = (1, 1, 1)
    padding: tuple[int, ...] = (0, 0, 0)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The sum, with the bias."""
        return self._sum(inputs, self.weight) + self._bias, inputs

    def back(self, kept: Tensor, relevance: Tensor) -> Tensor:
        """Relevance by the contributions of each input, positive and negative ones apart."""
        up, down = self.weight.clamp(min=0), self.weight.clamp(max=0)
        pairs = self._pairs(kept, up, down)
        positive = sum((self._sum(part, weight) for part, weight, is_up in pairs if is_up), torch.zeros_like(relevance))
        negative = sum(
            (self._sum(part, weight) for part, weight, is_up in pairs if not is_up), torch.zeros_like(relevance)
        )
        shares = self.rule.shares(positive, negative, self._bias.expand_as(relevance), relevance)
        found = self._evenly(kept, relevance, positive * shares[0] + negative * shares[1])
        for part, weight, is_up in pairs:
            found += part * self._spread(shares[0] if is_up else shares[1], weight, part)
        return found

    def _pairs(self, inputs: Tensor, up: Tensor, down: Tensor) -> list[tuple[Tensor, Tensor, bool]]:
        """Parts of the input and of the weights whose products have one sign, and whether it is positive."""
        if isinstance(self.rule, Box):
            return [(inputs, up, True), (inputs - self.rule.highest, down, True)]
        pairs = [(inputs.clamp(min=0), up, True), (inputs.clamp(min=0), down, False)]
        if bool((inputs < 0).any()):
            pairs += [(inputs.clamp(max=0), down, True), (inputs.clamp(max=0), up, False)]
        return pairs

    def _evenly(self, inputs: Tensor, relevance: Tensor, given: Tensor) -> Tensor:
        # units that see nothing but zeros have given nothing
        left = torch.where((given == 0) & (relevance != 0), relevance, 0.0)
        if not bool(left.any()):
            return torch.zeros_like(inputs)
        ones = torch.ones_like(self.weight)
        seen = self._sum(torch.ones_like(inputs), ones)
        return self._spread(left / seen, ones, inputs)

    @property
    def _bias(self) -> Tensor:
        return self.bias.reshape(1, -1, *[1] * (self.weight.ndim - 2))

    def _sum(self, inputs: Tensor, weight: Tensor) -> Tensor:
        if weight.ndim == 2:
            return inputs @ weight.T
        return functional.conv3d(inputs, weight, None, self.stride, self.padding)  # type: ignore[arg-type]

    def _spread(self, shares: Tensor, weight: Tensor, like: Tensor) -> Tensor:
        if weight.ndim == 2:
            return shares @ weight
        return conv3d_input(like.shape, weight, shares, self.stride, self.padding)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Rectified:
    """ReLU: relevance passes."""

    def forward(self, inputs: Tensor) -> tuple[Tensor, None]:
        """What is above zero."""
        return inputs.relu(), None

    def back(self, kept: None, relevance: Tensor) -> Tensor:
        """The same."""
        return relevance


@dataclass(frozen=True)
class Pooled:
    """A maximum pool: the winner takes all."""

    size: int
    stride: int
    padding: int = 0

    def forward(self, inputs: Tensor) -> tuple[Tensor, tuple[Tensor, torch.Size]]:
        """The largest of every window."""
        pooled, places = functional.max_pool3d(inputs, self.size, self.stride, self.padding, return_indices=True)
        return pooled, (places, inputs.shape)

    def back(self, kept: tuple[Tensor, torch.Size], relevance: Tensor) -> Tensor:
        """All of a window's relevance where its largest value was."""
        places, shape = kept
        found = relevance.new_zeros(*shape[:2], shape[2] * shape[3] * shape[4])
        return found.scatter_add_(2, places.flatten(2), relevance.flatten(2)).reshape(shape)


@dataclass(frozen=True)
class GlobalPool:
    """The mean or the maximum of every map, whose values are zero or more: (n, C, x, y, z) to (n, C)."""

    kind: str

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """One number a map."""
        return (inputs.mean(SPACE) if self.kind == "average" else inputs.amax(SPACE)), inputs

    def back(self, kept: Tensor, relevance: Tensor) -> Tensor:
        """By the share of every voxel in the sum, evenly where all are zero; or all to the largest."""
        flat = kept.flatten(2)
        if self.kind == "average":
            whole = flat.sum(2, keepdim=True)
            shares = torch.where(whole > TINY, flat / whole.clamp(min=TINY), 1 / flat.shape[2])
        else:
            shares = torch.zeros_like(flat).scatter_(2, flat.argmax(2, keepdim=True), 1.0)
        return (shares * relevance[:, :, None]).reshape(kept.shape)


@dataclass(frozen=True)
class Chain:
    """Layers one after another."""

    layers: Sequence[Layer]

    def forward(self, inputs: Tensor) -> tuple[Tensor, list[Any]]:
        """The output of the last."""
        kept = []
        for layer in self.layers:
            inputs, own = layer.forward(inputs)
            kept.append(own)
        return inputs, kept

    def back(self, kept: list[Any], relevance: Tensor) -> Tensor:
        """Through all of them, from the last to the first."""
        for layer, own in zip(reversed(self.layers), reversed(kept), strict=True):
            relevance = layer.back(own, relevance)
        return relevance


@dataclass(frozen=True)
class Residual:
    """The sum of two ways from the same input, whose relevance is parted by a rule."""

    inner: Layer
    side: Layer
    rule: Rule

    def forward(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """The sum of both."""
        (one, kept_one), (other, kept_other) = self.inner.forward(inputs), self.side.forward(inputs)
        return one + other, (one, other, kept_one, kept_other)

    def back(self, kept: Any, relevance: Tensor) -> Tensor:
        """By what either way has added; half and half where neither has."""
        one, other, kept_one, kept_other = kept
        positive, negative = one.clamp(min=0) + other.clamp(min=0), one.clamp(max=0) + other.clamp(max=0)
        up, down = self.rule.shares(positive, negative, torch.zeros_like(relevance), relevance)
        is_nothing = positive - negative <= TINY
        parts = [
            torch.where(is_nothing, relevance / 2, each.clamp(min=0) * up + each.clamp(max=0) * down)
            for each in (one, other)
        ]
        return self.inner.back(kept_one, parts[0]) + self.side.back(kept_other, parts[1])


@dataclass(frozen=True)
class Joined:
    """Blocks and a top with global pools after the last `joined` blocks and the top: their features side by side."""

    blocks: Sequence[Layer]
    top: Layer
    joined: int

    def forward(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """Features (n, n_features)."""
        kept, means, first = [], [], len(self.blocks) - self.joined
        for place, block in enumerate(self.blocks):
            inputs, own = block.forward(inputs)
            mean = GlobalPool("average").forward(inputs) if place >= first else None
            kept.append((own, None if mean is None else mean[1], 0 if mean is None else mean[0].shape[1]))
            means += [] if mean is None else [mean[0]]
        features, own = self.top.forward(inputs)
        return torch.cat([*means, features], 1), (kept, own)

    def back(self, kept: Any, relevance: Tensor) -> Tensor:
        """What every block's own features have, and what comes from above."""
        blocks, own = kept
        counts = [count for _, _, count in blocks]
        *means, top = relevance.split([*counts, relevance.shape[1] - sum(counts)], 1)
        found = self.top.back(own, top)
        for block, (each, maps, _), mean in zip(reversed(self.blocks), reversed(blocks), reversed(means), strict=True):
            found = block.back(each, found if maps is None else found + GlobalPool("average").back(maps, mean))
        return found


@dataclass(frozen=True)
class Beside:
    """Members that see the same volumes, or also their left-right mirror images: features side by side, the mean of both."""

    members: Sequence[Layer]
    mirrored: bool

    def forward(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """Features (n, n_features), zero or more."""
        seen = [inputs, inputs.flip(2)] if self.mirrored else [inputs]
        runs = [[member.forward(each) for member in self.members] for each in seen]
        features = [torch.cat([found for found, _ in run], 1) for run in runs]
        return torch.stack(features).mean(0), (runs, features)

    def back(self, kept: Any, relevance: Tensor) -> Tensor:
        """To the head and to its mirror image by what either gives of a feature."""
        runs, features = kept
        whole, found = torch.stack(features).sum(0), torch.zeros(())
        for is_mirror, (run, each) in enumerate(zip(runs, features, strict=True)):
            shares = torch.where(whole > TINY, each / whole.clamp(min=TINY), 1 / len(runs)) * relevance
            parts = shares.split([own.shape[1] for own, _ in run], 1)
            back = sum(member.back(own, part) for member, (_, own), part in zip(self.members, run, parts, strict=True))
            found = found.to(relevance) + (back.flip(2) if is_mirror else back)  # type: ignore[union-attr]
        return found
