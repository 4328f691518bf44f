"""The sites of a run, and the experiments on them: features without what sites add, one site alone, a site held out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from neurotransfer.errors import InputError, unknown
from neurotransfer.targets import as_text

Values = Mapping[str, Any]
Changes = dict[str, Any]
# with fewer people of a class a site tests nothing
LEAST_OF_A_CLASS = 2


@dataclass(frozen=True)
class Sites:
    """The sites that a study could be varied by.

    Attributes:
        column: that names them; empty where there is none.
        people: how many participants each site has, most first, then by name; empty where the run does not know.
        testable: the sites that can be tested alone, in that order: every class of every task occurs in them.
    """

    column: str = ""
    people: tuple[tuple[str, int], ...] = ()
    testable: tuple[str, ...] = ()

    @property
    def largest(self) -> str:
        """The site with most participants; empty where there are fewer than two sites."""
        return self.people[0][0] if len(self.people) > 1 else ""

    @property
    def middle(self) -> str:
        """Of the sites that can be tested alone the one with the middle number of participants, of two the smaller one.

        Example:
            >>> Sites("site", (("a", 40), ("b", 30), ("c", 9)), ("a", "b", "c")).middle
            'b'
            >>> Sites("site", (("a", 40), ("b", 30)), ("a", "b")).middle, Sites("site", (("a", 40),), ("a",)).middle
            ('b', '')
        """
        return self.testable[len(self.testable) // 2] if self.testable and len(self.people) > 1 else ""


NO_SITES = Sites()
# for the question whether an experiment on sites could be done if there were a column of them
ANY_SITES = Sites("site", (("a", 2), ("b", 1)), ("a", "b"))


def sites_of(table: pd.DataFrame | None, column: str, tasks: Mapping[str, Values]) -> Sites:
    """The sites of a table of scans.

    Args:
        table: a row a scan, with participant_id; None where the run kept none.
        column: of sites; empty for no sites.
        tasks: of the run by name: `target`, `kind`, `classes` and, where only some rows are the task's, `where`.

    Raises:
        InputError: when the table has no such column.

    Example:
        >>> table = pd.DataFrame({"participant_id": list("abcde"), "site": list("xxxxy"), "ill": list("01011")})
        >>> sites_of(table, "site", {"ill": {"target": "ill", "kind": "binary", "classes": ["0", "1"]}})
        Sites(column='site', people=(('x', 4), ('y', 1)), testable=('x',))
    """
    if not column or table is None:
        return Sites(column)
    if column not in table:
        raise InputError(unknown("column of sites", column, table.columns))
    values = as_text(table[column])
    people = tuple(sorted(_people(table, values).items(), key=lambda each: (-each[1], each[0])))
    return Sites(column, people, tuple(site for site, _ in people if _is_testable(table[values == site], tasks)))


def _people(table: pd.DataFrame, values: pd.Series) -> dict[str, int]:
    pairs = pd.DataFrame({"person": table["participant_id"], "site": values}).dropna().drop_duplicates()
    return {str(site): int(count) for site, count in pairs["site"].value_counts().items()}


def _is_testable(rows: pd.DataFrame, tasks: Mapping[str, Values]) -> bool:
    return all(_has_classes(_of_task(rows, task), task) for task in tasks.values() if task.get("target") in rows)


def _of_task(rows: pd.DataFrame, task: Values) -> pd.DataFrame:
    for column, value in (task.get("where") or {}).items():
        rows = rows[as_text(rows[column]) == value] if column in rows else rows
    return rows


def _has_classes(rows: pd.DataFrame, task: Values) -> bool:
    known = rows.assign(label=as_text(rows[str(task["target"])])).dropna(subset=["label"])
    people = known.drop_duplicates(["participant_id", "label"])["label"].value_counts()
    wanted = list(task.get("classes") or ())
    if not wanted:
        return len(known) > 0
    return all(people.get(name, 0) >= LEAST_OF_A_CLASS for name in wanted)


def harmonised(study: Values, sites: Sites) -> Changes | None:
    """Features without what sites add."""
    # with folds, people who are judged would have had a part in it
    if not sites.column or study["protocol"].get("harmonise") or study["protocol"]["validation"] == "folds":
        return None
    return {"protocol.harmonise": sites.column}


def at_once(study: Values, _: Sites) -> Changes | None:
    """People of all sites at every size."""
    return {"protocol.enter": None} if study["protocol"].get("enter") else None


def one_site(study: Values, sites: Sites) -> Changes | None:
    """People of the largest site alone, in all parts."""
    if not sites.largest or any(sites.column in task["where"] for task in study["tasks"].values()):
        return None
    if sites.column in _held_out(study):
        return None
    own = {
        f"tasks.{name}.where": {**task["where"], sites.column: sites.largest} for name, task in study["tasks"].items()
    }
    return {**own, **dict(_without(study, sites.column))}


def site_held_out(study: Values, sites: Sites) -> Changes | None:
    """The people of the middle site as the test, who are neither trained nor validated on."""
    if not sites.middle or sites.column in _held_out(study):
        return None
    if any(sites.column in task["where"] for task in study["tasks"].values()):
        return None
    return {"protocol.held_out": {sites.column: sites.middle}, "protocol.test": "people"}


def site_words(study: Values, column: str) -> str:
    """Which site a study tests or takes alone, in words; empty where none.

    Example:
        >>> site_words({"protocol": {"held_out": {"site": "oslo"}}, "tasks": {}}, "site")
        'tested on site = oslo, trained on the others'
    """
    held_out = _held_out(study).get(column)
    if held_out:
        return f"tested on {column} = {held_out}, trained on the others"
    own = {task["where"][column] for task in study["tasks"].values() if column in (task.get("where") or {})}
    return f"{column} = {', '.join(sorted(own))} alone" if own else ""


def _held_out(study: Values) -> Values:
    held_out = study["protocol"].get("held_out")
    return held_out if isinstance(held_out, Mapping) else {}


def _without(study: Values, column: str) -> Iterator[tuple[str, None]]:
    """What has no meaning within one site."""
    for key in ("enter", "harmonise"):
        if (study["protocol"].get(key) or {}).get("column") == column:
            yield f"protocol.{key}", None
