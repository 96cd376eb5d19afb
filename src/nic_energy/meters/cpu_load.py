"""An estimate of a machine's power from its processor load.

For machines with no power sensor at all: the busy share of all cores between two readings, put
on the straight line between a configured idle and full-load power. It shows the workflow at
work; its joules are estimated, and every row says so.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nic_energy.errors import DeviceError, MeterError
from nic_energy.meters.machine import machine_uuid, processor_name
from nic_energy.traces import MeterInfo, PowerField, Sample

IDLE_COLUMNS = (3, 4)
"""Columns `idle` and `iowait` of the `cpu` line of /proc/stat."""


class CpuLoadMeter:
    """Processor load turned into power.

    Args:
        options: `idle_w` and `full_w`; `stat` replaces /proc/stat.
        simulated: mark everything as simulated (the test switch).

    Raises:
        DeviceError: /proc/stat cannot be read.
    """

    def __init__(self, options: Mapping[str, Any], simulated: bool = False) -> None:
        self._idle_w, self._full_w = float(options["idle_w"]), float(options["full_w"])
        self._stat = Path(options.get("stat", "/proc/stat"))
        self._source = "simulated" if simulated else "estimated"
        self._energy_j = 0.0
        try:
            self._last = (time.monotonic(), *self._ticks())
        except (OSError, ValueError, IndexError) as error:
            raise DeviceError(
                f"meter cpu_load: {self._stat} cannot be read ({error}); it works on Linux only."
            ) from error

    def info(self) -> MeterInfo:
        """The processor."""
        return MeterInfo(
            meter="cpu_load",
            source=self._source,
            device_name=processor_name(),
            device_uuid=machine_uuid(),
            driver="none",
            power_fields=(PowerField("power_load_w", "interval_mean"),),
            counter=True,
            temperature=False,
            details={"idle_w": self._idle_w, "full_w": self._full_w},
        )

    def read(self) -> Sample:
        """Busy share since the last reading, as power and as energy so far.

        Raises:
            MeterError: /proc/stat cannot be read any more.
        """
        try:
            now, (busy, total) = time.monotonic(), self._ticks()
        except (OSError, ValueError, IndexError) as error:
            raise MeterError(f"meter cpu_load: {self._stat}: {error}.") from error
        then, busy_before, total_before = self._last
        if total <= total_before:
            return {
                "power_load_w": None,
                "utilization_percent": None,
                "energy_counter_j": self._energy_j,
            }
        share = (busy - busy_before) / (total - total_before)
        power = self._idle_w + share * (self._full_w - self._idle_w)
        self._energy_j += power * (now - then)
        self._last = (now, busy, total)
        return {
            "power_load_w": power,
            "utilization_percent": 100 * share,
            "energy_counter_j": self._energy_j,
        }

    def _ticks(self) -> tuple[int, int]:
        """(busy, total) clock ticks of all cores since boot."""
        with self._stat.open(encoding="ascii") as handle:
            values = [int(value) for value in handle.readline().split()[1:9]]
        idle = sum(values[column] for column in IDLE_COLUMNS)
        return sum(values) - idle, sum(values)

    def failures(self) -> Mapping[str, int]:
        """None: a counter that cannot be read is an error."""
        return {}

    def close(self) -> None:
        """Nothing to release."""
