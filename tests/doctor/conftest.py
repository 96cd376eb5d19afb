"""A machine to be examined: the fake NVML library, a fake PyTorch, a folder of its own."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nic_energy.config import project_root, resolve
from nic_energy.config.merge import overlay, read_merged
from nic_energy.doctor.checks import Check, Diagnosis
from nic_energy.doctor.collect import Request, collect
from nic_energy.doctor.judge import judge
from tests.doctor.ills import HEALTHY
from tests.fake_nvml import FakeNvml
from tests.fake_torch import FakeTorch

LAB = project_root() / "config" / "config.yaml"

PATIENT = {"protocol": {"sampling_hz": 2}}
"""A busy test machine may stall a reading for longer than the lab's sampling rate allows."""


@pytest.fixture
def machine(
    fake_nvml: FakeNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator["Station"]:
    """A healthy machine under the lab's configuration."""
    monkeypatch.chdir(tmp_path)
    # Locks lie in the folder of temporary files: those of tests that run beside are none of ours.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "results").mkdir()
    yield Station(fake_nvml, FakeTorch(tmp_path / "torch"), monkeypatch)


class Station:
    """The machine, and how ills come over it."""

    def __init__(self, nvml: FakeNvml, torch: FakeTorch, patch: pytest.MonkeyPatch) -> None:
        self.nvml, self.torch, self.patch = nvml, torch, patch
        self.put()
        self.install()
        patch.syspath_prepend(str(torch.folder))
        inherited = os.environ.get("PYTHONPATH", "")
        patch.setenv("PYTHONPATH", f"{torch.folder}:{project_root() / 'src'}:{inherited}")

    def put(self, *control: str) -> None:
        """Set the GPU, healthy but for these lines."""
        self.nvml.put(*HEALTHY, *control)

    def install(self, **changes: Any) -> None:
        """Install a PyTorch with these changes."""
        self.torch = replace(self.torch, **changes).write()
        self.patch.setenv("FAKE_TORCH", self.torch.environment())

    def examine(self, config: Mapping[str, Any] | None = None, **options: Any) -> Diagnosis:
        """Examine the machine."""
        document = overlay(overlay(read_merged([LAB]), PATIENT), config or {})
        request = Request(resolve(document), **{"seconds": 0.7, "limit_s": 4.0, **options})
        return judge(collect(request))


def check(diagnosis: Diagnosis, name: str) -> Check:
    """The check of that name; there is one."""
    (found,) = (each for each in diagnosis.checks if each.name == name)
    return found


def text(found: Check) -> str:
    """All its words."""
    return f"{found.found} {found.means} {found.remedy}"
