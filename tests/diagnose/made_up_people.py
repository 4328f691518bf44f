"""Run folders with people: a table of scans, fits and test predictions of made-up numbers."""

import json

import made_up
import numpy as np
import pandas as pd

COLUMNS = [f"c{place}" for place in range(6)]
SIZES = (50, 100)


def people(n=300, share_ill=0.5, apart=3.0, seed=0):
    """People of three sites whose class moves the first column; `truth` is 0 or 1."""
    draws = np.random.default_rng(seed)
    truth = (draws.random(n) < share_ill).astype(int)
    features = draws.normal(size=(n, len(COLUMNS)))
    features[:, 0] += apart * truth
    table = pd.DataFrame(features, columns=COLUMNS)
    return table.assign(
        participant_id=[f"secret-{place:04d}" for place in range(n)],
        session_id="",
        image="",
        mask="",
        site=np.repeat(["a", "b", "c"], [n // 2, n // 3, n - n // 2 - n // 3]),
        diagnosis=np.where(truth == 1, "patient", "control"),
        truth=truth,
    )


def predicted(table, apart=3.0):
    """The probability of class 1 that the columns truly give."""
    return 1 / (1 + np.exp(-apart * (table["c0"].to_numpy() - apart / 2)))


def write_run(folder, table, probability, *, task=made_up.TASK, replicates=6, strategies=("linear",), seed=0, **study):
    """A run folder whose strategies predict `probability` (n,) of random halves of the people, by replicate.

    `probability` may be a function of who is learnt from and who is tested, both as rows.
    """
    draws = np.random.default_rng(seed)
    fits = {
        name: made_up.fits(made_up.replicates([0.8, 0.85], 0.01, replicates, place), task, name, SIZES)
        for place, name in enumerate(strategies)
    }
    given = {"regional_columns": COLUMNS, "tasks": {task.name: {"target": task.target}}, **study}
    made_up.write_run(folder, fits, task, SIZES, study=given)
    observed = (
        table[task.target].map(dict(zip(task.classes, range(9), strict=False))) if task.classes else table[task.target]
    )
    rows = []
    for n in SIZES:
        for replicate in range(replicates):
            tested, learnt = np.split(draws.permutation(len(table)), [len(table) // 2])
            own = probability(learnt, tested) if callable(probability) else np.asarray(probability)[tested]
            rows += [
                pd.DataFrame(
                    {"task": task.name, "n": n, "replicate": replicate, "strategy": name, "row": tested, "subgroup": None,
                     "participant_id": table["participant_id"].to_numpy()[tested],
                     "observed": observed.to_numpy(float)[tested], "predicted": own}
                )
                for name in strategies
            ]  # fmt: skip
    pd.concat(rows, ignore_index=True).to_parquet(folder / "predictions.parquet")
    table.drop(columns="truth", errors="ignore").to_parquet(folder / "cohort.parquet")
    (folder / "cohort.json").write_text(json.dumps({"name": "made-up", "alignment": "world", "notes": []}))
    return folder
