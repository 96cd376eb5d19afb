"""Which physical GPU `cuda:N` is."""

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
    """UUID of a CUDA device as PyTorch sees it, found in a process of its own.

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
    import torch

    build = f"PyTorch {torch.__version__}, CUDA build {torch.version.cuda or 'none'}"
    if not torch.cuda.is_available():
        raise DeviceError(
            f"device {device}: {build} finds no usable NVIDIA GPU. Check the driver with "
            "nvidia-smi; without a GPU take device: cpu with meter: rapl or cpu_load, as "
            "config/demo.yaml does (make demo)."
        )
    count, index = torch.cuda.device_count(), int(device.partition(":")[2])
    if index >= count:
        raise DeviceError(
            f"device {device}: {build} sees {count} GPU(s), cuda:0 to cuda:{count - 1}. Choose one "
            "of them (config key `device`), or widen CUDA_VISIBLE_DEVICES."
        )
    return f"GPU-{torch.cuda.get_device_properties(index).uuid}".replace("GPU-GPU-", "GPU-")
