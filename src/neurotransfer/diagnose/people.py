"""The people of a run: their sites, how unlike they are, who may be there twice, which labels are doubtful."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from neurotransfer.diagnose.case import Case
from neurotransfer.diagnose.sites import NO_SITES, Sites
from neurotransfer.diagnose.within import MOST_SITES, within_sites
from neurotransfer.diagnose.wrong_labels import WrongLabels, wrong_labels
from neurotransfer.errors import InputError
from neurotransfer.report.folder import RunFolder, Task
from neurotransfer.report.people import rows_of
from neurotransfer.seeding import stream
from neurotransfer.statistics.between import Between, between
from neurotransfer.statistics.duplicates import NearPairs, near_pairs
from neurotransfer.statistics.samples import bimodality
from neurotransfer.targets import Target, as_text

LISTED_COLUMNS = ("task", "what", "participant_id", "given", "likely", "doubt", "verdict")


@dataclass(frozen=True)
class Spread:
    """How unlike people are in a target.

    Attributes:
        task: whose target it is.
        n: people whose value is known.
        counts: of classes, people by class; empty for values.
        mean: of values; NaN for classes.
        deviation: their standard deviation.
        quartiles: the first, the second and the third.
        bimodality: Sarle's coefficient; above 5/9 there may be two groups, or a long tail.
    """

    task: Task
    n: int
    counts: Mapping[str, int] = field(default_factory=dict)
    mean: float = np.nan
    deviation: float = np.nan
    quartiles: tuple[float, float, float] = (np.nan, np.nan, np.nan)
    bimodality: float = np.nan


@dataclass(frozen=True, eq=False)
class People:
    """What is known of the people of a run; no field but `pairs` and `doubtful` names anybody.

    Attributes:
        sites: the column of sites and who is in them.
        targets: by site and task, a row a site: `site`, `people`, `share`, and for every task its name: the share of its second (or
            most frequent) class, or the mean.
        between: by task, how much of the target lies between sites.
        within: by task, the curves within sites.
        spreads: of the targets, a value a task.
        pairs: people who may be one; None where that could not be looked at.
        names: participants of the rows that `pairs` counts.
        labels: by task, what predictions say of labels.
        untold: what cannot be told, and why, a sentence each.
    """

    sites: Sites
    targets: pd.DataFrame
    between: Mapping[str, Between]
    within: Mapping[str, pd.DataFrame]
    spreads: tuple[Spread, ...]
    pairs: NearPairs | None
    names: np.ndarray
    labels: Mapping[str, WrongLabels]
    untold: tuple[str, ...]


def people_of(
    run: RunFolder, cases: Sequence[Case], sites: Sites = NO_SITES, features: np.ndarray | None = None
) -> People:
    """What a run folder says of its people.

    Args:
        run: from `read_run`.
        cases: its curves.
        sites: from `sites_of`.
        features: by which people are compared, a row a row of the run's table of scans; without them its regional columns.
    """
    labels, untold = wrong_labels(run, cases)
    if run.cohort is None:
        why = "Sites, spread of the targets and people who may be one: this run kept no table of its scans."
        return People(sites, pd.DataFrame(), {}, {}, (), None, np.array([]), labels, (*untold, why))
    table = run.cohort
    one_each = {
        task.name: _one_each(table[rows_of(run, task)[0]], task, sites.column)
        for task in run.tasks
        if task.target in table
    }
    pairs, why = _pairs(run, table, features)
    untold += [why] if why else []
    if len(sites.people) < 2:
        untold.append("Sites: give --sites the column of sites, which needs two values or more.")
    return People(
        sites,
        _by_site(sites, run.tasks, one_each),
        _between(run, one_each, untold) if len(sites.people) > 1 else {},
        _within(run, sites, table) if len(sites.people) > 1 else {},
        tuple(_spread(task, one_each[task.name]) for task in run.tasks if task.name in one_each),
        pairs,
        table["participant_id"].to_numpy(str),
        labels,
        tuple(untold),
    )


def listed(people: People) -> pd.DataFrame:
    """Who is to be looked at, with names: columns LISTED_COLUMNS; `what` is label, value or pair.

    Of a label `doubt` is the margin of the likely class over the given one, and `verdict` says whether predictions contradict labels
    more than overlap gives: else these are hard cases. Of a value `doubt` is its distance from the prediction in robust standard
    deviations. Of a pair `likely` is the other participant and `doubt` the p of the pair.
    """
    parts = [
        found.doubtful.assign(task=name, what="label" if found.verdict else "value", verdict=found.verdict)
        for name, found in people.labels.items()
    ]
    if people.pairs is not None and len(people.pairs.rows):
        one, other = people.names[people.pairs.rows].T
        pairs = {
            "participant_id": one,
            "given": one,
            "likely": other,
            "doubt": people.pairs.p,
            "task": "",
            "what": "pair",
            "verdict": "",
        }
        parts.append(pd.DataFrame(pairs))
    columns = list(LISTED_COLUMNS)
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _one_each(table: pd.DataFrame, task: Task, column: str) -> pd.DataFrame:
    """A row a person whose target is known: `value` (a number, or the place of a class) and `site`."""
    target = Target(task.target, task.kind, classes=task.classes)
    sites = as_text(table[column]) if column in table else pd.Series(None, index=table.index, dtype=object)
    rows = pd.DataFrame({"person": table["participant_id"], "value": target.encode(table[task.target]), "site": sites})
    if task.kind in ("binary", "categorical"):
        return rows.dropna(subset=["value"]).drop_duplicates("person")
    sites_first = rows.drop_duplicates("person").set_index("person")["site"]
    return rows.groupby("person", sort=False)["value"].mean().dropna().reset_index().assign(
        site=lambda each: each["person"].map(sites_first)
    )  # fmt: skip


def _spread(task: Task, rows: pd.DataFrame) -> Spread:
    values = rows["value"].to_numpy(float)
    if task.classes:
        counts = np.bincount(values.round().astype(int), minlength=len(task.classes))
        return Spread(task, len(values), {name: int(n) for name, n in zip(task.classes, counts, strict=True)})
    if not len(values):
        return Spread(task, 0)
    low, middle, high = (float(value) for value in np.quantile(values, [0.25, 0.5, 0.75]))
    deviation = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return Spread(task, len(values), {}, float(values.mean()), deviation, (low, middle, high), bimodality(values))


def _by_site(sites: Sites, tasks: Sequence[Task], one_each: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    total = sum(n for _, n in sites.people)
    rows = []
    for site, n in sites.people:
        row: dict[str, object] = {"site": site, "people": n, "share": n / total}
        for task in tasks:
            if task.name in one_each:
                own = one_each[task.name]
                values = own.loc[own["site"] == site, "value"].to_numpy(float)
                row[task.name] = _middle(task, values)
        rows.append(row)
    return pd.DataFrame(rows)


def _middle(task: Task, values: np.ndarray) -> float:
    """The share of the second class, of more classes that of the most frequent one, or the mean."""
    if not len(values):
        return np.nan
    if task.kind == "categorical":
        return float(np.bincount(values.astype(int)).max() / len(values))
    return float(values.mean())


def _between(run: RunFolder, one_each: Mapping[str, pd.DataFrame], untold: list[str]) -> dict[str, Between]:
    found = {}
    for task in run.tasks:
        if task.name not in one_each:
            continue
        rows = one_each[task.name]
        groups = rows["site"].where(rows["site"].notna(), None).to_numpy(object)
        try:
            found[task.name] = between(
                rows["value"].to_numpy(float), groups, is_class=task.kind in ("binary", "categorical"),
                generator=stream(int(run.study.get("seed") or 0), "diagnose", "between", task.name),
            )  # fmt: skip
        except InputError as error:
            untold.append(f"{task.label} between sites: {error}.")
    return found


def _within(run: RunFolder, sites: Sites, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    known = pd.DataFrame({"person": table["participant_id"], "site": as_text(table[sites.column])}).dropna()
    site_of = dict(zip(known["person"], known["site"], strict=True))
    names = [site for site, _ in sites.people[:MOST_SITES]]
    return {task.name: within_sites(run, task, site_of, names) for task in run.tasks}


def _pairs(run: RunFolder, table: pd.DataFrame, features: np.ndarray | None) -> tuple[NearPairs | None, str]:
    """People who may be one; or why that cannot be told."""
    if features is None:
        names = [name for name in (run.study.get("study") or {}).get("regional_columns", []) if name in table]
        if not names:
            return None, (
                "People who may be there twice: the study names no regional_columns to compare them by; --representations compares "
                "them by the features of its model."
            )
        features = table[names].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    try:
        return near_pairs(features, table["participant_id"].to_numpy(str)), ""
    except InputError as error:
        return None, f"People who may be there twice: {error}."
