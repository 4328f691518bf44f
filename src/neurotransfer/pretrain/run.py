"""`pretrain`: one network, many targets, and a model folder."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from neurotransfer.artifacts import is_file, provenance, read_json, storage, write_json, write_table
from neurotransfer.cohort import Cohort, Grid, VolumeStore, holdout_split, store_volumes
from neurotransfer.cohort.contract import Input
from neurotransfer.cohort.volumes import way_of
from neurotransfer.errors import DivergedError, InputError, InterruptedRunError, unknown
from neurotransfer.models.card import Card, people_of
from neurotransfer.models.folder import CARD, Model, name_of, new_folder, require_new, save_model
from neurotransfer.models.network import Network, build_encoder, seeded
from neurotransfer.models.overlap import image_hashes
from neurotransfer.pretrain.record import RECORD, record_from
from neurotransfer.seeding import integer_seed, stream
from neurotransfer.statistics.metrics import scores
from neurotransfer.targets import Target, infer_target
from neurotransfer.training import Checkpoint, Engine, Examples, Recipe, current, fit, using
from neurotransfer.training.examples import History
from neurotransfer.training.known import reference_from
from neurotransfer.training.processes import Processes, launch

TRAINING_TABLE, CHECKPOINT, VOLUMES, IMAGES = "training.tsv", "checkpoint.pt", "volumes", "images.json"


@dataclass(frozen=True)
class Pretraining:
    """How a model is pretrained: the grid of its volumes, its architecture, how it is trained, and on which machines.

    Attributes:
        grid: of the volumes, or the contract of the recipe that left them as they are.
        architecture: a name of `ENCODERS`.
        arguments: of the architecture.
        recipe: how it is trained.
        weights: of the targets' losses, by name; 1 where not given.
        validation_fraction: share of the participants who choose the epoch.
        seed: of everything random.
        engine: device and precision; found out for the machine when not given.
        devices: processes on every machine, each with one GPU (or, on the CPU, with the threads that it is given).
        nodes: machines.
        volumes: a folder for the volume store, to be used again; else it lies in the model folder until the end.
        bits: of a stored voxel, 16 or 8.
        workers: processes that make volumes of scans.
        checkpoint_seconds: between two checkpoints within an epoch; there is one after every epoch.
    """

    grid: Input = field(default_factory=Grid)
    architecture: str = "sfcn"
    arguments: Mapping[str, Any] = field(default_factory=lambda: {"width": 1.0, "pooling": "maximum", "dropout": 0.0})
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=40, patience=15))
    weights: Mapping[str, float] = field(default_factory=dict)
    validation_fraction: float = 0.2
    seed: int = 0
    engine: Engine | None = None
    devices: int = 1
    nodes: int = 1
    volumes: Path | None = None
    bits: int = 16
    workers: int = 1
    checkpoint_seconds: float = 300.0


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
    the epoch. Beside the model lies `training.tsv`: a row an epoch with losses and validation scores of every target; and
    `training.json`: how good it is on them, as counts and curves.
    A training that was stopped, killed or lost its machine goes on where it was when it is called again, and ends with the
    same weights.

    Args:
        cohort: from `read_cohort`.
        targets: columns to predict.
        out: the folder to write.
        options: grid, architecture, recipe, loss weights by target, seed, machines.
        on_epoch: called with a row of the training table after every epoch (for a progress bar).

    Raises:
        InputError: when a target is not in the table or unusable; DivergedError when a loss was not finite, with the scans
            of its batch; ModelError when `out` holds a model; StorageError when it cannot be written; InterruptedRunError
            when it was stopped.
    """
    options, folder = options or Pretraining(), Path(out)
    if is_file(folder / CARD):
        # killed between the model and this
        _clear(folder, options)
    require_new(folder)
    _check_options(targets, options)
    wanted = [replace(infer_target(name, cohort.table), weight=options.weights.get(name, 1.0)) for name in targets]
    labels = {target.name: cohort.labels(target) for target in wanted}
    train, validation = _split(cohort, labels, options)
    wanted = [target.scaled_to(labels[target.name][train]) for target in wanted]
    with nullcontext() if options.engine is None else using(options.engine):
        processes = launch(options.devices, options.nodes, current())
        with new_folder(folder):
            try:
                network, history, volumes, (salt, images) = _train(
                    cohort, wanted, labels, (train, validation), options, folder, processes, on_epoch
                )
            except KeyboardInterrupt:
                raise InterruptedRunError(
                    f"interrupted; what was learnt is kept in {str(folder)!r}: the same command goes on from there"
                ) from None
            best = history.table[history.best_epoch - 1]
            counts = (len(train), len(validation))
            card = _card(cohort, wanted, options, folder, best, counts, history.notes)
            model = Model(network.cpu(), card)
            if processes.is_first:
                people = people_of([cohort], salt)[1]
                card = replace(card, salt=salt, people=people, images=tuple(sorted(images)))
                known = reference_from(network.encoder, volumes, train, validation)
                model = Model(network.cpu(), card, known)
                write_table(folder / TRAINING_TABLE, pd.DataFrame(history.table))
                write_json(folder / RECORD, record_from(network, volumes, cohort, labels, (train, validation)))
                save_model(folder, model)
                _clear(folder, options)
            processes.wait()
    return model


