"""The strategies as values in one table: they differ in few answers and share one loop, one split and one budget."""

import itertools
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurotransfer.errors import InputError, unknown

NETWORK_GRID = {"lr": (3e-3, 1e-3, 3e-4), "dropout": (0.0, 0.25, 0.5)}
PERCEPTRON_GRID = {"lr": (3e-2, 1e-2, 3e-3), "dropout": (0.0, 0.25, 0.5)}
PENALTY_GRID = {"penalty": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)}

_POSITIVE: tuple[str, Callable[[float], bool]] = ("a number above 0", lambda value: 0 < value < math.inf)
_WHOLE: tuple[str, Callable[[float], bool]] = (
    "a whole number of 1 or more",
    lambda value: value >= 1 and value % 1 == 0,
)
_COUNT: tuple[str, Callable[[float], bool]] = (
    "a whole number of 0 (off) or more",
    lambda value: value >= 0 and value % 1 == 0,
)
_YES_NO: tuple[str, Callable[[float], bool]] = ("1 (yes) or 0 (no)", lambda value: value in (0, 1))
# what a setting may be, in words and as a check
SETTINGS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "lr": _POSITIVE,
    "weight_decay": ("a number of 0 or more", lambda value: 0 <= value < math.inf),
    "batch_size": _WHOLE,
    "epochs": _WHOLE,
    "patience": _WHOLE,
    "dropout": ("a number from 0 to below 1", lambda value: 0 <= value < 1),
    "warm_up": ("a number of epochs, 0 or more", lambda value: 0 <= value < math.inf),
    "ema": ("a number from 0 to below 1", lambda value: 0 <= value < 1),
    "layer_decay": ("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "steps": _COUNT,
    "lr_growth": ("a number from -2 to 2", lambda value: -2 <= value <= 2),
    "settle": _YES_NO,
    "head_first": _COUNT,
    "anchor": ("a number of 0 or more", lambda value: 0 <= value < math.inf),
    "early_stopping": _YES_NO,
    "penalty": _POSITIVE,
    "width": _WHOLE,
    "depth": _WHOLE,
}
# settings that are no part of a recipe: what the network of a setting is built with
OF_NETWORK = ("width", "depth")
# settings that say how long is trained and not how long a step takes
OF_LENGTH = ("epochs", "patience", "warm_up", "steps", "head_first", "early_stopping")


@dataclass(frozen=True)
class Strategy:
    """How a predictor is made.

    Attributes:
        name: of the strategy.
        encoder: `model` (the architecture of the model folder or the study), `linear` (regional volumes where the table
            has them, else tissue volumes of the image), `voxels` (smoothed voxels), `perceptron` (a network on regional
            volumes of the table) or `several` (whatever stands still, and every layer of the model, side by side).
        weights: `pretrained`, `random`, `given` (pretrained where a model is given) or `none` where there are none.
        head: `pretrained` or `new`.
        trained: `nothing`, `head`, `everything`, or `beside` (heads, and whole networks beside them).
        solver: `none`, `gradient` (the training loop), `exact` (ridge or logistic regression with an L2 penalty) or `blend` (of
            several kinds, weighed by folds of the training people).
        grid: the nine settings, name -> values; their product; none where the strategy chooses by itself.
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
    def takes_columns(self) -> bool:
        """Whether it takes regional volumes of the table where it has them."""
        return self.encoder in ("linear", "perceptron", "several")

    @property
    def needs_columns(self) -> bool:
        """Whether regional volumes of the table are all that it takes."""
        return self.encoder == "perceptron"

    @property
    def knows_more(self) -> bool:
        """Whether what is learnt here may begin with what a pretrained model has seen."""
        return self.weights in ("pretrained", "given")

    @property
    def takes_model(self) -> bool:
        """Whether a pretrained model changes anything."""
        return self.encoder in ("model", "several")

    @property
    def trains_beside(self) -> bool:
        """Whether networks are trained beside heads on features."""
        return self.trained == "beside"

    @property
    def on_features(self) -> bool:
        """Whether the encoder stands still, so that it is run once and its features are kept."""
        return self.trained != "everything"


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("transferred", "model", "pretrained", "pretrained", "nothing", "none", {},
                 "the pretrained network as it is; possible for a target of its pretraining"),
        Strategy("frozen", "model", "pretrained", "new", "head", "exact", PENALTY_GRID,
                 "a linear head on the features of the pretrained network, which stands still; solved exactly (ridge or logistic "
                 "regression with an L2 penalty)"),
        Strategy("finetuned", "model", "pretrained", "new", "everything", "gradient", NETWORK_GRID,
                 "the pretrained network with a new last layer, all of it trained further"),
        Strategy("baseline", "model", "random", "new", "everything", "gradient", NETWORK_GRID,
                 "the same network trained from random weights"),
        Strategy("random-frozen", "model", "random", "new", "head", "exact", PENALTY_GRID,
                 "control: a linear head on the features of a network that was never trained; solved exactly (ridge or "
                 "logistic regression with an L2 penalty)"),
        Strategy("linear", "linear", "none", "new", "head", "exact", PENALTY_GRID,
                 "no network: ridge or logistic regression on regional volumes, or on tissue volumes of the image"),
        Strategy("voxels", "voxels", "none", "new", "head", "exact", PENALTY_GRID,
                 "outside bar: ridge or logistic regression on smoothed voxels"),
        Strategy("perceptron", "perceptron", "random", "new", "everything", "gradient", PERCEPTRON_GRID,
                 "a network of fully connected layers on regional volumes, trained from random weights: what `linear` sees, "
                 "without being linear"),
        Strategy("auto", "several", "given", "new", "beside", "blend", {},
                 "a blend of whatever is possible (linear, frozen on the last and on all layers, transferred, voxels, one head on "
                 "all of these, perceptron, finetuned), added up by weights that folds of the training participants give"),
        Strategy("auto-exact", "several", "given", "new", "head", "blend", {},
                 "the same without networks that are trained: heads alone, in seconds"),
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
        InputError: for a name that the strategy has no use for, an empty list of values, or a value that cannot be.

    Example:
        >>> settings(STRATEGIES["frozen"], {"penalty": [0.1, 1.0]})
        [{'penalty': 0.1}, {'penalty': 1.0}]
    """
    grid = strategy.grid if grid is None else grid
    allowed = allowed_settings(strategy)
    for name, values in grid.items():
        if name not in allowed:
            raise InputError(f"strategy {strategy.name!r}: {unknown('setting', name, allowed)}")
        _check_values(f"strategy {strategy.name!r}: setting {name!r}", name, values)
    whole = (_WHOLE, _COUNT, _YES_NO)
    exact = [[int(value) if SETTINGS[name] in whole else value for value in values] for name, values in grid.items()]
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*exact)]


def _check_values(what: str, name: str, values: Any) -> None:
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray):
        raise InputError(f"{what} is a list of values, got {values!r}")
    if not len(values):
        raise InputError(f"{what} has no values; give one or more")
    allowed, fits = SETTINGS[name]
    for value in values:
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not fits(float(value)):
            raise InputError(f"{what} is {allowed}, found {value!r}")


def allowed_settings(strategy: Strategy) -> tuple[str, ...]:
    """The names of the settings that a strategy can be given."""
    if strategy.solver in ("none", "blend"):
        return ()
    if strategy.solver == "exact":
        return ("penalty",)
    trained = tuple(name for name in SETTINGS if name not in ("penalty", *OF_NETWORK))
    return (*trained, *OF_NETWORK) if strategy.needs_columns else trained
