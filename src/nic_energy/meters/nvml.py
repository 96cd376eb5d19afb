"""NVIDIA's management library as a meter, through pynvml.

At opening every reading is tried once; what the device does not offer stays null from then on.
Power and the energy counter are essential, all other readings are auxiliary: they judge a window
and describe it, but no joule depends on them. An auxiliary reading that fails at opening in any
way is not offered. A reading that worked before may fail for a moment: it is null then and
counted. An essential one that keeps failing, or a device that is gone, is an error; an auxiliary
one that keeps failing is not asked for any more.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pynvml

from nic_energy.errors import DeviceError
from nic_energy.meters import nvml_calls as calls
from nic_energy.meters.nvml_calls import Call, invoke, text
from nic_energy.meters.nvml_errors import GONE, UNSUPPORTED, at_open, in_run, refusal
from nic_energy.meters.nvml_facts import describe, slowdown
from nic_energy.meters.nvml_identity import find_device, power_fields
from nic_energy.traces import MeterInfo, Sample

NO_ANSWER = frozenset({*GONE, pynvml.NVML_ERROR_TIMEOUT})
"""At opening these say nothing of whether a power field is offered, and are an error."""

ESSENTIAL = frozenset({"power_instant_w", "power_average_w", "power_legacy_w", "energy_counter_j"})
"""Columns from which joules are made."""

PROCESSES_S = 1.0
"""The list of processes is asked for once in this time: it is costly to make."""

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

    @property
    def essential(self) -> bool:
        """Whether joules are made from it."""
        return self.column in ESSENTIAL


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

    def failed(self, call: str, error: pynvml.NVMLError, essential: bool) -> bool:
        """A reading did not come: whether to ask for it again.

        Raises:
            MeterError: the device is gone, or an essential reading does not come back.
        """
        if error.value in GONE:
            raise in_run(call, self._device, error) from error
        now = time.monotonic()
        since, times = self._running.get(call, (now, 0))
        self._running[call] = since, times + 1
        self.failures[f"{call}: {error}"] += 1
        if now - since < PATIENCE_S or times + 1 < PATIENCE_READINGS:
            return True
        if essential:
            lasted = f", {times + 1} times in a row over {now - since:.1f} s"
            raise in_run(call, self._device, error, lasted) from error
        self.failures[f"{call}: given up, null from then on"] += 1
        return False


Columns = dict[str, float | int | None]


@dataclass(frozen=True)
class Reading:
    """A reading besides the fields: its call, the sample columns of an answer, and how often it
    is asked for.
    """

    call: Call
    columns: Callable[[Any], Columns]
    every_s: float = 0.0
    essential: bool = False


def _state(value: int) -> Columns:
    return {"performance_state": None if value == pynvml.NVML_PSTATE_UNKNOWN else value}


def _processes(found: Any) -> Columns:
    """How many compute on the device. The server of MPS does not."""
    names = [calls.process_name(each.pid) for each in found]
    return {"compute_processes": sum(not calls.is_mps_server(name) for name in names)}


COUNTER = Reading(calls.COUNTER, lambda found: {"energy_counter_j": found / 1e3}, essential=True)
READINGS: tuple[Reading, ...] = (
    Reading(calls.COMPUTE_PROCESSES, _processes, PROCESSES_S),
    Reading(calls.POWER, lambda found: {"power_legacy_w": found / 1e3}, essential=True),
    Reading(calls.TEMPERATURE, lambda found: {"temperature_c": found}),
    Reading(
        calls.UTILIZATION,
        lambda rates: {
            "utilization_percent": rates.gpu,
            "memory_utilization_percent": rates.memory,
        },
    ),
    Reading(calls.SM_CLOCK, lambda found: {"sm_clock_mhz": found}),
    Reading(calls.MEMORY_CLOCK, lambda found: {"memory_clock_mhz": found}),
    Reading(calls.PERFORMANCE_STATE, _state),
    Reading(calls.EVENT_REASONS, lambda found: {"throttle_reasons": found}),
    Reading(calls.MEMORY, lambda found: {"memory_used_bytes": found.used}),
    COUNTER,
)


class _Reader:
    """A reading of a device, under the name of the call that answers there.

    Raises:
        pynvml.NVMLError: none does.
    """

    def __init__(self, reading: Reading, handle: Any) -> None:
        self._reading, self._handle = reading, handle
        self.call, answer = reading.call.chosen(handle)
        self.columns = reading.columns(answer)
        self.essential = reading.essential
        self._asked_s = time.monotonic()

    def read(self) -> Columns:
        """The columns, as last seen where it is not asked for each time."""
        now = time.monotonic()
        if now - self._asked_s >= self._reading.every_s:
            self.columns = self._reading.columns(self.call.ask(self._handle))
            self._asked_s = now
        return self.columns


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
            invoke("nvmlInit")
        except pynvml.NVMLError as error:
            raise at_open("nvmlInit", "meter nvml", error) from error
        try:
            self._handle, self._name, self._uuid = find_device(uuid)
            self._patience = _Patience(self._name)
            self._refused: list[str] = []
            self._fields = self._offered_fields()
            self._readers = self._offered_readings()
            self._info = self._describe("simulated" if simulated else "measured")
        except BaseException:
            pynvml.nvmlShutdown()
            raise

    def info(self) -> MeterInfo:
        """The GPU and the power columns that it fills."""
        return self._info

    def read(self) -> Sample:
        """One reading of everything that the GPU offers.

        `failed_readings` counts the essential ones that did not come; they are null.

        Raises:
            MeterError: the GPU is gone, or an essential reading fails for good.
        """
        sample: Columns = {}
        failed = self._read_fields(sample) if self._fields else 0
        for reader in tuple(self._readers):
            call = str(reader.call)
            try:
                sample.update(reader.read())
            except pynvml.NVMLError as error:
                failed += reader.essential
                if not self._patience.failed(call, error, reader.essential):
                    self._readers.remove(reader)
            else:
                self._patience.worked(call)
        return {**sample, "failed_readings": failed}

    def _read_fields(self, sample: Columns) -> int:
        """Put the fields into a sample; how many essential ones failed."""
        name = "nvmlDeviceGetFieldValues"
        essential = sum(field.essential for field in self._fields)
        try:
            values = invoke(name, self._handle, [field.id for field in self._fields])
        except pynvml.NVMLError as error:
            if not self._patience.failed(name, error, essential > 0):
                self._fields = []
            return essential
        self._patience.worked(name)
        failed = 0
        for field, value in zip(tuple(self._fields), values, strict=True):
            call = f"{name}({field.id})"
            if value.nvmlReturn == pynvml.NVML_SUCCESS:
                sample.update(_columns(field, value))
                self._patience.worked(call)
                continue
            failed += field.essential
            failure = pynvml.NVMLError(value.nvmlReturn)
            if not self._patience.failed(call, failure, field.essential):
                self._fields.remove(field)
        return failed

    def failures(self) -> Mapping[str, int]:
        """Readings that failed and were left null so far, by call and error."""
        return self._patience.failures

    def close(self) -> None:
        """Shut NVML down."""
        pynvml.nvmlShutdown()

    def _offered_fields(self) -> list[Field]:
        name = "nvmlDeviceGetFieldValues"
        try:
            values = invoke(name, self._handle, [field.id for field in FIELDS])
        except pynvml.NVMLError as error:
            if error.value in UNSUPPORTED:
                self._refused.append(refusal(name, error))
                return []
            raise at_open(name, self._name, error) from error
        offered = []
        for field, value in zip(FIELDS, values, strict=True):
            call, failure = f"{name}({field.id})", pynvml.NVMLError(value.nvmlReturn)
            if value.nvmlReturn == pynvml.NVML_SUCCESS:
                offered.append(field)
            elif value.nvmlReturn in (NO_ANSWER if field.essential else GONE):
                raise at_open(call, self._name, failure)
            else:
                self._refused.append(refusal(call, failure))
        return offered

    def _offered_readings(self) -> list[_Reader]:
        counted = any(field.column == "energy_counter_j" for field in self._fields)
        offered = []
        for reading in READINGS:
            if counted and reading is COUNTER:
                continue
            try:
                reader = _Reader(reading, self._handle)
            except pynvml.NVMLError as error:
                gone = error.value in GONE
                if gone or (reading.essential and error.value not in UNSUPPORTED):
                    raise at_open(reading.call, self._name, error) from error
                self._refused.append(refusal(reading.call, error))
                continue
            if any(value is not None for value in reader.columns.values()):
                offered.append(reader)
            else:
                self._refused.append(f"{reading.call}: no value")
        return offered

    def _describe(self, source: str) -> MeterInfo:
        columns = {field.column for field in self._fields}
        columns.update(*(reader.columns for reader in self._readers))
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
        name = "nvmlSystemGetDriverVersion"
        try:
            driver = text(invoke(name))
        except pynvml.NVMLError as error:
            raise at_open(name, self._name, error) from error
        slowdown_c, slowdown_from = slowdown(self._handle)
        return MeterInfo(
            meter="nvml",
            source=source,
            device_name=self._name,
            device_uuid=self._uuid,
            driver=driver,
            power_fields=fields,
            counter="energy_counter_j" in columns,
            temperature="temperature_c" in columns,
            slowdown_temperature_c=slowdown_c,
            details={
                **details,
                "slowdown_from": slowdown_from,
                "not_offered": list(self._refused),
            },
        )


def _columns(field: Field, value: Any) -> Columns:
    attribute = INTEGER_TYPES.get(value.valueType)
    number = None if attribute is None else getattr(value.value, attribute)
    if number is not None and field.factor is not None:
        number = number * field.factor
    columns: Columns = {field.column: number}
    if field.time_column:
        columns[field.time_column] = int(value.timestamp)
    return columns
