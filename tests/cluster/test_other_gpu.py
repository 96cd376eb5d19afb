"""Slurm gives a job another GPU than its set-up's: it refuses, and loses nothing."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nic_energy.traces import read_meta
from tests.cluster.campaign import ClusterCampaign
from tests.cluster.gpus import FIRST, SECOND, taken_by_another, two_gpus
from tests.cluster.slurm import Slurm
from tests.cluster.test_allocation import ended
from tests.workflow.campaign import Campaign

RUN_S = 300.0
REFUSED = (f"({FIRST})", f"({SECOND}). A set-up is one device")


@pytest.fixture
def bound(cluster: Slurm, processors: ClusterCampaign) -> Iterator[ClusterCampaign]:
    """A set-up of the first GPU, with one of its two modalities measured; another job has taken
    that GPU since.
    """
    campaign = processors
    campaign.configure(
        meter="nvml", test_switch=True, networks=[{"name": "tiny", "qualities": [1, 3]}]
    )
    confined = campaign.folder / "gpus"
    campaign.environment.update(two_gpus(confined))
    path = f"{confined / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    campaign.environment["PATH"] = path
    here = {**campaign.environment, "CUDA_VISIBLE_DEVICES": "0"}
    trace = "results/small/traces/chain/tiny/q1/image0.parquet"
    Campaign(campaign.folder, campaign.config, here).succeed(trace)
    other = taken_by_another(cluster, campaign.folder)
    yield campaign
    cluster.ask("scancel", other)


def said_by_the_measurement(campaign: ClusterCampaign) -> str:
    """The log of the rule for the modality that was left."""
    path = campaign.folder / "logs" / "small" / "measure" / "chain" / "tiny" / "q3" / "image0.log"
    return path.read_text()


def test_a_job_on_another_gpu_measures_nothing_and_the_right_one_goes_on(
    cluster: Slurm, bound: ClusterCampaign
) -> None:
    campaign = bound
    measured, attempts = campaign.accepted(), campaign.attempts()
    assert len(measured) == 1
    assert read_meta(attempts[0]).meter.device_uuid == FIRST

    run = campaign.begin("results/small/energy.csv", "--retries", "0")
    assert run.wait(RUN_S) != 0, campaign.log()
    assert "Error in rule measure:" in campaign.log()
    assert all(words in said_by_the_measurement(campaign) for words in REFUSED)
    assert campaign.accepted() == measured
    assert campaign.attempts() == attempts
    assert not (campaign.results() / "energy.csv").exists()

    for worker in (False, True):
        campaign.configure(worker={"enabled": worker})
        before = campaign.said()
        assert ended(cluster, campaign.submit()) == "1:0"
        said = campaign.said().removeprefix(before)
        assert "begins on" in said
        assert "GPU 1\n" in said
        assert all(words in said for words in REFUSED), said
        assert "returned non-zero exit status 8" in said
        assert "ended with exit code 1; what failed is named above" in said
        assert campaign.accepted() == measured
        assert campaign.attempts() == attempts
        assert not (campaign.results() / "energy.csv").exists()

    cluster.ask("scancel", "--state=RUNNING", "--user", str(os.getuid()))
    assert ended(cluster, campaign.submit()) == "0:0", campaign.said()
    traces = campaign.accepted()
    assert len(traces) == 2
    assert {name: traces[name] for name in measured} == measured
    assert {read_meta(path).meter.device_uuid for path in campaign.traces()} == {FIRST}
