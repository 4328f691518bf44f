"""What a trial trains on, and how long training takes: a few images stand for all, a few epochs for the others."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neurotransfer.benchmark.effort import Line
from neurotransfer.cohort import Cohort, Split
from neurotransfer.cohort.splits import fifth
from neurotransfer.models.network import Network
from neurotransfer.training import Checkpoint, Examples, Recipe, current, fit

# where a timing is shorter, it is done twice and the faster one counts
SHORT_S = 0.5
FEW = 4


def clock() -> float:
    """Seconds that this process has worked, whatever else the machine does; where a GPU works, seconds that have passed."""
    return time.process_time() if current().device.type == "cpu" else time.perf_counter()


class Repeated:
    """The inputs of a whole cohort, (n, ...), that repeat those of a few rows.

    Example:
        >>> Repeated(np.array([[1.0], [2.0]]), 5)[np.array([0, 3])].tolist()
        [[1.0], [2.0]]
    """

    def __init__(self, few: np.ndarray, n: int) -> None:
        self.few, self.shape = few, (n, *few.shape[1:])
        self.ndim, self.dtype, self.nbytes = few.ndim, few.dtype, few.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.few[np.arange(len(self))[rows] % len(self.few)]


class Standing:
    """Features of a whole cohort, (n, n_features): those of a few scans, which differ from each other where they are trained on.

    Rows that are alike would make another problem for a solver than rows that differ.
    """

    def __init__(self, few: np.ndarray, n: int, train: np.ndarray) -> None:
        own = np.unique(train)
        noise = np.random.default_rng(0).standard_normal((len(own), few.shape[1]), np.float32)
        noise *= 0.5 * few.std(0, dtype=np.float32)
        noise += few[own % len(few)]
        self._place = np.arange(n) % len(few)
        self._place[own] = len(few) + np.arange(len(own))
        self._values = np.concatenate([few.astype(np.float32, copy=False), noise])
        self.shape, self.ndim, self.dtype = (n, few.shape[1]), 2, self._values.dtype
        self.nbytes = self._values.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self._values[self._place[rows]]


def rows_known(labels: np.ndarray, split: Split) -> np.ndarray:
    """The training rows of a split, those of unlike labels first."""
    train = split.train
    _, first = np.unique(labels[train], return_index=True)
    return np.concatenate([train[np.sort(first)], np.delete(train, first)])


Run = Callable[[int, int, int], object]


def line_of(run: Run, sizes: tuple[int, int], group: int, batch_size: int, budget: float) -> tuple[Line, float]:
    """The line of one setting from runs that take about `budget` seconds, and the share of its memory that they needed.

    Args:
        run: trains on so many images, for so many epochs, so many settings together.
        sizes: the fewest and most images that are asked for.
        group: how many settings are trained together at most.
        batch_size: images a step.
        budget: seconds.
    """
    # with whatever is done only once
    started = clock()
    run(2, 1, 1)
    first = clock() - started
    if first > budget:
        return Line(image=first / 2), min(1.0, 2 / (batch_size * group))
    dear = _seconds(run, FEW, 1, 1) / FEW
    affordable = budget / max(dear, 1e-9)
    low = int(min(max(FEW, affordable / 8), sizes[0]))
    together = int(min(group, max(1, affordable // (8 * low))))
    high = int(min(max(2 * low, (affordable / together - 4 * low) / 2), max(sizes[1], 2 * low)))
    if affordable < together * (4 * low + 2 * high):
        return Line(image=dear), min(1.0, FEW / (batch_size * group))
    once, thrice, more = (
        _seconds(run, *each) / together for each in ((low, 1, together), (low, 3, together), (high, 2, together))
    )
    epoch = (thrice - once) / 2
    begun = max(0.0, once - epoch)
    image = max(0.0, (more - begun) / 2 - epoch) / (high - low)
    share = min(high, batch_size) * together / (batch_size * group)
    return Line(begun, max(0.0, epoch - image * low), image), min(1.0, share)


def _seconds(run: Run, n: int, epochs: int, group: int) -> float:
    fastest = float("inf")
    for _ in range(2):
        started = clock()
        run(n, epochs, group)
        fastest = min(fastest, clock() - started)
        if fastest > SHORT_S:
            break
    return fastest


def pretraining_epoch(
    network: Network, recipe: Recipe, cohort: Cohort, few: np.ndarray, folder: Path, budget: float
) -> float:
    """Seconds of an epoch of pretraining on a cohort, of which there are a few volumes; its checkpoint goes to a folder."""
    inputs = Repeated(few, len(cohort))
    labels = {target.name: cohort.labels(target) for target in network.targets.values()}
    known = np.argsort(sum(np.isnan(values).astype(int) for values in labels.values()), kind="stable")
    state = {name: value.clone() for name, value in network.state_dict().items()}

    def run(n: int, epochs: int, group: int) -> None:
        network.load_state_dict(state)
        rows = np.resize(known, n + fifth(n))
        train, validation = (
            Examples(inputs, part, {name: values[part] for name, values in labels.items()})
            for part in (rows[:n], rows[n:])
        )
        checkpoint = Checkpoint(folder / "checkpoint.pt")
        fit(network, train, validation, recipe.lasting(epochs), seed=0, checkpoint=checkpoint)
        checkpoint.remove()

    n = round(0.8 * len(cohort))
    line, _ = line_of(run, (min(n, 2 * recipe.batch_size), n), 1, recipe.batch_size, budget)
    return line.epoch + line.image * n
