"""Several devices and nodes, through lightning-fabric: one process a device, each with a share of every batch."""

import atexit
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurotransfer.errors import InputError
from neurotransfer.models.fused import move_statistics
from neurotransfer.training.engine import Chosen


class Processes:
    """The processes that fit one network together; this class itself is the one process of an ordinary fit.

    Of every batch a process takes every `size`-th image from its `rank` on; what is learnt does not depend on `size`:
    losses are divided by the labels of the whole batch, and batch norms share their statistics.
    """

    size, rank = 1, 0

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def share(self, rows: np.ndarray) -> np.ndarray:
        """The rows of a batch that are this process's."""
        return rows[self.rank :: self.size]

    def wrap(self, network: nn.Module) -> Any:
        """The network in a form whose gradients are averaged over all processes."""
        return network

    def scaled(self, loss: Tensor) -> Tensor:
        """This process's share of a loss, so that the exchanged gradients are those of the whole."""
        return loss

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        return value

    def without_exchange(self, wrapped: Any) -> AbstractContextManager[Any]:
        """The context of a part of a batch after which gradients are not yet exchanged."""
        return nullcontext()

    def gather(self, value: Any) -> list[Any]:
        """One value of every process, in the order of their ranks."""
        return [value]

    def interleaved(self, part: dict[str, np.ndarray], n: int) -> dict[str, np.ndarray]:
        """The arrays (n, ...) whose `share` every process has."""
        whole = {name: np.empty((n, *value.shape[1:]), value.dtype) for name, value in part.items()}
        for rank, each in enumerate(self.gather(part)):
            for name, value in each.items():
                whole[name][rank :: self.size] = value
        return whole

    def wait(self) -> None:
        """Wait for all others."""


class FabricProcesses(Processes):
    """Processes of lightning-fabric (DDP), launched by it, by torchrun or by SLURM."""

    def __init__(self, fabric: Any) -> None:
        self.fabric = fabric
        self.size, self.rank = fabric.world_size, fabric.global_rank

    def wrap(self, network: nn.Module) -> Any:
        """The network in DDP; its batch norms share their statistics."""
        return self.fabric.setup_module(network, move_to_device=False)

    def scaled(self, loss: Tensor) -> Tensor:
        """DDP averages where a sum is meant."""
        return loss * self.size

    def total(self, value: Tensor) -> Tensor:
        """By one exchange."""
        value = value.detach().clone()
        torch.distributed.all_reduce(value)
        return value

    def without_exchange(self, wrapped: Any) -> AbstractContextManager[Any]:
        """Gradients stay in this process."""
        return self.fabric.no_backward_sync(wrapped)

    def gather(self, value: Any) -> list[Any]:
        """Through pickles of our own making between our own processes."""
        gathered: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(gathered, value)
        return gathered

    def wait(self) -> None:
        """A barrier."""
        self.fabric.barrier()


def launch(devices: int, nodes: int, chosen: Chosen) -> Processes:
    """Start the processes of a fit, `devices` on each of `nodes` machines; the command is run once in each of them.

    Under torchrun or in a SLURM job step the processes are there already, and are only brought together.

    Raises:
        InputError: when there are fewer GPUs than asked for, or lightning-fabric is not installed.
    """
    if devices * nodes == 1:
        return Processes()
    if chosen.device.type == "cuda" and devices > torch.cuda.device_count():
        raise InputError(
            f"--devices {devices}: {torch.cuda.device_count()} GPUs can be used here; give as many or fewer"
        )
    if chosen.device.type == "mps":
        raise InputError("--devices: an Apple GPU is one device; leave it out")
    # DDP copies the gradients of 1x1x1 filters, whose memory can be read in two ways, and says so every time
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    # it takes seconds to import
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    accelerator = "cuda" if chosen.device.type == "cuda" else "cpu"
    strategy = DDPStrategy(process_group_backend="nccl" if accelerator == "cuda" else "gloo")
    fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, strategy=strategy)
    fabric.launch()
    # lightning does so for NCCL alone; threads of gloo that outlive Python's end abort the process now and then
    atexit.register(_part)
    return FabricProcesses(fabric)


def _part() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, value: Tensor) -> Tensor:
        total = value.clone()
        torch.distributed.all_reduce(total, group=_norm_group())
        return total

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.clone()
        torch.distributed.all_reduce(total, group=_norm_group())
        return total


def _summed(value: Tensor) -> Tensor:
    summed: Tensor = _Sum.apply(value)
    return summed


@lru_cache(maxsize=1)
def _norm_group() -> Any:
    # exchanges of their own: those of DDP run at the same time, and in an order that need not be the same everywhere
    return torch.distributed.new_group()


class SharedBatchNorm3d(nn.BatchNorm3d):
    """Batch norm whose statistics in training are those of the images of all processes, on any device.

    torch's own synchronised batch norm exists for GPUs only. Means and squares are summed by differentiable exchanges.
    """

    def forward(self, volumes: Tensor) -> Tensor:
        """Normalised maps of maps (n, C, x, y, z); every process calls it."""
        if not self.training:
            return super().forward(volumes)
        with torch.autocast(volumes.device.type, enabled=False):
            maps, axes = volumes.to(torch.promote_types(volumes.dtype, torch.float32)), (0, 2, 3, 4)
            count = torch.tensor(float(maps[:, 0].numel()), device=maps.device, dtype=torch.float64)
            mean, count = _summed(maps.sum(axes)), _summed(count)
            mean = mean / count.to(mean.dtype)
            centred = maps - mean[:, None, None, None]
            variance = _summed((centred**2).sum(axes)) / count.to(mean.dtype)
            with torch.no_grad():
                move_statistics(self, mean, variance, int(count))
            scale = self.weight * torch.rsqrt(variance + self.eps)
            return (centred * scale[:, None, None, None] + self.bias[:, None, None, None]).to(volumes.dtype)


@contextmanager
def shared_norms(network: nn.Module, processes: Processes) -> Iterator[None]:
    """Have the batch norms of a network share their statistics between processes for a while."""
    norms = [module for module in network.modules() if type(module) is nn.BatchNorm3d] if processes.size > 1 else []
    try:
        for norm in norms:
            norm.__class__ = SharedBatchNorm3d
        yield
    finally:
        for norm in norms:
            norm.__class__ = nn.BatchNorm3d
