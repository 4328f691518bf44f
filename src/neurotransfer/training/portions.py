"""How many images of a batch a process takes at once, and how there are fewer when memory is short."""

import numpy as np
import torch

from neurotransfer.errors import InputError
from neurotransfer.training.examples import batches
from neurotransfer.training.processes import Processes
from neurotransfer.training.recipe import Recipe


class Portions:
    """The parts of a batch that all processes take at once, part after part.

    Args:
        recipe: its `micro_batch` images a process, or its whole `batch_size` over all processes.
        processes: those that share every part.
        device: what is named when its memory is short.
    """

    def __init__(self, recipe: Recipe, processes: Processes, device: torch.device) -> None:
        self.recipe, self.processes, self.device = recipe, processes, device
        self.micro = recipe.micro_batch or recipe.batch_size

    @property
    def at_once(self) -> int:
        """Images over all processes."""
        return self.micro * self.processes.size if self.recipe.micro_batch else self.micro

    def parts(self, chosen: np.ndarray) -> list[np.ndarray]:
        """The places in a batch, part after part."""
        return np.array_split(np.arange(len(chosen)), -(-len(chosen) // self.at_once))

    def mine(self, chosen: np.ndarray) -> np.ndarray:
        """The places in a batch that are this process's, in the order of the parts."""
        return np.concatenate([self.processes.share(part) for part in self.parts(chosen)])

    def halve(self, most: int, shape: tuple[int, ...]) -> str:
        """Take half as many at once from now on, and say so; `most` images of a `shape` were too much.

        Raises:
            MemoryError: when one image is too much, or several processes would have to agree.
        """
        size, half = min(self.micro, most), min(self.micro, most) // 2
        if self.processes.size > 1:
            raise MemoryError(
                f"{size} images of {shape} a process need more memory than {self.device} has; use micro_batch {max(half, 1)}"
            )
        if not half:
            raise MemoryError(
                f"one image of {shape} needs more memory than {self.device} has; use a coarser grid, a narrower network, or "
                "precision bfloat16"
            )
        self.micro = half
        return (
            f"{size} images of {shape} at once need more memory than {self.device} has: {half} are taken at once from now on, "
            f"and their gradients summed up to batches of {self.recipe.batch_size} (batch norm sees {half} images)"
        )


def require_shares(n: int, recipe: Recipe, processes: Processes) -> None:
    """Refuse to train on n images when a batch of them is too small for every process to have one."""
    smallest = min(len(part) for part in batches(n, recipe.batch_size, np.random.default_rng(0)))
    if smallest < processes.size:
        raise InputError(
            f"{processes.size} processes share batches of {smallest} images; use a larger batch_size or fewer devices"
        )
