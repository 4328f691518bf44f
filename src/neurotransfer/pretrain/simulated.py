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

from neurotransfer.artifacts import provenance, write_json, write_table
from neurotransfer.errors import DivergedError, InterruptedRunError
from neurotransfer.models.card import Card
from neurotransfer.models.folder import Model, new_folder, save_model
from neurotransfer.models.network import Network, build_encoder, seeded
from neurotransfer.models.reference import Reference
from neurotransfer.pretrain.judges import RealPeople, finished
from neurotransfer.pretrain.record import RECORD, record_of
from neurotransfer.pretrain.study import SimulatedStudy
from neurotransfer.seeding import integer_seed
from neurotransfer.simulate.measures import measure
from neurotransfer.simulate.synthesis import Heads, Made, SimulatedVolumes
from neurotransfer.simulate.traits import CLASSES
from neurotransfer.targets import KNOWN, Target
from neurotransfer.training import Checkpoint, Engine, Examples, History, current, fit, outputs, using
from neurotransfer.training.known import reference_from

TRAINING_TABLE = "training.tsv"


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
            trained = _train_members(study, folder, real, on_epoch)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"interrupted; what was learnt is kept in {str(folder)!r}: the same command goes on from there"
            ) from None
        networks = [member.network.cpu() for member in trained]
        network = finished(study, networks)
        found = {"validation_loss": float(np.mean([member.history.best_loss for member in trained]))}
        card = _card(study, network, trained, found | (real.errors_of(network) if real else {}))
        model = Model(network, card, known_heads(study, network))
        record = _record(study, network)
        rows = [{"member": place} | row for place, member in enumerate(trained, 1) for row in member.history.table]
        write_table(folder / TRAINING_TABLE, pd.DataFrame(rows))
        write_json(folder / RECORD, record)
        network.cpu()
        save_model(folder, model, half=True)
        for place in range(study.network.members):
            _checkpoint(folder, place).remove()
    return model


def _engine(engine: Engine | None) -> AbstractContextManager:
    return nullcontext() if engine is None else using(engine)


@dataclass(frozen=True)
class _Trained:
    network: Network
    history: History


def _checkpoint(folder: Path, member: int) -> Checkpoint:
    return Checkpoint(folder / f"checkpoint-{member + 1}.pt")


def _train_members(
    study: SimulatedStudy, folder: Path, real: RealPeople | None, on_epoch: Callable[[dict[str, Any]], object] | None
) -> list[_Trained]:
    part, groups = study.heads, tuple(study.targets)
    heads = Heads(study.volume_grid, part.values, seed=study.seed, device=current().device)
    judges = heads.make(range(part.validation))
    check = Examples(judges.volumes[:, 0].cpu().numpy(), np.arange(part.validation), measure(judges, groups))
    targets = targets_of(study, judges)
    return [
        _train(study, member, heads, targets, check, _checkpoint(folder, member), real, on_epoch)
        for member in range(study.network.members)
    ]


def _train(
    study: SimulatedStudy,
    member: int,
    heads: Heads,
    targets: list[Target],
    check: Examples,
    checkpoint: Checkpoint,
    real: RealPeople | None,
    on_epoch: Callable[[dict[str, Any]], object] | None,
) -> _Trained:
    n, network_part = study.heads.an_epoch, study.network
    with seeded(integer_seed(study.seed, "pretrain", "weights", member)):
        network = Network(build_encoder(network_part.architecture, network_part.arguments), targets)
    # no head is seen by two members, nor by one of them and in validation
    first = study.heads.validation + member * study.training.recipe.on(n).epochs * n
    learn = SimulatedExamples(
        SimulatedVolumes(heads, first, n), np.arange(n), {}, heads=heads, groups=tuple(study.targets), first=first
    )

    def record(row: dict[str, Any], _: dict[str, np.ndarray]) -> None:
        row["heads_seen"] = row["epoch"] * n
        if real is not None:
            row |= real.errors([network])
        if on_epoch is not None:
            on_epoch(row)

    try:
        history = fit(network, learn, check, study.training.recipe, seed=integer_seed(study.seed, "pretrain", "fit", member),
                      on_epoch=record, checkpoint=checkpoint)  # fmt: skip
    except DivergedError as error:
        raise DivergedError(f"cannot pretrain: {error}") from None
    return _Trained(network, history)


def known_heads(study: SimulatedStudy, network: Network) -> Reference | None:
    """What simulated heads are like for a network, by those that chose its epoch and that nothing was learnt from."""
    part = study.heads
    heads = Heads(study.volume_grid, part.values, seed=study.seed, device=current().device)
    volumes = heads.make(range(part.validation)).volumes[:, 0].cpu().numpy()
    rows = np.arange(part.validation)
    return reference_from(network.encoder, volumes, rows[::2], rows[1::2])


def _record(study: SimulatedStudy, network: Network) -> dict[str, Any]:
    """How good the finished panel is on the heads that chose the epochs of its members."""
    part = study.heads
    judges = Heads(study.volume_grid, part.values, seed=study.seed, device=current().device).make(
        range(part.validation)
    )
    labels, rows = measure(judges, tuple(study.targets)), np.arange(part.validation)
    found = outputs(network, judges.volumes[:, 0].cpu().numpy(), rows)
    means = {name: float(np.nanmean(values)) for name, values in labels.items()}
    return record_of(network.targets, found, labels, rows.astype(str), means)


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


def _card(study: SimulatedStudy, network: Network, trained: list[_Trained], validation: Mapping[str, float]) -> Card:
    facts = {
        "seed": study.seed,
        "study": study.model_dump(mode="json"),
        "people": "none: simulated heads alone",
        "best_epochs": [member.history.best_epoch for member in trained],
        "n_train_images": sum(member.history.table[-1]["heads_seen"] for member in trained),
        "validation": dict(validation),
        "engine": str(current()),
        "notes": [note for member in trained for note in member.history.notes],
    }
    return Card(
        name=study.name,
        architecture="sfcn-panel",
        arguments=study.network.of_panel,
        targets=tuple(network.targets.values()),
        input=study.volume_grid,
        provenance=provenance(**facts),
        licence=study.licence,
        citation=study.citation,
    )
