"""A sweep over width, n and epochs, with and without early stopping and weight decay, as studies for `benchmark`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurotransfer.benchmark.variants import title_of
from neurotransfer.errors import InputError, listed
from neurotransfer.models.network import takes
from neurotransfer.transfer.strategies import STRATEGIES

Values = Mapping[str, Any]

PLAIN, EARLY, DECAY = "plain", "early stopping", "weight decay"
# what holds a fit back, by arm: of what is trained by gradients, and of what is solved exactly (None: there is no such arm)
ARMS: dict[str, tuple[dict[str, float], dict[str, float] | None]] = {
    PLAIN: ({"early_stopping": 0, "weight_decay": 0.0}, {"penalty": 1e-9}),
    EARLY: ({"early_stopping": 1, "weight_decay": 0.0}, None),
    DECAY: ({"early_stopping": 0, "weight_decay": 1.0}, {"penalty": 1.0}),
}
UNITS = (1, 2, 4, 8, 16, 32, 64, 128)
MULTIPLES = (0.0625, 0.125, 0.25, 0.5, 1.0)
MORE_NOISE, MOST_NOISE, LONGER = 0.2, 0.9, 4
MOST_REPLICATES, MOST_SIZES = 10, 3
# settings that a sweep gives or takes away by itself
_OWN = ("width", "epochs", "steps", "dropout", "early_stopping", "weight_decay", "penalty")


@dataclass(frozen=True)
class Sweep:
    """What a sweep varies; what is empty follows from the study, see `filled`.

    Attributes:
        widths: units of a layer of a perceptron, or multiples of the network of the study.
        epochs: of what is trained.
        sizes: n.
        label_noise: shares of the people who have a wrong label in training and validation, 0 to below 1.
    """

    widths: tuple[float, ...] = ()
    epochs: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    label_noise: tuple[float, ...] = ()


NO_SWEEP = Sweep()


def filled(sweep: Sweep, study: Values, part: Values) -> Sweep:
    """A sweep with all that is not given.

    Widths go from far too narrow to ample; epochs are those of the study and four times as many, sizes its smallest, middle and
    largest one, and label noise its share of wrong labels and 0.2 more.

    Args:
        sweep: as it is asked for.
        study: as values.
        part: the strategy that is swept.

    Example:
        >>> study = {"training": {"epochs": 10}, "protocol": {"sizes": [20, 40, 80, 160], "label_noise": 0.0}}
        >>> found = filled(Sweep(widths=(2, 4)), study, {"strategy": "perceptron"})
        >>> found.widths, found.epochs, found.sizes, found.label_noise
        ((2, 4), (10, 40), (20, 80, 160), (0.0, 0.2))
    """
    sizes, noise = study["protocol"]["sizes"], float(study["protocol"].get("label_noise", 0.0))
    some = sizes if len(sizes) <= MOST_SIZES else (sizes[0], sizes[len(sizes) // 2], sizes[-1])
    epochs = study["training"]["epochs"]
    if STRATEGIES[part["strategy"]].needs_columns:
        widths: tuple[float, ...] = UNITS
    else:
        widths = MULTIPLES if _has_width(study, part) else ()
    return Sweep(
        sweep.widths or widths,
        sweep.epochs or (epochs, LONGER * epochs),
        sweep.sizes or tuple(some),
        sweep.label_noise or tuple(sorted({noise, max(noise, min(MOST_NOISE, round(noise + MORE_NOISE, 6)))})),
    )


def swept(study: Values, named: bool) -> list[dict[str, Any]]:
    """The strategies of a study that are swept.

    Args:
        study: as values, with the strategies that are looked at.
        named: whether these were named: then all of them are swept; else the first that can vary its width.

    Raises:
        InputError: when a strategy that was named has nothing to vary, or no strategy can vary its width.
    """
    parts = [dict(part) for part in study["strategies"]]
    if named:
        fixed = [title_of(part) for part in parts if STRATEGIES[part["strategy"]].solver in ("none", "blend")]
        if fixed or not parts:
            raise InputError(
                f"a sweep varies a model and its training, and {', '.join(map(repr, fixed)) or 'nothing'} has neither; allowed with "
                "--strategies: those that are trained (perceptron, baseline, finetuned) or solved with a penalty (linear, frozen)"
            )
        return parts
    wide = [part for part in parts if STRATEGIES[part["strategy"]].needs_columns]
    if not wide and study.get("regional_columns"):
        return [{"strategy": "perceptron"}]
    wide = wide or [part for part in parts if _has_width(study, part)]
    if not wide:
        raise InputError(
            "a sweep needs a strategy whose width can be varied: a study with regional_columns, or the strategy baseline with an "
            "architecture that has a width; or name one with --strategies, for example linear, which is swept over n alone"
        )
    return wide[:1]


def _has_width(study: Values, part: Values) -> bool:
    """Whether the width of the study's own network is that of the strategy."""
    return part["strategy"] == "baseline" and takes(study["network"]["architecture"], "width")


