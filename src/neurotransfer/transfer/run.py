"""`transfer`: from a model folder and a cohort to a model folder that predicts a target of your own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from neurotransfer.artifacts import provenance
from neurotransfer.cohort import Cohort, Split, VolumeStore, holdout_split, store_volumes
from neurotransfer.cohort.contract import Input
from neurotransfer.cohort.volumes import RECIPE
from neurotransfer.errors import InputError
from neurotransfer.models.card import Card, people_of
from neurotransfer.models.checks import require_preparation
from neurotransfer.models.folder import Model, load_model, name_of, new_folder, require_new, save_model
from neurotransfer.models.network import Network
from neurotransfer.models.overlap import image_hashes, seen_rows
from neurotransfer.models.reference import Drift, Reference
from neurotransfer.seeding import integer_seed, stream
from neurotransfer.targets import Target, infer_target
from neurotransfer.training import Recipe, current
from neurotransfer.training.known import drift_of_volumes, reference_from
from neurotransfer.transfer.choice import Chosen, fit_best, require_classes
from neurotransfer.transfer.fitted import architecture_of, whole_network
from neurotransfer.transfer.source import Source, inputs_of, make_source
from neurotransfer.transfer.strategies import get_strategy, settings


@dataclass(frozen=True)
class Transferred:
    """What `transfer` made: the model and its folder, the chosen setting, and its scores on the validation people.

    `overlap` counts the people whom the starting weights have seen before; `drift` says how far the scans are from those that
    the starting weights know. The validation people chose the setting and the epoch, so these scores are too good; a learning
    curve is honest.
    """

    model: Model
    folder: Path
    setting: Mapping[str, Any]
    validation_scores: Mapping[str, float]
    overlap: int
    drift: Drift | None = None


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
    leave_out_seen: bool = False,
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
        columns: regional volumes of the table for the strategies `linear` and `perceptron` (and `auto`, with a model of columns).
        validation_fraction: of the participants.
        grid: settings in place of the strategy's own.
        recipe: epochs, batch size and so on.
        seed: of everything random.
        leave_out_seen: leave out the people whom the model was trained on, by name or by image.
        on_fit: called after every fit (for a progress bar).

    Raises:
        InputError: when model, cohort, target and strategy do not fit together; ModelError when `out` holds a model.
    """
    chosen, folder = get_strategy(strategy), Path(out)
    require_new(folder)
    if columns and not chosen.takes_columns:
        raise InputError(
            f"strategy {strategy!r} takes no columns; leave out {', '.join(columns)}, or use strategy linear or perceptron"
        )
    model = model if isinstance(model, Model) else load_model(model)
    require_preparation(model.card, cohort)
    # images are read before the fit, not after it: one that has gone bad must not cost it
    earlier = model.card if chosen.knows_more else None
    salt = earlier.salt if earlier and earlier.people else people_of([])[0]
    images = image_hashes(cohort, salt) if cohort.has_images else []
    seen = np.zeros(len(cohort), bool)
    if earlier is not None:
        seen = seen_rows(earlier, cohort, images if earlier.salt == salt else None)
    n_seen = len(set(cohort.participants[seen]))
    if leave_out_seen and n_seen:
        cohort = cohort.rows(np.flatnonzero(~seen))
        images = [image for image, was_seen in zip(images, seen, strict=False) if not was_seen]
    if not len(cohort):
        raise InputError(
            f"model {model.card.name!r} was trained on everybody in cohort {cohort.name!r}; give other people"
        )
    wanted = infer_target(target, cohort.table)
    # whoever the starting weights have seen, the new model has seen too
    people = people_of([cohort], salt)[1]
    if earlier and earlier.salt == salt:
        people, images = (*people, *earlier.people), [*images, *earlier.images]
    labels = cohort.labels(wanted)
    split = _split(cohort, wanted, labels, validation_fraction, seed)
    source = make_source(chosen, model=model, grid=model.card.input, target=wanted, columns=tuple(columns), seed=seed)
    if source.is_mixed:
        raise InputError(
            f"strategy {strategy!r} blends columns and images in a benchmark, and a model folder takes the one or the other: leave "
            "out the columns (tissue is then measured on the image), or use strategy linear"
        )
    with new_folder(folder):
        with TemporaryDirectory() as cache:
            volumes = None if source.columns else store_volumes(Path(cache), cohort, _input(model))
            inputs = inputs_of(source, cohort, volumes, model)
            best = fit_best(
                source, inputs, wanted, labels, split, settings(chosen, grid), recipe or Recipe(),
                integer_seed(seed, "transfer", strategy, target), on_fit, cohort.people.codes,
            )  # fmt: skip
            network = whole_network(source, best.fitted)
            known, drift = _known(model, network, source, volumes, inputs, split)
            del volumes, inputs
        card = _card(model, cohort, source, best, folder, seed)
        card = replace(card, salt=salt, people=tuple(sorted({*people})), images=tuple(sorted({*images})))
        made = Model(network, card, known)
        save_model(folder, made)
    return Transferred(made, folder, best.setting, best.validation_scores, n_seen, drift)


def _known(
    model: Model, network: Network, source: Source, volumes: VolumeStore | None, inputs: np.ndarray, split: Split
) -> tuple[Reference | None, Drift | None]:
    """What the new model knows of scans, and how far those of the cohort are from what the old one knew."""
    if volumes is None:
        return None, None
    made = inputs if source.strategy.on_features and source.strategy.encoder == "model" else None
    drift = drift_of_volumes(model, volumes, made) if source.strategy.knows_more else None
    if source.strategy.head == "pretrained":
        # it has learnt from nobody here
        return model.reference, drift
    return reference_from(network.encoder, volumes, split.train, split.validation), drift


def _input(model: Model) -> Input:
    if model.card.input is None:
        raise InputError(f"model {model.card.name!r} takes columns of a table; it cannot be adapted to images")
    return model.card.input


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
    architecture, arguments = architecture_of(source, best.fitted, best.setting)
    facts = {
        "seed": seed,
        "from": model.card.name,
        "from_provenance": dict(model.card.provenance),
        "cohorts": [cohort.facts],
        "setting": dict(best.setting),
        **({} if best.fitted.blend is None else {"blend": best.fitted.blend}),
        "validation_scores": dict(best.validation_scores),
        "epochs": best.fitted.epochs,
        "engine": str(current()),
        "notes": list(best.fitted.notes),
    }
    return Card(
        name=name_of(folder),
        architecture=architecture,
        arguments=arguments,
        targets=tuple(best.fitted.network.targets.values()),
        input=None if source.columns else model.card.input,
        recipe=RECIPE if source.columns else model.card.recipe,
        strategy=source.strategy.name,
        provenance=provenance(**facts),
        licence=model.card.licence,
        citation=model.card.citation,
        preparation=dict(cohort.preparation or model.card.preparation),
    )
