"""Training and inference of SFCN: ours, against a plain PyTorch loop, TorchIO's queue, and what the machine can multiply.

    python benchmarks/training.py [--quick] [--memory]

Every measurement is a process of its own, so that no setting of one reaches another; rounds alternate between them, and the
median of the rounds counts. The plain loop is what the field does: a Dataset that reads NIfTI by nibabel, a DataLoader, the
network as PyTorch runs it by default (float32, contiguous, the system's allocator). Prints volumes a second, ratios to it,
the share of the machine's measured bfloat16 matrix product rate, and peak memory.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHAPES = {"32x38x32": 16, "40x48x40": 16, "48x56x48": 8, "80x96x80": 8, "160x192x160": 2}
LOADED = ("40x48x40", "80x96x80")
SIDES = (1024, 2048, 4096, 8192)


def sizes(name: str) -> tuple[int, ...]:
    """The sides of volumes by their name."""
    return tuple(int(side) for side in name.split("x"))


def products(shape: tuple[int, ...]) -> int:
    """Multiplications and additions of the convolutions of SFCN for one volume, forward."""
    from neurotransfer.models.sfcn import FILTERS

    total, before = 0, 1
    for after in FILTERS:
        total += 2 * 27 * before * after * shape[0] * shape[1] * shape[2]
        before, shape = after, tuple(side // 2 for side in shape)
    return total


def rate(step: Callable[[], Any], n: int, seconds: float) -> float:
    """Volumes a second of a step of n: the median of steps for some seconds, after two that do not count."""
    for _ in range(2):
        step()
    times, started = [], time.perf_counter()
    while time.perf_counter() - started < seconds or len(times) < 2:
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
    return n / statistics.median(times)


def plain_network() -> Any:
    """SFCN of plain PyTorch modules: nothing of ours takes part."""
    from torch import nn

    layers: list[Any] = []
    before = 1
    for after in (32, 64, 128, 256, 256):
        layers += [nn.Conv3d(before, after, 3, padding=1), nn.BatchNorm3d(after), nn.ReLU(), nn.MaxPool3d(2)]
        before = after
    layers += [nn.Conv3d(before, 64, 1), nn.BatchNorm3d(64), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(64, 1))


def plain(name: str, what: str, seconds: float) -> float:
    """The network as PyTorch runs it by default."""
    import torch

    network, n = plain_network(), SHAPES[name] if name != "160x192x160" else 1
    volumes, labels = torch.rand(n, 1, *sizes(name)), torch.randn(n, 1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def train() -> None:
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(network(volumes), labels).backward()
        optimiser.step()

    def infer() -> None:
        with torch.no_grad():
            network(volumes)

    if what == "inference":
        network.eval()
    return rate(train if what == "training" else infer, n, seconds)


def ours(name: str, what: str, seconds: float, precision: str = "auto") -> float:
    """The engine: whole epochs of `fit` from memory, its own steps only; or its inference."""
    import numpy as np

    from neurotransfer.models.network import Network
    from neurotransfer.models.sfcn import SFCN
    from neurotransfer.targets import Target
    from neurotransfer.training import Engine, Examples, Recipe, fit, outputs, use

    use(Engine(precision=precision))
    network, n = Network(SFCN(), [Target("age", "continuous")]), SHAPES[name]
    steps = 2 if name == "160x192x160" else max(2, 32 // n)
    volumes = np.random.default_rng(0).random((n * steps, *sizes(name)), np.float32)
    labels = np.random.default_rng(1).normal(size=n * steps)
    train = Examples(volumes, np.arange(n * steps), {"age": labels})
    check = Examples(volumes, np.arange(1), {"age": labels[:1]})
    if what == "inference":
        return rate(lambda: outputs(network, volumes, np.arange(n)), n, seconds)
    found = []
    for _ in range(2 + max(1, int(seconds / 4))):
        found.append(n * steps / fit(network, train, check, Recipe(epochs=1, batch_size=n), seed=0).training)
    return statistics.median(found[1:])


def memory(name: str, batch: str, precision: str) -> float:
    """Volumes a second of one epoch of two steps; the caller reads the peak memory of the process."""
    SHAPES[name] = int(batch)
    return ours(name, "training", 0.0, precision)


def limit(kind: str, device: str = "cpu") -> float:
    """Operations a second of the best square matrix product."""
    import torch

    from neurotransfer.training.engine import keep_memory

    keep_memory()
    found = []
    for side in SIDES if device != "cpu" else SIDES[:3]:
        one, other = (torch.rand(side, side).to(device, getattr(torch, kind)) for _ in range(2))

        def multiply(one: Any = one, other: Any = other) -> Any:
            made = one @ other
            if device != "cpu":
                torch.cuda.synchronize()
            return made

        found.append(rate(multiply, 1, 1.0) * 2 * side**3)
    return max(found)


def write_scans(folder: Path, name: str, n: int) -> None:
    """Heads as nii.gz, smooth enough to be compressed as heads are, and a table."""
    import nibabel
    import numpy as np
    from scipy import ndimage

    for place in range(n):
        noise = np.random.default_rng(place).random(sizes(name), np.float32)
        head = ndimage.gaussian_filter(noise, 1.5)
        head = (head - head.min()) / (head.max() - head.min())
        nibabel.save(nibabel.Nifti1Image(head, np.diag([2.0, 2, 2, 1])), folder / f"sub-{place:03d}.nii.gz")


def plain_epoch(name: str, folder: Path) -> dict[str, float]:
    """Volumes a second that a DataLoader over nii.gz gives, without a network."""
    import nibabel
    import numpy as np
    import torch

    class Scans(torch.utils.data.Dataset):
        def __init__(self) -> None:
            self.paths = sorted(folder.glob("*.nii.gz"))

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, place: int) -> Any:
            return torch.from_numpy(np.asarray(nibabel.load(self.paths[place]).dataobj, np.float32))[None]

    loader = torch.utils.data.DataLoader(Scans(), batch_size=8, shuffle=True, num_workers=2, persistent_workers=True)
    return {"loading": rate(lambda: [None for _ in loader], len(loader.dataset), 6)}


def torchio_epoch(name: str, folder: Path) -> dict[str, float]:
    """Volumes a second that TorchIO's queue gives when every patch is a whole volume."""
    import torchio

    subjects = [torchio.Subject(image=torchio.ScalarImage(path)) for path in sorted(folder.glob("*.nii.gz"))]
    data = torchio.SubjectsDataset(subjects)
    queue = torchio.Queue(data, max_length=16, samples_per_volume=1, num_workers=2,
                          sampler=torchio.UniformSampler(sizes(name)))  # fmt: skip
    loader = torchio.SubjectsLoader(queue, batch_size=8, num_workers=0)
    return {"loading": rate(lambda: [None for _ in loader], len(subjects), 6)}


