import itertools
import logging
from dataclasses import replace

import numpy as np
import pytest

from nic_energy.energy.admissibility import Limits
from nic_energy.protocol.passport import WaveRule, record_wave
from nic_energy.protocol.repetitions import WindowRule, repeat
from nic_energy.statistics.stopping import StoppingRule
from nic_energy.traces import PowerField
from tests.protocol.bench import JumpingDevice

PERIOD_S = 0.1007


def test_load_and_rest_take_turns_and_the_marks_are_where_the_load_was() -> None:
    device = JumpingDevice(execution_s=0.004, hz=100)
    began = device.now()
    bench = device.bench()
    marks = record_wave(bench, WaveRule(), 0.004, seed=1)
    assert [mark.phase for mark in marks] == ["wave_on", "wave_off"] * 77
    for mark in marks:
        runs = [r for r in device.runs if mark.start_s <= r[0] < mark.end_s]
        assert bool(runs) == (mark.phase == "wave_on")
        if runs:
            assert (runs[0][0], runs[-1][1]) == (mark.start_s, mark.end_s)
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(marks))
    assert device.now() - began < 180
    times = [float(sample["time_s"] or 0) for sample in bench.history]
    assert times[0] < marks[0].start_s - 0.9
    assert times[-1] > marks[-1].end_s + 0.9
    assert np.diff(times) == pytest.approx(0.01)


def test_slow_stretches_outlast_the_longest_window_and_fast_ones_do_not() -> None:
    plan = list(WaveRule().stretches(3))
    lengths = np.array([length for _, length in plan])
    assert lengths[1:14].min() > 3.0
    assert lengths[14:].max() <= 0.5
    assert lengths[14:].min() > PERIOD_S
    assert 60 < lengths.sum() < 170


@pytest.mark.parametrize("period_s", [0.02, PERIOD_S])
def test_switches_fall_on_all_phases_of_an_update_period(period_s: float) -> None:
    device = JumpingDevice(execution_s=0.004)
    marks = record_wave(device.bench(), WaveRule(), 0.004, seed=7)
    phases = np.array([mark.start_s for mark in marks]) / period_s % 1
    counts = np.histogram(phases, bins=8, range=(0, 1))[0]
    assert counts.min() >= len(marks) / 8 * 0.4
    assert counts.max() <= len(marks) / 8 * 1.8


def test_the_seed_decides_the_lengths() -> None:
    first, again, other = (list(WaveRule().stretches(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(("hz", "run_on_s"), [(100.0, 0.25), (5.0, 0.45)])
def test_a_window_is_followed_by_two_updates_and_the_lag_however_fast_it_is_polled(
    hz: float, run_on_s: float
) -> None:
    device = JumpingDevice(execution_s=0.01, hz=hz)
    field = PowerField("power_instant_w", "instant", 0.1, 0.0, 0.1)
    slow = PowerField("power_average_w", "average", 0.1, 0.05, 0.1)
    bench = device.bench()
    bench.meter = replace(bench.meter, power_fields=(field, slow))
    stop = StoppingRule(0.99, 0.02, "two_sided", 2, 2)
    rule = WindowRule(0.5, Limits(2.0, 3.0, 5.0, hz))
    for window in repeat(bench, rule, stop, field, 20.0, 0.01, seed=1).windows:
        after = [end for start, end, _ in device.runs if window.end_s <= start < window.end_s + 1]
        gaps = [a for a in after if a <= window.end_s + run_on_s + 0.011]
        assert max(gaps) >= window.end_s + run_on_s - 1e-9


def test_the_time_left_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    record_wave(JumpingDevice(execution_s=0.004).bench(), WaveRule(), 0.004, seed=1)
    said = [int(r.getMessage().split(": ")[1].split()[0]) for r in caplog.records]
    assert 8 <= len(said) <= 13
    assert said == sorted(said, reverse=True)
    assert said[0] > 90
    assert said[-1] < 15
