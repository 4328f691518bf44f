"""What is explained of a network: one number a scan, said in words, and how it is made of the outputs of a head."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neurotransfer.errors import InputError, unknown
from neurotransfer.models.network import Network
from neurotransfer.targets import Target

# of the integral along the outputs of a head, by which a sum of bins or of ranks becomes a weighted sum
NODES = 64


@dataclass(frozen=True)
class Readout:
    """One number of the outputs of a target's head.

    It is zero where all outputs are zero, and a sum over the outputs, each times its weight: `value = weights . outputs`.

    - continuous, one output: output times scale, which is the prediction less the location of the target (the mean of the people
      that the head was fitted on), before its limits;
    - read by bins: the expected value less that of bins of equal probability. The weights are those of the path integral
      from outputs of zero, w_k = integral over t from 0 to 1 of p_k(t) (l_k - E(t)) dt, p(t) = softmax(t z), E(t) = p(t) . l
      (Sundararajan, Taly & Yan 2017, ICML), so that the sum is exact;
    - read by ranks: every step times the probability that it is reached, less one half;
    - binary: the logit of the second class; categorical: the logit of a class; ordinal: the sum of the logits of all levels.

    Args:
        target: of the model.
        label: of a class of a categorical target; "" for the most probable class of each scan.

    Raises:
        InputError: for a label that the target does not have.

    Example:
        >>> age = Readout(Target("age", "continuous", unit="years", location=50.0, scale=10.0))
        >>> age.value(torch.tensor([[0.5]])).tolist(), age.words
        ([5.0], 'predicted age, years, less 50')
    """

    target: Target
    label: str = ""

    def __post_init__(self) -> None:
        if self.label and self.target.kind != "categorical":
            raise InputError(
                f"target {self.target.name!r} is {self.target.kind}: only a categorical one has classes to choose"
            )
        if self.label and self.label not in self.target.classes:
            raise InputError(unknown(f"class of target {self.target.name!r}", self.label, self.target.classes))

    @property
    def unit(self) -> str:
        """The unit of the number: that of the target, or `logit`."""
        return self.target.unit if self.target.kind == "continuous" else "logit"

    @property
    def words(self) -> str:
        """What the number is."""
        target, unit = self.target, f", {self.target.unit}," if self.target.unit else ""
        if target.reading == "bins":
            return (
                f"expected {target.name}{unit} over {len(target.levels)} bins, less that of bins of equal probability"
            )
        if target.reading == "ranks":
            return f"expected {target.name}{unit} by {len(target.levels) - 1} ranks, less that of ranks at even odds"
        if target.kind == "continuous":
            return f"predicted {target.name}{unit} less {target.location:g}"
        if target.kind == "binary":
            return f"logit of {target.name} = {target.classes[1]}"
        if target.kind == "categorical":
            return f"logit of {target.name} = {self.label or 'the most probable class'}"
        return f"sum of the logits that the levels of {target.name} are reached"

    def value(self, outputs: Tensor) -> Tensor:
        """The number (n,) of outputs (n, n_outputs), by which gradients can go."""
        if self.target.reading == "bins":
            levels = outputs.new_tensor(self.target.levels)
            return outputs.softmax(1) @ levels - levels.mean()
        if self.target.reading == "ranks":
            steps = outputs.new_tensor(np.diff(self.target.levels))
            return (outputs.sigmoid() - 0.5) @ steps
        return (self.weights(outputs) * outputs).sum(1)

    def weights(self, outputs: Tensor) -> Tensor:
        """How much every output counts (n, n_outputs), so that weights times outputs add up to `value`."""
        target = self.target
        if target.reading == "bins":
            return _of_bins(outputs.detach(), outputs.new_tensor(target.levels))
        if target.reading == "ranks":
            steps = outputs.new_tensor(np.diff(target.levels))
            return steps * torch.where(outputs.abs() < 1e-4, 0.25, (outputs.sigmoid() - 0.5) / outputs).detach()
        if target.kind != "categorical":
            return torch.full_like(outputs, target.scale if target.kind == "continuous" else 1.0)
        best = (
            outputs.argmax(1)
            if not self.label
            else torch.full_like(outputs[:, 0], target.classes.index(self.label)).long()
        )
        return nn.functional.one_hot(best, outputs.shape[1]).to(outputs.dtype)


def _of_bins(outputs: Tensor, levels: Tensor) -> Tensor:
    places, sizes = np.polynomial.legendre.leggauss(NODES)
    found = torch.zeros_like(outputs, dtype=torch.float64)
    wide, values = outputs.double(), levels.double()
    for place, size in zip((places + 1) / 2, sizes / 2, strict=True):
        shares = (wide * place).softmax(1)
        found += size * shares * (values - (shares @ values)[:, None])
    # what quadrature leaves of the sum is put right by a common factor
    whole = wide.softmax(1) @ values - values.mean()
    made = (found * wide).sum(1)
    factor = torch.where(made.abs() > 1e-9, whole / made, 1.0)
    return (found * factor[:, None]).to(outputs.dtype)


@dataclass(frozen=True)
class Explained:
    """A network and the number of it that is explained.

    Example:
        >>> from neurotransfer.models.sfcn import SFCN
        >>> network = Network(SFCN(width=0.125), [Target("sex", "binary", classes=("F", "M"))]).eval()
        >>> Explained(network, Readout(network.targets["sex"]))(torch.rand(2, 1, 32, 32, 32)).shape
        torch.Size([2])
    """

    network: Network
    readout: Readout

    def __call__(self, volumes: Tensor) -> Tensor:
        """The number (n,) for volumes (n, 1, x, y, z), in float32."""
        with torch.autocast(volumes.device.type, enabled=False):
            return self.readout.value(self.network(volumes)[self.readout.target.name])


def explained_of(network: Network, target: str = "", label: str = "") -> Explained:
    """What is explained of a network: a target by its name, the first one when none is given.

    Raises:
        InputError: for a target or a class that it does not have.
    """
    name = target or next(iter(network.targets))
    if name not in network.targets:
        raise InputError(unknown("target of the model", name, network.targets))
    return Explained(network.eval(), Readout(network.targets[name], label))
