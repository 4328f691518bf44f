"""Small networks whose maps are tested: every encoder with relevance, with weights as after a training."""

import pytest
import torch
from torch import nn

from neurotransfer.models.network import Network, build_encoder, seeded
from neurotransfer.targets import Target

SHAPE = (32, 36, 34)
AGE = Target("age", "continuous", unit="years", location=50.0, scale=12.0)
SEX = Target("sex", "binary", classes=("F", "M"))
BINS = Target("age", "continuous", unit="years", reading="bins", levels=tuple(range(40, 80)))
RANKS = Target("age", "continuous", unit="years", reading="ranks", levels=tuple(range(40, 60)))
SCANNER = Target("scanner", "categorical", classes=("a", "b", "c"))
STAGE = Target("stage", "ordinal", classes=("0", "1", "2"))
TARGETS = (AGE, SEX, BINS, RANKS, SCANNER, STAGE)

ENCODERS = {
    "average": ("sfcn", {"width": 0.125}),
    "maximum": ("sfcn", {"width": 0.125, "pooling": "maximum", "epsilon": 1e-3}),
    "joined": ("sfcn", {"width": 0.125, "joined": 3, "unit": 255.0}),
    "joined-all": ("sfcn", {"width": 0.0625, "joined": 5}),
    "panel": ("sfcn-panel", {"members": 2, "mirrored": False, "width": 0.0625, "joined": 1}),
    "mirrored": ("sfcn-panel", {"members": 2, "mirrored": True, "width": 0.0625, "joined": 2}),
    "normalised": ("sfcn-panel", {"members": 2, "mirrored": True, "width": 0.0625, "normalised": True}),
    "resnet10": ("resnet10", {"width": 0.0625}),
    "resnet50": ("resnet50", {"width": 0.0625}),
}

QUICK = ("maximum", "joined", "normalised", "resnet10")
# all of them, those that tell little that is new in the slow tests
BY_SPEED = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ENCODERS]


def network_of(name: str, target: Target = AGE, seed: int = 0, *, biased: bool = True) -> Network:
    """A network in evaluation mode with batch norms that do something, some of a negative scale."""
    with seeded(seed):
        network = Network(build_encoder(*ENCODERS[name]), [target])
        for module in network.modules():
            if isinstance(module, nn.BatchNorm3d):
                with torch.no_grad():
                    module.weight.uniform_(0.5, 1.5)
                    module.weight[::4] *= -1
                    module.bias.normal_(0.1, 0.2) if biased else module.bias.zero_()
                    module.running_var.uniform_(0.05, 0.3)
                    module.running_mean.normal_(0, 0.1) if biased else module.running_mean.zero_()
            if not biased and getattr(module, "bias", None) is not None:
                with torch.no_grad():
                    module.bias.zero_()
        if getattr(network.encoder, "normalised", False):
            n = network.encoder.n_features
            network.encoder.mixing.copy_(torch.eye(n) + 0.2 * torch.randn(n, n))
            network.encoder.centre.copy_(torch.rand(n))
    return network.eval()


def head_volume(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    """A ball of tissue in air, 0 to 1: (1, 1, x, y, z)."""
    with seeded(seed):
        lines = [torch.linspace(-1, 1, side) for side in shape]
        far = sum(each**2 for each in torch.meshgrid(*lines, indexing="ij"))
        return torch.where(far < 0.8, 0.3 + 0.7 * torch.rand(shape), 0.0)[None, None]
