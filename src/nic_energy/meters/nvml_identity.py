"""Which GPU it is, and what its power readings are, through NVML."""

from dataclasses import dataclass, replace
from typing import Any

import pynvml

from nic_energy.errors import DeviceError
from nic_energy.meters.nvml_calls import invoke, text
from nic_energy.meters.nvml_errors import at_open, error_name, remedy
from nic_energy.meters.nvml_facts import fact
from nic_energy.traces import PowerField

AVERAGING_WINDOW_S = 1.0
UPDATE_PERIOD_S = 0.1
"""Documented for most architectures; the sensor's passport measures it."""

GA100 = (8, 0)
"""Compute capability of A100 and A30, whose legacy power reading is not averaged over 1 s."""


@dataclass(frozen=True)
class Listed:
    """A GPU in the order of NVML. `error` says why it does not answer, `call` which call."""

    index: int
    handle: Any = None
    uuid: str = ""
    name: str = ""
    call: str = ""
    error: pynvml.NVMLError | None = None

    def __str__(self) -> str:
        if self.error is None:
            return f"{self.name} ({self.uuid})"
        return f"NVML {self.index} does not answer ({str(self.error).rstrip('.')!r} in {self.call})"


def listed(index: int) -> Listed:
    """A GPU by its index. One that is lost, or that this container may not open, is listed with
    its error: it is of no concern to the others.
    """
    call = "nvmlDeviceGetHandleByIndex"
    try:
        handle = invoke(call, index)
        call = "nvmlDeviceGetUUID"
        uuid = text(invoke(call, handle))
        call = "nvmlDeviceGetName"
        return Listed(index, handle, uuid, text(invoke(call, handle)))
    except pynvml.NVMLError as error:
        return Listed(index, call=call, error=error)


def list_devices() -> list[Listed]:
    """All GPUs that NVML counts. NVML must be initialised.

    Raises:
        DeviceError: NVML cannot count them.
    """
    try:
        count = invoke("nvmlDeviceGetCount")
    except pynvml.NVMLError as error:
        raise at_open("the list of devices", "meter nvml", error) from error
    return [listed(index) for index in range(count)]


def find_device(uuid: str | None) -> tuple[Any, str, str]:
    """(handle, name, UUID) of a GPU; the first one that answers without a UUID.

    It is opened by its UUID. NVML may refuse even that for the sake of another GPU that is lost;
    then it is looked for among those that answer.

    Raises:
        DeviceError: there is no such GPU, or it does not answer; names all that there are.
    """
    wanted = None if uuid is None else f"GPU-{uuid.removeprefix('GPU-')}"
    call, refused = "nvmlDeviceGetHandleByUUID", None
    if wanted is not None:
        try:
            handle = invoke(call, wanted)
            call = "nvmlDeviceGetName"
            return handle, text(invoke(call, handle)), wanted
        except pynvml.NVMLError as error:
            refused = error
    devices = list_devices()
    for device in devices:
        if device.error is None and wanted in (None, device.uuid):
            return device.handle, device.name, device.uuid
    there = ", ".join(map(str, devices)) or "no GPU at all"
    if refused is not None and refused.value != pynvml.NVML_ERROR_NOT_FOUND:
        reason = at_open(call, f"meter nvml: GPU {wanted}", refused)
        raise DeviceError(f"{reason} NVML sees {there}.")
    codes = dict.fromkeys(device.error.value for device in devices if device.error is not None)
    raise DeviceError(
        f"meter nvml: NVML sees no GPU{f' {wanted}' if wanted else ''}; it sees {there}. The GPU "
        "that runs the networks (config key `device`, CUDA_VISIBLE_DEVICES) must be one that NVML "
        "can read; a MIG instance has no power meter of its own."
        + "".join(f" {error_name(code)} means: {remedy(code)}" for code in codes)
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
    capability = fact(handle, "compute_capability")
    return capability is not None and tuple(capability) >= GA100 and tuple(capability) != GA100
