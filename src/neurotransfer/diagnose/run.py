"""`diagnose`: a run folder to a page that says why its curves behave as they do, by its tables and, if asked for, by experiments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neurotransfer.artifacts import write_json, write_table
from neurotransfer.benchmark.run import unheard
from neurotransfer.benchmark.setup import Progress, silent
from neurotransfer.diagnose.analysis import Analysis, analyse
from neurotransfer.diagnose.experiments import EXPERIMENTS, as_values, possible
from neurotransfer.diagnose.interpolation import verdicts_of
from neurotransfer.diagnose.interpolation_page import found_by_sweeps, sweep_sections
from neurotransfer.diagnose.model_page import against_linear, model_as_json, model_section, model_untold
from neurotransfer.diagnose.page import page_of
from neurotransfer.diagnose.people import listed, people_of
from neurotransfer.diagnose.people_page import people_as_json, people_cautions, people_section
from neurotransfer.diagnose.published import PREFIX, analyse_means, is_means, page_of_means, read_means
from neurotransfer.diagnose.record import as_json, sweep_as_json
from neurotransfer.diagnose.representations import frozen_features, kept_representations, representations_of
from neurotransfer.diagnose.sites import NO_SITES
from neurotransfer.diagnose.swept import read_sweeps, run_sweep
from neurotransfer.diagnose.trials import Asked, finished_experiments, run_experiments, sites_of_run, study_of
from neurotransfer.errors import InputError
from neurotransfer.pages.model import Page
from neurotransfer.pages.written import require_page_name, write_page
from neurotransfer.report.folder import RunFolder, read_run

PAGE = "diagnosis.html"
LISTED = "doubtful-people.tsv"
NOTHING = Asked()
# the column of sites of most tables
SITE = "site"


def diagnose(
    run: Path | str,
    out: Path | str | None = None,
    *,
    asked: Asked = NOTHING,
    reach: float | None = None,
    figures: Path | None = None,
    list_people: bool = False,
    representations: bool = False,
    progress: Progress = silent,
    tell: Callable[[str], object] = unheard,
) -> tuple[Path, list[Analysis]]:
    """Write the verdict page of a run and, beside it, the same as JSON; gives the page's path and the analyses.

    Args:
        run: a run folder of `benchmark`; or a table of means and standard errors (columns strategy, n, value, sem, and score where it
            is not auc), or `published:NAME,NAME` for curves of the talk, of which much less can be said.
        out: the page; `diagnosis.html` in the run folder, or beside a table, when not given.
        asked: the experiments and the sweep that are done, of which strategies, and how; what was done before is used again.
        reach: a score of which is said how many scans it needs.
        figures: a folder for every figure.
        list_people: write the participants with doubtful labels, and pairs who may be one, into `doubtful-people.tsv` beside the
            page; no name stands on the page itself.
        representations: compute on the scans what features hold of the linear model's signal, and how finetuning moves layers; what
            was computed before is used again, and is shown without this too.
        progress: as of `benchmark`.
        tell: called with what a reader wants to know on the way.

    Raises:
        InputError: when the folder is no run, or an experiment cannot be.
    """
    path = _page_path(run, out)
    require_page_name(path)
    more: dict[str, Any] = {}
    if is_means(run):
        _require_run(
            run,
            {
                "--experiments": bool(asked.names),
                "--sweep": asked.sweep is not None,
                "--list-people": list_people,
                "--representations": representations,
            },
        )
        analyses = analyse_means(read_means(run))
        page = page_of_means(str(run), analyses, reach)
    else:
        list_to = path.with_name(LISTED) if list_people else None
        page, analyses, more = _of_run(Path(run), asked, reach, list_to, representations, progress, tell)
    write_page(page, path, figures)
    write_json(path.with_suffix(".json"), as_json(analyses, more))
    return path, analyses


def _require_run(run: Path | str, asked: dict[str, bool]) -> None:
    for option, is_given in asked.items():
        if is_given:
            raise InputError(f"{option} needs a run folder, and {str(run)!r} is a table of means; leave it out")


def _page_path(run: Path | str, out: Path | str | None) -> Path:
    if out is not None:
        return Path(out)
    if str(run).startswith(PREFIX):
        raise InputError(f"{str(run)!r} has no folder to write the page into; give --out")
    return Path(run).with_suffix(".diagnosis.html") if is_means(run) else Path(run) / PAGE


def _of_run(
    folder: Path,
    asked: Asked,
    reach: float | None,
    list_to: Path | None,
    is_represented: bool,
    progress: Progress,
    tell: Callable[[str], object],
) -> tuple[Page, list[Analysis], dict[str, Any]]:
    found = read_run(folder)
    sites = sites_of_run(folder, asked.sites or _usual_column(found))
    done = finished_experiments(folder)
    if asked.names:
        done |= run_experiments(folder, asked, progress, tell)
    if asked.sweep is not None:
        run_sweep(folder, asked, progress, tell)
    sweeps = verdicts_of(read_sweeps(folder, found.tasks))
    said = found_by_sweeps(sweeps, found.tasks)
    for text in said if asked.sweep is not None else ():
        tell(text)
    analyses = analyse(found, done, asked.strategies, sweeps)
    # a run whose study cannot be read has curves all the same
    is_read = as_values(found.study.get("study")) is not None
    allowed = possible(study_of(folder, asked), sites if asked.sites else NO_SITES) if is_read else {}
    left = {name: EXPERIMENTS[name].question for name in allowed if name not in done}
    cases = [each.case for each in analyses]
    seen = representations_of(found, cases, progress) if is_represented else kept_representations(folder)
    people = people_of(found, cases, sites, _to_compare(found) if is_represented else None)
    against = against_linear(cases, int(found.study.get("seed") or 0))
    if list_to is not None:
        write_table(list_to, listed(people))
        tell(f"who is to be looked at stands in {list_to}")
    page = page_of(
        found, analyses, left, reach,
        more=[*sweep_sections(sweeps, found.tasks), people_section(found, people), model_section(cases, against, seen)],
        more_found=said, more_cautions=people_cautions(found, people),
        untold=[*people.untold, *model_untold(cases, against, seen)],
    )  # fmt: skip
    record = {
        "people": people_as_json(found, people),
        "model": model_as_json(against, seen),
        "sweeps": list(map(sweep_as_json, sweeps)),
    }
    return page, analyses, record


def _to_compare(run: RunFolder) -> np.ndarray | None:
    """Features to compare people by, where the run has no columns of numbers."""
    return None if (run.study.get("study") or {}).get("regional_columns") else frozen_features(run)


def _usual_column(run: RunFolder) -> str:
    return SITE if run.cohort is not None and SITE in run.cohort else ""
