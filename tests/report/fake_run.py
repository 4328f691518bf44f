"""A run folder as the benchmark writes it, from made-up numbers that are the same every time."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.statistics import SCORES, scores

SIZES = (10, 25, 100)
REPLICATES = 8
STRATEGIES = ("baseline", "multi-frozen", "multi-finetuned", "voxels", "linear")
QUALITY = {"baseline": 0.15, "multi-frozen": 0.75, "multi-finetuned": 0.9, "voxels": 0.45, "linear": 0.6}
TASKS = {
    "age": {
        "target": "age",
        "kind": "continuous",
        "classes": [],
        "unit": "years",
        "score": "rae",
        "label": "Age",
        "published": [],
    },
    "sex": {
        "target": "sex",
        "kind": "binary",
        "classes": ["F", "M"],
        "unit": "",
        "score": "auc",
        "label": "Sex",
        "published": [],
    },
}
FAILURE = "RuntimeError: loss is <nan> & gone"


def cohort(n_people=120):
    draws = np.random.default_rng(5)
    child = np.arange(n_people) % 2 == 0
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{index:03d}" for index in range(n_people)],
            "session_id": "ses-1",
            "site": [f"site-{'ABCD'[index % 4]}" for index in range(n_people)],
            "cohort": "fake",
            "age": np.where(child, draws.normal(9, 2, n_people), draws.normal(65, 8, n_people)).round(1),
            "sex": draws.choice(["F", "M"], n_people),
            "subgroup": np.where(child, "child", "adult"),
        }
    )


def _predicted(task, observed, skill, draws):
    noise = draws.normal(size=len(observed))
    if task == "age":
        return observed.mean() + skill * (observed - observed.mean()) + 12 * (1 - skill) * noise
    return 1 / (1 + np.exp(-(4 * skill * (observed - 0.5) + noise)))


def _cell(people, task, n, replicate, strategy):
    draws = np.random.default_rng([n, replicate, STRATEGIES.index(strategy), len(task)])
    chosen = np.random.default_rng([n, replicate]).choice(len(people), 40, replace=False)
    observed = (
        people["age"].to_numpy()[chosen] if task == "age" else (people["sex"].to_numpy()[chosen] == "M").astype(float)
    )
    skill = QUALITY[strategy] * (1 - 2 / n) if strategy != "baseline" else QUALITY[strategy] + 0.3 * (n > 50)
    predicted = _predicted(task, observed, skill, draws)
    found = scores(TASKS[task]["kind"], observed, predicted)
    key = {"task": task, "n": n, "replicate": replicate, "strategy": strategy}
    fit = {
        **key,
        "setting": json.dumps({"lr": 0.001}),
        "setting_index": 1,
        "selected": True,
        **{f"validation_{name}": value for name, value in found.items()},
        **{f"test_{name}": value for name, value in found.items()},
        **{f"train_{name}": value for name, value in found.items()},
        "epochs": 0 if strategy in ("voxels", "linear") else int(20 + draws.integers(10)),
        "best_epoch": 5,
        "seconds": 1.5,
        "n_train_images": n,
        "n_train_participants": n - 1,
        "n_validation_images": 20,
        "n_test_images": 40,
        "error": None,
    }
    untested = {f"{part}_{name}": np.nan for part in ("test", "train") for name in SCORES}
    other = {**fit, "setting_index": 0, "selected": False} | untested
    rows = [
        {
            **key,
            "participant_id": people["participant_id"].iloc[row],
            "session_id": "ses-1",
            "row": int(row),
            "observed": observed[index],
            "predicted": predicted[index],
            "probabilities": None if task == "age" else [1 - predicted[index], predicted[index]],
            "subgroup": people["subgroup"].iloc[row],
        }
        for index, row in enumerate(chosen)
    ]
    return [other, fit], rows


@cache
def tables():
    """Results, predictions and cohort; the fit of baseline at n = 10, replicate 3, of age failed in both settings."""
    people = cohort()
    fits, predictions = [], []
    for task in TASKS:
        for n in SIZES:
            for replicate in range(REPLICATES):
                for strategy in STRATEGIES:
                    cells, rows = _cell(people, task, n, replicate, strategy)
                    fits += cells
                    predictions += rows
    results, predictions = pd.DataFrame(fits), pd.DataFrame(predictions)

    def lost(table):
        return (table.task == "age") & (table.n == 10) & (table.replicate == 3) & (table.strategy == "baseline")

    failed = lost(results)
    results["error"] = results["error"].astype(object)
    results.loc[failed, "error"] = FAILURE
    results.loc[failed, "selected"] = False
    results.loc[failed, [f"{part}_{name}" for part in ("validation", "test") for name in SCORES]] = np.nan
    return results, predictions[~lost(predictions)].reset_index(drop=True), people


def study():
    return {
        "name": "fake",
        "title": "A fake study & its <curves>",
        "description": "Made-up numbers.",
        "seed": 3,
        "sizes": list(SIZES),
        "replicates": REPLICATES,
        "test": "fifth",
        "epochs": 30,
        "tasks": TASKS,
        "strategies": [
            {
                "label": label,
                "strategy": label.removeprefix("multi-"),
                "model": "multi" if label.startswith("multi") else None,
                "description": f"What {label} does.",
            }
            for label in STRATEGIES
        ],
        "subgroup": "subgroup",
        "cells": 240,
        "patience": 7,
    }


def manifest():
    model = {
        "cohort": "big",
        "n_images": 900,
        "n_participants": 800,
        "targets": ["age", "sex"],
        "metrics": {"age": {"mae": 3.25}},
        "overlap_participants": 4,
    }
    return {
        "command": "neurotransfer benchmark fake.toml --out RUN",
        "provenance": {"seed": 3, "python": "3.11", "versions": {"numpy": "2.4", "torch": "2.13.0"}},
        "seconds": 321.0,
        "cells_failed": 1,
        "notes": ["sex at n = 10: one class is rare."],
        "models": {"multi": model},
    }


def write_run(
    folder: Path, *, complete=True, with_predictions=True, with_cohort=True, study_facts=None, strategies=STRATEGIES
):
    """Write the fake run, or only some of its strategies; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    results, predictions, people = tables()
    results, predictions = (table[table["strategy"].isin(strategies)] for table in (results, predictions))
    (folder / "study.json").write_text(json.dumps(study_facts or study()))
    results.to_parquet(folder / "results.parquet", index=False)
    if with_predictions:
        predictions.to_parquet(folder / "predictions.parquet", index=False)
    if with_cohort:
        people.to_parquet(folder / "cohort.parquet", index=False)
    if complete:
        (folder / "manifest.json").write_text(json.dumps(manifest()))
    return folder


