"""Calls of NVML, each written once for the meter and for the doctor.

A call may have several names, the newest first: CUDA 13 deprecates some functions, and an older
driver does not have their successors.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pynvml

from nic_energy.meters.nvml_errors import GONE

PROC = Path("/proc")

MPS_SERVER = "nvidia-cuda-mps-server"
COMM_CHARS = 15
"""The kernel keeps so many characters of the name of a process."""


def invoke(name: str, *arguments: Any) -> Any:
    """Call a function of pynvml.

    Raises:
        pynvml.NVMLError: NVML's error. FUNCTION_NOT_FOUND also where the installed pynvml does not
            have the function, or where pynvml itself finds that the driver is too old for it
            (NVMLLibraryMismatchError, which is no NVMLError).
    """
    function = getattr(pynvml, name, None)
    if function is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    try:
        return function(*arguments)
    except pynvml.NVMLLibraryMismatchError as error:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND) from error


@dataclass(frozen=True)
class Call:
    """A call on a device: its names in pynvml, the newest first, and its further arguments."""

    names: tuple[str, ...]
    arguments: tuple[Any, ...] = ()
    of: str = ""

    def __str__(self) -> str:
        """Its newest name without the version, as messages show it."""
        name = self.names[0].partition("_v")[0]
        return f"{name}({self.of})" if self.of else name

    def ask(self, handle: Any) -> Any:
        """The answer under the first name that gives one.

        Raises:
            pynvml.NVMLError: none does.
        """
        return self.chosen(handle)[1]

    def chosen(self, handle: Any) -> tuple["Call", Any]:
        """(the call by the one name that answers, its answer).

        Raises:
            pynvml.NVMLError: no name answers; of several errors the one that says more than that
                the driver does not have the function.
        """
        errors: list[pynvml.NVMLError] = []
        for name in self.names:
            try:
                return replace(self, names=(name,)), invoke(name, handle, *self.arguments)
            except pynvml.NVMLError as error:
                if error.value in GONE:
                    raise
                errors.append(error)
        missing = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
        raise next((error for error in errors if error.value != missing), errors[-1])


def call(*names: str, arguments: Sequence[Any] = (), of: str = "") -> Call:
    """A call by these names."""
    return Call(names, tuple(arguments), of)


APPLICATION_CLOCK = call("nvmlDeviceGetApplicationsClock", arguments=(pynvml.NVML_CLOCK_SM,))
ARCHITECTURE = call("nvmlDeviceGetArchitecture")
COMPUTE_CAPABILITY = call("nvmlDeviceGetCudaComputeCapability")
COMPUTE_MODE = call("nvmlDeviceGetComputeMode")
COMPUTE_PROCESSES = call(
    "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"
)
COUNTER = call("nvmlDeviceGetTotalEnergyConsumption")
DEFAULT_APPLICATION_CLOCK = call(
    "nvmlDeviceGetDefaultApplicationsClock", arguments=(pynvml.NVML_CLOCK_SM,)
)
DEFAULT_POWER_LIMIT = call("nvmlDeviceGetPowerManagementDefaultLimit")
DISPLAY = call("nvmlDeviceGetDisplayActive")
ECC_ERRORS = call(
    "nvmlDeviceGetTotalEccErrors",
    arguments=(pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC),
)
ECC_MODE = call("nvmlDeviceGetEccMode")
EVENT_REASONS = call(
    "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"
)
GRAPHICS_PROCESSES = call(
    "nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2"
)
MARGIN_TEMPERATURE = call("nvmlDeviceGetMarginTemperature")
MAX_SM_CLOCK = call("nvmlDeviceGetMaxClockInfo", arguments=(pynvml.NVML_CLOCK_SM,), of="SM")
MEMORY = call("nvmlDeviceGetMemoryInfo")
MEMORY_CLOCK = call("nvmlDeviceGetClockInfo", arguments=(pynvml.NVML_CLOCK_MEM,), of="MEM")
MIG = call("nvmlDeviceGetMigMode")
PCI = call("nvmlDeviceGetPciInfo")
PERFORMANCE_STATE = call("nvmlDeviceGetPerformanceState")
PERSISTENCE = call("nvmlDeviceGetPersistenceMode")
POWER = call("nvmlDeviceGetPowerUsage")
POWER_LIMIT = call("nvmlDeviceGetEnforcedPowerLimit")
POWER_LIMITS = call("nvmlDeviceGetPowerManagementLimitConstraints")
SLOWDOWN_THRESHOLD = call(
    "nvmlDeviceGetTemperatureThreshold", arguments=(pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN,)
)
SM_CLOCK = call("nvmlDeviceGetClockInfo", arguments=(pynvml.NVML_CLOCK_SM,), of="SM")
TEMPERATURE = call(
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetTemperature",
    arguments=(pynvml.NVML_TEMPERATURE_GPU,),
)
UTILIZATION = call("nvmlDeviceGetUtilizationRates")
VBIOS = call("nvmlDeviceGetVbiosVersion")


def text(value: Any) -> str:
    """A name that pynvml gives as text or as bytes, by its version."""
    return value.decode() if isinstance(value, bytes) else str(value)


def architecture_name(number: int) -> str:
    """Name of an architecture, such as Ampere."""
    names = {
        value: name.removeprefix("NVML_DEVICE_ARCH_").capitalize()
        for name, value in vars(pynvml).items()
        if name.startswith("NVML_DEVICE_ARCH_")
    }
    return str(names.get(number, f"architecture {number}"))


def process_name(pid: int) -> str | None:
    """Name of a process; None where it is another container's."""
    with suppress(OSError):
        name = (PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace")
        return name.strip()
    with suppress(pynvml.NVMLError):
        return Path(text(invoke("nvmlSystemGetProcessName", pid))).name
    return None


def is_mps_server(name: str | None) -> bool:
    """Whether a process of that name is the server of NVIDIA's Multi-Process Service (MPS).

    NVML lists it as a compute process beside its clients, but it computes nothing of its own.
    """
    return name is not None and name[:COMM_CHARS] == MPS_SERVER[:COMM_CHARS]
