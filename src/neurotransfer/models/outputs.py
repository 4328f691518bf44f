"""What trained networks say of one target, as features: so that a linear head can weigh it beside other features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurotransfer.models.fused import unrounded


class Outputs(nn.Module):
    """The mean output of networks that each are an encoder and a linear layer: (n, n_outputs).

    The mean is one of logits, or of standardised values, as the linear layers give them.

    Args:
        encoders: of the networks.
        n_outputs: of a linear layer.

    Example:
        >>> from neurotransfer.models.perceptron import Perceptron
        >>> pair = Outputs([Perceptron(["a", "b"], width=4) for _ in range(2)], n_outputs=1).eval()
        >>> pair(torch.rand(3, 2)).shape, pair.n_features
        (torch.Size([3, 1]), 1)
    """

    def __init__(self, encoders: Sequence[nn.Module], n_outputs: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.layers = nn.ModuleList(nn.Linear(int(each.n_features), n_outputs) for each in encoders)  # type: ignore[arg-type]
        self.n_features = n_outputs

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (n, n_outputs) of volumes (n, 1, x, y, z) or of values (n, n_columns), in the precision of the linear layers."""
        encoded = [encoder(inputs) for encoder in self.encoders]
        with unrounded(inputs.device):
            found = [layer(each.float()) for layer, each in zip(self.layers, encoded, strict=True)]
        return torch.stack(found).mean(0)

    def layer_groups(self) -> list[nn.Module]:
        """The networks, each a group: no one trains them together."""
        return list(self.encoders)
