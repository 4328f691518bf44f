"""Commands on studies: benchmark and report."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from neurotransfer.cli.options import CORES, Workers, app, say
from neurotransfer.errors import InputError


class _StudyFirst(TyperGroup):
    """A group whose own command is `run`: whatever does not begin with the name of another one is a call of it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` before arguments that name no command."""
        return super().parse_args(ctx, args if args[:1] and args[0] in self.commands else ["run", *args])


benchmark_app = typer.Typer(cls=_StudyFirst, help="Learning curves of every strategy of a study.")
app.add_typer(benchmark_app, name="benchmark")


@benchmark_app.command("run")
def benchmark(
    study: Annotated[Path, typer.Argument(help="A study file such as studies/demo.toml.")],
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/NAME when not given.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="The folder that cohort paths are relative to; that of the study when not given."),
    ] = None,
    workers: Workers = CORES,
    cluster: Annotated[
        str,
        typer.Option(
            help="Dask does the fits: slurm, lsf, pbs, sge, a file of settings (cluster.toml), the address or file of a "
            "scheduler, or local."
        ),
    ] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Insist that the run exists; it goes on anyway.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try the cells again that failed, and those of which a fit failed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan and what it will take, write nothing.")
    ] = False,
) -> None:
    """Learning curves of every strategy of a study; interrupt it as you like and run it again to go on.

    How far a run is, from any terminal: neurotransfer benchmark status RUN. What other choices among the settings would have
    given: neurotransfer benchmark rules RUN.
    """
    from neurotransfer.benchmark import benchmark as run_benchmark
    from neurotransfer.benchmark.forecast_words import lines_of, warnings_of
    from neurotransfer.progress import bar

    run = run_benchmark(study, out, data=data, workers=workers, cluster=cluster, resume=resume, retry_failed=retry_failed,
                        dry_run=dry_run, measure=dry_run, command=" ".join(["neurotransfer", *sys.argv[1:]]), progress=bar,
                        tell=lambda text: say([text]))  # fmt: skip
    say(run.plan.notes)
    if run.results is None:
        print(
            f"{len(run.plan.targets)} tasks, {len(run.plan.cells)} cells, {run.plan.n_fits} fits; would write {run.folder}"
        )
        if run.forecast is not None:
            print("\n".join(lines_of(run.forecast, cluster, len(run.plan.cells))))
            say(warnings_of(run.forecast, cluster))
        return
    failed = int(run.results["error"].notna().sum())
    if failed:
        print(f"note: {failed} of {len(run.results)} fits failed; their errors stand in the results", file=sys.stderr)
    if failed == len(run.results):
        raise InputError(f"every fit failed; the first one: {run.results['error'].iloc[0]}")
    print(f"{len(run.results)} fits lie in {run.folder / 'results.parquet'}; next: neurotransfer report {run.folder}")
    if run.failures:
        print(
            f"error: {len(run.failures)} of {len(run.plan.cells)} cells could not be done; they stand in "
            f"{run.folder / 'failed.json'}. To try them again: the same command with --retry-failed",
            file=sys.stderr,
        )
        raise typer.Exit(1)


@benchmark_app.command()
def status(run: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """How far a run is, and what failed; from any terminal, while it goes on or later."""
    from neurotransfer.benchmark.status import status as status_of

    print(status_of(run))


@benchmark_app.command()
def rules(
    run: Annotated[Path, typer.Argument(help='A run folder whose study has [protocol] keep = "all".')],
    out: Annotated[
        Path | None, typer.Option(help="A table to write with a row a cell and rule: .tsv, .csv or .parquet.")
    ] = None,
) -> None:
    """What another choice among the settings, or an ensemble of them, would have given; nothing is fitted."""
    from neurotransfer.artifacts import read_json, require_no_file, table_suffix, write_table
    from neurotransfer.benchmark.rules import RULES, apply_rules, compare_rules

    if out is not None:
        table_suffix(out)
        require_no_file(out)
    table = apply_rules(run)
    tasks = {name: task["score"] for name, task in read_json(run / "study.json")["tasks"].items()}
    for name, rule in RULES.items():
        print(f"{name}: {rule.description}")
    for (task, strategy), rows in compare_rules(table, tasks).groupby(["task", "strategy"], sort=False):
        print(
            f"\n{task}, {strategy}: mean {rows['score'].iloc[0]} on test, and its difference from rule score ± 1.96 SEM"
        )
        for row in rows.itertuples():
            change = "" if row.rule == "score" else f"  {row.difference:+.4f} ± {(row.high - row.low) / 2:.4f}"
            print(f"  n = {row.n:<6} {row.rule:12} {row.mean:.4f}{change}")
    if out is not None:
        write_table(out, table)
        print(f"\nThe scores of every cell lie in {out}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder, or anything else that a report can be made of.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The page to write; report.html in the folder, or beside a table, when not given."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            help="A folder for every figure as SVG, PDF and PNG, one a combination of choices, and its numbers as CSV."
        ),
    ] = None,
    published: Annotated[
        list[str] | None, typer.Option(help="TASK=CURVE: lay the talk's published curve over a task; may be repeated.")
    ] = None,
) -> None:
    """Write one self-contained page: what was found, and the figures and numbers that it rests on."""
    from neurotransfer.report import report as run_report

    page = run_report(run, out, published=_overlays(published or []), figures=figures)
    print(f"The page lies in {page}")
    if figures is not None:
        print(f"The figures lie in {figures}")


def _overlays(texts: list[str]) -> dict[str, str]:
    wrong = [text for text in texts if text.count("=") != 1]
    if wrong:
        raise InputError(f"--published takes TASK=CURVE, got {', '.join(wrong)}")
    return dict(text.split("=") for text in texts)
