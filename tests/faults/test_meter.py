"""What goes wrong with the meter while a modality or the idle reference is measured, on the fake
NVML library.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nic_energy.energy.events import events
from nic_energy.errors import MeterError
from nic_energy.meters import MeterRequest
from nic_energy.sampler import Sampler, client
from nic_energy.store import Attempt
from nic_energy.traces import read_trace
from tests.faults.command import Desk
from tests.sampler.test_sampler import alive

Put = Callable[..., None]
POWER = "nvmlDeviceGetPowerUsage"
UTILIZATION = "nvmlDeviceGetUtilizationRates"
MID_RUN = "window 2: lead-in"
"""What the log says when two windows are over."""


def failed(desk: Desk, key: str = "chain/tiny/q1/image") -> Attempt:
    """The one attempt, which failed and was not published."""
    (kept,) = desk.attempts(key)
    assert kept.meta.outcome == "failed"
    assert not desk.trace.exists()
    return kept


def at(moment: str, act: Callable[[], None]) -> Callable[[str], None]:
    """Do something whenever the log says something."""
    return lambda message: act() if message == moment else None


def many_windows(desk: Desk, number: int = 40) -> None:
    desk.configure(protocol={"min_repetitions": number, "max_repetitions": number})


STAYS = {
    "GPU_IS_LOST": "GPU is lost' in nvmlDeviceGetPowerUsage: the GPU has fallen off the bus",
    "RESET_REQUIRED": "the GPU needs a reset (nvidia-smi --gpu-reset) or a reboot",
    "UNINITIALIZED": "NVML was shut down while it was in use",
    "DRIVER_NOT_LOADED": "the NVIDIA driver is not loaded",
    "LIB_RM_VERSION_MISMATCH": "library and kernel module are of different driver versions",
    "TIMEOUT": "the driver did not answer in time; look for a hung process",
    "NO_PERMISSION": "this user may not read it",
    "NOT_SUPPORTED": "this GPU or driver does not offer the reading",
    "UNKNOWN": "an internal driver error. See dmesg for Xid errors",
}


@pytest.mark.parametrize(("error", "message"), STAYS.items(), ids=list(STAYS))
def test_an_error_that_stays_ends_the_modality(
    fake: Desk, put: Put, error: str, message: str
) -> None:
    many_windows(fake)
    done = fake.here("measure", at(MID_RUN, lambda: put(f"fault {POWER} 0 {error}")))
    assert done.code == 4
    assert "nic-energy: Fake NVML Test GPU: NVML says" in done.message
    assert message in done.message
    kept = failed(fake)
    assert message in str(kept.meta.error)
    assert len(kept.meta.windows) >= 2
    assert read_trace(kept.path).column("time_s")[-1] > kept.meta.windows[1].end_s


def test_after_an_error_the_next_run_measures(fake: Desk, put: Put) -> None:
    assert fake.here("measure", at(MID_RUN, lambda: put(f"fault {POWER} 0 GPU_IS_LOST"))).code == 4
    put()
    done = fake.here("measure")
    assert done.code == 0, done.text
    assert fake.trace.exists()
    assert [each.meta.outcome for each in fake.attempts()] == ["accepted", "failed"]


def test_an_error_that_passes_has_its_windows_repeated_and_is_counted(fake: Desk, put: Put) -> None:
    many_windows(fake, 5)
    line = f"fault {POWER} 0 TIMEOUT count=20"
    done = fake.here("measure", at(MID_RUN, lambda: put(line)))
    assert done.code == 0, done.text
    (kept,) = fake.attempts()
    left_out = [window for window in kept.meta.windows if "failed_readings" in window.flags]
    assert 1 <= len(left_out) <= 2
    assert not any(window.admissible for window in left_out)
    assert kept.meta.sampler["failures"] == {f"{POWER}: Timeout": 20}
    trace = read_trace(fake.trace)
    assert trace.column("failed_readings").sum() == 20
    assert trace.samples.column("power_legacy_w").null_count == 20
    assert trace.samples.column("power_instant_w").null_count == 0
    assert sum(window.admissible for window in kept.meta.windows) >= 5


def test_an_auxiliary_reading_that_stays_away_ends_nothing(fake: Desk, put: Put) -> None:
    many_windows(fake, 4)
    lines = [f"fault {call} 0 UNKNOWN" for call in ("nvmlDeviceGetTemperatureV", UTILIZATION)]
    done = fake.here("measure", at(MID_RUN, lambda: put(*lines)))
    assert done.code == 0, done.text
    (kept,) = fake.attempts()
    assert not any("failed_readings" in window.flags for window in kept.meta.windows)
    failures = kept.meta.sampler["failures"]
    given_up = {text for text in failures if text.endswith("given up, null from then on")}
    assert {text.partition(":")[0] for text in given_up} == {
        "nvmlDeviceGetTemperatureV",
        UTILIZATION,
    }
    trace = read_trace(fake.trace)
    assert trace.column("failed_readings").sum() == 0
    assert np.isnan(trace.column("temperature_c")[-1])
    assert "readings_lost" in events(trace, kept.meta.windows)


def test_a_hanging_call_is_named_and_ended(fake: Desk, put: Put) -> None:
    many_windows(fake)
    done = fake.here("measure", at(MID_RUN, lambda: put(f"fault {POWER} 0 hang")))
    assert done.code == 4
    assert "meter nvml: a call hangs since 10 s" in done.message
    assert "Check the driver (nvidia-smi, dmesg)" in done.message
    kept = failed(fake)
    assert len(kept.meta.windows) == 2
    assert read_trace(kept.path).column("time_s")[-1] > kept.meta.windows[1].end_s


UNKILLABLE = """
import subprocess, sys
from nic_energy.errors import MeterError
from nic_energy.meters import MeterRequest
from nic_energy.sampler import Sampler
subprocess.Popen.kill = lambda process: None
sampler = Sampler(MeterRequest("nvml", "cpu", None, {}, simulated=True), 50.0, timeout_s=1.0)
sampler.start()
print(sampler.pid, flush=True)
sys.stdin.readline()
for ask in (sampler.collect, sampler.stop):
    try:
        ask()
    except MeterError as error:
        print(error, flush=True)
