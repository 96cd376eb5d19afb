"""NVML errors as messages that say what happened and what to do."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata

import pynvml

from nic_energy.errors import DeviceError, MeterError

OUTDATED = (
    "driver and nvidia-ml-py do not have the call in common, usually because the driver is older. "
    "Update the driver, or install the nvidia-ml-py of its branch."
)

REMEDIES: dict[int, str] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        "libnvidia-ml.so.1 is not installed. Install the NVIDIA driver; without an NVIDIA GPU "
        "choose device: cpu with meter: rapl or cpu_load (config/demo.yaml)."
    ),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        "the NVIDIA driver is not loaded. Load it (modprobe nvidia) or reboot; nvidia-smi must "
        "work first."
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        "library and kernel module are of different driver versions, usually after an update. "
        "Reboot, or reload the module."
    ),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        "this user may not read it. In a container pass the GPU's utility capability "
        "(NVIDIA_DRIVER_CAPABILITIES=all); else ask the administrator."
    ),
    pynvml.NVML_ERROR_NOT_SUPPORTED: "this GPU or driver does not offer the reading.",
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: OUTDATED,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH: OUTDATED,
    pynvml.NVML_ERROR_GPU_IS_LOST: (
        "the GPU has fallen off the bus or is otherwise inaccessible. See dmesg for Xid errors; "
        "a reboot is needed."
    ),
    pynvml.NVML_ERROR_RESET_REQUIRED: "the GPU needs a reset (nvidia-smi --gpu-reset) or a reboot.",
    pynvml.NVML_ERROR_TIMEOUT: "the driver did not answer in time; look for a hung process.",
    pynvml.NVML_ERROR_UNKNOWN: "an internal driver error. See dmesg for Xid errors; try a reboot.",
    pynvml.NVML_ERROR_MEMORY: "the driver is out of memory.",
    pynvml.NVML_ERROR_NOT_FOUND: "there is no such device.",
    pynvml.NVML_ERROR_INSUFFICIENT_POWER: "a power cable of the GPU is not attached properly.",
    pynvml.NVML_ERROR_UNINITIALIZED: "NVML was shut down while it was in use.",
}


GONE = frozenset(
    {
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_UNINITIALIZED,
    }
)
"""After these no reading comes back: the device or its driver is gone."""


NOT_OFFERED = frozenset(
    {
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NO_DATA,
    }
)
"""With these NVML says that a GPU or driver does not have something."""

UNSUPPORTED = NOT_OFFERED | {pynvml.NVML_ERROR_NO_PERMISSION}
"""At opening these mean that the device does not offer the reading (to this user)."""

ERROR_NAMES: Mapping[int, str] = {
    code: name.removeprefix("NVML_ERROR_")
    for name, code in vars(pynvml).items()
    if name.startswith("NVML_ERROR_") and isinstance(code, int)
}


def error_name(code: int) -> str:
    """NVML's name of an error, such as NOT_SUPPORTED."""
    return ERROR_NAMES.get(code, f"error {code}")


def remedy(code: int) -> str:
    """What an error means and what to do; with the versions where these do not go together."""
    text = REMEDIES.get(code, "see nvidia-smi -q and dmesg.")
    return f"{_versions()}{text}" if text == OUTDATED else text


def refusal(call: object, error: pynvml.NVMLError) -> str:
    """A call that gave nothing, with NVML's error and, where the driver is too old, the remedy."""
    outdated = REMEDIES.get(error.value) == OUTDATED
    return f"{call}: {error}" + (f" ({remedy(error.value)})" if outdated else "")


def _versions() -> str:
    """Driver and nvidia-ml-py, as far as they are known."""
    known = []
    with suppress(pynvml.NVMLError):
        known.append(f"driver {pynvml.nvmlSystemGetDriverVersion()}")
    with suppress(metadata.PackageNotFoundError):
        known.append(f"nvidia-ml-py {metadata.version('nvidia-ml-py')}")
    return f"{', '.join(known)}: " if known else ""


def _text(call: object, device: str, error: pynvml.NVMLError) -> str:
    return f"{device}: NVML says {str(error).rstrip('.')!r} in {call}: {remedy(error.value)}"


def at_open(call: object, device: str, error: pynvml.NVMLError) -> DeviceError:
    """The error for a device that cannot be opened."""
    return DeviceError(_text(call, device, error))


def in_run(call: object, device: str, error: pynvml.NVMLError, lasted: str = "") -> MeterError:
    """The error for a meter that fails while it is read; `lasted` says for how long."""
    return MeterError(_text(f"{call}{lasted}", device, error))
