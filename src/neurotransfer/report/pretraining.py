"""The page of a model folder: what the model is, how it learnt, how good it is beside guessing, and whom it has seen."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurotransfer.cohort.preparation import identity_of
from neurotransfer.pages.model import Code, Facts, Item, Page, Row, Section, Table, Text
from neurotransfer.report.model_figures import (
    ages_figure,
    best_epochs,
    loss_figure,
    real_figure,
    record_figures,
    score_figure,
)
from neurotransfer.report.model_folder import ModelFolder, is_model, read_model
from neurotransfer.report.model_words import (
    CONVERTED,
    cohorts_of,
    command_of,
    epoch_words,
    headline_of,
    input_facts,
    is_simulated,
    origin_words,
    real_words,
    score_words,
    what_words,
)
from neurotransfer.report.record import plain
from neurotransfer.report.wording import number
from neurotransfer.statistics import SCORES
from neurotransfer.statistics.samples import FEW_PARTICIPANTS

MOST_SHOWN = 12
NO_HISTORY = (
    "This folder has no training.tsv: how its losses fell is not known. It is written by neurotransfer pretrain, and not shared "
    "with a model."
)
NO_RECORD = (
    "This folder has no training.json, so nothing is known here of single predictions. It is written by neurotransfer "
    "pretrain, and not shared with a model."
)


def recognises(path: Path) -> bool:
    """Whether a path is the folder of a model."""
    return is_model(path)


def page_of(path: Path) -> Page:
    """The page of a model folder; its weights are not loaded.

    Raises:
        InputError: when its card or the record of its training cannot be used.
    """
    folder = read_model(path)
    return Page(
        title=f"Model {folder.card['name']}",
        found=[what_words(folder), origin_words(folder), *score_words(folder), *real_words(folder)],
        sections=[
            Section("input", "What it takes and gives", _contract(folder)),
            Section("learning", "How it learnt", _learning(folder)),
            *_targets(folder),
            Section("people", "Whom it has seen", _people(folder)),
            Section("licence", "Licence and citation", _licence(folder)),
            Section("again", "To do it again", _again(folder)),
        ],
        cautions=_cautions(folder),
    )


def _cautions(folder: ModelFolder) -> list[str]:
    notes = [str(note) for note in _list(folder.provenance.get("notes"))]
    n = folder.record.get("Participants")
    if folder.judged and not is_simulated(folder):
        notes.append("The people of these scores chose the epoch, so scores of others will be a little lower.")
        if isinstance(n, int) and n < FEW_PARTICIPANTS:
            notes.append(f"Scores of {n} people are rough: look at their intervals.")
    if folder.judged and is_simulated(folder):
        notes.append("Scores are of simulated heads; they say nothing of how well real people are predicted.")
    if not folder.has_reference:
        notes.append("It has no reference of what it learnt from, so that scans unlike those are not recognised.")
    return notes


def _list(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (list, tuple)) else []


def _contract(folder: ModelFolder) -> list[Item]:
    rows = [
        [target.name, target.kind, target.unit or ", ".join(target.classes) or "–",
         f"{target.location:.4g} ± {target.scale:.4g}" if target.kind == "continuous" and target.reading == "value" else "–"]
        for target in folder.targets
    ]  # fmt: skip
    preparation = folder.card.get("preparation") or {}
    known = identity_of(preparation) if isinstance(preparation, dict) and "Recipe" in preparation else ""
    facts = [
        *input_facts(folder),
        ("prepared by recipe", known or "not known"),
        ("architecture", str(folder.card["architecture"])),
    ]
    arguments = folder.card.get("arguments") or {}
    facts += [(str(key), plain(value)) for key, value in arguments.items()] if isinstance(arguments, dict) else []
    headings = ["target", "kind", "unit or classes", "mean ± deviation in training"]
    return [Facts(facts), Table("targets", "What it predicts", headings, rows)]


def _learning(folder: ModelFolder) -> list[Item]:
    if folder.history is None:
        words = (
            "It was converted, not trained here: its losses are not known."
            if folder.card.get("strategy") == CONVERTED
            else NO_HISTORY
        )
        return [Text(words), *_kept_scores(folder)]
    figures = [
        figure for figure in (loss_figure(folder), score_figure(folder), real_figure(folder)) if figure is not None
    ]
    return [Text(epoch_words(best_epochs(folder), folder)), Row(figures), *_kept_scores(folder)]


def _kept_scores(folder: ModelFolder) -> list[Item]:
    """The scores of the card, where there is no record that says more."""
    found = folder.provenance.get("validation") or folder.provenance.get("validation_scores")
    if folder.judged or not isinstance(found, dict) or not found:
        return []
    shown = [
        (str(key).replace("_", " "), plain(value)) for key, value in found.items() if isinstance(value, (int, float))
    ]
    return [Text("What its card says of validation:"), Facts(shown[: 4 * MOST_SHOWN])]


def _targets(folder: ModelFolder) -> list[Section]:
    if not folder.judged:
        return (
            []
            if folder.card.get("strategy") == CONVERTED
            else [Section("validation", "How good it is", [Text(NO_RECORD)])]
        )
    items: list[Item] = [_score_table(folder)]
    for name in list(folder.judged)[:MOST_SHOWN]:
        figures = record_figures(folder, name)
        items.append(Row(figures) if figures else Text(f"{name}: of so few people no curves are kept.", "quiet"))
    if len(folder.judged) > MOST_SHOWN:
        items.append(Text(f"Curves of the first {MOST_SHOWN} of {len(folder.judged)} targets are shown.", "quiet"))
    return [Section("validation", "How good it is on those who chose its epoch", items)]


def _score_table(folder: ModelFolder) -> Table:
    rows = []
    for name, kept in folder.judged.items():
        first = headline_of(kept)
        for score in sorted(kept["Scores"], key=lambda each: each != first):
            label = SCORES[score].label if score in SCORES else score
            unit = f" ({kept['Unit']})" if score == "mae" and kept.get("Unit") else ""
            ends = kept.get("Intervals", {}).get(score)
            rows.append(
                [name, f"{label}{unit}", number(kept["Scores"][score]), f"{number(ends[0])} to {number(ends[1])}" if ends else "–",
                 _guess(kept, score), str(kept.get("Images", "–"))]
            )  # fmt: skip
    caption = "Scores on validation, with 95 % intervals over people, and what one answer for everybody would give"
    return Table(
        "validation-scores",
        caption,
        ["target", "score", "value", "95 % interval", "guess", "scans"],
        rows,
        (2, 3, 4, 5),
    )


def _guess(kept: Mapping[str, Any], score: str) -> str:
    found = kept.get("Guess", {}).get(score)
    if found is None and score in SCORES:
        found = SCORES[score].chance_level(len(kept.get("Classes", ())))
    return "–" if found is None else number(float(found))


def _people(folder: ModelFolder) -> list[Item]:
    n = len(_list(folder.card.get("people")))
    rows = [
        [
            str(each.get("name", "?")),
            str(each.get("n_images", "–")),
            str(each.get("n_participants", "–")),
            str(each.get("alignment", "–")),
        ]
        for each in cohorts_of(folder)
    ]
    items: list[Item] = (
        [Table("cohorts", "Cohorts", ["cohort", "scans", "people", "laid by"], rows, (1, 2))] if rows else []
    )
    figure = ages_figure(folder)
    items += [figure] if figure is not None else []
    known = (
        f"{n} people are kept in the card as salted hashes, so that neurotransfer benchmark and predict find out whom of yours "
        "it has seen."
        if n
        else f"No list of people is kept ({plain(folder.provenance.get('people', 'whether it has seen yours cannot be found out'))})."
    )
    reference = (
        "What its scans were like is kept (reference.safetensors): neurotransfer predict says how far yours are from them."
        if folder.has_reference
        else "What its scans were like is not kept."
    )
    return [*items, Text(known), Text(reference)]


def _licence(folder: ModelFolder) -> list[Item]:
    facts = [
        ("licence", str(folder.card.get("licence") or "unstated")),
        ("please cite", str(folder.card.get("citation") or "not stated")),
    ]
    page = folder.provenance.get("page")
    return [Facts([*facts, *([("release", str(page))] if page else [])])]


def _again(folder: ModelFolder) -> list[Item]:
    facts, shown_apart = (
        folder.provenance,
        ("versions", "study", "recipe", "validation", "validation_scores", "from_provenance", "notes"),
    )
    versions = facts.get("versions") if isinstance(facts.get("versions"), dict) else {}
    recipe = facts.get("recipe") if isinstance(facts.get("recipe"), dict) else {}
    others = [
        (str(key).replace("_", " "), plain(value))
        for key, value in facts.items()
        if key not in (*shown_apart, "cohorts")
    ]
    items: list[Item] = [
        Text("Names in capitals stand for your files, whose places are not kept in a model."),
        Code(command_of(folder)),
        Facts(others),
    ]
    items += (
        [Facts([(str(key), plain(value)) for key, value in recipe.items()], folded="How it was trained")]
        if recipe
        else []
    )
    if is_simulated(folder):
        items.append(Code(json.dumps(facts["study"], indent=2, ensure_ascii=False), folded="The study"))
    return [
        *items,
        Facts([(str(name), str(version)) for name, version in dict(versions or {}).items()], folded="Versions"),
    ]
