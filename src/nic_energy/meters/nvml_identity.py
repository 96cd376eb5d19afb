"""Which GPU it is, and what is known of it, through NVML."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pynvml

from nic_energy.errors import DeviceError
from nic_energy.meters.nvml_errors import at_open
from nic_energy.traces import PowerField

AVERAGING_WINDOW_S = 1.0
UPDATE_PERIOD_S = 0.1
"""Documented for most architectures; the sensor's passport measures it."""

GA100 = (8, 0)
"""Compute capability of A100 and A30, whose legacy power reading is not averaged over 1 s."""


def list_devices() -> list[dict[str, Any]]:
    """All GPUs that NVML sees: index, uuid, name. NVML must be initialised.

    Raises:
        DeviceError: NVML cannot list them.
    """
    try:
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        return [
            {
                "index": index,
                "uuid": str(pynvml.nvmlDeviceGetUUID(handle)),
                "name": str(pynvml.nvmlDeviceGetName(handle)),
            }
            for index, handle in enumerate(handles)
        ]
    except pynvml.NVMLError as error:
        raise at_open("the list of devices", "meter nvml", error) from error


def find_device(uuid: str | None) -> tuple[Any, str, str]:
    """(handle, name, UUID) of a GPU; the first one without a UUID.

    Raises:
        DeviceError: there is no such GPU; names those that there are.
    """
    wanted = None if uuid is None else f"GPU-{uuid.removeprefix('GPU-')}"
    devices = list_devices()
    for device in devices:
        if wanted in (None, device["uuid"]):
            handle = pynvml.nvmlDeviceGetHandleByIndex(device["index"])
            return handle, device["name"], device["uuid"]
    there = ", ".join(f"{d['name']} ({d['uuid']})" for d in devices) or "no GPU at all"
    raise DeviceError(
        f"meter nvml: NVML sees no GPU {wanted}; it sees {there}. The GPU that runs the networks "
        "(config key `device`, CUDA_VISIBLE_DEVICES) must be one that NVML can read; a MIG "
        "instance has no power meter of its own."
    )


def power_fields(handle: Any, columns: set[str]) -> tuple[PowerField, ...]:
    """The power columns that are filled, the preferred one first.

    The instant field (186) comes first; the legacy reading is a 1 s average on Ampere and newer
    except GA100; the average field (185) comes last. A moving average trails by half its window.
    """
    instant = PowerField("power_instant_w", "instant", update_period_s=UPDATE_PERIOD_S)
    average = PowerField(
        "power_average_w", "average", AVERAGING_WINDOW_S, AVERAGING_WINDOW_S / 2, UPDATE_PERIOD_S
    )
    legacy = average if _legacy_is_averaged(handle) else instant
    fields = (instant, replace(legacy, column="power_legacy_w"), average)
    return tuple(field for field in fields if field.column in columns)


def _legacy_is_averaged(handle: Any) -> bool:
    capability = _ask(lambda: tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle)))
    return capability is not None and capability >= GA100 and capability != GA100


def slowdown_c(handle: Any) -> float | None:
    """Temperature at which the GPU slows down, None where it does not say."""
    value = _ask(
        lambda: pynvml.nvmlDeviceGetTemperatureThreshold(
            handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        )
    )
    return None if not value else float(value)


def describe(handle: Any) -> dict[str, Any]:
    """What NVML says of the GPU, ready for JSON; None where it does not say."""
    watts: Callable[[Callable[[Any], int]], float | None] = lambda call: (  # noqa: E731
        None if (value := _ask(lambda: call(handle))) is None else value / 1e3
    )
    return {
        "vbios": _ask(lambda: str(pynvml.nvmlDeviceGetVbiosVersion(handle))),
        "pci_bus_id": _ask(lambda: _text(pynvml.nvmlDeviceGetPciInfo(handle).busId)),
        "architecture": _ask(lambda: pynvml.nvmlDeviceGetArchitecture(handle)),
        "compute_capability": _ask(lambda: list(pynvml.nvmlDeviceGetCudaComputeCapability(handle))),
        "cuda_driver_version": _ask(pynvml.nvmlSystemGetCudaDriverVersion),
        "nvml_version": _ask(lambda: str(pynvml.nvmlSystemGetNVMLVersion())),
        "enforced_power_limit_w": watts(pynvml.nvmlDeviceGetEnforcedPowerLimit),
        "default_power_limit_w": watts(pynvml.nvmlDeviceGetPowerManagementDefaultLimit),
        "persistence_mode": _ask(lambda: pynvml.nvmlDeviceGetPersistenceMode(handle)),
        "compute_mode": _ask(lambda: pynvml.nvmlDeviceGetComputeMode(handle)),
        "mig_mode": _ask(lambda: pynvml.nvmlDeviceGetMigMode(handle)[0]),
        "max_sm_clock_mhz": _ask(
            lambda: pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM)
        ),
    }


def _ask(call: Callable[[], Any]) -> Any:
    """The answer, or None where the device gives none: these are facts, not measurements."""
    try:
        return call()
    except pynvml.NVMLError:
        return None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
