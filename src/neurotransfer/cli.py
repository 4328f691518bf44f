"""The command `neurotransfer`: one sub-command a stage; parse, call, print where the result lies."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from neurotransfer.errors import InputError

app = typer.Typer(
    name="neurotransfer",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Predict from few T1-weighted head scans with pretrained 3D networks, and see honestly which strategy helps.\n\n"
    "Begin with `neurotransfer demo --out demo-run`. The usual order: simulate or your own cohort, pretrain, benchmark, "
    "report; then transfer and predict with the strategy that won.",
)

Workers = Annotated[int, typer.Option(help="Processes, each with one thread; the results do not depend on it.", min=1)]
Seed = Annotated[int, typer.Option(help="Of everything random.", min=0)]
CohortPath = Annotated[
    Path,
    typer.Argument(
        help="A table of scans (.tsv, .csv, .parquet; columns participant_id, image, targets) or a BIDS folder."
    ),
]
ModelFolder = Annotated[Path, typer.Argument(help="A model folder.")]
Scans = Annotated[Path, typer.Argument(help="A scan, a folder of scans, a table of scans or a BIDS folder.")]
TableOut = Annotated[Path, typer.Option(help="The new table to write: .tsv, .csv or .parquet.")]
Space = Annotated[str | None, typer.Option(help="BIDS space of the images to take, e.g. MNI152.")]
Desc = Annotated[str | None, typer.Option(help="BIDS desc of the images to take.")]
Mask = Annotated[str | None, typer.Option(help="BIDS desc of the brain mask to apply, e.g. brain.")]
Alignment = Annotated[
    str, typer.Option(help="'world': scans in MNI space; 'centre': native space, the brain is centred on the grid.")
]
CORES = os.cpu_count() or 1


def _triple(text: str) -> tuple[int, int, int]:
    parts = text.replace("x", ",").split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):
        raise InputError(f"--shape takes three whole numbers such as 40,48,40, got {text!r}")
    return int(parts[0]), int(parts[1]), int(parts[2])


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("demo-run"),
    workers: Workers = CORES,
    seed: Seed = 0,
) -> None:
    """Simulate heads, pretrain, benchmark all strategies and write the page: some minutes on two cores."""
    from neurotransfer.progress import bar
    from neurotransfer.workflow import demo as run_demo

    page = run_demo(out, workers=workers, seed=seed, progress=bar)
    print(f"The page of learning curves lies in {page}")


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="The folder to write: cohort.tsv, heads/, truth.tsv, truth.json.")],
    participants: Annotated[int, typer.Option(help="How many people.")],
    shape: Annotated[str, typer.Option(help="Voxels of a head.")] = "40,48,40",
    seed: Seed = 0,
    effect: Annotated[float, typer.Option(help="Strength of every planted effect; 0: images know nothing.")] = 1.0,
    sites: Annotated[int, typer.Option(help="How many scanners.")] = 3,
    missing: Annotated[float, typer.Option(help="Share of targets that are missing.")] = 0.1,
) -> None:
    """Write simulated heads with a known truth."""
    from neurotransfer.progress import bar
    from neurotransfer.simulate import simulate as run_simulate

    with bar("heads", 0) as advance:
        table = run_simulate(out, participants, shape=_triple(shape), seed=seed, effect=effect, sites=sites,
                             missing=missing, on_scan=advance)  # fmt: skip
    print(f"The cohort lies in {table}, its truth in {out / 'truth.json'}")


def _read(path: Path, space: str | None, desc: str | None, mask: str | None, alignment: str, targets: list[str]) -> Any:
    from neurotransfer.cohort import read_cohort
    from neurotransfer.progress import bar

    with bar(f"check {path}", 0) as advance:
        cohort = read_cohort(
            path, space=space, desc=desc, mask=mask, alignment=alignment, targets=targets, on_scan=advance
        )
    _say(cohort.notes)
    return cohort


def _say(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


@app.command()
def pretrain(
    cohort: CohortPath,
    targets: Annotated[
        str, typer.Option(help="Columns to learn together, e.g. age,sex,bmi; missing labels are masked.")
    ],
    out: Annotated[Path, typer.Option(help="The model folder to write.")],
    width: Annotated[float, typer.Option(help="Multiplies the filters of SFCN; 1 has 2.95 million parameters.")] = 1.0,
    pooling: Annotated[str, typer.Option(help="'maximum' or 'average'.")] = "maximum",
    dropout: Annotated[float, typer.Option(help="Of the features.")] = 0.0,
    shape: Annotated[str, typer.Option(help="Voxels of the volumes.")] = "40,48,40",
    voxel_size: Annotated[float, typer.Option(help="Of the volumes, in mm.")] = 4.0,
    epochs: Annotated[int, typer.Option(help="At most; the best one on validation is kept.")] = 40,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 8,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    seed: Seed = 0,
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    alignment: Alignment = "world",
) -> None:
    """Train one network on many targets and write a model folder."""
    from neurotransfer.cohort import Grid
    from neurotransfer.pretrain import Pretraining
    from neurotransfer.pretrain import pretrain as run_pretrain
    from neurotransfer.progress import bar
    from neurotransfer.training import Recipe

    options = Pretraining(
        grid=Grid(_triple(shape), voxel_size),
        arguments={"width": width, "pooling": pooling, "dropout": dropout},
        recipe=Recipe(epochs=epochs, batch_size=batch_size, lr=lr, patience=15),
        seed=seed,
    )
    names = _names(targets)
    scans = _read(cohort, space, desc, mask, alignment, names)
    with bar("epochs", epochs) as advance:
        model = run_pretrain(scans, names, out, options, on_epoch=advance)
    validation = model.card.provenance["validation"]
    shown = {key: value for key, value in validation.items() if key.endswith(("_mae", "_auc", "_r"))}
    print("validation: " + ", ".join(f"{key} {value:.3g}" for key, value in shown.items()))
    print(f"The model lies in {out}, its metrics by epoch in {out / 'training.tsv'}")


@app.command()
def transfer(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    cohort: CohortPath,
    target: Annotated[str, typer.Option(help="The column to predict.")],
    strategy: Annotated[
        str, typer.Option(help="transferred, frozen, finetuned, baseline, random-frozen, linear or voxels.")
    ],
    out: Annotated[Path, typer.Option(help="The model folder to write.")],
    regional: Annotated[str, typer.Option(help="Columns of regional volumes for the strategy linear.")] = "",
    epochs: Annotated[int, typer.Option(help="At most; the best one on validation is kept.")] = 30,
    validation_fraction: Annotated[float, typer.Option(help="Share of the people who choose setting and epoch.")] = 0.2,
    seed: Seed = 0,
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    alignment: Alignment = "world",
) -> None:
    """Adapt a model to your target by one strategy and write a model folder."""
    from neurotransfer.progress import bar
    from neurotransfer.training import Recipe
    from neurotransfer.transfer import get_strategy
    from neurotransfer.transfer import settings as settings_of
    from neurotransfer.transfer import transfer as run_transfer

    tried = settings_of(get_strategy(strategy))
    scans = _read(cohort, space, desc, mask, alignment, [target])
    with bar("settings", len(tried)) as advance:
        made = run_transfer(model, scans, target, strategy, out, columns=_names(regional), recipe=Recipe(epochs=epochs),
                            validation_fraction=validation_fraction, seed=seed, on_fit=advance)  # fmt: skip
    found = {name: value for name, value in made.validation_scores.items() if value == value}
    if made.overlap:
        print(f"note: {made.overlap} of these participants were in the pretraining of the model", file=sys.stderr)
    print("chosen: " + (", ".join(f"{name} {value:g}" for name, value in made.setting.items()) or "nothing to choose"))
    print(
        "validation (optimistic: it chose the setting): "
        + ", ".join(f"{key} {value:.3g}" for key, value in found.items())
    )
    print(f"The model lies in {made.folder}")


def _table_of_scans(model: Path, scans: Path, out: Path, embedding: bool, options: dict[str, Any]) -> None:
    from neurotransfer.artifacts import require_no_file, table_suffix, write_table
    from neurotransfer.models import load_model
    from neurotransfer.predict import embed as run_embed
    from neurotransfer.predict import predict as run_predict
    from neurotransfer.predict import read_scans
    from neurotransfer.progress import bar

    table_suffix(out)
    require_no_file(out)
    loaded = load_model(model)
    with bar("check", 0) as advance:
        cohort = read_scans(scans, on_scan=advance, images=loaded.card.grid is not None, **options)
    seen = len(loaded.card.overlap(cohort))
    _say([*cohort.notes, *([f"the model was trained on {seen} of these people: too good for them"] if seen else [])])
    with bar("volumes", len(cohort)) as advance:
        table = (run_embed if embedding else run_predict)(loaded, cohort, on_scan=advance)
    write_table(out, table)
    print(f"{len(table)} rows lie in {out}")


@app.command()
def predict(
    model: ModelFolder,
    scans: Scans,
    out: TableOut,
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    alignment: Alignment = "world",
) -> None:
    """Predict every target of a model for every scan."""
    options = {"space": space, "desc": desc, "mask": mask, "alignment": alignment}
    _table_of_scans(model, scans, out, embedding=False, options=options)


@app.command()
def embed(
    model: ModelFolder,
    scans: Scans,
    out: TableOut,
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    alignment: Alignment = "world",
) -> None:
    """Write the features that a model's encoder gives for every scan."""
    options = {"space": space, "desc": desc, "mask": mask, "alignment": alignment}
    _table_of_scans(model, scans, out, embedding=True, options=options)


