"""The tests of the real GPU, rehearsed: on sound stand-ins they pass, on ill ones they fail.

Meter and load are those of virtual GPUs, networks run on the processor.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nic_energy.codecs.execution import NetworkLoad, configure
from nic_energy.config import project_root, resolve
from nic_energy.config.merge import overlay, read_merged
from nic_energy.meters.virtual import read_preset
from nic_energy.protocol.bench import Load
from nic_energy.traces import Interval, Sample
from tests.fake_nvml import FakeNvml
from tests.gpu import end_to_end, power, running
from tests.gpu.conftest import NOT_ASKED
from tests.gpu.findings import Finding, Report
from tests.gpu.station import Loaded, Station, burning
from tests.gpu.test_real_gpu import all_gpus, other_gpus

PRESETS = ("turing", "turing_20ms", "a100", "ampere", "ada", "hopper")
CONFIGS = [project_root() / "config" / f"{name}.yaml" for name in ("config", "simulation")]


def station(folder: Path, **virtual: Any) -> Station:
    document = overlay(read_merged(CONFIGS), {"virtual": virtual})
    return Station(resolve(document).settings(), folder)


def test_all_presets_are_rehearsed() -> None:
    assert all(read_preset(name).name for name in PRESETS)


@pytest.mark.parametrize(
    "test",
    [
        power.same_device,
        power.fresh_readings,
        power.counter_against_integral,
        power.known_wave,
    ],
)
@pytest.mark.parametrize("preset", PRESETS)
def test_sound_gpus_pass(test: Callable[[Loaded], Finding], preset: str, tmp_path: Path) -> None:
    with station(tmp_path, gpu=preset).bench() as loaded:
        finding = test(loaded)
    assert finding.passed, finding


ILL_SENSORS = [
    (power.same_device, "freeze", 0, "raised the power by 0.0 W"),
    (power.fresh_readings, "freeze", 0, "took 1 values only"),
    (power.fresh_readings, "dropout", 0, "no reading at all"),
    (power.counter_against_integral, "spike", 30, "load: the counter says 0.8"),
    (power.counter_against_integral, "dropout", 0, "ticked too seldom"),
    (power.known_wave, "spike", 30, "J by counter"),
    (power.known_wave, "freeze", 0, "of the time, seen 0.0 %"),
]


@pytest.mark.parametrize(("test", "kind", "value", "problem"), ILL_SENSORS)
def test_ill_sensors_fail(
    test: Callable[[Loaded], Finding], kind: str, value: float, problem: str, tmp_path: Path
) -> None:
    fault = {"kind": kind, "at_s": 0.0, "value": value}
    with station(tmp_path, gpu="ampere", faults=[fault]).bench() as loaded:
        finding = test(loaded)
    assert not finding.passed
    assert any(problem in each for each in finding.problems), finding


def test_a_gpu_that_is_slowed_down_fails(tmp_path: Path) -> None:
    fault = {"kind": "throttle", "at_s": 0.0, "value": 0.2}
    with station(tmp_path, gpu="ampere", faults=[fault]).bench() as loaded:
        finding = power.fresh_readings(loaded)
    assert any("hardware thermal slowdown" in each for each in finding.problems), finding


def test_a_meter_on_another_device_fails(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    fake_nvml.put("update_ms 20", "window_ms 20", "trace 0.053:68:0 0.047:72:0 0.031:69:0")
    changes = {"device": "cpu", "meter": "nvml", "test_switch": True, "passport": False}
    document = overlay(read_merged(CONFIGS[:1]), changes)
    with Station(resolve(document).settings(), tmp_path).bench() as loaded:
        finding = power.same_device(loaded, seconds=2.0)
    assert len(finding.problems) == 2, finding
    assert "PyTorch runs on None" in finding.problems[0]
    assert "the load raised the power by" in finding.problems[1]


def test_a_load_that_runs_on_another_gpu_too_fails(tmp_path: Path) -> None:
    class Echo:
        """Another GPU whose meter shows what this one's does."""

        def __init__(self, share: float) -> None:
            self.share = share

        def collect(self) -> list[Sample]:
            return [
                {**s, "power_instant_w": self.share * float(s["power_instant_w"] or 0)}
                for s in loaded.bench.history
            ]

    with station(tmp_path, gpu="ampere").bench() as loaded:
        finding = power.same_device(loaded, [Echo(1.0), Echo(0.1)])  # type: ignore[list-item]
    assert len(finding.problems) == 1
    assert "raised another GPU's power too" in finding.problems[0]


