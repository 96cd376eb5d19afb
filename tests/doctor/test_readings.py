"""Readings summed up, on series whose truth is known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nic_energy.doctor.facts import Campaign, Gpu, Readings
from nic_energy.doctor.judge_gpu import slowdown_counters
from nic_energy.doctor.judge_readings import agreement, allowed, readings_checks
from nic_energy.doctor.readings import readings_of
from nic_energy.traces import PowerField

FIELDS = (PowerField("power_instant_w", "instant"),)
CAMPAIGN = Campaign("lab", "cuda:0", "nvml", "trapezoid", "auto", 10.0, 80.0, "random", False, None)


def series(
    seconds: float = 6.0, update_s: float = 0.1, gain: float = 1.0, tick_s: float = 0.05
) -> list[dict[str, Any]]:
    """Polled at 100 Hz: power steps at random about 70 W, the counter integrates it."""
    rng = np.random.default_rng(1)
    time = np.arange(0, seconds, 0.01) + 1000
    levels = 70 + rng.normal(0, 2, int(seconds / update_s) + 2)
    index = np.floor((time - 1000) / update_s + 1e-9).astype(int)
    fine = np.arange(0, seconds + 1, 1e-3)
    power = levels[np.minimum((fine / update_s).astype(int), len(levels) - 1)]
    energy = np.concatenate([[0], np.cumsum(power) * 1e-3])
    ticked = np.floor((time - 1000) / tick_s + 1e-9) * tick_s
    counter = gain * np.interp(ticked, np.arange(len(energy)) * 1e-3, energy)
    return [
        {
            "time_s": t,
            "wall_time_s": t + 5e8,
            "read_duration_s": 1e-3,
            "power_instant_w": levels[i],
            "energy_counter_j": c,
            "temperature_c": 40.0,
            "utilization_percent": 0,
            "throttle_reasons": 1,
            "throttle_hw_thermal_ns": 7,
        }
        for t, i, c in zip(time.tolist(), index.tolist(), counter.tolist(), strict=True)
    ]


def test_a_sound_sensor() -> None:
    readings = readings_of(series(), FIELDS, "auto")
    (column,) = readings.columns
    assert column.update_period_s == pytest.approx(0.1, rel=0.01)
    assert column.mean_w == pytest.approx(70, abs=2)
    assert column.distinct == 60
    assert readings.preferred == "power_instant_w"
    assert readings.counter is not None
    assert readings.counter.tick_s == pytest.approx(0.05, rel=0.01)
    assert agreement(readings.counter) < 0.01
    assert readings.throttle_reasons == 1
    assert readings.slowdown_before_ns == {"throttle_hw_thermal_ns": 7}
    assert readings.slowdown_ns == {"throttle_hw_thermal_ns": 0}


@pytest.mark.parametrize("gain", [0.95, 1.05, 0.5])
def test_a_counter_that_counts_wrong_is_told_by_how_much(gain: float) -> None:
    counter = readings_of(series(gain=gain), FIELDS, "auto").counter
    assert counter is not None
    assert counter.counter_j / counter.integral_j == pytest.approx(gain, rel=0.01)
    assert agreement(counter) > allowed(counter)


def statuses(readings: Readings) -> dict[str, str]:
    checks = readings_checks(readings, CAMPAIGN, Gpu(0, "GPU-x", "X", most_power_limit_w=300))
    return {check.name: check.status for check in checks}


@pytest.mark.parametrize(
    ("estimator", "calibrated", "status"),
    [("trapezoid", False, "warning"), ("counter", False, "failure"), ("counter", True, "warning")],
)
def test_a_counter_that_counts_wrong_must_not_be_the_estimator_unless_it_is_calibrated(
    estimator: str, calibrated: bool, status: str
) -> None:
    campaign = replace(CAMPAIGN, estimator=estimator, counter_calibrated=calibrated)
    readings = readings_of(series(gain=0.8), FIELDS, "auto")
    checks = readings_checks(readings, campaign, Gpu(0, "GPU-x", "X", most_power_limit_w=300))
    assert {c.name: c.status for c in checks}["counter_agreement"] == status


def test_a_counter_that_falls_back() -> None:
    samples = series()
    for sample in samples[300:]:
        sample["energy_counter_j"] -= 200
    readings = readings_of(samples, FIELDS, "auto")
    assert readings.counter is not None
    assert readings.counter.fell
    assert statuses(readings)["counter"] == "warning"
    assert "counter_agreement" not in statuses(readings)


def test_a_sensor_that_stops_for_a_while() -> None:
    samples = series()
    for sample in samples[200:500]:
        sample["power_instant_w"] = samples[200]["power_instant_w"]
    readings = readings_of(samples, FIELDS, "auto")
    assert readings.columns[0].still_s == pytest.approx(3.0, abs=0.2)
    assert statuses(readings)["power_instant_w"] == "warning"


def test_a_slow_sensor_is_said_to_be_slow() -> None:
    readings = readings_of(series(seconds=60, update_s=1.0), FIELDS, "auto")
    assert statuses(readings)["power_instant_w"] == "warning"


@pytest.mark.parametrize(("value", "word"), [(-5.0, "absurd"), (451.0, "absurd"), (0.2, "zero")])
def test_impossible_powers(value: float, word: str) -> None:
    samples = series()
    for sample in samples:
        sample["power_instant_w"] = value + 1e-3 * sample["time_s"] % 0.01
    readings = readings_of(samples, FIELDS, "auto")
    checks = readings_checks(readings, CAMPAIGN, Gpu(0, "GPU-x", "X", most_power_limit_w=300))
    (found,) = [check for check in checks if check.name == "power_instant_w"]
    assert found.status == "failure"
    assert found.found.startswith(word)


def test_readings_that_are_missing_are_not_zero() -> None:
    samples = series()
    for sample in samples[::2]:
        sample["power_instant_w"] = None
    readings = readings_of(samples, FIELDS, "auto")
    assert readings.columns[0].readings == 300
    assert readings.columns[0].least_w > 50
    for sample in samples:
        sample["power_instant_w"] = None
    readings = readings_of(samples, FIELDS, "auto")
    assert readings.columns == ()
    assert statuses(readings)["power_instant_w"] == "failure"


def test_a_slowdown_while_it_is_read() -> None:
    samples = series()
    samples[-1]["throttle_hw_thermal_ns"] = 2_000_000_007
    found = slowdown_counters(readings_of(samples, FIELDS, "auto"))
    assert found.status == "failure"
    assert "hw_thermal 2 s" in found.found


def test_a_step_of_the_wall_clock() -> None:
    samples = series()
    for sample in samples[300:]:
        sample["wall_time_s"] += 0.5
    assert readings_of(samples, FIELDS, "auto").clock_step_s == pytest.approx(0.5)


def test_nothing_was_read() -> None:
    readings = readings_of([], FIELDS, "auto", error="X: NVML says 'GPU is lost' in y: reboot")
    assert statuses(readings) == {"meter": "failure"}
