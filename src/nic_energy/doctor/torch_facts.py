"""PyTorch: its build from the installed files, its devices from a process of its own.

Importing it takes seconds and starting CUDA leaves a context on the GPU, so neither happens in
this process.
"""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from nic_energy.doctor.facts import Torch, TorchDevice

PROGRAM = """
import json
from nic_energy.codecs.identity import cuda_uuid_in_process
from nic_energy.errors import DeviceError
import torch
try:
    cuda_uuid_in_process("cuda:0")
    devices = []
    for index in range(torch.cuda.device_count()):
        uuid = cuda_uuid_in_process(f"cuda:{index}")
        capability = torch.cuda.get_device_capability(index)
        devices.append([uuid, torch.cuda.get_device_name(index), list(capability)])
    found = {"devices": devices, "architectures": torch.cuda.get_arch_list()}
except (DeviceError, RuntimeError, AssertionError) as error:
    found = {"error": str(error).splitlines()[0]}
print(json.dumps(found))
"""


def installed() -> Torch:
    """Version and CUDA build of the installed PyTorch, read from its files."""
    try:
        distribution = metadata.distribution("torch")
    except metadata.PackageNotFoundError:
        return Torch()
    path = Path(str(distribution.locate_file("torch/version.py")))
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    version = re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE)
    build = re.search(r"^cuda[^=]*= '([^']+)'", text, re.MULTILINE)
    return Torch(
        version=version.group(1) if version else distribution.version,
        cuda_build=build.group(1) if build else None,
    )


def asked(torch: Torch, limit_s: float) -> Torch:
    """The same with the CUDA devices that PyTorch sees, in the order of `cuda:N`.

    Args:
        limit_s: CUDA that takes longer to start hangs.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM],
            capture_output=True,
            text=True,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return _with_error(torch, f"PyTorch did not answer within {limit_s:.0f} s; CUDA hangs.")
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        said = done.stderr.strip().splitlines()
        return _with_error(torch, said[-1] if said else f"PyTorch ended with {done.returncode}.")
    if "error" in found:
        return _with_error(torch, found["error"])
    return Torch(
        version=torch.version,
        cuda_build=torch.cuda_build,
        asked=True,
        devices=tuple(
            TorchDevice(uuid, name, (capability[0], capability[1]))
            for uuid, name, capability in found["devices"]
        ),
        architectures=tuple(found["architectures"]),
    )


def _with_error(torch: Torch, error: str) -> Torch:
    return Torch(torch.version, torch.cuda_build, asked=True, error=error)