"""


def test_a_sampler_that_hangs_in_the_driver_and_cannot_be_killed_holds_up_nothing(
    fake: Desk, put: Put, tmp_path: Path
) -> None:
    """A process in an uninterruptible call outlives SIGKILL; here nobody sends it."""
    with (tmp_path / "log").open("w") as log:
        parent = subprocess.Popen(
            [sys.executable, "-c", UNKILLABLE],
            env=fake.env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert parent.stdin is not None
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    put(f"fault {POWER} * hang")
    time.sleep(0.2)
    parent.stdin.write("go\n")
    parent.stdin.flush()
    try:
        assert parent.wait(120) == 0
        assert "a call hangs since 1 s" in parent.stdout.readline()
        text = (tmp_path / "log").read_text()
        assert f"the sampler process {pid} cannot be killed: it hangs in the driver" in text
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_opening_that_hangs_is_named(fake: Desk, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "START_TIMEOUT_S", 3.0)
    put("fault nvmlInitWithFlags * hang")
    sampler = Sampler(MeterRequest("nvml", "cpu", None, {}, simulated=True), 50.0)
    with pytest.raises(MeterError, match="a call hangs since 3 s"):
        sampler.start()
    assert sampler.pid is not None
    assert not alive(sampler.pid)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def test_a_killed_sampler_ends_the_modality_with_its_windows_kept(fake: Desk) -> None:
    many_windows(fake, 60)
    running = fake.start("measure")
    running.reach("window 2: lead-in")
    (sampler,) = (
        child
        for child in children(running.process.pid)
        if b"nic_energy.sampler.child" in Path(f"/proc/{child}/cmdline").read_bytes()
    )
    os.kill(sampler, signal.SIGKILL)
    done = running.end()
    assert done.code == 4
    assert f"the sampler process {sampler} died (exit code -9)" in done.message
    assert "run again" in done.message
    kept = failed(fake)
    assert len(kept.meta.windows) >= 2
    last = kept.meta.windows[1]
    assert read_trace(kept.path).column("time_s")[-1] > last.end_s


def spoiling(put: Put, line: str, times: int) -> Callable[[str], None]:
    """Let a fault come in the middle of so many idle references, and be over at their end."""
    begun: list[str] = []

    def on(message: str) -> None:
        if message == "idle reference: 2 s left" and len(begun) < times:
            begun.append(message)
            put(line)
        if message == "idle reference: 0 s left":
            put()

    return on


SPOILT = pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("field 186:0", "implausible_readings"),
        ("field 186:4294967295", "implausible_readings"),
        (f"fault {POWER} 0 TIMEOUT count=5", "failed_readings"),
        ("fault nvmlDeviceGetFieldValues 0 reset", "counter_reset"),
        ("fault nvmlDeviceGetTemperatureV 0 delay_ms=600 count=1", "sampler_gap"),
    ],
    ids=["zero", "absurd", "failed", "counter-reset", "gap"],
)


@SPOILT
def test_an_idle_reference_that_cannot_be_right_is_recorded_again(
    fake: Desk, put: Put, line: str, flag: str
) -> None:
    fake.configure(setup="other", protocol={"idle_s": 3})
    done = fake.here("idle", spoiling(put, line, times=1))
    assert done.code == 0, done.text
    assert f"idle reference left out: {flag}" in done.text
    accepted, left_out = fake.attempts("idle")
    assert (accepted.meta.outcome, left_out.meta.outcome) == ("accepted", "failed")
    assert flag in str(left_out.meta.error)
    assert accepted.meta.idle_power_w["power_instant_w"] == pytest.approx(200, abs=1)
    assert fake.idle_reference.stat().st_ino == accepted.path.stat().st_ino


def test_an_idle_reference_that_is_never_sound_ends_with_all_kept(fake: Desk, put: Put) -> None:
    fake.configure(setup="other")
    put("field 186:0")
    done = fake.here("idle")
    assert done.code == 6
    assert "idle reference: 3 in a row were not sound (implausible_readings)" in done.message
    assert "docs/faults.md" in done.message
    assert not fake.idle_reference.exists()
    assert [each.meta.outcome for each in fake.attempts("idle")] == ["failed"] * 3
    put()
    done = fake.here("idle")
    assert done.code == 0, done.text
    assert fake.idle_reference.exists()


def test_a_meter_that_fails_during_the_idle_reference_ends_it_with_what_was_recorded(
    fake: Desk, put: Put
) -> None:
    fake.configure(setup="other", protocol={"idle_s": 3})
    done = fake.here("idle", spoiling(put, f"fault {POWER} 0 GPU_IS_LOST", times=1))
    assert done.code == 4
    assert "fallen off the bus" in done.message
    kept = failed(fake, "idle")
    assert read_trace(kept.path).samples.num_rows > 20
    assert not fake.idle_reference.exists()


@pytest.mark.parametrize("value", ["0", "4294967295"], ids=["zero", "absurd"])
def test_readings_that_cannot_be_right_end_a_modality(fake: Desk, put: Put, value: str) -> None:
    fake.configure(protocol={"max_rejected": 2})
    put(f"field 186:{value}")
    done = fake.here("measure")
    assert done.code == 6
    assert "3 of 3 windows were not admissible (implausible_readings 3 times" in done.message
    kept = failed(fake)
    assert "context_idle_rejected" in kept.meta.flags
    phases = [mark.phase for mark in kept.meta.intervals]
    assert phases.count("idle_rejected") == 3
    assert "idle_context" not in phases


def test_a_power_field_that_is_gone_since_the_idle_reference_is_not_replaced_in_silence(
    fake: Desk, put: Put
) -> None:
    put("nofield 186")
    done = fake.here("measure")
    assert done.code == 8
    assert "does not offer power_instant_w any more" in done.message
    assert "--forcerun measure_idle" in done.message
