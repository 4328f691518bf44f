"""The command prepare."""

from pathlib import Path
from typing import Annotated

import typer

from neurotransfer.cli.options import CORES, Desc, Mask, Space, app, names, say
from neurotransfer.errors import NeurotransferError

SHOWN = 20


@app.command()
def prepare(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A scan, a folder of scans, a BIDS dataset, a table of scans, a DICOM folder, a FreeSurfer or FastSurfer folder.",
        ),
    ],
    out: Annotated[Path, typer.Argument(help="The folder to write; run the same command again to go on.")],
    recipe: Annotated[str, typer.Option(help="template, fastsurfer, freesurfer-fsl or sfcn-ukb.")] = "template",
    voxel_size: Annotated[float | None, typer.Option(help="1 or 2 mm, of recipe template; 2 when not given.")] = None,
    workers: Annotated[
        int, typer.Option(help="Processes, up to 2 GiB of memory each; the volumes do not depend on it.", min=1)
    ] = CORES,
    columns: Annotated[
        str, typer.Option(help="Columns to take along into cohort.tsv, e.g. age,sex; no others leave the input.")
    ] = "",
    declare: Annotated[
        str,
        typer.Option(
            help="What all scans are already: stripped (no skull), registered (to MNI152), unbiased, conformed, normalised. Most "
            "of it is recognised."
        ),
    ] = "",
    atlas: Annotated[Path | None, typer.Option(help="Labels in MNI152 for regional volumes.")] = None,
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    acquisition: Annotated[str, typer.Option(help="BIDS acq of the images to take; all when not given.")] = "",
    series: Annotated[
        int | None, typer.Option(help="Number of the DICOM series to take, of every participant.")
    ] = None,
    run: Annotated[str, typer.Option(help="BIDS run of the images to take; all when not given.")] = "",
) -> None:
    """Raw head scans to model-ready volumes, with quality, regional volumes and a page to look at."""
    from neurotransfer.prepare.inputs import Choice
    from neurotransfer.prepare.run import prepare as run_prepare
    from neurotransfer.progress import late_bar

    with late_bar("prepare") as (begin, advance):
        done = run_prepare(
            source, out, recipe=recipe, voxel_size_mm=voxel_size, workers=workers, declared=names(declare),
            columns=names(columns), atlas=atlas, choice=Choice(space, desc, mask, acquisition, run, series), on_found=begin,
            on_scan=advance,
        )  # fmt: skip
    say(done.remarks)
    print(
        f"{done.made} scans prepared, {done.kept} kept from before, {len(done.failed)} failed, {done.n_flagged} have a flag"
    )
    if done.made + done.kept:
        print(f"The cohort lies in {done.cohort}; look at {done.page}")
    if done.failed:
        lines = [f"  {scan}: {why}" for scan, why in done.failed[:SHOWN]]
        more = [f"  ... and {len(done.failed) - SHOWN} more"] if len(done.failed) > SHOWN else []
        raise NeurotransferError(
            "\n".join(
                [f"{len(done.failed)} scans could not be prepared (all are in {out / 'failed.tsv'}):", *lines, *more,
                 "mend or remove them and run the same command again: what was prepared is kept"]
            )
        )  # fmt: skip
