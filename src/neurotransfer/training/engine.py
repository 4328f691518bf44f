"""The machine at hand: device, precision, memory, threads; chosen once, said in one line, every choice can be set."""

import ctypes
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from neurotransfer.errors import InputError, listed, unknown

PRECISIONS = ("auto", "float32", "bfloat16")
ALLOCATORS = ("auto", "system")
_VARIABLES = {
    "device": "NEUROTRANSFER_DEVICE",
    "precision": "NEUROTRANSFER_PRECISION",
    "threads": "NEUROTRANSFER_THREADS",
    "allocator": "NEUROTRANSFER_ALLOCATOR",
}
# glibc's mallopt: never map, never trim, grow by 64 MiB; https://man7.org/linux/man-pages/man3/mallopt.3.html
_KEEP_MEMORY = ((-4, 0), (-1, -1), (-2, 64 * 2**20))


@dataclass(frozen=True)
class Engine:
    """How this machine is used; what is `auto` (or 0 threads) is found out.

    Attributes:
        device: `auto` (an NVIDIA GPU, else the CPU), `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: of convolutions: `float32`, `bfloat16` (weights, batch norm statistics and heads stay float32), or `auto`:
            bfloat16 where the processor multiplies it (AVX-512 bf16, AMX, an NVIDIA GPU since Ampere), else float32.
        threads: of the CPU; 0 leaves them as they are.
        allocator: `auto` lets glibc keep the memory it has instead of giving it back and getting it anew, which costs more
            than the arithmetic; `system` leaves it alone.

    The environment variables NEUROTRANSFER_DEVICE, _PRECISION, _THREADS and _ALLOCATOR set what `auto` leaves open.

    Raises:
        InputError: with all values that are not allowed, or a device that is not here.

    Example:
        >>> Engine(device="cpu", precision="float32").chosen().kind
        torch.float32
    """

    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    allocator: str = "auto"

    def __post_init__(self) -> None:
        problems = []
        if self.precision not in PRECISIONS:
            problems.append(unknown("precision", self.precision, PRECISIONS))
        if self.allocator not in ALLOCATORS:
            problems.append(unknown("allocator", self.allocator, ALLOCATORS))
        if not isinstance(self.threads, int) or self.threads < 0:
            problems.append(f"threads is a whole number of 0 (as they are) or more, got {self.threads!r}")
        problems += _device_problem(self.device)
        if problems:
            raise InputError(listed("the engine", problems))

    def chosen(self) -> "Chosen":
        """The choice for this machine, without changing anything."""
        asked = _with_environment(self)
        device = torch.device(_best_device() if asked.device == "auto" else asked.device)
        able = bfloat16_unit(device)
        use = asked.precision == "bfloat16" or (asked.precision == "auto" and bool(able))
        kind = torch.bfloat16 if use else torch.float32
        return Chosen(device, kind, asked.threads or torch.get_num_threads(), asked.allocator == "auto", able)


@dataclass(frozen=True)
class Chosen:
    """What an engine came down to: device, the type of convolutions, threads, whether memory is kept, the bfloat16 unit."""

    device: torch.device
    kind: torch.dtype
    threads: int
    keeps_memory: bool
    unit: str

    def __str__(self) -> str:
        name = str(self.kind).removeprefix("torch.")
        if self.device.type == "cuda":
            return f"{torch.cuda.get_device_name(self.device)}, {name} convolutions, channels last"
        if self.device.type == "mps":
            return f"Apple GPU, {name} convolutions"
        unit = self.unit or f"no bfloat16 unit, {torch.backends.cpu.get_cpu_capability()}"
        memory = "memory kept" if self.keeps_memory and _mallopt() is not None else "memory as the system has it"
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        return f"CPU ({unit}), {threads}, {name} convolutions, channels last, {memory}"

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which convolutions are computed in the chosen type."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.kind == torch.bfloat16)


