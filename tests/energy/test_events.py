"""Throttling and strangers on the device, seen in the samples."""

from dataclasses import replace
from typing import Any

import pytest

from nic_energy.energy.events import events, idle_events
from nic_energy.traces import Interval, Trace, samples_table
from tests.traces import idle_trace, modality_trace


def trace(**changes: Any) -> Trace:
    """The trace of tests.traces with columns set from 110 s on, inside the first window."""
    made = modality_trace()
    samples = [
        {
            "time_s": t,
            "power_load_w": 50.0,
            "compute_processes": 1,
            "throttle_reasons": 0,
            "throttle_sw_thermal_ns": 7,
            **(changes if 110 <= t <= 112 else {}),
        }
        for t in made.column("time_s").tolist()
    ]
    return Trace(samples_table(samples), made.meta)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"throttle_reasons": 0x4}, set()),
        ({"throttle_reasons": 0x1}, set()),
        ({"throttle_reasons": 0x8}, {"throttled"}),
        ({"throttle_reasons": 0x20}, {"throttled"}),
        ({"throttle_reasons": 0x84}, {"throttled"}),
        ({"compute_processes": 2}, {"other_processes"}),
        ({"compute_processes": None}, set()),
    ],
)
def test_what_happens_in_a_window_is_flagged(changes: dict[str, Any], expected: set[str]) -> None:
    found = trace(**changes)
    assert events(found, found.meta.windows) == expected


@pytest.mark.parametrize(
    "name", ["compute_processes", "performance_state", "temperature_c", "throttle_reasons"]
)
def test_a_reading_that_stops_for_a_window_is_flagged(name: str) -> None:
    made = trace()
    first, second = made.meta.windows[:2]
    rows = [{**row, name: 1} for row in made.samples.to_pylist()]

    def without(start_s: float, end_s: float) -> Trace:
        lost = [{**row, name: None} if start_s <= row["time_s"] <= end_s else row for row in rows]
        return Trace(samples_table(lost), made.meta)

    windows = made.meta.windows
    assert events(without(0, -1), windows) == set()
    assert events(without(first.start_s, first.end_s - 1), windows) == set()
    assert events(without(second.start_s, 1e9), windows) == {"readings_lost"}
    assert events(without(second.start_s, 1e9), [first]) == set()
    assert events(without(0, 1e9), windows) == set()


def test_what_happens_outside_the_windows_is_not() -> None:
    found = trace(throttle_reasons=0x8, compute_processes=2)
    assert events(found, found.meta.windows[1:]) == set()


def test_a_slowdown_between_two_samples_is_seen_by_its_counter() -> None:
    found = trace()
    rows = found.samples.to_pylist()
    for row in rows:
        row["throttle_sw_thermal_ns"] = 7 if row["time_s"] < 120.05 else 9
    counted = Trace(samples_table(rows), found.meta)
    assert events(counted, found.meta.windows[:1]) == set()
    assert events(counted, found.meta.windows[1:]) == {"throttled"}


def test_an_idle_reference_with_company_says_so() -> None:
    alone = idle_trace()
    assert idle_events(alone) == set()
    rows = [{**row, "compute_processes": 1} for row in alone.samples.to_pylist()]
    assert idle_events(replace(alone, samples=samples_table(rows))) == {"idle_other_processes"}


@pytest.mark.parametrize(("percent", "expected"), [(9.0, set()), (11.0, {"idle_busy"})])
def test_an_idle_reference_on_a_busy_device_says_so(percent: float, expected: set[str]) -> None:
    rows = [{**row, "utilization_percent": percent} for row in idle_trace().samples.to_pylist()]
    assert idle_events(replace(idle_trace(), samples=samples_table(rows))) == expected


def test_what_kept_the_device_busy_before_the_idle_interval_does_not_count() -> None:
    quiet = idle_trace()
    times = quiet.column("time_s")
    begin = float(times[len(times) // 2])
    rows = [
        {**row, "utilization_percent": 100.0 if row["time_s"] < begin else 0.0}
        for row in quiet.samples.to_pylist()
    ]
    busy = replace(quiet, samples=samples_table(rows))
    assert idle_events(replace(busy, meta=replace(busy.meta, intervals=()))) == {"idle_busy"}
    marks = (Interval("settle", 0.0, begin), Interval("idle", begin, float(times[-1])))
    assert idle_events(replace(busy, meta=replace(busy.meta, intervals=marks))) == set()
