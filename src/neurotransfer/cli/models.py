"""Commands that make models: pretrain, transfer."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from neurotransfer.cli.options import (
    CORES,
    Alignment,
    CohortPath,
    Desc,
    Device,
    Mask,
    ModelFolder,
    Precision,
    Seed,
    Space,
    app,
    given,
    heard,
    names,
    read,
    say,
    triple,
    use_engine,
)
from neurotransfer.errors import InputError


@app.command()
def pretrain(
    context: typer.Context,
    cohort: Annotated[
        Path,
        typer.Argument(
            help="A table of scans, a BIDS folder, or a study of simulated heads (.toml), see studies/sim_base.toml."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The model folder to write.")],
    targets: Annotated[
        str, typer.Option(help="Columns to learn together, e.g. age,sex,bmi; missing labels are masked.")
    ] = "",
    data: Annotated[
        Path | None, typer.Option(help="With a study of simulated heads: the folder of the real people who judge it.")
    ] = None,
    architecture: Annotated[
        str, typer.Option(help="sfcn, resnet10, densenet121, ...; see `neurotransfer models list`.")
    ] = "sfcn",
    width: Annotated[float, typer.Option(help="Multiplies the filters; SFCN at 1 has 2.95 million parameters.")] = 1.0,
    pooling: Annotated[str, typer.Option(help="Of SFCN: 'maximum' or 'average'.")] = "maximum",
    options: Annotated[
        str, typer.Option(help='Other arguments of the architecture as JSON, e.g. {"patch": 8} of vit.')
    ] = "",
    dropout: Annotated[float, typer.Option(help="Of the features.")] = 0.0,
    shape: Annotated[str, typer.Option(help="Voxels of the volumes.")] = "40,48,40",
    voxel_size: Annotated[float, typer.Option(help="Of the volumes, in mm.")] = 4.0,
    epochs: Annotated[int, typer.Option(help="At most; the best one on validation is kept.")] = 40,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 8,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    warm_up: Annotated[float, typer.Option(help="Epochs in which the learning rate rises from 0.")] = 0.0,
    ema: Annotated[
        float, typer.Option(help="Decay of a moving average of the weights, 0.99 for example; 0: off.")
    ] = 0.0,
    micro_batch: Annotated[
        int, typer.Option(help="Images taken at once, gradients being summed up to a batch; 0: all.")
    ] = 0,
    augment: Annotated[
        str, typer.Option(help="Random changes of the training images: none, light or standard.")
    ] = "none",
    flip: Annotated[bool, typer.Option(help="--no-flip: no mirror images; for targets that have a side.")] = True,
    learned_weights: Annotated[
        bool, typer.Option("--learned-weights", help="Learn the weight of every target's loss.")
    ] = False,
    volumes: Annotated[
        Path | None, typer.Option(help="A folder that keeps the volumes for the next time; made when it is absent.")
    ] = None,
    bits: Annotated[int, typer.Option(help="Of a kept voxel, 16 or 8 (half the bytes).")] = 16,
    devices: Annotated[int, typer.Option(help="Processes a machine, each with one GPU.")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines, under SLURM or torchrun.")] = 1,
    threads: Annotated[int, typer.Option(help="Of the CPU; 0: all that torch takes.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that make volumes of scans.", min=1)] = CORES,
    device: Device = "auto",
    precision: Precision = "auto",
    seed: Seed = 0,
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    alignment: Alignment = "world",
) -> None:
    """Train one network on many targets of a cohort, or on simulated heads, and write a model folder."""
    if cohort.suffix == ".toml":
        _refuse_beside_a_study(context)
        _pretrain_simulated(cohort, out, data, use_engine(device, precision, threads))
        return
    if not targets:
        raise InputError(
            "no target: a cohort needs --targets, the columns to learn together, for example --targets age,sex"
        )
    if data is not None:
        raise InputError("--data belongs to a study of simulated heads (.toml); a cohort has its own path")
    from neurotransfer.cohort import Grid
    from neurotransfer.pretrain import Pretraining
    from neurotransfer.pretrain import pretrain as run_pretrain
    from neurotransfer.progress import bar
    from neurotransfer.training import Recipe
    from neurotransfer.training.augment import preset

    with heard(devices * nodes > 1):
        asked = Pretraining(
            grid=Grid(triple(shape), voxel_size), architecture=architecture,
            arguments=_arguments(architecture, triple(shape), options, width=width, pooling=pooling, dropout=dropout),
            recipe=Recipe(
                epochs=epochs, batch_size=batch_size, lr=lr, patience=15, warm_up=warm_up, ema=ema, micro_batch=micro_batch,
                learned_weights=learned_weights, augmentation=preset(augment, flip),
            ),
            seed=seed, engine=use_engine(device, precision, threads), devices=devices, nodes=nodes, volumes=volumes, bits=bits,
            workers=workers,
        )  # fmt: skip
        wanted = names(targets)
        scans = read(cohort, space, desc, mask, alignment, wanted)
        with bar("epochs", epochs) as advance:
            model = run_pretrain(scans, wanted, out, asked, on_epoch=advance)
        say(model.card.provenance["notes"])
        validation = model.card.provenance["validation"]
        shown = {key: value for key, value in validation.items() if key.endswith(("_mae", "_auc", "_r"))}
        print("validation: " + ", ".join(f"{key} {value:.3g}" for key, value in shown.items()))
        print(f"The model lies in {out}, its metrics by epoch in {out / 'training.tsv'}")


def _arguments(architecture: str, shape: tuple[int, int, int], options: str, **own: Any) -> dict[str, Any]:
    """What an encoder is built with; one that is made for a shape has that of the volumes."""
    from neurotransfer.models.network import takes
    from neurotransfer.pretrain.parts import NetworkPart, parse

    try:
        more = json.loads(options or "{}")
    except ValueError:
        more = None
    if not isinstance(more, dict):
        raise InputError(f'--options takes a JSON object such as {{"patch": 8}}, got {options!r}')
    if takes(architecture, "shape"):
        more = {"shape": list(shape), **more}
    part = {"architecture": architecture, **own, "options": more}
    return parse(NetworkPart, part, "the network", {}).arguments


def _refuse_beside_a_study(context: typer.Context) -> None:
    allowed = ("cohort", "out", "data", "device", "precision", "threads")
    refused = given(context, [name for name in context.params if name not in allowed])
    if refused:
        raise InputError(
            f"{', '.join(refused)}: a study of simulated heads (.toml) says that itself; change the study, or give one of "
            f"--{', --'.join(allowed[1:])}"
        )


def _pretrain_simulated(study: Path, out: Path, data: Path | None, engine: Any) -> None:
    from neurotransfer.pretrain.simulated import TRAINING_TABLE, pretrain_simulated
    from neurotransfer.pretrain.study import read_simulated_study
    from neurotransfer.progress import bar

    asked = read_simulated_study(study)
    if asked.real is not None and data is None:
        print("note: without --data no real people judge the features", file=sys.stderr)
    with bar("epochs", asked.training.epochs * asked.network.members) as advance:
        model = pretrain_simulated(asked, out, data=data, engine=engine, on_epoch=advance)
    shown = {key: value for key, value in model.card.provenance["validation"].items() if "loss" in key or "real" in key}
    print(", ".join(f"{key} {value:.3g}" for key, value in shown.items()))
    print(f"The model lies in {out}, its losses by epoch in {out / TRAINING_TABLE}")


@app.command()
def transfer(
    model: ModelFolder,
    cohort: CohortPath,
    target: Annotated[str, typer.Option(help="The column to predict.")],
    strategy: Annotated[
        str,
        typer.Option(
            help="transferred, frozen, finetuned, baseline, random-frozen, linear, voxels, perceptron, auto or auto-exact."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The model folder to write.")],
    regional: Annotated[
        str, typer.Option(help="Columns of regional volumes for the strategies linear and perceptron.")
    ] = "",
    epochs: Annotated[int, typer.Option(help="At most; the best one on validation is kept.")] = 30,
    validation_fraction: Annotated[float, typer.Option(help="Share of the people who choose setting and epoch.")] = 0.2,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    alignment: Alignment = "world",
    leave_out_seen: Annotated[
        bool,
        typer.Option(
            "--leave-out-seen", help="Leave out the people whom the model was trained on, by name or by image."
        ),
    ] = False,
) -> None:
    """Adapt a model to your target by one strategy and write a model folder."""
    from neurotransfer.cohort.contract import alignment_for
    from neurotransfer.models.folder import read_card
    from neurotransfer.progress import bar
    from neurotransfer.training import Recipe
    from neurotransfer.transfer import get_strategy
    from neurotransfer.transfer import settings as settings_of
    from neurotransfer.transfer import transfer as run_transfer

    tried = settings_of(get_strategy(strategy))
    use_engine(device, precision)
    scans = read(cohort, space, desc, mask, alignment_for(read_card(model).input, alignment), [target])
    with bar("settings", len(tried)) as advance:
        made = run_transfer(model, scans, target, strategy, out, columns=names(regional), recipe=Recipe(epochs=epochs),
                            validation_fraction=validation_fraction, seed=seed, leave_out_seen=leave_out_seen,
                            on_fit=advance)  # fmt: skip
    found = {name: value for name, value in made.validation_scores.items() if value == value}
    say(made.model.card.provenance["notes"])
    if made.overlap:
        advice = "they were left out" if leave_out_seen else "leave them out with --leave-out-seen"
        say([f"{made.overlap} of these participants were in the pretraining of the model; {advice}"])
    if made.drift is not None and made.drift.verdict in ("partly", "another kind"):
        say([made.drift.text])
    print("chosen: " + (", ".join(f"{name} {value:g}" for name, value in made.setting.items()) or "nothing to choose"))
    blend = made.model.card.provenance.get("blend")
    if blend:
        print("blended: " + ", ".join(f"{name} {share:.2f}" for name, share in blend["shares"].items()))
    print(
        "validation (optimistic: it chose the setting): "
        + ", ".join(f"{key} {value:.3g}" for key, value in found.items())
    )
    print(f"The model lies in {made.folder}")
