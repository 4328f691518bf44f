"""SFCN on one GPU: volumes a second, the share of its matrix product rate, memory, and the hours of two real studies.

    python benchmarks/gpu.py [--device cuda] [--shape 160,192,160] [--batches 1,2,4,8,16]

The hours are projected: 68,570 heads for 30 epochs, and the study of a talk (5 sizes, 100 replicates, 9 settings, finetuned and
baseline; at most 30 epochs of the mean number of training images). Data comes from memory. With --device cpu it shows itself.
"""

import argparse
import statistics

import numpy as np
import torch

from neurotransfer.models.network import Network
from neurotransfer.models.sfcn import SFCN
from neurotransfer.targets import Target
from neurotransfer.training import Engine, Examples, Recipe, current, fit, use
from training import limit, products

HEADS, EPOCHS = 68_570, 30
SIZES, REPLICATES, SETTINGS, STRATEGIES = (50, 100, 200, 500, 1000), 100, 9, 2


def main() -> None:
    """Print a row a batch size, then the hours at the best of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", default="160,192,160")
    parser.add_argument("--batches", default="1,2,4,8,16")
    arguments = parser.parse_args()
    shape = tuple(int(side) for side in arguments.shape.split(","))
    chosen = use(Engine(device=arguments.device, precision="bfloat16"))
    rate = limit("bfloat16", str(chosen.device))
    print(f"{chosen}; torch {torch.__version__}; bfloat16 matrix products {rate / 1e12:.2f} TFLOP/s")
    print("| batch | volumes a second | share of the matrix product rate | peak memory (GiB) |\n|---|---|---|---|")
    best = 0.0
    for batch in map(int, arguments.batches.split(",")):
        speed, peak = training_speed(shape, batch)
        best = max(best, speed)
        print(f"| {batch} | {speed:.1f} | {speed * 3 * products(shape) / rate:.0%} | {peak:.1f} |", flush=True)
    fits = len(SIZES) * REPLICATES * SETTINGS * STRATEGIES
    images = fits * EPOCHS * statistics.mean(SIZES)
    print(f"{HEADS:,} heads x {EPOCHS} epochs: {HEADS * EPOCHS / best / 3600:.1f} hours")
    print(f"{fits:,} fits of at most {EPOCHS} epochs: {images / best / 3600:.0f} hours")


def training_speed(shape: tuple[int, ...], batch: int) -> tuple[float, float]:
    """Volumes a second of the second and later epochs of `fit`, and the most memory that the device gave out."""
    n = max(4 * batch, 8)
    volumes = np.random.default_rng(0).random((n, *shape), np.float32)
    labels = np.zeros(n)
    network = Network(SFCN(), [Target("age", "continuous")])
    train, check = (
        Examples(volumes, np.arange(n), {"age": labels}),
        Examples(volumes, np.arange(1), {"age": labels[:1]}),
    )
    on_gpu = current().device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    found = [n / fit(network, train, check, Recipe(epochs=1, batch_size=batch), seed=0).training for _ in range(4)]
    return statistics.median(found[1:]), (torch.cuda.max_memory_allocated() if on_gpu else 0) / 2**30


if __name__ == "__main__":
    main()
