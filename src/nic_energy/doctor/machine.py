"""The machine around the GPU: software, processor, clock, lock, and the other meters."""

import os
import platform
import re
import time
from importlib import metadata
from pathlib import Path

from nic_energy.config import Config, project_root
from nic_energy.doctor.facts import Lock, Machine, OtherMeter, Packages
from nic_energy.errors import DeviceError, NicEnergyError
from nic_energy.measure.environment import PACKAGES
from nic_energy.measure.lock import holder, lock_name
from nic_energy.meters import MeterRequest, open_meter
from nic_energy.meters.nvml_calls import is_mps_server
from nic_energy.session import usable_cores

CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
PROCESSORS = Path("/sys/devices/system/cpu")
PROC = Path("/proc")
BETWEEN_S = 0.3


def packages() -> Packages:
    """The packages that matter, beside the lock file."""
    installed: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = None
    return Packages(platform.python_version(), installed, _locked())


def _locked() -> dict[str, str]:
    path = project_root() / "envs" / "lock.txt"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    pins = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))
    return {name: pins[name] for name in PACKAGES if name in pins}


def machine() -> Machine:
    """Processor, memory and clock."""
    return Machine(
        usable_cores=usable_cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        realtime=_realtime(),
        clock_source=_read(CLOCK_SOURCE),
        governors=tuple(
            sorted(
                {
                    governor
                    for path in PROCESSORS.glob("cpu[0-9]*/cpufreq/scaling_governor")
                    if (governor := _read(path))
                }
            )
        ),
        mps=_mps(),
    )


def _mps() -> tuple[int, ...]:
    """Processes of NVIDIA's Multi-Process Service: its control, and its server once a client has
    come.
    """
    pids = (int(path.name) for path in PROC.glob("[0-9]*"))
    return tuple(sorted(pid for pid in pids if is_mps_server(_read(PROC / str(pid) / "comm"))))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None


def _realtime() -> bool:
    """Whether the sampler would be granted real-time priority: tried, and given back."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, policy, parameters)
    except OSError:
        return False
    return True


def lock(uuid: str) -> Lock:
    """The lock of a device."""
    name = lock_name(uuid)
    try:
        return Lock(name, holder(uuid))
    except DeviceError as error:
        return Lock(name, error=str(error))


def other_meters(config: Config) -> tuple[OtherMeter, ...]:
    """The meters of the processor, each opened and read."""
    return tuple(_other(name, config) for name in ("rapl", "cpu_load"))


def _other(name: str, config: Config) -> OtherMeter:
    options = dict(config.document.get(name, {}))
    try:
        meter = open_meter(MeterRequest(name, "cpu", None, options))
        try:
            column = meter.info().power_fields[0].column
            meter.read()
            time.sleep(BETWEEN_S)
            power = meter.read().get(column)
            device = meter.info().device_name
        finally:
            meter.close()
    except NicEnergyError as error:
        return OtherMeter(name, str(error))
    return OtherMeter(name, None, device, None if power is None else float(power))