@app.command()
def benchmark(
    study: Annotated[Path, typer.Argument(help="A study file such as studies/demo.toml.")],
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/NAME when not given.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="The folder that cohort paths are relative to; that of the study when not given."),
    ] = None,
    workers: Workers = CORES,
    resume: Annotated[bool, typer.Option("--resume", help="Insist that the run exists; it goes on anyway.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan, write nothing.")
    ] = False,
) -> None:
    """Learning curves of every strategy of a study; interrupt it as you like and run it again to go on."""
    from neurotransfer.benchmark import benchmark as run_benchmark
    from neurotransfer.progress import bar

    run = run_benchmark(study, out, data=data, workers=workers, resume=resume, dry_run=dry_run,
                        command=" ".join(["neurotransfer", *sys.argv[1:]]), progress=bar)  # fmt: skip
    _say(run.plan.notes)
    if run.results is None:
        print(
            f"{len(run.plan.targets)} tasks, {len(run.plan.cells)} cells, {run.plan.n_fits} fits; would write {run.folder}"
        )
        return
    failed = int(run.results["error"].notna().sum())
    if failed:
        print(f"note: {failed} of {len(run.results)} fits failed; their errors stand in the results", file=sys.stderr)
    if failed == len(run.results):
        raise InputError(f"every fit failed; the first one: {run.results['error'].iloc[0]}")
    print(f"{len(run.results)} fits lie in {run.folder / 'results.parquet'}; next: neurotransfer report {run.folder}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="The page to write; report.html in the run folder when not given.")
    ] = None,
    published: Annotated[
        list[str] | None, typer.Option(help="TASK=CURVE: lay the talk's published curve over a task; may be repeated.")
    ] = None,
) -> None:
    """Write one self-contained page with the learning curves and all that belongs to them."""
    from neurotransfer.report import report as run_report

    page = run_report(run, out, published=_overlays(published or []))
    print(f"The page lies in {page}")


def _overlays(texts: list[str]) -> dict[str, str]:
    wrong = [text for text in texts if text.count("=") != 1]
    if wrong:
        raise InputError(f"--published takes TASK=CURVE, got {', '.join(wrong)}")
    return dict(text.split("=") for text in texts)
