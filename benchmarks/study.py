"""Whole studies through the command: what they cost, against the straightforward loop and with one and two workers.

    python benchmarks/study.py [--only features|loop|workers]

- features: frozen, random-frozen and linear, 5 sizes x 100 replicates x 9 settings on 1,000 simulated heads whose features are
  kept: seconds of `neurotransfer benchmark` and of `neurotransfer report`, from the start of each command to its end.
- loop: 5 sizes x 20 replicates x 9 settings x 5 strategies (finetuned, baseline, frozen, random-frozen, linear) on simulated
  volumes of 32x40x32 with the network at a quarter of its width. Ours: the cells of one replicate at every size, by the
  command with 2 workers. The straightforward loop: for every cell one fit after another, the network as PyTorch runs it by
  default, on volumes in memory, for as many epochs as ours took; features of the frozen networks once a cell, and
  scikit-learn for what is linear. Both see the same splits and settings; the loop does one size in full and, of the others, two
  of the nine settings, times 4.5.
- workers: cells of small networks by one process and by two, from the first cell to the last.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SHAPE, VOXEL_MM, SIZES = (32, 40, 32), 5.0, (10, 20, 30, 40, 50)
NETWORKS = ("finetuned", "baseline")
COMMAND = [sys.executable, "-m", "neurotransfer"]


def study_text(
    name: str, sizes: Any, replicates: int, strategies: Any, training: str = "", model: str = "sim-base"
) -> str:
    """A study file of the cohort `people`."""
    parts = [
        f'name = "{name}"',
        'cohort = { path = "people/cohort.tsv" }',
        f"grid = {{ shape = {list(SHAPE)}, voxel_size_mm = {VOXEL_MM} }}",
        "network = { width = 0.25 }",
        'tasks.sex = { target = "sex" }',
        f"protocol = {{ sizes = {list(sizes)}, replicates = {replicates} }}",
        f"training = {{ {training or 'epochs = 12, patience = 5, batch_size = 8'} }}",
        f'models.given = {{ path = "{model}" }}',
    ]
    for strategy in strategies:
        parts += ["[[strategies]]", f'strategy = "{strategy}"']
        parts += ['model = "given"'] if strategy in ("frozen", "finetuned") else []
    return "\n".join(parts) + "\n"


def simulated(folder: Path, people: int) -> None:
    """A cohort, and a network of a quarter of the width that was pretrained on it for one epoch."""
    from neurotransfer.cohort import Grid, read_cohort
    from neurotransfer.pretrain import Pretraining, pretrain
    from neurotransfer.simulate import simulate
    from neurotransfer.training import Recipe

    table = simulate(folder / "people", people, shape=SHAPE, seed=1)
    options = Pretraining(grid=Grid(SHAPE, VOXEL_MM), arguments={"width": 0.25}, recipe=Recipe(epochs=1), seed=1)
    pretrain(read_cohort(table), ["age", "sex"], folder / "model", options)


def called(folder: Path, *arguments: str) -> float:
    """Seconds of a command of ours."""
    started = time.perf_counter()
    subprocess.run([*COMMAND, *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def features(folder: Path) -> None:
    """Time the command on kept features, and the report."""
    simulated(folder, 1000)
    (folder / "s.toml").write_text(
        study_text("s", (50, 100, 200, 400, 600), 100, ("frozen", "random-frozen", "linear"), model="model")
    )
    called(folder, "benchmark", "s.toml", "--out", "run", "--workers", "2")
    # volumes and features stay, and everything that was fitted goes
    shutil.rmtree(folder / "run" / "cells")
    for name in ("results.parquet", "predictions.parquet", "manifest.json"):
        (folder / "run" / name).unlink()
    run, page = called(folder, "benchmark", "s.toml", "--out", "run", "--workers", "2"), called(folder, "report", "run")
    fits = len(pd.read_parquet(folder / "run" / "results.parquet"))
    print(
        f"features: {fits} fits in {run:.1f} s by the command, the page in {page:.1f} s, together {run + page:.1f} s",
        flush=True,
    )


def loop(folder: Path) -> None:
    """Time ours and the straightforward loop on a sample of the study's cells."""
    simulated(folder, 150)
    (folder / "s.toml").write_text(
        study_text("s", SIZES, 1, (*NETWORKS, "frozen", "random-frozen", "linear"), model="model")
    )
    whole = called(folder, "benchmark", "s.toml", "--out", "run", "--workers", "2")
    # what every command does before its first cell: starting, reading, checking
    once = called(folder, "benchmark", "s.toml", "--out", "run", "--workers", "2")
    results, ours = pd.read_parquet(folder / "run" / "results.parquet"), whole - once
    plain = {n: plain_cells(folder, results, n, every=n == SIZES[1]) for n in SIZES}
    total = sum(sum(found.values()) for found in plain.values())
    sizes = ", ".join(map(str, SIZES))
    print(
        f"loop: the cells of one replicate at n = {sizes}: ours {ours:.1f} s by 2 workers, volumes and features included"
    )
    for n, found in plain.items():
        print(f"  plain loop, n = {n}: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.items()))
    print(f"  plain loop {total:.1f} s, ours {ours:.1f} s: {total / ours:.1f} times", flush=True)


def plain_cells(folder: Path, results: pd.DataFrame, n: int, every: bool) -> dict[str, float]:
    """Seconds of the straightforward loop for the cells of one size, by strategy."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import study; "
        f"study.plain_process({str(folder)!r}, {n}, {every})"
    )
    rows = results[(results["n"] == n)]
    epochs = {str(name): list(map(int, own["epochs"])) for name, own in rows.groupby("strategy")}
    said = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(epochs), capture_output=True, text=True, check=True
    ).stdout
    return dict(json.loads(said.splitlines()[-1]))


def plain_network(dropout: float) -> Any:
    """SFCN at a quarter of its width, of plain PyTorch modules."""
    from torch import nn

    layers: list[Any] = []
    before = 1
    for after in (8, 16, 32, 64, 64):
        layers += [nn.Conv3d(before, after, 3, padding=1), nn.BatchNorm3d(after), nn.ReLU(), nn.MaxPool3d(2)]
        before = after
    layers += [nn.Conv3d(before, 64, 1), nn.BatchNorm3d(64), nn.ReLU(), nn.AdaptiveMaxPool3d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(64, 1))


def predict(model: Any, volumes: Any, rows: Any) -> Any:
    """What a network makes of some volumes."""
    import torch

    model.eval()
    with torch.no_grad():
        return torch.cat([model(volumes[some]) for some in rows.split(8)])


def plain_fit(volumes: Any, labels: Any, parts: Any, lr: float, dropout: float, epochs: int) -> None:
    """One fit as one writes it: epochs of AdamW, validation after each, the test at the end."""
    import torch

    train, check, test = parts
    model, loss = plain_network(dropout), torch.nn.BCEWithLogitsLoss()
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr)
    for _ in range(epochs):
        model.train()
        for rows in train[torch.randperm(len(train))].split(8):
            optimiser.zero_grad()
            loss(model(volumes[rows])[:, 0], labels[rows]).backward()
            optimiser.step()
        predict(model, volumes, check)
    predict(model, volumes, test)


def plain_linear(volumes: Any, labels: Any, parts: Any) -> None:
    """Nine linear heads on the features of a network that stands still, which are made once for the cell."""
    from sklearn.linear_model import LogisticRegression

    model = plain_network(0.0)[:-2]
    train, check, test = (predict(model, volumes, rows).numpy() for rows in parts)
    for penalty in np.geomspace(1e-3, 10, 9):
        head = LogisticRegression(C=1 / penalty, max_iter=1000).fit(train, labels[parts[0]].numpy())
        head.predict_proba(check)
    head.predict_proba(test)


def plain_process(folder: str, n: int, every: bool) -> None:
    """The straightforward loop in a process of its own: plain PyTorch with its defaults, nothing of ours in the fits."""
    import torch

    from neurotransfer.benchmark.plan import split_of
    from neurotransfer.benchmark.workspace import open_workspace

    epochs: dict[str, list[int]] = json.loads(sys.stdin.read())
    workspace = open_workspace(Path(folder) / "run", Path(folder))
    target = workspace.targets["sex"]
    split = split_of(workspace.study, workspace.cohort, "sex", target, n, 0)
    labels = torch.from_numpy(np.nan_to_num(workspace.cohort.labels(target))).float()
    volumes = torch.from_numpy(np.asarray(workspace.volumes)).unsqueeze(1)
    parts = [torch.from_numpy(np.asarray(part)) for part in (split.train, split.validation, split.test)]
    settings = [(lr, dropout) for lr in (3e-3, 1e-3, 3e-4) for dropout in (0.0, 0.25, 0.5)]
    places = range(9) if every else (2, 6)
    seconds = {}
    for name, ran in epochs.items():
        started, factor = time.perf_counter(), 1.0
        if name.removeprefix("given-") in NETWORKS:
            for place in places:
                plain_fit(volumes, labels, parts, *settings[place], ran[place])
            # the sampled settings stand for all, by their epochs
            factor = sum(ran) / sum(ran[place] for place in places)
        else:
            plain_linear(volumes, labels, parts)
        seconds[name] = (time.perf_counter() - started) * factor
    print(json.dumps(seconds))


def workers(folder: Path) -> None:
    """Time the cells of small networks by one process and by two."""
    simulated(folder, 60)
    text = study_text("s", (20,), 20, ("baseline",), "epochs = 6, patience = 6, batch_size = 8", model="model")
    (folder / "s.toml").write_text(text)
    called(folder, "benchmark", "s.toml", "--out", "run", "--workers", "2")
    once, found = called(folder, "benchmark", "s.toml", "--out", "run", "--workers", "2"), {}
    for count in (2, 1, 2):
        shutil.rmtree(folder / "run" / "cells")
        seconds = called(folder, "benchmark", "s.toml", "--out", "run", "--workers", str(count)) - once
        found.setdefault(count, []).append(seconds)
    one, two = (min(found[count]) for count in (1, 2))
    print(
        f"workers: 20 cells of 9 networks took {one:.1f} s by one process, {two:.1f} s by two, their start included: "
        f"{one / two:.2f} times (and {once:.1f} s once a study)",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("features", "loop", "workers"))
    options = parser.parse_args()
    for measure in (features, workers, loop):
        if options.only in (None, measure.__name__):
            with tempfile.TemporaryDirectory() as name:
                measure(Path(name))


if __name__ == "__main__":
    main()