def studies_of(study: Values, part: Values, sweep: Sweep) -> dict[str, dict[str, Any]]:
    """The studies that a sweep of one strategy is made of, by the names of their folders.

    There is one a share of wrong labels and, for the network of the study, a width. Every entry
    of a study is a strategy with one setting, so that whatever is fitted is chosen and its errors are recorded.

    Raises:
        InputError: with all values that cannot be.
    """
    sweep = filled(sweep, study, part)
    _require(study, part, sweep)
    own = _has_width(study, part)
    found = {}
    for noise in sweep.label_noise:
        for width in sweep.widths if own else (None,):
            network = study["network"] if width is None else {**study["network"], "width": width}
            name = f"noise-{noise:g}" if width is None else f"noise-{noise:g}-width-{width:g}"
            found[name] = {
                **study,
                "strategies": list(_entries(study, part, sweep)),
                "network": network,
                "models": {name: each for name, each in study["models"].items() if name == part.get("model")},
                "training": {**study["training"], "steps": 0},
                "protocol": {
                    **study["protocol"],
                    "sizes": list(sweep.sizes),
                    "label_noise": noise,
                    "keep": "chosen",
                    "search": "full",
                },
            }
    return found


def _entries(study: Values, part: Values, sweep: Sweep) -> Iterator[dict[str, Any]]:
    strategy = STRATEGIES[part["strategy"]]
    units = sweep.widths if strategy.needs_columns else (None,)
    for arm, (trained, solved) in ARMS.items():
        if strategy.solver == "exact":
            if solved is not None:
                yield _entry(part, arm, {name: [value] for name, value in solved.items()})
            continue
        # what holds back is compared where training is longest
        for epochs in sweep.epochs if arm == PLAIN else sweep.epochs[-1:]:
            for width in units:
                varied = {"epochs": epochs, **({} if width is None else {"width": width}), **trained}
                name = f"{arm} {epochs} epochs" if width is None else f"{arm} {epochs} epochs width {width:g}"
                grid = {**_fixed(study, part), **{name: [value] for name, value in varied.items()}}
                yield _entry(part, name, grid)


def _entry(part: Values, label: str, grid: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    model = {"model": part["model"]} if part.get("model") else {}
    return {"strategy": part["strategy"], **model, "label": label, "grid": dict(grid)}


def _fixed(study: Values, part: Values) -> dict[str, list[float]]:
    """One value of every setting that a sweep does not vary: the middle one that the strategy tries; no dropout."""
    given = part.get("grid")
    grid = STRATEGIES[part["strategy"]].grid if given is None else given
    kept = {name: [sorted(values)[len(values) // 2]] for name, values in grid.items() if name not in _OWN}
    return {"lr": [study["training"]["lr"]], **kept, "dropout": [0.0]}


def _require(study: Values, part: Values, sweep: Sweep) -> None:
    rules = (
        ("widths", sweep.widths, lambda value: value > 0, "above 0"),
        ("epochs", sweep.epochs, lambda value: value >= 1 and value % 1 == 0, "whole numbers of 1 or more"),
        ("sizes", sweep.sizes, lambda value: value >= 1 and value % 1 == 0, "whole numbers of 1 or more"),
        ("shares of wrong labels", sweep.label_noise, lambda value: 0 <= value < 1, "from 0 to below 1"),
    )
    problems = [
        f"{name} are {', '.join(map(str, values))}; allowed: {words}, rising, each once"
        for name, values, fits, words in rules
        if list(values) != sorted(set(values)) or not all(map(fits, values))
    ]
    units = STRATEGIES[part["strategy"]].needs_columns
    if units and any(width % 1 for width in sweep.widths):
        problems.append(f"widths of a perceptron are whole numbers of units, got {', '.join(map(str, sweep.widths))}")
    if sweep.widths and not units and not _has_width(study, part):
        problems.append(f"strategy {title_of(part)!r} has no width to vary; leave out --widths")
    if problems:
        raise InputError(listed("the sweep", problems))
