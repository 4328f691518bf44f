"""`pretrain_simulated`: a model from simulated heads alone, made while the network learns from those before."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, channels_last_3d

from neurotransfer.artifacts import provenance, write_table
from neurotransfer.errors import DivergedError, InterruptedRunError
from neurotransfer.models.folder import Card, Model, new_folder, save_model
from neurotransfer.models.network import Network, build_encoder, seeded
from neurotransfer.pretrain.judges import RealPeople, finished
from neurotransfer.pretrain.study import SimulatedStudy
from neurotransfer.seeding import integer_seed
from neurotransfer.simulate.measures import measure
from neurotransfer.simulate.synthesis import Heads, Made
from neurotransfer.simulate.traits import CLASSES
from neurotransfer.targets import KNOWN, Target
from neurotransfer.training import Checkpoint, Engine, Examples, current, fit, using

TRAINING_TABLE, CHECKPOINT = "training.tsv", "checkpoint.pt"


@dataclass(frozen=True)
class SimulatedExamples(Examples):
    """Heads that are made when they are asked for, others in every epoch; their labels are measured on them."""

    heads: Heads | None = None
    groups: tuple[str, ...] = ()
    first: int = 0

    @property
    def digest(self) -> str:
        """What identifies them: the seed, how much they differ, what is measured."""
        assert self.heads is not None
        return repr((self.heads.seed, self.heads.variety, self.heads.grid, self.groups, self.first, len(self)))

    def load(self, chosen: np.ndarray, mine: np.ndarray, epoch: int) -> tuple[Tensor, dict[str, np.ndarray]]:
        """The heads at the places `mine` of `chosen`; what other processes make counts as a label without a value."""
        assert self.heads is not None
        made = self.heads.make(self.first + (epoch - 1) * len(self) + chosen[mine])
        measured = measure(made, self.groups)
        labels = {name: np.zeros(len(chosen)) for name in measured}
        for name, values in measured.items():
            labels[name][mine] = values
        volumes = made.volumes.contiguous(memory_format=channels_last_3d)
        return volumes, labels


class SimulatedVolumes:
    """Heads as an array (n, x, y, z) that makes the rows it is asked for.

    Example:
        >>> from neurotransfer.cohort import Grid
        >>> volumes = SimulatedVolumes(Heads(Grid((32, 40, 32), 5.0)), 0, 100)
        >>> volumes.shape, volumes[np.array([3, 4])].shape
        ((100, 32, 40, 32), (2, 32, 40, 32))
    """

    ndim = 4

    def __init__(self, heads: Heads, first: int, n: int) -> None:
        self.heads, self.first, self.shape = heads, first, (n, *heads.grid.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.heads.make(self.first + np.asarray(rows)).volumes[:, 0].cpu().numpy()


def pretrain_simulated(
    study: SimulatedStudy,
    out: Path | str,
    *,
    data: Path | str | None = None,
    engine: Engine | None = None,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
) -> Model:
    """Pretrain a network on simulated heads alone and save it as a model folder.

    Heads are made by index while the network trains, new ones in every epoch; other ones choose the epoch. Beside the model lies
    `training.tsv`: a row an epoch with the losses, and, where the study names real people and `data` says where they are,
    the error of ridge regression on their features. They are looked at, not learnt from. A training that was stopped or
    killed goes on when it is called again.

    Args:
        study: from `read_simulated_study`.
        out: the folder to write.
        data: the folder that the path of the real cohort is relative to; not given: nobody real is looked at.
        engine: device and precision; found out for the machine when not given.
        on_epoch: called with a row of the training table after every epoch (for a progress bar).

    Raises:
        InputError: when the real cohort is unusable; DivergedError when a loss was not finite; ModelError when `out` holds a
            model; StorageError when it cannot be written; InterruptedRunError when it was stopped.
    """
    folder = Path(out)
    with _engine(engine), new_folder(folder), TemporaryDirectory() as cache:
        real = None if study.real is None or data is None else RealPeople(study.real, Path(data), study, Path(cache))
        try:
            network, table, best = _train(study, folder, real, on_epoch)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"interrupted; what was learnt is kept in {str(folder)!r}: the same command goes on from there"
            ) from None
        network = finished(study, network.cpu())
        model = Model(network, _card(study, network, table[best - 1]))
        write_table(folder / TRAINING_TABLE, pd.DataFrame(table))
        save_model(folder, model)
        Checkpoint(folder / CHECKPOINT).remove()
    return model


def _engine(engine: Engine | None) -> AbstractContextManager:
    return nullcontext() if engine is None else using(engine)


def _train(
    study: SimulatedStudy, folder: Path, real: RealPeople | None, on_epoch: Callable[[dict[str, Any]], object] | None
) -> tuple[Network, list[dict[str, Any]], int]:
    part, groups = study.heads, tuple(study.targets)
    heads = Heads(study.volume_grid, part.values, seed=study.seed, device=current().device)
    judges = heads.make(range(part.validation))
    labels = measure(judges, groups)
    with seeded(integer_seed(study.seed, "pretrain", "weights")):
        network = Network(build_encoder(study.network.architecture, study.network.arguments), targets_of(study, judges))
    learn = SimulatedExamples(
        SimulatedVolumes(heads, part.validation, part.an_epoch), np.arange(part.an_epoch), {}, heads=heads, groups=groups,
        first=part.validation,
    )  # fmt: skip
    check = Examples(judges.volumes[:, 0].cpu().numpy(), np.arange(part.validation), labels)

    def record(row: dict[str, Any], _: dict[str, np.ndarray]) -> None:
        row["heads_seen"] = row["epoch"] * part.an_epoch
        if real is not None:
            row |= real.errors(network)
        if on_epoch is not None:
            on_epoch(row)

    checkpoint = Checkpoint(folder / CHECKPOINT)
    try:
        history = fit(network, learn, check, study.training.recipe, seed=integer_seed(study.seed, "pretrain", "fit"),
                      on_epoch=record, checkpoint=checkpoint)  # fmt: skip
    except DivergedError as error:
        raise DivergedError(f"cannot pretrain: {error}") from None
    return network, history.table, history.best_epoch


def targets_of(study: SimulatedStudy, made: Made) -> list[Target]:
    """A target for every number that the study's groups measure on heads; a group's weight is shared by its numbers."""
    found = []
    for group, weight in study.targets.items():
        labels = measure(made, [group])
        for name, values in labels.items():
            unit = KNOWN[name][1] if name in KNOWN else name.rsplit("_", 1)[-1] if name.endswith(("_ml", "_mm")) else ""
            share = weight / len(labels)
            if name in CLASSES:
                found.append(Target(name, "binary", classes=CLASSES[name][0], weight=share))
            else:
                found.append(Target(name, "continuous", unit=unit, weight=share).scaled_to(values))
    return found


def _card(study: SimulatedStudy, network: Network, row: Mapping[str, Any]) -> Card:
    facts = {
        "seed": study.seed,
        "study": study.model_dump(mode="json"),
        "people": "none: simulated heads alone",
        "best_epoch": row["epoch"],
        "n_train_images": row["heads_seen"],
        "validation": {
            key: value for key, value in row.items() if not key.startswith("validation_loss_") and key != "epoch"
        },
        "engine": str(current()),
        "notes": [],
    }
    return Card(
        name=study.name,
        architecture=study.network.architecture,
        arguments=study.network.arguments | {"joined": study.network.joined},
        targets=tuple(network.targets.values()),
        grid=study.volume_grid,
        provenance=provenance(**facts),
        licence=study.licence,
        citation=study.citation,
    )
