"""What the cells of a run share, read from the run folder by every process: cohort, volumes, models, features."""

import hashlib
import io
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.artifacts import is_file, read_json, write_atomically, write_json
from neurotransfer.benchmark.plan import Plan, headline, targets_of
from neurotransfer.benchmark.study import StrategyPart, Study
from neurotransfer.cohort import Cohort, VolumeStore
from neurotransfer.cohort.contract import Input
from neurotransfer.cohort.store import FORMAT
from neurotransfer.errors import InputError
from neurotransfer.models.folder import CARD, SHIPPED, WEIGHTS, Model, find_model, load_model
from neurotransfer.models.network import ENCODERS, takes
from neurotransfer.targets import Target
from neurotransfer.training import Engine, current
from neurotransfer.transfer import Source, get_strategy, inputs_of, make_source
from neurotransfer.transfer.beside import Beside

STUDY, COHORT, COHORT_FACTS = "study.json", "cohort.parquet", "cohort.json"


@dataclass(frozen=True, eq=False)
class Workspace:
    """A run folder that is ready for its cells."""

    folder: Path
    study: Study
    cohort: Cohort
    targets: dict[str, Target]
    volumes: VolumeStore | None
    models: dict[str, Model]

    @property
    def grid(self) -> Input:
        """What the study's volumes are."""
        return input_of(self.study)

    def part(self, title: str) -> StrategyPart:
        """The strategy of the study that is called `title`."""
        return next(part for part in self.study.strategies if part.title == title)

    def source(self, title: str, task: str) -> Source:
        """Where a strategy starts for a task."""
        part, network = self.part(title), self.study.network
        return make_source(
            get_strategy(part.strategy),
            model=self.models.get(part.model or ""),
            grid=self.grid if self.volumes is not None else None,
            target=self.targets[task],
            columns=self.study.regional_columns,
            architecture=network.architecture,
            arguments=arguments_of(self.study),
            seed=self.study.seed_of_fits,
        )

    def inputs(self, title: str, task: str) -> Any:
        """What a strategy trains on; features of an encoder that stands still are made once and kept in the folder."""
        source, part = self.source(title, task), self.part(title)
        model = self.models.get(part.model or "")
        if not source.strategy.on_features:
            return inputs_of(source, self.cohort, self.volumes, model)
        kept = self.features(replace(source, learners=()), model)
        return Beside(kept, self.volumes) if source.learns_from_volumes else kept

    def features(self, source: Source, model: Model | None) -> np.ndarray:
        """The features (n_rows, n_features) of an encoder that stands still, made once and kept in the folder."""
        path = self.folder / "cache" / f"features-{source.architecture}-{_digest(source)}.npy"
        if not path.is_file():
            if len(source.parts) > 1:
                values = np.concatenate([self.features(part, model) for part in source.parts], 1)
            else:
                values = inputs_of(source, self.cohort, self.volumes, model)
            _write_array(path, values)
        # mapped and not read: all workers of a machine share one copy
        return np.load(path, mmap_mode="r")


def _digest(source: Source) -> str:
    """What features depend on but the volumes: the encoder's arguments and weights."""
    digest = hashlib.sha256(repr((sorted(source.arguments.items()), source.columns)).encode())
    for name, value in source.encoder.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _write_array(path: Path, values: np.ndarray) -> None:
    # numpy's own writing of a file does not notice a full disk
    buffer = io.BytesIO()
    np.save(buffer, values)
    write_atomically(path, lambda temporary: temporary.write_bytes(buffer.getbuffer()))


@lru_cache(maxsize=64)
def prepared(workspace: Workspace, title: str, task: str) -> tuple[Source, Any]:
    """Source and inputs of a strategy for a task, read once in a process."""
    return workspace.source(title, task), workspace.inputs(title, task)


def arguments_of(study: Study) -> dict[str, Any]:
    """What the study's own networks are built with; one that is made for a shape has that of the volumes."""
    arguments = study.network.arguments
    if (
        takes(study.network.architecture, "shape")
        and "shape" not in arguments
        and study.network.architecture in ENCODERS
    ):
        arguments = {"shape": list(input_of(study).shape), **arguments}
    return arguments


def input_of(study: Study) -> Input:
    """What the volumes of a study are."""
    return study.grid.input


