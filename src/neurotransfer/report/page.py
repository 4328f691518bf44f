"""The page: everything that a run folder holds, put into the template."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from neurotransfer.errors import InputError, unknown
from neurotransfer.pages.looks import Look, looks
from neurotransfer.pages.style import svg
from neurotransfer.published import CITATION, published_curves
from neurotransfer.report.cautions import cautions, progress
from neurotransfer.report.cells import failure_rows, matrix_grid, score_grid, subgroup_grid
from neurotransfer.report.cohort_figures import pyramid_figure, pyramid_table
from neurotransfer.report.curves import epochs_figure, learning_curves
from neurotransfer.report.findings import Evidence, finding
from neurotransfer.report.folder import RunFolder, Task
from neurotransfer.report.prediction_figures import agreement_figure, roc_figure
from neurotransfer.report.prediction_tables import agreement, axis_ends, predictions_of, subgroup_table
from neurotransfer.report.tables import curve_table, epochs_table, p_matrices, score_table, sizes_of
from neurotransfer.report.wording import duration, joined

Overlays = Mapping[str, str | Sequence[str] | pd.DataFrame]
SHOWN_APART = ("name", "title", "description", "tasks", "strategies", "study", "pairs")


def render(run: RunFolder, published: Overlays) -> str:
    """The page of a run as HTML text.

    Raises:
        InputError: when `published` names a task or a curve that is not there.
    """
    names = [task.name for task in run.tasks]
    for task in published:
        if task not in names:
            raise InputError(unknown("task", task, names))
    environment = Environment(
        loader=PackageLoader("neurotransfer.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(**_context(run, published)) + "\n"


def _context(run: RunFolder, published: Overlays) -> dict[str, Any]:
    shown = looks(run.strategies)
    tasks = [_task_context(run, task, shown, published.get(task.name, task.published)) for task in run.tasks]
    return {
        "title": run.study.get("title") or run.study.get("name") or run.path.name,
        "description": run.study.get("description", ""),
        "complete": run.manifest is not None,
        "progress": progress(run),
        "cautions": cautions(run),
        "tasks": tasks,
        "cohort": _cohort_context(run),
        "has_predictions": run.predictions is not None,
        "citation": CITATION if any(task["overlaid"] for task in tasks) else "",
        **_record(run),
    }


def _task_context(
    run: RunFolder, task: Task, shown: dict[str, Look], published: str | Sequence[str] | pd.DataFrame
) -> dict[str, Any]:
    seed = int(run.study.get("seed", 0))
    matrices = p_matrices(run.results, task, run.strategies, seed)
    curves = {name: curve_table(run.results, task, run.strategies, matrices, name) for name in ("mean", "median")}
    scored = score_table(run.results, task, run.strategies, seed)
    overlay = _overlay(published)
    panels = {
        name: svg(learning_curves(curve, task, shown, name, overlay), f"{task.name}-{name}", _title(task, name))
        for name, curve in curves.items()
        if len(curve)
    }
    return {
        "label": task.label,
        "name": task.name,
        "finding": finding(Evidence(task, curves["mean"], scored, matrices)),
        "curves": list(panels.values()),
        "epochs": _epochs(run, task, shown),
        "matrices": [matrix_grid(n, matrix) for n, matrix in matrices.items() if len(matrix) > 1],
        "scores": score_grid(scored, task),
        "overlaid": overlay is not None,
        "predictions": _predictions_context(run, task, shown),
    }


def _title(task: Task, statistic: str) -> str:
    return f"Learning curves of {task.label}: {statistic} of {task.score} against the number of training {task.counted}"


def _overlay(published: str | Sequence[str] | pd.DataFrame) -> pd.DataFrame | None:
    if isinstance(published, pd.DataFrame):
        return published
    names = [published] if isinstance(published, str) else list(published)
    return pd.concat([published_curves(name) for name in names]) if names else None


def _epochs(run: RunFolder, task: Task, shown: dict[str, Look]) -> str:
    table = epochs_table(run.results, task, run.strategies)
    if not len(table):
        return ""
    return svg(epochs_figure(table, task, shown), f"{task.name}-epochs", f"Epochs of {task.label} against n")


def _predictions_context(run: RunFolder, task: Task, shown: dict[str, Look]) -> dict[str, Any]:
    n = sizes_of(run.results, task)[-1]
    if run.predictions is None or not len(predictions_of(run.predictions, task, n)):
        return {"n": n, "figures": [], "subgroups": None, "kind": task.kind}
    rows = predictions_of(run.predictions, task, n)
    groups = subgroup_table(run.predictions, task, n, run.strategies)
    column = run.study.get("subgroup") or "subgroup"
    return {
        "n": n,
        "kind": task.kind,
        "figures": _prediction_figures(rows, task, shown),
        "subgroups": subgroup_grid(groups, task, column) if len(groups) else None,
    }


def _prediction_figures(rows: pd.DataFrame, task: Task, shown: dict[str, Look]) -> list[str]:
    if task.kind == "binary":
        return [svg(roc_figure(rows, task, shown), f"{task.name}-roc", f"ROC curves of {task.label}")]
    if task.kind == "categorical":
        return []
    ends = axis_ends(rows)
    figures = []
    for index, (name, look) in enumerate(shown.items()):
        part = rows[rows["strategy"] == name]
        if len(part):
            drawing = agreement_figure(agreement(part, ends), task, name, look)
            figures.append(
                svg(drawing, f"{task.name}-agreement-{index}", f"{task.label}, {name}: predicted against observed")
            )
    return figures


def _cohort_context(run: RunFolder) -> dict[str, Any]:
    if run.cohort is None:
        return {"figure": "", "note": "The table of scans is not in this folder, so their ages are not shown."}
    people = run.cohort["participant_id"].nunique()
    note = f"{len(run.cohort)} scans of {people} participants."
    table = pyramid_table(run.cohort)
    if not len(table):
        return {"figure": "", "note": f"{note} Age or sex is not known, so their distribution is not shown."}
    left_out = len(run.cohort) - int(table["scans"].sum())
    note += f" {left_out} without a known age or sex are not shown." if left_out else ""
    title = "Number of scans by age, females above the axis and males below, stacked by cohort"
    return {"figure": svg(pyramid_figure(table), "pyramid", title), "note": note}


def _record(run: RunFolder) -> dict[str, Any]:
    manifest = run.manifest or {}
    provenance = dict(manifest.get("provenance", {}))
    fits = [("fits", f"{len(run.results)}"), ("of these failed", f"{int(run.results['error'].notna().sum())}")]
    times = [
        (label, duration(float(manifest[key])))
        for key, label in (("fit_seconds", "time of all fits added up"), ("seconds", "time of the last session"))
        if key in manifest
    ]
    facts = [(key.replace("_", " "), _plain(value)) for key, value in run.study.items() if key not in SHOWN_APART]
    return {
        "command": manifest.get("command", ""),
        "facts": [*facts, *fits, *times],
        "strategies": run.study.get("strategies", []),
        "models": {name: _model_facts(model) for name, model in manifest.get("models", {}).items()},
        "versions": provenance.pop("versions", {}),
        "provenance": [(key, _plain(value)) for key, value in provenance.items()],
        "failures": failure_rows(run.results),
        "study_json": json.dumps(run.study, indent=2, ensure_ascii=False),
    }


def _model_facts(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key.replace("_", " "), _plain(value)) for key, value in model.items()]


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_plain(part)}" for key, part in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return joined([_plain(part) for part in value]) if value else "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)
