"""Several processes are one: the same losses and weights, whatever they share; real processes, exchanging by gloo."""

import copy
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import gloo_fit
import numpy as np
import pytest
import torch
from torch import nn

from neurotransfer.errors import InputError
from neurotransfer.training import Engine
from neurotransfer.training import processes as module
from neurotransfer.training.engine import Chosen
from neurotransfer.training.processes import Processes, SharedBatchNorm3d, launch, shared_norms

SCRIPT = Path(gloo_fit.__file__)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NEUROTRANSFER_PRECISION": "float32"}


def found(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=300)
    assert done.returncode == 0, done.stderr
    line = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return (json.loads(line[0]) if line else {}), done.stderr


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def torchrun(*words):
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port(),
            str(SCRIPT), *words]  # fmt: skip


@pytest.fixture(scope="module")
def alone():
    """What one process gives, by micro batch and recipe."""
    return {
        (micro, what): gloo_fit.run(1, micro, what)[1:] for micro, what in ((0, "plain"), (4, "everything"))
    }  # fmt: skip


def agree(several, history, network):
    assert several["size"] == 2
    assert several["best"] == history.best_epoch
    for row, its in zip(several["table"], history.table, strict=True):
        assert row.keys() == its.keys()
        for name, value in row.items():
            assert value == pytest.approx(its[name], rel=5e-4), name
    first, second = several["sums"]
    assert first == second
    for name, value in network.state_dict().items():
        if name.startswith("encoder.") and name.endswith((".0.bias", "running_mean")):
            # a bias before a batch norm moves nothing: its gradient is rounding, and the mean follows it
            continue
        assert first[name] == pytest.approx(float(value.double().sum()), rel=2e-3, abs=2e-3), name


@pytest.mark.slow
def test_two_processes_under_torchrun_are_one_with_the_whole_batch(alone):
    agree(found(torchrun("2", "0", "plain"))[0], *alone[0, "plain"])


@pytest.mark.slow
def test_two_processes_of_our_own_launching_with_parts_of_batches_are_one(alone):
    """Two images a process at a time are four images at a time of one process: with every other option on."""
    several, errors = found([sys.executable, str(SCRIPT), "2", "2", "everything"])
    agree(several, *alone[4, "everything"])
    assert "Grad strides" not in errors


@pytest.mark.slow
def test_two_processes_go_on_where_they_were_stopped(alone, tmp_path):
    path = tmp_path / "checkpoint.pt"
    found(torchrun("2", "0", "plain", str(path)))
    kept = torch.load(path, weights_only=True)["state"]
    assert (kept["epoch"], kept["step"]) == (2, 0)
    # one process alone is another training: its sums are rounded in another order
    with pytest.raises(InputError, match=r"processes \(2 then, 1 now\) differ"):
        gloo_fit.run(1, 0, "plain", checkpoint=gloo_fit.Checkpoint(path))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_are_everything_once(size):
    rows = np.arange(20)
    parts = []
    for rank in range(size):
        each = Processes()
        each.size, each.rank = size, rank
        assert each.is_first == (rank == 0)
        parts.append(each.share(rows))
    assert sorted(np.concatenate(parts)) == list(rows)
    whole = Processes()
    whole.size, whole.gather = size, lambda part: [{"age": each[:, None] * 2.0} for each in parts]
    np.testing.assert_array_equal(whole.interleaved({"age": parts[0][:, None] * 2.0}, 20)["age"][:, 0], rows * 2.0)


def test_one_process_changes_nothing():
    one, layer, value = Processes(), nn.Linear(2, 2), torch.ones(2)
    assert one.wrap(layer) is layer
    assert one.scaled(value) is one.total(value) is value
    assert one.gather(3) == [3]
    with one.without_exchange(layer):
        one.wait()


@pytest.fixture(scope="module")
def group():
    """A group of one process, in which every exchange is real and changes nothing."""
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{free_port()}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()
    module._norm_group.cache_clear()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_shared_batch_norm_is_torch_s_own(momentum):
    torch.manual_seed(0)
    plain = nn.BatchNorm3d(3, momentum=momentum).double()
    with torch.no_grad():
        plain.weight.uniform_(-1, 1)
        plain.bias.uniform_(-1, 1)
    shared = copy.deepcopy(plain)
    shared.__class__ = SharedBatchNorm3d
    for step in range(3):
        maps = torch.randn(4, 3, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        inputs = [maps.clone().requires_grad_() for _ in range(2)]
        outs = [norm(given) for norm, given in zip((plain, shared), inputs, strict=True)]
        # it works in float32, as the norms of mixed precision do
        torch.testing.assert_close(*outs, rtol=1e-5, atol=1e-5)
        for out in outs:
            (out * torch.linspace(0, 1, out.numel(), dtype=out.dtype).reshape(out.shape)).sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(plain.weight.grad, shared.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(plain.bias.grad, shared.bias.grad, rtol=1e-4, atol=1e-4)
    for one, other in zip(plain.buffers(), shared.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(plain.eval()(maps), shared.eval()(maps))


def test_norms_are_shared_for_a_while_and_only_between_several():
    network, two = nn.Sequential(nn.BatchNorm3d(2), nn.BatchNorm1d(2)), Processes()
    two.size = 2
    with shared_norms(network, Processes()):
        assert type(network[0]) is nn.BatchNorm3d

    def fail():
        with shared_norms(network, two):
            assert [type(each) for each in network] == [SharedBatchNorm3d, nn.BatchNorm1d]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert type(network[0]) is nn.BatchNorm3d


def test_one_device_is_no_launch(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    assert type(launch(1, 1, Engine(device="cpu").chosen())) is Processes


def test_more_gpus_than_there_are_is_an_error_of_ours(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="--devices 4: 2 GPUs"):
        launch(4, 1, Chosen(torch.device("cuda"), torch.float32, 1, True, ""))


def test_an_apple_gpu_is_one():
    with pytest.raises(InputError, match="one device"):
        launch(2, 1, Chosen(torch.device("mps"), torch.float32, 1, True, ""))


def test_a_batch_that_cannot_be_shared_is_refused():
    three = Processes()
    three.size = 3
    train, validation = gloo_fit.data()
    network = gloo_fit.Network(gloo_fit.SFCN(width=0.0625), gloo_fit.TARGETS)
    with pytest.raises(InputError, match="3 processes share batches of 2 images"):
        gloo_fit.fit(network, train, validation, gloo_fit.Recipe(batch_size=2), seed=0, processes=three)
