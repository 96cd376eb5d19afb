"""What NVML says of the GPUs of this machine, asked in a process of its own.

    python -m nic_energy.meters.nvml_survey list
    python -m nic_energy.meters.nvml_survey read UUID SECONDS

A call into a sick driver may hang or crash, which only the end of its process ends. This one
prints one JSON object a line, each with its `event`: `call` names what is called next, so that
who listens knows what hangs; `system`, `gpu` and `samples` are answers; `share` is progress;
`error` is a failure with its remedy; `end` comes last.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pynvml

from nic_energy.errors import NicEnergyError
from nic_energy.meters.nvml import FIELDS, NvmlMeter
from nic_energy.meters.nvml_errors import at_open

POLLING_HZ = 100.0
"""Tells the updates of the fastest sensors known, every 20 ms, apart."""

REPORT_S = 0.2


@dataclass(frozen=True)
class Question:
    """A fact to ask for: its key in the answer, the NVML call, and how it is asked."""

    key: str
    call: str
    ask: Callable[[Any], Any]


def _watts(call: Callable[[Any], int]) -> Callable[[Any], float]:
    return lambda handle: call(handle) / 1e3


def _on(call: Callable[[Any], int]) -> Callable[[Any], bool]:
    return lambda handle: bool(call(handle))


def _clock(call: Callable[[Any, int], int], kind: int) -> Callable[[Any], int]:
    return lambda handle: call(handle, kind)


def _threshold(kind: int) -> Callable[[Any], int | None]:
    return lambda handle: pynvml.nvmlDeviceGetTemperatureThreshold(handle, kind) or None


def _architecture(handle: Any) -> str:
    value = pynvml.nvmlDeviceGetArchitecture(handle)
    names = {
        number: name.removeprefix("NVML_DEVICE_ARCH_").capitalize()
        for name, number in vars(pynvml).items()
        if name.startswith("NVML_DEVICE_ARCH_")
    }
    return str(names.get(value, f"architecture {value}"))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _processes(call: Callable[[Any], Any]) -> Callable[[Any], list[dict[str, Any]]]:
    return lambda handle: [
        {"pid": each.pid, "name": _process_name(each.pid), "memory_bytes": each.usedGpuMemory}
        for each in call(handle)
    ]


def _process_name(pid: int) -> str | None:
    """Name of a process; None where it is another container's."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    with suppress(pynvml.NVMLError):
        return Path(_text(pynvml.nvmlSystemGetProcessName(pid))).name
    return None


def _uncorrected(handle: Any) -> int:
    return int(
        pynvml.nvmlDeviceGetTotalEccErrors(
            handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
        )
    )


SM, MEMORY = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM

