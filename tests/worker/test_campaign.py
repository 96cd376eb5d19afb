"""A campaign through the worker: what it keeps, and what is left when something dies."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.traces import read_meta
from nic_energy.worker.registry import Status, stop, workers
from tests.workflow.campaign import Campaign
from tests.workflow.test_faults import start, wait_for

pytestmark = pytest.mark.workflow


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: that of a Unix socket has at most 107 characters."""
    made = Path(f"/tmp/nic-{os.getpid()}-{os.urandom(3).hex()}")
    made.mkdir()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def campaign(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Campaign]:
    made = Campaign(folder).prepare()
    made.configure(
        networks=[{"name": "tiny", "qualities": [1, 3]}],
        images={"select": 2},
        worker={"enabled": True},
    )
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield made
    for status in alive():
        stop(status)


def alive() -> list[Status]:
    return [status for _, status in workers()]


def processes(campaign: Campaign) -> pd.DataFrame:
    rows = [read_meta(path).run["process"] for path in campaign.traces()]
    return pd.DataFrame(rows)


def test_one_worker_measures_all_and_says_so_in_every_trace(campaign: Campaign) -> None:
    campaign.succeed()
    found = processes(campaign)
    assert len(found) == 4
    assert found["worker"].all()
    assert found["pid"].nunique() == 1
    assert sorted(found["served"]) == [0, 1, 2, 3]
    assert sorted(found["state"]) == ["cold", "warm", "warm", "warm"]
    (status,) = alive()
    assert (status.pid, status.served, status.current) == (found["pid"][0], 4, None)
    assert len(tables.read_csv(campaign.results() / "energy.csv")) == 4
    # The idle with a network resident is that of the process, recorded by its first modality.
    phases = [{i.phase for i in read_meta(path).intervals} for path in campaign.traces()]
    assert sum("idle_context" in each for each in phases) == 1
    logs = list((campaign.folder / "logs" / "small" / "measure").rglob("*.log"))
    assert all("window 1" in path.read_text() for path in logs)


def test_the_anchor_is_measured_by_the_worker_and_no_rule_knows_of_it(campaign: Campaign) -> None:
    campaign.configure(anchor={"every": 2})
    campaign.succeed()
    found = tables.read_csv(campaign.results() / "anchors.csv", tables.ANCHOR_COLUMNS)
    assert len(found) == 2  # after the first and the third of four
    tables.read_csv(campaign.results() / "anchor_drift.csv", tables.ANCHOR_DRIFT_COLUMNS)
    assert set(found["source"]) == {"estimated"}
    assert campaign.planned() == {}
    campaign.configure(anchor={"every": 0})
    assert "measure" not in campaign.planned()


def test_without_the_worker_the_same_comes_out(campaign: Campaign) -> None:
    campaign.succeed()
    with_worker = tables.read_csv(campaign.results() / "energy.csv")
    campaign.configure(setup="alone", worker={"enabled": False})
    campaign.succeed()
    alone = tables.read_csv(campaign.results() / "energy.csv")
    assert not any(read_meta(path).run["process"]["worker"] for path in campaign.traces())
    same = ["source", "part", "network", "quality", "image", "pixels", "padded_pixels", "bpp",
            "psnr_db", "estimator", "power_field", "weights", "repetitions"]  # fmt: skip
    pd.testing.assert_frame_equal(with_worker[same], alone[same])
    # A settings change that is none: nothing is measured again either way.
    campaign.configure(worker={"enabled": True})
    assert "measure" not in campaign.planned()


def slow(campaign: Campaign) -> None:
    campaign.configure(
        networks=[{"name": "slow", "qualities": [1]}],
        protocol={"min_duration_s": 0.5, "min_repetitions": 12, "max_repetitions": 12},
    )


def measuring(campaign: Campaign, modalities: int) -> bool:
    """Whether the worker is in the midst of the windows of that modality, counted from 1."""
    logs = list((campaign.folder / "logs" / "small" / "measure").rglob("*.log"))
    begun = sum("window 2" in path.read_text() for path in logs)
    return begun == modalities and bool(alive())


def test_a_killed_worker_costs_one_retry_and_nothing_finished(campaign: Campaign) -> None:
    slow(campaign)
    running = start(campaign)
    wait_for(lambda: len(campaign.traces()) == 1 and measuring(campaign, 2))
    (finished,) = campaign.traces()
    inode = finished.stat().st_ino
    (status,) = alive()
    os.kill(status.pid, signal.SIGKILL)
    assert running.wait(300) == 0
    assert len(campaign.traces()) == 2
    assert finished.stat().st_ino == inode
    assert processes(campaign)["pid"].nunique() == 2
    logs = "".join(p.read_text() for p in (campaign.folder / "logs").rglob("measure/**/*.log"))
    assert "the worker went away" in logs
    assert "trying once more" in logs


def test_a_hung_worker_is_ended_and_costs_one_retry(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(campaign)
    campaign.environment = {"NIC_ENERGY_SILENT_S": "40"}
    running = start(campaign)
    wait_for(lambda: measuring(campaign, 1))
    (status,) = alive()
    os.kill(status.pid, signal.SIGSTOP)
    assert running.wait(300) == 0
    assert len(campaign.traces()) == 2
    assert status.pid not in {each.pid for each in alive()}


def test_a_killed_snakemake_leaves_a_failed_attempt_and_no_file_appears_later(
    campaign: Campaign,
) -> None:
    slow(campaign)
    running = start(campaign)
    wait_for(lambda: measuring(campaign, 1))
    (status,) = alive()
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    wait_for(lambda: len(campaign.attempts()) == 1)
    assert read_meta(campaign.attempts()[0]).outcome == "failed"
    assert "the client that asked went away" in str(read_meta(campaign.attempts()[0]).error)
    assert not campaign.traces()
    assert status.alive
    campaign.succeed("--unlock")
    campaign.succeed()
    assert len(campaign.traces()) == 2
    assert set(processes(campaign)["pid"]) == {status.pid}


def test_stopping_the_worker_keeps_the_attempt_with_its_reason(campaign: Campaign) -> None:
    slow(campaign)
    running = start(campaign)
    wait_for(lambda: measuring(campaign, 1))
    done = subprocess.run(
        [sys.executable, "-m", "nic_energy.cli", "worker", "stop"],
        env=campaign.env(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert " left" in done.stdout
    assert running.wait(300) != 0
    (failed,) = (m for m in map(read_meta, campaign.attempts()) if m.outcome == "failed")
    assert "SIGTERM" in str(failed.error)


def test_recording_idle_has_the_worker_leave(campaign: Campaign) -> None:
    campaign.succeed()
    (status,) = alive()
    campaign.succeed("measure_idle", "--forcerun", "measure_idle", "--config", "remeasure=true")
    assert not status.alive


def test_a_modality_that_fails_says_so_through_the_worker(campaign: Campaign) -> None:
    campaign.configure(networks=[{"name": "broken", "qualities": [1]}], images={"select": 1})
    (campaign.folder / "broken").touch()
    done = campaign.run()
    assert done.returncode != 0
    assert "broken quality 1 on image0 (64x48): cpu ran out of memory" in done.stdout
    (campaign.folder / "broken").unlink()
    campaign.succeed()
