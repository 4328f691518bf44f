"""The page of a prepared cohort: who was prepared, who failed and why, and whether the scans are good and alike."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.artifacts import read_json
from neurotransfer.cohort.preparation import DESCRIPTION, identity_of
from neurotransfer.pages.model import Code, Facts, Item, Page, Row, Section, Table, Text
from neurotransfer.report.people import pyramid_figure, pyramid_table
from neurotransfer.report.prepared_folder import PreparedFolder, is_prepared, read_prepared
from neurotransfer.report.quality_figures import (
    label_of,
    measure_figures,
    pair_figure,
    site_figure,
    tissue_figure,
    words_of,
)
from neurotransfer.report.quality_tables import flag_table, site_effects, site_table, tissue_table
from neurotransfer.report.rows import groups_of, numbers, texts
from neurotransfer.report.wording import number, p_equals, probability
from neurotransfer.statistics import sample_notes
from neurotransfer.statistics.permutation import ALPHA

PAGE = "quality.html"
WORST = 20
NO_COLUMNS = "run neurotransfer prepare again with --columns age,sex,site, as far as your table has them, to see them"
_SHOWN_WIDTH = 300


def recognises(path: Path) -> bool:
    """Whether a path is a folder that `prepare` wrote."""
    return is_prepared(path)


def page_of(path: Path) -> Page:
    """The page of a folder that `prepare` wrote.

    Raises:
        InputError: when the folder or its tables cannot be used.
    """
    folder = read_prepared(path)
    sites = groups_of(folder.scans, "site")
    effects = site_effects(folder.scans, folder.measures, "site") if "site" in folder.scans else pd.DataFrame()
    tissue = tissue_table(folder.scans, folder.tissues)
    return Page(
        title=f"Prepared scans: {path.resolve().name}",
        lead=f"Made model-ready by recipe {identity_of(folder.recipe)}.",
        found=[_made(folder), *_people(folder), *_site_words(effects), *_tissue_words(tissue)],
        sections=[
            Section("people", "Who was prepared", _who(folder)),
            Section("outcome", "What to look at", _outcome(folder)),
            *_quality(folder, sites, effects),
            *_tissue(folder, tissue),
            Section("again", "To do it again", _again(folder)),
        ],
        cautions=_cautions(folder),
        banner=""
        if folder.facts is not None
        else "This preparation has not come to its end: what is shown is from before.",
    )


def _made(folder: PreparedFolder) -> str:
    n, failed = len(folder.scans), len(folder.failed)
    flagged = int((texts(folder.scans, "flags", "") != "").sum())
    people = folder.scans["participant_id"].nunique()
    said = f"{n} of {n + failed} scans were prepared, of {people} {'person' if people == 1 else 'people'}"
    said += f"; {failed} could not be." if failed else "."
    if not n:
        return said + " There is nothing to learn from here before the input is mended."
    kinds = flag_table(folder.scans)
    if not flagged:
        return said + " No scan has a flag."
    most = kinds.iloc[0]
    often = f" The most frequent: {most['flag']} ({most['scans']})." if len(kinds) > 1 else f" It is: {most['flag']}."
    return f"{said} {flagged} ({100 * flagged / n:.0f} %) {'has' if flagged == 1 else 'have'} a flag and should be looked at.{often}"


def _people(folder: PreparedFolder) -> list[str]:
    people = folder.cohort.drop_duplicates("participant_id")
    age = numbers(people, "age")
    known = age[np.isfinite(age)]
    words = []
    if len(known):
        words.append(f"They are {known.min():.0f} to {known.max():.0f} years old (median {np.median(known):.0f})")
    if "sex" in people and people["sex"].notna().any():
        counts = people["sex"].value_counts().sort_index()
        words.append("by sex " + ", ".join(f"{label}: {count}" for label, count in counts.items()))
    if "site" in people and people["site"].nunique() > 1:
        words.append(f"from {people['site'].nunique()} sites")
    joined = "; ".join(words)
    return [f"{joined[0].upper()}{joined[1:]}."] if words else []


def _site_words(effects: pd.DataFrame) -> list[str]:
    if not len(effects):
        return []
    sure = effects[effects["p_holm"] < ALPHA]
    if not len(sure):
        return [
            f"No measure of quality differs surely between sites ({len(effects)} tested, each p over {ALPHA:g} after Holm)."
        ]
    most = sure.iloc[0]
    return [
        f"{len(sure)} of {len(effects)} measures of quality differ between sites; most of all the {words_of(most['measure'])}, "
        f"of whose variation the site says {100 * most['effect']:.0f} % "
        f"({p_equals(most['p_holm'])} after Holm, {most['people']} people). "
        "A network can learn the scanner instead of the person: see that your groups are not spread unevenly over sites."
    ]


def _tissue_words(tissue: pd.DataFrame) -> list[str]:
    grey = tissue[tissue["tissue"].isin(["grey matter", "grey_share"])]
    if not len(grey):
        return []
    row = grey.iloc[0]
    sure = "falls surely" if row["high"] < 0 else "rises surely" if row["low"] > 0 else "neither falls nor rises surely"
    return [
        f"As a check that volumes mean something: {words_of(row['tissue'])} {sure} with age here, r = {number(row['r'], 2)} (95 % "
        f"interval {number(row['low'], 2)} to {number(row['high'], 2)}, {row['people']} people); in adults it falls."
    ]


def _cautions(folder: PreparedFolder) -> list[str]:
    notes = []
    people = folder.cohort.drop_duplicates("participant_id")
    for name, kind in (("age", "continuous"), ("sex", "categorical")):
        if name in people:
            notes += sample_notes(name, people[name], kind)
    approximate = int((texts(folder.scans, "approximation", "") != "").sum())
    if approximate:
        why = texts(folder.scans, "approximation", "").loc[lambda said: said != ""].iloc[0]
        notes.append(f"{approximate} of {len(folder.scans)} scans are an approximation of the recipe ({why}).")
    if 0 < len(folder.scans) < 10:
        notes.append(
            "With fewer than 10 scans none is unusual among the others: only limits that hold for any head were looked at."
        )
    return notes


def _who(folder: PreparedFolder) -> list[Item]:
    table = pyramid_table(folder.scans)
    absent = [name for name in ("age", "sex", "site") if name not in folder.taken]
    note = [Text(f"{', '.join(absent)} did not come along: {NO_COLUMNS}.", "quiet")] if absent else []
    if not len(table):
        return [Text("Age or sex is not known, so their distribution is not shown."), *note]
    left_out = len(folder.scans) - int(table["scans"].sum())
    more = [Text(f"{left_out} scans without a known age or sex are not shown.", "quiet")] if left_out else []
    return [pyramid_figure(table), *more, *note]


def _outcome(folder: PreparedFolder) -> list[Item]:
    items: list[Item] = []
    if len(folder.failed):
        rows = [[row["scan"] or "", row["reason"] or ""] for row in folder.failed.to_dict("records")]
        items.append(
            Table(
                "failed",
                f"{len(rows)} scan{'s' * (len(rows) != 1)} that could not be prepared, and why",
                ["scan", "reason"],
                rows,
            )
        )
    kinds = flag_table(folder.scans)
    if len(kinds):
        rows = [[row["flag"], str(row["scans"])] for row in kinds.to_dict("records")]
        items.append(Table("flags", "What was flagged", ["flag", "scans"], rows, numeric=(1,)))
        flagged = folder.scans[texts(folder.scans, "flags", "") != ""].head(WORST)
        worst = [[str(row["scan"]), str(row["flags"])] for row in flagged.to_dict("records")]
        items.append(
            Table(
                "worst", "The worst scans" if len(worst) > 1 else "The worst scan", ["scan", "what to look at"], worst
            )
        )
    items = items or [Text("No scan failed, and none has a flag.")]
    return [*items, Text(f"Pictures of every scan are on the page {PAGE} in the same folder, worst first.", "quiet")]


def _quality(folder: PreparedFolder, sites: pd.Series | None, effects: pd.DataFrame) -> list[Section]:
    figures = measure_figures(folder.scans, folder.measures, folder.limits, sites)
    if not figures:
        return []
    pair = pair_figure(folder.scans, folder.measures, sites)
    said = "Each measure of every scan. " + (
        "Dashed rules are limits: what lies beyond has a flag." if folder.limits else ""
    )
    found = [
        Section(
            "quality", "Quality of the scans", [Text(said), Row(figures, least=_SHOWN_WIDTH), *([pair] if pair else [])]
        )
    ]
    if sites is not None:
        shown = [figure.name.removeprefix("measure-") for figure in figures]
        first = [name for name in effects["measure"] if name in shown] if len(effects) else []
        order = [*first, *(name for name in shown if name not in first)]
        items: list[Item] = [site_figure(folder.scans, order, sites)]
        found.append(
            Section("by-site", "Differences between sites", [*items, *_site_tables(folder, order, sites, effects)])
        )
    return found


def _site_tables(folder: PreparedFolder, measures: list[str], sites: pd.Series, effects: pd.DataFrame) -> list[Item]:
    items: list[Item] = []
    if len(effects):
        rows = [
            [label_of(row["measure"]), str(row["sites"]), str(row["people"]), number(row["effect"], 2),
             probability(row["p"]), probability(row["p_holm"])]
            for row in effects.to_dict("records")
        ]  # fmt: skip
        heading = ["measure", "sites", "people", "share of variation", "p", "p after Holm"]
        what = "What the site says of each measure: Kruskal and Wallis's test over people, epsilon squared as the share of variation"
        items.append(Table("site-effects", what, heading, rows, numeric=(1, 2, 3, 4, 5)))
    table = site_table(folder.scans, measures, sites)
    wide = [
        [label_of(measure), *(_quartiles(table, measure, site) for site in sorted(table["site"].unique()))]
        for measure in measures
    ]
    headings = ["measure", *sorted(table["site"].unique())]
    items.append(Table("site-medians", "Median (quartiles) by site", headings, wide, tuple(range(1, len(headings)))))
    return items


def _quartiles(table: pd.DataFrame, measure: str, site: str) -> str:
    found = table[(table["measure"] == measure) & (table["site"] == site)]
    return "–" if not len(found) else "{:.3g} ({:.3g} to {:.3g})".format(*found[["median", "low", "high"]].iloc[0])


def _tissue(folder: PreparedFolder, lines: pd.DataFrame) -> list[Section]:
    figure = tissue_figure(folder.scans, folder.tissues, lines)
    if figure is None:
        return []
    rows = [
        [label_of(row["tissue"]), str(row["people"]), number(row["r"], 2),
         f"{number(row['low'], 2)} to {number(row['high'], 2)}", f"{10 * row['slope']:.3g}".replace("-", "−")]
        for row in lines.to_dict("records")
    ]  # fmt: skip
    headings = ["tissue", "people", "r with age", "95 % interval", "change in ten years"]
    table = [Table("tissue-age", "Tissue and age, one scan a person", headings, rows, (1, 2, 3, 4))] if rows else []
    return [Section("tissue", "Tissue volumes against age", [figure, *table])]


def _again(folder: PreparedFolder) -> list[Item]:
    facts = [("recipe", identity_of(folder.recipe)), ("space", str(folder.recipe.get("SpatialReference", "")))]
    if folder.facts is not None:
        facts += [
            (key.lower(), str(folder.facts[key]))
            for key in ("Prepared", "Failed", "Approximate")
            if key in folder.facts
        ]
    made_by = _made_by(folder.path)
    steps = [
        (str(step.get("Step")), _parameters(step)) for step in folder.recipe.get("Steps", []) if isinstance(step, dict)
    ]
    return [
        Text("Where the input lay is not kept in the folder; put it in the place of INPUT."),
        Code(command_of(folder)),
        Facts([*facts, *made_by]),
        Facts(steps, folded="Steps of the recipe"),
    ]


def command_of(folder: PreparedFolder) -> str:
    """The command that makes such a folder again, as far as the folder says how it was made."""
    parts = ["neurotransfer prepare INPUT", shlex.quote(folder.path.name), "--recipe", str(folder.recipe.get("Recipe"))]
    sizes = [step["voxel_size_mm"] for step in folder.recipe.get("Steps", []) if "voxel_size_mm" in step]
    parts += ["--voxel-size", f"{sizes[0]:g}"] if sizes else []
    parts += ["--columns", shlex.quote(",".join(folder.taken))] if folder.taken else []
    return " ".join(parts)


def _parameters(step: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in step.items() if key != "Step") or "no parameters"


def _made_by(path: Path) -> list[tuple[str, str]]:
    found = read_json(path / DESCRIPTION).get("GeneratedBy", [])
    return [(str(each.get("Name")), f"version {each.get('Version')}") for each in found if isinstance(each, dict)]