QUESTIONS: tuple[Question, ...] = (
    Question(
        "pci_bus_id",
        "nvmlDeviceGetPciInfo",
        lambda handle: _text(pynvml.nvmlDeviceGetPciInfo(handle).busId),
    ),
    Question("architecture", "nvmlDeviceGetArchitecture", _architecture),
    Question(
        "compute_capability",
        "nvmlDeviceGetCudaComputeCapability",
        lambda handle: list(pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
    ),
    Question(
        "vbios",
        "nvmlDeviceGetVbiosVersion",
        lambda handle: _text(pynvml.nvmlDeviceGetVbiosVersion(handle)),
    ),
    Question(
        "persistence_mode",
        "nvmlDeviceGetPersistenceMode",
        _on(pynvml.nvmlDeviceGetPersistenceMode),
    ),
    Question("compute_mode", "nvmlDeviceGetComputeMode", pynvml.nvmlDeviceGetComputeMode),
    Question(
        "mig_mode",
        "nvmlDeviceGetMigMode",
        lambda handle: bool(pynvml.nvmlDeviceGetMigMode(handle)[0]),
    ),
    Question(
        "ecc_modes",
        "nvmlDeviceGetEccMode",
        lambda handle: [bool(mode) for mode in pynvml.nvmlDeviceGetEccMode(handle)],
    ),
    Question("ecc_uncorrected", "nvmlDeviceGetTotalEccErrors", _uncorrected),
    Question(
        "display_active", "nvmlDeviceGetDisplayActive", _on(pynvml.nvmlDeviceGetDisplayActive)
    ),
    Question(
        "enforced_power_limit_w",
        "nvmlDeviceGetEnforcedPowerLimit",
        _watts(pynvml.nvmlDeviceGetEnforcedPowerLimit),
    ),
    Question(
        "default_power_limit_w",
        "nvmlDeviceGetPowerManagementDefaultLimit",
        _watts(pynvml.nvmlDeviceGetPowerManagementDefaultLimit),
    ),
    Question(
        "most_power_limit_w",
        "nvmlDeviceGetPowerManagementLimitConstraints",
        lambda handle: pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)[1] / 1e3,
    ),
    Question(
        "max_sm_clock_mhz",
        "nvmlDeviceGetMaxClockInfo(SM)",
        _clock(pynvml.nvmlDeviceGetMaxClockInfo, SM),
    ),
    Question(
        "sm_clock_mhz", "nvmlDeviceGetClockInfo(SM)", _clock(pynvml.nvmlDeviceGetClockInfo, SM)
    ),
    Question(
        "memory_clock_mhz",
        "nvmlDeviceGetClockInfo(MEM)",
        _clock(pynvml.nvmlDeviceGetClockInfo, MEMORY),
    ),
    Question(
        "application_sm_clock_mhz",
        "nvmlDeviceGetApplicationsClock",
        _clock(pynvml.nvmlDeviceGetApplicationsClock, SM),
    ),
    Question(
        "default_application_sm_clock_mhz",
        "nvmlDeviceGetDefaultApplicationsClock",
        _clock(pynvml.nvmlDeviceGetDefaultApplicationsClock, SM),
    ),
    Question(
        "performance_state", "nvmlDeviceGetPerformanceState", pynvml.nvmlDeviceGetPerformanceState
    ),
    Question(
        "throttle_reasons",
        "nvmlDeviceGetCurrentClocksEventReasons",
        pynvml.nvmlDeviceGetCurrentClocksThrottleReasons,
    ),
    Question(
        "temperature_c",
        "nvmlDeviceGetTemperature",
        lambda handle: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
    ),
    Question(
        "slowdown_temperature_c",
        "nvmlDeviceGetTemperatureThreshold",
        _threshold(pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
    ),
    Question(
        "memory_total_bytes",
        "nvmlDeviceGetMemoryInfo",
        lambda handle: pynvml.nvmlDeviceGetMemoryInfo(handle).total,
    ),
    Question(
        "memory_free_bytes",
        "nvmlDeviceGetMemoryInfo",
        lambda handle: pynvml.nvmlDeviceGetMemoryInfo(handle).free,
    ),
    Question(
        "utilization_percent",
        "nvmlDeviceGetUtilizationRates",
        lambda handle: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
    ),
    Question("power_legacy_w", "nvmlDeviceGetPowerUsage", _watts(pynvml.nvmlDeviceGetPowerUsage)),
    Question(
        "energy_counter_j",
        "nvmlDeviceGetTotalEnergyConsumption",
        _watts(pynvml.nvmlDeviceGetTotalEnergyConsumption),
    ),
    Question(
        "compute_processes",
        "nvmlDeviceGetComputeRunningProcesses",
        _processes(pynvml.nvmlDeviceGetComputeRunningProcesses),
    ),
    Question(
        "graphics_processes",
        "nvmlDeviceGetGraphicsRunningProcesses",
        _processes(pynvml.nvmlDeviceGetGraphicsRunningProcesses),
    ),
)


ERROR_NAMES: Mapping[int, str] = {
    code: name.removeprefix("NVML_ERROR_")
    for name, code in vars(pynvml).items()
    if name.startswith("NVML_ERROR_") and isinstance(code, int)
}


def error_name(code: int) -> str:
    """NVML's name of an error, such as NOT_SUPPORTED."""
    return ERROR_NAMES.get(code, f"error {code}")


def tell(event: str, **content: Any) -> None:
    """Print one event."""
    sys.stdout.write(json.dumps({"event": event, **content}) + "\n")
    sys.stdout.flush()


def list_gpus() -> None:
    """Everything that can be asked without watching: the system, then GPU by GPU.

    Raises:
        DeviceError: NVML does not start, or does not count its GPUs.
    """
    tell("call", name="nvmlInit")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise at_open("nvmlInit", "meter nvml", error) from error
    tell("call", name="nvmlDeviceGetCount")
    try:
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        raise at_open("nvmlDeviceGetCount", "meter nvml", error) from error
    tell("system", **_system(), count=count)
    for index in range(count):
        tell("gpu", index=index, **_gpu(index))
    pynvml.nvmlShutdown()


def _system() -> dict[str, Any]:
    calls: Mapping[str, Callable[[], Any]] = {
        "driver": lambda: _text(pynvml.nvmlSystemGetDriverVersion()),
        "nvml_version": lambda: _text(pynvml.nvmlSystemGetNVMLVersion()),
        "cuda_driver_version": pynvml.nvmlSystemGetCudaDriverVersion,
    }
    answers: dict[str, Any] = {}
    for key, call in calls.items():
        tell("call", name=f"nvmlSystemGet ({key})")
        try:
            answers[key] = call()
        except pynvml.NVMLError:
            answers[key] = None
    return answers


def _gpu(index: int) -> dict[str, Any]:
    """Facts of a GPU: `answers`, and under `refusals` the calls that gave none, with the error."""
    tell("call", name=f"nvmlDeviceGetHandleByIndex({index})")
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
        name = _text(pynvml.nvmlDeviceGetName(handle))
    except pynvml.NVMLError as error:
        return {"error": str(at_open("nvmlDeviceGetHandleByIndex", f"GPU {index}", error))}
    answers: dict[str, Any] = {}
    refusals: dict[str, str] = {}
    for question in QUESTIONS:
        tell("call", name=question.call)
        try:
            answers[question.key] = question.ask(handle)
        except pynvml.NVMLError as error:
            refusals[question.call] = error_name(error.value)
    refusals.update(_field_refusals(handle))
    return {"uuid": uuid, "name": name, "answers": answers, "refusals": refusals}


def _field_refusals(handle: Any) -> dict[str, str]:
    """The fields that the meter reads and this GPU does not give."""
    tell("call", name="nvmlDeviceGetFieldValues")
    try:
        values = pynvml.nvmlDeviceGetFieldValues(handle, [field.id for field in FIELDS])
    except pynvml.NVMLError as error:
        return {"nvmlDeviceGetFieldValues": error_name(error.value)}
    return {
        f"field {field.id} ({field.column})": error_name(value.nvmlReturn)
        for field, value in zip(FIELDS, values, strict=True)
        if value.nvmlReturn != pynvml.NVML_SUCCESS
    }


def read_gpu(uuid: str, seconds: float) -> None:
    """Poll a GPU with the meter of the campaign; the samples up to an error are told before it.

    Raises:
        DeviceError: the meter cannot be opened on it.
        MeterError: a reading failed.
    """
    with suppress(OSError):  # as the sampler does, where it is allowed
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    tell("call", name="opening the meter")
    meter = NvmlMeter(uuid)
    tell("info", **asdict(meter.info()))
    samples: list[dict[str, Any]] = []
    tell("call", name="a reading of the meter")
    try:
        _poll(meter, seconds, samples)
    finally:
        tell("samples", samples=samples)
    meter.close()


def _poll(meter: NvmlMeter, seconds: float, samples: list[dict[str, Any]]) -> None:
    began = reported = deadline = time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        if now - reported >= REPORT_S:
            tell("share", share=(now - began) / seconds)
            reported = now
        before = time.monotonic()
        values = meter.read()
        after = time.monotonic()
        middle = (before + after) / 2
        wall = time.time() - (time.monotonic() - middle)
        samples.append(
            {"time_s": middle, "wall_time_s": wall, "read_duration_s": after - before, **values}
        )
        deadline = max(deadline + 1 / POLLING_HZ, after)
        time.sleep(max(0.0, deadline - time.monotonic()))


def main(arguments: list[str]) -> None:
    """Answer one request."""
    try:
        if arguments[0] == "read":
            read_gpu(arguments[1], float(arguments[2]))
        else:
            list_gpus()
    except NicEnergyError as error:
        tell("error", message=str(error))
    tell("end")


if __name__ == "__main__":
    main(sys.argv[1:])
