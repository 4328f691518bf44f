"""Make a predictor by a strategy: what stands still is run once, what is trained goes through one loop."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from neurotransfer.cohort import Split
from neurotransfer.errors import InputError, LeakageError
from neurotransfer.models.network import Identity, Network
from neurotransfer.seeding import integer_seed
from neurotransfer.targets import Target
from neurotransfer.training import Examples, Recipe
from neurotransfer.transfer.blend import blend_heads
from neurotransfer.transfer.fitted import Fitted
from neurotransfer.transfer.gradient import Job, Setting, Trained, recipe_of, train_jobs
from neurotransfer.transfer.heads import kind_of, solve_heads
from neurotransfer.transfer.source import Source

NOBODY = np.array([], int)


def fit_setting(
    source: Source,
    inputs: np.ndarray,
    target: Target,
    labels: np.ndarray,
    split: Split,
    setting: Setting,
    recipe: Recipe,
    seed: int,
    people: np.ndarray | None = None,
) -> Fitted:
    """Fit one setting of a strategy on one split: `fit_settings` of this one alone, whose error is raised."""
    (outcome,) = fit_settings(source, inputs, target, labels, split, [setting], recipe, seed, people=people)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def fit_settings(
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
) -> Iterator[Fitted | Exception]:
    """Fit every setting of a strategy on one split: exact ones all at once, networks together where that is faster.

    A setting that fails gives its error in place of a fit, and the others go on; the order is that of `tried`. On a split
    with folds every setting is fitted once a fold, on the rows of the other folds: fold after fold, see `parts_of`.

    Args:
        source: from `make_source`.
        inputs: of every row, from `inputs_of`.
        target: what to predict; a continuous one is standardised by its training values.
        labels: of every row, (n_rows,).
        split: rows for training and validation; its test rows are not looked at.
        tried: hyperparameters that replace those of the recipe.
        recipe: the budget, the same for every strategy.
        seed: of new weights, order of batches and dropout.
        halving: train by successive halving, see `train_jobs`; what is solved exactly is not changed by it.
        people: the participant of every row, as whole numbers (n_rows,), for what is chosen by folds of the training rows; None where
            each row is of somebody else.
    """
    parts = parts_of(split, seed)
    if source.strategy.solver == "gradient":
        recipes = [recipe_of(recipe, setting) for setting in tried]
        jobs = [_job(source, inputs, target, labels, part, tried, recipes, own) for part, own in parts]
        for outcome in train_jobs(jobs, halving=halving):
            yield outcome if isinstance(outcome, Exception) else _fitted(outcome)
        return
    for part, own in parts:
        try:
            if source.strategy.solver == "exact":
                outcomes = _fit_exact(source, inputs, target, labels, part, tried)
            elif source.strategy.solver == "blend":
                outcomes = [_fit_blend(source, inputs, target, labels, part, people, recipe, own)] * len(tried)
            else:
                outcomes = [_as_it_is(source, target)] * len(tried)
        except Exception as error:
            outcomes = [error] * len(tried)
        yield from outcomes


def refit(
    source: Source,
    inputs: np.ndarray,
    target: Target,
    labels: np.ndarray,
    rows: np.ndarray,
    setting: Setting,
    recipe: Recipe,
    seed: int,
    epochs: int,
    people: np.ndarray | None = None,
) -> Fitted:
    """Fit one setting on rows (n,) without validation; where it is trained, for just so many epochs, see `Recipe.lasting`.

    Raises:
        Exception: the error of the fit.
    """
    split = Split(rows, NOBODY, NOBODY)
    if source.strategy.solver != "gradient":
        return fit_setting(source, inputs, target, labels, split, setting, recipe, seed, people=people)
    job = _job(
        source,
        inputs,
        target,
        labels,
        split,
        [setting],
        [recipe_of(recipe, setting).on(len(rows)).lasting(epochs)],
        seed,
    )
    (outcome,) = train_jobs([replace(job, validation=None)])
    if isinstance(outcome, Exception):
        raise outcome
    return _fitted(outcome)


def parts_of(split: Split, seed: int) -> list[tuple[Split, int]]:
    """What is fitted for one setting, each with its seed: the split itself, or one split of every fold of its training rows.

    Raises:
        InputError: when there are folds and validation rows, fewer than two folds, or not one fold number a training row.
        LeakageError: when a row is in two folds.

    Example:
        >>> folds = Split(np.array([4, 4, 7]), np.array([], int), np.array([9]), folds=np.array([1, 1, 0]))
        >>> [(part.train.tolist(), part.validation.tolist()) for part, _ in parts_of(folds, 0)]
        [([4, 4], [7]), ([7], [4, 4])]
    """
    if split.folds is None:
        return [(split, seed)]
    numbers = np.unique(split.folds)
    if len(split.folds) != len(split.train) or len(numbers) < 2 or len(split.validation):
        raise InputError(
            f"{len(numbers)} folds of {len(split.folds)} rows, {len(split.train)} training rows and {len(split.validation)} "
            "validation rows; give two folds or more, one fold number a training row and no validation rows"
        )
    parts = [
        (
            Split(split.train[split.folds != k], split.train[split.folds == k], NOBODY),
            integer_seed(seed, "fold", int(k)),
        )
        for k in numbers
    ]
    for part, _ in parts:
        shared = np.intersect1d(part.train, part.validation)
        if len(shared):
            raise LeakageError(f"row {shared[0]} is in two folds; every row, with its repeats, may be in one only")
    return parts


def _job(
    source: Source,
    inputs: np.ndarray,
    target: Target,
    labels: np.ndarray,
    split: Split,
    tried: Sequence[Setting],
    recipes: Sequence[Recipe],
    seed: int,
) -> Job:
    target = target.scaled_to(labels[split.train])
    train, validation = (
        Examples(inputs, rows, {target.name: labels[rows]}) for rows in (split.train, split.validation)
    )
    return Job(source, target, tried, [each.on(len(train)) for each in recipes], train, validation, seed)


def _fitted(trained: Trained) -> Fitted:
    history = trained.history
    return Fitted(
        trained.network,
        history.epochs,
        history.best_epoch,
        history.best_loss,
        tuple(history.notes),
        trained.dropped,
    )


def _as_it_is(source: Source, target: Target) -> Fitted | Exception:
    assert source.network is not None
    head = source.network.head(target.name)
    weights, bias = head.weight.detach().cpu().numpy(), head.bias.detach().cpu().numpy()
    return Fitted(_on_features(source.network.targets[target.name], weights, bias), 0, 0, np.nan)


def _on_features(target: Target, weights: np.ndarray, bias: np.ndarray) -> Network:
    network = Network(Identity(weights.shape[1]), [target])
    with torch.no_grad():
        network.head(target.name).weight.copy_(torch.from_numpy(np.asarray(weights, np.float32)))
        network.head(target.name).bias.copy_(torch.from_numpy(np.asarray(bias, np.float32)))
    return network.eval()


def _fit_exact(
    source: Source, inputs: np.ndarray, target: Target, labels: np.ndarray, split: Split, tried: Sequence[Setting]
) -> list[Fitted | Exception]:
    target, train = target.scaled_to(labels[split.train]), inputs[split.train]
    penalties = [float(setting.get("penalty", 1.0)) for setting in tried]
    kind = kind_of(source.strategy, train.shape[1])
    return [
        _fixed(target, *one)
        for one in zip(*solve_heads(train, labels[split.train], target, penalties, kind), strict=True)
    ]


def _fit_blend(
    source: Source,
    inputs: Any,
    target: Target,
    labels: np.ndarray,
    split: Split,
    people: np.ndarray | None,
    recipe: Recipe,
    seed: int,
) -> Fitted | Exception:
    blend = blend_heads(source, inputs, target, labels, split, people, recipe, seed)
    fitted = _fixed(blend.target, blend.weights, blend.bias)
    if isinstance(fitted, Exception):
        return fitted
    notes = tuple(note for learner in blend.learners for note in learner.notes)
    return replace(fitted, blend=blend.record, learners=blend.learners, notes=notes)


def _fixed(target: Target, weights: np.ndarray, bias: np.ndarray) -> Fitted | Exception:
    with np.errstate(over="ignore"):
        weights, bias = weights.astype(np.float32), bias.astype(np.float32)
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        return FloatingPointError("the solution is not finite")
    return Fitted(_on_features(target, weights, bias), 0, 0, np.nan)
