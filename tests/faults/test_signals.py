"""Signals at every moment of every job that measures: what is kept, and how it goes on."""

import os
import signal
import time

import pytest

from nic_energy.files import LEFTOVER_S
from nic_energy.store import Attempt
from nic_energy.traces import read_trace
from tests.faults.command import Desk, Done

MEASURING = ("context idle", "preheat", "lead-in", "window", "paired idle")
PUTTING_AWAY = ("writing", "linking")


def stopped_at(desk: Desk, command: str, moment: str, number: int) -> Done:
    """Run a command to a moment and signal it there."""
    running = desk.start(command, moment)
    running.reach()
    running.signal(number)
    if moment in PUTTING_AWAY:
        running.go()
    return running.end()


def only(attempts: list[Attempt]) -> Attempt:
    (attempt,) = attempts
    return attempt


def aged(desk: Desk) -> None:
    """Let what was left behind look as if it had lain there for long."""
    old = time.time() - 2 * LEFTOVER_S
    for part in desk.parts():
        os.utime(part, (old, old))


@pytest.mark.parametrize(
    ("name", "moment"), [*(("SIGTERM", moment) for moment in MEASURING), ("SIGINT", "window")]
)
def test_stopped_while_measuring(virtual: Desk, name: str, moment: str) -> None:
    done = stopped_at(virtual, "measure", moment, signal.Signals[name])
    done.says(f"nic-energy: stopped by {name}; run again to go on where it stopped.")
    assert done.code == 9
    kept = only(virtual.attempts())
    assert kept.meta.outcome == "failed"
    assert str(kept.meta.error).startswith(f"InterruptedMeasurementError: stopped by {name}")
    assert (read_trace(kept.path).samples.num_rows > 0) == (moment != "context idle")
    assert len(kept.meta.windows) == {"lead-in": 1, "window": 2, "paired idle": 5}.get(moment, 0)
    assert not virtual.trace.exists()
    assert not virtual.parts()

    virtual.succeed("measure")
    assert virtual.trace.exists()
    assert [each.meta.outcome for each in virtual.attempts()] == ["accepted", "failed"]


def test_stopped_while_loading_nothing_was_measured(virtual: Desk) -> None:
    done = stopped_at(virtual, "measure", "loading", signal.SIGTERM)
    done.says("nic-energy: stopped by SIGTERM")
    assert done.code == 9
    assert not virtual.attempts()
    virtual.succeed("measure")


@pytest.mark.parametrize("moment", PUTTING_AWAY)
def test_stopped_while_it_is_put_away_a_finished_modality_is_finished(
    virtual: Desk, moment: str
) -> None:
    done = stopped_at(virtual, "measure", moment, signal.SIGTERM)
    done.says("what is finished is still put away", "nic-energy: stopped by SIGTERM")
    assert done.code == 9
    kept = only(virtual.attempts())
    assert kept.meta.outcome == "accepted"
    assert virtual.trace.stat().st_ino == kept.path.stat().st_ino
    virtual.trace.unlink()  # as Snakemake does with the output of a job that failed
    assert "linked, not measured again" in virtual.succeed("measure")
    assert virtual.trace.stat().st_ino == kept.path.stat().st_ino


@pytest.mark.parametrize("moment", ["loading", *MEASURING])
def test_killed_while_measuring(virtual: Desk, moment: str) -> None:
    done = stopped_at(virtual, "measure", moment, signal.SIGKILL)
    assert done.code == -signal.SIGKILL
    assert not virtual.attempts()
    assert not virtual.trace.exists()
    assert not virtual.parts()
    virtual.succeed("measure")
    assert only(virtual.attempts()).meta.outcome == "accepted"


def test_killed_while_writing_leaves_no_half_file_in_the_way(virtual: Desk) -> None:
    stopped_at(virtual, "measure", "writing", signal.SIGKILL)
    assert not virtual.attempts()
    (part,) = virtual.parts()
    virtual.succeed("measure")
    assert virtual.parts() == [part]
    aged(virtual)
    virtual.configure(remeasure=True)
    virtual.succeed("measure")
    assert not virtual.parts()
    assert len(virtual.attempts()) == 2


