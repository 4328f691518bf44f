"""The app, the options that several commands share, and how their texts are read."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
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

models_app = typer.Typer(
    no_args_is_help=True,
    help="Models that describe themselves: what there is, what one takes and gives, published weights, sharing.",
)
app.add_typer(models_app, name="models")

Workers = Annotated[int, typer.Option(help="Processes, each with one thread; the results do not depend on it.", min=1)]
Seed = Annotated[int, typer.Option(help="Of everything random.", min=0)]
CohortPath = Annotated[
    Path,
    typer.Argument(
        help="A table of scans (.tsv, .csv, .parquet; columns participant_id, image, targets) or a BIDS folder."
    ),
]
ModelFolder = Annotated[Path, typer.Argument(help="A model folder, or sim-base, which comes with the package.")]
Scans = Annotated[
    Path,
    typer.Argument(
        help="A scan, a folder of scans, a table of scans or a BIDS folder, ready or raw; DICOM, FreeSurfer, FastSurfer."
    ),
]
Prepare = Annotated[
    str, typer.Option(help="'auto': scans with skull, or not in MNI152, are prepared first; 'always'; 'never'.")
]
PreparedFolder = Annotated[
    Path | None, typer.Option(help="Keep what was prepared in this folder, for the next time and for a look at it.")
]
TableOut = Annotated[Path, typer.Option(help="The new table to write: .tsv, .csv or .parquet.")]
Space = Annotated[str | None, typer.Option(help="BIDS space of the images to take, e.g. MNI152.")]
Desc = Annotated[str | None, typer.Option(help="BIDS desc of the images to take.")]
Mask = Annotated[str | None, typer.Option(help="BIDS desc of the brain mask to apply, e.g. brain.")]
Alignment = Annotated[
    str, typer.Option(help="'world': scans in MNI space; 'centre': native space, the brain is centred on the grid.")
]
Device = Annotated[str, typer.Option(help="'auto' (an NVIDIA GPU, else the CPU), 'cpu', 'cuda', 'cuda:1' or 'mps'.")]
Precision = Annotated[
    str,
    typer.Option(help="Of convolutions: 'auto' (bfloat16 where the processor multiplies it), 'float32' or 'bfloat16'."),
]
CORES = os.cpu_count() or 1


def triple(text: str) -> tuple[int, int, int]:
    """Three whole numbers such as 40,48,40."""
    parts = text.replace("x", ",").split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):
        raise InputError(f"--shape takes three whole numbers such as 40,48,40, got {text!r}")
    return int(parts[0]), int(parts[1]), int(parts[2])


def names(text: str) -> list[str]:
    """Names between commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def read(path: Path, space: str | None, desc: str | None, mask: str | None, alignment: str, targets: list[str]) -> Any:
    """A cohort, with a bar; its notes are printed."""
    from neurotransfer.cohort import read_cohort
    from neurotransfer.progress import bar

    with bar(f"check {path}", 0) as advance:
        cohort = read_cohort(
            path, space=space, desc=desc, mask=mask, alignment=alignment, targets=targets, on_scan=advance
        )
    say(cohort.notes)
    return cohort


def say(notes: Iterable[str]) -> None:
    """Print notes to standard error."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def given(context: typer.Context, names: Iterable[str] | None = None) -> list[str]:
    """The options, as they are written, that were on the command line; of these names when they are given."""
    names = context.params if names is None else names
    return [
        "--" + name.replace("_", "-")
        for name in names
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]


@contextmanager
def heard(several: bool) -> Iterator[None]:
    """Of several processes that run one command let only the first speak; errors are told by all."""
    ranks = [os.environ[name] for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ]
    if not several or ranks[:1] in ([], ["0"]):
        yield
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def use_engine(device: str, precision: str, threads: int = 0) -> Any:
    """Use an engine in this process, say in one line what was chosen, and give it."""
    from neurotransfer.training import Engine, use

    engine = Engine(device=device, precision=precision, threads=threads)
    say([f"engine: {use(engine)}"])
    return engine
