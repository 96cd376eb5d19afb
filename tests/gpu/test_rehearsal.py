"""The tests of the real GPU, rehearsed: on sound stand-ins they pass, on ill ones they fail.

Meter and load are those of virtual GPUs; test_rehearsal_networks.py rehearses the networks.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nic_energy.config import project_root, resolve
from nic_energy.config.merge import overlay, read_merged
from nic_energy.errors import MeterError
from nic_energy.meters.virtual import read_preset
from nic_energy.traces import Interval, Sample
from tests.fake_nvml import FakeNvml
from tests.gpu import board, end_to_end, power
from tests.gpu.board import Neighbour
from tests.gpu.findings import Finding
from tests.gpu.power import COUNTER_SETTING
from tests.gpu.station import Loaded, Station

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
    assert not finding.warnings, finding
    assert not finding.bars, finding


ILL_SENSORS = [
    (power.same_device, "freeze", 0, "raised the power by 0.0 W"),
    (power.fresh_readings, "freeze", 0, "followed 0 of 7 switches of the load"),
    (power.fresh_readings, "dropout", 0, "no reading at all"),
    (power.counter_against_integral, "dropout", 0, "load: no reading of power_instant_w"),
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


@pytest.mark.parametrize(
    ("test", "figure"),
    [
        (power.counter_against_integral, "load: the counter says 0.8"),
        (power.known_wave, "load: 2"),
    ],
)
def test_a_counter_that_power_contradicts_is_barred_and_the_card_passes(
    test: Callable[[Loaded], Finding], figure: str, tmp_path: Path
) -> None:
    fault = {"kind": "spike", "at_s": 0.0, "value": 30}
    with station(tmp_path, gpu="ampere", faults=[fault]).bench() as loaded:
        finding = test(loaded)
    assert finding.passed, finding
    assert figure in finding.bars[COUNTER_SETTING]


@pytest.mark.parametrize("test", [power.counter_against_integral, power.known_wave])
def test_a_card_without_a_counter_passes_and_bars_it(
    test: Callable[[Loaded], Finding], tmp_path: Path
) -> None:
    with station(tmp_path, gpu="turing").bench() as loaded:
        loaded.bench.meter = replace(loaded.bench.meter, counter=False)
        finding = test(loaded)
    assert finding.passed, finding
    assert finding.bars == {COUNTER_SETTING: "the GPU has no energy counter"}


def test_a_card_at_its_thermal_limit_passes_with_a_warning(tmp_path: Path) -> None:
    fault = {"kind": "throttle", "at_s": 0.0, "value": 0.2}
    with station(tmp_path, gpu="ampere", faults=[fault]).bench() as loaded:
        finding = power.fresh_readings(loaded)
    assert finding.passed, finding
    assert "slowed itself down meanwhile (hardware thermal slowdown" in finding.warnings[0]


class Still:
    """A sampler whose power holds still between the switches of the load, as that of a steady card
    with a coarse sensor does.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.source = loaded.bench.source

    def collect(self) -> list[Sample]:
        return [
            {**sample, **{c: 120.0 * round(float(sample[c] or 0) / 120) + 20 for c in POWER}}
            for sample in self.source.collect()
        ]

    def latest(self) -> Sample | None:
        return self.source.latest()


POWER = ("power_instant_w", "power_legacy_w")


def test_a_reading_that_holds_still_at_rest_is_fresh_if_it_follows_the_load(
    tmp_path: Path,
) -> None:
    with station(tmp_path, gpu="turing").bench() as loaded:
        loaded.bench.source = Still(loaded)
        finding = power.fresh_readings(loaded, seconds=4.0)
    assert finding.passed, finding
    assert min(finding.numbers[f"{column} still for s"] for column in POWER) > 3


def test_a_reading_that_holds_still_at_rest_does_not_bar_the_counter(tmp_path: Path) -> None:
    class StillAtRest(Still):
        def collect(self) -> list[Sample]:
            return [
                {**s, **{c: coarse(float(s[c] or 0)) for c in POWER}} for s in self.source.collect()
            ]

    def coarse(watts: float) -> float:
        return round(2 * watts) / 2 if watts < 60 else watts

    with station(tmp_path, gpu="turing").bench() as loaded:
        loaded.bench.source = StillAtRest(loaded)
        findings = [power.known_wave(loaded), power.counter_against_integral(loaded)]
    assert all(finding.passed and not finding.bars for finding in findings), findings


