"""What the device synchronisations inside CompressAI's entropy bottleneck cost.

Version 1.2.8 makes the permutation of the dimensions on the device and unpacks it, value by value,
into three calls of `permute`. Each value is a copy to the host for which the processor waits, so
executions are not issued back to back. Version 1.2.4 made the permutation on the host.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from nic_energy.codecs.execution import NetworkLoad
from tests.gpu.findings import Finding
from tests.gpu.running import digest

if TYPE_CHECKING:
    import torch


class _HostPermutation:
    """`torch` for CompressAI's module, whose `tensor` and `arange` stay on the host."""

    def __getattr__(self, name: str) -> Any:
        import torch

        return getattr(torch, name)

    def tensor(self, *values: Any, device: Any = None, **options: Any) -> "torch.Tensor":
        """On the host, whatever the device."""
        import torch

        del device
        return torch.tensor(*values, **options)

    def arange(self, *limits: Any, device: Any = None, **options: Any) -> "torch.Tensor":
        """On the host, whatever the device."""
        import torch

        del device
        return torch.arange(*limits, **options)


@contextlib.contextmanager
def permutation_on_host() -> Iterator[None]:
    """The entropy bottleneck makes its permutation on the host, as that of version 1.2.4."""
    from compressai.entropy_models import entropy_models

    original = entropy_models.torch
    entropy_models.torch = _HostPermutation()
    try:
        yield
    finally:
        entropy_models.torch = original


def values_read(load: NetworkLoad) -> tuple[int, int]:
    """(values that an execution reads out of tensors one by one, those of them on a device: each
    is a copy to the host that waits for the device).
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    reads = {torch.ops.aten.item.default, torch.ops.aten._local_scalar_dense.default}
    devices: list[str] = []

    class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, operator: Any, _types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if operator in reads:
                devices.append(args[0].device.type)
            return operator(*args, **(kwargs or {}))

    with Reads():  # type: ignore[no-untyped-call]
        load.once()
    return len(devices), sum(device != "cpu" for device in devices)


def host_synchronisations(
    loads: Mapping[str, Callable[[], NetworkLoad]], rounds: int = 7, seconds: float = 0.5
) -> Finding:
    """The same network with the permutation on the device and on the host.

    Args:
        loads: networks to load, by what to call them.
        rounds: how often each of the two is timed, in turn.
        seconds: how long one timing lasts.
    """
    numbers: dict[str, Any] = {}
    problems = []
    for name, make in loads.items():
        load = make()
        numbers[f"{name}: values read one by one"], copies = values_read(load)
        numbers[f"{name}: copies to the host an execution"] = copies
        with_copies = digest(load.once())
        with permutation_on_host():
            numbers[f"{name}: copies, permutation on the host"] = values_read(load)[1]
            if digest(load.once()) != with_copies:
                problems.append(f"{name}: the outputs differ with the permutation on the host")
        device_s, host_s = _timed(load, rounds, seconds)
        numbers[f"{name}: ms an execution"] = 1e3 * device_s
        numbers[f"{name}: ms, permutation on the host"] = 1e3 * host_s
        numbers[f"{name}: cost (ms)"] = 1e3 * (device_s - host_s)
        numbers[f"{name}: cost (%)"] = 100 * (device_s / host_s - 1)
    return Finding(
        "host_synchronisations",
        "with the permutation of the entropy bottleneck on the host the outputs are equal to the "
        "last bit; what its copies cost is a figure, without a limit",
        numbers,
        tuple(problems),
    )


def _timed(load: NetworkLoad, rounds: int, seconds: float) -> tuple[float, float]:
    """Median time of an execution in s (as CompressAI is, with the permutation on the host)."""
    load.run(1)
    begun = time.perf_counter()
    load.run(1)
    executions = max(1, round(seconds / (time.perf_counter() - begun)))
    taken: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds):
        for on_host in (False, True) if number % 2 else (True, False):
            with permutation_on_host() if on_host else contextlib.nullcontext():
                start, end = load.run(executions)
            taken[on_host].append((end - start) / executions)
    return median(taken[False]), median(taken[True])
