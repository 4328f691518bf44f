"""The experiments: a study again with one choice changed and everything else the same, as values in one table."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

from neurotransfer.benchmark.study import Study
from neurotransfer.benchmark.variants import title_of
from neurotransfer.diagnose.sites import Changes, Sites, Values, at_once, harmonised, one_site, site_held_out
from neurotransfer.models.network import takes
from neurotransfer.models.perceptron import Perceptron
from neurotransfer.transfer.strategies import PENALTY_GRID, STRATEGIES

# how far a grid is taken beyond its ends, in steps of its own
STEPS_BEYOND = 2
GEOMETRIC = ("lr", "penalty", "weight_decay")
LONGER, WIDER, DEEPER = 3, 4, 2
# the network of the same kind with more layers
NEXT_DEEPER = {"resnet10": "resnet18", "resnet18": "resnet50"}
STRONGER = (30.0, 100.0, 300.0, 1000.0)
NOISE, MOST_NOISE = 0.1, 0.9


@dataclass(frozen=True)
class Experiment:
    """A study with one choice changed.

    Attributes:
        name: on the command line, and of its folder.
        cause: in CAUSES, that it is the test of; empty for a choice of procedure that is no cause by itself.
        question: that it answers.
        changes: of a study as values and its sites, the keys that change and their new values, see
            `benchmark.variants.changed`; None where the study has nothing to change.
        scope: the solvers whose strategies it can change.
    """

    name: str
    cause: str
    question: str
    changes: Callable[[Values, Sites], Changes | None]
    scope: tuple[str, ...] = ("exact", "gradient", "blend")


def as_values(study: Any) -> dict[str, Any] | None:
    """A study as a run keeps it, as values with every key; None where this version cannot read it.

    A run of an earlier version lacks keys that came later: it was done by their defaults.
    """
    try:
        return Study.model_validate(study).model_dump(mode="json")
    except ValueError:
        return None


def kinds_of(study: Values) -> dict[str, str]:
    """The strategies of a study as values: title to kind."""
    return {title_of(part): part["strategy"] for part in study["strategies"]}


def grid_of(study: Values, label: str) -> dict[str, Sequence[float]]:
    """What a strategy of a study tries: its own grid, or that of the table."""
    kinds = kinds_of(study)
    place = list(kinds).index(label)
    given = study["strategies"][place].get("grid")
    return dict(STRATEGIES[kinds[label]].grid if given is None else given)


def beyond(values: Sequence[float]) -> list[float]:
    """Values with two more steps below the lowest and above the highest one, in the ratio of their ends' neighbours.

    Example:
        >>> beyond([1.0, 10.0])
        [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
    """
    tried = sorted(set(map(float, values)))
    if len(tried) < 2 or tried[0] <= 0:
        return tried
    down, up = tried[1] / tried[0], tried[-1] / tried[-2]
    low = [tried[0] / down**step for step in range(STEPS_BEYOND, 0, -1)]
    high = [tried[-1] * up**step for step in range(1, STEPS_BEYOND + 1)]
    return [float(f"{value:.6g}") for value in (*low, *tried, *high)]


def _each(
    study: Values, solvers: Sequence[str], change: Callable[[dict[str, Sequence[float]]], Changes | None]
) -> Changes | None:
    """New grids of all strategies that are solved in one of these ways, where `change` gives one."""
    found = {}
    for label, kind in kinds_of(study).items():
        if STRATEGIES[kind].solver in solvers:
            grid = change(grid_of(study, label))
            if grid is not None:
                found[f"strategies.{label}.grid"] = grid
    return found or None


def _wider_grid(study: Values, _: Sites) -> Changes | None:
    def wider(grid: dict[str, Sequence[float]]) -> Changes | None:
        found = {name: beyond(values) if name in GEOMETRIC else list(values) for name, values in grid.items()}
        return found if any(len(found[name]) > len(set(grid[name])) for name in grid) else None

    return _each(study, ("exact", "gradient"), wider)


def _regularised(study: Values, _: Sites) -> Changes | None:
    def stronger(grid: dict[str, Sequence[float]]) -> Changes | None:
        if "penalty" not in grid:
            return {**grid, "weight_decay": [0.01, 0.1, 1.0]}
        tried = [float(value) for value in grid["penalty"]]
        if max(tried) >= max(PENALTY_GRID["penalty"]):
            return None
        return {"penalty": sorted({*PENALTY_GRID["penalty"], *STRONGER})}

    return _each(study, ("exact", "gradient"), stronger)


def _folds(study: Values, _: Sites) -> Changes | None:
    if study["protocol"]["validation"] == "folds":
        return None
    # what goes with another way to validate goes with it
    search = {"protocol.search": "full"} if study["protocol"].get("search") == "halving" else {}
    return {"protocol.validation": "folds", "protocol.validation_size": None, **search}


def _wider_network(study: Values, _: Sites) -> Changes | None:
    found: Changes = {}
    for label in kinds_of(study):
        grid = grid_of(study, label)
        if "width" in grid:
            found[f"strategies.{label}.grid"] = {**grid, "width": [WIDER * value for value in grid["width"]]}
    if _has_own_network(study) and takes(study["network"]["architecture"], "width"):
        found["network.width"] = WIDER * study["network"]["width"]
    return found or None


def _has_own_network(study: Values) -> bool:
    """Whether a strategy has the network of the study; one that begins with a model has the model's."""
    own = ("baseline", "random-frozen")
    return any(part["strategy"] in own and not part.get("model") for part in study["strategies"])


def _deeper_network(study: Values, _: Sites) -> Changes | None:
    found: Changes = {}
    for label, kind in kinds_of(study).items():
        if STRATEGIES[kind].needs_columns:
            grid = grid_of(study, label)
            depths = grid.get("depth", [signature(Perceptron).parameters["depth"].default])
            found[f"strategies.{label}.grid"] = {**grid, "depth": [DEEPER * value for value in depths]}
    deeper = NEXT_DEEPER.get(study["network"]["architecture"])
    if _has_own_network(study) and deeper:
        found["network.architecture"] = deeper
    return found or None


def _longer(study: Values, _: Sites) -> Changes | None:
    if not any(STRATEGIES[kind].solver == "gradient" for kind in kinds_of(study).values()):
        return None
    return {f"training.{name}": LONGER * study["training"][name] for name in ("epochs", "patience")}


def _other(key: str, value: Any, *with_it: tuple[str, Any]) -> Callable[[Values, Sites], Changes | None]:
    """The change of a key of the protocol to a value that it does not have."""

    def changes(study: Values, _: Sites) -> Changes | None:
        if study["protocol"].get(key) == value:
            return None
        return {f"protocol.{key}": value} | {f"protocol.{name}": each for name, each in with_it}

    return changes


def _by_the_other(study: Values, _: Sites) -> Changes | None:
    return {"protocol.choose": "loss" if study["protocol"]["choose"] == "score" else "score"}


def _other_seeds(study: Values, _: Sites) -> Changes | None:
    return {"fit_seed": int(study["seed"]) + 1}


def _same_steps(study: Values, _: Sites) -> Changes | None:
    """As many steps at every size as the epochs are at the middle one."""
    sizes, training = study["protocol"]["sizes"], study["training"]
    batches = math.ceil(sizes[len(sizes) // 2] / training["batch_size"])
    return {"training.steps": int(training["epochs"] * batches)}


def _more_wrong_labels(study: Values, _: Sites) -> Changes | None:
    return {"protocol.label_noise": min(MOST_NOISE, study["protocol"].get("label_noise", 0.0) + NOISE)}


_ON_FEATURES, _BY_GRADIENT = ("exact",), ("gradient",)
_ALL = ("exact", "gradient", "blend", "none")
EXPERIMENTS: dict[str, Experiment] = {
    each.name: each
    for each in (
        Experiment("wider-grid", "edge", "does a setting beyond the grid do better?", _wider_grid),
        Experiment("regularised", "interpolation", "does a strong penalty take the dip away?", _regularised),
        Experiment("folds", "selection", "does choosing by five folds of the training people do better?", _folds),
        Experiment("wider-network", "capacity", "does a network four times as wide do better?", _wider_network),
        Experiment("longer", "budget", "does training three times as long do better?", _longer, _BY_GRADIENT),
        Experiment("harmonised", "sites", "do features without what sites add do better?", harmonised, _ON_FEATURES),
        Experiment("sites-at-once", "sites", "do people of all sites at every size do better?", at_once),
        Experiment("one-site", "", "how do curves go within the largest site alone?", one_site, _ALL),
        Experiment(
            "site-held-out", "", "how well are people of a site predicted that nobody is trained on (the middle one by size)?",
            site_held_out, _ALL,
        ),
        Experiment("deeper-network", "", "does a network with twice as many layers do better?", _deeper_network, _BY_GRADIENT),
        Experiment(
            "independent", "", "does it matter that people are drawn with replacement?", _other("replacement", False)
        ),
        Experiment("one-image", "", "does it matter that a person has several images?", _other("images", "one")),
        Experiment(
            "fixed-test", "", "does it matter that the test people change with every replicate?",
            _other("test", "people", ("held_out", 0.2)),
        ),
        Experiment(
            "other-choice", "", "does it matter whether the score or the loss chooses the setting?", _by_the_other
        ),
        Experiment(
            "other-seeds", "", "what do new weights and another order of batches change, on the same people?",
            _other_seeds, _BY_GRADIENT,
        ),
        Experiment(
            "same-steps", "", "does it matter that epochs, and not steps, are the same at every size?", _same_steps,
            _BY_GRADIENT,
        ),
        Experiment(
            "scaled-rate", "", "does a learning rate that grows with the sample do better?",
            lambda *_: {"training.lr_growth": 0.5}, _BY_GRADIENT,
        ),
        Experiment(
            "moving-average", "", "does it matter how the statistics of batch norm are estimated?",
            lambda *_: {"training.settle": False}, _BY_GRADIENT,
        ),
        Experiment(
            "wrong-labels", "", "what would it do if one person in ten more had a wrong label?", _more_wrong_labels
        ),
    )
}  # fmt: skip


def possible(study: Values, sites: Sites) -> dict[str, Changes]:
    """The experiments that a study as values allows, and what each changes.

    Args:
        study: as values.
        sites: from `sites_of`; `NO_SITES` where there are none.
    """
    solvers = {STRATEGIES[kind].solver for kind in kinds_of(study).values()}
    found = {name: each.changes(study, sites) for name, each in EXPERIMENTS.items() if solvers & set(each.scope)}
    return {name: changes for name, changes in found.items() if changes is not None}


def within(study: Values, experiment: Experiment) -> list[str]:
    """The strategies of a study that an experiment can change."""
    return [label for label, kind in kinds_of(study).items() if STRATEGIES[kind].solver in experiment.scope]
