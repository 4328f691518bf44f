"""What is learnt from, in which order, and what happened."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from neurotransfer.errors import InputError
from neurotransfer.training.inference import as_batch
from neurotransfer.training.recipe import batches_an_epoch

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Examples:
    """What to learn from: `inputs` (n_all, ...), the `rows` of them that are meant, labels by target name (n_rows,).

    `inputs` is an array or a `VolumeStore`; `names` (n_all,) are what messages call the rows.
    """

    inputs: Any
    rows: np.ndarray
    labels: Mapping[str, np.ndarray]
    names: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def digest(self) -> str:
        """What identifies rows and labels, as a hash."""
        digest = hashlib.sha256(repr(tuple(self.inputs.shape)).encode() + np.asarray(self.rows, np.int64).tobytes())
        for name, values in sorted(self.labels.items()):
            digest.update(name.encode() + np.asarray(values, np.float64).tobytes())
        return digest.hexdigest()

    def load(self, chosen: np.ndarray, mine: np.ndarray, epoch: int) -> tuple[Tensor, dict[str, np.ndarray]]:
        """A batch: the labels of the examples `chosen`, and the inputs of those at the places `mine` among them.

        Examples are counted by their place among the rows; `epoch`, from 1, is for those that are made anew in every epoch.
        """
        labels = {name: values[chosen] for name, values in self.labels.items()}
        return as_batch(self.inputs, self.rows[chosen[mine]]), labels

    def called(self, chosen: np.ndarray) -> str:
        """Examples by their row among all inputs, and by name where they have one."""
        rows = [int(self.rows[place]) for place in chosen]
        return ", ".join(f"{row} ({self.names[row]})" if len(self.names) > row else str(row) for row in rows)


@dataclass
class History:
    """What happened: a row an epoch, the best epoch (from 1), how many ran, the best validation loss, the seconds.

    `waiting` are the seconds of training in which the network waited for data, of `training` seconds in all steps;
    `notes` say what the engine had to change.
    """

    table: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = float("inf")
    seconds: float = 0.0
    training: float = 0.0
    waiting: float = 0.0
    notes: list[str] = field(default_factory=list)
    error: Exception | None = None

    @property
    def epochs(self) -> int:
        """How many epochs ran."""
        return len(self.table)


def batches(n: int, batch_size: int, generator: np.random.Generator) -> list[np.ndarray]:
    """A random order of n examples in near equal batches, see `batches_an_epoch`.

    Example:
        >>> [len(batch) for batch in batches(9, 4, np.random.default_rng(0))]
        [3, 3, 3]
    """
    return np.array_split(generator.permutation(n), batches_an_epoch(n, batch_size))


def ahead(items: Sequence[T], load: Callable[[T], U], *, is_quick: bool = False) -> Iterator[tuple[T, U]]:
    """Every item with what `load` gives for it, loaded by a thread while the one before is being used.

    Where loading `is_quick` there is no thread, which would cost more than it saves.

    Example:
        >>> list(ahead([1, 2], lambda item: item * 10))
        [(1, 10), (2, 20)]
    """
    if is_quick:
        yield from ((item, load(item)) for item in items)
        return
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(load, items[0]) if items else None
        for place, item in enumerate(items):
            assert coming is not None
            loaded = coming.result()
            if place + 1 < len(items):
                coming = pool.submit(load, items[place + 1])
            yield item, loaded


def require_examples(train: Examples, validation: Examples | None) -> None:
    """Refuse a fit without anything to learn from or, where examples choose the epoch, to choose by."""
    if not len(train) or (validation is not None and not len(validation)):
        n = 0 if validation is None else len(validation)
        raise InputError(f"fit needs examples: {len(train)} for training and {n} for validation")
