"""The GPUs of the machine as NVML lists them, asked without a CUDA context."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from nic_energy.doctor import survey
from nic_energy.doctor.facts import Gpu
from nic_energy.doctor.judge_gpu import COMPUTE_MODES
from nic_energy.errors import NicEnergyError
from nic_energy.measure.device import RunningSampler, stopped
from nic_energy.meters import MeterRequest
from nic_energy.sampler import Sampler

LIMIT_S = 30.0
"""A call to NVML that takes longer hangs."""

COOL_MARGIN_K = 30.0
COOLING_S = 120.0
COOLING_POLL_S = 5.0


@dataclass(frozen=True)
class Neighbour:
    """Another GPU of the machine: its sampler and power column, or why it is not read."""

    name: str
    sampler: RunningSampler | None = None
    column: str = ""
    reason: str = ""


def gpus() -> tuple[Gpu, ...]:
    """All GPUs that NVML counts, also those that it refuses to open."""
    return survey.list_gpus(LIMIT_S).gpus


def facts(uuid: str) -> Gpu | None:
    """What NVML says of a GPU; None where it does not list it."""
    return next((gpu for gpu in gpus() if gpu.uuid == uuid), None)


def is_exclusive(gpu: Gpu | None) -> bool:
    """Whether only one process at a time may hold a CUDA context on it."""
    mode = None if gpu is None else gpu.compute_mode
    return mode is not None and COMPUTE_MODES.get(mode, "").startswith("exclusive")


@contextlib.contextmanager
def neighbours(uuid: str, sampling_hz: float) -> Iterator[list[Neighbour]]:
    """The other GPUs of the machine, read where they can be read.

    Args:
        uuid: of the GPU that is tested.
    """
    with contextlib.ExitStack() as stack:
        yield [_neighbour(gpu, sampling_hz, stack) for gpu in gpus() if gpu.uuid != uuid]


def _neighbour(gpu: Gpu, sampling_hz: float, stack: contextlib.ExitStack) -> Neighbour:
    name = f"{gpu.name} ({gpu.uuid})" if gpu.uuid else f"GPU {gpu.index}"
    if gpu.error:
        return Neighbour(name, reason=gpu.error)
    sampler = Sampler(MeterRequest("nvml", "cuda", gpu.uuid), sampling_hz)
    stack.callback(stopped, sampler)
    try:
        meter = sampler.start()
    except NicEnergyError as error:
        return Neighbour(name, reason=str(error))
    return Neighbour(name, sampler, meter.power_fields[0].column)


def cool(uuid: str, most_s: float = COOLING_S) -> float:
    """Leave a GPU at rest until it is well below its slowdown temperature; the time in s.

    A card that does not say its temperatures is not waited for.
    """
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < most_s:
        gpu = facts(uuid)
        if gpu is None or gpu.temperature_c is None or gpu.slowdown_temperature_c is None:
            break
        if gpu.temperature_c <= gpu.slowdown_temperature_c - COOL_MARGIN_K:
            break
        time.sleep(min(COOLING_POLL_S, most_s - waited))
    return time.monotonic() - begun
