"""`make gpu-test` as a lab starts it, on the stand-ins."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cuda.campaign import CudaCampaign
from tests.gpu.rig import expected
from tests.workflow.campaign import ROOT

pytestmark = pytest.mark.workflow


def gpu_test(campaign: CudaCampaign, folder: Path) -> tuple[str, dict[str, Any]]:
    """What the command prints, and its report; small images, short stretches of load."""
    done = subprocess.run(
        ["make", "--directory", str(ROOT), "--old-file", ".venv/.ready-dev", "gpu-test", "QUICK=1"],
        env={**campaign.env(), "PYTEST_ADDOPTS": f"--gpu-results={folder} -p no:cacheprovider"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    assert (done.returncode == 0) == report["passed"], done.stdout
    return done.stdout, report


def test_a_healthy_gpu_passes_them_all(campaign: CudaCampaign, tmp_path: Path) -> None:
    """Beside it stands a display card that gives no power."""
    campaign.draw("devices 2", "fault nvmlDeviceGetPowerUsage 1 NOT_SUPPORTED",
                  "fault nvmlDeviceGetFieldValues 1 NOT_SUPPORTED",
                  "fault nvmlDeviceGetTotalEnergyConsumption 1 NOT_SUPPORTED")  # fmt: skip
    said, report = gpu_test(campaign, tmp_path)
    assert report["passed"], said
    assert [each["name"] for each in report["findings"]] == list(expected())
    assert report["source"] == "measured"
    assert report["bars"] == {}
    started = campaign.cuda.processes()
    assert {process["cublas_workspace_config"] for process in started} == {":4096:8"}
