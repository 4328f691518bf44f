"""Where a strategy starts: its encoder, and what it trains on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from neurotransfer.cohort import Cohort
from neurotransfer.cohort.contract import Contract, Input
from neurotransfer.errors import InputError, ModelError
from neurotransfer.models.checks import check_volumes
from neurotransfer.models.folder import Model
from neurotransfer.models.network import Network, build_encoder, seeded
from neurotransfer.seeding import integer_seed
from neurotransfer.targets import Target
from neurotransfer.training import features
from neurotransfer.transfer.strategies import OF_NETWORK, Strategy

# full width at half maximum of what `voxels` sees, the smoothing of the grid itself included
SMOOTHING_MM = 6.0


@dataclass(frozen=True)
class Source:
    """Where a strategy starts: an encoder with its architecture, and, for `transferred`, the network with its heads.

    `columns` are the columns of the cohort table that a linear model or a perceptron takes instead of the image.
    """

    strategy: Strategy
    architecture: str
    arguments: Mapping[str, Any]
    encoder: nn.Module
    network: Network | None = None
    columns: tuple[str, ...] = ()

    def arguments_with(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """What the network of a setting is built with."""
        return {**self.arguments, **{name: setting[name] for name in OF_NETWORK if name in setting}}


def make_source(
    strategy: Strategy,
    *,
    model: Model | None,
    grid: Input | None,
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
    if strategy.needs_columns and not columns:
        raise InputError(
            f"strategy {strategy.name!r} takes columns of the table and none are given; name them (regional_columns in a study, "
            "--regional), or use strategy linear, which measures tissue on images"
        )
    if strategy.takes_columns and columns:
        name, given = "perceptron" if strategy.needs_columns else "columns", {"columns": list(columns)}
    elif grid is None:
        raise InputError(f"strategy {strategy.name!r} needs images, or columns with regional volumes in the table")
    elif strategy.encoder == "linear" and isinstance(grid, Contract):
        raise InputError(
            f"tissue cannot be measured on volumes as recipe {grid.recipe!r} leaves them; give columns with regional volumes, "
            "which `neurotransfer prepare` writes, or use strategy voxels"
        )
    elif strategy.encoder == "linear":
        name, given = "tissue", {"voxel_litres": grid.voxel_size_mm**3 / 1e6}
    else:
        width = np.sqrt(max(SMOOTHING_MM**2 - grid.voxel_size_mm**2, 0)) / grid.voxel_size_mm
        sigma, stride = round(width / np.sqrt(8 * np.log(2)), 4), max(1, int(SMOOTHING_MM / 2 / grid.voxel_size_mm))
        name, given = "voxels", {"shape": list(grid.shape), "sigma": sigma, "stride": stride}
    return Source(
        strategy, name, given, build_encoder(name, given).eval(), columns=columns if "columns" in given else ()
    )


def _network_source(
    strategy: Strategy, model: Model | None, target: Target, architecture: str, arguments: Mapping[str, Any], seed: int
) -> Source:
    if strategy.needs_model and model is None:
        raise InputError(f"strategy {strategy.name!r} needs a pretrained model; give a model folder")
    if model is not None:
        architecture, arguments = model.card.architecture, model.card.arguments
    if not strategy.on_features and arguments.get("normalised"):
        # the mixing was made for features that stand still; gradients through it made networks far worse
        arguments = {**arguments, "normalised": False}
    if strategy.weights == "random":
        with seeded(integer_seed(seed, "weights", architecture)):
            return Source(strategy, architecture, arguments, build_encoder(architecture, dict(arguments)).eval())
    assert model is not None
    if strategy.head == "pretrained":
        _require_head(model, target)
    encoder = model.network.encoder
    if arguments != model.card.arguments:
        encoder = build_encoder(architecture, dict(arguments)).eval()
        learnt = model.network.encoder.state_dict()
        encoder.load_state_dict({name: learnt[name] for name in encoder.state_dict()})
    return Source(strategy, architecture, arguments, encoder, model.network)


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
