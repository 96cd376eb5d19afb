"""Record the diagnoses that docs/doctor.md shows: python -m tests.doctor.record

They come from the command itself: without NVIDIA's library, on the fake NVML library healthy, and
on it with several ills at once. Paths are those of a made-up user.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nic_energy.config import project_root
from nic_energy.files import write_json
from tests.doctor.ills import HEALTHY
from tests.fake_nvml import FakeNvml, build
from tests.fake_torch import FakeTorch

SAMPLES = project_root() / "docs" / "samples"
COMMAND = [
    sys.executable,
    "-W",
    "ignore",
    "-c",
    "from nic_energy.cli.main import main; main()",
    "doctor",
]

ILL = (
    "persistence 0",
    "procs 999999:300",
    "reasons 0x40",
    "temp_c 85",
    "field 186:90000 270:5000000000",
)
SITUATIONS: Mapping[str, tuple[str, ...] | None] = {
    "no_gpu": None,
    "healthy": HEALTHY,
    "ill": (*HEALTHY, *ILL),
}
"""Names of the samples, and the control lines of the fake library; None is a machine without."""


def environment(folder: Path, control: tuple[str, ...] | None) -> dict[str, str]:
    """What the command needs to find this machine."""
    library = folder / "library"
    library.mkdir(exist_ok=True)
    torch = FakeTorch(folder / "torch").write()
    found = {
        "PYTHONPATH": f"{torch.folder}:{project_root() / 'src'}",
        "FAKE_TORCH": torch.environment(),
        "LD_LIBRARY_PATH": str(library),
        "TORCH_HOME": str(folder / "checkpoints"),
        "TMPDIR": str(folder),
    }
    if control is None:
        (library / "libnvidia-ml.so.1").write_text("")
        return found
    fake = FakeNvml(build(library), folder / "control")
    fake.put(*control)
    return {**found, **fake.environment(), "LD_LIBRARY_PATH": str(library)}


def diagnose(folder: Path, control: tuple[str, ...] | None, *arguments: str) -> dict[str, Any]:
    """What the command says there, without the facts."""
    home = folder / "nic-energy"
    (home / "results").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [*COMMAND, "--json", *arguments],
        cwd=home,
        env={**os.environ, **environment(folder, control)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    text = done.stdout.replace(str(folder), "/home/lab")
    document: dict[str, Any] = json.loads(text)
    del document["facts"]
    return document


def main() -> None:
    """Write the samples."""
    for name, control in SITUATIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            write_json(SAMPLES / f"doctor_{name}.json", diagnose(Path(folder), control))


if __name__ == "__main__":
    main()
