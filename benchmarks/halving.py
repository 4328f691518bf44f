"""What successive halving of the settings changes on a real study: time, the setting that is chosen, and the test score.

    python benchmarks/halving.py DATA [--replicates 8] [--out FOLDER]

DATA holds ds000228 and ds002748 (the shared real heads). The study is that of studies/development.toml with the nine settings
of the strategies and keys below, once with `search = "full"` and once with `search = "halving"`: the same splits, seeds and
first weights. Prints, over all cells: how often the same setting is chosen, the validation loss and the test score that are
lost or won (halving less full, mean and 1.96 standard errors of the paired differences), and the seconds of the fits. Runs
that lie in FOLDER already are taken as they are.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark.records import KEY
from neurotransfer.pretrain.parts import read_toml
from neurotransfer.progress import bar
from neurotransfer.statistics import SCORES, summary
from neurotransfer.workflow import shipped_study

TASKS = {"age": "mae", "group": "auc"}
NETWORKS = [{"strategy": "finetuned", "model": "multi"}, {"strategy": "baseline"}]


def values_of(search: str, replicates: int) -> dict[str, Any]:
    """The study, as plain values."""
    values = read_toml(shipped_study("development"), "")
    values |= {
        "name": f"search_{search}",
        "models": {"multi": values["models"]["multi"]},
        "tasks": {"age": {"target": "age", "score": "mae"}, "group": {"target": "group", "score": "auc"}},
        "strategies": NETWORKS,
        "protocol": {"sizes": [20, 40], "replicates": replicates, "test": "rest", "search": search},
        "training": {"epochs": 18, "patience": 8, "batch_size": 8},
    }
    return values


def paired(full: pd.DataFrame, halved: pd.DataFrame) -> pd.DataFrame:
    """A row a cell: the chosen fits of both runs, the columns of the second with `_halved` behind."""
    chosen = [table[table["selected"]] for table in (full, halved)]
    return chosen[0].merge(chosen[1], on=list(KEY), suffixes=("", "_halved"), validate="one_to_one")


def change(both: pd.DataFrame, column: str) -> str:
    """Halving less full, in pairs."""
    found = summary((both[f"{column}_halved"] - both[column]).to_numpy(float))
    return f"{found.mean:+.4f} ± {1.96 * found.sem:.4f}"


def main() -> None:
    """Run both and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--replicates", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        out = options.out or Path(name)
        full, halved = (
            benchmark(
                parse_study(values_of(search, options.replicates)), out / search, data=options.data,
                workers=options.workers, progress=bar,
            ).results
            for search in ("full", "halving")
        )  # fmt: skip
    assert full is not None
    assert halved is not None
    seconds = [table["seconds"].sum() for table in (full, halved)]
    print(
        f"fits: {seconds[0]:.0f} s in full, {seconds[1]:.0f} s with halving: {seconds[0] / seconds[1]:.2f} times less"
    )
    print(f"epochs: {full['epochs'].sum()} and {halved['epochs'].sum()}")
    for (task, strategy), both in paired(full, halved).groupby(["task", "strategy"]):
        same = (both["setting_index"] == both["setting_index_halved"]).mean()
        score = TASKS[str(task)]
        better = "higher" if SCORES[score].higher_is_better else "lower"
        print(
            f"{task}, {strategy} ({len(both)} cells): the same setting in {100 * same:.0f} %; validation loss "
            f"{change(both, 'validation_loss')}; test {score} ({better} is better) {both[f'test_{score}'].mean():.3f} in full, "
            f"change {change(both, f'test_{score}')}"
        )


if __name__ == "__main__":
    main()
