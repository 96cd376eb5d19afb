"""RAPL, the processor's own energy counters, through Linux' powercap files."""

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nic_energy.errors import DeviceError, MeterError
from nic_energy.meters.machine import machine_uuid, processor_name
from nic_energy.traces import MeterInfo, PowerField, Sample

ROOT = Path("/sys/class/powercap")


@dataclass
class Domain:
    """A package domain; `total_uj` is what was counted since opening, over wrap-arounds."""

    name: str
    path: Path
    range_uj: int
    last_uj: int
    total_uj: int = 0

    def advance(self) -> None:
        """Read the counter; it wraps around at `range_uj`."""
        now = int(self.path.read_text(encoding="ascii"))
        step = now - self.last_uj
        self.total_uj += step if step >= 0 else step + self.range_uj + 1
        self.last_uj = now


class RaplMeter:
    """The sum of the processor packages.

    Args:
        options: `powercap_root` replaces /sys/class/powercap.
        simulated: mark everything as simulated (the test switch).

    Raises:
        DeviceError: there are no package domains, or they cannot be read.
    """

    def __init__(self, options: Mapping[str, Any], simulated: bool = False) -> None:
        self._root = Path(options.get("powercap_root", ROOT))
        self._domains = self._open()
        self._source = "simulated" if simulated else "measured"
        self._last: tuple[float, float] | None = None

    def _open(self) -> list[Domain]:
        folders = sorted(self._root.glob("intel-rapl:*")) if self._root.is_dir() else []
        domains = []
        for folder in folders:
            name_file = folder / "name"
            name = name_file.read_text(encoding="ascii").strip() if name_file.exists() else ""
            if name.startswith("package-"):
                domains.append(self._domain(name, folder))
        if not domains:
            found = ", ".join(folder.name for folder in folders) or "nothing"
            raise DeviceError(
                f"meter rapl: no processor package under {self._root} (found: {found}). The "
                "processor or the virtual machine does not offer RAPL; choose meter: cpu_load for "
                "an estimate."
            )
        return domains

    @staticmethod
    def _domain(name: str, folder: Path) -> Domain:
        path = folder / "energy_uj"
        try:
            last = int(path.read_text(encoding="ascii"))
            span = int((folder / "max_energy_range_uj").read_text(encoding="ascii"))
        except PermissionError as error:
            raise DeviceError(
                f"meter rapl: {path} cannot be read by this user. Until the next boot: sudo chmod "
                f"a+r {path}; for good, a line in /etc/tmpfiles.d/rapl.conf: "
                f"z {path} 0444 root root"
            ) from error
        except (OSError, ValueError) as error:
            raise DeviceError(f"meter rapl: {path} cannot be read ({error}).") from error
        return Domain(name, path, span, last)

    def info(self) -> MeterInfo:
        """The processor."""
        return MeterInfo(
            meter="rapl",
            source=self._source,
            device_name=processor_name(),
            device_uuid=machine_uuid(),
            driver=f"powercap {platform.release()}",
            power_fields=(PowerField("power_rapl_w", "interval_mean"),),
            counter=True,
            temperature=False,
            details={"domains": [domain.name for domain in self._domains]},
        )

    def read(self) -> Sample:
        """Energy counted since opening, and the mean power since the last reading.

        Raises:
            MeterError: a counter cannot be read any more.
        """
        try:
            for domain in self._domains:
                domain.advance()
        except (OSError, ValueError) as error:
            raise MeterError(f"meter rapl: {self._root}: {error}.") from error
        now, energy = time.monotonic(), sum(d.total_uj for d in self._domains) / 1e6
        power = None
        if self._last is not None and now > self._last[0]:
            power = (energy - self._last[1]) / (now - self._last[0])
        self._last = (now, energy)
        return {"power_rapl_w": power, "energy_counter_j": energy}

    def failures(self) -> Mapping[str, int]:
        """None: a counter that cannot be read is an error."""
        return {}

    def close(self) -> None:
        """Nothing to release."""
