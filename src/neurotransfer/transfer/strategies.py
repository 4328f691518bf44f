"""The strategies as values in one table: they differ in few answers and share one loop, one split and one budget."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurotransfer.errors import InputError, unknown

HEAD_GRID = {"lr": (3e-2, 1e-2, 3e-3), "weight_decay": (0.0, 0.1, 1.0)}
NETWORK_GRID = {"lr": (3e-3, 1e-3, 3e-4), "dropout": (0.0, 0.25, 0.5)}
PENALTY_GRID = {"penalty": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)}


@dataclass(frozen=True)
class Strategy:
    """How a predictor is made.

    Attributes:
        name: of the strategy.
        encoder: `model` (the architecture of the model folder or the study), `linear` (regional volumes where the table
            has them, else tissue volumes of the image) or `voxels` (smoothed voxels).
        weights: `pretrained`, `random`, or `none` where there are none.
        head: `pretrained` or `new`.
        trained: `nothing`, `head` or `everything`.
        solver: `none`, `gradient` (the training loop) or `exact` (ridge or logistic regression with an L2 penalty).
        grid: the nine settings, name -> values; their product.
        description: for a reader.
    """

    name: str
    encoder: str
    weights: str
    head: str
    trained: str
    solver: str
    grid: Mapping[str, Sequence[float]]
    description: str

    @property
    def needs_model(self) -> bool:
        """Whether a pretrained model must be given."""
        return self.weights == "pretrained"

    @property
    def on_features(self) -> bool:
        """Whether the encoder stands still, so that it is run once and its features are kept."""
        return self.trained != "everything"


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("transferred", "model", "pretrained", "pretrained", "nothing", "none", {},
                 "the pretrained network as it is; possible for a target of its pretraining"),
        Strategy("frozen", "model", "pretrained", "new", "head", "gradient", HEAD_GRID,
                 "a new last layer on the features of the pretrained network, which stands still"),
        Strategy("finetuned", "model", "pretrained", "new", "everything", "gradient", NETWORK_GRID,
                 "the pretrained network with a new last layer, all of it trained further"),
        Strategy("baseline", "model", "random", "new", "everything", "gradient", NETWORK_GRID,
                 "the same network trained from random weights"),
        Strategy("random-frozen", "model", "random", "new", "head", "gradient", HEAD_GRID,
                 "control: a new last layer on the features of a network that was never trained"),
        Strategy("linear", "linear", "none", "new", "head", "exact", PENALTY_GRID,
                 "no network: ridge or logistic regression on regional volumes, or on tissue volumes of the image"),
        Strategy("voxels", "voxels", "none", "new", "head", "exact", PENALTY_GRID,
                 "outside bar: ridge or logistic regression on smoothed voxels"),
    )
}  # fmt: skip


def get_strategy(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        InputError: when there is none, with the names that there are.

    Example:
        >>> get_strategy("frozen").trained
        'head'
    """
    if name not in STRATEGIES:
        raise InputError(unknown("strategy", name, STRATEGIES))
    return STRATEGIES[name]


def settings(strategy: Strategy, grid: Mapping[str, Sequence[Any]] | None = None) -> list[dict[str, Any]]:
    """Every setting of a strategy: the product of its grid, or of the grid given instead; one empty one without a grid.

    Raises:
        InputError: for a name that the strategy has no use for, or an empty list of values.

    Example:
        >>> settings(STRATEGIES["frozen"], {"lr": [0.1, 0.01]})
        [{'lr': 0.1}, {'lr': 0.01}]
    """
    grid = strategy.grid if grid is None else grid
    allowed = allowed_settings(strategy)
    for name, values in grid.items():
        if name not in allowed:
            raise InputError(f"strategy {strategy.name!r}: {unknown('setting', name, allowed)}")
        if not values:
            raise InputError(f"strategy {strategy.name!r}: setting {name!r} has no values; give one or more")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def allowed_settings(strategy: Strategy) -> tuple[str, ...]:
    """The names of the settings that a strategy can be given."""
    if strategy.solver == "none":
        return ()
    if strategy.solver == "exact":
        return ("penalty",)
    shared = ("lr", "weight_decay", "batch_size", "epochs", "patience")
    return (*shared, "dropout") if strategy.trained == "everything" else shared
