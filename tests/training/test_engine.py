"""The engine: what it finds out, what can be set, what it refuses, and that it leaves a process as it was."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from neurotransfer.errors import InputError
from neurotransfer.training import Engine, current, engine, use, using
from neurotransfer.training.engine import Chosen, bfloat16_unit, keep_memory, place

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No engine chosen yet and no variable set; both come back afterwards."""
    for variable in engine._VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(engine, "_current", None)


@pytest.fixture
def unit(monkeypatch):
    """A processor with some bfloat16 instructions or none."""

    def have(*names):
        for word, name in (("AMX", "_is_amx_tile_supported"), ("AVX-512 bf16", "_is_avx512_bf16_supported")):
            monkeypatch.setattr(torch.cpu, name, lambda word=word: word in names)

    return have


@pytest.mark.parametrize(
    ("names", "word", "kind"),
    [(("AMX", "AVX-512 bf16"), "AMX", torch.bfloat16), (("AVX-512 bf16",), "AVX-512 bf16", torch.bfloat16),
     ((), "", torch.float32)],
)  # fmt: skip
def test_bfloat16_is_chosen_where_the_processor_multiplies_it(unit, names, word, kind):
    unit(*names)
    assert bfloat16_unit(CPU) == word
    assert Engine(device="cpu").chosen().kind == kind
    assert Engine(device="cpu", precision="float32").chosen().kind == torch.float32
    assert Engine(device="cpu", precision="bfloat16").chosen().kind == torch.bfloat16


def test_a_torch_without_the_question_has_no_unit(monkeypatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert bfloat16_unit(CPU) == ""


@pytest.mark.parametrize(
    ("values", "said"),
    [({"precision": "float16"}, "float16"), ({"precision": "bf16"}, "bfloat16"), ({"allocator": "tcmalloc"}, "system"),
     ({"threads": -1}, "threads"), ({"threads": 1.5}, "threads"), ({"device": "gpu"}, "cuda"), ({"device": "cuda:99"}, "not here"),
     ({"device": "meta"}, "cpu"), ({"device": ""}, "auto")],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_can(values, said):
    with pytest.raises(InputError, match=said):
        Engine(**values)


def test_all_problems_come_in_one_message():
    with pytest.raises(InputError) as error:
        Engine(device="gpu", precision="half", threads=-3, allocator="mine")
    for word in ("gpu", "half", "-3", "mine"):
        assert word in str(error.value)


def test_the_environment_sets_what_is_left_open(monkeypatch):
    for name, value in (("DEVICE", "cpu"), ("PRECISION", "bfloat16"), ("THREADS", "3"), ("ALLOCATOR", "system")):
        monkeypatch.setenv(f"NEUROTRANSFER_{name}", value)
    assert Engine().chosen() == Chosen(CPU, torch.bfloat16, 3, False, bfloat16_unit(CPU))
    asked = Engine(device="cpu", precision="float32", threads=1).chosen()
    assert (asked.kind, asked.threads) == (torch.float32, 1)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("THREADS", "many", "whole number"), ("PRECISION", "double", "precision"), ("DEVICE", "tpu", "device")],
)
def test_a_wrong_environment_is_told(monkeypatch, name, value, said):
    monkeypatch.setenv(f"NEUROTRANSFER_{name}", value)
    with pytest.raises(InputError, match=said):
        Engine().chosen()


def test_one_line_says_what_is_used(unit):
    unit("AMX")
    line = str(Engine(device="cpu", threads=2).chosen())
    assert line.startswith("CPU (AMX), 2 threads, bfloat16 convolutions, channels last, memory")
    assert "\n" not in line
    unit()
    assert "no bfloat16 unit" in str(Engine(device="cpu", threads=1).chosen())
    assert "1 thread," in str(Engine(device="cpu", threads=1).chosen())
    assert "memory as the system has it" in str(Engine(device="cpu", allocator="system").chosen())


def test_a_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    line = str(Chosen(torch.device("cuda"), torch.bfloat16, 2, True, "tensor cores"))
    assert line == "NVIDIA H200, bfloat16 convolutions, channels last"
    assert "Apple" in str(Chosen(torch.device("mps"), torch.float32, 2, True, ""))


