"""The stand-in's tensors: those of the processor, which say that they are on a GPU."""

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from fake_cuda_device import CUDA, Gpu
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


def check() -> None:
    """Fail as every call does after a sticky error."""
    if CUDA.poisoned:
        raise torch.AcceleratorError(ILLEGAL)


def gpu_at(index: int) -> Gpu:
    """The GPU of that index; starts CUDA."""
    CUDA.start()
    check()
    gpus = CUDA.see()
    if not 0 <= index < len(gpus):
        raise torch.AcceleratorError("CUDA error: invalid device ordinal")
    return gpus[index]


def index_of(device: Any) -> int | None:
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
    gpu = gpu_at(index)
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
        return index_of(rest[0] if rest else kwargs.get("device")) or 0, [], {}
    target, others = source, list(rest)
    for place, each in enumerate(rest):
        if isinstance(each, torch.Tensor):
            target = _place_of(each) if isinstance(each, CudaTensor) else None
        elif isinstance(each, str | torch.device):
            target = index_of(each)
            others[place] = "cpu" if target is not None else each
    if kwargs.get("device") is not None:
        target = index_of(kwargs["device"])
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
        wanted = index_of(kwargs.get("device"))
        if name in ("to", "cuda", "cpu"):
            return self._moved(func, name, args, kwargs)
        if wanted is None and not there:
            return func(*args, **kwargs)
        if wanted is not None:
            kwargs["device"] = "cpu"
        index = wanted if wanted is not None else _place_of(there[0])
        gpu = gpu_at(index)
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
        gpus = [gpu_at(index) for index in (source, target) if index is not None]
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
                check()
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
