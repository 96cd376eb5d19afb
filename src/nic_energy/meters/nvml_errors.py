"""NVML errors as messages that say what happened and what to do."""

import pynvml

from nic_energy.errors import DeviceError, MeterError

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
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: "the driver is too old for the call; update it.",
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


def _text(call: str, device: str, error: pynvml.NVMLError) -> str:
    remedy = REMEDIES.get(error.value, "see nvidia-smi -q and dmesg.")
    return f"{device}: NVML says {str(error).rstrip('.')!r} in {call}: {remedy}"


def at_open(call: str, device: str, error: pynvml.NVMLError) -> DeviceError:
    """The error for a device that cannot be opened."""
    return DeviceError(_text(call, device, error))


def in_run(call: str, device: str, error: pynvml.NVMLError, lasted: str = "") -> MeterError:
    """The error for a meter that fails while it is read; `lasted` says for how long."""
    return MeterError(_text(call + lasted, device, error))
