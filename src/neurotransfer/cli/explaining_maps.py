"""The command that shows what a network looks at: explain maps."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from neurotransfer.cli.explaining import explain_app
from neurotransfer.cli.options import (
    CORES,
    Alignment,
    Desc,
    Device,
    Mask,
    ModelFolder,
    Prepare,
    PreparedFolder,
    Scans,
    Seed,
    Space,
    Workers,
    use_engine,
)
from neurotransfer.cli.taking import ScansCall, taken
from neurotransfer.errors import CohortError, InterruptedRunError


@explain_app.command()
def maps(
    model: ModelFolder,
    scans: Scans,
    out: Annotated[Path, typer.Option(help="A new or empty folder; or one of the same call that was interrupted.")],
    target: Annotated[str, typer.Option(help="Of the model; its first one when not given.")] = "",
    label: Annotated[
        str, typer.Option("--class", help="Of a categorical target; the most probable one when not given.")
    ] = "",
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="lrp-gamma, gradient-x-input (these two when not given), lrp-epsilon, lrp-alpha1-beta0, ..., integrated-gradients, "
            "smoothgrad, occlusion; options as in occlusion:patch_mm=30,stride_mm=15. May be repeated."
        ),
    ] = None,
    group: Annotated[
        str, typer.Option(help="A column of the scans' table: averages by its values and their difference.")
    ] = "",
    most: Annotated[int, typer.Option(help="Scans at most, in turn from every group.", min=1)] = 20,
    checked: Annotated[int, typer.Option(help="Scans on which weights are randomised.", min=1)] = 3,
    label_check: Annotated[
        bool, typer.Option(help="Finetune on true and on shuffled labels and compare maps, where labels are known.")
    ] = True,
    label_epochs: Annotated[int, typer.Option(help="Epochs of that finetuning.", min=1)] = 10,
    seed: Seed = 0,
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    alignment: Alignment = "world",
    prepare: Prepare = "auto",
    prepared: PreparedFolder = None,
    workers: Workers = CORES,
    device: Device = "auto",
) -> None:
    """Maps of what a network looks at, as NIfTI in every scan's own space, with the checks that tell what they are worth.

    A page, report.html, shows all of it. Maps are computed in float32. What was interrupted goes on by the same command.
    """
    from neurotransfer.explain.maps import MapsAsked, explain_maps, require_asked
    from neurotransfer.explain.maps_folder import PAGE, PARTS, require_open
    from neurotransfer.explain.maps_page import write_page
    from neurotransfer.models import load_model
    from neurotransfer.progress import bar

    options: dict[str, Any] = {"methods": tuple(method)} if method else {}
    wanted = MapsAsked(target=target, label=label, group=group, most=most, checked=checked, label_check=label_check,
                       epochs=label_epochs, seed=seed, workers=workers, **options)  # fmt: skip
    require_open(out)
    network = load_model(model)
    # before hours of preparation
    require_asked(network, wanted)
    use_engine(device, "float32")
    command = " ".join(["neurotransfer", *sys.argv[1:]])
    place = prepared or out / PARTS / "prepared"
    call = ScansCall(
        scans=scans, choice={"space": space, "desc": desc, "mask": mask}, alignment=alignment, prepare=prepare,
        prepared=prepared, workers=workers, needed=(group,) if group else (),
    )  # fmt: skip
    try:
        own = [target.column for target in network.card.targets]
        cohort, ready = taken(call, network.card, place, [*call.needed, *own])
        with bar("maps", min(most, len(cohort))) as on_scan:
            made = explain_maps(
                network, cohort, out, wanted, source=scans, raw=() if ready is None else ready.images,
                facts={"command": command}, on_scan=on_scan,
                on_page=lambda found, looker, done, affine: write_page(found, looker, done, command, affine),
            )  # fmt: skip
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted; what was finished is kept in {str(out)!r}: run the same command again to go on"
        ) from None
    print(f"{made.table['stem'].nunique()} scans have maps below {out / 'maps'}; the page lies in {out / PAGE}")
    failed = [*(() if ready is None else ready.failed), *made.refused]
    if failed:
        raise CohortError(scans, [f"{scan}: {why}" for scan, why in failed], "these scans have no maps")