def write_study(folder: Path, plan: Plan) -> None:
    """Keep the study in the run folder, as it was given and with what the page needs to know of it."""
    study = plan.study
    tasks = {
        task: {
            "target": target.name,
            "kind": target.kind,
            "classes": list(target.classes),
            "unit": target.unit,
            "score": headline(study, task, target),
            "label": study.tasks[task].label or task,
            "published": list(study.tasks[task].published),
        }
        for task, target in plan.targets.items()
    }
    strategies = [
        {
            "label": part.title,
            "strategy": part.strategy,
            "model": part.model,
            "description": get_strategy(part.strategy).description,
        }
        for part in study.strategies
    ]
    facts = {
        "name": study.name,
        "title": study.title or study.name,
        "description": study.description,
        "seed": study.seed,
        "precision": str(current().kind).removeprefix("torch."),
        "sizes": list(study.protocol.sizes),
        "replicates": study.protocol.replicates,
        "test": study.protocol.test,
        "protocol": study.protocol.model_dump(mode="json", exclude={"sizes", "replicates"}),
        "epochs": study.training.epochs,
        "tasks": tasks,
        "strategies": strategies,
        "subgroup": study.subgroup,
        "cells": len(plan.cells),
        "pairs": list(dict.fromkeys((cell.task, cell.strategy) for cell in plan.cells)),
        "study": study.model_dump(mode="json"),
    }
    write_json(folder / STUDY, facts)


def write_cohort(folder: Path, study: Study, cohort: Cohort, volumes: VolumeStore | None) -> None:
    """Keep the cohort's table, name, alignment and notes in the run folder, and what the results depend on.

    Raises:
        InputError: when the folder holds a run on a cohort with other rows, values or images, or with other models.
    """
    path = folder / COHORT_FACTS
    found = {
        "table": hashlib.sha256(cohort.table.drop(columns=["image", "mask"]).to_csv(index=False).encode()).hexdigest(),
        "volumes": "" if volumes is None else _digest_of(volumes),
        "models": {
            name: hashlib.sha256((model_folder(folder, study, name) / WEIGHTS).read_bytes()).hexdigest()
            for name in study.models
        },
    }
    before = read_json(path).get("depends_on", found) if path.is_file() else found
    changed = [name for name, value in found.items() if before.get(name) != value]
    if changed:
        raise InputError(
            f"since the run in {str(folder)!r} began, this has changed: {', '.join(changed)} (cohort {cohort.name!r}); give "
            "another --out, or restore what was there to go on with that run"
        )
    write_json(path, {"name": cohort.name, "alignment": cohort.alignment, "notes": cohort.notes, "depends_on": found})
    table = cohort.table if "cohort" in cohort.table else cohort.table.assign(cohort=cohort.name)
    write_atomically(folder / COHORT, lambda path: table.to_parquet(path, index=False))


def _digest_of(volumes: VolumeStore) -> str:
    # of the checksums, each of which is verified when its volume is read
    facts = repr((volumes.shape, volumes.bits)).encode()
    return f"{FORMAT} {hashlib.sha256(facts + volumes.checksums.tobytes()).hexdigest()}"


def require_same_kind(folder: Path) -> None:
    """Refuse, before volumes are made, a run folder whose fits were made on volumes that were kept in another format.

    Raises:
        InputError: when an earlier version began the run.
    """
    path = folder / COHORT_FACTS
    before = read_json(path).get("depends_on", {}).get("volumes", "") if path.is_file() else ""
    if before and not before.startswith(f"{FORMAT} "):
        raise InputError(
            f"the run in {str(folder)!r} was begun by an earlier version of neurotransfer, which kept volumes in another "
            "format; finish it with that version, or give another --out (report still takes its results)"
        )


def engine_of(folder: Path, study: Study) -> Engine:
    """The engine of a run: in the precision that it began with, else in that of the study.

    A run that goes on on another machine must not change to the precision that is quick there.
    """
    path = folder / STUDY
    kept = read_json(path).get("precision") if path.is_file() else None
    return Engine(precision=kept or study.precision)


def kept_cohort(folder: Path) -> Cohort:
    """The cohort of a run folder, as the run began with it."""
    facts = read_json(folder / COHORT_FACTS)
    return Cohort(facts["name"], pd.read_parquet(folder / COHORT), facts["alignment"], tuple(facts["notes"]))


def open_workspace(folder: Path, base: Path = Path()) -> Workspace:
    """The workspace of a run folder that `benchmark` has prepared; paths of models are relative to `base`."""
    study = Study.model_validate(read_json(folder / STUDY)["study"])
    cohort = kept_cohort(folder)
    models = {name: load_model(model_folder(folder, study, name, base)) for name in study.models}
    volumes = None
    if cohort.has_images:
        # its absence is no cohort without images: somebody does not see the folder as it is
        volumes = VolumeStore(folder / "cache")
        volumes.require(cohort, input_of(study), files=False)
    return Workspace(folder, study, cohort, targets_of(study, cohort), volumes, models)


def model_folder(folder: Path, study: Study, name: str, base: Path = Path()) -> Path:
    """Where a model of a study lies: its own path, in the package, or below the run folder when the study pretrains it."""
    path = study.models[name].path
    return folder / "models" / name if path is None else find_model(model_path(path, base))


def model_path(path: str, base: Path) -> str:
    """A path of a model that is relative to `base`; a model that comes with the package keeps its name.

    Example:
        >>> model_path("sim-base", Path("data")), model_path("mine", Path("data"))
        ('sim-base', 'data/mine')
    """
    return path if path in SHIPPED and not is_file(base / path / CARD) else str(base / path)
