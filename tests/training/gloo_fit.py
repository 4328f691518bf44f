"""A fit that several processes share, for test_processes: run under torchrun or launching its own processes.

    python gloo_fit.py DEVICES MICRO_BATCH WHAT

The first process prints the history, the weights and what the processes have in common as one line of JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from neurotransfer.models.network import Network, seeded
from neurotransfer.models.sfcn import SFCN
from neurotransfer.targets import Target
from neurotransfer.training import Checkpoint, Engine, Examples, Recipe, current, fit, use
from neurotransfer.training.augment import preset
from neurotransfer.training.processes import launch

TARGETS = [Target("age", "continuous"), Target("sex", "binary", classes=("F", "M"))]
MORE = {
    "plain": {},
    "everything": {"ema": 0.8, "learned_weights": True, "layer_decay": 0.7, "warm_up": 0.5, "weight_decay": 0.1,
                   "augmentation": preset("light"), "head_first": 1, "anchor": 5.0},
}  # fmt: skip
# a loss of few images at once is so steep that rounding alone moves it; small steps keep it near
LR = {"plain": 1e-3, "everything": 1e-4}


class StoppedError(Exception):
    """As if the machines went away."""


class StopsAfter(Checkpoint):
    """A checkpoint after every step; the fit ends after some of them, in every process."""

    saves = 3

    @property
    def due(self):
        """After every step, of which every process keeps count."""
        self.saves -= 1
        if not self.saves:
            raise StoppedError
        return True


def data():
    """Volumes with labels of which many are missing, so that the processes have unlike numbers of them."""
    generator = np.random.default_rng(0)
    volumes = generator.random((19, 32, 34, 33), np.float32)
    labels = {"age": generator.normal(size=19), "sex": (generator.random(19) > 0.5).astype(float)}
    labels["sex"][::2] = np.nan
    return [Examples(volumes, rows, {name: values[rows] for name, values in labels.items()})
            for rows in (np.arange(14), np.arange(14, 19))]  # fmt: skip


def run(devices, micro_batch, what, batch_size=7, checkpoint=None):
    """A fit of three epochs; gives the processes, the history and the network."""
    torch.set_num_threads(1)
    use(Engine(device="cpu", precision="float32", threads=1))
    processes = launch(devices, 1, current())
    with seeded(0):
        network = Network(SFCN(width=0.0625), TARGETS)
    train, validation = data()
    recipe = Recipe(epochs=3, batch_size=batch_size, lr=LR[what], micro_batch=micro_batch, **MORE[what])
    history = fit(network, train, validation, recipe, seed=1, processes=processes, checkpoint=checkpoint)
    return processes, history, network


def main():
    """As the command line says."""
    devices, micro_batch, what, *place = sys.argv[1:]
    if place:
        path = Path(place[0])
        try:
            run(int(devices), int(micro_batch), what, checkpoint=StopsAfter(path, 0.0))
        except StoppedError:
            if torch.distributed.is_initialized():
                torch.distributed.barrier()
        return
    processes, history, network = run(int(devices), int(micro_batch), what)
    sums = {name: float(value.double().sum()) for name, value in network.state_dict().items()}
    every = processes.gather(sums)
    if processes.is_first:
        print(json.dumps({"size": processes.size, "table": history.table, "best": history.best_epoch, "sums": every}))
    processes.wait()


if __name__ == "__main__":
    main()