def write_crafted(folder: Path, values, *, task="sex", sizes=(10,), score="", kinds=None, complete=True, **columns):
    """Write a run of chosen scores: strategy -> one a replicate, the same at every size, or {n: one a replicate}."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = study() | {"tasks": {task: TASKS[task]}, "sizes": list(sizes), "cells": 4}
    score = score or TASKS[task]["score"]
    facts["tasks"] = {task: TASKS[task] | {"score": score}}
    known = kinds or {}
    facts["strategies"] = [
        {
            "label": name,
            "strategy": known.get(name, (name, None))[0],
            "model": known.get(name, (name, None))[1],
            "description": "",
        }
        for name in values
    ]
    rows = [
        {"task": task, "n": n, "replicate": replicate, "strategy": name, "setting": "{}", "setting_index": 0, "selected": True,
         "epochs": 3, "seconds": 0.5, "error": None, "n_train_images": n, "n_train_participants": n, **columns}
        | {f"{part}_{other}": np.nan for part in ("test", "validation") for other in SCORES}
        | {f"test_{score}": value, f"validation_{score}": value}
        for n in sizes
        for name, scored in values.items()
        for replicate, value in enumerate(scored[n] if isinstance(scored, dict) else scored)
    ]  # fmt: skip
    (folder / "study.json").write_text(json.dumps(facts))
    pd.DataFrame(rows).to_parquet(folder / "results.parquet", index=False)
    if complete:
        (folder / "manifest.json").write_text(json.dumps({"command": "neurotransfer benchmark s.toml"}))
    return folder
