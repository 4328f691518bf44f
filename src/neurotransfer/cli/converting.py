"""The command that makes models of published weights: models convert."""

from pathlib import Path
from typing import Annotated

import typer

from neurotransfer.cli.options import models_app, say


@models_app.command()
def convert(
    file: Annotated[
        Path,
        typer.Argument(help="What was published: .h5, .p, or the .index of a checkpoint with its .data-... beside it."),
    ],
    kind: Annotated[str, typer.Option("--as", help="Which release it is, multi-2025 for example; see `models list`.")],
    out: Annotated[Path, typer.Option(help="The model folder to write.")],
) -> None:
    """Make a model folder of weights that others have published; it gives the numbers that their own network gives."""
    from neurotransfer.models.conversions import get_conversion
    from neurotransfer.models.convert import converted
    from neurotransfer.models.folder import new_folder, save_model

    row = get_conversion(kind)
    with new_folder(out):
        made = converted(file, kind)
        save_model(out, made.model)
    card = made.model.card
    say([f"tensors: {made.report.text}"])
    say([f"not part of the network, left out: {', '.join(made.ignored)}"] if made.ignored else [])
    say(card.provenance["notes"])
    sums = ", ".join(f"{each['name']} {each['sha256']}" for each in card.provenance["files"])
    if made.is_published is None:
        say([f"no checksum of this release is known; SHA-256: {sums}"])
    elif not made.is_published:
        say([f"not the file that was published, by its checksum, though it fits; SHA-256: {sums}"])
    say([f"licence {card.licence}; please cite {card.citation}"])
    print(f"{kind}, from {card.provenance['page']}, lies in {out}")
    say(
        [
            f"next: neurotransfer prepare SCANS PREPARED --recipe {row.recipe}, then neurotransfer predict {out} PREPARED "
            "--out predictions.tsv (in float32; bfloat16 would round away what it shares with the original)"
        ]
    )
