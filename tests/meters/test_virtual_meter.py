"""What the virtual GPU's meter shows, and every fault on demand."""

import math
from typing import Any

import numpy as np
import pytest

from nic_energy.errors import MeterError
from nic_energy.meters.virtual import (
    Fault,
    Noise,
    State,
    VirtualGpu,
    VirtualMeter,
    Work,
    preset_names,
    read_preset,
)
from nic_energy.meters.virtual.meter import EPOCH_S, THERMAL_SLOWDOWN
from nic_energy.traces import SAMPLE_COLUMN_NAMES, FloatArray, samples_table

WORK = Work(energy_j=5.0, duration_s=0.05)
REST_S, LOAD_S, AFTER_S = 5.0, 20.0, 15.0
INTEGERS = {
    "compute_processes",
    "failed_readings",
    "performance_state",
    "throttle_reasons",
    "power_instant_time_us",
    "power_average_time_us",
}


def record(*faults: Fault, preset: str = "ampere", state: State | None = None) -> VirtualMeter:
    """A meter opened 5 s before a load of 20 s, and 15 s of rest after that."""
    chosen = read_preset(preset)
    gpu = VirtualGpu(chosen, state or State.fresh(chosen), Noise(), seed=3)
    meter = VirtualMeter(gpu, "VIRTUAL-1", 3, faults)
    gpu.sleep(REST_S)
    gpu.attach()
    meter.throttle()
    gpu.run(WORK, round(LOAD_S / WORK.duration_s))
    gpu.sleep(AFTER_S)
    return meter


def times(first_s: float, last_s: float, step_s: float = 0.1) -> FloatArray:
    """Times after opening."""
    return np.asarray(3600.0 + np.arange(first_s, last_s, step_s))


def column(meter: VirtualMeter, name: str, at: FloatArray) -> FloatArray:
    values = [sample[name] for sample in meter.read_at(at)]
    return np.array([math.nan if value is None else value for value in values], dtype=float)


@pytest.mark.parametrize("key", preset_names())
def test_the_columns_are_nvmls_and_integers_are_integers(key: str) -> None:
    meter = record(preset=key)
    (sample,) = meter.read_at(times(10, 10.05))
    assert set(sample) <= set(SAMPLE_COLUMN_NAMES)
    assert {field.column for field in meter.info().power_fields} <= set(sample)
    for name, value in sample.items():
        assert isinstance(value, int if name in INTEGERS else float), name
    assert samples_table([sample]).num_rows == 1
    assert ("power_average_time_us" in sample) == ("power_average_w" in sample)
    stamp_s = float(sample["power_instant_time_us"] or 0) / 1e6 - EPOCH_S
    age_s = 3610.0 - stamp_s
    assert 0 <= age_s < 0.11


def test_what_the_meter_says_about_itself() -> None:
    info = record().info()
    assert (info.meter, info.source, info.device_uuid) == ("virtual", "simulated", "VIRTUAL-1")
    assert (info.counter, info.temperature) == (True, True)
    assert info.slowdown_temperature_c == read_preset("ampere").slowdown_c
    assert info.device_name == read_preset("ampere").name
    assert info.details["preset"] == "ampere"
    instant, legacy, average = info.power_fields
    assert (instant.column, instant.kind, instant.averaging_window_s) == (
        "power_instant_w",
        "instant",
        None,
    )
    for field in (legacy, average):
        assert (field.kind, field.averaging_window_s, field.lag_s) == ("average", 1.0, 0.5)


def test_state_and_power_follow_the_load() -> None:
    meter = record()
    rest, load = meter.read_at(np.array([3602.0, 3615.0]))
    for sample, expected in ((rest, (0.0, 300.0, 8, 1)), (load, (100.0, 1695.0, 0, 0))):
        assert (
            sample["utilization_percent"],
            sample["sm_clock_mhz"],
            sample["performance_state"],
            sample["throttle_reasons"],
        ) == expected
    assert float(load["temperature_c"] or 0) > float(rest["temperature_c"] or 0) + 3
    power = column(meter, "power_instant_w", times(0.5, 40))
    after = times(0.5, 40)
    true_w = 0.965 * (24 + 100)
    loaded = power[(after > 3606) & (after < 3624)]
    assert loaded.mean() == pytest.approx(true_w, rel=0.08)
    assert power[after < 3604].mean() == pytest.approx(0.965 * 24, abs=0.5)


def test_read_is_a_reading_now_and_reading_back_gives_the_same() -> None:
    meter = record()
    now = meter.read()
    assert now == meter.read_at(np.array([3600.0 + REST_S + LOAD_S + AFTER_S]))[0]
    assert meter.read_at(times(0, 40)) == record().read_at(times(0, 40))


