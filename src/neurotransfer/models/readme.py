"""The README of a model folder, made from its card, with the front matter that hubs of models read."""

import json
from collections.abc import Iterable

from neurotransfer.cohort.contract import Contract
from neurotransfer.cohort.preparation import identity_of
from neurotransfer.models.card import Card

TAGS = ("neuroimaging", "mri", "t1w", "transfer-learning")
# identifiers of SPDX that the front matter has, which are its own in lower case
LICENCES = (
    "apache-2.0",
    "mit",
    "bsd-3-clause",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
)
_SHOWN = 20


def readme_of(card: Card) -> str:
    """What a person has to know of a model, in Markdown; everything in it is from the card.

    Example:
        >>> from neurotransfer.cohort import Grid
        >>> readme_of(Card("mine", "sfcn", {}, (), Grid(), licence="MIT")).splitlines()[:3]
        ['---', 'license: "mit"', 'library_name: "neurotransfer"']
    """
    return "\n".join([*_front(card), "", f"# {_plain(card.name)}", "", *_parts(card)]) + "\n"


def _front(card: Card) -> list[str]:
    known = card.licence.lower() in LICENCES
    facts: dict[str, object] = {"license": card.licence.lower() if known else "other"}
    facts |= {} if known else {"license_name": card.licence}
    facts |= {"library_name": "neurotransfer", "tags": [*TAGS, card.architecture]}
    # JSON is YAML, and quotes whatever a name may hold, the line breaks of Unicode too
    return ["---", *(f"{key}: {json.dumps(value)}" for key, value in facts.items()), "---"]


def _parts(card: Card) -> Iterable[str]:
    title = "A model of table columns." if card.input is None else "A network for T1-weighted head scans."
    yield from (
        title,
        f"Made by strategy `{_plain(card.strategy)}`; architecture `{_plain(card.architecture)}`, {_arguments(card)}.",
        "",
    )
    yield from ("## What it predicts", "", "| target | kind | unit or classes |", "|---|---|---|")
    for target in card.targets[:_SHOWN]:
        said = target.unit or ", ".join(map(str, target.classes)) or "n/a"
        yield f"| {_cell(target.name)} | {target.kind} | {_cell(said)} |"
    if len(card.targets) > _SHOWN:
        yield f"| and {len(card.targets) - _SHOWN} more | | |"
    yield from ("", "## What it takes", "", *_input(card), "")
    yield from (
        "## How to use it",
        "",
        "```bash",
        "neurotransfer models check MODEL",
        "neurotransfer predict MODEL SCANS --out predictions.tsv",
        "```",
        "",
    )
    yield from ("Here `MODEL` is this folder. Scans that do not fit what it takes are refused.", "")
    yield from ("## Where it comes from", "", *_origin(card), "")
    yield from (
        "## Licence and citation",
        "",
        f"Licence: {_plain(card.licence)}.",
        f"Please cite: {_plain(card.citation) or 'not stated'}.",
        "",
    )
    yield from ("## Limits", "")
    yield "For research. It has not been tested for the diagnosis or care of anybody, and what it gives for scans unlike those that"
    yield "it learnt from is worth nothing."


def _arguments(card: Card) -> str:
    return (
        ", ".join(f"{_plain(str(key))} = {_plain(json.dumps(value))[:60]}" for key, value in card.arguments.items())
        or "its defaults"
    )


def _input(card: Card) -> list[str]:
    taken = card.input
    if taken is None:
        return [f"Columns of a table: {_plain(', '.join(map(str, card.arguments.get('columns', ()))))}."]
    shape = " x ".join(map(str, taken.shape))
    if isinstance(taken, Contract):
        sides = f"{taken.sides_mm[0]:g}" + (
            f" to {taken.sides_mm[1]:g}" if taken.sides_mm[0] < taken.sides_mm[1] else ""
        )
        return [
            f"Volumes as recipe `{taken.recipe}` leaves them: {shape} voxels of {sides} mm, {taken.orientation}, in "
            f"{taken.space} space, values {taken.values[0]:g} to {taken.values[1]:g}.",
            f"Make them with `neurotransfer prepare SCANS OUT --recipe {taken.recipe}`; `predict` does so by itself for raw scans.",
        ]
    skull = "without skull" if card.skull_stripped else "with skull"
    found = [f"Heads {skull}, laid on a grid of {shape} voxels of {taken.voxel_size_mm:g} mm in MNI152, values 0 to 1."]
    known = identity_of(card.preparation)
    return found + ([f"It knows scans that recipe `{known}` prepared."] if known else [])


def _origin(card: Card) -> list[str]:
    cohorts = card.provenance.get("cohorts", ())
    found = [
        f"- cohort `{_plain(str(each.get('name', '?')))}`, {_plain(str(each.get('n_images', '?')))} scans of "
        f"{_plain(str(each.get('n_participants', '?')))} people"
        for each in (cohorts if isinstance(cohorts, (list, tuple)) else ())
        if isinstance(each, dict)
    ]
    if card.people:
        found.append(
            f"- {len(card.people)} people, kept as salted hashes in `model.json`: an overlap with yours can be found"
        )
    else:
        found.append(f"- people: {_plain(str(card.provenance.get('people', 'no list of them')))}")
    page = card.provenance.get("page")
    return found + ([f"- converted from the release at {_plain(str(page))}"] if page else [])


def _plain(text: str) -> str:
    """Text that cannot become markup or lines of its own."""
    return " ".join(text.split()).replace("<", "&lt;").replace("`", "'")


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")