def test_a_reading_that_holds_still_as_long_as_its_stamp_and_the_counter_is_not_fresh(
    tmp_path: Path,
) -> None:
    class Stopping(Still):
        """What moves at all stops for a time of load and rest."""

        def collect(self) -> list[Sample]:
            samples: list[Sample] = []
            for sample in super().collect():
                self.begun = getattr(self, "begun", sample["time_s"])
                since = float(sample["time_s"] or 0) - float(self.begun or 0)
                stopped = dict.fromkeys(("power_instant_time_us", "energy_counter_j"), since // 4)
                samples.append({**sample, **stopped})
            return samples

    with station(tmp_path, gpu="turing").bench() as loaded:
        loaded.bench.source = Stopping(loaded)
        finding = power.fresh_readings(loaded, seconds=4.0)
    assert any("no new value for 4." in each for each in finding.problems), finding


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

    def neighbour(share: float) -> Neighbour:
        return Neighbour(f"echo {share}", Echo(share), "power_instant_w")  # type: ignore[arg-type]

    with station(tmp_path, gpu="ampere").bench() as loaded:
        finding = power.same_device(loaded, [neighbour(1.0), neighbour(0.1)])
    assert len(finding.problems) == 1
    assert "raised the power of echo 1.0 too" in finding.problems[0]


def test_neighbours_that_cannot_be_read_are_named_and_harm_nothing(tmp_path: Path) -> None:
    class Failing:
        def collect(self) -> list[Sample]:
            raise MeterError("meter nvml: it is gone.")

    others = [
        Neighbour("display", reason="offers no power reading"),
        Neighbour("failing", Failing(), "power_instant_w"),  # type: ignore[arg-type]
    ]
    with station(tmp_path, gpu="ampere").bench() as loaded:
        finding = power.same_device(loaded, others)
    assert finding.passed, finding
    assert finding.numbers["other_gpus_not_read"] == {
        "display": "offers no power reading",
        "failing": "meter nvml: it is gone.",
    }


def test_the_duty_of_a_wave() -> None:
    time = np.arange(0, 20, 0.1)
    watts = np.where(time % 4 < 1, 200.0, 50.0)
    assert power.duty(time, watts, 0, 19.9) == pytest.approx(0.25, abs=0.02)
    assert power.settled(Interval("load", 1.0, 5.0)) == Interval("load", 2.6, 5.0)


VIRTUAL = {"device": "virtual", "meter": "virtual"}
"""With a seed it is a virtual GPU that no other test waits for."""


@pytest.fixture(scope="module")
def virtual_modality(tmp_path_factory: pytest.TempPathFactory) -> Iterator[end_to_end.Measured]:
    folder = tmp_path_factory.mktemp("end_to_end")
    yield end_to_end.measure(folder, {**VIRTUAL, "seed": 11})


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


@pytest.mark.parametrize(
    ("means", "problems", "bars"),
    [
        ({"trapezoid": 100.0, "paper_sum": 104.0, "counter": 96.0}, 0, 0),
        ({"trapezoid": 100.0, "paper_sum": 106.0, "counter": 100.0}, 1, 0),
        ({"trapezoid": 100.0, "paper_sum": 100.0, "counter": 80.0}, 0, 1),
    ],
)
def test_estimators_that_differ(
    means: Mapping[str, float],
    problems: int,
    bars: int,
    virtual_modality: end_to_end.Measured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(end_to_end, "mean_energies", lambda *_: means)
    assert virtual_modality.trace is not None
    uuid = virtual_modality.trace.meta.meter.device_uuid
    finding = end_to_end.end_to_end(virtual_modality, uuid, source="simulated")
    assert (len(finding.problems), len(finding.bars)) == (problems, bars), finding


def test_a_short_modality_goes_without_a_passport_and_cools_down_first(tmp_path: Path) -> None:
    changes = overlay({**VIRTUAL, "seed": 12}, end_to_end.QUICK)
    measured = end_to_end.measure(tmp_path, changes, lambda: 12.5)
    assert measured.error is None
    assert measured.trace is not None
    assert measured.trace.meta.run["passport"] is None
    finding = end_to_end.end_to_end(measured, None, source="simulated")
    assert finding.numbers["cooled down for (s)"] == 12.5


def test_the_other_gpus_of_a_machine_are_watched(fake_nvml: FakeNvml) -> None:
    fake_nvml.put(
        "devices 3",
        "trace 10:150:100",
        "fault nvmlDeviceGetFieldValues 0 NOT_SUPPORTED",
        "fault nvmlDeviceGetPowerUsage 0 NOT_SUPPORTED",
    )
    uuids = [gpu.uuid for gpu in board.gpus()]
    with board.neighbours(uuids[1], 20.0) as (display, other):
        assert display.name.endswith(f"({uuids[0]})")
        assert "offers no power reading at all" in display.reason
        assert other.sampler is not None
        while not other.sampler.latest():
            pass
        assert other.sampler.collect()[0][other.column] == 150.0


def test_a_gpu_that_nvml_may_not_open_is_named(fake_nvml: FakeNvml) -> None:
    tested = board.gpus()[0].uuid
    fake_nvml.put("devices 2", "fault nvmlDeviceGetHandleByIndex_v2 1 NO_PERMISSION")
    with board.neighbours(tested, 20.0) as others:
        assert [(other.name, other.sampler) for other in others] == [("GPU 1", None)]
        assert "Insufficient Permissions" in others[0].reason


@pytest.mark.parametrize(("mode", "exclusive"), [(0, False), (1, True), (3, True)])
def test_the_compute_mode(mode: int, exclusive: bool, fake_nvml: FakeNvml) -> None:
    fake_nvml.put(f"compute_mode {mode}")
    assert board.is_exclusive(board.facts(board.gpus()[0].uuid)) is exclusive


@pytest.mark.parametrize(("celsius", "waited"), [(50, 0.0), (90, 0.4)])
def test_a_hot_card_is_left_to_cool_for_a_while(
    celsius: int, waited: float, fake_nvml: FakeNvml
) -> None:
    fake_nvml.put(f"temp_c {celsius}", "slowdown_c 95")
    took = board.cool(board.gpus()[0].uuid, most_s=0.4)
    assert took >= waited
    assert waited or took < board.COOLING_POLL_S
