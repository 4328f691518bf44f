"""Train the networks of several settings: together where that is faster, in step where the worse ones are dropped."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from neurotransfer.errors import is_no_memory
from neurotransfer.models.network import Network, build_encoder, seeded, with_heads
from neurotransfer.models.perceptron import Perceptron
from neurotransfer.seeding import integer_seed
from neurotransfer.statistics.standardise import standardiser
from neurotransfer.targets import Target
from neurotransfer.training import Examples, History, Recipe, Training
from neurotransfer.training.halving import best_third, rungs
from neurotransfer.training.together import most_together, same_batches
from neurotransfer.transfer.source import Source
from neurotransfer.transfer.strategies import OF_NETWORK

Setting = Mapping[str, Any]


@dataclass(frozen=True)
class Trained:
    """A network after its training, and whether that was cut short because others were better."""

    network: Network
    history: History
    dropped: bool


@dataclass(frozen=True, eq=False)
class Job:
    """Settings to be trained on the same examples, by one seed.

    Attributes:
        source: where every network starts.
        target: what to predict, standardised.
        tried: the settings.
        recipes: theirs, in the same order.
        train: examples to learn from.
        validation: examples that choose the epoch; None: the last one is kept.
        seed: of new weights, order of batches and dropout.
    """

    source: Source
    target: Target
    tried: Sequence[Setting]
    recipes: Sequence[Recipe]
    train: Examples
    validation: Examples | None
    seed: int

    def start(self, places: Sequence[int]) -> tuple[list[Network], Training]:
        """Networks of the settings at some places, and their training before its first epoch."""
        networks = [_network(self.source, self.target, self.tried[place], self.seed) for place in places]
        recipes = [self.recipes[place] for place in places]
        if self.source.columns:
            # numbers of a table are on scales of their own, and no image to be turned or shifted
            recipes = [replace(recipe, augmentation=None) for recipe in recipes]
            with np.errstate(invalid="ignore"):
                mean, scale = standardiser(self.train.inputs[self.train.rows])
            for network in networks:
                assert isinstance(network.encoder, Perceptron)
                network.encoder.standardise(mean, scale)
        return networks, Training(networks, self.train, self.validation, recipes, seed=self.seed)


def recipe_of(recipe: Recipe, setting: Setting) -> Recipe:
    """The recipe of a setting: what it says in place of the common one; `dropout`, `width` and `depth` are the network's.

    Example:
        >>> recipe_of(Recipe(), {"lr": 0.1, "dropout": 0.5}).lr
        0.1
    """
    return replace(recipe, **{name: value for name, value in setting.items() if name not in ("dropout", *OF_NETWORK)})


def train_jobs(jobs: Sequence[Job], *, halving: bool = False) -> Iterator[Trained | Exception]:
    """Train every setting of every job: job by job, in the order of the settings; one that fails gives its error.

    With `halving` all are trained in step, and at every rung the best third of the settings goes on, see `rungs` and
    `best_third`: those with the least validation loss so far, a mean over the validation examples of all jobs. Who is
    dropped does not depend on who is trained together. Otherwise the settings after those that are being trained wait.

    Args:
        jobs: of the same settings.
        halving: whether worse settings are dropped early.
    """
    runs: Iterable[_Run] = (_Run(job, places) for job in jobs for places in _groups(job))
    for run in _advanced(_halved(list(runs), jobs) if halving else runs, None):
        yield from run.end()


def _groups(job: Job) -> list[list[int]]:
    """Runs of settings that are trained together: those next to each other with the same batches, as memory allows."""
    groups: list[list[int]] = []
    for place, recipe in enumerate(job.recipes):
        first = job.recipes[groups[-1][0]] if groups else None
        most = most_together(job.source.encoder, recipe.batch_size, tuple(job.train.inputs.shape[1:]))
        if first is not None and len(groups[-1]) < most and same_batches(first, recipe):
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


class _Run:
    """Settings of one job that are trained together: not begun, paused or done.

    Args:
        job: theirs.
        places: of the settings among those of the job.
        dropped: after how many epochs a setting is dropped, by its place.
    """

    def __init__(self, job: Job, places: Sequence[int], dropped: Mapping[int, int] | None = None) -> None:
        self.job, self.places, self.dropped = job, list(places), dict(dropped or {})
        self.under_way: tuple[list[Network], Training] | None = None
        self.error: Exception | None = None

    def until(self, epoch: int | None) -> bool:
        """Train until so many epochs are done (None: all); whether there are too many settings here for the memory."""
        if self.error is not None:
            return False
        try:
            self.under_way = self.under_way or self.job.start(self.places)
            training = self.under_way[1]
            training.until(epoch if len(self.places) > 1 else self._goal(epoch))
            short = any(history.notes for history in training.histories)
        except Exception as error:
            self.error, short = error, is_no_memory(error)
        return short and len(self.places) > 1

    def _goal(self, epoch: int | None) -> int | None:
        goals = [goal for goal in (epoch, self.dropped.get(self.places[0])) if goal is not None]
        return min(goals, default=None)

    def apart(self) -> list["_Run"]:
        """The same settings one by one, from the beginning."""
        self.under_way = self.error = None
        return [_Run(self.job, [place], self.dropped) for place in self.places]

    def losses(self) -> list[float]:
        """The least validation loss of every setting so far; infinite for one that failed."""
        if self.error is not None or self.under_way is None:
            return [np.inf] * len(self.places)
        return [np.inf if history.error else history.best_loss for history in self.under_way[1].histories]

    def keep(self, places: Sequence[int], epoch: int) -> None:
        """Drop, after so many epochs, whatever is still going and not at these places."""
        if self.error is not None or self.under_way is None:
            return
        for index, place in enumerate(self.places):
            if place not in places and self.under_way[1].is_going(index):
                self.under_way[1].drop(index)
                self.dropped[place] = epoch

    def end(self) -> Iterator[Trained | Exception]:
        """What came of every setting; nothing of it is kept here."""
        if self.error is not None:
            yield from [self.error] * len(self.places)
            return
        assert self.under_way is not None
        (networks, training), self.under_way = self.under_way, None
        for place, network, history in zip(self.places, networks, training.end(), strict=True):
            yield history.error or Trained(network, history, place in self.dropped)


def _advanced(runs: Iterable[_Run], rung: Sequence[int] | None) -> Iterator[_Run]:
    """Every run when its settings have done the epochs of a rung (None: all); one a setting where memory is short."""
    waiting = deque(runs)
    while waiting:
        run = waiting.popleft()
        if run.until(None if rung is None else rung[run.places[0]]):
            # one by one before their batches are made smaller
            waiting.extendleft(reversed(run.apart()))
        else:
            yield run


def _halved(runs: list[_Run], jobs: Sequence[Job]) -> list[_Run]:
    """Runs that have passed all rungs."""
    going = list(range(len(jobs[0].recipes)))
    for rung in rungs([recipe.epochs for recipe in jobs[0].recipes]):
        runs = list(_advanced(runs, rung))
        losses = dict.fromkeys(going, 0.0)
        for run in runs:
            for place, loss in zip(run.places, run.losses(), strict=True):
                if place in losses:
                    losses[place] += loss * len(run.job.validation or ())
        going = best_third(losses)
        for run in runs:
            run.keep(going, rung[run.places[0]])
    return runs


def _network(source: Source, target: Target, setting: Setting, seed: int) -> Network:
    if source.strategy.weights == "random":
        with seeded(integer_seed(seed, "head")):
            network = Network(build_encoder(source.architecture, source.arguments_with(setting)), [target])
    else:
        network = with_heads(source.encoder, [target], integer_seed(seed, "head"))
    for module in network.modules():
        if isinstance(module, nn.Dropout) and "dropout" in setting:
            module.p = float(setting["dropout"])
    return network
