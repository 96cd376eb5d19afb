"""The stand-in under torch.cuda: devices, memory, streams, events, and where it is put there."""

import contextlib
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from fake_cuda_device import CUDA, Gpu, NoDriverError, control
from fake_cuda_tensors import OnDevice, check, gpu_at, index_of


class Generator(torch.Generator):
    """A generator of the processor for any device."""

    def __new__(cls, device: Any = "cpu") -> "Generator":
        index = index_of(device)
        if index is not None:
            gpu_at(index)
        made: Generator = torch._C.Generator.__new__(cls, "cpu")  # type: ignore[call-arg]
        return made


class Event:
    """A mark in the work of a GPU, which is done as it is issued."""

    def __init__(self, enable_timing: bool = False, **_: Any) -> None:
        self.enable_timing = enable_timing
        self.time_s = 0.0

    def record(self, stream: Any = None) -> None:
        """Take the time."""
        del stream
        gpu_at(_Current.index).use()
        self.time_s = time.perf_counter()

    def synchronize(self) -> None:
        """Wait."""
        _synchronize()

    def elapsed_time(self, other: "Event") -> float:
        """Time to another mark in ms."""
        return 1e3 * (other.time_s - self.time_s)


class _Current:
    """The current GPU."""

    index = 0


class Stream:
    """A stream; `with torch.cuda.stream(...)` issues work in it as it is issued anyway."""

    def __init__(self, device: Any = None) -> None:
        self.gpu = _chosen(device)

    def synchronize(self) -> None:
        """Wait."""
        check()
        self.gpu.wait()

    def wait_stream(self, stream: Any) -> None:
        """All that was issued is done before what follows."""


class Device:
    """`with torch.cuda.device(...)`."""

    def __init__(self, device: Any) -> None:
        self.index = index_of(device) or 0

    def __enter__(self) -> None:
        self.before, _Current.index = _Current.index, self.index

    def __exit__(self, *_: Any) -> None:
        _Current.index = self.before


def _chosen(device: Any) -> Gpu:
    index = index_of(device)
    return gpu_at(_Current.index if index is None else index)


def _available() -> bool:
    try:
        return bool(CUDA.see())
    except NoDriverError:
        return False


def _count() -> int:
    return len(CUDA.see()) if _available() else 0


def _properties(device: Any = None) -> SimpleNamespace:
    gpu = _chosen(device)
    major, minor = gpu.facts["capability"]
    return SimpleNamespace(
        name=gpu.facts["name"],
        uuid=gpu.uuid.removeprefix("GPU-"),
        major=major,
        minor=minor,
        total_memory=gpu.total,
        multi_processor_count=108,
    )


def _synchronize(device: Any = None) -> None:
    gpu = _chosen(device)
    gpu.use()
    gpu.wait()


def _memory(device: Any = None) -> tuple[int, int]:
    gpu = _chosen(device)
    gpu.use()
    return gpu.total - gpu.reserved, gpu.total


def _empty_cache() -> None:
    if CUDA.started:
        check()
        for gpu in CUDA.see():
            gpu.reserved = gpu.allocated


def _reset_peak(device: Any = None) -> None:
    gpu = _chosen(device)
    gpu.peak = gpu.allocated


def _in_mode(run: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """The body of a thread with the stand-in, which each thread has for itself."""

    def with_mode(thread: threading.Thread) -> None:
        with OnDevice():
            run(thread)

    return with_mode


def patch() -> None:
    """Put the stand-in under the torch of this process."""
    cuda = torch.cuda
    torch.version.cuda = control()["build"]
    replaced: dict[str, Any] = {
        "is_available": _available,
        "device_count": _count,
        "is_initialized": lambda: CUDA.started,
        "init": CUDA.start,
        "_lazy_init": CUDA.start,
        "get_device_properties": _properties,
        "get_device_name": lambda device=None: _properties(device).name,
        "get_device_capability": lambda device=None: (
            _properties(device).major,
            _properties(device).minor,
        ),
        "get_arch_list": lambda: ["sm_75", "sm_80", "sm_90", "compute_90"],
        "synchronize": _synchronize,
        "mem_get_info": _memory,
        "empty_cache": _empty_cache,
        "memory_allocated": lambda device=None: _chosen(device).allocated,
        "memory_reserved": lambda device=None: _chosen(device).reserved,
        "max_memory_allocated": lambda device=None: _chosen(device).peak,
        "max_memory_reserved": lambda device=None: _chosen(device).reserved,
        "reset_peak_memory_stats": _reset_peak,
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
        "current_device": lambda: _Current.index,
        "set_device": lambda device: setattr(_Current, "index", index_of(device)),
        "device": Device,
        "Event": Event,
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda stream: contextlib.nullcontext(),
    }
    for name, value in replaced.items():
        setattr(cuda, name, value)
    torch.Generator = Generator  # type: ignore[misc]
    setattr(threading.Thread, "run", _in_mode(threading.Thread.run))  # noqa: B010
    # A converted parameter is a new one: only so does it keep its class.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    OnDevice().__enter__()  # type: ignore[no-untyped-call]
