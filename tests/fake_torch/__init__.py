"""A PyTorch without networks: what the doctor asks of one, and nothing else."""

import json
from dataclasses import dataclass
from pathlib import Path

PACKAGE = """
from . import version
from .version import __version__
import json, os, types

FOUND = json.loads(os.environ["FAKE_TORCH"])

def init():
    if not FOUND["devices"]:
        raise RuntimeError("No CUDA GPUs are available")

class cuda:
    init = staticmethod(init)
    is_available = staticmethod(lambda: bool(FOUND["devices"]))
    device_count = staticmethod(lambda: len(FOUND["devices"]))
    get_arch_list = staticmethod(lambda: FOUND["architectures"])
    get_device_name = staticmethod(lambda index: "Fake NVML Test GPU")
    get_device_capability = staticmethod(lambda index: (8, 0))
    get_device_properties = staticmethod(
        lambda index: types.SimpleNamespace(uuid=FOUND["devices"][index].removeprefix("GPU-"))
    )
"""


@dataclass
class FakeTorch:
    """The package in a folder that is put before all others on the path of modules."""

    folder: Path
    cuda_build: str | None = "13.0"
    devices: tuple[str, ...] = ("GPU-fa4e0000-0000-4000-8000-000000000000",)
    architectures: tuple[str, ...] = ("sm_75", "sm_80", "sm_90", "compute_90")

    def write(self) -> "FakeTorch":
        """Write the package and its metadata."""
        package, info = self.folder / "torch", self.folder / "torch-2.14.1.dist-info"
        for folder in (package, info):
            folder.mkdir(parents=True, exist_ok=True)
        build = repr(self.cuda_build)
        (package / "version.py").write_text(f"__version__ = '2.14.1'\ncuda: str | None = {build}\n")
        (package / "__init__.py").write_text(PACKAGE)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.14.1\n")
        (info / "RECORD").write_text("torch/version.py,,\n")
        return self

    def environment(self) -> str:
        """What it answers, for the environment variable FAKE_TORCH."""
        return json.dumps({"devices": self.devices, "architectures": self.architectures})
