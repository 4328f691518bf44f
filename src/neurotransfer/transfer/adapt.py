"""Make a predictor by a strategy: what stands still is run once, what is trained goes through one loop."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from neurotransfer.cohort import Cohort, Grid, Split
from neurotransfer.errors import InputError, ModelError
from neurotransfer.models.folder import Model, check_volumes
from neurotransfer.models.network import Identity, Network, build_encoder, seeded
from neurotransfer.seeding import integer_seed
from neurotransfer.targets import Target
from neurotransfer.training import Examples, Recipe, features, fit, predictions
from neurotransfer.transfer.exact import fold, solve, standardiser
from neurotransfer.transfer.strategies import Strategy

# full width at half maximum of what `voxels` sees, the smoothing of the grid itself included
SMOOTHING_MM = 6.0
# a voxel whose mean over the training images is lower lies outside the brain (volumes go from 0 to 1)
OUTSIDE = 0.2


@dataclass(frozen=True)
class Source:
    """Where a strategy starts: an encoder with its architecture, and, for `transferred`, the network with its heads.

    `columns` are the columns of the cohort table that a linear model takes instead of the image.
    """

    strategy: Strategy
    architecture: str
    arguments: Mapping[str, Any]
    encoder: nn.Module
    network: Network | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """One fit of one setting: the network (on features where the encoder stands still), and what the fit took."""

    network: Network
    epochs: int
    best_epoch: int
    validation_loss: float


def make_source(
    strategy: Strategy,
    *,
    model: Model | None,
    grid: Grid | None,
    target: Target,
    columns: tuple[str, ...] = (),
    architecture: str = "sfcn",
    arguments: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Source:
    """The encoder that a strategy starts from.

    Random weights take the architecture of the model where one is given, else `architecture` and `arguments`.

    Raises:
        InputError: when the strategy needs a model and none is given, or a model that was not trained on the target, or
            the target is among the columns.
    """
    if target.column in columns:
        raise InputError(f"regional column {target.column!r} is the target itself; leave it out")
    if strategy.encoder == "model":
        return _network_source(strategy, model, target, architecture, arguments or {}, seed)
    given: dict[str, Any]
    if strategy.encoder == "linear" and columns:
        name, given = "columns", {"columns": list(columns)}
    elif grid is None:
        raise InputError(f"strategy {strategy.name!r} needs images, or columns with regional volumes in the table")
    elif strategy.encoder == "linear":
        name, given = "tissue", {"voxel_litres": grid.voxel_size_mm**3 / 1e6}
    else:
        width = np.sqrt(max(SMOOTHING_MM**2 - grid.voxel_size_mm**2, 0)) / grid.voxel_size_mm
        sigma, stride = round(width / np.sqrt(8 * np.log(2)), 4), max(1, int(SMOOTHING_MM / 2 / grid.voxel_size_mm))
        name, given = "voxels", {"shape": list(grid.shape), "sigma": sigma, "stride": stride}
    return Source(
        strategy, name, given, build_encoder(name, given).eval(), columns=columns if name == "columns" else ()
    )


def _network_source(
    strategy: Strategy, model: Model | None, target: Target, architecture: str, arguments: Mapping[str, Any], seed: int
) -> Source:
    if strategy.needs_model and model is None:
        raise InputError(f"strategy {strategy.name!r} needs a pretrained model; give a model folder")
    if model is not None:
        architecture, arguments = model.card.architecture, model.card.arguments
    if strategy.weights == "random":
        with seeded(integer_seed(seed, "weights", architecture)):
            return Source(strategy, architecture, arguments, build_encoder(architecture, dict(arguments)).eval())
    assert model is not None
    if strategy.head == "pretrained":
        _require_head(model, target)
    return Source(strategy, architecture, arguments, model.network.encoder, model.network)


def _require_head(model: Model, target: Target) -> None:
    known = {head.name: head for head in model.card.targets}
    if target.name not in known:
        raise ModelError(
            f"model {model.card.name!r} cannot be transferred as it is to {target.name!r}: it predicts {', '.join(known)}; "
            "use frozen or finetuned, or a model that was trained on this target"
        )
    head = known[target.name]
    if (head.kind, head.classes) != (target.kind, target.classes):
        raise ModelError(
            f"model {model.card.name!r} knows {target.name!r} as {head.kind} {'/'.join(head.classes)}, the cohort has it as "
            f"{target.kind} {'/'.join(target.classes)}; recode the cohort"
        )


def inputs_of(source: Source, cohort: Cohort, volumes: np.ndarray | None, model: Model | None = None) -> np.ndarray:
    """What a strategy trains on, for every row: features (n, n_features) where the encoder stands still, else volumes.

    Raises:
        InputError: when volumes are needed and absent, or a column is not all numbers.
        ModelError: when the volumes do not fit the input contract of the model.
    """
    if source.columns:
        return column_values(cohort, source.columns)
    if volumes is None:
        raise InputError(f"strategy {source.strategy.name!r} needs images; the cohort has none")
    if model is not None and source.strategy.encoder == "model":
        check_volumes(model.card, volumes)
    return features(source.encoder, volumes) if source.strategy.on_features else volumes


def column_values(cohort: Cohort, columns: tuple[str, ...]) -> np.ndarray:
    """Columns of a cohort table as float32 (n, n_columns); raises InputError when one is absent or not all numbers."""
    absent = [column for column in columns if column not in cohort.table]
    if absent:
        raise InputError(
            f"cohort {cohort.name!r} lacks regional columns {', '.join(map(repr, absent))}; found: "
            f"{', '.join(cohort.table.columns)}; give columns that are there"
        )
    try:
        return cohort.table[list(columns)].astype(float).to_numpy(np.float32)
    except ValueError as error:
        raise InputError(f"cohort {cohort.name!r}: regional columns hold text or missing values ({error})") from None


def fit_setting(
    source: Source,
    inputs: np.ndarray,
    target: Target,
    labels: np.ndarray,
    split: Split,
    setting: Mapping[str, Any],
    recipe: Recipe,
    seed: int,
) -> Fitted:
    """Fit one setting of a strategy on one split.

    Args:
        source: from `make_source`.
        inputs: of every row, from `inputs_of`.
        target: what to predict; a continuous one is standardised by its training values.
        labels: of every row, (n_rows,).
        split: rows for training and validation; its test rows are not looked at.
        setting: hyperparameters that replace those of the recipe.
        recipe: the budget, the same for every strategy.
        seed: of new weights, order of batches and dropout.
    """
    target = target.scaled_to(labels[split.train])
    strategy = source.strategy
    if strategy.trained == "nothing":
        assert source.network is not None
        target = source.network.targets[target.name]
        head = source.network.head(target.name)
        return Fitted(
            _on_features(source, target, head.weight.detach().numpy(), head.bias.detach().numpy()), 0, 0, np.nan
        )
    if strategy.solver == "exact":
        return _fit_exact(source, inputs, target, labels, split, setting)
    budget = {name: value for name, value in setting.items() if name != "dropout"}
    recipe = replace(recipe, **budget)
    if strategy.trained == "head":
        return _fit_head(source, inputs, target, labels, split, recipe, seed)
    return _fit_everything(source, inputs, target, labels, split, recipe, seed, setting.get("dropout"))


def _on_features(source: Source, target: Target, weights: np.ndarray, bias: np.ndarray) -> Network:
    network = Network(Identity(weights.shape[1]), [target])
    with torch.no_grad():
        network.head(target.name).weight.copy_(torch.from_numpy(np.asarray(weights, np.float32)))
        network.head(target.name).bias.copy_(torch.from_numpy(np.asarray(bias, np.float32)))
    return network.eval()


def _fit_exact(
    source: Source, inputs: np.ndarray, target: Target, labels: np.ndarray, split: Split, setting: Mapping[str, Any]
) -> Fitted:
    train = inputs[split.train]
    inside = train.mean(0) >= OUTSIDE if source.strategy.encoder == "voxels" else np.full(train.shape[1], True)
    train = np.asarray(train[:, inside], float)
    mean, scale = standardiser(train, alike=source.strategy.encoder == "voxels")
    solved = solve((train - mean) / scale, labels[split.train], target, float(setting.get("penalty", 1.0)))
    weights, bias = fold(*solved, mean, scale)
    every = np.zeros((len(weights), inputs.shape[1]))
    every[:, inside] = weights
    return Fitted(_on_features(source, target, every, bias), 0, 0, np.nan)


def _fit_head(
    source: Source, inputs: np.ndarray, target: Target, labels: np.ndarray, split: Split, recipe: Recipe, seed: int
) -> Fitted:
    mean, scale = standardiser(np.asarray(inputs[split.train], float), alike=True)
    standard = ((inputs - mean) / scale).astype(np.float32)
    with seeded(integer_seed(seed, "head")):
        network = Network(Identity(inputs.shape[1]), [target])
    train, validation = _examples(standard, target, labels, split)
    history = fit(network, train, validation, recipe, seed=seed, trained="head")
    head = network.head(target.name)
    folded = fold(head.weight.detach().double().numpy(), head.bias.detach().double().numpy(), mean, scale)
    return Fitted(_on_features(source, target, *folded), history.epochs, history.best_epoch, history.best_loss)


def _fit_everything(
    source: Source,
    inputs: np.ndarray,
    target: Target,
    labels: np.ndarray,
    split: Split,
    recipe: Recipe,
    seed: int,
    dropout: float | None,
) -> Fitted:
    with seeded(integer_seed(seed, "head")):
        if source.strategy.weights == "random":
            encoder = build_encoder(source.architecture, dict(source.arguments))
        else:
            encoder = copy.deepcopy(source.encoder)
        network = Network(encoder, [target])
    if dropout is not None:
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = float(dropout)
    train, validation = _examples(inputs, target, labels, split)
    history = fit(network, train, validation, recipe, seed=seed, trained="everything")
    return Fitted(network, history.epochs, history.best_epoch, history.best_loss)


def _examples(inputs: np.ndarray, target: Target, labels: np.ndarray, split: Split) -> tuple[Examples, Examples]:
    train, validation = (
        Examples(inputs, rows, {target.name: labels[rows]}) for rows in (split.train, split.validation)
    )
    return train, validation


def predict_rows(fitted: Fitted, inputs: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (n,) and class probabilities (n, K) of a fitted strategy for rows of the inputs it was fitted on."""
    return next(iter(predictions(fitted.network, inputs, rows).values()))


def whole_network(source: Source, fitted: Fitted) -> Network:
    """The fitted head on its encoder: a network from volumes (or columns) to predictions, to be saved as a model."""
    if not source.strategy.on_features:
        return fitted.network
    network = Network(source.encoder, fitted.network.targets.values())
    network.heads.load_state_dict(fitted.network.heads.state_dict())
    return network.eval()