_current: Chosen | None = None


def current() -> Chosen:
    """The engine in use; the first call chooses one by itself and prepares the machine for it."""
    return _current if _current is not None else use(Engine())


def use(engine: Engine | Chosen) -> Chosen:
    """Use an engine from now on in this process; gives the choice, whose text is one line for the reader.

    Example:
        >>> with using(Engine(device="cpu", precision="float32")) as chosen:
        ...     print(str(chosen).split(",")[0].split(" ")[0])
        CPU
    """
    global _current
    chosen = engine if isinstance(engine, Chosen) else engine.chosen()
    if chosen.device.type == "cpu" and chosen.keeps_memory:
        keep_memory()
    if chosen.threads != torch.get_num_threads():
        torch.set_num_threads(chosen.threads)
    _current = chosen
    return chosen


@contextmanager
def using(engine: Engine) -> Iterator[Chosen]:
    """Use an engine for a while."""
    global _current
    before, threads = _current, torch.get_num_threads()
    try:
        yield use(engine)
    finally:
        _current = before
        torch.set_num_threads(threads)


def keep_memory() -> bool:
    """Let this process keep the memory that it frees, for its own next use; False where the C library has no such call.

    A training step frees and asks for the same large arrays again and again. glibc maps each of them anew, and every page
    of it is cleared by the kernel at its first touch. May be called at any time, before or after torch is imported.
    """
    mallopt = _mallopt()
    return mallopt is not None and min(mallopt(*each) for each in _KEEP_MEMORY) == 1


def _mallopt() -> "ctypes._NamedFuncPointer | None":
    if platform.system() != "Linux":
        return None
    return getattr(ctypes.CDLL(None), "mallopt", None)


def bfloat16_unit(device: torch.device) -> str:
    """What multiplies bfloat16 on a device, as a word for the reader; empty where nothing does."""
    if device.type == "cuda":
        return "tensor cores" if torch.cuda.is_bf16_supported(including_emulation=False) else ""
    if device.type == "cpu":
        found = (("AMX", "_is_amx_tile_supported"), ("AVX-512 bf16", "_is_avx512_bf16_supported"))
        return next((word for word, name in found if getattr(torch.cpu, name, bool)()), "")
    return ""


def _best_device() -> str:
    with warnings.catch_warnings():
        # a driver that is too old for this torch is a reason to use the CPU, not to complain
        warnings.simplefilter("ignore")
        return "cuda" if torch.cuda.is_available() else "cpu"


def _device_problem(name: str) -> list[str]:
    if name in ("auto", "cpu"):
        return []
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        return [unknown("device", name, ("auto", "cpu", "cuda", "cuda:1", "mps"))]
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        return [f"device {name!r} is not here: {torch.cuda.device_count()} NVIDIA GPUs can be used; use cpu or auto"]
    if device.type == "mps" and not torch.backends.mps.is_available():
        return ["device 'mps' is not here: no Apple GPU can be used; use cpu or auto"]
    return [] if device.type in ("cpu", "cuda", "mps") else [unknown("device", name, ("auto", "cpu", "cuda", "mps"))]


def _with_environment(engine: Engine) -> Engine:
    given: dict[str, object] = {}
    for field, variable in _VARIABLES.items():
        text = os.environ.get(variable, "")
        if not text or getattr(engine, field) not in ("auto", 0):
            continue
        if field == "threads" and not text.isdigit():
            raise InputError(f"{variable} is a whole number, got {text!r}")
        given[field] = int(text) if field == "threads" else text
    return replace(engine, **given)  # type: ignore[arg-type]


def place(module: nn.Module, chosen: Chosen, volumes: bool = True) -> torch.device:
    """Move a module to where it is run (features stay on the CPU) and lay its filters out channels last."""
    device = chosen.device if volumes else torch.device("cpu")
    module.to(device)
    if volumes and device.type != "mps":
        module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return device
