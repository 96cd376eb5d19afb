"""The end of an allocation: what does not stop in its time of grace is stopped, or killed."""

import shutil
from pathlib import Path

import pytest

from nic_energy import tables
from nic_energy.traces import read_meta
from tests.cluster.campaign import ClusterCampaign
from tests.cluster.slurm import Slurm, wait_for
from tests.cluster.test_allocation import ALIVE, RUN_S, ended

MODALITIES = 2


@pytest.fixture
def campaign(processors: ClusterCampaign) -> ClusterCampaign:
    """Two modalities of a network that can take long or hang."""
    processors.configure(
        networks=[{"name": "lingering", "qualities": [1, 2]}],
        protocol={"min_duration_s": 0.1, "min_repetitions": 40, "max_repetitions": 40},
    )
    return processors


def linger(campaign: ClusterCampaign, how: str) -> None:
    """What executions do from now on: `long`, `hung`, or nothing of the sort."""
    path = Path(campaign.environment["LINGERING"])
    path.with_suffix(".new").write_text(how)
    path.with_suffix(".new").rename(path)


def lingers(cluster: Slurm, campaign: ClusterCampaign, how: str, *options: str) -> str:
    """A job whose campaign has one modality, and does not come to the end of the other."""
    logs = campaign.folder / "logs" / "small" / "measure"
    shutil.rmtree(logs, ignore_errors=True)
    linger(campaign, "")
    job = campaign.submit(*options)

    def at_the_second() -> bool:
        alive = [each for each, _, _ in cluster.jobs(*ALIVE)]
        assert job in alive, f"it ended too early\n{campaign.said()}"
        done = {str(Path(name).with_suffix("")) for name in campaign.accepted()}
        begun = {
            str(path.relative_to(logs).with_suffix(""))
            for path in logs.rglob("*.log")
            if "window 1" in path.read_text()
        }
        return len(done) == 1 and bool(begun - done)

    wait_for(at_the_second, "a modality that is finished, and another one", RUN_S)
    linger(campaign, how)
    return job


def left_behind(campaign: ClusterCampaign) -> list[str]:
    """Processes that still work in the folder, and folders of workers."""
    found = [str(path) for path in campaign.folder.glob("nic-energy-*/")]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve(strict=True) == campaign.folder:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def nothing_stays(campaign: ClusterCampaign) -> None:
    """No process and no folder of a worker outlives the job; a sampler sees a moment later that
    whoever it sampled for was killed.
    """
    wait_for(lambda: left_behind(campaign) == [], "an end of what the job began", 10)


def outcomes(campaign: ClusterCampaign) -> list[str]:
    """How the attempts ended."""
    return sorted(read_meta(path).outcome for path in campaign.attempts())


def goes_on(cluster: Slurm, campaign: ClusterCampaign, finished: dict[str, int]) -> None:
    """The next job measures what is left, and that alone."""
    linger(campaign, "")
    assert ended(cluster, campaign.submit()) == "0:0", campaign.said()
    traces = campaign.accepted()
    assert len(traces) == MODALITIES
    assert {name: traces[name] for name in finished} == finished
    assert len(tables.read_csv(campaign.results() / "energy.csv")) == MODALITIES
    assert outcomes(campaign).count("accepted") == MODALITIES


def test_slurm_warns_ahead_of_the_time_limit_and_the_modality_is_stopped_after_its_grace(
    cluster: Slurm, campaign: ClusterCampaign
) -> None:
    campaign.configure(worker={"enabled": True})
    campaign.environment["NIC_ENERGY_GRACE_S"] = "3"
    job = lingers(cluster, campaign, "long", "--time=2", "--signal=B:TERM@45")
    finished = campaign.accepted()
    assert "asked to stop" not in campaign.said()
    assert ended(cluster, job) == "9:0", campaign.said()
    assert "JobState=FAILED" in cluster.ask("scontrol", "show", "job", job)
    assert "what is being measured has 3 s" in campaign.said()
    assert "3 s are over; what is being measured is stopped" in campaign.said()
    assert "stopped; submit it again to go on" in campaign.said()
    assert "killed" not in campaign.said()
    assert campaign.accepted() == finished
    assert outcomes(campaign) == ["accepted", "failed"]
    nothing_stays(campaign)
    goes_on(cluster, campaign, finished)


def test_what_hangs_is_killed_and_nothing_that_is_finished_is_lost(
    cluster: Slurm, campaign: ClusterCampaign
) -> None:
    campaign.environment.update(NIC_ENERGY_GRACE_S="2", NIC_ENERGY_KILL_S="3")
    finished: dict[str, int] = {}
    for worker, killed in ((False, "it does not stop in 3 s; killed"), (True, "leave; killed")):
        campaign.configure(worker={"enabled": worker})
        job = lingers(cluster, campaign, "hung")
        before = campaign.said()
        cluster.ask("scancel", "--batch", "--signal=TERM", job)
        assert ended(cluster, job) == "9:0", campaign.said()
        assert killed in campaign.said().removeprefix(before)
        nothing_stays(campaign)
        assert finished in ({}, campaign.accepted())
        finished = campaign.accepted()
        assert outcomes(campaign) == ["accepted"]
    goes_on(cluster, campaign, finished)
