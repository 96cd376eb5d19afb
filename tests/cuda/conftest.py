"""Campaigns on the stand-ins."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cuda.campaign import CudaCampaign
from tests.fake_cuda import FakeCuda
from tests.fake_nvml import FakeNvml


@pytest.fixture(scope="session")
def make_cuda_campaign(fake_nvml_built: FakeNvml) -> Iterator[Callable[[], CudaCampaign]]:
    """Campaigns in short paths, since that of a Unix socket has at most 107 characters."""
    made: list[CudaCampaign] = []

    def make() -> CudaCampaign:
        folder = Path(f"/tmp/nic-{os.getpid()}-{os.urandom(3).hex()}")
        folder.mkdir()
        nvml = FakeNvml(fake_nvml_built.library, folder / "nvml")
        made.append(CudaCampaign(folder, nvml=nvml, cuda=FakeCuda(folder / "cuda")))
        return made[-1].prepare()

    yield make
    for campaign in made:
        leave = [sys.executable, "-m", "nic_energy.cli", "worker", "stop"]
        subprocess.run(leave, env=campaign.env(), capture_output=True, check=False)
        shutil.rmtree(campaign.folder, ignore_errors=True)


@pytest.fixture
def campaign(make_cuda_campaign: Callable[[], CudaCampaign]) -> CudaCampaign:
    """A campaign of one test."""
    return make_cuda_campaign()
