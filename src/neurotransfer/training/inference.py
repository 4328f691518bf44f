"""Run a network without changing it: features, outputs and predictions, in batches."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from neurotransfer.models.network import Network, count_features


def as_batch(inputs: np.ndarray, rows: np.ndarray) -> torch.Tensor:
    """Rows of inputs as float32: volumes (n, x, y, z) gain a channel axis and channels-last memory, the rest stays."""
    batch = torch.from_numpy(np.asarray(inputs[rows], dtype=np.float32))
    if batch.ndim == 4:
        return batch[:, None].contiguous(memory_format=torch.channels_last_3d)
    return batch


def run(
    module: nn.Module,
    inputs: np.ndarray,
    rows: np.ndarray,
    batch_size: int = 16,
    on_batch: Callable[[int], object] | None = None,
) -> list:
    """The outputs of a module in evaluation mode for every batch of rows; its mode is restored afterwards."""
    was_training = module.training
    module.eval()
    results = []
    try:
        with torch.inference_mode():
            for start in range(0, len(rows), batch_size):
                chosen = rows[start : start + batch_size]
                results.append(module(as_batch(inputs, chosen)))
                if on_batch is not None:
                    on_batch(len(chosen))
    finally:
        module.train(was_training)
    return results


def features(
    encoder: nn.Module,
    inputs: np.ndarray,
    rows: np.ndarray | None = None,
    on_batch: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Features (n, n_features) in float32 of rows of inputs (all of them when not given)."""
    rows = np.arange(len(inputs)) if rows is None else rows
    parts = [part.numpy() for part in run(encoder, inputs, rows, on_batch=on_batch)]
    return np.concatenate(parts) if parts else np.zeros((0, count_features(encoder)), np.float32)


def outputs(network: Network, inputs: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs (n, n_outputs) of every head for rows of inputs."""
    parts = run(network, inputs, rows)
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in network.targets}


def predictions(network: Network, inputs: np.ndarray, rows: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Predictions (n,) and class probabilities (n, K) of every target, see `Target.decode`."""
    found = outputs(network, inputs, rows)
    return {name: target.decode(found[name]) for name, target in network.targets.items()}
