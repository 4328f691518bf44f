"""One network that learns: its optimiser, its random stream, its best epoch, and all of it as plain values."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from neurotransfer.errors import DivergedError
from neurotransfer.models.network import Network
from neurotransfer.seeding import integer_seed
from neurotransfer.training.examples import Examples, History
from neurotransfer.training.losses import masked_loss, target_losses
from neurotransfer.training.optimiser import Anchor, LearnedWeights, MovingAverage, make_optimiser, set_lr, share_of_lr
from neurotransfer.training.processes import Processes
from neurotransfer.training.recipe import Recipe
from neurotransfer.training.settle import settle_batch_norm

MOST_GRADIENT = 5.0


class Learner:
    """A network under training.

    Args:
        network: on its device.
        recipe: how it is trained.
        seed: of dropout.
        processes: those that train it together.
    """

    def __init__(self, network: Network, recipe: Recipe, seed: int, processes: Processes) -> None:
        self.network, self.recipe, self.processes = network, recipe, processes
        network.requires_grad_(True)
        self.device = next(network.parameters()).device
        self.wrapped = processes.wrap(network)
        kinds = {name: target.kind for name, target in network.targets.items()}
        self.weights = LearnedWeights(kinds).to(self.device) if recipe.learned_weights else None
        self.optimiser = make_optimiser(network, recipe, self.weights)
        self.average = MovingAverage(network, recipe.ema) if recipe.ema else None
        self.anchor = Anchor(network.encoder, self.optimiser, recipe.anchor) if recipe.anchor else None
        self.history = History()
        self.best: dict[str, Tensor] | None = None
        self.stopped = False
        names = ("dropout", processes.rank) if processes.rank else ("dropout",)
        self.random = torch.Generator().manual_seed(integer_seed(seed, *names)).get_state()
        self.device_random: Tensor | None = None

    @contextmanager
    def own_random(self) -> Iterator[None]:
        """Let torch draw from this network's stream; whoever draws outside is left alone."""
        before = torch.random.get_rng_state()
        torch.random.set_rng_state(self.random)
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            if self.device_random is None:
                torch.cuda.manual_seed(torch.initial_seed())
            else:
                torch.cuda.set_rng_state(self.device_random, self.device)
        try:
            yield
        finally:
            self.random = torch.random.get_rng_state()
            if on_gpu:
                self.device_random = torch.cuda.get_rng_state(self.device)
            torch.random.set_rng_state(before)

    def loss(
        self, outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor], known: Mapping[str, int]
    ) -> Tensor:  # fmt: skip
        """The share of a batch's loss that a part of it has; `known` counts the labels of the whole batch by target."""
        parts = target_losses(outputs, labels, self.network.targets, known)
        # every output takes part, so that no process waits for a gradient that another one has
        total = sum((output.sum() * 0 for output in outputs.values()), torch.zeros((), device=self.device))
        if self.weights is not None:
            shares = {name: float((~torch.isnan(labels[name])).sum()) / known[name] for name in parts}
            return total + self.weights(parts, shares)
        for name, part in parts.items():
            total = total + self.network.targets[name].weight * part
        return total

    def step(self, number: int, steps_an_epoch: int) -> None:
        """Move the weights along the gradients that are there."""
        set_lr(self.optimiser, share_of_lr(number, steps_an_epoch, self.recipe))
        for value in [] if self.weights is None else self.weights.parameters():
            # they are no part of the network, whose gradients are exchanged by themselves
            if value.grad is not None:
                value.grad = self.processes.total(value.grad) / self.processes.size
        if number < self.recipe.head_first * steps_an_epoch:
            # without a gradient AdamW neither moves a weight nor keeps moments of it
            self.network.encoder.zero_grad(set_to_none=True)
        elif self.anchor is not None:
            self.anchor.pull()
        nn.utils.clip_grad_norm_(self.network.parameters(), MOST_GRADIENT)
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self.network)

    def settle(self, train: Examples, at_once: int) -> None:
        """Estimate the statistics of batch norms anew over the training images, so many at once, unless the recipe says no."""
        with self.own_random():
            if self.recipe.settle:
                settle_batch_norm(self.network, train, at_once, self.processes)

    def finish_epoch(
        self, train_loss: float, found: Mapping[str, np.ndarray], validation: Examples | None
    ) -> dict[str, Any]:
        """The row of an epoch with these validation outputs; the weights are kept when it is the best one.

        Without validation, or without early stopping, the last epoch is the best.
        """
        row: dict[str, Any] = {"epoch": self.history.epochs + 1, "train_loss": train_loss}
        row |= {"validation_loss": float("nan")} if validation is None else self._validated(found, validation)
        self.history.table.append(row)
        if validation is None or self._is_better(row["validation_loss"]):
            self.history.best_epoch, self.history.best_loss = row["epoch"], row["validation_loss"]
            self.best = copy.deepcopy(self.network.state_dict())
        since = max(self.history.best_epoch, self.recipe.head_first)
        self.stopped = bool(self.recipe.early_stopping) and row["epoch"] - since >= self.recipe.patience
        return row

    def _is_better(self, loss: float) -> bool:
        return loss < self.history.best_loss if self.recipe.early_stopping else bool(np.isfinite(loss))

    def _validated(self, found: Mapping[str, np.ndarray], validation: Examples) -> dict[str, float]:
        labels = {name: torch.from_numpy(values).float() for name, values in validation.labels.items()}
        tensors = {name: torch.from_numpy(values) for name, values in found.items()}
        loss, parts = masked_loss(tensors, labels, self.network.targets)
        return {"validation_loss": float(loss)} | {f"validation_loss_{name}": part for name, part in parts.items()}

    def diverge(self, loss: float, epoch: int, step: int, rows: str) -> None:
        """Stop for good, before the weights move: a loss is not finite."""
        kept = f"the weights of epoch {self.history.best_epoch} are kept" if self.best else "nothing was learnt yet"
        self.history.error = DivergedError(
            f"the loss became {loss} in epoch {epoch}, step {step}, at lr {self.recipe.lr:g}, with the images of rows {rows}; "
            f"{kept}: use a smaller lr, or look at these images and their labels"
        )
        self.stopped = True

    def end(self) -> History:
        """Leave the network, in evaluation mode, with the weights of its best epoch."""
        if self.best is None and self.history.error is None:
            self.history.error = DivergedError(
                f"the loss was never finite in {self.history.epochs} epochs at lr {self.recipe.lr:g}; use a smaller lr"
            )
        if self.best is not None:
            self.network.load_state_dict(self.best)
        self.network.eval()
        return self.history

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the fit depends on, as tensors and plain values."""
        history = self.history
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "weights": None if self.weights is None else self.weights.state_dict(),
            "average": None if self.average is None else (self.average.average, self.average.steps),
            "start": None if self.anchor is None else self.anchor.start,
            "best": self.best,
            "table": history.table,
            "best_epoch": history.best_epoch,
            "best_loss": history.best_loss,
            "times": [history.seconds, history.training, history.waiting],
            "notes": history.notes,
            "stopped": self.stopped,
            # one of every process: dropout differs between them
            "random": self.processes.gather((self.random, self.device_random)),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.weights is not None:
            self.weights.load_state_dict(state["weights"])
        if self.average is not None:
            average, self.average.steps = state["average"]
            self.average.average = [value.to(self.device) for value in average]
        if self.anchor is not None:
            self.anchor.restore(state["start"])
        self.best, self.stopped = state["best"], state["stopped"]
        history = self.history
        history.table, history.notes = list(state["table"]), list(state["notes"])
        history.best_epoch, history.best_loss = state["best_epoch"], state["best_loss"]
        history.seconds, history.training, history.waiting = state["times"]
        self.random, self.device_random = state["random"][self.processes.rank]


def hold_batch_norm(network: nn.Module) -> list[nn.Module]:
    """Put every batch norm that trains in evaluation mode and give them: one image has no spread between images."""
    held: list[nn.Module] = [norm for norm in network.modules() if isinstance(norm, _BatchNorm) and norm.training]
    for module in held:
        module.eval()
    return held
