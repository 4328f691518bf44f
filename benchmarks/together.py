"""Nine settings of a network trained together, against one after another, by width and size of the volumes.

    python benchmarks/together.py [--threads 1] [--quick]

Prints seconds of a step of all nine, and the ratio; above 1 together wins.
"""

import argparse
import copy
import statistics
import time

import numpy as np
import torch

from neurotransfer.models.network import Network, seeded
from neurotransfer.models.sfcn import SFCN
from neurotransfer.targets import Target
from neurotransfer.training import Engine, Examples, Recipe, fit, fit_together, use

SETTINGS = [{"lr": lr} for lr in np.geomspace(1e-4, 1e-2, 9)]
SHAPES = ((32, 38, 32), (40, 48, 40), (48, 56, 48), (80, 96, 80))


def main() -> None:
    """Measure every width and size, alternating, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one width, one repeat")
    arguments = parser.parse_args()
    print(use(Engine(threads=arguments.threads)))
    print("| width | volumes | one by one (s a step) | together | ratio |\n|---|---|---|---|---|")
    for width in (0.25,) if arguments.quick else (0.125, 0.25, 0.5, 1.0):
        for shape in SHAPES:
            if width * np.prod(shape) > 2e5:
                continue
            apart, joint = measured(width, shape, 1 if arguments.quick else arguments.repeats)
            name = "x".join(map(str, shape))
            print(f"| {width} | {name} | {apart:.3f} | {joint:.3f} | {apart / joint:.2f} |", flush=True)


def measured(width: float, shape: tuple[int, ...], repeats: int) -> tuple[float, float]:
    """Median seconds of a step of nine networks, one by one and together."""
    steps, batch = 2, 8
    generator = np.random.default_rng(0)
    volumes = generator.random((steps * batch + 2, *shape), np.float32)
    labels = {"age": generator.normal(size=steps * batch + 2)}
    train = Examples(volumes, np.arange(steps * batch), {"age": labels["age"][: steps * batch]})
    check = Examples(volumes, np.arange(steps * batch, steps * batch + 2), {"age": labels["age"][steps * batch :]})
    with seeded(0):
        network = Network(SFCN(width=width, pooling="maximum"), [Target("age", "continuous")])
    recipes = [Recipe(epochs=1, batch_size=batch, lr=setting["lr"]) for setting in SETTINGS]
    apart, joint = [], []
    for repeat in range(repeats + 1):
        networks = [copy.deepcopy(network) for _ in recipes]
        histories = [fit(each, train, check, recipe, seed=0) for each, recipe in zip(networks, recipes, strict=True)]
        together = fit_together([copy.deepcopy(network) for _ in recipes], train, check, recipes, seed=0)
        if repeat:
            apart.append(sum(history.training for history in histories) / steps)
            joint.append(together[0].training / steps)
    return statistics.median(apart), statistics.median(joint)


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"{time.perf_counter() - started:.0f} s in all, torch {torch.__version__}")
