"""What augmentation costs: every part alone, and the preset, as a share of a training step of SFCN.

python benchmarks/augmentation.py
"""

import dataclasses
import statistics
import time

import numpy as np
import torch

from neurotransfer.models.network import Network
from neurotransfer.models.sfcn import SFCN
from neurotransfer.targets import Target
from neurotransfer.training import Engine, Examples, Recipe, fit, use
from neurotransfer.training.augment import PRESETS, Augmentation, apply, sample

BATCH, ROUNDS = 8, 32
STANDARD = PRESETS["standard"]
assert STANDARD is not None
PARTS = {
    "nothing (a copy)": Augmentation(),
    "shift": Augmentation(shift=3, probability=1),
    "flip": Augmentation(flip=1),
    "affine": Augmentation(rotation=8, scale=0.1, shear=0.05, probability=1),
    "affine + elastic": Augmentation(rotation=8, scale=0.1, shear=0.05, elastic=1, probability=1),
    "blur": Augmentation(blur=0.8, probability=1),
    "gamma": Augmentation(gamma=0.2, probability=1),
    "gain, bias": Augmentation(gain=0.1, bias=0.2, probability=1),
    "noise": Augmentation(noise=0.03, probability=1),
    "slices": Augmentation(slices=0.05, probability=1),
    "standard": STANDARD,
    "standard, all parts always": dataclasses.replace(STANDARD, probability=1.0),
}


def main() -> None:
    """Print milliseconds of `sample` and `apply` for a batch, and shares of a step."""
    print(use(Engine()))
    shapes = ((40, 48, 40), (80, 96, 80), (160, 192, 160))
    columns = []
    for shape in shapes:
        batch = BATCH if shape[0] < 100 else 2
        step = step_seconds(shape, batch)
        columns.append([(1000 * part_seconds(part, shape, batch), 1000 * step) for part in PARTS.values()])
    print("| a batch of 8 (160x192x160: 2) | " + " | ".join("x".join(map(str, shape)) for shape in shapes) + " |")
    print("|---|" + "---|" * len(shapes))
    for place, name in enumerate(PARTS):
        cells = [f"{column[place][0]:.1f} ms, {column[place][0] / column[place][1]:.1%}" for column in columns]
        print(f"| {name} | {' | '.join(cells)} |")
    print("| (a step) | " + " | ".join(f"{column[0][1]:.0f} ms" for column in columns) + " |")


def part_seconds(part: Augmentation, shape: tuple[int, ...], batch: int) -> float:
    """Mean seconds of drawing and applying a part; the mean, because a part does not happen to every volume."""
    volumes = torch.rand(batch, 1, *shape)
    # every draw is timed twice and the shorter time taken: what else the machine does is no part of the cost
    return statistics.mean(
        min(once_seconds(part, volumes, seed), once_seconds(part, volumes, seed)) for seed in range(ROUNDS)
    )


def once_seconds(part: Augmentation, volumes: torch.Tensor, seed: int) -> float:
    """Seconds of one draw and its application."""
    generator = np.random.default_rng(seed)
    started = time.perf_counter()
    apply(volumes, sample(part, len(volumes), tuple(volumes.shape[2:]), generator))
    return time.perf_counter() - started


def step_seconds(shape: tuple[int, ...], batch: int) -> float:
    """Median seconds of a training step of SFCN."""
    steps = 4 if shape[0] < 100 else 2
    volumes = np.random.default_rng(0).random((steps * batch, *shape), np.float32)
    labels = np.zeros(steps * batch)
    network = Network(SFCN(), [Target("age", "continuous")])
    train = Examples(volumes, np.arange(steps * batch), {"age": labels})
    check = Examples(volumes, np.arange(1), {"age": labels[:1]})
    return statistics.median(
        fit(network, train, check, Recipe(epochs=1, batch_size=batch), seed=0).training / steps for _ in range(3)
    )


if __name__ == "__main__":
    main()
