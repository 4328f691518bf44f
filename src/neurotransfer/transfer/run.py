"""`transfer`: from a model folder and a cohort to a model folder that predicts a target of your own."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from neurotransfer.artifacts import provenance
from neurotransfer.cohort import Cohort, Grid, Split, holdout_split, store_volumes
from neurotransfer.errors import InputError
from neurotransfer.models.folder import Card, Model, load_model, people_of, require_new, save_model
from neurotransfer.seeding import integer_seed, stream
from neurotransfer.statistics.metrics import scores
from neurotransfer.targets import Target, infer_target
from neurotransfer.training import Recipe
from neurotransfer.transfer.adapt import Fitted, fit_setting, inputs_of, make_source, predict_rows, whole_network
from neurotransfer.transfer.choice import best_of
from neurotransfer.transfer.strategies import get_strategy, settings


@dataclass(frozen=True)
class Transferred:
    """What `transfer` made: the model and its folder, the chosen setting, and its scores on the validation people.

    The validation people chose the setting and the epoch, so these scores are too good; a learning curve is honest.
    """

    model: Model
    folder: Path
    setting: Mapping[str, Any]
    validation_scores: Mapping[str, float]
    overlap: int


def transfer(
    model: Model | Path | str,
    cohort: Cohort,
    target: str,
    strategy: str,
    out: Path | str,
    *,
    columns: Sequence[str] = (),
    validation_fraction: float = 0.2,
    grid: Mapping[str, Sequence[Any]] | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    on_fit: Callable[[], object] | None = None,
) -> Transferred:
    """Adapt a pretrained model to a target of a cohort by a strategy, and save the result as a model folder.

    A share of the participants chooses the setting (all settings of the strategy, or of `grid`) and the epoch.

    Args:
        model: a model or its folder.
        cohort: from `read_cohort`.
        target: the column to predict.
        strategy: a name of `STRATEGIES`.
        out: the folder to write.
        columns: regional volumes of the table for the strategy `linear`.
        validation_fraction: of the participants.
        grid: settings in place of the strategy's own.
        recipe: epochs, batch size and so on.
        seed: of everything random.
        on_fit: called after every fit (for a progress bar).

    Raises:
        InputError: when model, cohort, target and strategy do not fit together; ModelError when `out` holds a model.
    """
    chosen, folder = get_strategy(strategy), Path(out)
    require_new(folder)
    model = model if isinstance(model, Model) else load_model(model)
    wanted = infer_target(target, cohort.table)
    labels = cohort.labels(wanted)
    split = _split(cohort, wanted, labels, validation_fraction, seed)
    source = make_source(chosen, model=model, grid=model.card.grid, target=wanted, columns=tuple(columns), seed=seed)
    with TemporaryDirectory() as cache:
        volumes = None if source.columns else store_volumes(Path(cache), cohort.images, _grid(model), cohort.alignment)
        inputs = inputs_of(source, cohort, volumes, model)
        rows: list[dict[str, float]] = []
        fits: list[Fitted] = []
        tried = settings(chosen, grid)
        for setting in tried:
            fit_seed = integer_seed(seed, "transfer", strategy, target)
            fits.append(fit_setting(source, inputs, wanted, labels, split, setting, recipe or Recipe(), fit_seed))
            predicted, probabilities = predict_rows(fits[-1], inputs, split.validation)
            rows.append(scores(wanted.kind, labels[split.validation], predicted, probabilities))
            if on_fit is not None:
                on_fit()
        del volumes, inputs
    best = best_of(wanted.kind, rows)
    card = _card(model, cohort, fits[best], source.architecture, source.arguments, strategy, folder, seed, rows[best])
    made = Model(whole_network(source, fits[best]), card)
    save_model(folder, made)
    return Transferred(made, folder, tried[best], rows[best], len(model.card.overlap(cohort)))


def _grid(model: Model) -> Grid:
    if model.card.grid is None:
        raise InputError(f"model {model.card.name!r} takes columns of a table; it cannot be adapted to images")
    return model.card.grid


def _split(cohort: Cohort, target: Target, labels: np.ndarray, fraction: float, seed: int) -> Split:
    known = np.flatnonzero(~np.isnan(labels))
    classes = None if target.kind == "continuous" else labels[known]
    train, validation = holdout_split(cohort.participants[known], fraction, stream(seed, "holdout", target.name), classes)
    split = Split(known[train], known[validation], np.array([], int))
    if classes is not None:
        for name in ("train", "validation"):
            if len(set(labels[getattr(split, name)])) < len(target.classes):
                raise InputError(
                    f"target {target.name!r}: a class has too few people to be both in train and in validation; "
                    "allowed: 2 participants or more of every class, and a validation_fraction that gives each one"
                )
    return split


def _card(
    model: Model,
    cohort: Cohort,
    fitted: Fitted,
    architecture: str,
    arguments: Mapping[str, Any],
    strategy: str,
    folder: Path,
    seed: int,
    found: Mapping[str, float],
) -> Card:
    salt, people = people_of([cohort])
    salt = salt or secrets.token_hex(8)
    facts = {
        "seed": seed,
        "from": model.card.name,
        "from_provenance": dict(model.card.provenance),
        "cohorts": [{"name": cohort.name, "n_images": len(cohort), "n_participants": cohort.n_participants}],
        "validation_scores": dict(found),
        "epochs": fitted.epochs,
    }
    return Card(
        name=folder.name,
        architecture=architecture,
        arguments=dict(arguments),
        targets=tuple(fitted.network.targets.values()),
        grid=None if architecture == "columns" else model.card.grid,
        strategy=strategy,
        salt=salt,
        people=people,
        provenance=provenance(**facts),
        licence=model.card.licence,
        citation=model.card.citation,
    )