def _train(
    cohort: Cohort,
    targets: Sequence[Target],
    labels: Mapping[str, np.ndarray],
    parts: tuple[np.ndarray, np.ndarray],
    options: Pretraining,
    folder: Path,
    processes: Processes,
    on_epoch: Callable[[dict[str, Any]], object] | None,
) -> tuple[Network, History, VolumeStore, tuple[str, list[str]]]:
    with seeded(integer_seed(options.seed, "pretrain", "weights")):
        network = Network(build_encoder(options.architecture, dict(options.arguments)), targets)

    def record(row: dict[str, Any], found: dict[str, np.ndarray]) -> None:
        row |= _validation_scores(network, labels, parts[1], found)
        if on_epoch is not None and processes.is_first:
            on_epoch(row)

    # before the fit: an image that has gone bad must not cost it
    images = _images(cohort, folder, options.workers)
    kept = options.volumes is not None
    place = options.volumes if options.volumes is not None else folder / VOLUMES
    volumes = store_volumes(place, cohort, options.grid, bits=options.bits, workers=options.workers, keep=kept)
    names = _names(cohort)
    learn, check = (
        Examples(volumes, part, {name: values[part] for name, values in labels.items()}, names) for part in parts
    )
    checkpoint = Checkpoint(folder / CHECKPOINT, options.checkpoint_seconds)
    try:
        history = fit(network, learn, check, options.recipe, seed=integer_seed(options.seed, "pretrain", "fit"),
                      on_epoch=record, checkpoint=checkpoint, processes=processes)  # fmt: skip
    except DivergedError as error:
        advice = (
            f". The checkpoint of the last good epoch is {str(checkpoint.path)!r}; with other options give another --out, or "
            "remove it"
        )
        raise DivergedError(f"cannot pretrain: {error}{advice if is_file(checkpoint.path) else ''}") from None
    return network, history, volumes, images


def _images(cohort: Cohort, folder: Path, workers: int) -> tuple[str, list[str]]:
    """A salt and the hash of every image, made by one of several processes while the others wait, and kept until the end.

    They wait at a file and not for each other's gradients, which has a limit of time.
    """
    path, lock = folder / IMAGES, folder / f"{IMAGES}.lock"
    try:
        with storage(path), FileLock(lock):
            paths = [str(image) for image, _ in cohort.images]
            kept = read_json(path) if is_file(path) else {}
            if not isinstance(kept, dict) or kept.get("paths") != paths:
                salt = people_of([])[0]
                kept = {"salt": salt, "paths": paths, "hashes": image_hashes(cohort, salt, workers)}
                write_json(path, kept)
    except BaseException:
        # a folder of which nothing comes is taken away when it is empty
        lock.unlink(missing_ok=True)
        raise
    return str(kept["salt"]), list(kept["hashes"])


def _names(cohort: Cohort) -> list[str]:
    people, sessions = cohort.table["participant_id"], cohort.table["session_id"].fillna("")
    return [f"{person} {session}".strip() for person, session in zip(people, sessions, strict=True)]


def _clear(folder: Path, options: Pretraining) -> None:
    """Take away what a finished model does not need."""
    Checkpoint(folder / CHECKPOINT).remove()
    for name in (IMAGES, f"{IMAGES}.lock"):
        (folder / name).unlink(missing_ok=True)
    if options.volumes is None:
        rmtree(folder / VOLUMES, ignore_errors=True)


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
    if min(options.devices, options.nodes) < 1:
        raise InputError(f"devices and nodes are 1 or more, got {options.devices} and {options.nodes}")
    if options.architecture in ("columns", "perceptron"):
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
    counts: tuple[int, int],
    notes: Sequence[str],
) -> Card:
    facts = {
        "seed": options.seed,
        "cohorts": [cohort.facts],
        "n_train_images": counts[0],
        "n_validation_images": counts[1],
        "best_epoch": best["epoch"],
        "validation": {key: value for key, value in best.items() if key != "epoch"},
        "recipe": asdict(options.recipe),
        "engine": str(current()),
        "notes": list(notes),
    }
    return Card(
        name=name_of(folder),
        architecture=options.architecture,
        arguments=dict(options.arguments),
        targets=tuple(targets),
        input=options.grid,
        recipe=way_of(options.grid),
        provenance=provenance(**facts),
        preparation=dict(cohort.preparation),
    )