def test_the_duty_of_a_wave() -> None:
    time = np.arange(0, 20, 0.1)
    watts = np.where(time % 4 < 1, 200.0, 50.0)
    assert power.duty(time, watts, 0, 19.9) == pytest.approx(0.25, abs=0.02)
    assert power.settled(Interval("load", 1.0, 5.0)) == Interval("load", 2.6, 5.0)


def small(device: str = "cpu") -> NetworkLoad:
    return running.load_of(running.networks()["mbt2018-mean"], 1, 100, 70, device)


def test_a_load_is_padded_as_the_campaigns_are() -> None:
    assert tuple(small().images.shape) == (1, 3, 128, 128)
    assert running.largest_image() == (1366, 2048)


def test_deterministic_outputs_pass_beside_another_load() -> None:
    configure(True, "fp32", "cpu")
    finding = running.equal_outputs("mbt2018-mean", small, partial(burning, "cpu"), runs=2)
    assert finding.passed, finding
    assert len(set(finding.numbers.values())) == 1


def test_outputs_that_differ_fail() -> None:
    class Noisy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"x_hat": x + torch.rand(1)}

    def make() -> NetworkLoad:
        return NetworkLoad(Noisy(), torch.ones(1, 3, 4, 4), "noisy")

    finding = running.equal_outputs("noisy", make, contextlib.nullcontext, runs=4)
    assert len(finding.problems) == 3
    assert "beside another load: 4 of 4 outputs differ" in finding.problems[2]


def test_digests_see_every_bit_and_the_place_of_it() -> None:
    one = torch.tensor([1.0, 2.0])
    close = torch.tensor([1.0, 2.0000002])
    assert running.digest({"a": one}) == running.digest({"a": one.clone()})
    assert (
        len({running.digest(each) for each in ({"a": one}, {"a": close}, {"b": one}, [one])}) == 4
    )


class Liar:
    """A load whose marks say that it ended earlier than it did."""

    def __init__(self, load: Load) -> None:
        self.load = load

    def run(self, executions: int) -> tuple[float, float]:
        start, end = self.load.run(executions)
        return start, end - 0.02


def test_marks_of_a_window() -> None:
    configure(True, "fp32", "cpu")
    load, events = small(), running.HostEvents()
    finding = running.marks_against_events(load, events, windows=2, seconds=0.1)
    assert finding.passed, finding
    finding = running.marks_against_events(Liar(load), events, windows=2, seconds=0.1)
    assert "20." in finding.problems[0], finding


class Memory:
    """Memory of which the n-th network takes n shares."""

    def __init__(self, peaks: list[int], available: int) -> None:
        self.peaks, self.available = iter(peaks), available

    def reset(self) -> None:
        pass

    def peak_bytes(self) -> int:
        return next(self.peaks)

    def available_bytes(self) -> int:
        return self.available


@pytest.mark.parametrize(("available", "margin"), [(1000, 40.0), (610, 1.64)])
def test_memory(available: int, margin: float) -> None:
    loads = {"a": small, "b": small}
    finding = running.peak_memory(loads, Memory([600, 300], available), (100, 70))
    assert finding.numbers["margin (%)"] == pytest.approx(margin, abs=0.01)
    assert finding.passed is (margin > 5)
    assert finding.passed or "a leaves 1.6 %" in finding.problems[0]