def test_an_error_fails_while_it_lasts() -> None:
    meter = record(Fault("error", at_s=10.0, duration_s=2.0))
    assert len(meter.read_at(times(0, 9.95))) == 100
    for at in (10.0, 11.99):
        with pytest.raises(MeterError, match="failed on demand"):
            meter.read_at(np.array([3600 + at]))
    with pytest.raises(MeterError):
        meter.read_at(times(0, 40))
    assert len(meter.read_at(times(12.001, 13))) == 10


def test_a_dropout_has_no_power_and_no_counter_but_the_rest() -> None:
    meter = record(Fault("dropout", at_s=10.0, duration_s=2.0))
    samples = meter.read_at(times(9.05, 13))
    gone = [9.05 + 0.1 * n for n, s in enumerate(samples) if s["power_instant_w"] is None]
    assert gone == pytest.approx(np.arange(10.05, 12, 0.1))
    for sample in samples:
        missing = sample["power_instant_w"] is None
        for name in ("power_average_w", "power_legacy_w", "energy_counter_j"):
            assert (sample[name] is None) == missing
        assert (sample["power_instant_time_us"] is None) == missing
        assert sample["temperature_c"] is not None
        assert sample["utilization_percent"] == 100.0


def test_a_driver_that_does_not_answer_gives_nothing_and_the_failures_are_counted() -> None:
    meter = record(Fault("timeout", at_s=10.0, duration_s=2.0))
    for at, sample in zip(times(9.05, 13), meter.read_at(times(9.05, 13)), strict=True):
        given = {name for name, value in sample.items() if value is not None}
        if 10 <= at - 3600 < 12:
            assert given == {"failed_readings", "wall_time_s"}
            assert sample["failed_readings"] == len(sample) - 2
        else:
            assert given == set(sample)
            assert sample["failed_readings"] == 0


def test_a_freeze_shows_the_last_value_with_its_stamp() -> None:
    meter, free = record(Fault("freeze", at_s=4.0, duration_s=6.0)), record()
    frozen, after = times(4.0, 9.95), times(10.0, 40)
    for name in ("power_instant_w", "energy_counter_j", "power_instant_time_us"):
        shown = column(meter, name, frozen)
        assert (shown == column(free, name, times(4.0, 4.05))).all()
        assert (column(meter, name, after) == column(free, name, after)).all()
    assert column(meter, "utilization_percent", times(5.05, 9.95)).min() == 100


def test_a_spike_adds_its_watts_to_the_power_and_nothing_to_the_counter() -> None:
    meter, free = record(Fault("spike", 10.0, 3.0, value=55.0)), record()
    at = times(9.05, 14)
    inside = (at >= 3610) & (at < 3613)
    for name in ("power_instant_w", "power_average_w"):
        more = column(meter, name, at) - column(free, name, at)
        assert more == pytest.approx(np.where(inside, 55.0, 0.0))
    assert (column(meter, "energy_counter_j", at) == column(free, "energy_counter_j", at)).all()


def test_a_reset_counter_starts_at_nothing_and_counts_on() -> None:
    meter = record(Fault("counter_reset", 10.0), Fault("counter_reset", 14.0))
    free = record()
    at = times(9.05, 20)
    shown, expected = (column(m, "energy_counter_j", at) for m in (meter, free))
    assert expected[0] > 80_000
    since = at - 3600
    assert (shown[since < 10] == expected[since < 10]).all()
    for begins, ends in ((10, 14), (14, 20)):
        part = (since > begins) & (since < ends)
        assert shown[part][0] == pytest.approx(0, abs=15)
        assert np.diff(shown[part]) == pytest.approx(np.diff(expected[part]), abs=1e-6)
    power = column(meter, "power_instant_w", at)
    assert (power == column(free, "power_instant_w", at)).all()


def test_throttling_makes_executions_longer_and_says_so() -> None:
    def lasted(*faults: Fault) -> tuple[float, FloatArray]:
        meter = record(*faults)
        at = times(0.05, 60)
        busy = column(meter, "utilization_percent", at)
        return 0.1 * float((busy > 0).sum()), column(meter, "throttle_reasons", at)

    free, none = lasted()
    slow, reasons = lasted(Fault("throttle", 0.0, value=0.5), Fault("throttle", 1.0, value=0.2))
    assert free == pytest.approx(LOAD_S, abs=0.11)
    assert slow == pytest.approx(1.5 * LOAD_S, abs=0.11)
    assert set(none) == {0.0, 1.0}
    assert set(reasons) == {1.0, float(THERMAL_SLOWDOWN)}
    later, said = lasted(Fault("throttle", 30.0, value=0.5))
    assert later == pytest.approx(LOAD_S, abs=0.11)
    assert set(said) == {0.0, 1.0}


def test_a_fault_counts_from_its_own_opening_on() -> None:
    first = record()
    state = first._gpu.state()
    meter = record(Fault("dropout", at_s=1.0, duration_s=1.0), state=state)
    opened = state.time_s
    values: list[Any] = [
        meter.read_at(np.array([opened + since]))[0]["power_instant_w"] for since in (0.5, 1.5, 2.5)
    ]
    assert [value is None for value in values] == [False, True, False]
