"""A virtual GPU on a bad day: what goes wrong with it, its meter, its sampler and its room."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nic_energy.measure.backends import STATE
from nic_energy.measure.device import RunningSampler
from nic_energy.measure.virtual import VirtualBackend
from nic_energy.measure.warm import WarmWorkshop
from nic_energy.meters.virtual import Fault, VirtualGpu, VirtualMeter
from nic_energy.meters.virtual.meter import EPOCH_S
from nic_energy.sampler.inline import InlineSampler
from nic_energy.traces import FloatArray, Sample

SHOWN = ("power_instant_w", "power_legacy_w", "power_average_w")


@dataclass(frozen=True)
class Kind:
    """A kind of fault: how it is told, and from where to where its value is drawn."""

    told: str
    least: float = 0.0
    most: float = 0.0


KINDS: Mapping[str, Kind] = {
    "error": Kind("NVML gives an error at every reading"),
    "timeout": Kind("the driver does not answer: a reading is lost, and counted"),
    "dropout": Kind("power and counter are null"),
    "nan": Kind("power is NaN"),
    "zero": Kind("power is 0 W"),
    "negative": Kind("power is below 0 W", -300, -1),
    "absurd": Kind("power is 20 kW to 100 MW", 2e4, 1e8),
    "spike": Kind("the sensor alone shows 3 W to 3 kW too much", 3, 3000),
    "freeze": Kind("the sensor shows its last value"),
    "counter_reset": Kind("the energy counter begins at 0 again"),
    "gap": Kind("the sampler takes no sample"),
    "clock_step": Kind("the wall clock is set by up to an hour", 0.2, 3600),
    "throttle": Kind("the GPU is slowed down by 5 to 60 % for heat", 0.05, 0.6),
    "clock": Kind("the SM clock is shown 3 to 40 % lower", 0.03, 0.4),
    "state": Kind("another performance state", 2, 5),
    "processes": Kind("another compute process, idle", 1, 1),
    "foreign": Kind("another compute process, which draws 20 to 120 W", 20, 120),
    "heat": Kind("the thermometer shows 4 to 30 K too much", 4, 30),
    "ambient": Kind("the room gets 3 to 15 K warmer, really", 3, 15),
}
OWN = frozenset({"nan", "negative", "absurd", "gap", "foreign", "ambient"})
"""Kinds that are made here; the others the virtual meter makes itself."""


class Room(VirtualGpu):
    """A virtual GPU whose surroundings can be `hotter_k` above those of its preset."""

    hotter_k = 0.0

    def _warming(
        self, start_s: float, base_w: float, reference_c: float
    ) -> tuple[float, float, float, float, float, float, float]:
        *fields, end_c, thermal_s = super()._warming(start_s, base_w, reference_c)
        return (*fields, end_c + self.hotter_k / self.preset.loop, thermal_s)  # type: ignore[return-value]


class FaultyMeter(VirtualMeter):
    """A meter that has the faults of `OWN` too."""

    def __init__(self, gpu: Room, uuid: str, seed: int, faults: Sequence[Fault]) -> None:
        super().__init__(gpu, uuid, seed, [f for f in faults if f.kind not in OWN])
        self._room, self._opened = gpu, gpu.now()
        self._own = [fault for fault in faults if fault.kind in OWN]

    def covers(self, kind: str, time_s: float) -> float | None:
        """The value of a fault of that kind at a time, None where there is none."""
        since = time_s - self._opened
        for fault in self._own:
            if fault.kind == kind and fault.at_s <= since < fault.at_s + fault.duration_s:
                return fault.value
        return None

    def throttle(self) -> None:
        """Before every load: the device slows down, and the room is as warm as it is by now."""
        super().throttle()
        self._room.hotter_k = self.covers("ambient", self._room.now()) or 0.0

    def read_at(self, time_s: FloatArray) -> list[Sample]:
        """Readings at times."""
        samples = super().read_at(time_s)
        return [
            self._disturbed(dict(sample), at)
            for sample, at in zip(samples, time_s.tolist(), strict=True)
        ]

    def _disturbed(self, sample: dict[str, Any], at: float) -> Sample:
        drawn = self.covers("foreign", at)
        if drawn is not None and sample["compute_processes"] is not None:
            sample["compute_processes"] += 1
        counted = sum(_overlap(f, at - self._opened) * f.value for f in self._own
                      if f.kind == "foreign")  # fmt: skip
        if sample["energy_counter_j"] is not None:
            sample["energy_counter_j"] += counted
        for column in SHOWN:
            if sample.get(column) is None:
                continue
            sample[column] += drawn or 0.0
            for kind in ("negative", "absurd"):
                value = self.covers(kind, at)
                sample[column] = sample[column] if value is None else value
            if self.covers("nan", at) is not None:
                sample[column] = math.nan
        return sample


def _overlap(fault: Fault, until_s: float) -> float:
    return min(max(until_s - fault.at_s, 0.0), fault.duration_s)


class GappySampler(InlineSampler):
    """A sampler that takes no sample while a fault `gap` lasts."""

    def __init__(self, meter: FaultyMeter, *rest: Any) -> None:
        super().__init__(meter, *rest)
        self._faulty = meter

    def _catch_up(self) -> None:
        before = self._latest
        super()._catch_up()
        if self._latest is not before:
            self._pending = [s for s in self._pending if not self._in_gap(s)]
            self._latest = self._pending[-1] if self._pending else before

    def _in_gap(self, sample: Sample) -> bool:
        return self._faulty.covers("gap", float(sample["time_s"] or 0.0)) is not None


class FaultyBackend(VirtualBackend):
    """The virtual GPU in a room, with faults."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        state_file: Path,
        faults: Sequence[Fault],
        resident: set[tuple[str, int]],
    ) -> None:
        super().__init__(settings, state_file, resident=resident)
        preset, state = self.gpu.preset, replace(self.gpu.state(), opened=self.gpu.opened - 1)
        self.gpu = Room(preset, state, self.gpu.noise, self._seed)
        self.clock = self.gpu
        self.meter: FaultyMeter = FaultyMeter(self.gpu, self.device_uuid(), self._seed, faults)
        self.opened_s = self.gpu.now()

    def sampler(self) -> RunningSampler:
        """A sampler on the virtual clock, which may have gaps."""
        hz = float(self._settings["protocol"]["sampling_hz"])
        seed = self._seed + self.gpu.opened
        return GappySampler(self.meter, self.gpu, hz, EPOCH_S, seed)


