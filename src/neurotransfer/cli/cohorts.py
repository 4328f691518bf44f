"""Commands that make cohorts: demo and simulate."""

from pathlib import Path
from typing import Annotated

import typer

from neurotransfer.cli.options import CORES, Seed, Workers, app, given, triple
from neurotransfer.errors import InputError


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
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="The folder to write: cohort.tsv, heads/, truth.tsv, truth.json.")],
    participants: Annotated[int, typer.Option(help="How many people.")],
    shape: Annotated[str, typer.Option(help="Voxels of a head.")] = "40,48,40",
    seed: Seed = 0,
    effect: Annotated[float, typer.Option(help="Strength of every planted effect; 0: images know nothing.")] = 1.0,
    sites: Annotated[int, typer.Option(help="How many scanners; with --variety 0: each head its own.")] = 3,
    missing: Annotated[float, typer.Option(help="Share of targets that are missing.")] = 0.1,
    variety: Annotated[
        str,
        typer.Option(
            help="Heads as networks are pretrained on, ages 3 to 97, with regional truth: t1w, any-contrast, whole-head "
            "(skull and scalp) or plain. Not given: adults with planted effects, for trying a study."
        ),
    ] = "",
) -> None:
    """Write simulated heads with a known truth."""
    from neurotransfer.progress import bar

    if variety:
        from neurotransfer.simulate.varied import simulate_varied

        refused = given(context, ("effect", "missing"))
        if refused:
            raise InputError(f"{', '.join(refused)}: heads with --variety follow published effects and lack nothing")
        with bar("heads", participants) as advance:
            table = simulate_varied(out, participants, variety=variety, shape=triple(shape), seed=seed,
                                    sites=sites if given(context, ("sites",)) else 0, on_scan=advance)  # fmt: skip
    else:
        from neurotransfer.simulate import simulate as run_simulate

        with bar("heads", 0) as advance:
            table = run_simulate(out, participants, shape=triple(shape), seed=seed, effect=effect, sites=sites,
                                 missing=missing, on_scan=advance)  # fmt: skip
    print(f"The cohort lies in {table}, its truth in {out / 'truth.json'}")
