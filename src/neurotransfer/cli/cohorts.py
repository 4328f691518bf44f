"""Commands that make cohorts: demo and simulate."""

from pathlib import Path
from typing import Annotated

import typer

from neurotransfer.cli.options import CORES, Seed, Workers, app, triple


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
        table = run_simulate(out, participants, shape=triple(shape), seed=seed, effect=effect, sites=sites,
                             missing=missing, on_scan=advance)  # fmt: skip
    print(f"The cohort lies in {table}, its truth in {out / 'truth.json'}")
