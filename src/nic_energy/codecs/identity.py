"""Which physical GPU `cuda:N` is, and which `cuda:N` a GPU is that is named by its UUID."""

import os
import subprocess
import sys

from nic_energy.errors import DeviceError

TIMEOUT_S = 300.0

PROGRAM = """
import sys
from nic_energy.codecs.identity import cuda_uuid_in_process
from nic_energy.errors import DeviceError
try:
    print(cuda_uuid_in_process(sys.argv[1]))
except DeviceError as error:
    sys.exit(str(error))
"""


def cuda_uuid(device: str) -> str:
    """UUID of a device (`cuda:N` or `GPU-…`) as PyTorch sees it, found in a process of its own.

    No CUDA context stays behind in this process, so that idle can be recorded cold.

    Raises:
        DeviceError: there is no such device; says what there is and what can be chosen.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, device],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"device {device}: CUDA did not start within {TIMEOUT_S:.0f} s. Check the driver "
            "(nvidia-smi, dmesg); a hung GPU needs a reset or a reboot."
        ) from error
    if done.returncode:
        raise DeviceError(done.stderr.strip() or f"device {device}: PyTorch could not be asked.")
    return done.stdout.strip()


def cuda_uuid_in_process(device: str) -> str:
    """The same, in this process.

    Raises:
        DeviceError: there is no such device; says what there is and what can be chosen.
    """
    return _uuids(device)[cuda_index(device)]


def cuda_index(device: str) -> int:
    """N of `cuda:N` for a device that is named so or by its UUID (`GPU-…`).

    It is looked for among the devices that PyTorch may see: indices of NVML and of CUDA differ
    (CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER), UUIDs do not.

    Raises:
        DeviceError: there is no such device; says what there is and what can be chosen.
    """
    uuids = _uuids(device)
    if not device.startswith("cuda"):
        if device in uuids:
            return uuids.index(device)
        raise DeviceError(
            f"device {device}: is not among the GPUs that this process may use, "
            f"{', '.join(uuids)} (CUDA_VISIBLE_DEVICES is {_visible()}). nvidia-smi -L lists "
            "those of the machine; a scheduler has to give the job this one, for example with "
            "its whole node."
        )
    index = int(device.partition(":")[2])
    if index >= len(uuids):
        raise DeviceError(
            f"device {device}: PyTorch sees {len(uuids)} GPU(s), cuda:0 to cuda:{len(uuids) - 1}. "
            "Choose one of them (config key `device`), or widen CUDA_VISIBLE_DEVICES."
        )
    return index


def _uuids(device: str) -> list[str]:
    """UUIDs of the GPUs that PyTorch may use, in its order; `device` is for the error alone."""
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        found = [torch.cuda.get_device_properties(i).uuid for i in range(torch.cuda.device_count())]
    except (RuntimeError, AssertionError) as error:
        build = f"PyTorch {torch.__version__}, CUDA build {torch.version.cuda or 'none'}"
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DeviceError(
            f"device {device}: {build} finds no usable NVIDIA GPU ({reason}; CUDA_VISIBLE_DEVICES "
            f"is {_visible()}). Check the driver with nvidia-smi; without a GPU take device: cpu "
            "with meter: rapl or cpu_load, as config/demo.yaml does (make demo)."
        ) from error
    return [f"GPU-{uuid}".replace("GPU-GPU-", "GPU-") for uuid in found]


def _visible() -> str:
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "not set" if variable is None else repr(variable)
