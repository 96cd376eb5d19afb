"""The stand-in under torch: tensors of the processor that say that they are on a GPU."""

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from fake_cuda_device import CUDA, Gpu, NoDriverError, control
from torch.overrides import TorchFunctionMode

ILLEGAL = (
    "CUDA error: an illegal memory access was encountered\n"
    "Search for `cudaErrorIllegalAddress' in the documentation of the CUDA runtime.\n"
    "CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace "
    "below might be incorrect."
)
CUBLAS_CALLS = frozenset({"matmul", "mm", "bmm", "addmm", "baddbmm", "linear", "__matmul__"})
WAITING = frozenset(
    {"cpu", "item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__", "equal"}
)
"""Calls that need a result on the host, so that the processor waits for the device."""

TWO_PLACES = frozenset({"copy_", "__getitem__", "__setitem__", "__set__", "type_as"})
"""Calls that take tensors of host and device together."""


class CudaTensor(torch.Tensor):
    """A tensor of the processor that counts as one of a GPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]


_places: dict[int, int] = {}
"""The GPU of each storage, by the address of its data."""


def _check() -> None:
    if CUDA.poisoned:
        raise torch.AcceleratorError(ILLEGAL)


def _gpu(index: int) -> Gpu:
    CUDA.start()
    _check()
    gpus = CUDA.see()
    if not 0 <= index < len(gpus):
        raise torch.AcceleratorError("CUDA error: invalid device ordinal")
    return gpus[index]


def _index_of(device: Any) -> int | None:
    """N of a device of CUDA, None for any other."""
    if device is None or isinstance(device, torch.dtype):
        return None
    if isinstance(device, int) and not isinstance(device, bool):
        return device
    if isinstance(device, str):
        try:
            device = torch.device(device)
        except RuntimeError:
            return None
    if isinstance(device, torch.device) and device.type == "cuda":
        return device.index or 0
    return None


def _place_of(tensor: torch.Tensor) -> int:
    return int(getattr(tensor, "_fake_cuda_index", 0))


def _labelled(tensor: torch.Tensor, index: int) -> torch.Tensor:
    """The tensor as one of that GPU, whose memory it takes."""
    if isinstance(tensor, CudaTensor):
        return tensor
    _take(tensor.untyped_storage(), index)
    made = tensor.as_subclass(CudaTensor)
    made._fake_cuda_index = index  # type: ignore[attr-defined]
    return made


def _take(storage: torch.UntypedStorage, index: int) -> None:
    address, size = storage.data_ptr(), storage.nbytes()
    if not size or address in _places:
        return
    gpu = _gpu(index)
    if not gpu.take(size):
        raise torch.OutOfMemoryError(
            f"CUDA out of memory. Tried to allocate {size / 2**20:.2f} MiB. GPU {index} has a "
            f"total capacity of {gpu.total / 2**30:.2f} GiB of which "
            f"{(gpu.total - gpu.allocated) / 2**20:.2f} MiB is free."
        )
    _places[address] = index
    weakref.finalize(storage, _free, address, size, gpu).atexit = False


def _free(address: int, size: int, gpu: Gpu) -> None:
    if _places.pop(address, None) is not None:
        gpu.free(size)


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for each in value for tensor in _tensors(each)]
    if isinstance(value, dict):
        return [tensor for each in value.values() for tensor in _tensors(each)]
    return []


def _mapped(value: Any, index: int) -> Any:
    if isinstance(value, torch.Tensor):
        return _labelled(value, index)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(each, index) for each in value))
    if type(value) in (list, tuple):
        return type(value)(_mapped(each, index) for each in value)
    if isinstance(value, tuple):  # torch.return_types
        return type(value)([_mapped(each, index) for each in value])
    return value


def _target(
    name: str, source: int | None, rest: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[int | None, list[Any], dict[str, Any]]:
    """(GPU that a tensor moves to, other arguments without it)."""
    if name == "cpu":
        return None, [], {}
    if name == "cuda":
        return _index_of(rest[0] if rest else kwargs.get("device")) or 0, [], {}
    target, others = source, list(rest)
    for place, each in enumerate(rest):
        if isinstance(each, torch.Tensor):
            target = _place_of(each) if isinstance(each, CudaTensor) else None
        elif isinstance(each, str | torch.device):
            target = _index_of(each)
            others[place] = "cpu" if target is not None else each
    if kwargs.get("device") is not None:
        target = _index_of(kwargs["device"])
        kwargs = {**kwargs, "device": "cpu" if target is not None else kwargs["device"]}
    return target, others, kwargs


class OnDevice(TorchFunctionMode):
    """Every call of torch: takes devices out of the arguments and labels the results."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return self._attribute(func, args)
        tensors = _tensors((args, kwargs))
        there = [each for each in tensors if isinstance(each, CudaTensor)]
        wanted = _index_of(kwargs.get("device"))
        if name in ("to", "cuda", "cpu"):
            return self._moved(func, name, args, kwargs)
        if wanted is None and not there:
            return func(*args, **kwargs)
        if wanted is not None:
            kwargs["device"] = "cpu"
        index = wanted if wanted is not None else _place_of(there[0])
        gpu = _gpu(index)
        if name == "numpy":
            raise TypeError(
                f"can't convert cuda:{index} device type tensor to numpy. Use Tensor.cpu() first."
            )
        if name == "_has_compatible_shallow_copy_type":
            return func(*args, **kwargs)
        if name not in TWO_PLACES:
            self._same_device(tensors, index)
        self._refuse(name, there)
        gpu.work()
        result = func(*args, **kwargs)
        if name in WAITING:
            gpu.wait()
        return _mapped(result, index)

    def _attribute(self, func: Any, args: tuple[Any, ...]) -> Any:
        (tensor, *_) = args
        if not isinstance(tensor, CudaTensor):
            return func(*args)
        attribute = getattr(func, "__self__", None)
        index = _place_of(tensor)
        if attribute is torch.Tensor.device:
            return torch.device("cuda", index)
        if attribute is torch.Tensor.is_cuda:
            return True
        if attribute is torch.Tensor.is_cpu:
            return False
        return _mapped(func(*args), index)

    def _moved(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`to`, `cuda` and `cpu`."""
        tensor = args[0]
        source = _place_of(tensor) if isinstance(tensor, CudaTensor) else None
        target, rest, named = _target(name, source, args[1:], kwargs)
        gpus = [_gpu(index) for index in (source, target) if index is not None]
        if not gpus:
            return func(*args, **kwargs)
        for gpu in gpus:
            gpu.work()
        plain = func(tensor, *rest, **named) if name == "to" else tensor
        if source != target:
            plain = plain.as_subclass(torch.Tensor).clone(memory_format=torch.preserve_format)
            for gpu in gpus:
                gpu.wait()
        return plain if target is None else _labelled(plain, target)

    @staticmethod
    def _same_device(tensors: list[torch.Tensor], index: int) -> None:
        for each in tensors:
            if not isinstance(each, CudaTensor) and each.dim():
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least two "
                    f"devices, cuda:{index} and cpu!"
                )

    @staticmethod
    def _refuse(name: str, there: Sequence[torch.Tensor]) -> None:
        """Raise what the test wants, and what cuBLAS would."""
        if name == "conv2d" and there[0].dim() == 4 and there[0].shape[1] == 3:
            error = CUDA.demanded(there[0].shape[3], there[0].shape[2])
            if error == "sticky":
                CUDA.poisoned = True
                _check()
            if error == "out_of_memory":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        if (
            name in CUBLAS_CALLS
            and torch.are_deterministic_algorithms_enabled()
            and CUDA.workspace not in (":4096:8", ":16:8")
        ):
            raise RuntimeError(
                "Deterministic behavior was enabled with either "
                "`torch.use_deterministic_algorithms(True)` or "
                "`at::Context::setDeterministicAlgorithms(true)`, but this operation is not "
                "deterministic because it uses CuBLAS and you have CUDA >= 10.2. To enable "
                "deterministic behavior in this case, you must set an environment variable before "
                "running your PyTorch application: CUBLAS_WORKSPACE_CONFIG=:4096:8"
            )


class Generator(torch.Generator):
    """A generator of the processor for any device."""

    def __new__(cls, device: Any = "cpu") -> "Generator":
        index = _index_of(device)
        if index is not None:
            _gpu(index)
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
        _gpu(_Current.index).use()
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
        _check()
        self.gpu.wait()

    def wait_stream(self, stream: Any) -> None:
        """All that was issued is done before what follows."""


class Device:
    """`with torch.cuda.device(...)`."""

    def __init__(self, device: Any) -> None:
        self.index = _index_of(device) or 0

    def __enter__(self) -> None:
        self.before, _Current.index = _Current.index, self.index

    def __exit__(self, *_: Any) -> None:
        _Current.index = self.before


def _chosen(device: Any) -> Gpu:
    index = _index_of(device)
    return _gpu(_Current.index if index is None else index)


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
        _check()
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
        "set_device": lambda device: setattr(_Current, "index", _index_of(device)),
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
