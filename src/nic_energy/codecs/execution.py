"""Running a network on a device: determinism, precision, and the marked load."""

import contextlib
import time
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nic_energy import cublas
from nic_energy.errors import (
    CudaError,
    DeviceError,
    DeviceMemoryError,
    MeasurementError,
    NicEnergyError,
)
from nic_energy.session import usable_cores

if TYPE_CHECKING:
    from torch import Tensor, nn


def configure(deterministic: bool, precision: str, device: str) -> dict[str, Any]:
    """Set PyTorch's run settings and return them as read back, ready for JSON.

    Deterministic mode is that of PyTorch's reproducibility notes, without the filling of
    uninitialised memory, which costs executions that the network does not ask for. `fp32` turns
    TF32 off; a processor leaves one core to the sampler.

    Raises:
        DeviceError: CUDA started before the workspace of cuBLAS was set.
    """
    import torch
    from torch.utils import deterministic as extras

    if deterministic and cublas.workspace() is None:
        raise DeviceError(
            f"deterministic: CUDA was started in this process before {cublas.VARIABLE} was set to "
            f"{cublas.VALUE}. Import nic_energy before anything that starts CUDA, and leave the "
            "variable as it is."
        )
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = False
    extras.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    value = "ieee" if precision == "fp32" else "tf32"
    torch.backends.cudnn.conv.fp32_precision = value  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = value
    if device == "cpu":
        torch.set_num_threads(max(1, usable_cores() - 1))
    return read_back()


def read_back() -> dict[str, Any]:
    """The run settings as PyTorch has them now."""
    import torch
    from torch.utils import deterministic as extras

    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "fill_uninitialized_memory": extras.fill_uninitialized_memory,  # type: ignore[attr-defined]
        "conv_fp32_precision": torch.backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
        "matmul_fp32_precision": torch.backends.cuda.matmul.fp32_precision,
        "cublas_workspace_config": cublas.workspace(),
        "threads": torch.get_num_threads(),
    }


class NetworkLoad:
    """A network and its padded input on a device.

    Args:
        module: the network in evaluation mode, on the device.
        images: the padded input on the device, shape (1, 3, height, width).
        name: what to call it in an error.
    """

    def __init__(self, module: "nn.Module", images: "Tensor", name: str) -> None:
        self.module, self.images, self.name = module, images, name

    def run(self, executions: int) -> tuple[float, float]:
        """Execute back to back between two device synchronisations; marks in monotonic s.

        Raises:
            NicEnergyError: see `failing`.
        """
        import torch

        with failing(self.name, self.images.device), torch.inference_mode():
            self._synchronise()
            start = time.monotonic()
            for _ in range(executions):
                self.module(self.images)
            self._synchronise()
            return start, time.monotonic()

    def once(self) -> Any:
        """The output of one execution.

        Raises:
            NicEnergyError: see `failing`.
        """
        import torch

        with failing(self.name, self.images.device), torch.inference_mode():
            return self.module(self.images)

    def _synchronise(self) -> None:
        if self.images.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.images.device)


NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""How PyTorch and the libraries below it say that memory is short, without an exception of its
own for it."""


OF_CUDA = ("CUDA error", "CUDA driver error", "cuDNN", "CUDNN_STATUS", "CUBLAS_STATUS")
"""How PyTorch begins what CUDA and the libraries above it say."""


@contextlib.contextmanager
def failing(name: str, device: Any) -> Iterator[None]:
    """Name what fails on a device.

    Args:
        name: what runs there: network, quality and image.

    Raises:
        DeviceMemoryError: the device is short of memory.
        CudaError: CUDA, cuDNN or cuBLAS failed. Work is issued ahead, so the error may be that of
            an earlier call, and later calls of this process may fail alike.
        MeasurementError: the network failed in itself.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise _named(name, device, error) from error


def _named(name: str, device: Any, error: Exception) -> NicEnergyError:
    import torch

    text = str(error)
    first = text.partition("\n")[0] or type(error).__name__
    no_memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    if no_memory or any(words in text for words in NO_MEMORY):
        # The frames of the failed execution hold its activations.
        traceback.clear_frames(error.__traceback__)
        return DeviceMemoryError(
            f"{name}: {device} ran out of memory{_memory(device)}. Free the device of other "
            "processes, or leave out this image (images.select) or make it smaller "
            "(images.max_side)."
        )
    if isinstance(error, torch.AcceleratorError) or any(words in text for words in OF_CUDA):
        return CudaError(f"{name}: failed on {device} ({first}).")
    return MeasurementError(
        f"{name}: failed on {device} ({first}). It fails in the network itself: see its code, and "
        "-v for the traceback."
    )


def _memory(device: Any) -> str:
    """What the device has, where it still says."""
    import torch

    if torch.device(device).type != "cuda":
        return ""
    try:
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError:
        return ""
    return f" ({free / 2**30:.1f} of {total / 2**30:.1f} GiB free)"
