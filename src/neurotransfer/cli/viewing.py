"""The command that shows scans in a browser: view."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neurotransfer.cli.options import app, say


@app.command()
def view(
    run: Annotated[
        Path,
        typer.Argument(
            help="What prepare, benchmark, predict or explain maps wrote, a table of scans, a BIDS dataset, a folder, a scan."
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(help="The folder that paths of images are relative to, as of benchmark.")
    ] = None,
    maps: Annotated[
        Path | None, typer.Option(help="A folder of explain maps: maps of relevance to lay over the scans.")
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(help="A table with more of the people (site, age, targets), joined by participant_id."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Keep thumbnails in this folder; RUN/.view when not given, and nothing beside data of your own."
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="To listen on; 0 for any that is free.", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in your browser.")] = True,
    for_seconds: Annotated[
        float | None, typer.Option(help="Close the page by itself after so many seconds; Ctrl-C closes it anyway.")
    ] = None,
) -> None:
    """Look at the scans of a run in a browser: flags, masks, maps of relevance, worst predictions first.

    The page is on this machine only, at an address that nobody can guess; nothing is changed and nothing leaves the machine.
    """
    from neurotransfer.view import view as run_view

    def ready(address: str, scans: Any) -> None:
        say(scans.notes)
        # in one piece, also where it is wider than the terminal, so that it can be copied
        print(f"{len(scans)} scans: {address}\nCtrl-C closes the page", flush=True)

    run_view(run, data=data, maps=maps, people=people, keep=keep, port=port, browser=browser, for_seconds=for_seconds,
             on_ready=ready)  # fmt: skip
