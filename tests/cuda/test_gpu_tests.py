"""What a lab starts on a new GPU, on the stand-ins: `make first-light` and `make gpu-test`."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nic_energy.campaign import setup_folder
from tests.cuda.campaign import SHORTER, CudaCampaign
from tests.gpu.rig import expected
from tests.workflow.campaign import ROOT

pytestmark = pytest.mark.workflow

DISPLAY = (
    "devices 2",
    "fault nvmlDeviceGetPowerUsage 1 NOT_SUPPORTED",
    "fault nvmlDeviceGetFieldValues 1 NOT_SUPPORTED",
    "fault nvmlDeviceGetTotalEnergyConsumption 1 NOT_SUPPORTED",
)
"""A second card that gives no power."""


def run(campaign: CudaCampaign, *command: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of a command in the campaign's folder."""
    done = subprocess.run(
        command,
        cwd=campaign.folder,
        env={**campaign.env(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
    )
    return done.returncode, done.stdout


def require_workspace(campaign: CudaCampaign) -> None:
    started = campaign.cuda.processes()
    assert {process["cublas_workspace_config"] for process in started} == {":4096:8"}


def test_first_light_ends_with_its_page_and_a_bundle_that_another_lab_verifies(
    campaign: CudaCampaign,
) -> None:
    """The GPU tests in their short form, a network that runs in a millisecond, small images."""
    campaign.draw(*DISPLAY)
    campaign.config = {}
    protocol = {
        "idle_s": 2,
        "idle_settle_max_s": 0,
        "paired_settle_max_s": 0,
        "lead_in_s": 0.1,
        "sampling_hz": 50,
    }
    campaign.configure(
        networks_table="networks.tsv",
        networks=[{"name": "tiny", "qualities": [1, 3]}],
        images={**SHORTER["images"], "select": 3},
        protocol=protocol,
        passport=False,  # two minutes; test_campaign.py has one
    )
    code, said = run(
        campaign, "nic-energy", "first-light", "--quick", "--device", "cuda:0",
        "--config", "campaign.yaml",
    )  # fmt: skip
    assert code == 0, said
    assert ": all is well." in said
    assert "(measured)" in said.partition("\n\n")[0]
    assert campaign.uuids[0] in said
    folder = campaign.folder / setup_folder("first-light")
    report: dict[str, Any] = json.loads((folder / "checks/gpu_tests/report.json").read_text())
    assert report["passed"], report
    assert [each["name"] for each in report["findings"]] == list(expected())
    assert report["bars"] == {}
    bundle = folder.with_name("first-light.nic-energy.zip")
    assert bundle.stat().st_size < 16_000_000
    assert run(campaign, "nic-energy", "verify", str(bundle))[0] == 0
    require_workspace(campaign)


def test_make_gpu_test_runs_them_and_a_part_of_them_is_no_success(
    campaign: CudaCampaign, tmp_path: Path
) -> None:
    campaign.draw(*DISPLAY)
    options = f"--gpu-results={tmp_path} -p no:cacheprovider -k same_device"
    code, said = run(
        campaign, "make", "--directory", str(ROOT), "--old-file", ".venv/.ready", "gpu-test",
        "QUICK=1", PYTEST_ADDOPTS=options,
    )  # fmt: skip
    assert code != 0
    report = json.loads((tmp_path / "report.json").read_text())
    (finding,) = report["findings"]
    assert (finding["name"], finding["passed"], finding["problems"]) == ("same_device", True, []), (
        said
    )
    assert not report["passed"]
    assert set(report["missing"]) == set(expected()) - {"same_device"}
    require_workspace(campaign)
