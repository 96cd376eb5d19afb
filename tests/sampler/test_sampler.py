"""The sampler's process, on the fake NVML library."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nic_energy.energy.estimators import trapezoid
from nic_energy.errors import DeviceError, MeterError
from nic_energy.interrupts import SIGNALS
from nic_energy.meters import MeterRequest
from nic_energy.sampler import Sampler
from tests.fake_nvml import FakeNvml

REQUEST = MeterRequest("nvml", "cpu", None, {}, simulated=True)


@pytest.fixture
def sampler(fake_nvml: FakeNvml) -> Iterator[Sampler]:
    made = Sampler(REQUEST, 50.0, timeout_s=2.0)
    yield made
    made._kill()


def test_samples_come_in_order_on_time_and_once(sampler: Sampler, fake_nvml: FakeNvml) -> None:
    info = sampler.start()
    assert info.device_name == "Fake NVML Test GPU"
    time.sleep(1.0)
    newest = sampler.latest()
    samples = sampler.collect()
    report = sampler.stop()
    times = np.array([sample["time_s"] for sample in samples], dtype=float)
    assert (np.diff(times) > 0).all()
    assert 30 <= len(samples) <= 60
    assert newest is not None
    assert newest["time_s"] in times
    assert all(s["wall_time_s"] and s["read_duration_s"] is not None for s in samples)
    assert report.samples >= len(samples)
    assert report.pid != os.getpid()


def test_the_energy_of_a_known_square_wave(sampler: Sampler, fake_nvml: FakeNvml) -> None:
    fake_nvml.put("trace 0.5:70:0 0.5:300:100", "update_ms 1", "window_ms 1")
    sampler.start()
    time.sleep(3.3)
    samples = sampler.collect()
    sampler.stop()
    time_s = np.array([s["time_s"] for s in samples], dtype=float)
    power = np.array([s["power_instant_w"] for s in samples], dtype=float)
    start = time_s[3]
    energy = trapezoid(time_s, power, start, start + 3.0)
    assert energy.energy_gross_j == pytest.approx(3 * 185, rel=0.03)


def test_an_error_at_opening_arrives_as_it_was(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("fault nvmlInitWithFlags * DRIVER_NOT_LOADED")
    with pytest.raises(DeviceError, match="driver is not loaded"):
        Sampler(REQUEST, 50.0).start()


def test_samples_before_an_error_are_handed_over_first(
    sampler: Sampler, fake_nvml: FakeNvml
) -> None:
    sampler.start()
    time.sleep(0.3)
    fake_nvml.put("fault nvmlDeviceGetPowerUsage * GPU_IS_LOST")
    time.sleep(0.3)
    assert len(sampler.collect()) >= 5
    for ask in (sampler.collect, sampler.latest):
        with pytest.raises(MeterError, match="fallen off the bus"):
            ask()
    assert sampler.stop().samples >= 5


def test_a_hanging_meter_call_is_named_and_ended(sampler: Sampler, fake_nvml: FakeNvml) -> None:
    sampler.start()
    fake_nvml.put("fault nvmlDeviceGetPowerUsage * hang")
    time.sleep(0.2)
    with pytest.raises(MeterError, match="a call hangs since 2 s"):
        sampler.collect()
    assert sampler.pid is not None
    assert not alive(sampler.pid)


def test_a_killed_sampler_is_named(sampler: Sampler, fake_nvml: FakeNvml) -> None:
    sampler.start()
    pid = sampler.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(MeterError, match=rf"sampler process {pid} died \(exit code -9\)"):
        sampler.collect()
    with pytest.raises(MeterError, match="died"):
        sampler.stop()


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_that_ask_to_stop_are_left_to_the_measuring_process(
    sampler: Sampler, number: signal.Signals
) -> None:
    sampler.start()
    assert sampler.pid is not None
    os.kill(sampler.pid, number)
    time.sleep(0.3)
    assert len(sampler.collect()) > 2
    sampler.stop()


def test_failures_that_passed_are_reported(sampler: Sampler, fake_nvml: FakeNvml) -> None:
    sampler.start()
    fake_nvml.put("fault nvmlDeviceGetPowerUsage * TIMEOUT count=3")
    time.sleep(0.5)
    samples = sampler.collect()
    assert sum(int(sample["failed_readings"] or 0) for sample in samples) == 3
    assert sampler.stop().failures == {"nvmlDeviceGetPowerUsage: Timeout": 3}


PARENT = """
import sys, time
from nic_energy.meters import MeterRequest
from nic_energy.sampler import Sampler
if __name__ == "__main__":
    sampler = Sampler(MeterRequest("nvml", "cpu", None, {}, simulated=True), 50.0)
    sampler.start()
    print(sampler.pid, flush=True)
    time.sleep(60)
"""


def test_the_sampler_leaves_when_the_measuring_process_is_killed(
    fake_nvml: FakeNvml, tmp_path: Path
) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **fake_nvml.environment()},
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not alive(pid):
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("the sampler outlived its parent")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_samplers_process_imports_no_torch(fake_nvml: FakeNvml) -> None:
    code = (
        "import sys, nic_energy.sampler.child, nic_energy.meters.nvml;print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
