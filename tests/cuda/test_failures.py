"""Faults of the GPU in mid-campaign: what fails, what goes on, and what is said."""

import pytest

from nic_energy.traces import TraceMeta, read_meta
from tests.cuda.campaign import SIZES, TINY, CudaCampaign
from tests.fake_cuda import Fault, Gpu
from tests.workflow.campaign import ROOT
from tests.workflow.test_faults import start, wait_for

pytestmark = pytest.mark.workflow

ENERGIES = "results/lab/energy.csv"
THIRD = Fault("sticky", 128, 64, after=5)
"""In the windows of one of four images, the third by size."""


@pytest.fixture
def tiny(campaign: CudaCampaign) -> CudaCampaign:
    campaign.configure(**TINY)
    return campaign


def logs(campaign: CudaCampaign) -> str:
    paths = sorted((campaign.folder / "logs" / "lab" / "measure").rglob("*.log"))
    return "\n".join(path.read_text() for path in paths)


def attempts(campaign: CudaCampaign) -> list[TraceMeta]:
    return [read_meta(path) for path in campaign.attempts()]


def failed(campaign: CudaCampaign) -> list[str]:
    return [str(meta.error) for meta in attempts(campaign) if meta.outcome == "failed"]


def pids(campaign: CudaCampaign) -> set[int]:
    return {meta.run["process"]["pid"] for meta in attempts(campaign)}


def test_a_sticky_error_costs_one_retry_and_no_modality(tiny: CudaCampaign) -> None:
    tiny.cuda.put(faults=[THIRD])
    tiny.succeed(ENERGIES)
    assert len(tiny.traces()) == 4
    (error,) = failed(tiny)
    assert "CudaError: tiny quality 1 on image2 (128x64): failed on cuda:0 (CUDA error:" in error
    assert "Xid" not in error
    assert len(pids(tiny)) == 2  # the worker whose process was spoilt, and the next
    said = logs(tiny)
    assert said.count("the device or its meter failed; tried once more in a new process") == 1
    assert "twice in a row" not in said


def test_without_a_worker_a_sticky_error_costs_one_retry_too(tiny: CudaCampaign) -> None:
    tiny.configure(worker={"enabled": False}, images={"select": ["image2"]})
    tiny.cuda.put(faults=[THIRD])
    tiny.succeed(ENERGIES)
    assert len(failed(tiny)) == len(tiny.traces()) == 1


def test_two_sticky_errors_in_a_row_end_the_campaign_with_one_message(tiny: CudaCampaign) -> None:
    tiny.cuda.put(faults=[Fault("sticky", *size, times=2) for size in SIZES])
    done = tiny.run(ENERGIES)
    assert done.returncode != 0
    assert not tiny.traces()
    assert done.stdout.count("the campaign ends here") == 1
    assert "failed twice in a row, the second time in a new process. See dmesg" in done.stdout
    assert len(list((tiny.folder / "logs" / "lab" / "measure").rglob("*.log"))) == 1
    assert len(failed(tiny)) == 2
    tiny.cuda.put(faults=[])
    tiny.succeed(ENERGIES)
    assert len(tiny.traces()) == 4


def test_out_of_memory_is_tried_once_more_without_the_other_networks(tiny: CudaCampaign) -> None:
    once, twice = Fault("out_of_memory", 96, 64), Fault("out_of_memory", 128, 64, times=2)
    tiny.cuda.put(faults=[once, twice])
    done = tiny.run(ENERGIES)
    assert done.returncode != 0
    assert [path.stem for path in tiny.traces()] == ["image0", "image1", "image3"]
    said = logs(tiny)
    assert said.count("Tried once more without the networks of other modalities") == 2
    assert "tiny quality 1 on image2 (128x64): cuda:0 ran out of memory (" in done.stdout
    assert len(pids(tiny)) == 1  # such an error spoils no process
    assert "the campaign ends here" not in done.stdout


def test_networks_leave_a_small_card_for_the_next_one(tiny: CudaCampaign) -> None:
    """Two networks of the table do not fit together, though the configuration lets them stay."""
    tiny.cuda.put(gpus=[Gpu(tiny.uuids[0], memory_mib=120)])
    tiny.configure(
        networks=[
            {"name": "mbt2018", "qualities": [1]},
            {"name": "cheng2020-anchor", "qualities": [1]},
        ],
        networks_table=str(ROOT / "config" / "networks.tsv"),
        images={"select": ["image0"]},
        worker={"memory_mb": 4000},
    )
    tiny.succeed(ENERGIES)
    assert len(tiny.traces()) == 2
    assert "Tried once more without the networks of other modalities" in logs(tiny)


def test_a_driver_that_goes_in_mid_campaign_ends_it_and_loses_nothing(tiny: CudaCampaign) -> None:
    running = start(tiny)
    wait_for(lambda: len(tiny.traces()) == 1)
    tiny.draw("fault * * DRIVER_NOT_LOADED")
    tiny.cuda.put(no_driver="CUDA driver initialization failed, you might not have a CUDA gpu.")
    assert running.wait(300) != 0
    assert len(tiny.traces()) == 1
    said = logs(tiny)
    assert "the NVIDIA driver is not loaded" in said
    assert said.count("the campaign ends here") == 1
    tiny.draw()
    tiny.cuda.put(no_driver=None)
    tiny.succeed(ENERGIES)
    assert len(tiny.traces()) == 4