@pytest.fixture(scope="module")
def virtual_modality(tmp_path_factory: pytest.TempPathFactory) -> Iterator[end_to_end.Measured]:
    folder = tmp_path_factory.mktemp("end_to_end")
    yield end_to_end.measure(folder, {"device": "virtual", "meter": "virtual"})


def test_a_modality_end_to_end(virtual_modality: end_to_end.Measured) -> None:
    assert virtual_modality.error is None
    assert virtual_modality.trace is not None
    uuid = virtual_modality.trace.meta.meter.device_uuid
    finding = end_to_end.end_to_end(virtual_modality, uuid, source="simulated")
    assert finding.passed, finding
    assert finding.numbers["windows"] == 3


def test_a_simulated_modality_does_not_pass_as_measured(
    virtual_modality: end_to_end.Measured,
) -> None:
    finding = end_to_end.end_to_end(virtual_modality, "GPU-x")
    assert finding.problems[0] == "source is simulated, not measured"
    assert "PyTorch ran on GPU-x" in finding.problems[1]


def test_a_modality_that_fails_says_where(tmp_path: Path) -> None:
    measured = end_to_end.measure(tmp_path, {"device": "cuda:99", "meter": "nvml"})
    finding = end_to_end.end_to_end(measured, None)
    assert "nic-energy idle ended with 3: nic-energy: device cuda:99" in finding.problems[0]


def test_the_report(tmp_path: Path) -> None:
    report = Report(tmp_path / "report.json", "measured", {"device": "cuda:0", "uuid": "GPU-x"})
    assert report.document()["passed"] is False
    report.add(Finding("one", "it works", {"joules": 1.23456789}))
    assert json.loads(report.path.read_text())["passed"] is True
    report.add(Finding("two", "it does not", {}, ("so bad",)))
    document = json.loads(report.path.read_text())
    assert document["passed"] is False
    assert [each["passed"] for each in document["findings"]] == [True, False]
    assert report.lines()[:2] == ["passed one: it works", "    joules 1.2346"]
    assert report.lines()[-1] == "    so bad"


def session(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pytest", "tests/gpu/test_real_gpu.py", "-rs", *arguments],
        cwd=project_root(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_in_every_other_session_they_are_skipped_with_the_reason() -> None:
    done = session()
    assert done.returncode == 0
    assert NOT_ASKED in done.stdout
    assert "passed" not in done.stdout.splitlines()[-1]


def test_without_a_gpu_it_says_that_nothing_ran_and_does_not_succeed() -> None:
    done = session("--require-gpu", "--gpu-device", "cuda:99")
    assert done.returncode == 3
    assert "no GPU test ran. device cuda:99: PyTorch" in done.stdout + done.stderr


def test_the_whole_session_on_a_virtual_gpu(tmp_path: Path) -> None:
    done = session("--require-gpu", "--gpu-device", "virtual", "--gpu-results", str(tmp_path))
    assert done.returncode == 0, done.stdout
    assert "13 passed" in done.stdout
    assert "simulated on virtual (VIRTUAL-" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["source"], report["passed"]) == ("simulated", True)
    names = [finding["name"].partition(",")[0] for finding in report["findings"]]
    assert names == [
        "end_to_end",
        "same_device",
        "fresh_readings",
        "counter_against_integral",
        "known_wave",
        *["equal_outputs"] * 6,
        "marks_against_events",
        "peak_memory",
    ]


def test_the_other_gpus_of_a_machine_are_watched(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("devices 3", "trace 10:150:100")
    meter = SimpleNamespace(meter="nvml", device_uuid=all_gpus()[1])
    loaded = SimpleNamespace(bench=SimpleNamespace(meter=meter, sampling_hz=200.0))
    with other_gpus(loaded) as samplers:  # type: ignore[arg-type]
        while not all(sampler.latest() for sampler in samplers):
            pass
        uuids = [sampler._request.device_uuid for sampler in samplers]
        assert [s.collect()[0]["power_instant_w"] for s in samplers] == [150.0, 150.0]
    assert uuids == [all_gpus()[0], all_gpus()[2]]
    assert not any(sampler.alive for sampler in samplers)
