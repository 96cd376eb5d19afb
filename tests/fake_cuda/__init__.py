"""A stand-in for CUDA under the real torch: tensors stay on the processor and say `cuda:N`.

`environment()` makes it reach every process that is started from there, through a `sitecustomize`
on `PYTHONPATH`. Beside it runs the fake NVML library (`tests.fake_nvml`), whose power rises while
the stand-in computes.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ON_PATH = Path(__file__).with_name("on_path")
FOLDER = "FAKE_CUDA"


def uuid_of(index: int) -> str:
    """UUID of a GPU as the fake NVML library numbers them."""
    return f"GPU-fa4e0000-0000-4000-8000-{index:012d}"


@dataclass(frozen=True)
class Gpu:
    """A GPU as CUDA sees it."""

    uuid: str = uuid_of(0)
    name: str = "Fake NVML Test GPU"
    memory_mib: int = 8192
    capability: tuple[int, int] = (8, 0)
    exclusive: bool = False


@dataclass(frozen=True)
class Fault:
    """An error on demand, raised when an execution begins on an image of a padded size.

    `error` is `sticky` (an illegal memory access, after which every call of the process fails) or
    `out_of_memory`; it is raised after `after` executions of a process on that size, in `times`
    executions of all processes together.
    """

    error: str
    width: int
    height: int
    after: int = 0
    times: int = 1


@dataclass
class FakeCuda:
    """The stand-in in a folder of its own, which running processes read when CUDA starts."""

    folder: Path
    gpus: Sequence[Gpu] = (Gpu(),)
    faults: Sequence[Fault] = ()
    no_driver: str | None = None
    build: str = "13.0"
    written: bool = field(default=False, init=False)

    def put(self, **changes: Any) -> "FakeCuda":
        """Change what it does, for processes that start CUDA from now on."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.folder.mkdir(parents=True, exist_ok=True)
        control = {
            "gpus": [asdict(gpu) for gpu in self.gpus],
            "faults": [asdict(fault) for fault in self.faults],
            "no_driver": self.no_driver,
            "build": self.build,
        }
        partial = self.folder / "control.part"
        partial.write_text(json.dumps(control))
        os.replace(partial, self.folder / "control.json")
        return self

    def environment(self) -> dict[str, str]:
        """What a process needs for its torch to see the GPUs; without settings of the user."""
        path = f"{ON_PATH}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
        return {FOLDER: str(self.folder), "PYTHONPATH": path}

    def nvml(self, watts: float = 100.0) -> tuple[str, ...]:
        """Control lines for the fake NVML library: its GPUs draw that much more under load."""
        return (f"load_from {self.folder}", f"load_w {watts}")

    def processes(self) -> list[dict[str, Any]]:
        """Every process whose torch saw CUDA: id, command, and what it started CUDA with."""
        log = self.folder / "processes.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
