"""How long the learning curves of frozen, random-frozen and linear take, on kept features of 64 numbers.

python benchmarks/closed_form.py [--replicates 100] [--workers 2]

Sizes 50, 100, 200, 500 and 1000, nine penalties each, once for a continuous and once for a binary target. Timed, from
first to last: every split drawn and checked as a plan does; the worker processes, from their start; the splits, fits,
scores and files of all cells; the two tables of results. Not timed: making the table, the networks and their features,
which a real run makes once and keeps. The features are numbers drawn at random, of which the first ten tell of the target.
"""

import argparse
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from neurotransfer.benchmark import parse_study, workspace
from neurotransfer.benchmark.plan import Cell, Plan, split_of, targets_of
from neurotransfer.benchmark.results import write_results
from neurotransfer.benchmark.schedule import Schedule
from neurotransfer.benchmark.teams import processes
from neurotransfer.benchmark.work import job_of
from neurotransfer.cohort import Cohort, Grid, read_cohort
from neurotransfer.models import Card, Model, save_model
from neurotransfer.models.network import Network, seeded
from neurotransfer.models.sfcn import SFCN

PEOPLE, FEATURES, SIZES = 2000, 64, (50, 100, 200, 500, 1000)
COLUMNS = [f"region_{index}" for index in range(FEATURES)]
STRATEGIES = ({"strategy": "frozen", "model": "given"}, {"strategy": "random-frozen"}, {"strategy": "linear"})
TARGETS = {"age": "ridge", "diagnosis": "logistic"}


def make_cohort(folder: Path) -> Cohort:
    """A table of people with 64 columns, an age and a diagnosis that the first ten columns tell of."""
    generator = np.random.default_rng(0)
    regions = generator.normal(size=(PEOPLE, FEATURES))
    latent = regions[:, :10].sum(1) + 3 * generator.normal(size=PEOPLE)
    table = pd.DataFrame(regions, columns=COLUMNS).assign(
        participant_id=[f"p{index}" for index in range(PEOPLE)],
        age=50 + 3 * latent,
        diagnosis=np.where(latent > 0, "patient", "control"),
    )
    table.to_csv(folder / "people.csv", index=False)
    return read_cohort(folder / "people.csv", images=False)


def make_plan(cohort: Cohort, folder: Path, target: str, replicates: int) -> Plan:
    """The plan of a study of three strategies, without the check that networks have images."""
    study = parse_study(
        {
            "name": "closed-form",
            "cohort": {"path": "people.csv", "images": False},
            "models": {"given": {"path": str(folder / "given")}},
            "tasks": {target: {"target": target}},
            "regional_columns": COLUMNS,
            "strategies": list(STRATEGIES),
            "protocol": {"sizes": list(SIZES), "replicates": replicates},
        }
    )
    cells = tuple(
        Cell(target, n, replicate, part.title)
        for n in SIZES
        for replicate in range(replicates)
        for part in study.strategies
    )
    return Plan(study, targets_of(study, cohort), cells, ())


def make_model(plan: Plan, folder: Path) -> None:
    """The model folder that the study names: an SFCN of full width, which gives 64 features."""
    with seeded(0):
        network = Network(SFCN(width=1.0), plan.targets.values())
    card = Card("given", "sfcn", {"width": 1.0}, tuple(plan.targets.values()), Grid((40, 48, 40), 4.0))
    save_model(folder / "given", Model(network.eval(), card))


def keep_features(cohort: Cohort, plan: Plan, folder: Path) -> None:
    """A run folder that is ready for its cells, with the columns in place of what the networks make of scans."""
    workspace.write_study(folder, plan)
    workspace.write_cohort(folder, plan.study, cohort, None)
    features = cohort.table[COLUMNS].to_numpy(np.float32)
    with patch.object(workspace, "inputs_of", lambda *_: features):
        for part in plan.study.strategies:
            workspace.open_workspace(folder).inputs(part.title, plan.cells[0].task)


def time_run(cohort: Cohort, plan: Plan, folder: Path, workers: int) -> tuple[float, int]:
    """Seconds from the first split to the tables of results, and how many fits these hold."""
    started = time.perf_counter()
    for task, target in plan.targets.items():
        labels = cohort.labels(target)
        for n in plan.study.protocol.sizes:
            for replicate in range(plan.study.protocol.replicates):
                split_of(plan.study, cohort, task, target, n, replicate, labels)
    Schedule(job_of(folder), plan.cells, processes(workers), lambda _: None, lambda _: None).run()
    results = write_results(folder, plan, cohort)
    assert results["error"].isna().all()
    return time.perf_counter() - started, len(results)


def main() -> None:
    """Time both targets and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(f"sizes {', '.join(map(str, SIZES))}; {options.workers} workers")
    print(f"{'head':10}{'replicates':>12}{'settings':>10}{'strategies':>12}{'fits':>8}{'seconds':>10}")
    for target, head in TARGETS.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            cohort = make_cohort(folder)
            plan = make_plan(cohort, folder, target, options.replicates)
            make_model(plan, folder)
            keep_features(cohort, plan, folder / "run")
            seconds, fits = time_run(cohort, plan, folder / "run", options.workers)
        settings = fits // len(plan.cells)
        print(f"{head:10}{options.replicates:12}{settings:10}{len(STRATEGIES):12}{fits:8}{seconds:10.1f}", flush=True)


if __name__ == "__main__":
    main()
