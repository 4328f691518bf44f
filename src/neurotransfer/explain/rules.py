"""How the relevance of a unit goes to what it is a weighted sum of: the rules, and the table COMPOSITES of which layer has which."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

# a sum of contributions below this is nothing
TINY = 1e-20

Shares = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Rule(ABC):
    """How a unit z = P + N + b, a sum of positive (P) and negative (N) contributions and a bias, gives its relevance R on.

    `shares` gives p and q: a positive contribution c gets c p, a negative one c q, and they add up to the whole of R,
    P p + N q = R, wherever there is a contribution: the bias has no relevance of its own, its share goes to the contributions by
    their size. Units without any (air that meets a bias) spread theirs evenly over the voxels that they see.
    """

    @abstractmethod
    def shares(self, positive: Tensor, negative: Tensor, bias: Tensor, relevance: Tensor) -> Shares:
        """Shares p and q of contributions; zero where there are none."""


@dataclass(frozen=True)
class Epsilon(Rule):
    """R c / (z + epsilon sign(z)); `epsilon` is in units of the root mean square of a layer (Bach et al. 2015, PLOS ONE 10:e0130140).

    With epsilon 0 and without biases it is gradient times input.
    """

    epsilon: float = 0.01

    def shares(self, positive: Tensor, negative: Tensor, bias: Tensor, relevance: Tensor) -> Shares:
        """Shares; what epsilon and the bias take goes to contributions by their size."""
        return _stabilised(positive, negative, bias, relevance, self.epsilon, (1.0, 1.0))


@dataclass(frozen=True)
class Gamma(Rule):
    """As epsilon, with contributions of the unit's own sign times 1 + gamma (Montavon et al. 2019; both signs: Andéol et al. 2021).

    With gamma without end it is alpha 1, beta 0.
    """

    gamma: float = 0.25
    epsilon: float = 1e-6

    def shares(self, positive: Tensor, negative: Tensor, bias: Tensor, relevance: Tensor) -> Shares:
        """Shares; positive contributions are favoured where the unit is positive, negative ones where it is not."""
        more, is_up = 1 + self.gamma, positive + negative + bias >= 0
        up, down = torch.where(is_up, more, 1.0), torch.where(is_up, 1.0, more)
        same = torch.where(is_up, bias.clamp(min=0), bias.clamp(max=0))
        return _stabilised(positive, negative, bias + self.gamma * same, relevance, self.epsilon, (up, down))


@dataclass(frozen=True)
class AlphaBeta(Rule):
    """alpha R by the contributions of the unit's own sign, and -(alpha - 1) R by the others (Bach et al. 2015).

    alpha 1 is the rule z+ (Montavon et al. 2017): relevance does not change its sign on the way. Where one side has no
    contributions the other one takes all.
    """

    alpha: float = 1.0

    def shares(self, positive: Tensor, negative: Tensor, bias: Tensor, relevance: Tensor) -> Shares:
        """Shares of the two sides."""
        is_up, has_up, has_down = positive + negative + bias >= 0, positive > TINY, negative < -TINY
        own = torch.where(is_up, self.alpha, 1 - self.alpha)
        part = torch.where(has_up & has_down, own, has_up.to(own))
        nothing = torch.zeros_like(relevance)
        up = torch.where(has_up, part * relevance / positive.clamp(min=TINY), nothing)
        down = torch.where(has_down, (1 - part) * relevance / negative.clamp(max=-TINY), nothing)
        return up, down


@dataclass(frozen=True)
class Flat(Rule):
    """Evenly over all voxels that a unit sees, whatever they hold (Lapuschkin et al. 2019): for the first layer."""

    def shares(self, positive: Tensor, negative: Tensor, bias: Tensor, relevance: Tensor) -> Shares:
        """None by contributions."""
        return torch.zeros_like(relevance), torch.zeros_like(relevance)


@dataclass(frozen=True)
class Box(Rule):
    """z^B for a first layer whose input lies between 0 and `highest` (Montavon et al. 2017): x w+ + (x - highest) w-.

    Dark voxels get relevance where their being dark matters; so does air.
    """

    highest: float = 1.0

    def shares(self, positive: Tensor, negative: Tensor, bias: Tensor, relevance: Tensor) -> Shares:
        """Shares; a layer gives contributions that are all positive to this rule."""
        return AlphaBeta(1.0).shares(positive, negative, bias.abs(), relevance)


def _stabilised(
    positive: Tensor, negative: Tensor, bias: Tensor, relevance: Tensor, epsilon: float, factors: tuple[Tensor | float, Tensor | float]
) -> Shares:  # fmt: skip
    up, down = factors
    above, below = up * positive, down * negative
    whole = above + below + bias
    sign = torch.where(whole >= 0, 1.0, -1.0)
    added = sign * (epsilon * whole.square().mean().sqrt()).clamp(min=TINY)
    size = above - below
    has_any = size > TINY
    # what the bias and epsilon would take goes to contributions by their size
    share = torch.where(has_any, relevance / (whole + added), 0.0)
    taken = torch.where(has_any, (bias + added) / size.clamp(min=TINY), 0.0)
    return up * share * (1 + taken), down * share * (1 - taken)


@dataclass(frozen=True)
class Composite:
    """Which rule where.

    Attributes:
        name: of the composite.
        convolutions: the rule of convolutions, and of sums of residual blocks.
        dense: of the head on the features.
        first: of the first convolution; None for that of the others.
        description: for a reader.
    """

    name: str
    convolutions: Rule
    dense: Rule
    first: Rule | None = None
    description: str = ""


COMPOSITES: dict[str, Composite] = {
    row.name: row
    for row in (
        Composite("epsilon", Epsilon(0.01), Epsilon(0.01), None, "epsilon rule in all layers, 0.01 of a layer's root mean square"),
        Composite("gamma", Gamma(0.25), Epsilon(0.01), None, "gamma rule in convolutions, gamma 0.25; epsilon rule in the head"),
        Composite("gamma-box", Gamma(0.25), Epsilon(0.01), Box(), "as gamma; the first layer by the box rule, values 0 to 1"),
        Composite("gamma-flat", Gamma(0.25), Epsilon(0.01), Flat(), "as gamma; the first layer spreads relevance evenly"),
        Composite("alpha1-beta0", AlphaBeta(1.0), Epsilon(0.01), None, "z+ rule in convolutions, epsilon rule in the head"),
        Composite("alpha2-beta1", AlphaBeta(2.0), Epsilon(0.01), None, "alpha 2, beta 1 in convolutions, epsilon rule in the head"),
    )
}  # fmt: skip
