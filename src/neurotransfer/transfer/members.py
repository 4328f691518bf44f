"""What `auto` blends, from the simplest to the most flexible, as values in one table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from neurotransfer.models.depths import Layered
from neurotransfer.models.network import count_features
from neurotransfer.targets import Target
from neurotransfer.transfer.heads import Features, kind_of
from neurotransfer.transfer.source import Source


@dataclass(frozen=True, eq=False)
class View:
    """The features that a member looks at: their columns among all, their kind, and a head that it has already.

    `known` are weights (n_outputs, n_columns) and bias (n_outputs,) of a head that was learnt elsewhere. `learner` is where networks
    start that are trained; without columns they take volumes.
    """

    columns: slice | None
    kind: Features = field(default_factory=Features)
    known: tuple[np.ndarray, np.ndarray] | None = None
    learner: Source | None = None


@dataclass(frozen=True)
class Member:
    """A way to predict that `auto` may blend.

    Attributes:
        name: in records and reports.
        sees: of which part of a source it takes features; a name of STRATEGIES, or nothing: none of them, or all.
        view: its view of that part, whose first feature has this number; None where there is none.
        description: for a reader.
        setting: of networks that are trained.
    """

    name: str
    sees: str
    view: Callable[[Source, int, Target], View | None]
    description: str
    setting: Mapping[str, float] = field(default_factory=dict)


def _nothing(part: Source, start: int, target: Target) -> View:
    return View(slice(start, start), Features())


def _whole(part: Source, start: int, target: Target) -> View:
    size = count_features(part.encoder)
    return View(slice(start, start + size), kind_of(part.strategy, size))


def _last(part: Source, start: int, target: Target) -> View:
    encoder, end = part.encoder, start + count_features(part.encoder)
    size = encoder.sizes[-1] if isinstance(encoder, Layered) else end - start
    return View(slice(end - size, end), Features((size,)))


def _layers(part: Source, start: int, target: Target) -> View | None:
    encoder = part.encoder
    if not isinstance(encoder, Layered):
        return None
    return View(slice(start, start + encoder.n_features), Features(encoder.sizes))


def _as_it_is(part: Source, start: int, target: Target) -> View | None:
    network = part.network
    head = None if network is None else network.targets.get(target.name)
    # a value that is read from bins or ranks is no linear function of the features
    if (
        network is None
        or head is None
        or (head.kind, head.classes, head.reading) != (target.kind, target.classes, "value")
    ):
        return None
    last = _last(part, start, target)
    layer = network.head(target.name)
    weights, bias = (value.detach().cpu().numpy().astype(float) for value in (layer.weight, layer.bias))
    if target.kind == "continuous":
        weights = weights * (head.scale / target.scale)
        bias = (bias * head.scale + head.location - target.location) / target.scale
    return View(last.columns, last.kind, (weights, bias))


def _all_parts(source: Source, start: int, target: Target) -> View | None:
    if len(source.parts) < 2:
        return None
    kinds = []
    for part in source.parts:
        view = _layers(part, 0, target) or _whole(part, 0, target)
        kinds.append((count_features(part.encoder), view.kind))
    return View(slice(start, start + sum(size for size, _ in kinds)), Features(parts=tuple(kinds)))


def _of_columns(part: Source, start: int, target: Target) -> View:
    return View(slice(start, start + len(part.columns)), learner=part)


def _of_volumes(part: Source, start: int, target: Target) -> View:
    return View(None, learner=part)


MEMBERS: dict[str, Member] = {
    member.name: member
    for member in (
        Member("mean", "", _nothing, "the mean of the training labels, or the shares of the classes"),
        Member("transferred", "frozen", _as_it_is, "the model's own prediction of the target, where it has learnt it, and the same "
               "with slope and intercept from the training labels"),
        Member("linear", "linear", _whole, "regional volumes, or tissue volumes of the image"),
        Member("frozen", "frozen", _last, "the features of the model, as its last layer gives them"),
        Member("layers", "frozen", _layers, "the means of the maps of all its layers beside its features"),
        Member("voxels", "voxels", _whole, "smoothed voxels"),
        Member("together", "", _all_parts, "one head on the features of all of these at once, each kind with as much variance"),
        Member("perceptron", "perceptron", _of_columns, "a network on regional volumes, trained from random weights",
               {"lr": 1e-2, "dropout": 0.25}),
        Member("finetuned", "finetuned", _of_volumes, "the model trained further: its new head first, then all of it, lower layers at "
               "lower rates, and pulled back to where it started", {"lr": 1e-3, "layer_decay": 0.7, "anchor": 0.1}),
    )
}  # fmt: skip


def views_of(source: Source, target: Target) -> dict[str, View]:
    """The views of all members that are possible with the parts of a source, by name, the simplest first.

    Args:
        source: of the strategy `auto`.
        target: standardised by the training labels.

    Example:
        >>> from neurotransfer.transfer.source import make_source
        >>> from neurotransfer.transfer.strategies import STRATEGIES
        >>> age = Target("age", "continuous")
        >>> source = make_source(STRATEGIES["auto"], model=None, grid=None, target=age, columns=("hippocampus", "ventricles"))
        >>> {name: view.columns for name, view in views_of(source, age).items()}
        {'mean': slice(0, 0, None), 'linear': slice(0, 2, None), 'perceptron': slice(0, 2, None)}
    """
    starts = np.cumsum([0, *(count_features(part.encoder) for part in source.parts)])
    places = {part.strategy.name: (part, int(start)) for part, start in zip(source.parts, starts, strict=False)}
    # columns of the table come first
    places |= {learner.strategy.name: (learner, 0) for learner in source.learners} | {"": (source, 0)}
    found = {}
    for name, member in MEMBERS.items():
        if member.sees in places:
            view = member.view(*places[member.sees], target)
            if view is not None:
                found[name] = view
    return found
