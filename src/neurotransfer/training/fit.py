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
from neurotransfer.training.portions import Portions, require_shares
from neurotransfer.training.processes import Processes, shared_norms
from neurotransfer.training.recipe import Recipe
from neurotransfer.training.together import SHARED, forward_together, same_batches

OnEpoch = Callable[[dict[str, Any], dict[str, np.ndarray]], object]


def fit(
    network: Network,
    train: Examples,
    validation: Examples | None,
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
        validation: examples that choose the epoch, by the same weighted and masked loss; None: the last epoch is kept.
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
    validation: Examples | None,
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
    training = Training(
        networks, train, validation, recipes, seed=seed, on_epoch=on_epoch, checkpoint=checkpoint, processes=processes
    )
    training.until()
    return training.end()


class Training:
    """Networks under training, as `fit_together` trains them: `until` an epoch, and on from there.

    One that is paused ends as one that runs through, bit by bit, whatever is trained in between.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        train: Examples,
        validation: Examples | None,
        recipes: Sequence[Recipe],
        *,
        seed: int,
        on_epoch: OnEpoch | None = None,
        checkpoint: Checkpoint | None = None,
        processes: Processes | None = None,
    ) -> None:
        require_examples(train, validation)
        recipes = [recipe.on(len(train)) for recipe in recipes]
        if not all(same_batches(recipes[0], recipe) for recipe in recipes):
            raise InputError(
                f"networks that are trained together have the same {', '.join(SHARED)}; fit them one by one"
            )
        if any(target.has_side for network in networks for target in network.targets.values()):
            recipes = [recipe.without_flip() for recipe in recipes]
        for network in networks:
            ready(network, train.inputs)
        self.train, self.validation, self.seed, self.recipe = train, validation, seed, recipes[0]
        self.on_epoch, self.checkpoint, self.processes = on_epoch, checkpoint, processes or Processes()
        require_shares(len(train), self.recipe, self.processes)
        self.norms = torch.nn.ModuleList(networks)
        with shared_norms(self.norms, self.processes):
            pairs = zip(networks, recipes, strict=True)
            self.learners = [Learner(network, recipe, seed, self.processes) for network, recipe in pairs]
        self.order, self.device = stream(seed, "batches"), self.learners[0].device
        self.portions = Portions(self.recipe, self.processes, self.device)
        self.epoch, self.step, self.losses = 1, 0, [[] for _ in networks]  # type: ignore[var-annotated]
        self._load()
        for _ in range(1, self.epoch):
            batches(len(self.train), self.recipe.batch_size, self.order)

    @property
    def histories(self) -> list[History]:
        """What happened to every network so far."""
        return [learner.history for learner in self.learners]

    def is_going(self, place: int) -> bool:
        """Whether the network at a place would be trained on."""
        return not self.learners[place].stopped and self.epoch <= self.recipe.epochs

    def drop(self, place: int) -> None:
        """Train the network at a place no further."""
        self.learners[place].stopped = True

    def until(self, epoch: int | None = None) -> None:
        """Train until this many epochs are done, or to the end; from the checkpoint where there is one."""
        last = self.recipe.epochs if epoch is None else min(epoch, self.recipe.epochs)
        with shared_norms(self.norms, self.processes):
            while self.epoch <= last and self._active():
                self._run_epoch()

    def end(self) -> list[History]:
        """Leave every network, in evaluation mode, with the weights of its best epoch."""
        return [learner.end() for learner in self.learners]

    def _run_epoch(self) -> None:
        started = time.perf_counter()
        self._train_epoch()
        for learner in self._active():
            self._finish_epoch(learner)
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
        given = ahead(every[self.step :], self._load_batch, is_quick=self.train.inputs.ndim == 2)
        for chosen, (volumes, labels) in given:
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
        return self.train.load(chosen, self.portions.mine(chosen), self.epoch)

    def _train_batch(
        self, chosen: np.ndarray, volumes: torch.Tensor, labels: Mapping[str, np.ndarray], steps: int
    ) -> None:
        volumes, active = self._augmented(volumes.to(self.device), chosen), self._active()
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
        parts, done = self.portions.parts(next(iter(known_labels.values()))), 0
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
        return apply(volumes, drawn.of(self.portions.mine(chosen)))

    def _halve(self, most: int, shape: tuple[int, ...]) -> None:
        for learner in self.learners:
            learner.optimiser.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        note = self.portions.halve(most, shape)
        for learner in self.learners:
            learner.history.notes.append(note)

    def _finish_epoch(self, learner: Learner) -> None:
        average = learner.average
        if average is not None:
            average.swap(learner.network)
        # without anybody who looks at this epoch, only the last one's weights are used
        if self.validation is not None or self.on_epoch is not None or self.epoch == self.recipe.epochs:
            learner.settle(self.train, self.portions.at_once)
        found, losses = self._validation_outputs(learner.network), self.losses[self.learners.index(learner)]
        row = learner.finish_epoch(float(np.mean(losses)) if losses else float("nan"), found, self.validation)
        if self.on_epoch is not None:
            self.on_epoch(row, found)
        if average is not None:
            average.swap(learner.network)

    def _validation_outputs(self, network: Network) -> dict[str, np.ndarray]:
        if self.validation is None:
            return {}
        mine = self.processes.share(self.validation.rows)
        return self.processes.interleaved(outputs(network, self.validation.inputs, mine), len(self.validation))

    def _due(self) -> bool:
        return self.checkpoint is not None and any(self.processes.gather(self.checkpoint.due))

    def _facts(self) -> dict[str, Any]:
        network = self.learners[0].network
        shapes = [(name, tuple(value.shape)) for name, value in network.state_dict().items()]
        return {
            "network": shapes, "targets": list(network.targets.values()), "seed": self.seed, "precision": current().kind,
            "training images": self.train.digest, "validation images": self.validation.digest if self.validation else "none",
            "processes": self.processes.size, **self.recipe.facts,
        }  # fmt: skip

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        states = [learner.state() for learner in self.learners]
        if self.processes.is_first:
            place = {"epoch": self.epoch, "step": self.step, "losses": self.losses, "micro": self.portions.micro}
            self.checkpoint.save({**place, "learners": states}, self._facts())

    def _load(self) -> None:
        kept = self.checkpoint.load(self._facts()) if self.checkpoint is not None else None
        if kept is not None:
            place = [kept[name] for name in ("epoch", "step", "losses", "micro")]
            self.epoch, self.step, self.losses, self.portions.micro = place
            for learner, state in zip(self.learners, kept["learners"], strict=True):
                learner.restore(state)
