"""`fit`: the only loop that calls backward()."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from neurotransfer.errors import InputError, is_no_memory
from neurotransfer.models.network import Network
from neurotransfer.seeding import stream
from neurotransfer.training.augment import apply, sample
from neurotransfer.training.checkpoint import Checkpoint
from neurotransfer.training.engine import current
from neurotransfer.training.examples import Examples, History, ahead, batches, require_examples
from neurotransfer.training.inference import outputs, ready
from neurotransfer.training.learner import Learner, hold_batch_norm
from neurotransfer.training.processes import Processes, shared_norms
from neurotransfer.training.recipe import Recipe
from neurotransfer.training.settle import settle_batch_norm
from neurotransfer.training.together import SHARED, forward_together, same_batches

OnEpoch = Callable[[dict[str, Any], dict[str, np.ndarray]], object]


def fit(
    network: Network,
    train: Examples,
    validation: Examples,
    recipe: Recipe,
    *,
    seed: int,
    on_epoch: OnEpoch | None = None,
    checkpoint: Checkpoint | None = None,
    processes: Processes | None = None,
) -> History:
    """Train a network in place and leave it, in evaluation mode, with the weights of its best epoch on validation.

    Args:
        network: what to train.
        train: examples to learn from.
        validation: examples that choose the epoch, by the same weighted and masked loss.
        recipe: epochs, batch size, learning rate, weight decay, patience and so on.
        seed: of the order of the batches, of augmentation and of dropout.
        on_epoch: called after every epoch with its row of the history and the validation outputs, while the network has the
            weights that were validated.
        checkpoint: kept up to date, and gone on from when it is there.
        processes: those that train the network together, from `launch`.

    Raises:
        InputError: when there is nothing to learn from, or a checkpoint of something else.
        DivergedError: when a loss is not finite; the network then has the weights of the best epoch before.
        MemoryError: when one image at a time is too much for the device.
    """
    history = fit_together(
        [network], train, validation, [recipe], seed=seed, on_epoch=on_epoch, checkpoint=checkpoint, processes=processes
    )[0]
    if history.error is not None:
        raise history.error
    return history


def fit_together(
    networks: Sequence[Network],
    train: Examples,
    validation: Examples,
    recipes: Sequence[Recipe],
    *,
    seed: int,
    on_epoch: OnEpoch | None = None,
    checkpoint: Checkpoint | None = None,
    processes: Processes | None = None,
) -> list[History]:
    """Train several networks on the same batches, each as `fit` would; what they have in common is computed once.

    A network that diverges stops with its `error` in its history, and the others go on.

    Raises:
        InputError: also when the recipes differ in what the networks share: epochs, batches and augmentation.
    """
    require_examples(train, validation)
    if not all(same_batches(recipes[0], recipe) for recipe in recipes):
        raise InputError(f"networks that are trained together have the same {', '.join(SHARED)}; fit them one by one")
    if any(target.has_side for network in networks for target in network.targets.values()):
        recipes = [recipe.without_flip() for recipe in recipes]
    for network in networks:
        ready(network, train.inputs)
    processes = processes or Processes()
    _require_shares(train, recipes[0], processes)
    with shared_norms(torch.nn.ModuleList(networks), processes):
        learners = [
            Learner(network, recipe, seed, processes) for network, recipe in zip(networks, recipes, strict=True)
        ]
        fitting = _Fit(learners, train, validation, seed, checkpoint, processes)
        fitting.run(on_epoch)
    return [learner.end() for learner in learners]


def _require_shares(train: Examples, recipe: Recipe, processes: Processes) -> None:
    smallest = min(len(part) for part in batches(len(train), recipe.batch_size, np.random.default_rng(0)))
    if smallest < processes.size:
        raise InputError(
            f"{processes.size} processes share batches of {smallest} images; use a larger batch_size or fewer devices"
        )


class _Fit:
    """The state that the networks share, and the loop."""

    def __init__(
        self,
        learners: list[Learner],
        train: Examples,
        validation: Examples,
        seed: int,
        checkpoint: Checkpoint | None,
        processes: Processes,
    ) -> None:
        self.learners, self.train, self.validation = learners, train, validation
        self.seed, self.checkpoint, self.processes = seed, checkpoint, processes
        self.recipe, self.device = learners[0].recipe, learners[0].device
        self.order = stream(seed, "batches")
        self.micro = self.recipe.micro_batch or self.recipe.batch_size
        self.epoch, self.step, self.losses = 1, 0, [[] for _ in learners]  # type: ignore[var-annotated]

    def run(self, on_epoch: OnEpoch | None) -> None:
        """Epoch after epoch, from the checkpoint where there is one."""
        self._load()
        for _ in range(1, self.epoch):
            batches(len(self.train), self.recipe.batch_size, self.order)
        while self.epoch <= self.recipe.epochs and self._active():
            started = time.perf_counter()
            self._train_epoch()
            for learner in self._active():
                self._finish_epoch(learner, on_epoch)
            self.epoch, self.step, self.losses = self.epoch + 1, 0, [[] for _ in self.learners]
            for learner in self.learners:
                learner.history.seconds += time.perf_counter() - started
            # the weights of a loss that is not finite never replace good ones
            if not any(learner.history.error for learner in self.learners):
                self._save()

    def _active(self) -> list[Learner]:
        return [learner for learner in self.learners if not learner.stopped]

    def _train_epoch(self) -> None:
        every = batches(len(self.train), self.recipe.batch_size, self.order)
        started, waited, waiting = time.perf_counter(), time.perf_counter(), 0.0
        for learner in self._active():
            learner.network.train()
        for chosen, (volumes, labels) in ahead(every[self.step :], self._load_batch):
            waiting += time.perf_counter() - waited
            if not self._active():
                break
            self._train_batch(chosen, volumes, labels, len(every))
            self.step += 1
            if self._due() and self.step < len(every):
                self._save()
            waited = time.perf_counter()
        for learner in self.learners:
            learner.history.training += time.perf_counter() - started
            learner.history.waiting += waiting

    def _load_batch(self, chosen: np.ndarray) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
        return self.train.load(chosen, self._mine(chosen), self.epoch)

    @property
    def _at_once(self) -> int:
        return self.micro * self.processes.size if self.recipe.micro_batch else self.micro

    def _parts(self, chosen: np.ndarray) -> list[np.ndarray]:
        """The places in a batch that all processes take at once, part after part."""
        return np.array_split(np.arange(len(chosen)), -(-len(chosen) // self._at_once))

    def _mine(self, chosen: np.ndarray) -> np.ndarray:
        return np.concatenate([self.processes.share(part) for part in self._parts(chosen)])

    def _train_batch(
        self, chosen: np.ndarray, volumes: torch.Tensor, labels: Mapping[str, np.ndarray], steps: int
    ) -> None:
        volumes = self._augmented(volumes.to(self.device), chosen)
        active = self._active()
        while True:
            try:
                losses = self._gradients(active, labels, volumes)
                break
            except RuntimeError as error:
                if not is_no_memory(error):
                    raise
                self._halve(len(volumes), tuple(volumes.shape[2:]))
        for learner, loss in zip(active, self.processes.total(torch.stack(losses)).tolist(), strict=True):
            if np.isfinite(loss):
                learner.step((self.epoch - 1) * steps + self.step, steps)
                self.losses[self.learners.index(learner)].append(loss)
            else:
                learner.diverge(loss, self.epoch, self.step + 1, self.train.called(chosen))

    def _gradients(
        self, active: list[Learner], known_labels: Mapping[str, np.ndarray], volumes: torch.Tensor
    ) -> list[torch.Tensor]:
        known = {name: max(1, int((~np.isnan(values)).sum())) for name, values in known_labels.items()}
        totals = [torch.zeros((), device=self.device) for _ in active]
        for learner in active:
            learner.optimiser.zero_grad(set_to_none=True)
        parts, done = self._parts(next(iter(known_labels.values()))), 0
        for part in parts:
            held = [norm for learner in active for norm in hold_batch_norm(learner.network)] if len(part) == 1 else []
            mine = self.processes.share(part)
            labels = {
                name: torch.from_numpy(values[mine]).float().to(self.device) for name, values in known_labels.items()
            }
            some = volumes[done : done + len(mine)]
            done += len(mine)
            with nullcontext() if part is parts[-1] else self.processes.without_exchange(active[0].wrapped):
                found = forward_together(active, some)
                losses = [learner.loss(each, labels, known) for learner, each in zip(active, found, strict=True)]
                self.processes.scaled(torch.stack(losses).sum()).backward()
            for norm in held:
                norm.train()
            totals = [total + loss.detach() for total, loss in zip(totals, losses, strict=True)]
        return totals

    def _augmented(self, volumes: torch.Tensor, chosen: np.ndarray) -> torch.Tensor:
        if self.recipe.augmentation is None:
            return volumes
        # drawn for the whole batch, so that it does not matter how many processes share it
        generator = stream(self.seed, "augmentation", self.epoch, self.step)
        drawn = sample(self.recipe.augmentation, len(chosen), tuple(volumes.shape[2:]), generator)
        return apply(volumes, drawn.of(self._mine(chosen)))

    def _halve(self, most: int, shape: tuple[int, ...]) -> None:
        for learner in self.learners:
            learner.optimiser.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        size, half = min(self.micro, most), min(self.micro, most) // 2
        if self.processes.size > 1:
            raise MemoryError(
                f"{size} images of {shape} a process need more memory than {self.device} has; use micro_batch {max(half, 1)}"
            )
        if not half:
            raise MemoryError(
                f"one image of {shape} needs more memory than {self.device} has; use a coarser grid, a narrower network, or "
                "precision bfloat16"
            )
        self.micro = half
        note = (
            f"{size} images of {shape} at once need more memory than {self.device} has: {half} are taken at once from now on, "
            f"and their gradients summed up to batches of {self.recipe.batch_size} (batch norm sees {half} images)"
        )
        for learner in self.learners:
            learner.history.notes.append(note)

    def _finish_epoch(self, learner: Learner, on_epoch: OnEpoch | None) -> None:
        average = learner.average
        if average is not None:
            average.swap(learner.network)
        with learner.own_random():
            settle_batch_norm(learner.network, self.train, self._at_once, self.processes)
        found, losses = self._validation_outputs(learner.network), self.losses[self.learners.index(learner)]
        row = learner.finish_epoch(float(np.mean(losses)) if losses else float("nan"), found, self.validation)
        if on_epoch is not None:
            on_epoch(row, found)
        if average is not None:
            average.swap(learner.network)

    def _validation_outputs(self, network: Network) -> dict[str, np.ndarray]:
        mine = self.processes.share(self.validation.rows)
        return self.processes.interleaved(outputs(network, self.validation.inputs, mine), len(self.validation))

    def _due(self) -> bool:
        return self.checkpoint is not None and any(self.processes.gather(self.checkpoint.due))

    def _facts(self) -> dict[str, Any]:
        network = self.learners[0].network
        shapes = [(name, tuple(value.shape)) for name, value in network.state_dict().items()]
        return {
            "network": shapes, "targets": list(network.targets.values()), "seed": self.seed, "precision": current().kind,
            "training images": self.train.digest, "validation images": self.validation.digest,
            "processes": self.processes.size, **vars(self.recipe),
        }  # fmt: skip

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        states = [learner.state() for learner in self.learners]
        if self.processes.is_first:
            place = {"epoch": self.epoch, "step": self.step, "losses": self.losses, "micro": self.micro}
            self.checkpoint.save({**place, "learners": states}, self._facts())

    def _load(self) -> None:
        kept = self.checkpoint.load(self._facts()) if self.checkpoint is not None else None
        if kept is not None:
            self.epoch, self.step, self.losses, self.micro = (
                kept[name] for name in ("epoch", "step", "losses", "micro")
            )
            for learner, state in zip(self.learners, kept["learners"], strict=True):
                learner.restore(state)