def test_killed_while_linking_the_finished_modality_is_linked_next_time(virtual: Desk) -> None:
    stopped_at(virtual, "measure", "linking", signal.SIGKILL)
    kept = only(virtual.attempts())
    assert kept.meta.outcome == "accepted"
    assert not virtual.trace.exists()
    assert "linked, not measured again" in virtual.succeed("measure")
    assert virtual.trace.stat().st_ino == kept.path.stat().st_ino


def test_the_idle_reference_stopped(fresh: Desk) -> None:
    done = stopped_at(fresh, "idle", "idle", signal.SIGTERM)
    done.says("nic-energy: stopped by SIGTERM")
    assert done.code == 9
    kept = only(fresh.attempts("idle"))
    assert kept.meta.outcome == "failed"
    assert read_trace(kept.path).samples.num_rows >= 40
    assert not fresh.idle_reference.exists()
    fresh.succeed("idle")
    assert [each.meta.outcome for each in fresh.attempts("idle")] == ["accepted", "failed"]
    fresh.succeed("measure")


@pytest.mark.parametrize("moment", PUTTING_AWAY)
def test_the_idle_reference_stopped_while_it_is_put_away(fresh: Desk, moment: str) -> None:
    done = stopped_at(fresh, "idle", moment, signal.SIGTERM)
    assert done.code == 9
    kept = only(fresh.attempts("idle"))
    assert kept.meta.outcome == "accepted"
    assert "is linked, not recorded again" in fresh.succeed("idle")
    assert fresh.idle_reference.stat().st_ino == kept.path.stat().st_ino


@pytest.mark.parametrize("moment", ["idle", "writing", "linking"])
def test_the_idle_reference_killed(fresh: Desk, moment: str) -> None:
    stopped_at(fresh, "idle", moment, signal.SIGKILL)
    assert not fresh.idle_reference.exists()
    assert len(fresh.attempts("idle")) == (moment == "linking")
    fresh.succeed("idle")
    assert only(fresh.attempts("idle")).meta.outcome == "accepted"


def test_the_passport_stopped(virtual: Desk) -> None:
    done = stopped_at(virtual, "passport", "wave", signal.SIGTERM)
    done.says("nic-energy: stopped by SIGTERM")
    assert done.code == 9
    kept = only(virtual.attempts("passport"))
    assert kept.meta.outcome == "failed"
    assert read_trace(kept.path).samples.num_rows > 1000
    assert not virtual.passport_file.exists()


def test_the_passport_stopped_while_it_is_put_away_is_not_recorded_again(virtual: Desk) -> None:
    assert stopped_at(virtual, "passport", "writing", signal.SIGTERM).code == 9
    assert only(virtual.attempts("passport")).meta.outcome == "accepted"
    assert "is not recorded again" in virtual.succeed("passport")
    assert virtual.passport_file.exists()


def test_the_passport_killed(virtual: Desk) -> None:
    stopped_at(virtual, "passport", "wave", signal.SIGKILL)
    assert not virtual.attempts("passport")
    assert not virtual.passport_file.exists()
    virtual.succeed("passport")


def test_a_hangup_is_a_stop_unless_it_is_ignored(virtual: Desk) -> None:
    assert stopped_at(virtual, "measure", "window", signal.SIGHUP).code == 9
    ignoring = virtual.start(
        "measure", "window", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    ignoring.reach()
    ignoring.signal(signal.SIGHUP)
    ignoring.go()
    assert ignoring.end().code == 0


def test_a_signal_to_the_whole_group_still_gets_the_last_samples(fake: Desk) -> None:
    fake.configure(protocol={"min_repetitions": 60, "max_repetitions": 60})
    running = fake.start("measure")
    running.reach("window 2: lead-in")
    running.signal(signal.SIGTERM, group=True)
    done = running.end()
    done.says("nic-energy: stopped by SIGTERM")
    assert done.code == 9
    kept = only(fake.attempts())
    assert kept.meta.outcome == "failed"
    assert len(kept.meta.windows) >= 2
    trace = read_trace(kept.path)
    taken_while_it_ended = trace.meta.sampler["samples"] - trace.samples.num_rows
    assert 0 <= taken_while_it_ended < trace.meta.settings["protocol"]["sampling_hz"]
    assert trace.column("time_s")[-1] > kept.meta.windows[-1].end_s
