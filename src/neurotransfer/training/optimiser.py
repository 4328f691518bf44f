"""What moves the weights: AdamW with rates by depth, the course of the learning rate, a moving average, learned weights."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from neurotransfer.models.network import Network
from neurotransfer.training.recipe import Recipe


class LearnedWeights(nn.Module):
    """Log variances s of the targets' losses, learned with the network (Kendall, Gal & Cipolla 2018, CVPR, section 3).

    A loss L becomes exp(-s) L + s / 2, half of L for continuous targets, so that a target that cannot be learnt fades out.

    Example:
        >>> LearnedWeights({"age": "continuous"})({"age": torch.tensor(2.0)}, {"age": 1.0}).item()
        1.0
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        super().__init__()
        self.halves = {name: 0.5 if kind == "continuous" else 1.0 for name, kind in kinds.items()}
        self.log_variances = nn.Parameter(torch.zeros(len(kinds)))

    def forward(self, parts: Mapping[str, Tensor], shares: Mapping[str, float]) -> Tensor:
        """The joint loss of unweighted losses by target name, of a part of a batch with these `shares` of its labels."""
        total = self.log_variances.sum() * 0
        for place, (name, half) in enumerate(self.halves.items()):
            if name in parts:
                spread = self.log_variances[place]
                total = total + torch.exp(-spread) * parts[name] * half + shares[name] * spread / 2
        return total


def make_optimiser(network: Network, recipe: Recipe, weights: LearnedWeights | None = None) -> torch.optim.AdamW:
    """AdamW over all weights; every group remembers its full rate as `base`.

    With `layer_decay` d the heads learn at `lr`, the uppermost layer group below them at d * lr, the next at d^2 * lr ...
    An encoder names its groups by `layer_groups()`; one that does not is one group.
    """
    groups = []
    if recipe.layer_decay == 1:
        groups.append({"params": list(network.parameters()), "base": recipe.lr})
    else:
        parts = getattr(network.encoder, "layer_groups", lambda: [network.encoder])()
        for depth, part in enumerate([network.heads, *reversed(parts)]):
            groups.append({"params": list(part.parameters()), "base": recipe.lr * recipe.layer_decay**depth})
    if weights is not None:
        groups.append({"params": list(weights.parameters()), "base": recipe.lr, "weight_decay": 0.0})
    groups = [group for group in groups if group["params"]]
    fused = all(value.device.type in ("cpu", "cuda") for value in network.parameters())
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=fused)


def share_of_lr(step: int, steps_an_epoch: int, recipe: Recipe) -> float:
    """The learning rate of a step (from 0) as a share of the full one: a linear warm-up, then half a cosine to 0.

    While the heads alone learn it is 1, and the course begins after that.

    Example:
        >>> [round(share_of_lr(step, 2, Recipe(epochs=3, warm_up=1)), 2) for step in range(6)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    rising, whole = recipe.warm_up * steps_an_epoch, (recipe.epochs - recipe.head_first) * steps_an_epoch
    step -= recipe.head_first * steps_an_epoch
    if step < 0:
        return 1.0
    if step < rising:
        return min(1.0, (step + 1) / rising)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(whole - rising, 1)))


def set_lr(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Set the rate of every group to a share of its full one."""
    for group in optimiser.param_groups:
        group["lr"] = group["base"] * share


class Anchor:
    """Where the weights of an encoder started, and the pull back to it: w - lr * strength * (w - start) at every step.

    It is decoupled from the gradients, as AdamW's weight decay is, which pulls to 0 in its place (L2-SP: Li, Grandvalet &
    Davoine 2018, ICML). Every weight is pulled at the rate of its own group.
    """

    def __init__(self, encoder: nn.Module, optimiser: torch.optim.Optimizer, strength: float) -> None:
        own = {id(value) for value in encoder.parameters()}
        self.optimiser, self.strength = optimiser, strength
        self.held = [[value for value in group["params"] if id(value) in own] for group in optimiser.param_groups]
        self.start = [[value.detach().clone() for value in group] for group in self.held]

    def pull(self) -> None:
        """Move every weight at the rates that the optimiser has now."""
        with torch.no_grad():
            for group, values, starts in zip(self.optimiser.param_groups, self.held, self.start, strict=True):
                share = min(1.0, group["lr"] * self.strength)
                for value, start in zip(values, starts, strict=True):
                    value.lerp_(start, share)

    def restore(self, start: Sequence[Sequence[Tensor]]) -> None:
        """Take up where the weights of an earlier process started."""
        for group, kept in zip(self.start, start, strict=True):
            for value, other in zip(group, kept, strict=True):
                value.copy_(other)


class MovingAverage:
    """An exponential moving average of the weights: average = decay * average + (1 - decay) * weights after every step.

    The decay is lower at first, min(decay, (1 + steps) / (10 + steps)), so that the first weights are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.average = [value.detach().clone() for value in network.parameters()]

    def update(self, network: nn.Module) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for average, value in zip(self.average, network.parameters(), strict=True):
                average.lerp_(value, share)

    def swap(self, network: nn.Module) -> None:
        """Exchange the weights of the network and the average; the second call undoes the first."""
        with torch.no_grad():
            for average, value in zip(self.average, network.parameters(), strict=True):
                held = value.clone()
                value.copy_(average)
                average.copy_(held)
