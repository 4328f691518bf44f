"""Try the settings of a strategy on one split: what each predicts of the validation rows, and its loss there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from neurotransfer.cohort import Split
from neurotransfer.errors import StorageError, is_no_memory
from neurotransfer.targets import Target
from neurotransfer.training import Recipe, outputs
from neurotransfer.training.losses import target_losses
from neurotransfer.transfer.adapt import Fitted, Setting, fit_settings
from neurotransfer.transfer.source import Source

# of the machine and not of a fit: another time it may go well
OF_THE_MACHINE = (StorageError, OSError, MemoryError)


@dataclass(frozen=True, eq=False)
class Trial:
    """One setting, tried on one split.

    Attributes:
        setting: its hyperparameters.
        error: why there is no fit; None where there is one. All that follows is then empty, zero or NaN.
        validation_rows: the rows it is judged on, (n_v,).
        predicted: predictions of them, (n_v,).
        probabilities: of their classes, (n_v, K).
        loss: the unweighted loss on them, a mean over rows.
        epochs: that were trained; 0 where nothing is trained by gradients.
        best_epoch: the one whose weights are kept.
        dropped: whether it was stopped before its end because others were better.
    """

    setting: Setting
    error: Exception | None = None
    validation_rows: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    predicted: np.ndarray = field(default_factory=lambda: np.zeros(0))
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    loss: float = float("nan")
    epochs: int = 0
    best_epoch: int = 0
    dropped: bool = False
    fitted: Fitted | None = field(default=None, repr=False)

    def final(self) -> Fitted:
        """The fit that is to be tested.

        Raises:
            Exception: the error of a trial that has no fit.
        """
        if self.error is not None:
            raise self.error
        assert self.fitted is not None
        return self.fitted


def search(
    source: Source,
    inputs: np.ndarray,
    target: Target,
    labels: np.ndarray,
    split: Split,
    tried: Sequence[Setting],
    recipe: Recipe,
    seed: int,
) -> Iterator[Trial]:
    """Try every setting on one split, in the order of `tried`; whoever keeps no trial of the worse ones saves memory.

    What is the fault of a fit is recorded in its trial and stops nothing; what is the fault of the machine is raised. A fit
    whose batches had to be made smaller is one: the fits of one comparison must not differ in what batch norm saw.

    Args:
        source: from `make_source`.
        inputs: of every row, from `inputs_of`.
        target: what to predict.
        labels: of every row, (n_rows,).
        split: rows for training and validation; its test rows are not looked at.
        tried: hyperparameters that replace those of the recipe.
        recipe: the budget, the same for every strategy.
        seed: of new weights, order of batches and dropout.

    Raises:
        MemoryError, OSError, StorageError: when memory, disk or device are short.
    """
    outcomes = fit_settings(source, inputs, target, labels, split, tried, recipe, seed)
    for setting, outcome in zip(tried, outcomes, strict=True):
        try:
            trial = _judged(setting, outcome, inputs, labels, split.validation)
        except Exception as error:
            raise_of_the_machine(error)
            trial = Trial(setting, error)
        yield trial


def raise_of_the_machine(error: Exception) -> None:
    """Raise an error that is the fault of the machine and not of a fit, and do nothing for another one.

    Raises:
        MemoryError, OSError, StorageError: as it is; what torch says of memory as a MemoryError.

    Example:
        >>> raise_of_the_machine(FloatingPointError("the loss is not finite"))
    """
    if isinstance(error, OF_THE_MACHINE):
        raise error
    if is_no_memory(error):
        raise MemoryError(str(error)) from None


def _judged(
    setting: Setting, outcome: Fitted | Exception, inputs: np.ndarray, labels: np.ndarray, rows: np.ndarray
) -> Trial:
    if isinstance(outcome, Exception):
        raise outcome
    require_whole_batches(outcome)
    target, found = next(iter(outcome.network.targets.values())), outputs(outcome.network, inputs, rows)
    predicted, probabilities = target.decode(found[target.name])
    loss = outcome.validation_loss
    if not outcome.epochs:
        loss = loss_of(target, found[target.name], labels[rows])
    return Trial(
        setting, None, rows, predicted, probabilities, loss, outcome.epochs, outcome.best_epoch, fitted=outcome
    )


def require_whole_batches(fitted: Fitted) -> None:
    """Refuse a fit that had to change something on its way; raises MemoryError."""
    if fitted.notes:
        raise MemoryError(f"{'; '.join(fitted.notes)}: give [training] a smaller batch_size or a micro_batch")


def loss_of(target: Target, found: np.ndarray, labels: np.ndarray) -> float:
    """The unweighted loss of outputs (n, n_outputs) for labels (n,), see `target_losses`; NaN without a label.

    A value that is not read from one output counts by its squared error over the scale of its target.

    Example:
        >>> age = Target("age", "continuous", location=50.0, scale=10.0)
        >>> loss_of(age, np.zeros((2, 1)), np.array([60.0, 40.0]))
        1.0
    """
    if target.reading != "value":
        found = (target.decode(found)[0][:, None] - target.location) / target.scale
        target = replace(target, reading="value", levels=(), limits=None)
    parts: Mapping[str, Any] = target_losses(
        {target.name: torch.from_numpy(found)}, {target.name: torch.from_numpy(labels).float()}, {target.name: target}
    )
    return float(parts.get(target.name, np.nan))
