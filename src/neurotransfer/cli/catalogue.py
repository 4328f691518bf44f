"""Commands that look at models: models list, show, check."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from neurotransfer.cli.options import Alignment, Desc, Mask, ModelFolder, Space, models_app, say
from neurotransfer.errors import CohortError, ModelError

MOST_LISTED, MOST_TEXT = 12, 90


@models_app.command("list")
def list_models(
    folder: Annotated[Path | None, typer.Argument(help="Look for model folders in here, too.")] = None,
) -> None:
    """What there is: models that come along, those in a folder, published ones to convert, and architectures."""
    from neurotransfer.models.folder import SHIPPED
    from neurotransfer.models.network import ENCODERS
    from neurotransfer.models.published import RELEASES

    found = [] if folder is None else sorted(path.parent for path in folder.rglob("model.json"))
    models = [(str(name), *_line_of(name)) for name in [*map(Path, SHIPPED), *found]]
    _print_table("models", ("name", "architecture", "takes", "predicts"), models)
    releases = [(kind, release.licence, release.title) for kind, release in RELEASES.items()]
    _print_table(
        "published: `models download KIND`, then `models convert FILE --as KIND`", ("kind", "licence", "what"), releases
    )
    _print_table("architectures for pretrain", ("name",), [(name,) for name in ENCODERS])


@models_app.command()
def show(
    model: ModelFolder,
    as_json: Annotated[bool, typer.Option("--json", help="The whole card as JSON.")] = False,
) -> None:
    """The card of a model: what it predicts, what it takes, where it comes from, licence and citation."""
    from neurotransfer.models.card import card_to_json
    from neurotransfer.models.folder import read_card
    from neurotransfer.models.readme import readme_of

    card = read_card(model)
    if as_json:
        print(json.dumps(card_to_json(card), indent=2))
        return
    # the front matter is for hubs
    print(readme_of(card).split("---\n", 2)[2].strip())


@models_app.command()
def check(
    model: ModelFolder,
    scans: Annotated[Path | None, typer.Option(help="Scans to hold against what the model takes and knows.")] = None,
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    alignment: Alignment = "world",
) -> None:
    """Whether a model folder is whole; with --scans, whether those scans are what the model takes and knows."""
    from neurotransfer.models.folder import inspected

    found, report = inspected(model)
    card = found.card
    print(f"{card.name}: the card is valid, the weights are whole ({report.text}), all checksums agree")
    known = f"{len(card.people)} people and {len(card.images)} images" if card.people else "nobody by name"
    say([f"it knows {known} of its training" + ("" if found.reference else "; it keeps no numbers of their scans")])
    if scans is not None:
        _check_scans(found, scans, alignment, {"space": space, "desc": desc, "mask": mask})


def _check_scans(model: Any, scans: Path, alignment: str, choice: dict[str, Any]) -> None:
    from neurotransfer.cohort.contract import alignment_for
    from neurotransfer.models.overlap import seen_rows
    from neurotransfer.predict import predicted, read_scans
    from neurotransfer.progress import bar

    taken = model.card.input
    cohort = read_scans(scans, images=taken is not None, alignment=alignment_for(taken, alignment), **choice)
    say(cohort.notes)
    with bar("scans", len(cohort)) as advance:
        found = predicted(model, cohort, on_scan=advance)
    seen = sorted(set(cohort.participants[seen_rows(model.card, cohort)]))
    say([f"{len(seen)} of these people were in the training of the model: {_some(seen)}"] if seen else [])
    if "contract" in found.table:
        outside = found.table.loc[found.table["contract"] == "kept, but outside", "participant_id"].astype(str)
        say([f"outside: {_some(list(outside))}"] if len(outside) else [])
    if found.refused:
        raise CohortError(scans, [f"{scan}: {why}" for scan, why in found.refused], "the model takes no such scans")
    print(
        f"all {len(cohort)} scans keep the input contract; {found.drift.text if found.drift else 'they are columns of a table'}"
    )


def _line_of(folder: Path) -> tuple[str, str, str]:
    from neurotransfer.models.folder import read_card

    try:
        return _line(read_card(folder))
    except ModelError as error:
        return "cannot be read", " ".join(str(error).split())[:MOST_TEXT], ""


def _line(card: Any) -> tuple[str, str, str]:
    from neurotransfer.cohort.contract import described

    names = [target.name for target in card.targets]
    return card.architecture, described(card.input), _some(names, 4)


def _some(names: Sequence[str], most: int = MOST_LISTED) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _print_table(title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*names, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    # what is read by another program is not cut to the width of a screen
    console = Console()
    Console(width=None if console.is_terminal else 240, soft_wrap=not console.is_terminal).print(table, markup=False)
    print()
