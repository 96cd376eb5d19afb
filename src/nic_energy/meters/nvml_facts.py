"""Facts that a GPU tells besides its readings: what is asked, and what the answer means."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pynvml

from nic_energy.meters import nvml_calls as calls
from nic_energy.meters.nvml_calls import Call, text


@dataclass(frozen=True)
class Question:
    """A fact: its key in the answer, the call, and how the call's answer is converted for JSON."""

    key: str
    call: Call
    convert: Callable[[Any], Any] = lambda value: value

    def ask(self, handle: Any) -> Any:
        """The answer.

        Raises:
            pynvml.NVMLError: there is none.
        """
        return self.convert(self.call.ask(handle))


def _watts(milliwatts: int) -> float:
    return milliwatts / 1e3


def _processes(found: Any) -> list[dict[str, Any]]:
    return [
        {
            "pid": each.pid,
            "name": calls.process_name(each.pid),
            "memory_bytes": each.usedGpuMemory,
        }
        for each in found
    ]


QUESTIONS: tuple[Question, ...] = (
    Question("pci_bus_id", calls.PCI, lambda found: text(found.busId)),
    Question("architecture", calls.ARCHITECTURE, calls.architecture_name),
    Question("compute_capability", calls.COMPUTE_CAPABILITY, list),
    Question("vbios", calls.VBIOS, text),
    Question("persistence_mode", calls.PERSISTENCE, bool),
    Question("compute_mode", calls.COMPUTE_MODE),
    Question("mig_mode", calls.MIG, lambda modes: bool(modes[0])),
    Question("ecc_modes", calls.ECC_MODE, lambda modes: [bool(mode) for mode in modes]),
    Question("ecc_uncorrected", calls.ECC_ERRORS, int),
    Question("display_active", calls.DISPLAY, bool),
    Question("enforced_power_limit_w", calls.POWER_LIMIT, _watts),
    Question("default_power_limit_w", calls.DEFAULT_POWER_LIMIT, _watts),
    Question("most_power_limit_w", calls.POWER_LIMITS, lambda limits: _watts(limits[1])),
    Question("max_sm_clock_mhz", calls.MAX_SM_CLOCK),
    Question("sm_clock_mhz", calls.SM_CLOCK),
    Question("memory_clock_mhz", calls.MEMORY_CLOCK),
    Question("application_sm_clock_mhz", calls.APPLICATION_CLOCK),
    Question("default_application_sm_clock_mhz", calls.DEFAULT_APPLICATION_CLOCK),
    Question("performance_state", calls.PERFORMANCE_STATE),
    Question("throttle_reasons", calls.EVENT_REASONS),
    Question("temperature_c", calls.TEMPERATURE),
    Question("slowdown_temperature_c", calls.SLOWDOWN_THRESHOLD, lambda found: found or None),
    Question("margin_temperature_c", calls.MARGIN_TEMPERATURE),
    Question("memory_total_bytes", calls.MEMORY, lambda found: found.total),
    Question("memory_free_bytes", calls.MEMORY, lambda found: found.free),
    Question("utilization_percent", calls.UTILIZATION, lambda rates: rates.gpu),
    Question("power_legacy_w", calls.POWER, _watts),
    Question("energy_counter_j", calls.COUNTER, _watts),
    Question("compute_processes", calls.COMPUTE_PROCESSES, _processes),
    Question("graphics_processes", calls.GRAPHICS_PROCESSES, _processes),
)

OF_A_TRACE = (
    "vbios",
    "pci_bus_id",
    "architecture",
    "compute_capability",
    "enforced_power_limit_w",
    "default_power_limit_w",
    "persistence_mode",
    "compute_mode",
    "mig_mode",
    "max_sm_clock_mhz",
)
"""Facts that the metadata of every measurement holds."""


def fact(handle: Any, key: str) -> Any:
    """One fact, None where the GPU does not tell it."""
    question = next(each for each in QUESTIONS if each.key == key)
    try:
        return question.ask(handle)
    except pynvml.NVMLError:
        return None


def system(name: str) -> Any:
    """A fact of the driver by the name of its call, None where it does not tell it."""
    try:
        found = calls.invoke(name)
    except pynvml.NVMLError:
        return None
    return text(found) if isinstance(found, bytes) else found


def describe(handle: Any) -> dict[str, Any]:
    """What a measurement's metadata say of the GPU, ready for JSON."""
    return {
        **{key: fact(handle, key) for key in OF_A_TRACE},
        "cuda_driver_version": system("nvmlSystemGetCudaDriverVersion"),
        "nvml_version": system("nvmlSystemGetNVMLVersion"),
    }


def slowdown(handle: Any) -> tuple[float | None, str | None]:
    """(temperature in degC at which the GPU slows down, what says so).

    By its slowdown `threshold`; where there is none (Ada and newer are announced to lose it) by
    the `margin` to the nearest slowdown, added to the temperature now. (None, None) where the GPU
    tells neither.
    """
    threshold = fact(handle, "slowdown_temperature_c")
    if threshold:
        return float(threshold), "threshold"
    now, margin = fact(handle, "temperature_c"), fact(handle, "margin_temperature_c")
    if now is None or margin is None:
        return None, None
    return float(now + margin), "margin"
