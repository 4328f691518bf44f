"""Who was scanned and who was left out: a table of scans and what a run says of it -> a mirrored figure and a table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.pages.looks import COLOURS, Look, looks
from neurotransfer.pages.model import Axis, Figure, Item, Layer, Table, Text
from neurotransfer.pages.style import LIGHT
from neurotransfer.report.choice_tables import effective_table
from neurotransfer.report.folder import RunFolder, Task
from neurotransfer.report.wording import number
from neurotransfer.targets import as_text

SEXES = {"f": "female", "female": "female", "w": "female", "woman": "female"} | {
    "m": "male",
    "male": "male",
    "man": "male",
}
MOST_GROUPS = len(COLOURS)
OTHERS = "others"
_WIDTHS = (1, 2, 5, 10)


def pyramid_table(cohort: pd.DataFrame) -> pd.DataFrame:
    """Scans counted by `sex` (female, male), `group` (cohort, or site when there is one cohort) and `age` (bin start).

    Groups beyond the largest few are put together as "others". `width` is the width of the bins in years. Scans
    without a known age or sex are left out; empty when the table has no ages or sexes.
    """
    empty = pd.DataFrame(columns=["sex", "group", "age", "scans", "width"])
    if not {"age", "sex"} <= set(cohort.columns):
        return empty
    ages = pd.to_numeric(cohort["age"], errors="coerce")
    sexes = as_text(cohort["sex"]).str.lower().map(SEXES)
    rows = pd.DataFrame({"sex": sexes, "group": _groups(cohort), "age": ages}).dropna()
    if not len(rows):
        return empty
    width = next((width for width in _WIDTHS if np.ptp(rows["age"]) <= 30 * width), _WIDTHS[-1])
    rows["age"] = width * np.floor(rows["age"] / width)
    return rows.groupby(["sex", "group", "age"]).size().rename("scans").reset_index().assign(width=width)


def _groups(cohort: pd.DataFrame) -> pd.Series:
    column = next((name for name in ("cohort", "site") if name in cohort and cohort[name].nunique() > 1), None)
    column = column or next((name for name in ("cohort", "site") if name in cohort), None)
    groups = as_text(cohort[column]).fillna("unknown") if column else pd.Series("all", index=cohort.index)
    largest = list(groups.value_counts().index)
    if len(largest) > MOST_GROUPS:
        groups = groups.where(groups.isin(largest[: MOST_GROUPS - 1]), OTHERS)
    return groups.astype(str)


def pyramid_figure(table: pd.DataFrame, name: str = "pyramid") -> Figure:
    """The mirrored histogram of `pyramid_table`: females up, males down, stacked by group."""
    totals = table.groupby("group")["scans"].sum()
    order = sorted(totals.index, key=lambda group: (group == OTHERS, -totals[group], group))
    labels = {group: f"{group} ({totals[group]})" for group in order}
    width = float(table["width"].iloc[0])
    sexes = table["sex"].map(lambda sex: f"{sex} ({_count(table, sex)})")
    drawn = table.assign(
        age=table["age"] + width / 2,
        shown=table["scans"].where(table["sex"] == "female", -table["scans"]),
        group=table["group"].map(labels),
        sex=sexes,
        ages=[f"{low:g} to below {low + width:g}" for low in table["age"]],
    ).drop(columns="width")
    known: dict[str, Look] = looks(list(labels.values()))
    if OTHERS in labels:
        known[labels[OTHERS]] = Look(LIGHT, "s")
    most = float(drawn.groupby(["sex", "age"])["scans"].sum().max())
    return Figure(
        name=name,
        title=f"Scans by age and sex: {_count(table, 'female')} female, {_count(table, 'male')} male",
        description="Number of scans by age, females above the axis and males below, stacked by cohort or site.",
        x=Axis("age (years)"),
        y=Axis("scans (female above, male below)", ends=(-1.05 * most, 1.05 * most)),
        layers=(Layer("bar", drawn, x="age", y="shown", series="group", width=width,
                      tips={"ages": "age (years)", "sex": "sex", "scans": "scans"}),),
        looks=known,
        caption="Females above the axis, males below; one colour a cohort or site, with its number of scans.",
    )  # fmt: skip


def _count(table: pd.DataFrame, sex: str) -> int:
    return int(table.loc[table["sex"] == sex, "scans"].sum())


def people_items(run: RunFolder) -> list[Item]:
    """Who was scanned, who was left out and why, and how many people the training images stood for."""
    return [*_pyramid_items(run), *_left_out(run), *effective_items(run)]


def _pyramid_items(run: RunFolder) -> list[Item]:
    if run.cohort is None:
        return [Text("The table of scans is not in this folder, so their ages are not shown.", "quiet")]
    people = run.cohort["participant_id"].nunique()
    note = f"{len(run.cohort)} scans of {people} participants."
    table = pyramid_table(run.cohort)
    if not len(table):
        return [Text(f"{note} Age or sex is not known, so their distribution is not shown.", "quiet")]
    missing = len(run.cohort) - int(table["scans"].sum())
    note += f" {missing} without a known age or sex are not shown." if missing else ""
    return [Text(note), pyramid_figure(table)]


def _left_out(run: RunFolder) -> list[Item]:
    """What the run says of people who are not in it or not tested, and how many scans each task could use."""
    rows = [*_by_task(run), *_by_note(run), *_by_model(run)]
    if not rows:
        return [Text("Nobody is known to have been left out.", "quiet")]
    caption = "Who was left out, or kept with a caution, and why"
    return [Table("left-out", caption, ["Where", "Why", "Scans", "Participants"], rows, (2, 3))]


def _by_task(run: RunFolder) -> list[list[str]]:
    if run.cohort is None:
        return []
    rows = []
    for task in run.tasks:
        if task.target in run.cohort:
            chosen, why = rows_of(run, task)
            parts = [(~chosen, why), (chosen & as_text(run.cohort[task.target]).isna(), f"{task.target} is not known")]
            rows += [[task.label, text, *_counts(run.cohort[out])] for out, text in parts if out.any()]
    return rows


def rows_of(run: RunFolder, task: Task) -> tuple[pd.Series, str]:
    """Which rows of the cohort a task takes, and why not others."""
    asked: Mapping[str, Any] = run.study.get("study", {}).get("tasks", {}).get(task.name, {}).get("where", {})
    chosen = pd.Series(True, index=run.cohort.index) if run.cohort is not None else pd.Series(dtype=bool)
    if run.cohort is not None:
        for column, value in asked.items():
            if column in run.cohort:
                chosen &= as_text(run.cohort[column]) == str(value)
    wanted = " and ".join(f"{column} = {value}" for column, value in asked.items())
    return chosen, f"the task takes {wanted} alone"


def _counts(table: pd.DataFrame) -> list[str]:
    return [str(len(table)), str(table["participant_id"].nunique())]


def _by_note(run: RunFolder) -> list[list[str]]:
    return [["cohort", str(note), "–", "–"] for note in run.cohort_notes]


def _by_model(run: RunFolder) -> list[list[str]]:
    rows = []
    for name, model in (run.manifest or {}).get("models", {}).items():
        if model.get("overlap_participants"):
            out = (
                "left out of all strategies"
                if model.get("overlap_left_out")
                else "kept: its scores are too good for them"
            )
            rows.append([f"model {name}", f"in its pretraining; {out}", "–", str(model["overlap_participants"])])
        outside = (model.get("drift") or {}).get("outside", [])
        if outside:
            rows.append([f"model {name}", "unlike the scans that it knows; kept", str(len(outside)), "–"])
    return rows


def effective_items(run: RunFolder) -> list[Item]:
    """How many people the training images of every size stood for, as a table; none where the results do not have it."""
    rows = []
    for task in run.tasks:
        table = effective_table(run.results, task)
        if table["effective"].notna().any():
            rows += [
                [
                    f"{task.label}, n = {row.n}",
                    number(row.images, 1),
                    number(row.participants, 1),
                    number(row.effective, 1),
                ]
                for row in table.itertuples()
            ]
    caption = (
        "How many people the training images stood for, means over replicates. The effective number is Kish's: (sum of k)² / "
        "(sum of k²), of the images k that each person has."
    )
    headings = ["Task, n", "Images", "Participants", "Effective participants"]
    return [Table("effective", caption, headings, rows, (1, 2, 3))] if rows else []
