"""The lab campaign from nothing to its page, on CUDA and NVML, in a user's environment."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nic_energy import cublas, tables
from nic_energy.traces import read_meta
from tests.cuda.campaign import LOAD_W, TINY, CudaCampaign
from tests.fake_cuda import Gpu
from tests.images.pictures import picture
from tests.workflow.campaign import ROOT

pytestmark = pytest.mark.workflow


def energies(campaign: CudaCampaign) -> pd.DataFrame:
    return tables.read_csv(campaign.results() / "energy.csv")


def require_true_joules(campaign: CudaCampaign) -> None:
    """The stand-in draws LOAD_W more while it computes: a window's energy is known."""
    found = energies(campaign)
    watts = found["energy_j"] / found["duration_s"]
    assert np.median(watts) == pytest.approx(LOAD_W, rel=0.1)
    assert set(found["source"]) == {"measured"}
    assert found["deterministic"].all()


def require_workspace(campaign: CudaCampaign, *commands: str) -> None:
    """The commands started CUDA, and with the workspace of cuBLAS set, as all that did."""
    processes = campaign.cuda.processes()
    texts = [" ".join(process["command"]) for process in processes]
    assert {process["cublas_workspace_config"] for process in processes} == {cublas.VALUE}
    assert all(any(command in text for text in texts) for command in commands), texts
    runs = [read_meta(path).run for path in campaign.traces()]
    assert {run["cublas_workspace_config"] for run in runs} == {cublas.VALUE}


@pytest.fixture(scope="module")
def measured(make_cuda_campaign: Callable[[], CudaCampaign]) -> CudaCampaign:
    """The campaign as shipped: cuda:0, NVML, deterministic, with worker and passport."""
    campaign = make_cuda_campaign()
    campaign.configure(
        networks=[{"name": "bmshj2018-factorized", "qualities": [1, 8]}], images={"select": 3}
    )
    campaign.succeed()
    return campaign


def test_the_campaign_as_shipped_ends_with_its_page(measured: CudaCampaign) -> None:
    page = (measured.results() / "report.html").read_text(encoding="utf-8")
    assert "Fake NVML Test GPU" in page
    assert len(energies(measured)) == 6
    require_true_joules(measured)
    require_workspace(measured, "identity", "nic-energy idle", "nic-energy passport", "serve")
    (process,) = {read_meta(path).run["process"]["pid"] for path in measured.traces()}
    assert process
    environment = json.loads((measured.results() / "reference" / "environment.json").read_text())
    assert environment["device"]["uuid"] == measured.uuids[0]
    assert measured.planned() == {}


def test_one_photograph_alone_takes_the_idle_reference_of_the_campaign(
    measured: CudaCampaign,
) -> None:
    picture(96, 96).save(measured.folder / "photo.png")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "nic_energy.cli", "measure", "photo.png", "--json"),
            *("--network", "bmshj2018-factorized", "--quality", "8"),
            *("--config", "campaign.yaml"),
        ],
        cwd=measured.folder,
        env=measured.env(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    row: dict[str, Any] = json.loads(done.stdout)
    assert row["source"] == "measured"
    assert row["energy_j"] / row["duration_s"] == pytest.approx(LOAD_W, rel=0.25)


def test_the_doctor_finds_nothing_wrong_with_a_gpu_that_can_measure(measured: CudaCampaign) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "nic_energy.cli", "doctor"),
            *(str(ROOT / "config" / "config.yaml"), "campaign.yaml"),
        ],
        cwd=measured.folder,
        env=measured.env(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert measured.uuids[0] in done.stdout


def test_without_a_worker_the_same_comes_out(campaign: CudaCampaign) -> None:
    campaign.configure(**TINY, worker={"enabled": False})
    campaign.succeed()
    assert (campaign.results() / "report.html").exists()
    require_true_joules(campaign)
    require_workspace(campaign, "nic-energy idle", "nic-energy measure")
    runs = [read_meta(path).run["process"] for path in campaign.traces()]
    assert not any(run["worker"] for run in runs)


def test_a_gpu_named_by_its_uuid_is_measured_whatever_stands_beside_it(
    campaign: CudaCampaign,
) -> None:
    """CUDA counts the two GPUs in another order than NVML, and one of them may not be opened."""
    other, wanted = campaign.uuids
    campaign.cuda.put(gpus=(Gpu(wanted), Gpu(other)))
    campaign.draw("devices 2", "fault nvmlDeviceGetHandleByIndex_v2 0 NO_PERMISSION")
    campaign.configure(**TINY, device=wanted, images={"select": 2})
    campaign.succeed(str(campaign.results().relative_to(campaign.folder) / "energy.csv"))
    require_true_joules(campaign)
    metas = [read_meta(path) for path in campaign.traces()]
    assert {meta.meter.device_uuid for meta in metas} == {wanted}
