"""Every reason for which a window is left out, and what is normal."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nic_energy.energy.admissibility import (
    Conditions,
    Limits,
    columns_of,
    conditions,
    drift_flags,
    rest_flags,
    window_flags,
)
from nic_energy.traces import INADMISSIBLE, PowerField, Window

STAMPED = PowerField("power_instant_w", "instant", update_period_s=0.1)
LEGACY = PowerField("power_legacy_w", "instant")
WINDOW = Window(0, 110.0, 115.1, 100)
LIMITS = Limits(5.0, 3.0, 5.0, 10.0, power_limit_w=300.0, processes=1)
Samples = list[dict[str, Any]]


def healthy() -> Samples:
    """20 s at 10 Hz about the window, as a sound device shows them."""
    random = np.random.default_rng(1)
    return [
        {
            "time_s": t,
            "wall_time_s": 1.7e9 + t + 1e-4 * random.random(),
            "power_instant_w": (watts := round(200 + random.standard_normal(), 3)),
            "power_legacy_w": watts,
            "power_instant_time_us": round((1.7e9 + t) * 1e6),
            "energy_counter_j": 5000 + 200 * (t - 100),
            "temperature_c": 80.0,
            "sm_clock_mhz": 1755.0,
            "performance_state": 0,
            "throttle_reasons": 0,
            "throttle_hw_thermal_ns": 17,
            "throttle_power_cap_ns": 4,
            "compute_processes": 1,
            "failed_readings": 0,
        }
        for t in (100 + np.arange(200) / 10).tolist()
    ]


def flags(samples: Samples, field: PowerField = STAMPED, limits: Limits = LIMITS) -> set[str]:
    return set(window_flags(columns_of(samples), WINDOW, field, limits))


def put(first_s: float, last_s: float, **values: Any) -> Callable[[Samples], Samples]:
    def change(samples: Samples) -> Samples:
        return [{**s, **values} if first_s <= s["time_s"] <= last_s else s for s in samples]

    return change


def cut(first_s: float, last_s: float) -> Callable[[Samples], Samples]:
    return lambda samples: [s for s in samples if not first_s < s["time_s"] < last_s]


def shift(name: str, from_s: float, by: float) -> Callable[[Samples], Samples]:
    def change(samples: Samples) -> Samples:
        return [{**s, name: s[name] + by} if s["time_s"] >= from_s else s for s in samples]

    return change


@pytest.mark.parametrize("field", [STAMPED, LEGACY])
def test_a_sound_window_has_no_flags(field: PowerField) -> None:
    assert flags(healthy(), field) == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (cut(112, 112.7), {"sampler_gap"}),
        (cut(109.95, 114.95), {"sampler_gap", "too_few_samples"}),
        (put(112, 113, power_instant_w=None), {"too_few_samples"}),
        (put(112, 112, power_instant_w=None), set()),
        (put(112, 112, power_instant_w=0.0), {"implausible_readings"}),
        (put(112, 112, power_instant_w=-3.0), {"implausible_readings"}),
        (put(112, 112, power_instant_w=601.0), {"implausible_readings"}),
        (put(112, 112, failed_readings=1), {"failed_readings"}),
        (put(112, 112, failed_readings=1, power_instant_w=None), {"failed_readings"}),
        (put(100, 109, failed_readings=1), set()),
        (put(112, 112, power_instant_w=390.0), set()),
        (put(112, 112, temperature_c=0.0), {"implausible_readings"}),
        (put(112, 112, temperature_c=255.0), {"implausible_readings"}),
        (put(112, 112, throttle_reasons=0x8), {"throttled"}),
        (put(112, 112, throttle_reasons=0x20), {"throttled"}),
        (put(112, 112, throttle_reasons=0x40), {"throttled"}),
        (put(112, 112, throttle_reasons=0x80), {"throttled"}),
        (shift("throttle_hw_thermal_ns", 112, 1000), {"throttled"}),
        (put(104, 106, throttle_reasons=0x40), set()),
        (put(112, 112, throttle_reasons=0x4), {"power_capped"}),
        (shift("throttle_power_cap_ns", 112, 1000), {"power_capped"}),
        (put(112, 112, throttle_reasons=0x1), set()),
        (put(112, 116, performance_state=2), {"performance_state_changed"}),
        (put(104, 106, compute_processes=2), {"other_processes"}),
        (put(112, 112, compute_processes=2), {"other_processes"}),
        (put(117, 118, compute_processes=2), {"other_processes"}),
        (put(100, 120, compute_processes=None), set()),
        (shift("energy_counter_j", 112, -3000), {"counter_reset"}),
        (shift("wall_time_s", 112, 2.0), {"clock_step"}),
        (shift("wall_time_s", 112, -0.2), {"clock_step"}),
        (put(112, 112, wall_time_s=1.7e9 + 112.3), set()),
        (put(112, 116, power_instant_time_us=round((1.7e9 + 112) * 1e6)), {"stale_readings"}),
    ],
)
def test_what_goes_wrong_is_named(change: Callable[[Samples], Samples], expected: set[str]) -> None:
    assert flags(change(healthy())) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_reading_that_is_no_number_is_a_missing_one(value: float) -> None:
    assert flags(put(112, 112, power_instant_w=value)(healthy())) == set()
    assert flags(put(112, 113, power_instant_w=value)(healthy())) == {"too_few_samples"}


def test_only_the_power_cap_keeps_no_window_out() -> None:
    assert "power_capped" not in INADMISSIBLE
    assert not Window(0, 0.0, 1.0, 1, ("throttled",)).admissible
    assert Window(0, 0.0, 1.0, 1, ("power_capped",)).admissible


def test_a_window_shorter_than_asked_for_is_named() -> None:
    assert flags(healthy(), limits=Limits(6.0, 3.0, 5.0, 10.0)) == {"window_too_short"}


def test_without_a_known_limit_no_board_draws_ten_kilowatts() -> None:
    unlimited = Limits(5.0, 3.0, 5.0, 10.0, processes=1)
    for value in (4294967.295, 10_001.0):
        absurd = put(112, 112, power_instant_w=value)(healthy())
        assert flags(absurd, limits=unlimited) == {"implausible_readings"}
    assert flags(put(112, 112, power_instant_w=1200.0)(healthy()), limits=unlimited) == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (put(100, 120), ()),
        (put(112, 112, power_instant_w=0.0), ("implausible_readings",)),
        (put(112, 112, failed_readings=2), ("failed_readings",)),
        (shift("energy_counter_j", 112, -3000), ("counter_reset",)),
        (shift("wall_time_s", 112, 2.0), ("clock_step",)),
        (cut(112, 112.7), ("sampler_gap",)),
        (put(112, 113, power_instant_w=None), ("too_few_samples",)),
        (put(112, 116, performance_state=8), ()),
        (put(112, 116, compute_processes=2), ()),
        (put(112, 112, throttle_reasons=0x4), ()),
    ],
)
def test_a_rest_is_judged_by_its_readings_alone(
    change: Callable[[Samples], Samples], expected: tuple[str, ...]
) -> None:
    found = rest_flags(columns_of(change(healthy())), 110.0, 115.0, STAMPED, 10.0, 300.0)
    assert found == expected


def test_a_sensor_without_stamps_is_stale_only_against_its_own_record() -> None:
    frozen = put(109.9, 120, power_legacy_w=200.0)
    assert flags(frozen(healthy()), LEGACY) == {"stale_readings"}
    steady = put(100, 120, power_legacy_w=200.0)
    assert flags(steady(healthy()), LEGACY) == set()


@pytest.mark.parametrize("stamp", [0, 12345, round(1.7e9 * 1e6), round((1.7e9 + 3600) * 1e6)])
def test_stamps_that_mean_nothing_make_no_sensor_stale(stamp: int) -> None:
    meaningless = put(100, 120, power_instant_time_us=stamp)(healthy())
    assert flags(meaningless) == set()
    frozen = put(109.9, 120, power_instant_w=200.0)
    assert flags(frozen(meaningless)) == {"stale_readings"}


def test_stamps_that_come_with_few_of_the_new_values_mean_nothing() -> None:
    rare = [
        {**s, "power_instant_time_us": round((1.7e9 + 3 * (s["time_s"] // 3)) * 1e6)}
        for s in healthy()
    ]
    assert flags(rare) == set()


def test_a_sensor_that_stopped_before_the_record_is_stale() -> None:
    stopped = put(100, 120, power_instant_w=200.0, power_instant_time_us=round(1.7e9 * 1e6))
    assert flags(stopped(healthy())) == {"stale_readings"}


def test_the_mean_over_an_interval_may_be_steady() -> None:
    field = PowerField("power_load_w", "interval_mean")
    samples = [{"time_s": s["time_s"], "power_load_w": 65.0} for s in healthy()]
    assert flags(samples, field) == set()
    assert flags([{**s, "power_load_w": -1.0} for s in samples], field) == {"implausible_readings"}


def test_the_state_of_a_window_is_that_inside_it() -> None:
    samples = put(100, 109.9, temperature_c=60.0, performance_state=8)(healthy())
    assert conditions(columns_of(samples), WINDOW) == Conditions(80.0, 1755.0, 0)
    assert conditions(columns_of([{"time_s": 111.0}]), WINDOW) == Conditions(None, None, None)


def test_windows_of_a_device_that_still_warmed_up_are_left_behind() -> None:
    rising = [Conditions(t, 1755.0, 0) for t in (75.0, 78.0, 80.0, 81.0, 82.0, 82.0)]
    found = drift_flags(rising, 5, LIMITS)
    assert [bool(each) for each in found] == [True, False, False, False, False, False]
    assert found[0] == ("temperature_outside_band",)
    assert not any(drift_flags(rising[1:3], 5, LIMITS))


def test_one_disturbed_window_does_not_move_the_reference() -> None:
    calm = Conditions(80.0, 1755.0, 0)
    states = [calm, calm, Conditions(86.0, 1400.0, 2), calm, calm]
    found = drift_flags(states, 5, LIMITS)
    assert found[2] == (
        "clock_changed",
        "performance_state_changed",
        "temperature_outside_band",
    )
    assert not any(found[:2] + found[3:])


def test_boost_steps_within_the_tolerance_and_missing_sensors_are_normal() -> None:
    states = [Conditions(None, clock, None) for clock in (1755.0, 1740.0, 1700.0, 1755.0)]
    assert not any(drift_flags(states, 5, LIMITS))
    assert not any(drift_flags([Conditions(None, None, None)] * 3, 5, LIMITS))
