"""Every measurement a job of its own on a real Slurm: cancelled, and the node down in between."""

from nic_energy import tables
from nic_energy.traces import read_meta
from tests.cluster.campaign import DOZEN, ClusterCampaign, overlaps, windows
from tests.cluster.slurm import Slurm, wait_for

RUN_S = 900.0


def measuring(cluster: Slurm) -> list[str]:
    """Ids of the measurements that run."""
    return [job for job, _, what in cluster.jobs("RUNNING") if what.startswith("rule_measure_w")]


def test_a_cancelled_job_is_retried_and_a_node_that_goes_down_loses_nothing_finished(
    cluster: Slurm, campaign: ClusterCampaign
) -> None:
    run = campaign.begin("results/small/energy.csv")

    def goes_on(what: str) -> None:
        assert run.poll() is None, f"it ended before {what}: {campaign.log()[-5000:]}"

    def one_runs() -> bool:
        goes_on("a measurement ran")
        return bool(measuring(cluster))

    wait_for(one_runs, "a measurement that runs", RUN_S)
    cancelled = measuring(cluster)[0]
    cluster.ask("scancel", cancelled)

    def some_done() -> bool:
        goes_on("three modalities were measured")
        return len(campaign.accepted()) >= 3 and bool(measuring(cluster))

    wait_for(some_done, "three modalities, and a job that measures another", RUN_S)
    cluster.fail_node()
    finished = campaign.accepted()
    lost = [job for job, state, _ in cluster.jobs() if state == "NODE_FAIL"]
    goes_on("the node was down")
    cluster.start_node()

    assert run.wait(RUN_S) == 0, campaign.log()[-8000:] + cluster.logs()
    log = campaign.log()
    assert f"SLURM-job '{cancelled}' failed, SLURM status is: 'CANCELLED'" in log
    assert lost
    assert all(f"'{job}'" in log for job in lost)

    traces = campaign.accepted()
    assert len(traces) == DOZEN
    assert {name: traces[name] for name in finished} == finished
    assert len(tables.read_csv(campaign.results() / "energy.csv")) == DOZEN
    attempts = campaign.attempts()
    assert not overlaps(windows(attempts))
    metas = [read_meta(path) for path in attempts]
    assert sum(meta.outcome == "accepted" for meta in metas) == DOZEN
    assert not any(meta.run["process"]["worker"] for meta in metas)
    assert {meta.source for meta in metas} == {"simulated"}
