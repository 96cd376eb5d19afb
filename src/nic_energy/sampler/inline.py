"""A sampler for a clock that jumps: readings are made up for the time that has passed."""

import os
from typing import Protocol

import numpy as np

from nic_energy.sampler.schedule import SamplerReport
from nic_energy.traces import FloatArray, MeterInfo, Sample

LATE_S = 0.002
"""Readings begin up to this late, as a real sampler's do."""

READ_S = 2e-4
LATE_P99 = 0.99


class TimedMeter(Protocol):
    """A meter that can be read at any time up to now."""

    def info(self) -> MeterInfo:
        """What is metered."""
        ...

    def read_at(self, time_s: FloatArray) -> list[Sample]:
        """Readings at times, in order."""
        ...


class Now(Protocol):
    """A clock."""

    def now(self) -> float:
        """The time in s."""
        ...


class InlineSampler:
    """Samples a meter on absolute deadlines of a clock that jumps.

    Args:
        epoch_s: Unix time at which the clock was 0.
        seed: seed of how late each reading begins.
    """

    def __init__(
        self, meter: TimedMeter, clock: Now, sampling_hz: float, epoch_s: float, seed: int
    ) -> None:
        self._meter, self._clock = meter, clock
        self._period_s, self._epoch_s = 1 / sampling_hz, epoch_s
        self._random = np.random.default_rng(seed)
        self._next_s = clock.now()
        self._pending: list[Sample] = []
        self._latest: Sample | None = None
        self._count = 0

    def start(self) -> MeterInfo:
        """Begin to sample now."""
        self._next_s = self._clock.now()
        return self._meter.info()

    def collect(self) -> list[Sample]:
        """All samples since the last call, in order of time.

        Raises:
            MeterError: the meter failed.
        """
        self._catch_up()
        samples, self._pending = self._pending, []
        return samples

    def latest(self) -> Sample | None:
        """The newest sample; `collect` still returns it.

        Raises:
            MeterError: the meter failed.
        """
        self._catch_up()
        return self._latest

    def stop(self) -> SamplerReport:
        """How well it sampled."""
        return SamplerReport(
            samples=self._count,
            missed_deadlines=0,
            realtime=False,
            pid=os.getpid(),
            period_error_p99_s=LATE_P99 * LATE_S,
            max_read_duration_s=READ_S,
        )

    def _catch_up(self) -> None:
        count = int(np.floor((self._clock.now() - LATE_S - self._next_s) / self._period_s)) + 1
        if count <= 0:
            return
        deadlines = self._next_s + self._period_s * np.arange(count)
        time_s = deadlines + LATE_S * self._random.random(count)
        for at, values in zip(time_s.tolist(), self._meter.read_at(time_s), strict=True):
            self._pending.append(
                {
                    "time_s": at,
                    "read_duration_s": READ_S,
                    "wall_time_s": self._epoch_s + at,
                    **values,
                }
            )
        self._latest = self._pending[-1]
        self._next_s = float(deadlines[-1]) + self._period_s
        self._count += count
