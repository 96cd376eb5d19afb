"""Meters: NVML, RAPL, an estimate from processor load, and what asks for one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nic_energy.errors import DeviceError
from nic_energy.meters.base import Meter

__all__ = ["Meter", "MeterRequest", "open_meter"]


@dataclass(frozen=True)
class MeterRequest:
    """Which meter to open, in any process.

    `device_uuid` binds an NVML meter to a GPU; `options` are the keys of the configuration
    under the meter's name; `simulated` is the test switch: the meter may read a device other
    than the one that runs, and every row says so.
    """

    meter: str
    device: str
    device_uuid: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    simulated: bool = False


def open_meter(request: MeterRequest) -> Meter:
    """Open a meter.

    Raises:
        DeviceError: the meter or its device is not there; says what is and what can be chosen.
    """
    if request.meter == "nvml":
        from nic_energy.meters.nvml import NvmlMeter

        return NvmlMeter(request.device_uuid, request.simulated)
    if request.meter == "rapl":
        from nic_energy.meters.rapl import RaplMeter

        return RaplMeter(request.options, request.simulated)
    if request.meter == "cpu_load":
        from nic_energy.meters.cpu_load import CpuLoadMeter

        return CpuLoadMeter(request.options, request.simulated)
    raise DeviceError(f"meter {request.meter}: there are nvml, rapl and cpu_load.")
