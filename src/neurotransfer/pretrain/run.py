"""`pretrain`: one network, many targets, and a model folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.artifacts import provenance, write_table
from neurotransfer.cohort import Cohort, Grid, holdout_split, store_volumes
from neurotransfer.errors import InputError, unknown
from neurotransfer.models.folder import Card, Model, new_folder, people_of, require_new, save_model
from neurotransfer.models.network import Network, build_encoder, seeded
from neurotransfer.seeding import integer_seed, stream
from neurotransfer.statistics.metrics import scores
from neurotransfer.targets import Target, infer_target
from neurotransfer.training import Examples, Recipe, fit

TRAINING_TABLE = "training.tsv"


@dataclass(frozen=True)
class Pretraining:
    """How a model is pretrained: the grid of its volumes, its architecture, and how it is trained."""

    grid: Grid = field(default_factory=Grid)
    architecture: str = "sfcn"
    arguments: Mapping[str, Any] = field(default_factory=lambda: {"width": 1.0, "pooling": "maximum", "dropout": 0.0})
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=40, patience=15))
    weights: Mapping[str, float] = field(default_factory=dict)
    validation_fraction: float = 0.2
    seed: int = 0


def pretrain(
    cohort: Cohort,
    targets: Sequence[str],
    out: Path | str,
    options: Pretraining | None = None,
    *,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
) -> Model:
    """Train one network on several targets of a cohort at once and save it as a model folder.

    The loss is the weighted sum over the targets, a missing label counts nothing; a share of the participants chooses
    the epoch. Beside the model lies `training.tsv`: a row an epoch with losses and validation scores of every target.

    Args:
        cohort: from `read_cohort`.
        targets: columns to predict.
        out: the folder to write.
        options: grid, architecture, recipe, loss weights by target, seed.
        on_epoch: called with a row of the training table after every epoch (for a progress bar).

    Raises:
        InputError: when a target is not in the table or unusable, or the loss was never finite; ModelError when `out`
            holds a model; StorageError when it cannot be written; InterruptedRunError when it was stopped.
    """
    options, folder = options or Pretraining(), Path(out)
    require_new(folder)
    _check_options(targets, options)
    wanted = [replace(infer_target(name, cohort.table), weight=options.weights.get(name, 1.0)) for name in targets]
    labels = {target.name: cohort.labels(target) for target in wanted}
    train, validation = _split(cohort, labels, options)
    wanted = [target.scaled_to(labels[target.name][train]) for target in wanted]
    with seeded(integer_seed(options.seed, "pretrain", "weights")):
        network = Network(build_encoder(options.architecture, dict(options.arguments)), wanted)
    rows: list[dict[str, Any]] = []

    def record(row: dict[str, Any], found: dict[str, np.ndarray]) -> None:
        rows.append(row | _validation_scores(network, labels, validation, found))
        if on_epoch is not None:
            on_epoch(rows[-1])

    with new_folder(folder):
        with TemporaryDirectory() as cache:
            volumes = store_volumes(Path(cache), cohort.images, options.grid, cohort.alignment)
            learn, check = (
                Examples(volumes, part, {name: values[part] for name, values in labels.items()})
                for part in (train, validation)
            )
            fit_seed = integer_seed(options.seed, "pretrain", "fit")
            try:
                history = fit(network, learn, check, options.recipe, seed=fit_seed, on_epoch=record)
            except FloatingPointError as error:
                raise InputError(f"cannot pretrain: {error}") from None
            del volumes, learn, check
        best = rows[history.best_epoch - 1]
        model = Model(network, _card(cohort, wanted, options, folder, best, len(train), len(validation)))
        write_table(folder / TRAINING_TABLE, pd.DataFrame(rows))
        save_model(folder, model)
    return model


def _check_options(targets: Sequence[str], options: Pretraining) -> None:
    if not targets:
        raise InputError("no target to pretrain on; give one or more columns, for example --targets age,sex")
    twice = [name for index, name in enumerate(targets) if name in targets[:index]]
    if twice:
        raise InputError(f"target {twice[0]!r} is given twice; give every target once")
    for name, weight in options.weights.items():
        if name not in targets:
            raise InputError(unknown("target with a weight", name, targets))
        if not 0 <= weight < float("inf"):
            raise InputError(f"the weight of target {name!r} is 0 or more and finite, got {weight!r}")
    if options.architecture == "columns":
        raise InputError("a network of table columns takes no volumes; pretrain another architecture, sfcn for example")


def _split(cohort: Cohort, labels: Mapping[str, np.ndarray], options: Pretraining) -> tuple[np.ndarray, np.ndarray]:
    train, validation = holdout_split(
        cohort.participants, options.validation_fraction, stream(options.seed, "pretrain", "holdout")
    )
    empty = [
        name for name, values in labels.items() if np.isnan(values[train]).all() or np.isnan(values[validation]).all()
    ]
    if empty:
        raise InputError(
            f"no label of {', '.join(empty)} in the training or in the validation part; leave the target out, or use a "
            "larger cohort"
        )
    return train, validation


def _validation_scores(
    network: Network, labels: Mapping[str, np.ndarray], rows: np.ndarray, found: Mapping[str, np.ndarray]
) -> dict[str, float]:
    row: dict[str, float] = {}
    for name, target in network.targets.items():
        known = ~np.isnan(labels[name][rows])
        predicted, probabilities = target.decode(found[name][known])
        result = scores(target.kind, labels[name][rows][known], predicted, probabilities)
        row |= {f"{name}_{score}": value for score, value in result.items() if np.isfinite(value)}
    return row


def _card(
    cohort: Cohort,
    targets: Sequence[Target],
    options: Pretraining,
    folder: Path,
    best: Mapping[str, Any],
    n_train: int,
    n_validation: int,
) -> Card:
    salt, people = people_of([cohort])
    facts = {
        "seed": options.seed,
        "cohorts": [cohort.facts],
        "n_train_images": n_train,
        "n_validation_images": n_validation,
        "best_epoch": best["epoch"],
        "validation": {key: value for key, value in best.items() if key != "epoch"},
        "recipe": vars(options.recipe),
    }
    return Card(
        name=folder.name,
        architecture=options.architecture,
        arguments=dict(options.arguments),
        targets=tuple(targets),
        grid=options.grid,
        salt=salt,
        people=people,
        provenance=provenance(**facts),
    )
