"""The state of jobs from the accounting: the profile with one line changed, as the page says."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from nic_energy import tables
from tests.cluster import accounting
from tests.cluster.campaign import ClusterCampaign
from tests.cluster.slurm import Slurm, wait_for
from tests.cluster.test_jobs import RUN_S, measuring

FEW = 4
LINE = "slurm-status-command: squeue "

ASKED = """#!/bin/sh
# Says which command was asked for the state of a run's jobs.
case "$*" in *--name*) echo {name} >>{log} ;; esac
exec {program} "$@"
"""


def with_the_line_changed(campaign: ClusterCampaign) -> Path:
    """A copy of the profile for a cluster with accounting."""
    profile = campaign.folder / "profile"
    shutil.copytree(campaign.profile, profile)
    text = (profile / "config.yaml").read_text()
    assert text.count(LINE) == 1
    (profile / "config.yaml").write_text(text.replace(LINE, "slurm-status-command: sacct "))
    return profile


def who_is_asked(cluster: Slurm) -> Path:
    """Note every question for the jobs of a run, whoever is asked; the file of the notes."""
    log = cluster.root / "log" / "asked"
    for name in ("sacct", "squeue"):
        shim = cluster.root / "bin" / name
        shim.write_text(ASKED.format(name=name, log=log, program=accounting.program(name)))
        shim.chmod(0o755)
    return log


def test_the_states_of_jobs_are_read_from_the_accounting(accounted: ClusterCampaign) -> None:
    campaign, cluster = accounted, accounted.cluster
    assert cluster is not None
    campaign.configure(
        networks=[{"name": "bmshj2018-factorized", "qualities": [1, 8]}], images={"select": 2}
    )
    campaign.profile = with_the_line_changed(campaign)
    asked = who_is_asked(cluster)
    run = campaign.begin("results/small/energy.csv")

    def one_runs() -> bool:
        assert run.poll() is None, f"nothing was measured: {campaign.log()[-5000:]}"
        return bool(measuring(cluster))

    wait_for(one_runs, "a measurement that runs", RUN_S)
    failed = measuring(cluster)[0]
    cluster.ask("scancel", "--signal=TERM", "--full", failed)
    assert run.wait(RUN_S) == 0, campaign.log()[-8000:] + cluster.logs()

    assert f"SLURM-job '{failed}' failed, SLURM status is: 'FAILED'" in campaign.log()
    assert set(asked.read_text().split()) == {"sacct"}
    lines = cluster.ask(
        "sacct", "-X", "--parsable2", "--noheader", "--format=JobIDRaw,State,Comment"
    ).splitlines()
    rows = [line.split("|") for line in lines]
    measured = Counter(state for _, state, what in rows if "rule_measure_w" in what)
    assert measured == {"COMPLETED": FEW, "FAILED": 1}
    others = {state for _, state, what in rows if "rule_measure_w" not in what}
    assert others == {"COMPLETED"}
    assert len(campaign.accepted()) == FEW
    assert len(tables.read_csv(campaign.results() / "energy.csv")) == FEW


def test_what_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "PROGRAMS", ("slurmdbd", "no-such-program"))
    with pytest.raises(RuntimeError, match=r"no no-such-program .*: apt-get install -y .*slurmdbd"):
        accounting.require()
