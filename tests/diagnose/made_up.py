"""Curves, tables of fits and run folders of made-up numbers."""

import json

import numpy as np
import pandas as pd

from neurotransfer.report.folder import Task
from neurotransfer.statistics import SCORES

SIZES = (50, 100, 200, 400, 800)
RISING = np.array([0.60, 0.66, 0.71, 0.74, 0.76])
DIPPING = np.array([0.60, 0.68, 0.73, 0.66, 0.72])
TASK = Task("diagnosis", "Diagnosis", "binary", ("control", "patient"), "", "auc", "diagnosis")
AGE = Task("age", "Age", "continuous", (), "years", "mae", "age")


def replicates(means, spread=0.02, n=30, seed=0):
    """Scores (n, K) around means."""
    return np.asarray(means) + spread * np.random.default_rng(seed).standard_normal((n, len(means)))


def fits(scores, task=TASK, strategy="linear", sizes=SIZES, settings=({"penalty": 1.0},), validation=None, train=None):
    """The fits of one curve: test scores (R, K) of chosen settings; validation scores (R, K, S), the best of which is chosen."""
    scores = np.asarray(scores)
    n_settings = len(settings)
    if validation is None:
        validation = np.repeat(scores[:, :, None], n_settings, axis=2)
    higher = SCORES[task.score].higher_is_better
    rows = []
    for replicate in range(len(scores)):
        for place, n in enumerate(sizes):
            found = validation[replicate, place]
            chosen = int(np.argmax(found if higher else -found))
            for index, setting in enumerate(settings):
                rows.append(
                    {
                        "task": task.name,
                        "n": n,
                        "replicate": replicate,
                        "strategy": strategy,
                        "setting_index": index,
                        "setting": json.dumps(setting),
                        "selected": index == chosen,
                        f"validation_{task.score}": found[index],
                        f"test_{task.score}": scores[replicate, place] if index == chosen else np.nan,
                        "epochs": 0,
                        "error": None,
                    }
                )
                if train is not None:
                    rows[-1] |= {name: values[place] for name, values in train.items()}
    return pd.DataFrame(rows)


def write_run(folder, tables, task=TASK, sizes=SIZES, **study):
    """A run folder with these tables of fits, by strategy."""
    folder.mkdir(parents=True, exist_ok=True)
    results = pd.concat(tables.values(), ignore_index=True)
    for name in SCORES:
        for part in ("test", "validation"):
            if f"{part}_{name}" not in results:
                results[f"{part}_{name}"] = np.nan
    results.to_parquet(folder / "results.parquet")
    facts = {
        "name": "made-up",
        "seed": 3,
        "sizes": list(sizes),
        "replicates": int(results["replicate"].max()) + 1,
        "tasks": {
            task.name: {"target": task.target, "kind": task.kind, "classes": list(task.classes), "unit": task.unit,
                        "score": task.score, "label": task.label}
        },
        "strategies": [{"label": name, "strategy": name} for name in tables],
        **study,
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(facts))
    return folder
