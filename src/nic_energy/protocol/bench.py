"""What the protocol needs to know of a device: a clock, a sampler and a load.

The protocol works on these three only, so that it runs alike on a real GPU, on a processor and
on a virtual GPU whose clock jumps.
"""

import time
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from nic_energy.energy.admissibility import COLDEST_C, HOTTEST_C
from nic_energy.traces import MeterInfo, Sample

THERMOMETER_S = 5.0
"""A temperature older than this is none: the thermometer has failed since."""


class Clock(Protocol):
    """A monotonic clock in seconds."""

    def now(self) -> float:
        """The time in s."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        ...


class SampleSource(Protocol):
    """A running sampler."""

    def collect(self) -> list[Sample]:
        """All samples since the last call, in order of time."""
        ...

    def latest(self) -> Sample | None:
        """The newest sample, without taking it from what `collect` returns."""
        ...


class Load(Protocol):
    """The network with its input on the device, ready to run."""

    def run(self, executions: int) -> tuple[float, float]:
        """Synchronise, mark, execute back to back, synchronise, mark: (start_s, end_s)."""
        ...


class SystemClock:
    """CLOCK_MONOTONIC, the same in all processes of the machine."""

    def now(self) -> float:
        """The time in s."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        time.sleep(max(0.0, seconds))


@dataclass
class Bench:
    """A device ready to be measured. `history` gathers the samples in order of time."""

    clock: Clock
    source: SampleSource
    load: Load
    meter: MeterInfo
    sampling_hz: float

    def __post_init__(self) -> None:
        self.history: list[Sample] = []

    def drain(self) -> None:
        """Take over the samples that the sampler has gathered so far."""
        self.history.extend(self.source.collect())

    def temperature_c(self) -> float | None:
        """The newest temperature known, None where there is no thermometer.

        A reading can fail or be absurd; then the one before it stands, for `THERMOMETER_S`.
        """
        newest = self.source.latest()
        since = self.clock.now() - THERMOMETER_S
        for sample in chain([newest] if newest else [], reversed(self.history)):
            if (sample["time_s"] or 0.0) < since:
                return None
            value = sample.get("temperature_c")
            if value is not None and COLDEST_C < value <= HOTTEST_C:
                return float(value)
        return None
