"""How long `diagnose` takes on the tables of a full study: 5 sizes x 100 replicates x 9 settings x 5 strategies = 22,500 fits.

    python benchmarks/diagnosis.py

The bar is 30 seconds for the whole command, page included. Numbers depend on the machine; the number of fits does not.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.statistics import SCORES, scores

SIZES, REPLICATES, STRATEGIES = (100, 200, 300, 400, 500), 100, ("finetuned", "frozen", "baseline", "linear", "voxels")
SETTINGS = [{"lr": lr, "dropout": dropout} for lr in (3e-3, 1e-3, 3e-4) for dropout in (0.0, 0.25, 0.5)]
POOL = 1500


def tables(generator: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fits and test predictions of made-up numbers, as many as a full study has."""
    fits, predictions = [], []
    for n in SIZES:
        for replicate in range(REPLICATES):
            people = generator.choice(POOL, n // 5, replace=False)
            observed = (people % 2).astype(float)
            for place, strategy in enumerate(STRATEGIES):
                signal = 0.5 + 0.2 * place + n / 500
                predicted = 1 / (1 + np.exp(-(signal * (observed - 0.5) + generator.standard_normal(len(people)))))
                found = scores("binary", observed, predicted)
                validation = found["auc"] + 0.05 * generator.standard_normal(len(SETTINGS))
                key = {"task": "diagnosis", "n": n, "replicate": replicate, "strategy": strategy}
                for index, setting in enumerate(SETTINGS):
                    is_chosen = index == int(validation.argmax())
                    row = key | {"setting_index": index, "setting": json.dumps(setting), "selected": is_chosen}
                    row |= {f"validation_{name}": validation[index] if name == "auc" else np.nan for name in SCORES}
                    row |= {f"test_{name}": found[name] if is_chosen else np.nan for name in SCORES}
                    fits.append(row | {"n_test_images": len(people), "epochs": 20, "error": None})
                names = [f"sub-{person:05d}" for person in people]
                predictions.append(
                    pd.DataFrame(
                        key | {"participant_id": names, "observed": observed, "predicted": predicted, "subgroup": None}
                    )
                )
    return pd.DataFrame(fits), pd.concat(predictions, ignore_index=True)


def main() -> None:
    """Make the tables, diagnose them, print the seconds."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fits, predictions = tables(np.random.default_rng(0))
        fits.to_parquet(folder / "results.parquet")
        predictions.to_parquet(folder / "predictions.parquet")
        task = {"target": "diagnosis", "kind": "binary", "classes": ["control", "patient"], "score": "auc"}
        study = {
            "name": "full",
            "seed": 0,
            "tasks": {"diagnosis": task},
            "strategies": [{"label": name} for name in STRATEGIES],
        }
        (folder / "study.json").write_text(json.dumps(study))
        began = time.perf_counter()
        from neurotransfer.diagnose.run import diagnose

        path, _ = diagnose(folder, reach=0.8)
        seconds = time.perf_counter() - began
        print(
            f"{len(fits)} fits, {len(predictions)} test predictions: {seconds:.1f} s, page {path.stat().st_size / 1e6:.2f} MB"
        )


if __name__ == "__main__":
    main()
