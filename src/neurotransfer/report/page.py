"""A benchmark run as a page: what was found, a section a task, who was scanned, what was run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from neurotransfer.errors import InputError, unknown
from neurotransfer.pages.looks import Look, looks
from neurotransfer.pages.model import Item, Page, Row, Section, Text
from neurotransfer.published import CITATION, published_curves
from neurotransfer.report.cautions import cautions, progress
from neurotransfer.report.choices import edge_notes, effort_figure, optimism_figure, setting_figure
from neurotransfer.report.curves import learning_curves
from neurotransfer.report.evidence import Evidence, evidence_of
from neurotransfer.report.findings import finding
from neurotransfer.report.folder import RunFolder, Task, read_run
from neurotransfer.report.naming import slugs
from neurotransfer.report.pairs import difference_figure, pair_figure
from neurotransfer.report.people import people_items
from neurotransfer.report.predictions import prediction_figures, subgroup_items
from neurotransfer.report.record import record_items
from neurotransfer.report.score_tables import score_items
from neurotransfer.report.tables import sizes_of

Overlays = Mapping[str, str | Sequence[str] | pd.DataFrame]
READING = (
    "Scores are means over replicates on scans that training never saw. Whether one strategy beats another is asked with a "
    "one-sided paired permutation test over replicates; a sentence calls it a win where p stays below 0.05 after Holm's "
    "correction over all pairs of that size. Which of two strategies is asked to be the better one is read off the same scores: "
    "a filled marker of a learning curve, which is not corrected, comes by chance in up to one of ten comparisons with two "
    "strategies alone, and in fewer with more. Replicates draw on one pool of people, so no interval and no p on this page says "
    "how the result would vary with another cohort. “Not reliably better than chance” means that the 95 % bootstrap interval "
    "of the mean includes the chance level."
)


def page_of(path: Path, published: Overlays | None = None) -> Page:
    """The page of a benchmark run; one that is not complete is shown as far as it goes.

    Args:
        path: the run folder that `benchmark` wrote.
        published: for each task the name or names of published curves to lay under its own, or a table like
            `published_curves`; the study's own choice when not given.

    Raises:
        InputError: when the folder or its results cannot be used, or `published` names a task or a curve that is not there.
    """
    run, published = read_run(path), published or {}
    names = [task.name for task in run.tasks]
    for task in published:
        if task not in names:
            raise InputError(unknown("task", task, names))
    overlays = {task.name: _overlay(published.get(task.name, task.published)) for task in run.tasks}
    known = looks(run.strategies)
    evidences = [evidence_of(run, task) for task in run.tasks]
    sections = [
        Section(
            f"task-{name}", evidence.task.label, _task_items(run, evidence, known, name, overlays[evidence.task.name])
        )
        for name, evidence in zip(slugs(names), evidences, strict=True)
    ]
    citation = CITATION if any(overlay is not None for overlay in overlays.values()) else ""
    done = progress(run)
    return Page(
        title=run.study.get("title") or run.study.get("name") or run.path.name,
        lead=run.study.get("description", ""),
        found=[finding(evidence) for evidence in evidences],
        sections=[
            *sections,
            Section("reading", "How to read it", [Text(READING)]),
            Section("people", "Who was scanned", people_items(run)),
            Section("record", "What was run, and how to run it again", record_items(run, citation)),
        ],
        cautions=cautions(run),
        banner=f"This run is not complete: {done}. What follows may change; run the same neurotransfer benchmark command again "
        "to go on."
        if done
        else "",
    )


def _overlay(published: str | Sequence[str] | pd.DataFrame) -> pd.DataFrame | None:
    if isinstance(published, pd.DataFrame):
        return published
    names = [published] if isinstance(published, str) else list(published)
    return pd.concat([published_curves(name) for name in names]) if names else None


def _task_items(
    run: RunFolder, evidence: Evidence, known: Mapping[str, Look], name: str, overlay: pd.DataFrame | None
) -> list[Item]:
    task = evidence.task
    shown = {label: known[label] for label in evidence.strategies}
    return [
        learning_curves(evidence, shown, f"{name}-curves", overlay),
        *_side_by_side(
            pair_figure(evidence, f"{name}-pairs"), difference_figure(evidence, shown, f"{name}-differences")
        ),
        score_items(evidence.scored, task, f"{name}-scores"),
        *_predictions(run, evidence, shown, name),
        *_side_by_side(
            setting_figure(evidence, f"{name}-settings"), optimism_figure(evidence, shown, f"{name}-optimism")
        ),
        *edge_notes(evidence),
        *_side_by_side(
            effort_figure(evidence, shown, f"{name}-epochs", "epochs"),
            effort_figure(evidence, shown, f"{name}-seconds", "seconds"),
        ),
    ]


def _side_by_side(*items: Item | None) -> list[Item]:
    found = [item for item in items if item is not None]
    return [Row(found)] if len(found) > 1 else found


def _predictions(run: RunFolder, evidence: Evidence, shown: Mapping[str, Look], name: str) -> list[Item]:
    task: Task = evidence.task
    if run.predictions is None:
        text = "The table of predictions is not in this folder, so observed and predicted values are not shown."
        return [Text(text, "quiet")]
    sizes = sizes_of(evidence.results, task)
    column = run.study.get("subgroup") or "subgroup"
    groups = subgroup_items(run.predictions, task, sizes[-1], evidence.strategies, column, name)
    return [*_side_by_side(*prediction_figures(run.predictions, task, sizes, shown, name)), *groups]
