"""`fit`: the only loop that calls backward()."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from neurotransfer.errors import InputError, unknown
from neurotransfer.models.network import Network, seeded
from neurotransfer.seeding import integer_seed, stream
from neurotransfer.training.inference import as_batch, outputs
from neurotransfer.training.losses import masked_loss

TRAINED = ("head", "everything")


@dataclass(frozen=True)
class Recipe:
    """How long and how hard to train.

    At most `epochs` epochs of AdamW with decoupled `weight_decay`, the learning rate falling from `lr` to 0 along half a
    cosine; training stops when the validation loss has not improved for `patience` epochs, and the weights of the best
    epoch are kept.
    """

    epochs: int = 30
    batch_size: int = 8
    lr: float = 1e-3
    weight_decay: float = 0.0
    patience: int = 10

    def __post_init__(self) -> None:
        wrong = [
            f"{name} = {getattr(self, name)!r}"
            for name, lowest in (("epochs", 1), ("batch_size", 1), ("lr", 0), ("weight_decay", 0), ("patience", 1))
            if not lowest <= getattr(self, name) < float("inf")
        ]
        if wrong:
            raise InputError(
                f"cannot train with {', '.join(wrong)}; epochs, batch_size and patience are 1 or more, lr and weight_decay "
                "0 or more"
            )


@dataclass(frozen=True)
class Examples:
    """What to learn from: `inputs` (n_all, ...), the `rows` of them that are meant, labels by target name (n_rows,)."""

    inputs: np.ndarray
    rows: np.ndarray
    labels: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass
class History:
    """What happened: a row an epoch, the best epoch (from 1), how many ran, the best validation loss, the seconds."""

    table: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = float("inf")
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """How many epochs ran."""
        return len(self.table)


def fit(
    network: Network,
    train: Examples,
    validation: Examples,
    recipe: Recipe,
    *,
    seed: int,
    trained: str = "everything",
    on_epoch: Callable[[dict[str, Any], dict[str, np.ndarray]], object] | None = None,
) -> History:
    """Train a network in place and leave it, in evaluation mode, with the weights of its best epoch on validation.

    Args:
        network: what to train.
        train: examples to learn from.
        validation: examples that choose the epoch, by the same weighted and masked loss.
        recipe: epochs, batch size, learning rate, weight decay, patience.
        seed: of the order of the batches and of dropout.
        trained: `everything`, or `head`: then the encoder is held in evaluation mode, so that neither its weights nor
            the running statistics of its batch norms move.
        on_epoch: called after every epoch with its row of the history and the validation outputs.

    Raises:
        InputError: when there is nothing to learn from or `trained` is unknown.
        FloatingPointError: when the loss was never finite.
    """
    if trained not in TRAINED:
        raise InputError(unknown("value of trained", trained, TRAINED))
    if not len(train) or not len(validation):
        raise InputError(f"fit needs examples: {len(train)} for training and {len(validation)} for validation")
    started = time.perf_counter()
    parts = network.heads if trained == "head" else network
    network.requires_grad_(trained == "everything").heads.requires_grad_(True)
    if train.inputs.ndim == 4:
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(parts.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    count = len(batches(len(train), recipe.batch_size, stream(seed, "batches")))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs * count)
    generator = stream(seed, "batches")
    history, best = History(), None
    with seeded(integer_seed(seed, "dropout")):
        for epoch in range(1, recipe.epochs + 1):
            _set_mode(network, trained)
            losses = [
                _step(network, optimiser, schedule, train, chosen)
                for chosen in batches(len(train), recipe.batch_size, generator)
            ]
            if trained == "everything":
                settle_batch_norm(network, train, recipe.batch_size)
            found = outputs(network, validation.inputs, validation.rows)
            row = {
                "epoch": epoch,
                "train_loss": float(np.mean(losses)),
                **_validation_losses(network, validation, found),
            }
            history.table.append(row)
            if row["validation_loss"] < history.best_loss:
                history.best_epoch, history.best_loss = epoch, row["validation_loss"]
                best = copy.deepcopy(network.state_dict())
            if on_epoch is not None:
                on_epoch(row, found)
            if epoch - history.best_epoch >= recipe.patience:
                break
    if best is None:
        raise FloatingPointError(
            f"the loss was never finite in {history.epochs} epochs at lr {recipe.lr:g}; use a smaller lr"
        )
    network.load_state_dict(best)
    network.eval()
    history.seconds = time.perf_counter() - started
    return history


def batches(n: int, batch_size: int, generator: np.random.Generator) -> list[np.ndarray]:
    """A random order of n examples in near equal batches; none has a single example unless that was asked for.

    Example:
        >>> [len(batch) for batch in batches(9, 4, np.random.default_rng(0))]
        [3, 3, 3]
    """
    count = -(-n // batch_size)
    if batch_size > 1:
        count = max(1, min(count, n // 2))
    return np.array_split(generator.permutation(n), count)


def _set_mode(network: Network, trained: str) -> None:
    network.train()
    if trained == "head":
        network.encoder.eval()


def settle_batch_norm(network: Network, train: Examples, batch_size: int) -> None:
    """Estimate the running statistics of every batch norm anew, as their mean over the batches of the training images.

    The moving average of a few steps lags behind the weights, which makes the validation loss of small samples jump
    (Wu & Johnson 2021, arXiv:2105.07576, section 3). A training set of one image leaves the statistics as they are.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if not norms or len(train) < 2:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    count = max(1, min(-(-len(train) // max(batch_size, 2)), len(train) // 2))
    with torch.no_grad():
        for chosen in np.array_split(stream(0, "batch norm").permutation(len(train)), count):
            network.encoder(as_batch(train.inputs, train.rows[chosen]))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _step(
    network: Network,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    train: Examples,
    chosen: np.ndarray,
) -> float:
    held = _hold_batch_norm(network) if len(chosen) == 1 else []
    labels = {name: torch.from_numpy(values[chosen]).float() for name, values in train.labels.items()}
    optimiser.zero_grad(set_to_none=True)
    loss, parts = masked_loss(network(as_batch(train.inputs, train.rows[chosen])), labels, network.targets)
    if parts:
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    for module in held:
        module.train()
    return float(loss.detach())


def _hold_batch_norm(network: Network) -> list[nn.Module]:
    # one image has no spread between images: its batch is normalised by the running statistics
    held: list[nn.Module] = [norm for norm in network.modules() if isinstance(norm, _BatchNorm) and norm.training]
    for module in held:
        module.eval()
    return held


def _validation_losses(network: Network, validation: Examples, found: dict[str, np.ndarray]) -> dict[str, float]:
    labels = {name: torch.from_numpy(values).float() for name, values in validation.labels.items()}
    tensors = {name: torch.from_numpy(values) for name, values in found.items()}
    loss, parts = masked_loss(tensors, labels, network.targets)
    return {"validation_loss": float(loss), **{f"validation_loss_{name}": part for name, part in parts.items()}}
