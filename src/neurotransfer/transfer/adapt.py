"""Make a predictor by a strategy: what stands still is run once, what is trained goes through one loop."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from neurotransfer.cohort import Split
from neurotransfer.errors import is_no_memory
from neurotransfer.models.network import Identity, Network, build_encoder, seeded, with_heads
from neurotransfer.seeding import integer_seed
from neurotransfer.statistics.standardise import standardiser
from neurotransfer.targets import Target
from neurotransfer.training import Examples, Recipe, fit_together, predictions
from neurotransfer.training.together import most_together, same_batches
from neurotransfer.transfer.exact import fold, solve_path
from neurotransfer.transfer.source import Source

Setting = Mapping[str, Any]
# a voxel whose mean over the training images is lower lies outside the brain (volumes go from 0 to 1)
OUTSIDE = 0.2


@dataclass(frozen=True)
class Fitted:
    """One fit of one setting: the network (on features where the encoder stands still), what the fit took and had to change."""

    network: Network
    epochs: int
    best_epoch: int
    validation_loss: float
    notes: tuple[str, ...] = ()


def fit_setting(
    source: Source,
    inputs: np.ndarray,
    target: Target,
    labels: np.ndarray,
    split: Split,
    setting: Setting,
    recipe: Recipe,
    seed: int,
) -> Fitted:
    """Fit one setting of a strategy on one split: `fit_settings` of this one alone, whose error is raised."""
    (outcome,) = fit_settings(source, inputs, target, labels, split, [setting], recipe, seed)
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
) -> Iterator[Fitted | Exception]:
    """Fit every setting of a strategy on one split: exact ones all at once, networks together where that is faster.

    A setting that fails gives its error in place of a fit, and the others go on; the order is that of `tried`.

    Args:
        source: from `make_source`.
        inputs: of every row, from `inputs_of`.
        target: what to predict; a continuous one is standardised by its training values.
        labels: of every row, (n_rows,).
        split: rows for training and validation; its test rows are not looked at.
        tried: hyperparameters that replace those of the recipe.
        recipe: the budget, the same for every strategy.
        seed: of new weights, order of batches and dropout.
    """
    if source.strategy.solver == "gradient":
        yield from _fit_gradient(source, inputs, target, labels, split, tried, recipe, seed)
        return
    try:
        if source.strategy.solver == "exact":
            outcomes = _fit_exact(source, inputs, target, labels, split, tried)
        else:
            outcomes = [_as_it_is(source, target)] * len(tried)
    except Exception as error:
        outcomes = [error] * len(tried)
    yield from outcomes


def _fit_gradient(
    source: Source,
    inputs: np.ndarray,
    target: Target,
    labels: np.ndarray,
    split: Split,
    tried: Sequence[Setting],
    recipe: Recipe,
    seed: int,
) -> Iterator[Fitted | Exception]:
    target = target.scaled_to(labels[split.train])
    train, validation = (
        Examples(inputs, rows, {target.name: labels[rows]}) for rows in (split.train, split.validation)
    )
    recipes = [
        replace(recipe, **{name: value for name, value in setting.items() if name != "dropout"}) for setting in tried
    ]
    groups = deque(_groups(source.encoder, recipes, tuple(inputs.shape[1:])))
    while groups:
        group = groups.popleft()
        networks = [_network(source, target, tried[place], seed) for place in group]
        try:
            histories = fit_together(networks, train, validation, [recipes[place] for place in group], seed=seed)
            short = any(history.notes for history in histories)
        except Exception as error:
            short = is_no_memory(error)
            if len(group) == 1 or not short:
                yield from [error] * len(group)
                continue
        if len(group) > 1 and short:
            # one by one before their batches are made smaller
            groups.extendleft([place] for place in reversed(group))
            continue
        for network, history in zip(networks, histories, strict=True):
            yield history.error or Fitted(
                network, history.epochs, history.best_epoch, history.best_loss, tuple(history.notes)
            )  # fmt: skip


def _groups(encoder: nn.Module, recipes: Sequence[Recipe], shape: tuple[int, ...]) -> list[list[int]]:
    """Runs of settings that are trained together: those next to each other with the same batches, as memory allows."""
    groups: list[list[int]] = []
    for place, recipe in enumerate(recipes):
        first = recipes[groups[-1][0]] if groups else None
        most = most_together(encoder, recipe.batch_size, shape)
        if first is not None and len(groups[-1]) < most and same_batches(first, recipe):
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _network(source: Source, target: Target, setting: Setting, seed: int) -> Network:
    if source.strategy.weights == "random":
        with seeded(integer_seed(seed, "head")):
            network = Network(build_encoder(source.architecture, dict(source.arguments)), [target])
    else:
        network = with_heads(source.encoder, [target], integer_seed(seed, "head"))
    for module in network.modules():
        if isinstance(module, nn.Dropout) and "dropout" in setting:
            module.p = float(setting["dropout"])
    return network


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
    inside = _inside(train.mean(0)) if source.strategy.encoder == "voxels" else np.full(train.shape[1], True)
    train = np.asarray(train[:, inside], float)
    mean, scale = standardiser(train, alike=source.strategy.encoder != "linear")
    penalties = [float(setting.get("penalty", 1.0)) for setting in tried]
    solved = solve_path((train - mean) / scale, labels[split.train], target, penalties)
    return [_folded(target, *fold(*one, mean, scale), inside) for one in zip(*solved, strict=True)]


def _inside(mean: np.ndarray) -> np.ndarray:
    # where values have another unit than in a volume on a grid, whose tissue is brighter than a half
    return mean >= OUTSIDE * min(1.0, 2 * float(np.percentile(mean, 99)))


def _folded(target: Target, weights: np.ndarray, bias: np.ndarray, inside: np.ndarray) -> Fitted | Exception:
    every = np.zeros((len(weights), len(inside)), np.float32)
    with np.errstate(over="ignore"):
        every[:, inside] = weights
    if not (np.isfinite(every).all() and np.isfinite(bias).all()):
        return FloatingPointError("the solution is not finite")
    return Fitted(_on_features(target, every, bias), 0, 0, np.nan)


def predict_rows(fitted: Fitted, inputs: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (n,) and class probabilities (n, K) of a fit for rows of the inputs it was fitted on."""
    return next(iter(predictions(fitted.network, inputs, rows).values()))


def whole_network(source: Source, fitted: Fitted) -> Network:
    """The fitted head on its encoder: a network from volumes (or columns) to predictions, to be saved as a model."""
    if not source.strategy.on_features:
        return fitted.network
    network = Network(source.encoder, fitted.network.targets.values())
    network.heads.load_state_dict(fitted.network.heads.state_dict())
    return network.eval()
