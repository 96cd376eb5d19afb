"""NVIDIA's management library as a meter, through pynvml.

At opening every reading is tried once; what the device does not support stays null from then
on. A reading that worked before may fail for a moment: it is null then and counted. One that
keeps failing, or a device that is gone, is an error.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pynvml

from nic_energy.errors import DeviceError
from nic_energy.meters.nvml_errors import GONE, at_open, in_run
from nic_energy.meters.nvml_identity import describe, find_device, power_fields, slowdown_c
from nic_energy.traces import MeterInfo, Sample

UNSUPPORTED = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
    }
)
"""At opening these mean that the device does not offer the reading (to this user)."""

NO_ANSWER = frozenset({*GONE, pynvml.NVML_ERROR_TIMEOUT})
"""At opening these say nothing of what a field offers, and are an error."""

PATIENCE_S = 2.0
PATIENCE_READINGS = 3
"""A reading that fails as long and as often as that in a row does not come back by itself."""


@dataclass(frozen=True)
class Field:
    """An NVML field: its id, the sample column it fills, the factor to the column's unit, and the
    column for its own time stamp.
    """

    id: int
    column: str
    factor: float | None = None
    time_column: str | None = None


FIELDS: tuple[Field, ...] = (
    Field(pynvml.NVML_FI_DEV_POWER_INSTANT, "power_instant_w", 1e-3, "power_instant_time_us"),
    Field(pynvml.NVML_FI_DEV_POWER_AVERAGE, "power_average_w", 1e-3, "power_average_time_us"),
    Field(pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, "energy_counter_j", 1e-3),
    Field(pynvml.NVML_FI_DEV_PERF_POLICY_POWER, "throttle_power_cap_ns"),
    Field(pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL, "throttle_thermal_policy_ns"),
    Field(269, "throttle_sw_thermal_ns"),
    Field(270, "throttle_hw_thermal_ns"),
    Field(271, "throttle_power_brake_ns"),
)

INTEGER_TYPES: Mapping[int, str] = {
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
}


class _Processes:
    """Number of compute processes, asked for once in `EVERY_S`: the list is costly to make."""

    EVERY_S = 1.0

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._asked_s = -math.inf
        self._count = 0

    def read(self) -> dict[str, float | int | None]:
        """The number as last seen."""
        now = time.monotonic()
        if now - self._asked_s >= self.EVERY_S:
            self._count = len(pynvml.nvmlDeviceGetComputeRunningProcesses(self._handle))
            self._asked_s = now
        return {"compute_processes": self._count}


class _Patience:
    """Bears the failing of readings that worked before, for a while.

    Args:
        device: what to call it in an error.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._running: dict[str, tuple[float, int]] = {}
        self.failures: Counter[str] = Counter()

    def worked(self, call: str) -> None:
        """A reading came."""
        self._running.pop(call, None)

    def failed(self, call: str, error: pynvml.NVMLError) -> None:
        """A reading did not come.

        Raises:
            MeterError: it will not come again.
        """
        if error.value in GONE:
            raise in_run(call, self._device, error) from error
        now = time.monotonic()
        since, times = self._running.get(call, (now, 0))
        self._running[call] = since, times + 1
        self.failures[f"{call}: {error}"] += 1
        if now - since >= PATIENCE_S and times + 1 >= PATIENCE_READINGS:
            lasted = f", {times + 1} times in a row over {now - since:.1f} s"
            raise in_run(call, self._device, error, lasted) from error


def _calls(handle: Any) -> dict[str, tuple[str, Callable[[], dict[str, float | int | None]]]]:
    """Readings besides the fields: name to (NVML call, reader of sample columns)."""

    def utilization() -> dict[str, float | int | None]:
        rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
        return {"utilization_percent": rates.gpu, "memory_utilization_percent": rates.memory}

    def clock(column: str, kind: int) -> Callable[[], dict[str, float | int | None]]:
        return lambda: {column: pynvml.nvmlDeviceGetClockInfo(handle, kind)}

    def state() -> dict[str, float | int | None]:
        value = pynvml.nvmlDeviceGetPerformanceState(handle)
        return {"performance_state": None if value == pynvml.NVML_PSTATE_UNKNOWN else value}

    processes = _Processes(handle)
    return {
        "processes": ("nvmlDeviceGetComputeRunningProcesses", processes.read),
        "legacy": (
            "nvmlDeviceGetPowerUsage",
            lambda: {"power_legacy_w": pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3},
        ),
        "temperature": (
            "nvmlDeviceGetTemperature",
            lambda: {
                "temperature_c": pynvml.nvmlDeviceGetTemperature(
                    handle, pynvml.NVML_TEMPERATURE_GPU
                )
            },
        ),
        "utilization": ("nvmlDeviceGetUtilizationRates", utilization),
        "sm_clock": ("nvmlDeviceGetClockInfo(SM)", clock("sm_clock_mhz", pynvml.NVML_CLOCK_SM)),
        "memory_clock": (
            "nvmlDeviceGetClockInfo(MEM)",
            clock("memory_clock_mhz", pynvml.NVML_CLOCK_MEM),
        ),
        "state": ("nvmlDeviceGetPerformanceState", state),
        "reasons": (
            "nvmlDeviceGetCurrentClocksEventReasons",
            lambda: {"throttle_reasons": pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)},
        ),
        "memory": (
            "nvmlDeviceGetMemoryInfo",
            lambda: {"memory_used_bytes": pynvml.nvmlDeviceGetMemoryInfo(handle).used},
        ),
        "counter": (
            "nvmlDeviceGetTotalEnergyConsumption",
            lambda: {"energy_counter_j": pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3},
        ),
    }


