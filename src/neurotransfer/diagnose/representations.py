"""What the features of a model hold of the linear model's signal, and how finetuning moves its layers; computed on the scans."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.artifacts import read_json, write_json
from neurotransfer.benchmark.cell import fit_again
from neurotransfer.benchmark.plan import Cell
from neurotransfer.benchmark.setup import Progress, silent
from neurotransfer.benchmark.workspace import COHORT, COHORT_FACTS, Workspace, engine_of, open_workspace
from neurotransfer.cohort import Split
from neurotransfer.diagnose.case import Case
from neurotransfer.diagnose.contained import Contained, contained_of, model_features
from neurotransfer.errors import InputError, ModelError
from neurotransfer.explain.depths import split, untrained
from neurotransfer.explain.similarity import linear_cka
from neurotransfer.models.depths import Layered, depths_of
from neurotransfer.models.network import Network
from neurotransfer.report.folder import RunFolder
from neurotransfer.seeding import stream
from neurotransfer.statistics.estimates import Estimate
from neurotransfer.training import features, using
from neurotransfer.workers import one_thread

KEPT = "representations.json"
N_REPLICATES = 3
# one scan a person, of people whom the fit has not learnt from
MOST_PEOPLE, LEAST_PEOPLE = 100, 12
DRIFT_COLUMNS = (
    "task",
    "strategy",
    "n",
    "replicate",
    "layer",
    "cka",
    "untrained",
    "people",
    "score_before",
    "score_again",
)


@dataclass(frozen=True, eq=False)
class Representations:
    """What was computed; `drift` has DRIFT_COLUMNS, a row a layer of a fit, and `untold` says what could not be, and why."""

    contained: tuple[Contained, ...] = ()
    drift: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(DRIFT_COLUMNS)))
    untold: tuple[str, ...] = ()


def cells_of(cases: Sequence[Case]) -> dict[Cell, dict[str, Any]]:
    """The fits that are made again, with their settings: of finetuned networks at the smallest, middle and largest size.

    Of each size the first replicates in which a setting was chosen, three at most.

    Args:
        cases: the curves that are looked at.
    """
    found: dict[Cell, dict[str, Any]] = {}
    for case in cases:
        if case.kind != "finetuned":
            continue
        sizes = sorted({int(case.sizes[place]) for place in (0, len(case.sizes) // 2, -1)})
        for n in sizes:
            rows = case.fits[(case.fits["n"] == n) & case.fits["selected"]].sort_values("replicate")
            for row in rows.head(N_REPLICATES).to_dict("records"):
                cell = Cell(case.task.name, n, int(row["replicate"]), case.strategy)
                found[cell] = case.settings[sorted(case.fits["setting_index"].unique()).index(row["setting_index"])]
    return found


def seconds_of(cases: Sequence[Case]) -> float:
    """About how long the fits of `cells_of` take, by the time that the run took for each."""
    cells = cells_of(cases)
    total = 0.0
    for case in cases:
        if "seconds" in case.fits:
            own = case.fits[case.fits["selected"]].set_index(["n", "replicate"])["seconds"]
            total += sum(
                float(own.get((cell.n, cell.replicate), 0.0))
                for cell in cells
                if (cell.task, cell.strategy) == (case.task.name, case.strategy)
            )
    return total


def kept_representations(run: Path) -> Representations | None:
    """What an earlier call has computed; None where there is nothing."""
    path = run / "diagnosis" / KEPT
    return from_json(read_json(path)) if path.is_file() else None


def representations_of(run: RunFolder, cases: Sequence[Case], progress: Progress = silent) -> Representations:
    """Compute what is not there yet and keep it below the run: `diagnosis/representations.json`.

    Args:
        run: from `read_run`; its folder must have its volumes and its models where they were.
        cases: the curves that are looked at.
        progress: as of `benchmark`.

    Raises:
        InputError: when the volumes or a model of the run are no longer there.
    """
    before = kept_representations(run.path) or Representations()
    with _opened(run.path) as workspace:
        if workspace.volumes is None:
            return replace(
                before, untold=("Representations: this run has no images, so that no network has features of them.",)
            )
        untold: list[str] = []
        found = replace(before, contained=tuple(contained_of(run, cases, workspace, untold)))
        found = _with_drift(run, cases, workspace, found, untold, progress)
        found = replace(found, untold=tuple(untold))
        write_json(run.path / "diagnosis" / KEPT, as_json(found))
    return found


@contextmanager
def _opened(folder: Path) -> Iterator[Workspace]:
    absent = [name for name in (COHORT, COHORT_FACTS) if not (folder / name).is_file()]
    if absent:
        raise InputError(
            f"--representations needs the whole folder that benchmark wrote, and {str(folder)!r} lacks {', '.join(absent)}; give "
            "that folder, on the machine with its scans, or leave it out"
        )
    workspace = open_workspace(folder)
    with one_thread(), using(replace(engine_of(folder, workspace.study), threads=1)):
        yield workspace


def frozen_features(run: RunFolder) -> np.ndarray | None:
    """Features (n_rows, n_features) of every scan by the first model of a run; None where it has no model or no images."""
    with _opened(run.path) as workspace:
        name = next(iter(workspace.models), None)
        if name is None or workspace.volumes is None:
            return None
        return model_features(workspace, name, next(iter(workspace.targets)))


def _with_drift(
    run: RunFolder,
    cases: Sequence[Case],
    workspace: Workspace,
    found: Representations,
    untold: list[str],
    progress: Progress,
) -> Representations:
    cells = cells_of(cases)
    if not cells:
        untold.append("How finetuning moves the layers of a model: no strategy of the run is finetuned.")
    done = set(zip(*(found.drift[name] for name in DRIFT_COLUMNS[:4]), strict=True))
    scores = {(case.task.name, case.strategy): case.task.score for case in cases}
    with progress("finetune again", len(cells)) as advance:
        for cell, setting in cells.items():
            if (cell.task, cell.strategy, cell.n, cell.replicate) not in done:
                try:
                    rows = _drift(run, workspace, cell, setting, scores[cell.task, cell.strategy])
                    found = replace(
                        found, drift=pd.concat([found.drift, rows], ignore_index=True) if len(found.drift) else rows
                    )
                    write_json(run.path / "diagnosis" / KEPT, as_json(found))
                except (InputError, FloatingPointError) as error:
                    untold.append(f"{cell.strategy}, n = {cell.n}, replicate {cell.replicate}: {error}.")
            advance()
    return found


def _drift(run: RunFolder, workspace: Workspace, cell: Cell, setting: dict[str, Any], score: str) -> pd.DataFrame:
    again = fit_again(workspace, cell, setting)
    rows = _unseen(workspace, cell, again.split)
    model = workspace.models[str(workspace.part(cell.strategy).model)]
    encoders = [
        again.source.encoder,
        again.fitted.network.encoder,
        untrained(model, workspace.study.seed).network.encoder,
    ]
    before, after, random = (_by_layer(encoder, workspace, rows) for encoder in encoders)
    results = run.results
    own = (results["task"] == cell.task) & (results["strategy"] == cell.strategy) & results["selected"]
    kept = results[own & (results["n"] == cell.n) & (results["replicate"] == cell.replicate)]
    table = [
        (cell.task, cell.strategy, cell.n, cell.replicate, layer, linear_cka(before[layer], after[layer]),
         linear_cka(before[layer], random[layer]), len(rows), float(kept[f"test_{score}"].iloc[0]), again.test[score])
        for layer in before
    ]  # fmt: skip
    return pd.DataFrame(table, columns=list(DRIFT_COLUMNS))


def _unseen(workspace: Workspace, cell: Cell, own: Split) -> np.ndarray:
    """One scan a person of people who were neither trained nor validated on, (n,) rows."""
    people = workspace.cohort.people
    seen = people.has(np.concatenate([own.train, own.validation]))
    firsts = people.order[np.unique(people.codes[people.order], return_index=True)[1]]
    free = firsts[~seen]
    if len(free) < LEAST_PEOPLE:
        raise InputError(
            f"{len(free)} people were not learnt from; {LEAST_PEOPLE} or more are needed to compare layers"
        )
    generator = stream(workspace.study.seed, "diagnose", "drift", cell.task, cell.n, cell.replicate)
    return np.sort(generator.permutation(free)[:MOST_PEOPLE])


def _by_layer(encoder: Any, workspace: Workspace, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The means of the maps of every layer and the features, (n, k) each."""
    seen = encoder.eval()
    if depths_of(encoder):
        try:
            seen = Layered(encoder, tuple(workspace.grid.shape)).eval()
        except ModelError:
            # its layers give no maps: its features alone are compared
            seen = encoder.eval()
    return split(features(seen, workspace.volumes, rows), Network(seen, []))


def as_json(found: Representations) -> dict[str, Any]:
    """What is kept, as values of JSON; missing numbers are None."""
    rows = found.drift.astype(object).where(found.drift.notna(), None).to_dict("records")
    contained = [vars(each) | {"share": vars(each.share), "own": vars(each.own)} for each in found.contained]
    return {"contained": contained, "drift": rows, "untold": list(found.untold)}


def from_json(values: dict[str, Any]) -> Representations:
    """What `as_json` gave."""
    contained = tuple(
        Contained(**{**each, "share": Estimate(**each["share"]), "own": Estimate(**each["own"])})
        for each in values["contained"]
    )
    drift = pd.DataFrame(values["drift"], columns=list(DRIFT_COLUMNS))
    numbers = {name: drift[name].astype(float) for name in ("cka", "untrained", "score_before", "score_again")}
    return Representations(contained, drift.assign(**numbers), tuple(values["untold"]))
