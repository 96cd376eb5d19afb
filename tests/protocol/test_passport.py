import itertools
import logging

import numpy as np
import pytest

from nic_energy.protocol.passport import WaveRule, record_wave
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


def test_the_time_left_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    record_wave(JumpingDevice(execution_s=0.004).bench(), WaveRule(), 0.004, seed=1)
    said = [int(r.getMessage().split(": ")[1].split()[0]) for r in caplog.records]
    assert 8 <= len(said) <= 13
    assert said == sorted(said, reverse=True)
    assert said[0] > 90
    assert said[-1] < 15
