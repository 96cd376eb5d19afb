"""A whole campaign in one allocation: stopped, its node lost, finished."""

import re

from nic_energy import tables
from nic_energy.traces import read_meta
from tests.cluster.campaign import DOZEN, ClusterCampaign, overlaps, windows
from tests.cluster.slurm import Slurm, wait_for

RUN_S = 600.0


def ended(cluster: Slurm, job: str) -> str:
    """The exit code of a job, once it has ended, as Slurm tells it."""
    wait_for(
        lambda: job in [each for each, state, _ in cluster.jobs() if state not in ALIVE],
        f"the end of job {job}: {cluster.jobs()}",
        RUN_S,
    )
    found = re.search(r"ExitCode=(\d+:\d+)", cluster.ask("scontrol", "show", "job", job))
    assert found
    return found[1]


ALIVE = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED")


def submitted_until(cluster: Slurm, campaign: ClusterCampaign, more: int) -> str:
    """A job that has measured so many modalities more, and is not done."""
    before = len(campaign.accepted())
    job = campaign.submit()

    def there() -> bool:
        alive = [each for each, _, _ in cluster.jobs(*ALIVE)]
        assert job in alive, f"it ended too early\n{campaign.said()}"
        return len(campaign.accepted()) >= before + more

    wait_for(there, f"{more} modalities more", RUN_S)
    return job


def test_it_goes_on_after_a_stop_and_after_the_loss_of_its_node(
    cluster: Slurm, campaign: ClusterCampaign
) -> None:
    campaign.configure(worker={"enabled": True}, protocol=SLOW)

    job = submitted_until(cluster, campaign, 1)
    cluster.ask("scancel", "--batch", "--signal=TERM", job)
    assert ended(cluster, job) == "9:0", campaign.said()
    assert "stopped; submit it again to go on" in campaign.said()
    first = campaign.accepted()
    assert 1 <= len(first) < DOZEN
    assert [read_meta(path).outcome for path in campaign.attempts()] == ["accepted"] * len(first)

    job = submitted_until(cluster, campaign, 1)
    cluster.fail_node()
    second = campaign.accepted()
    assert len(first) < len(second) < DOZEN
    assert {name: second[name] for name in first} == first
    cluster.start_node()

    # Slurm has put the job into the queue again, to begin in two minutes; another one is faster.
    lost = job
    cluster.ask("scancel", lost)
    job = campaign.submit()
    assert ended(cluster, job) == "0:0", campaign.said() + cluster.logs()
    assert f"job {lost} was killed; its lock is removed" in campaign.said()
    assert "finished" in campaign.said()
    last = campaign.accepted()
    assert len(last) == DOZEN
    assert {name: last[name] for name in second} == second
    assert len(tables.read_csv(campaign.results() / "energy.csv")) == DOZEN
    attempts = campaign.attempts()
    assert not overlaps(windows(attempts))
    processes = [read_meta(path).run["process"] for path in campaign.traces()]
    assert all(process["worker"] for process in processes)
    assert 2 <= len({process["pid"] for process in processes}) <= 3

    assert ended(cluster, campaign.submit()) == "0:0"
    assert campaign.accepted() == last
    assert campaign.attempts() == attempts


SLOW = {"min_duration_s": 10, "min_repetitions": 40, "max_repetitions": 40}
"""Long enough in real time for a signal to come in between, though the GPU's time is virtual."""