def test_a_gpu_is_taken_when_there_is_one_and_refused_when_there_are_fewer(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert Engine().chosen().device.type == "cuda"
    assert Engine().chosen().kind == torch.bfloat16
    assert Engine(device="cuda:1").chosen().device.index == 1
    with pytest.raises(InputError, match="2 NVIDIA GPUs"):
        Engine(device="cuda:2")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert Engine(device="cuda").chosen().kind == torch.float32


def test_using_gives_everything_back_also_after_an_error():
    use(Engine(device="cpu", precision="float32"))
    before, threads = current(), torch.get_num_threads()

    def fail():
        with using(Engine(device="cpu", precision="bfloat16", threads=threads + 1)) as inside:
            assert current() is inside
            assert torch.get_num_threads() == threads + 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert current() is before
    assert torch.get_num_threads() == threads


def test_the_engine_is_chosen_by_itself_at_the_first_need():
    assert engine._current is None
    first = current()
    assert current() is first
    assert use(first) is first


def test_autocast_is_on_for_bfloat16_alone():
    volumes, layer = torch.rand(1, 1, 4, 4, 4), nn.Conv3d(1, 2, 3)
    for name in ("float32", "bfloat16"):
        with Engine(device="cpu", precision=name).chosen().autocast():
            assert layer(volumes).dtype == getattr(torch, name)


def test_filters_lie_channels_last_and_values_stay():
    layer = nn.Conv3d(4, 8, 3)
    before = layer.weight.detach().clone()
    assert place(layer, Engine(device="cpu").chosen()) == CPU
    assert layer.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(layer.weight, before)


def test_features_stay_on_the_cpu():
    moved = []
    module = SimpleNamespace(to=lambda *given, **more: moved.append((given, more)))
    assert place(module, Chosen(torch.device("cuda"), torch.float32, 1, True, ""), volumes=False) == CPU
    assert moved == [((CPU,), {})]


def test_memory_is_kept_where_the_c_library_can_and_asked_for_nowhere_else(monkeypatch):
    calls = []
    monkeypatch.setattr(engine, "_mallopt", lambda: lambda *given: calls.append(given) or 1)
    assert keep_memory()
    assert set(calls) == set(engine._KEEP_MEMORY)
    monkeypatch.setattr(engine, "_mallopt", lambda: lambda *_: 0)
    assert not keep_memory()
    monkeypatch.setattr(engine, "_mallopt", lambda: None)
    assert not keep_memory()


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_other_systems_are_left_alone(monkeypatch, system):
    monkeypatch.setattr(engine.platform, "system", lambda: system)
    assert engine._mallopt() is None
    use(Engine(device="cpu"))


def test_the_system_s_allocator_is_left_alone_when_asked(monkeypatch):
    called = []
    monkeypatch.setattr(engine, "keep_memory", lambda: called.append(1))
    use(Engine(device="cpu", allocator="system"))
    assert not called
    use(Engine(device="cpu"))
    assert called


FAULTS = """
import resource, sys, torch
from neurotransfer.training import Engine, use
use(Engine(device="cpu", precision="float32", threads=1, allocator=sys.argv[1]))
def step():
    # above 32 MiB glibc always maps anew, whatever lies on its heap
    kept = [torch.zeros(10_000_000) for _ in range(3)]
    return sum(float(each[0]) for each in kept)
def touched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
step()
# the system may take pages back from a process that waits, but not at every step
print(min(touched() for _ in range(8)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's memory is meant")
@pytest.mark.slow
def test_a_process_that_keeps_its_memory_touches_no_new_pages():
    faults = {}
    for allocator in ("auto", "system"):
        done = subprocess.run([sys.executable, "-c", FAULTS, allocator], capture_output=True, text=True, check=True,
                              env={name: value for name, value in os.environ.items() if not name.startswith("MALLOC")})  # fmt: skip
        faults[allocator] = int(done.stdout)
    assert faults["auto"] * 5 < faults["system"]