class FaultyWorkshop(WarmWorkshop):
    """A worker's workshop whose next device has the faults that `faults` holds."""

    def __init__(self) -> None:
        super().__init__(0)
        self.faults: Sequence[Fault] = ()
        self.backend: FaultyBackend | None = None

    def open(self, settings: Mapping[str, Any], setup_folder: Path) -> FaultyBackend:
        """The device with its faults."""
        self.backend = FaultyBackend(settings, setup_folder / STATE, self.faults, self._resident)
        return self.backend


def draw(random: np.random.Generator, kind: str, within_s: float) -> Fault:
    """A fault of a kind, anywhere in `within_s`: a moment, a while, or until the modality ends."""
    figures = KINDS[kind]
    lasts = random.choice(("moment", "while", "stays"), p=(0.45, 0.4, 0.15))
    duration_s = {
        "moment": 10 ** random.uniform(-1.3, 0.3),
        "while": random.uniform(2, 40),
        "stays": math.inf,
    }[str(lasts)]
    value = figures.least
    if figures.most > 0 and figures.least > 0:
        value = float(np.exp(random.uniform(np.log(figures.least), np.log(figures.most))))
    elif figures.least < 0:
        value = random.uniform(figures.least, figures.most)
    value = round(value) if kind in ("state", "processes") else value
    return Fault(kind, float(random.uniform(0, within_s)), float(duration_s), float(value))
