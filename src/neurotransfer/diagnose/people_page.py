"""The people of a run on the page and as JSON: effective numbers, sites, spread, doubles, doubtful labels; nobody by name."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from neurotransfer.artifacts import MANIFEST, read_json
from neurotransfer.benchmark.workspace import STUDY
from neurotransfer.diagnose.experiments import EXPERIMENTS
from neurotransfer.diagnose.people import People, Spread
from neurotransfer.diagnose.sites import site_words
from neurotransfer.diagnose.trials import FOLDER
from neurotransfer.diagnose.within import MOST_SITES, within_figure
from neurotransfer.diagnose.wrong_labels import LEAST_AUC, NOISE, OVERLAP, UNSURE, WrongLabels
from neurotransfer.pages.model import Item, Section, Table, Text
from neurotransfer.report.choice_tables import effective_table
from neurotransfer.report.folder import RunFolder, Task
from neurotransfer.report.naming import slugs
from neurotransfer.report.people import effective_items
from neurotransfer.report.wording import NONE, number, percent, probability
from neurotransfer.statistics.estimates import Estimate
from neurotransfer.statistics.permutation import ALPHA
from neurotransfer.statistics.samples import BIMODAL_ABOVE

MOST_ROWS = 40
# of a target's variance between sites, from where on it is a caution
MUCH_BETWEEN = 0.05
LABELS_CAUTION = (
    "A hard case is not a wrong label: patients whose scans look like those of controls, or classes that no scan tells apart, cannot "
    "be told from exchanged labels. Overlap of the usual form is taken into account, and below an AUC of "
    f"{LEAST_AUC:g} nothing but a bound is given, because overlap would be taken for wrong labels. A doubtful person is one to look "
    "at, not one to relabel."
)
DOUBLES_CAUTION = (
    "The room between a person's nearest and second nearest other person is held against what any spread of people gives (adjusted "
    "for all of them). Three scans of one person under three names hide each other unless they are equal; twins may be near too."
)
FAR_OFF = (
    "Values far from what test predictions say (3.5 robust standard deviations of the residuals; of normal ones 1 in 2,000 is). Long "
    "tails give many without any wrong value, and a wrong value that is plausible is not found"
)


def people_section(run: RunFolder, people: People) -> Section:
    """The section of the page."""
    items: list[Item] = [
        *effective_items(run),
        *_site_items(run, people),
        *([_spread_table(people)] if people.spreads else []),
        *_pair_items(people),
        *_label_items(run, people),
    ]
    return Section("people", "The people", items or [Text("The run does not know.", "quiet")])


def people_cautions(run: RunFolder, people: People) -> list[str]:
    """What of it stands among the cautions of the page."""
    found = []
    for task in run.tasks:
        part = people.between.get(task.name)
        if part is not None and part.p < ALPHA and part.share >= MUCH_BETWEEN:
            found.append(
                f"{percent(part.share)} of the variance of {task.label} lies between values of {people.sites.column}: a model that "
                "knows the site knows some of the answer."
            )
        labels = people.labels.get(task.name)
        if labels is not None and labels.verdict == NOISE:
            found.append(
                f"{task.label}: {_share_words(labels)} of the labels contradict predictions that should be sure; see The people."
            )
    if people.pairs is not None and len(people.pairs.rows):
        n = len(people.pairs.rows)
        found.append(f"{n} pair{'s' * (n > 1)} of participants may be one person each, see The people.")
    return found


def _site_items(run: RunFolder, people: People) -> list[Item]:
    if not len(people.targets):
        return []
    shown = [task for task in run.tasks if task.name in people.targets]
    rows = [
        [str(row["site"]), str(row["people"]), percent(row["share"]), *(_cell(task, row[task.name]) for task in shown)]
        for _, row in people.targets.head(MOST_ROWS).iterrows()
    ]
    more = len(people.targets) - len(rows)
    headings = [people.sites.column, "People", "Share", *(_heading(task) for task in shown)]
    caption = f"People by {people.sites.column}, most first" + (
        f"; {more} smaller ones are not shown" if more > 0 else ""
    )
    items: list[Item] = [Table("sites", caption, headings, rows, tuple(range(1, len(headings))))]
    if people.between:
        items.append(_between_table(run, people))
    for slug, task in zip(slugs([task.name for task in run.tasks]), run.tasks, strict=True):
        table = people.within.get(task.name)
        figure = None if table is None else within_figure(table, task, people.sites.column, f"{slug}-within")
        items += [figure] if figure is not None else []
    items += [Text(f"Experiment {name}: {words}.") for name, words in _done(run, people.sites.column).items()]
    if len(people.sites.people) > MOST_SITES and any(len(table) for table in people.within.values()):
        items.append(Text(f"Curves are of the {MOST_SITES} with most people.", "quiet"))
    return items


def _done(run: RunFolder, column: str) -> dict[str, str]:
    """Which site the finished experiments on one site took, in words."""
    folders = {name: run.path / FOLDER / name for name in EXPERIMENTS}
    done = {name: folder / STUDY for name, folder in folders.items() if (folder / MANIFEST).is_file()}
    found = {name: site_words(read_json(path)["study"], column) for name, path in done.items()}
    return {name: words for name, words in found.items() if words}


def _heading(task: Task) -> str:
    if task.kind == "binary":
        return f"{task.label}: share of {task.classes[1]}"
    return f"{task.label}: largest class" if task.kind == "categorical" else f"{task.label}: mean"


def _cell(task: Task, value: float) -> str:
    if pd.isna(value):
        return NONE
    return percent(value) if task.kind in ("binary", "categorical") else number(value, 2)


def _between_table(run: RunFolder, people: People) -> Table:
    rows = [
        [task.label, str(found.n), f"{found.n_groups} ({number(found.effective_groups, 1)})", percent(max(0.0, found.share)),
         probability(found.p)]
        for task in run.tasks
        if (found := people.between.get(task.name)) is not None
    ]  # fmt: skip
    caption = (
        f"How much of each target goes with {people.sites.column}: the share of its variance, without what chance gives, and p by "
        "shuffling people. Effective: as many of one size would be as uneven"
    )
    return Table("between-sites", caption, ["Task", "People", "Values (effective)", "Between", "p"], rows, (1, 2, 3, 4))


def _spread_table(people: People) -> Table:
    rows = [[each.task.label, str(each.n), *_spread_cells(each)] for each in people.spreads]
    caption = (
        f"How unlike people are in what is predicted. Of values: Sarle's bimodality coefficient above {BIMODAL_ABOVE:.2f} (a uniform "
        "spread) speaks of two groups or of a long tail, and a score over both may only tell the groups apart"
    )
    return Table(
        "spread", caption, ["Task", "People", "Classes, or quartiles", "Smallest class, or bimodality"], rows, (1,)
    )


def _spread_cells(spread: Spread) -> list[str]:
    if spread.counts:
        name, least = min(spread.counts.items(), key=lambda each: each[1])
        every = ", ".join(f"{label} {n}" for label, n in spread.counts.items())
        return [every, f"{name}: {percent(least / spread.n) if spread.n else NONE}"]
    unit = f" {spread.task.unit}" if spread.task.unit else ""
    quartiles = ", ".join(number(value, 2) for value in spread.quartiles)
    return [f"{quartiles}{unit}", number(spread.bimodality, 2)]


def _pair_items(people: People) -> list[Item]:
    pairs = people.pairs
    if pairs is None:
        return []
    n = len(pairs.rows)
    by = f"{pairs.n_people} participants, compared by {pairs.n_columns} columns of numbers"
    if not n:
        return [
            Text(f"Nobody seems to be there twice under another name: of {by}, no two are nearer than chance gives.")
        ]
    text = (
        f"{n} pair{'s' * (n > 1)} of different participants {'are' if n > 1 else 'is'} nearer than chance gives, "
        f"{pairs.n_same} of them with the same numbers throughout: of {by}. One person in training and in test makes scores too good."
    )
    return [Text(text, "caution"), Text(f"{DOUBLES_CAUTION} Who they are: --list-people.", "quiet")]


def _label_items(run: RunFolder, people: People) -> list[Item]:
    classes = [found for task in run.tasks if (found := people.labels.get(task.name)) is not None and found.verdict]
    values = [found for task in run.tasks if (found := people.labels.get(task.name)) is not None and not found.verdict]
    labels = {task.name: task.label for task in run.tasks}
    items: list[Item] = []
    if classes:
        rows = [
            [labels[each.task], f"{each.strategy}, n = {each.n}", str(each.n_people), number(each.auc, 2), each.verdict,
             _share_words(each), probability(each.p) if each.verdict != UNSURE else NONE,
             f"{percent(each.counted.value)}, of which {percent(each.expected.value)} by overlap"]
            for each in classes
        ]  # fmt: skip
        headings = [
            "Task",
            "Predictions of",
            "People",
            "AUC",
            "Labels contradict them",
            "Wrong labels",
            "p",
            "Confidently another",
        ]
        items += [Table("labels", "What share of the labels may be wrong", headings, rows, (2, 3, 6))]
    if values:
        rows = [
            [labels[each.task], f"{each.strategy}, n = {each.n}", str(each.n_people), str(len(each.doubtful)), percent(each.outlying)]
            for each in values
        ]  # fmt: skip
        headings = ["Task", "Predictions of", "People", "Far off", "Share"]
        items += [Table("far-off", FAR_OFF, headings, rows, (2, 3, 4))]
    return [*items, Text(LABELS_CAUTION, "quiet")] if classes else items


def _share_words(labels: WrongLabels) -> str:
    share = labels.share
    if labels.verdict == UNSURE:
        return f"cannot be told (at most {percent(share.high)})"
    if labels.verdict == OVERLAP:
        return f"none shown (at most {percent(share.high)})"
    return f"{percent(share.value)} ({percent(share.low)} to {percent(share.high)})"


def people_as_json(run: RunFolder, people: People) -> dict[str, Any]:
    """The same as values of JSON; missing numbers are None, nobody is named."""
    effective = {task.name: _records(effective_table(run.results, task)) for task in run.tasks}
    return {
        "effective": effective,
        "sites": {"column": people.sites.column, "rows": _records(people.targets)},
        "between": {name: _values(vars(found)) for name, found in people.between.items()},
        "within": {name: _records(table) for name, table in people.within.items()},
        "spread": {each.task.name: _values(vars(each) | {"task": each.task.label}) for each in people.spreads},
        "pairs": None if people.pairs is None else _pairs_as_json(people),
        "labels": {name: _labels_as_json(found) for name, found in people.labels.items()},
        "untold": list(people.untold),
    }


def _pairs_as_json(people: People) -> dict[str, Any]:
    pairs = people.pairs
    assert pairs is not None
    return {"found": len(pairs.rows), "same": pairs.n_same, "people": pairs.n_people, "columns": pairs.n_columns}


def _labels_as_json(found: WrongLabels) -> dict[str, Any]:
    return _values({name: value for name, value in vars(found).items() if name != "doubtful"}) | {
        "doubtful": len(found.doubtful)
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [_values(row) for row in table.to_dict("records")]


def _values(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    if isinstance(value, Estimate):
        return _values(vars(value))
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and value != value else value
