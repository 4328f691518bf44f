"""`transfer`: from a model folder and a cohort to a model folder that predicts a target of your own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from neurotransfer.artifacts import provenance
from neurotransfer.cohort import Cohort, Grid, Split, holdout_split, store_volumes
from neurotransfer.errors import InputError
from neurotransfer.models.folder import (
    Card,
    Model,
    load_model,
    new_folder,
    people_of,
    require_new,
    require_preparation,
    save_model,
)
from neurotransfer.seeding import integer_seed, stream
from neurotransfer.targets import Target, infer_target
from neurotransfer.training import Recipe, current
from neurotransfer.transfer.adapt import whole_network
from neurotransfer.transfer.choice import Chosen, fit_best, require_classes
from neurotransfer.transfer.source import Source, inputs_of, make_source
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
    if columns and chosen.encoder != "linear":
        raise InputError(
            f"strategy {strategy!r} takes no columns; leave out {', '.join(columns)}, or use strategy linear"
        )
    model = model if isinstance(model, Model) else load_model(model)
    require_preparation(model.card, cohort)
    wanted = infer_target(target, cohort.table)
    labels = cohort.labels(wanted)
    split = _split(cohort, wanted, labels, validation_fraction, seed)
    source = make_source(chosen, model=model, grid=model.card.grid, target=wanted, columns=tuple(columns), seed=seed)
    with new_folder(folder):
        with TemporaryDirectory() as cache:
            volumes = None if source.columns else store_volumes(Path(cache), cohort, _grid(model))
            inputs = inputs_of(source, cohort, volumes, model)
            best = fit_best(
                source, inputs, wanted, labels, split, settings(chosen, grid), recipe or Recipe(),
                integer_seed(seed, "transfer", strategy, target), on_fit,
            )  # fmt: skip
            del volumes, inputs
        made = Model(whole_network(source, best.fitted), _card(model, cohort, source, best, folder, seed))
        save_model(folder, made)
    return Transferred(made, folder, best.setting, best.validation_scores, len(model.card.overlap(cohort)))


def _grid(model: Model) -> Grid:
    if model.card.grid is None:
        raise InputError(f"model {model.card.name!r} takes columns of a table; it cannot be adapted to images")
    return model.card.grid


def _split(cohort: Cohort, target: Target, labels: np.ndarray, fraction: float, seed: int) -> Split:
    known = np.flatnonzero(~np.isnan(labels))
    classes = None if target.kind == "continuous" else labels[known]
    train, validation = holdout_split(
        cohort.participants[known], fraction, stream(seed, "holdout", target.name), classes
    )
    split = Split(known[train], known[validation], np.array([], int))
    require_classes(target, labels, split)
    return split


def _card(model: Model, cohort: Cohort, source: Source, best: Chosen, folder: Path, seed: int) -> Card:
    # whoever the starting weights have seen, the new model has seen too
    earlier = model.card.people if source.strategy.needs_model else ()
    salt, people = people_of([cohort], model.card.salt if earlier else "")
    facts = {
        "seed": seed,
        "from": model.card.name,
        "from_provenance": dict(model.card.provenance),
        "cohorts": [cohort.facts],
        "setting": dict(best.setting),
        "validation_scores": dict(best.validation_scores),
        "epochs": best.fitted.epochs,
        "engine": str(current()),
        "notes": list(best.fitted.notes),
    }
    return Card(
        name=folder.name,
        architecture=source.architecture,
        arguments=dict(source.arguments),
        targets=tuple(best.fitted.network.targets.values()),
        grid=None if source.columns else model.card.grid,
        strategy=source.strategy.name,
        salt=salt,
        people=tuple(sorted({*people, *earlier})),
        provenance=provenance(**facts),
        licence=model.card.licence,
        citation=model.card.citation,
        preparation=dict(cohort.preparation or model.card.preparation),
    )
