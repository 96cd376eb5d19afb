"""A virtual GPU whose true energy is known, for tests, simulation and planning."""

from nic_energy.meters.virtual.device import Noise, State, VirtualGpu, Work
from nic_energy.meters.virtual.meter import Fault, VirtualMeter
from nic_energy.meters.virtual.presets import Preset, preset_names, read_preset
from nic_energy.meters.virtual.workload import Workload, read_workload, work_of

__all__ = [
    "Fault",
    "Noise",
    "Preset",
    "State",
    "VirtualGpu",
    "VirtualMeter",
    "Work",
    "Workload",
    "preset_names",
    "read_preset",
    "read_workload",
    "work_of",
]
