"""Run a network without changing it: features, outputs and predictions, in batches, on the engine's device."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from neurotransfer.models.network import Network, count_features
from neurotransfer.training.engine import current, place
from neurotransfer.training.numerics import make_safe


def as_batch(inputs: Any, rows: Sequence[int] | np.ndarray, device: torch.device | None = None) -> torch.Tensor:
    """Rows of inputs as float32: volumes (n, x, y, z) gain a channel axis and channels-last memory, the rest stays."""
    batch = torch.from_numpy(np.asarray(inputs[rows], dtype=np.float32))
    if device is not None and device.type != "cpu":
        batch = batch.to(device)
    if batch.ndim == 4:
        return batch[:, None].contiguous(memory_format=torch.channels_last_3d)
    return batch


def ready(module: nn.Module, inputs: Any) -> torch.device:
    """Put a module where it is run on inputs, with every convolution in a precision that is right here."""
    volumes = inputs.ndim == 4
    device = place(module, current(), volumes)
    if volumes:
        make_safe(module.encoder if isinstance(module, Network) else module, tuple(inputs.shape[1:]), current().kind)
    return device


def forward(module: nn.Module, batch: torch.Tensor) -> Any:
    """The outputs of a module for a batch; whatever has weights is computed in the engine's precision."""
    if batch.ndim == 5 and next(module.parameters(), None) is not None:
        with current().autocast():
            return module(batch)
    return module(batch)


def run(
    module: nn.Module,
    inputs: Any,
    rows: np.ndarray,
    batch_size: int = 16,
    on_batch: Callable[[int], object] | None = None,
) -> list:
    """The outputs of a module in evaluation mode for every batch of rows; its mode is restored afterwards."""
    was_training = module.training
    device = ready(module, inputs)
    module.eval()
    results = []
    try:
        with torch.inference_mode():
            for start in range(0, len(rows), batch_size):
                chosen = rows[start : start + batch_size]
                results.append(forward(module, as_batch(inputs, chosen, device)))
                if on_batch is not None:
                    on_batch(len(chosen))
    finally:
        module.train(was_training)
    return results


def features(
    encoder: nn.Module,
    inputs: Any,
    rows: np.ndarray | None = None,
    on_batch: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Features (n, n_features) in float32 of rows of inputs (all of them when not given)."""
    rows = np.arange(len(inputs)) if rows is None else rows
    parts = [part.float().cpu().numpy() for part in run(encoder, inputs, rows, on_batch=on_batch)]
    return np.concatenate(parts) if parts else np.zeros((0, count_features(encoder)), np.float32)


def outputs(network: Network, inputs: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs (n, n_outputs) of every head for rows of inputs."""
    parts = run(network, inputs, rows)
    if not parts:
        return {name: np.zeros((0, target.n_outputs), np.float32) for name, target in network.targets.items()}
    return {name: np.concatenate([part[name].cpu().numpy() for part in parts]) for name in network.targets}


def predictions(network: Network, inputs: Any, rows: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Predictions (n,) and class probabilities (n, K) of every target, see `Target.decode`."""
    found = outputs(network, inputs, rows)
    return {name: target.decode(found[name]) for name, target in network.targets.items()}
