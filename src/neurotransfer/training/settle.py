"""The running statistics of batch norms, estimated anew."""

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from neurotransfer.models.network import Network
from neurotransfer.seeding import stream
from neurotransfer.training.examples import Examples
from neurotransfer.training.inference import as_batch, forward
from neurotransfer.training.processes import Processes

# images that they are estimated from, at most
MOST_SETTLED = 2048


def settle_batch_norm(network: Network, train: Examples, batch_size: int, processes: Processes | None = None) -> None:
    """Estimate the running statistics of every batch norm anew, as their mean over batches of the training images.

    The moving average of a few steps lags behind the weights, which makes the validation loss of small samples jump
    (Wu & Johnson 2021, arXiv:2105.07576, section 3). Of many images 2,048 are taken; a training set of one image leaves
    the statistics as they are.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if not norms or len(train) < 2:
        return
    processes = processes or Processes()
    device, momenta = next(network.parameters()).device, [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    order = stream(0, "batch norm").permutation(len(train))[:MOST_SETTLED]
    count = max(1, min(-(-len(order) // max(batch_size, 2)), len(order) // 2))
    with torch.no_grad():
        for chosen in np.array_split(order, count):
            forward(network.encoder, as_batch(train.inputs, train.rows[processes.share(chosen)], device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
