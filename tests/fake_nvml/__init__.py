"""A libnvidia-ml.so.1 without a GPU, built from C against NVIDIA's own header."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_nvml.c")
NAME = "libnvidia-ml.so.1"

FIRST, SECOND = (f"GPU-fa4e0000-0000-4000-8000-{index:012d}" for index in range(2))
"""UUIDs of its GPUs, where a test gives no others."""


def build(folder: Path) -> Path:
    """Compile the library into a folder; fails with the command that installs what is missing."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError("no C compiler for the fake NVML library: apt-get install gcc libc6-dev")
    library = folder / NAME
    command = [
        compiler, "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", f"-Wl,-soname,{NAME}",
        "-I", str(_header().parent), "-o", str(library), str(SOURCE), "-lpthread",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the fake NVML library does not compile:\n{done.stderr}")
    return library


def _header() -> Path:
    for path in metadata.files("nvidia-nvml-dev") or []:
        if path.name == "nvml.h":
            return Path(str(path.locate()))
    raise RuntimeError("no nvml.h for the fake NVML library: pip install nvidia-nvml-dev")


@dataclass
class FakeNvml:
    """The built library and its control file, which running processes re-read at once."""

    library: Path
    control: Path

    def put(self, *lines: str) -> None:
        """Replace what the library does."""
        partial = self.control.with_suffix(".part")
        partial.write_text("\n".join(lines))
        os.replace(partial, self.control)

    def environment(self) -> dict[str, str]:
        """What a process needs to find the library."""
        return {
            "LD_LIBRARY_PATH": f"{self.library.parent}:{os.environ.get('LD_LIBRARY_PATH', '')}",
            "FAKE_NVML_CTL": str(self.control),
        }
