"""Try the settings of a strategy on one split: what each predicts of the validation rows, and its loss there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from neurotransfer.cohort import Split
from neurotransfer.errors import raise_of_the_machine
from neurotransfer.targets import Target
from neurotransfer.training import Recipe
from neurotransfer.training.losses import target_losses
from neurotransfer.transfer.adapt import fit_settings, parts_of, refit
from neurotransfer.transfer.fitted import Fitted, outputs_of
from neurotransfer.transfer.gradient import Setting
from neurotransfer.transfer.source import Source


@dataclass(frozen=True, eq=False)
class Trial:
    """One setting, tried on one split.

    Attributes:
        setting: its hyperparameters.
        error: why there is no fit; None where there is one. All that follows is then empty, zero or NaN.
        validation_rows: the rows it is judged on, (n_v,); with folds the training rows, each by the fit that had not seen it.
        predicted: predictions of them, (n_v,).
        probabilities: of their classes, (n_v, K).
        loss: the unweighted loss on them, a mean over rows.
        epochs: that were trained, over all folds; 0 where nothing is trained by gradients.
        best_epoch: the one whose weights are kept; with folds the mean of theirs, rounded.
        dropped: whether it was stopped before its end because others were better.
        fitted: the fit, where one was made to be kept.
        refit: what makes it, with folds.
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
    refit: Callable[[], Fitted] | None = field(default=None, repr=False)

    def final(self) -> Fitted:
        """The fit that is to be tested: the one that was made; with folds a new one on all training rows.

        What is trained by gradients is then trained for `best_epoch` epochs, under a schedule of that length and without
        validation, and keeps the weights of the last one.

        Raises:
            Exception: the error of a trial that has no fit, or of the new one.
            MemoryError, OSError, StorageError: when memory, disk or device are short.
        """
        if self.error is not None:
            raise self.error
        if self.fitted is not None or self.refit is None:
            assert self.fitted is not None
            return self.fitted
        try:
            fitted = self.refit()
        except Exception as error:
            raise_of_the_machine(error)
            raise
        require_whole_batches(fitted)
        return fitted


def search(
    source: Source,
    inputs: np.ndarray,
    target: Target,
    labels: np.ndarray,
    split: Split,
    tried: Sequence[Setting],
    recipe: Recipe,
    seed: int,
    *,
    halving: bool = False,
    people: np.ndarray | None = None,
) -> Iterator[Trial]:
    """Try every setting on one split, in the order of `tried`; whoever keeps no trial of the worse ones saves memory.

    On a split with folds every setting is fitted once a fold, on the rows of the other folds, and predicts the rows of that
    one, which choose its epoch too; a setting that fails in a fold has failed.

    What is the fault of a fit is recorded in its trial and stops nothing; what is the fault of the machine is raised. A fit
    whose batches had to be made smaller is one: the fits of one comparison must not differ in what batch norm saw.

    Args:
        source: from `make_source`.
        inputs: of every row, from `inputs_of`.
        target: what to predict.
        labels: of every row, (n_rows,).
        split: rows for training and validation, or training rows in folds; its test rows are not looked at.
        tried: hyperparameters that replace those of the recipe.
        recipe: the budget, the same for every strategy.
        seed: of new weights, order of batches and dropout; a fold has one of its own that follows from it.
        halving: drop the worse settings of what is trained by gradients early, see `train_jobs`; a dropped one is a trial too.
        people: the participant of every row, (n_rows,), see `fit_settings`.

    Raises:
        MemoryError, OSError, StorageError: when memory, disk or device are short.
    """
    outcomes = fit_settings(source, inputs, target, labels, split, tried, recipe, seed, halving=halving, people=people)
    parts = parts_of(split, seed)
    trials = (
        _trial(setting, outcome, inputs, labels, part.validation)
        for (part, _), setting, outcome in zip(
            [part for part in parts for _ in tried], [*tried] * len(parts), outcomes, strict=True
        )
    )
    if split.folds is None:
        yield from trials
        return
    # networks are not kept: there may be many
    every = [replace(trial, fitted=None) for trial in trials]
    for place, setting in enumerate(tried):
        trial = _joined(every[place :: len(tried)], split)
        again = partial(
            refit, source, inputs, target, labels, split.train, setting, recipe, seed, max(1, trial.best_epoch), people
        )
        yield replace(trial, refit=again)


def _trial(
    setting: Setting, outcome: Fitted | Exception, inputs: np.ndarray, labels: np.ndarray, rows: np.ndarray
) -> Trial:
    try:
        return _judged(setting, outcome, inputs, labels, rows)
    except Exception as error:
        raise_of_the_machine(error)
        return Trial(setting, error)


def _joined(folds: Sequence[Trial], split: Split) -> Trial:
    """The trial of a setting from its trials on the folds, in the order of their numbers."""
    failed = next((trial for trial in folds if trial.error is not None), None)
    if failed is not None:
        return failed
    assert split.folds is not None
    # where the rows of fold after fold are among the training rows
    order = np.argsort(np.argsort(split.folds, kind="stable"), kind="stable")
    sizes = [len(trial.validation_rows) for trial in folds]
    best_epochs = [trial.best_epoch for trial in folds]
    return Trial(
        folds[0].setting,
        validation_rows=split.train,
        predicted=np.concatenate([trial.predicted for trial in folds])[order],
        probabilities=np.concatenate([trial.probabilities for trial in folds])[order],
        loss=float(np.average([trial.loss for trial in folds], weights=sizes)),
        epochs=sum(trial.epochs for trial in folds),
        # halves upwards
        best_epoch=int(np.floor(np.mean(best_epochs) + 0.5)),
        dropped=any(trial.dropped for trial in folds),
    )


def _judged(
    setting: Setting, outcome: Fitted | Exception, inputs: np.ndarray, labels: np.ndarray, rows: np.ndarray
) -> Trial:
    if isinstance(outcome, Exception):
        raise outcome
    require_whole_batches(outcome)
    target, found = next(iter(outcome.network.targets.values())), outputs_of(outcome, inputs, rows)
    predicted, probabilities = target.decode(found)
    loss = outcome.validation_loss
    if not outcome.epochs:
        loss = loss_of(target, found, labels[rows])
    facts = (outcome.epochs, outcome.best_epoch, outcome.dropped)
    return Trial(setting, None, rows, predicted, probabilities, loss, *facts, outcome)


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
    parts = target_losses(
        {target.name: torch.from_numpy(found)}, {target.name: torch.from_numpy(labels).float()}, {target.name: target}
    )
    return float(parts.get(target.name, np.nan))
