"""Where a strategy starts: its encoder, and what it trains on."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from neurotransfer.cohort import Cohort
from neurotransfer.cohort.contract import Contract, Input
from neurotransfer.errors import InputError, ModelError
from neurotransfer.models.checks import check_volumes
from neurotransfer.models.depths import Layered, depths_of
from neurotransfer.models.folder import Model
from neurotransfer.models.network import Network, build_encoder, count_features, seeded
from neurotransfer.models.several import Several
from neurotransfer.seeding import integer_seed
from neurotransfer.targets import Target
from neurotransfer.training import features
from neurotransfer.transfer.beside import Beside
from neurotransfer.transfer.strategies import OF_NETWORK, STRATEGIES, Strategy

# full width at half maximum of what `voxels` sees, the smoothing of the grid itself included
SMOOTHING_MM = 6.0
# with more of them than at 4 mm, `auto` leaves voxels out: they would be in memory six times
MOST_VOXELS = 100_000


@dataclass(frozen=True)
class Source:
    """Where a strategy starts: an encoder with its architecture, and, for `transferred`, the network with its heads.

    `columns` are the columns of the cohort table that a linear model or a perceptron takes instead of the image. `parts` are, for
    `auto`, the sources whose features lie side by side; where some of them take columns and others images, no encoder gives them
    all, and `encoder` only says how many there are. `learners` are sources of networks that `auto` trains beside them.
    """

    strategy: Strategy
    architecture: str
    arguments: Mapping[str, Any]
    encoder: nn.Module
    network: Network | None = None
    columns: tuple[str, ...] = ()
    parts: tuple["Source", ...] = ()
    learners: tuple["Source", ...] = ()

    @property
    def is_mixed(self) -> bool:
        """Whether both columns of the table and images are taken, so that no model folder can hold what is learnt."""
        return len(self.parts) > 1 and any(part.columns for part in self.parts)

    @property
    def learns_from_volumes(self) -> bool:
        """Whether networks are trained on volumes beside heads on features."""
        return any(not learner.columns for learner in self.learners)

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
    if strategy.encoder == "several":
        source = _side_by_side(strategy, _parts(model, grid, target, columns, seed), grid)
        learners = tuple(_learners(model, grid, target, columns, seed)) if strategy.trains_beside else ()
        return replace(source, learners=learners)
    if strategy.encoder == "linear":
        return _linear_source(strategy, grid, columns)
    if strategy.needs_columns:
        return _perceptron_source(strategy, columns)
    return _voxels_source(strategy, grid)


def _linear_source(strategy: Strategy, grid: Input | None, columns: tuple[str, ...]) -> Source:
    if columns:
        return _built(strategy, "columns", {"columns": list(columns)}, columns)
    grid = _required(strategy, grid)
    if isinstance(grid, Contract):
        raise InputError(
            f"tissue cannot be measured on volumes as recipe {grid.recipe!r} leaves them; give columns with regional volumes, "
            "which `neurotransfer prepare` writes, or use strategy voxels"
        )
    return _built(strategy, "tissue", {"voxel_litres": grid.voxel_size_mm**3 / 1e6})


def _perceptron_source(strategy: Strategy, columns: tuple[str, ...]) -> Source:
    if not columns:
        raise InputError(
            f"strategy {strategy.name!r} takes columns of the table and none are given; name them (regional_columns in a study, "
            "--regional), or use strategy linear, which measures tissue on images"
        )
    return _built(strategy, "perceptron", {"columns": list(columns)}, columns)


def _voxels_source(strategy: Strategy, grid: Input | None) -> Source:
    grid = _required(strategy, grid)
    width = np.sqrt(max(SMOOTHING_MM**2 - grid.voxel_size_mm**2, 0)) / grid.voxel_size_mm
    sigma, stride = round(width / np.sqrt(8 * np.log(2)), 4), max(1, int(SMOOTHING_MM / 2 / grid.voxel_size_mm))
    return _built(strategy, "voxels", {"shape": list(grid.shape), "sigma": sigma, "stride": stride})


def _required(strategy: Strategy, grid: Input | None) -> Input:
    if grid is None:
        raise InputError(f"strategy {strategy.name!r} needs images, or columns with regional volumes in the table")
    return grid


def _built(strategy: Strategy, name: str, given: dict[str, Any], columns: tuple[str, ...] = ()) -> Source:
    return Source(strategy, name, given, build_encoder(name, given).eval(), columns=columns)


def _parts(
    model: Model | None, grid: Input | None, target: Target, columns: tuple[str, ...], seed: int
) -> Iterator[Source]:
    """What there is to see: columns or tissue, the network and its layers, voxels."""
    if columns or (grid is not None and not isinstance(grid, Contract)):
        yield _linear_source(STRATEGIES["linear"], grid, columns)
    elif grid is None:
        _required(STRATEGIES["auto"], grid)
    if grid is None:
        return
    if model is not None:
        source = _network_source(STRATEGIES["frozen"], model, target, "", {}, seed)
        yield replace(source, encoder=_with_layers(source.encoder, tuple(grid.shape)))
    voxels = _voxels_source(STRATEGIES["voxels"], grid)
    if count_features(voxels.encoder) <= MOST_VOXELS:
        yield voxels


def _learners(
    model: Model | None, grid: Input | None, target: Target, columns: tuple[str, ...], seed: int
) -> Iterator[Source]:
    """What can be trained: a network on columns, and the model."""
    if columns:
        yield _perceptron_source(STRATEGIES["perceptron"], columns)
    if model is not None and grid is not None:
        yield _network_source(STRATEGIES["finetuned"], model, target, "", {}, seed)


def _with_layers(encoder: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    if not depths_of(encoder):
        return encoder
    try:
        return Layered(encoder, shape).eval()
    except ModelError:
        # its layers give no maps: its features alone are left
        return encoder


def _side_by_side(strategy: Strategy, found: Iterable[Source], grid: Input | None) -> Source:
    parts = tuple(found)
    if len(parts) == 1 and not isinstance(parts[0].encoder, Layered):
        return replace(parts[0], strategy=strategy, network=None, parts=parts)
    arguments = {"parts": described(parts), "shape": list(grid.shape) if grid is not None else []}
    return Source(strategy, "several", arguments, Several([part.encoder for part in parts]).eval(), parts=parts)


def described(parts: Iterable[Source]) -> list[dict[str, Any]]:
    """Sources as parts of the encoder `several`, see `models.network.several`."""
    return [
        {
            "architecture": part.architecture,
            "arguments": dict(part.arguments),
            "layered": isinstance(part.encoder, Layered),
        }
        for part in parts
    ]


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


def inputs_of(source: Source, cohort: Cohort, volumes: np.ndarray | None, model: Model | None = None) -> Any:
    """What a strategy trains on, for every row: features (n, n_features) where the encoder stands still, else volumes.

    Where networks are trained beside heads on features, both, see `Beside`.

    Raises:
        InputError: when volumes are needed and absent, or a column is not all numbers.
        ModelError: when the volumes do not fit the input contract of the model.
    """
    if source.learns_from_volumes:
        return Beside(inputs_of(replace(source, learners=()), cohort, volumes, model), volumes)
    if source.columns:
        return column_values(cohort, source.columns)
    if source.is_mixed:
        return np.concatenate([inputs_of(part, cohort, volumes, model) for part in source.parts], 1)
    if volumes is None:
        raise InputError(f"strategy {source.strategy.name!r} needs images; the cohort has none")
    if model is not None and source.strategy.takes_model:
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
