"""The command that says why curves do not behave: diagnose."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurotransfer.cli.options import CORES, Workers, app, names, say
from neurotransfer.errors import InputError

if TYPE_CHECKING:
    from neurotransfer.diagnose.sweep import Sweep


@app.command()
def diagnose(
    run: Annotated[
        str,
        typer.Argument(
            help="A run folder of benchmark; or a table of means (strategy, n, value, sem), or published:NAME for curves of the talk."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The page to write; diagnosis.html in the run folder when not given.")
    ] = None,
    experiments: Annotated[
        str,
        typer.Option(
            help="Runs of the study with one choice changed: names between commas, 'causes' for those that test a cause, 'all'."
        ),
    ] = "",
    strategies: Annotated[str, typer.Option(help="Labels between commas; all when not given.")] = "",
    sites: Annotated[str, typer.Option(help="The column of sites, for the experiments on them.")] = "",
    data: Annotated[
        Path | None, typer.Option(help="The folder that paths of the study are relative to, as of benchmark.")
    ] = None,
    replicates: Annotated[
        int, typer.Option(help="At most so many of the run's in an experiment; 0 for all, ten in a sweep.", min=0)
    ] = 0,
    reach: Annotated[
        float | None, typer.Option(help="Say how many scans a score needs, for example an AUC of 0.8.")
    ] = None,
    figures: Annotated[Path | None, typer.Option(help="A folder for every figure, as of report.")] = None,
    list_people: Annotated[
        bool,
        typer.Option(
            "--list-people",
            help="Write who has a doubtful label, or may be there twice, into doubtful-people.tsv; the page names nobody.",
        ),
    ] = False,
    representations: Annotated[
        bool,
        typer.Option(
            "--representations",
            help="Compute on the scans what the features of models hold of the linear model, and how finetuning moves their layers.",
        ),
    ] = False,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="Vary width, n and epochs of a network, with and without early stopping: is it double descent?",
        ),
    ] = False,
    widths: Annotated[
        str, typer.Option(help="Of a sweep, between commas: units, or multiples of the study's network.")
    ] = "",
    epochs: Annotated[str, typer.Option(help="Of a sweep, between commas; the study's and four times as many.")] = "",
    sizes: Annotated[
        str, typer.Option(help="Of a sweep, n between commas; smallest, middle and largest of the run.")
    ] = "",
    label_noise: Annotated[
        str, typer.Option(help="Of a sweep, shares of people with a wrong label; the study's and 0.2 more.")
    ] = "",
    workers: Workers = CORES,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what experiments, sweep and representations will take; nothing is done."),
    ] = False,
) -> None:
    """Why the curves of a run behave as they do: luck, double descent, the data, the model, the procedure.

    Without --experiments from the tables of the run alone, in seconds; the page says which experiments would tell more.
    """
    from neurotransfer.diagnose.run import diagnose as run_diagnose
    from neurotransfer.diagnose.swept import forecast_sweep
    from neurotransfer.diagnose.trials import Asked, forecast_of, names_of
    from neurotransfer.progress import bar

    if dry_run and not (experiments or sweep or representations):
        raise InputError(
            "--dry-run says what experiments will take; give --experiments too, for example causes, or --sweep, or --representations"
        )
    asked = Asked((), tuple(names(strategies)), sites, data, workers, replicates)
    if experiments:
        asked = replace(asked, names=names_of(names(experiments), Path(run), asked))
    asked = replace(asked, sweep=_sweep(sweep, widths, epochs, sizes, label_noise))
    if dry_run:
        if experiments or sweep:
            planned = forecast_of(Path(run), asked, bar) if experiments else {}
            _say_forecast(planned | (forecast_sweep(Path(run), asked, bar) if sweep else {}))
        if representations:
            _say_representations(Path(run), asked.strategies)
        return
    path, analyses = run_diagnose(
        run,
        out,
        asked=asked,
        reach=reach,
        figures=figures,
        list_people=list_people,
        representations=representations,
        progress=bar,
        tell=lambda text: say([text]),
    )
    for each in analyses:
        causes = ", ".join(finding.cause for finding in each.verdict.named) or "none"
        print(f"{each.case.task.name}, {each.case.strategy}: {each.verdict.anomaly.kind}; named: {causes}")
    print(f"The page lies in {path}")


def _sweep(is_asked: bool, widths: str, epochs: str, sizes: str, label_noise: str) -> "Sweep | None":
    """What a sweep varies; None where none is asked for."""
    from neurotransfer.diagnose.sweep import Sweep

    texts = {"widths": widths, "epochs": epochs, "sizes": sizes, "label_noise": label_noise}
    given = {name: tuple(_numbers(name, text)) for name, text in texts.items() if text}
    if not is_asked and given:
        raise InputError(f"--{next(iter(given)).replace('_', '-')} goes with --sweep; add it, or leave it out")
    return Sweep(**given) if is_asked else None  # type: ignore[arg-type]


def _numbers(name: str, text: str) -> list[int | float]:
    try:
        return [int(part) if part.isdecimal() else float(part) for part in names(text)]
    except ValueError:
        option = name.replace("_", "-")
        raise InputError(f"--{option} is numbers between commas, for example 4,16,64, got {text!r}") from None


def _say_forecast(found: Mapping[str, Any]) -> None:
    from neurotransfer.benchmark.pace import in_words

    for name, forecast in found.items():
        print(
            f"{name}: {forecast.fits} fits, about {in_words(forecast.total.best)} (at most {in_words(forecast.total.most)})"
        )
    total = sum(forecast.total.best for forecast in found.values())
    print(f"all of them about {in_words(total)}; finished ones are not done again")


def _say_representations(run: Path, strategies: tuple[str, ...]) -> None:
    from neurotransfer.benchmark.pace import in_words
    from neurotransfer.diagnose.case import cases_of
    from neurotransfer.diagnose.representations import cells_of, seconds_of
    from neurotransfer.report.folder import read_run

    cases = cases_of(read_run(run), strategies)
    seconds = in_words(seconds_of(cases))
    print(
        f"representations: {len(cells_of(cases))} fits, about {seconds} by the times of the run, and the features of every scan once"
    )