def our_epoch(name: str, folder: Path) -> dict[str, float]:
    """Volumes a second from the store, and the share of a training epoch that waits for it."""
    import numpy as np
    import pandas as pd

    from neurotransfer.cohort import Grid, read_cohort, store_volumes
    from neurotransfer.models.network import Network
    from neurotransfer.models.sfcn import SFCN
    from neurotransfer.targets import Target
    from neurotransfer.training import Engine, Examples, Recipe, fit, use
    from neurotransfer.training.inference import as_batch

    use(Engine())
    paths = sorted(folder.glob("*.nii.gz"))
    rows = [
        {"participant_id": path.name[:7], "image": path.name, "age": 20 + place} for place, path in enumerate(paths)
    ]
    pd.DataFrame(rows).to_csv(folder / "cohort.tsv", sep="\t", index=False)
    cohort = read_cohort(folder / "cohort.tsv", alignment="centre")
    with tempfile.TemporaryDirectory() as place:
        store = store_volumes(Path(place), cohort, Grid(sizes(name), 2.0), bits=8)
        every = np.arange(len(store))
        order = np.random.default_rng(0)
        epoch = rate(lambda: [as_batch(store, part) for part in np.array_split(order.permutation(every), len(every) // 8)],
                     len(every), 3)  # fmt: skip
        labels = {"age": np.linspace(-1, 1, len(every))}
        learn = Examples(store, every, labels)
        check = Examples(store, every[:2], {"age": labels["age"][:2]})
        network = Network(SFCN(), [Target("age", "continuous")])
        history = fit(network, learn, check, Recipe(epochs=2, batch_size=8), seed=0)
    return {"loading": epoch, "waiting": history.waiting / history.training}


def measured(*words: object) -> dict[str, float]:
    """One measurement in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--one", *map(str, words)], capture_output=True, text=True, check=False,
        env={**os.environ, "NEUROTRANSFER_THREADS": "", "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    if done.returncode:
        print(f"{' '.join(map(str, words))}: {(done.stderr.strip() or 'ended').splitlines()[-1]}", file=sys.stderr)
        return {"value": float("nan"), "loading": float("nan"), "waiting": float("nan"), "peak": float("nan")}
    return json.loads(done.stdout.strip().splitlines()[-1])


def one(words: list[str]) -> dict[str, float]:
    """What a process of its own measures."""
    what, name, *rest = words
    if what == "limit":
        return {"value": limit(name)}
    if what in ("plain_epoch", "torchio_epoch", "our_epoch"):
        return globals()[what](name, Path(rest[0]))
    value = memory(name, *rest) if what == "memory" else globals()[what](name, rest[0], float(rest[1]), *rest[2:])
    return {"value": value, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def median(found: list[dict[str, float]], name: str) -> float:
    """The median of a number over rounds."""
    return statistics.median(each[name] for each in found)


def table_of_speed(what: str, rounds: int, seconds: float, limits: dict[str, float]) -> None:
    """Print a row a size."""
    print(
        f"\n| {what} | plain (volumes/s) | ours | ratio | ours, float32 | share of bfloat16 limit | peak plain, ours (GiB) |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in SHAPES:
        found: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
        for _ in range(rounds):
            for which in found:
                found[which].append(measured(which, name, what, seconds))
        precise = measured("ours", name, what, seconds, "float32")["value"]
        theirs, value = median(found["plain"], "value"), median(found["ours"], "value")
        share = value * products(sizes(name)) * (3 if what == "training" else 1) / limits["bfloat16"]
        peaks = f"{median(found['plain'], 'peak'):.1f}, {median(found['ours'], 'peak'):.1f}"
        print(f"| {name}, batch {SHAPES[name]} | {theirs:.2f} | {value:.2f} | {value / theirs:.1f} | {precise:.2f} | "
              f"{share:.0%} | {peaks} |", flush=True)  # fmt: skip


def table_of_loading() -> None:
    """Print loading rates from nii.gz, from TorchIO's queue and from the store."""
    print(
        "\n| loading | DataLoader over nii.gz (volumes/s) | TorchIO queue | store, 8 bits | ratio | waiting, share of a step |"
    )
    print("|---|---|---|---|---|---|")
    for name in LOADED:
        with tempfile.TemporaryDirectory() as folder:
            write_scans(Path(folder), name, 48)
            theirs, queue, mine = (measured(f"{who}_epoch", name, folder) for who in ("plain", "torchio", "our"))
        print(f"| {name} | {theirs['loading']:.0f} | {queue['loading']:.0f} | {mine['loading']:.0f} | "
              f"{mine['loading'] / theirs['loading']:.0f} | {mine['waiting']:.1%} |", flush=True)  # fmt: skip


def table_of_memory() -> None:
    """Print the peak memory of a process that trains, by size, batch and precision, beside its speed."""
    print("| volumes | batch | bfloat16: GiB, volumes/s | float32: GiB, volumes/s |\n|---|---|---|---|")
    for name, batches in (("80x96x80", (4, 8, 16, 32)), ("160x192x160", (1, 2, 4))):
        for batch in batches:
            cells = [measured("memory", name, batch, kind) for kind in ("bfloat16", "float32")]
            print(f"| {name} | {batch} | " + " | ".join(f"{each['peak']:.1f}, {each['value']:.2f}" for each in cells) + " |",
                  flush=True)  # fmt: skip


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--memory", action="store_true", help="only the table of peak memory by size and batch")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one)))
        return
    if arguments.memory:
        table_of_memory()
        return
    import torch

    from neurotransfer.training import Engine

    started = time.perf_counter()
    limits = {kind: measured("limit", kind)["value"] for kind in ("float32", "bfloat16")}
    print(f"{Engine().chosen()}; torch {torch.__version__}")
    print("matrix products: " + ", ".join(f"{kind} {value / 1e9:.0f} GFLOP/s" for kind, value in limits.items()))
    for what in ("training", "inference"):
        table_of_speed(what, 1 if arguments.quick else 2, 2.0 if arguments.quick else 3.0, limits)
    table_of_loading()
    print(f"\n{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
