"""The forward pass of several networks on the same volumes: what they have in common is computed once."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from neurotransfer.models import fused
from neurotransfer.models.sfcn import SFCN
from neurotransfer.training.engine import current
from neurotransfer.training.inference import forward
from neurotransfer.training.learner import Learner
from neurotransfer.training.recipe import Recipe

# what recipes have in common that are trained together
SHARED = ("epochs", "batch_size", "micro_batch", "augmentation")


# what the activations of networks that are trained together may take, roughly
MOST_BYTES = 2**31
_BYTES_A_PLACE = 24


def most_together(encoder: torch.nn.Module, batch_size: int, shape: tuple[int, ...]) -> int:
    """How many networks like this one are best trained together on volumes of a shape (x, y, z): 1 where it does not help.

    It helps where the first block can be shared (an SFCN on the CPU and even sides), 1.3 to 2.2 times on the CPUs that we
    measured, and as long as the activations of all of them fit into 2 GiB.

    Example:
        >>> most_together(SFCN(width=0.25), 8, (40, 48, 40)) >= 9, most_together(SFCN(), 8, (41, 48, 40))
        (True, 1)
    """
    if len(shape) != 3 or not isinstance(encoder, SFCN) or current().device.type != "cpu" or any(x % 2 for x in shape):
        return 1
    convolution = encoder.blocks[0][0]  # type: ignore[index]
    places = batch_size * convolution.out_channels * math.prod(side // 2 for side in shape)
    return max(1, int(MOST_BYTES // (places * _BYTES_A_PLACE)))


def same_batches(one: Recipe, other: Recipe) -> bool:
    """Whether networks of two recipes can be trained together: they see the same images at the same time."""
    return all(getattr(one, name) == getattr(other, name) for name in SHARED)


def forward_together(learners: Sequence[Learner], volumes: Tensor) -> list[dict[str, Tensor]]:
    """The outputs of every network in training, each with its own random stream.

    Networks whose first blocks can be one matrix product on a CPU share it: the patches of the volumes and their moments are
    worked out once. The other blocks run one network after another, which on the CPUs that we measured is faster than
    grouped convolutions (benchmarks/together.py).
    """
    shared = share_first_block([learner.network.encoder for learner in learners], volumes)
    found = []
    for place, learner in enumerate(learners):
        with learner.own_random():
            if shared is None:
                found.append(forward(learner.wrapped, volumes))
                continue
            with current().autocast():
                features = learner.network.encoder.after_first(shared[place])  # type: ignore[operator]
            found.append(learner.network.outputs(features))
    return found


def share_first_block(encoders: Sequence[torch.nn.Module], volumes: Tensor) -> list[Tensor] | None:
    """The maps of the first block of every encoder, from one matrix product; None where that cannot be or does not help."""
    firsts = [encoder.blocks[0].first_layers() for encoder in encoders if isinstance(encoder, SFCN)]  # type: ignore[operator]
    if len(encoders) < 2 or len(firsts) < len(encoders) or volumes.ndim != 5 or not fused.is_stem(volumes):
        return None
    if not all(fused.fits(convolution, norm, volumes) for convolution, norm in firsts):
        return None
    with current().autocast():
        return fused.stems(firsts, volumes)
