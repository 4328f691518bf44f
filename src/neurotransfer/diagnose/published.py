"""Curves of which only means and standard errors are known, the talk's for example: what these alone can and cannot say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.artifacts import is_file
from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.diagnose.analysis import Analysis
from neurotransfer.diagnose.anomaly import anomaly_of
from neurotransfer.diagnose.case import Case, visible_of
from neurotransfer.diagnose.causes import CAUSES
from neurotransfer.diagnose.figures import curves_figure
from neurotransfer.diagnose.from_tables import Tables
from neurotransfer.diagnose.growing import growth_figure, growth_items
from neurotransfer.diagnose.page import READING, luck_table
from neurotransfer.diagnose.verdict import judge
from neurotransfer.diagnose.words import sentences
from neurotransfer.errors import InputError, listed, unknown
from neurotransfer.pages.looks import looks
from neurotransfer.pages.model import Item, Page, Section, Table, Text
from neurotransfer.published import CITATION, published_curves, published_names
from neurotransfer.report.folder import Task
from neurotransfer.report.naming import Names
from neurotransfer.report.wording import number, percent
from neurotransfer.seeding import stream
from neurotransfer.statistics import SCORES
from neurotransfer.statistics.monotone import monotone_test
from neurotransfer.statistics.redrawn import by_standard_errors

PREFIX = "published:"
COLUMNS = ("strategy", "n", "value", "sem")
REPLICATES = 100
# where a test part gives less than this share of the variance of replicates, the fits are unsteady
UNSTEADY = 0.25
UNTOLD = "means and standard errors alone say nothing of it; the table of fits is needed"


def is_means(run: Path | str) -> bool:
    """Whether something is a table of means, or names published curves."""
    return str(run).startswith(PREFIX) or (is_file(Path(run)) and Path(run).suffix.lower() in (".csv", ".tsv"))


def read_means(run: Path | str) -> pd.DataFrame:
    """Means and standard errors: `strategy`, `n`, `value`, `sem`, and `score` (AUC where it is not given).

    Args:
        run: a table with these columns, or `published:NAME,NAME` with names of `published_names`.

    Raises:
        InputError: when a name is none, or the table lacks a column or has no rows.
    """
    if str(run).startswith(PREFIX):
        return _published(str(run).removeprefix(PREFIX).split(","))
    table = read_text_table(Path(run))
    absent = [name for name in COLUMNS if name not in table]
    if absent or not len(table):
        raise InputError(
            f"{str(run)!r} has no {', '.join(map(repr, absent)) or 'rows'}; a table of means has the columns "
            f"{', '.join(COLUMNS)}, and score where it is not auc"
        )
    numbers = {name: pd.to_numeric(table[name], errors="coerce") for name in COLUMNS[1:]}
    return table.assign(**numbers, score=table.get("score", "auc"))


def _published(names: Sequence[str]) -> pd.DataFrame:
    wrong = [unknown("published curve", name, published_names()) for name in names if name not in published_names()]
    if wrong:
        raise InputError(listed("published:", wrong))
    parts = [published_curves(name) for name in names]
    # of several figures a strategy may be in two
    return pd.concat(parts, ignore_index=True).drop_duplicates(["task", "strategy", "statistic", "n"])


def analyse_means(table: pd.DataFrame) -> list[Analysis]:
    """Every curve of a table of means, as far as means and standard errors tell.

    Raises:
        InputError: when a score is not known, or no curve has standard errors.
    """
    wrong = [unknown("score", name, SCORES) for name in table["score"].unique() if name not in SCORES]
    if wrong:
        raise InputError(listed("the table of means", wrong))
    known = table[table["sem"].notna()]
    if not len(known):
        raise InputError("no curve of the table has standard errors (sem); medians alone cannot be tested")
    keys = [name for name in ("task", "score") if name in known]
    return [found for _, rows in known.groupby(keys, sort=False) for found in _of_task(rows)]


def _of_task(rows: pd.DataFrame) -> list[Analysis]:
    score = str(rows["score"].iloc[0])
    label = str(rows["task"].iloc[0]) if "task" in rows else "published"
    kind = SCORES[score].kinds[0]
    task = Task(label, label, kind, ("0", "1") if kind == "binary" else (), "", score, label)
    sign = 1 if SCORES[score].higher_is_better else -1
    cases, curves = {}, {}
    for name, own in rows.groupby("strategy", sort=False):
        own = own.sort_values("n")
        values = sign * own["value"].to_numpy(float)[None]
        sizes = own["n"].to_numpy(int)
        cases[str(name)] = Case(
            task, str(name), str(name), score, sizes, values, pd.DataFrame(), visible_of(score, values)
        )
        draws = stream(0, "diagnose", label, str(name))
        curves[str(name)] = by_standard_errors(values[0], own["sem"].to_numpy(float), generator=draws)
    found = []
    for name, case in cases.items():
        # others can only be compared where they have the same sizes
        same = [each for each, other in cases.items() if each != name and np.array_equal(other.sizes, case.sizes)]
        others = {each: curves[each] for each in same}
        test = monotone_test(curves[name], higher_is_better=True) if len(case.sizes) > 1 else None
        verdict = judge(case, anomaly_of(case, test, others, curves[name]), {}, dict.fromkeys(CAUSES, UNTOLD), test)
        found.append(Analysis(case, curves[name], None, test, None, None, Tables({}, {}, 0), None, {}, {}, verdict))
    return found


@dataclass(frozen=True)
class Steadiness:
    """How much single replicates of a curve differ at a size.

    Attributes:
        strategy: of the curve.
        n: the size.
        of_replicates: standard deviation of a replicate.
        by_test: what a test part of n / 5 people alone would make it.
    """

    strategy: str
    n: int
    of_replicates: float
    by_test: float

    @property
    def share(self) -> float:
        """The share of the variance that the test part makes, 0 to 1."""
        return min(1.0, (self.by_test / self.of_replicates) ** 2) if self.of_replicates > 0 else np.nan


def spreads(analyses: Sequence[Analysis], replicates: int = REPLICATES) -> list[Steadiness]:
    """How much single replicates differ, and how much of that a test part of n / 5 people alone would make them differ.

    The standard deviation of a replicate is the standard error times the root of their number. That of an AUC by its test part is
    Hanley and McNeil's (1982, Radiology 143), with as many patients as controls. Curves of other scores have none.
    """
    return [
        Steadiness(
            each.case.strategy,
            int(n),
            float(each.redrawn.standard_errors[place]) * float(np.sqrt(replicates)),
            hanley_mcneil(float(each.case.mean[place]), n / 10, n / 10),
        )
        for each in analyses
        if each.case.score == "auc"
        for place, n in enumerate(each.case.sizes)
    ]


def hanley_mcneil(auc: float, n_ones: float, n_zeros: float) -> float:
    """The standard error of an AUC of so many ones and zeros (Hanley and McNeil 1982).

    sqrt((A (1 - A) + (m - 1) (A / (2 - A) - A^2) + (n - 1) (2 A^2 / (1 + A) - A^2)) / (m n))

    Example:
        >>> round(hanley_mcneil(0.5, 50, 50), 4)
        0.058
    """
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    total = auc * (1 - auc) + (n_ones - 1) * (one - auc**2) + (n_zeros - 1) * (two - auc**2)
    return float(np.sqrt(max(total, 0.0) / (n_ones * n_zeros)))


def page_of_means(source: str, analyses: Sequence[Analysis], reach: float | None) -> Page:
    """The page of a table of means."""
    names = Names({})
    by_task: Mapping[str, list[Analysis]] = {
        label: [each for each in analyses if each.case.task.name == label]
        for label in dict.fromkeys(each.case.task.name for each in analyses)
    }
    sections: list[Section] = []
    for place, (label, found) in enumerate(by_task.items()):
        known = looks([each.case.strategy for each in found])
        growth = growth_figure(found, known, f"shapes-{place}")
        items: list[Item] = [curves_figure(found, known, f"curves-{place}"), luck_table(found, f"dips-{place}")]
        items += [*([growth] if growth else []), *growth_items(found, f"growth-{place}", reach)]
        sections.append(Section(f"task-{place}", label, items))
        sections += _spread(found, place)
    cited = [Text(f"Published curves: {CITATION}.", "quiet")] if source.startswith(PREFIX) else []
    untold = [
        Text(
            "Whether a dip is of these replicates or would be there with other people; whether replicates that failed pull the mean "
            "down; what choosing among settings costs; whether a setting lay at the edge of the grid; how well training people "
            "were fitted, and so whether the dip is double descent; who was scanned where. All of that needs the table of fits or "
            "of predictions."
        )
    ]
    return Page(
        title=f"Diagnosis: {source}",
        lead="What means and standard errors alone can say.",
        found=[sentences(each, names) + spread_sentence(each) for each in analyses],
        sections=[
            *sections,
            Section("untold", "What cannot be told from means and standard errors", untold),
            Section("reading", "How to read it", [Text(READING), *cited]),
        ],
    )


def _spread(found: Sequence[Analysis], place: int) -> list[Section]:
    known = spreads(found)
    if not known:
        return []
    rows = [
        [each.strategy, str(each.n), number(each.of_replicates), number(each.by_test), percent(each.share)]
        for each in known
    ]
    headings = ["Strategy", "n", "SD of a replicate", "SD by n / 5 test people alone", "Share of the variance"]
    text = (
        f"The standard deviation of one replicate, if the standard error is that of {REPLICATES}, against what a test part of n / 5 "
        "people would give a predictor that is always equally good. A small share: replicates differ because the fits differ."
    )
    table = Table(f"spread-{place}", "How much replicates differ", headings, rows, (1, 2, 3, 4))
    label = found[0].case.task.label
    return [Section(f"spread-section-{place}", f"{label}: how much replicates differ", [Text(text), table])]


def spread_sentence(analysis: Analysis) -> str:
    """That the fits of a curve differ far more than their test parts make them, where they do at the largest size; else nothing."""
    known = spreads([analysis])
    if not known or not known[-1].share < UNSTEADY:
        return ""
    last = known[-1]
    return (
        f" At n = {last.n} single replicates differ by a standard deviation of {number(last.of_replicates)}, of whose square a test "
        f"part of n / 5 people gives {percent(last.share)}: the fits themselves are that unsteady."
    )
