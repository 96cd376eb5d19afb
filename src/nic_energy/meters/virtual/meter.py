"""The virtual GPU's meter: what NVML would show of it, with faults on demand."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nic_energy.errors import MeterError
from nic_energy.meters.virtual.device import VirtualGpu
from nic_energy.meters.virtual.sensor import Counter, Sensor, SensorSpec
from nic_energy.traces import FloatArray, MeterInfo, PowerField, Sample

EPOCH_S = 1_700_000_000.0
"""Unix time at which the virtual clock began."""

DRIVER = "virtual-1"
FAULTS = (
    "error", "dropout", "freeze", "spike", "zero", "counter_reset", "throttle", "processes", "heat",
    "clock", "state", "clock_step", "timeout",
)  # fmt: skip
THERMAL_SLOWDOWN = 0x40
IDLE_REASON = 0x1
STAMPS = {
    "power_instant_w": "power_instant_time_us",
    "power_average_w": "power_average_time_us",
}


@dataclass(frozen=True)
class Fault:
    """A fault from `at_s` after opening on, for `duration_s`.

    `error`: readings fail. `dropout`: power and counter are null. `freeze`: the sensor shows its
    last value. `spike`: it shows `value` W more. `zero`: it shows 0 W. `counter_reset`: the
    counter starts at 0 again. `throttle`: executions take `value` (a share) longer, and the GPU
    says so. `processes`: `value` other compute processes. `heat`: the thermometer shows `value` K
    more. `clock`: the SM clock is lower by `value` (a share). `state`: the GPU is in performance
    state `value`. `clock_step`: the wall clock is set forward by `value` s. `timeout`: the driver
    does not answer, so that everything is null and counted.
    """

    kind: str
    at_s: float
    duration_s: float = math.inf
    value: float = 0.0


class VirtualMeter:
    """A meter that can be read at any past time of the virtual clock."""

    def __init__(self, gpu: VirtualGpu, uuid: str, seed: int, faults: Sequence[Fault] = ()) -> None:
        self._gpu, self._uuid, self._faults = gpu, uuid, faults
        self._opened_s = gpu.now()
        self._sensors = [Sensor(spec, _stream(spec, seed)) for spec in gpu.preset.sensors]
        self._counter = Counter(gpu.preset.counter, seed)

    def info(self) -> MeterInfo:
        """The virtual GPU."""
        preset = self._gpu.preset
        return MeterInfo(
            meter="virtual",
            source="simulated",
            device_name=preset.name,
            device_uuid=self._uuid,
            driver=DRIVER,
            power_fields=tuple(_field(spec) for spec in preset.sensors),
            counter=True,
            temperature=True,
            slowdown_temperature_c=preset.slowdown_c,
            details={"preset": preset.key},
        )

    def read(self) -> Sample:
        """One reading, now.

        Raises:
            MeterError: a fault says so.
        """
        return self.read_at(np.array([self._gpu.now()]))[0]

    def read_at(self, time_s: FloatArray) -> list[Sample]:
        """Readings at times, shape (n,), in order; the columns of `read`.

        Raises:
            MeterError: a fault of kind `error` covers one of the times.
        """
        self._fail(time_s)
        columns: dict[str, Any] = {}
        for sensor in self._sensors:
            self._read_sensor(sensor, time_s, columns)
        columns["energy_counter_j"] = self._read_counter(time_s)
        gone = self._covered("dropout", time_s)
        for name in columns:
            columns[name] = np.where(gone, np.nan, columns[name])
        columns.update(self._state(time_s))
        failed = self._covered("timeout", time_s)
        for name in set(columns) - {"wall_time_s"}:
            columns[name] = np.where(failed, np.nan, columns[name])
        columns["failed_readings"] = np.where(failed, len(columns) - 1, 0)
        names = list(columns)
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [_sample(names, row) for row in rows]

    def close(self) -> None:
        """Nothing to release."""

    def throttle(self) -> None:
        """Let a fault of kind `throttle` act on the device; called before a load runs."""
        now = np.array([self._gpu.now()])
        active = [f for f in self._faults if f.kind == "throttle" and self._inside(f, now)[0]]
        self._gpu.slowdown = max((fault.value for fault in active), default=0.0)

    def _read_sensor(self, sensor: Sensor, time_s: FloatArray, columns: dict[str, Any]) -> None:
        shown_at = self._frozen(time_s)
        power, updated = sensor.read(self._gpu.energy_j, shown_at)
        power = power + self._sum("spike", time_s)
        power = np.where(self._covered("zero", time_s), 0.0, power)
        columns[sensor.spec.column] = power
        stamp = STAMPS.get(sensor.spec.column)
        if stamp:
            wall_s = EPOCH_S + updated + self._sum("clock_step", updated)
            columns[stamp] = np.round(wall_s * 1e6)

    def _read_counter(self, time_s: FloatArray) -> FloatArray:
        shown_at = self._frozen(time_s)
        counted = self._counter.read(self._gpu.counted_j, shown_at)
        base = np.zeros(len(time_s))
        resets = (f.at_s for f in self._faults if f.kind == "counter_reset")
        for at in np.array(sorted(resets)) + self._opened_s:
            reset = self._counter.read(self._gpu.counted_j, np.array([at]))
            base = np.where(shown_at >= at, reset, base)
        return counted - base

    def _state(self, time_s: FloatArray) -> dict[str, FloatArray]:
        loaded = self._gpu.timeline.loaded(time_s) > 0
        throttled = self._covered("throttle", time_s) & loaded
        reasons = np.where(loaded, 0, IDLE_REASON) + np.where(throttled, THERMAL_SLOWDOWN, 0)
        temperature = self._gpu.timeline.temperature_c(time_s) + self._sum("heat", time_s)
        clock = self._gpu.preset.sm_clock_mhz * (1 - self._sum("clock", time_s))
        state = np.where(loaded, 0, 8)
        for fault in (f for f in self._faults if f.kind == "state"):
            state = np.where(self._inside(fault, time_s), int(fault.value), state)
        others = self._sum("processes", time_s)
        return {
            "temperature_c": np.round(temperature),
            "utilization_percent": np.where(loaded, 100.0, 0.0),
            "sm_clock_mhz": np.where(loaded, clock, 300.0),
            "performance_state": state,
            "throttle_reasons": reasons,
            "compute_processes": (time_s >= self._gpu.attached_s) + others,
            "wall_time_s": EPOCH_S + time_s + self._sum("clock_step", time_s),
        }

    def _fail(self, time_s: FloatArray) -> None:
        if self._covered("error", time_s).any():
            raise MeterError(
                f"{self._gpu.preset.name}: a reading failed on demand (virtual.faults)."
            )

    def _frozen(self, time_s: FloatArray) -> FloatArray:
        for fault in (f for f in self._faults if f.kind == "freeze"):
            at = self._opened_s + fault.at_s
            time_s = np.where(self._inside(fault, time_s), at, time_s)
        return time_s

    def _sum(self, kind: str, time_s: FloatArray) -> FloatArray:
        total = np.zeros(len(time_s))
        for fault in (f for f in self._faults if f.kind == kind):
            total = total + np.where(self._inside(fault, time_s), fault.value, 0.0)
        return total

    def _covered(self, kind: str, time_s: FloatArray) -> Any:
        covered = np.zeros(len(time_s), dtype=bool)
        for fault in (f for f in self._faults if f.kind == kind):
            covered |= self._inside(fault, time_s)
        return covered

    def _inside(self, fault: Fault, time_s: FloatArray) -> Any:
        since = time_s - self._opened_s - fault.at_s
        return (since >= 0) & (since < fault.duration_s)


def _field(spec: SensorSpec) -> PowerField:
    kind = "average" if spec.kind == "average" else "instant"
    lag = spec.lag_s + spec.window_s / 2 if kind == "average" else None
    window = spec.window_s if kind == "average" else None
    return PowerField(spec.column, kind, window, lag)  # type: ignore[arg-type]


def _stream(spec: SensorSpec, seed: int) -> int:
    """One seed for all columns of one sensor."""
    return seed * 7919 + round(spec.window_s * 1e4)


INTEGERS = frozenset(
    {
        "performance_state",
        "throttle_reasons",
        "compute_processes",
        "failed_readings",
        *STAMPS.values(),
    }
)


def _sample(names: Sequence[str], row: Sequence[float]) -> Mapping[str, float | int | None]:
    return {
        name: None if value != value else int(value) if name in INTEGERS else value
        for name, value in zip(names, row, strict=True)
    }