class NvmlMeter:
    """One GPU, bound by its UUID.

    Args:
        uuid: UUID of the GPU on which the network runs. None, for tests only, takes the first.
        simulated: mark everything as simulated (the test switch).

    Raises:
        DeviceError: no NVML, no such GPU, or a GPU without any power reading.
    """

    def __init__(self, uuid: str | None, simulated: bool = False) -> None:
        if uuid is None and not simulated:
            raise DeviceError("meter nvml: needs the UUID of the GPU on which the network runs.")
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise at_open("nvmlInit", "meter nvml", error) from error
        try:
            self._handle, self._name, self._uuid = find_device(uuid)
            self._patience = _Patience(self._name)
            self._refused: list[str] = []
            self._fields = self._supported_fields()
            self._calls = self._supported_calls()
            self._info = self._describe("simulated" if simulated else "measured")
        except BaseException:
            pynvml.nvmlShutdown()
            raise

    def info(self) -> MeterInfo:
        """The GPU and the power columns that it fills."""
        return self._info

    def read(self) -> Sample:
        """One reading of everything that the GPU offers; `failed_readings` counts what did not
        come and is null.

        Raises:
            MeterError: a reading that worked at opening fails for good.
        """
        sample: dict[str, float | int | None] = {}
        failed = self._read_fields(sample) if self._fields else 0
        for call, read in self._calls.values():
            try:
                sample.update(read())
            except pynvml.NVMLError as error:
                self._patience.failed(call, error)
                failed += 1
            else:
                self._patience.worked(call)
        return {**sample, "failed_readings": failed}

    def _read_fields(self, sample: dict[str, float | int | None]) -> int:
        """Put the fields into a sample; how many failed."""
        name = "nvmlDeviceGetFieldValues"
        try:
            values = pynvml.nvmlDeviceGetFieldValues(self._handle, [f.id for f in self._fields])
        except pynvml.NVMLError as error:
            self._patience.failed(name, error)
            return len(self._fields)
        self._patience.worked(name)
        failed = 0
        for field, value in zip(self._fields, values, strict=True):
            call = f"{name}({field.id})"
            if value.nvmlReturn == pynvml.NVML_SUCCESS:
                sample.update(_columns(field, value))
                self._patience.worked(call)
            else:
                self._patience.failed(call, pynvml.NVMLError(value.nvmlReturn))
                failed += 1
        return failed

    def failures(self) -> Mapping[str, int]:
        """Readings that failed and were left null so far, by call and error."""
        return self._patience.failures

    def close(self) -> None:
        """Shut NVML down."""
        pynvml.nvmlShutdown()

    def _supported_fields(self) -> list[Field]:
        try:
            values = pynvml.nvmlDeviceGetFieldValues(self._handle, [f.id for f in FIELDS])
        except pynvml.NVMLError as error:
            if error.value in UNSUPPORTED:
                self._refused.append(f"nvmlDeviceGetFieldValues: {error}")
                return []
            raise at_open("nvmlDeviceGetFieldValues", self._name, error) from error
        offered = []
        for field, value in zip(FIELDS, values, strict=True):
            call = f"nvmlDeviceGetFieldValues({field.id})"
            if value.nvmlReturn == pynvml.NVML_SUCCESS:
                offered.append(field)
            elif value.nvmlReturn in NO_ANSWER:
                raise at_open(call, self._name, pynvml.NVMLError(value.nvmlReturn))
            else:
                self._refused.append(f"{call}: {pynvml.NVMLError(value.nvmlReturn)}")
        return offered

    def _supported_calls(
        self,
    ) -> dict[str, tuple[str, Callable[[], dict[str, float | int | None]]]]:
        supported = {}
        for name, (call, read) in _calls(self._handle).items():
            try:
                offered = any(value is not None for value in read().values())
            except pynvml.NVMLError as error:
                if error.value not in UNSUPPORTED:
                    raise at_open(call, self._name, error) from error
                self._refused.append(f"{call}: {error}")
                offered = False
            if offered:
                supported[name] = (call, read)
        if any(field.column == "energy_counter_j" for field in self._fields):
            supported.pop("counter", None)
        return supported

    def _describe(self, source: str) -> MeterInfo:
        columns = {field.column for field in self._fields}
        if "legacy" in self._calls:
            columns.add("power_legacy_w")
        fields = power_fields(self._handle, columns)
        details = describe(self._handle)
        if details["mig_mode"]:
            raise DeviceError(
                f"{self._name} ({self._uuid}): MIG is on, and its power meter is the whole "
                "board's, so the joules of other instances would be counted. Turn MIG off "
                "(nvidia-smi -mig 0, as root)."
            )
        if not fields:
            raise DeviceError(
                f"{self._name} ({self._uuid}): offers no power reading at all (fields 185 and 186, "
                "nvmlDeviceGetPowerUsage), so its energy cannot be measured with nvml. Refused: "
                f"{'; '.join(self._refused) or 'nothing'}."
            )
        return MeterInfo(
            meter="nvml",
            source=source,
            device_name=self._name,
            device_uuid=self._uuid,
            driver=str(pynvml.nvmlSystemGetDriverVersion()),
            power_fields=fields,
            counter="energy_counter_j" in columns or "counter" in self._calls,
            temperature="temperature" in self._calls,
            slowdown_temperature_c=slowdown_c(self._handle),
            details={**details, "not_offered": self._refused},
        )


def _columns(field: Field, value: Any) -> dict[str, float | int | None]:
    attribute = INTEGER_TYPES.get(value.valueType)
    number = None if attribute is None else getattr(value.value, attribute)
    if number is not None and field.factor is not None:
        number = number * field.factor
    columns: dict[str, float | int | None] = {field.column: number}
    if field.time_column:
        columns[field.time_column] = int(value.timestamp)
    return columns
