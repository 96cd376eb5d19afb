"""Power sensor and energy counter against the true power that they are put in front of."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from nic_energy.meters.virtual.sensor import Counter, CounterSpec, Sensor, SensorSpec, Updates
from nic_energy.traces import FloatArray

SPEC = SensorSpec("power_instant_w", "instant", period_s=0.1, window_s=0.1, resolution_w=1e-9)
STEP_S = 50.0


def steady(time_s: FloatArray) -> FloatArray:
    """Energy of 80 W."""
    return np.asarray(80.0 * time_s)


def stepped(time_s: FloatArray) -> FloatArray:
    """Energy of 20 W, from `STEP_S` on of 120 W."""
    return np.asarray(20.0 * time_s + 100.0 * np.maximum(time_s - STEP_S, 0.0))


@dataclass(frozen=True)
class Square:
    """Energy of a square wave of 130 W and 70 W."""

    period_s: float
    phase_s: float = 0.0

    def __call__(self, time_s: FloatArray) -> FloatArray:
        phase = np.mod((time_s - self.phase_s) / self.period_s, 1.0)
        ripple = 30.0 * self.period_s * np.minimum(phase, 1.0 - phase)
        return np.asarray(100.0 * time_s + ripple)


@pytest.mark.parametrize("jitter_s", [0.0, 0.01, 0.049])
def test_updates_are_in_order_and_the_last_one_counts(jitter_s: float) -> None:
    updates = Updates(0.1, jitter_s, seed=3)
    numbers = np.arange(5000)
    times = updates.time_s(numbers)
    assert (np.diff(times) > 0).all()
    assert np.abs(times - 0.1 * numbers).max() <= jitter_s
    at = np.sort(np.random.default_rng(1).uniform(1.0, 400.0, 20_000))
    expected = np.searchsorted(times, at, side="right") - 1
    assert (updates.number(at) == expected).all()
    exactly = times[10:4000]
    assert (updates.number(exactly) == numbers[10:4000]).all()
    assert (updates.number(exactly - 1e-9) == numbers[10:4000] - 1).all()


def test_jitter_and_noise_have_their_distributions() -> None:
    updates = Updates(0.1, 0.02, seed=4)
    numbers = np.arange(20_000)
    moved = updates.time_s(numbers) - 0.1 * numbers
    assert moved.mean() == pytest.approx(0, abs=4e-4)
    assert moved.std() == pytest.approx(0.04 / np.sqrt(12), rel=0.02)
    noise = updates.noise(numbers)
    assert noise.mean() == pytest.approx(0, abs=0.03)
    assert noise.std() == pytest.approx(1, rel=0.02)
    assert abs(np.corrcoef(noise, moved)[0, 1]) < 0.03
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.03


def test_a_reading_is_the_mean_over_the_window_before_its_update() -> None:
    sensor = Sensor(replace(SPEC, period_s=0.5, window_s=0.4), seed=1)
    shown, updated = sensor.read(stepped, np.array([49.99, 50.01, 50.49, 50.51, 51.2]))
    assert updated == pytest.approx([49.5, 50.0, 50.0, 50.5, 51.0])
    assert shown == pytest.approx([20, 20, 20, 120, 120])
    (mixed,), _ = Sensor(replace(SPEC, period_s=0.35, window_s=0.4), 1).read(
        stepped, np.array([50.2])
    )
    assert mixed == pytest.approx(20 + 100 * (143 * 0.35 - STEP_S) / 0.4)


def test_gain_offset_and_resolution() -> None:
    spec = replace(SPEC, gain=1.04, offset_w=-22.0, resolution_w=0.25)
    shown, _ = Sensor(spec, 1).read(steady, np.linspace(10, 20, 50))
    assert (shown == 61.25).all()
    fine, _ = Sensor(replace(spec, resolution_w=0.001), 1).read(steady, np.array([10.0]))
    assert fine[0] == pytest.approx(61.2, abs=5e-4)


def test_the_lag_moves_the_window_back() -> None:
    at = np.arange(45.0, 55.0, 0.037)
    now, _ = Sensor(SPEC, 1).read(stepped, at)
    late, updated = Sensor(replace(SPEC, lag_s=0.3), 1).read(stepped, at + 0.3)
    assert late == pytest.approx(now)
    assert (updated > at + 0.19).all()


def test_noise_is_of_the_update_and_has_its_size() -> None:
    sensor = Sensor(replace(SPEC, noise_w=2.0), seed=7)
    at = np.arange(1.0, 2000.0, 0.1) + 0.05
    shown, _ = sensor.read(steady, at)
    assert (shown - 80).std() == pytest.approx(2.0, rel=0.03)
    again, _ = sensor.read(steady, at + 0.03)
    assert (again == shown).all()
    other, _ = Sensor(replace(SPEC, noise_w=2.0), seed=8).read(steady, at)
    assert abs(np.corrcoef(other, shown)[0, 1]) < 0.04


def test_reading_twice_late_or_in_another_order_gives_the_same() -> None:
    spec = replace(SPEC, jitter_s=0.003, noise_w=1.0, period_s=0.0983)
    at = np.random.default_rng(2).uniform(10, 500, 3000)
    together, stamps = Sensor(spec, 5).read(stepped, at)
    sensor = Sensor(spec, 5)
    order = np.argsort(at)
    backwards, _ = sensor.read(stepped, at[order[::-1]])
    assert (backwards[::-1] == together[order]).all()
    for place in (0, 17, 2999):
        (alone,), (stamp,) = sensor.read(stepped, at[place : place + 1])
        assert (alone, stamp) == (together[place], stamps[place])
    counter = Counter(CounterSpec(0.0203, 0.0005), 5)
    counted = counter.read(stepped, at)
    assert (counter.read(stepped, at[order])[np.argsort(order)] == counted).all()


@pytest.mark.parametrize("executions", [1, 2, 5])
def test_a_part_time_sensor_aliases_at_a_fixed_phase_only(executions: int) -> None:
    """25 of 100 ms, and executions of which a whole number fits into 100 ms: the sensor always
    sees the same part of them.
    """
    spec = replace(SPEC, window_s=0.025)
    period_s = spec.period_s / executions
    at = np.arange(10.0, 60.0, 0.1) + 0.05
    phases = np.arange(64) / 64 * period_s
    means = np.array(
        [Sensor(spec, 1).read(Square(period_s, phase), at)[0].mean() for phase in phases]
    )
    # What is left when the window covers whole executions, else all that it sees of one half.
    left = spec.window_s % period_s
    worst = 30.0 * min(left, period_s / 2, period_s - left) / spec.window_s
    assert np.abs(means - 100).max() == pytest.approx(worst, rel=0.1)
    assert np.abs(means - 100).max() > 5
    random = np.random.default_rng(3).uniform(0, period_s, 400)
    moved = [Sensor(spec, 1).read(Square(period_s, phase), at)[0].mean() for phase in random]
    error = np.std(moved) / np.sqrt(len(moved))
    assert np.mean(moved) == pytest.approx(100, abs=3.5 * error)
    assert error < 0.12 * worst


def test_a_sensor_that_sees_all_of_the_time_does_not_alias() -> None:
    at = np.arange(10.0, 60.0, 0.1) + 0.05
    for phase in (0.0, 0.013, 0.04):
        shown, _ = Sensor(SPEC, 1).read(Square(SPEC.period_s, phase), at)
        assert shown == pytest.approx(100)


def test_an_execution_that_drifts_through_the_period_leaves_no_bias_in_the_end() -> None:
    spec = replace(SPEC, window_s=0.025)
    at = np.arange(10.0, 1010.0, 0.1) + 0.05
    shown, _ = Sensor(spec, 1).read(Square(0.0371), at)
    assert shown.mean() == pytest.approx(100, abs=0.2)
    assert shown.std() > 10


def test_the_counter_ticks_and_its_slope_is_gain_times_power_in_the_long_run() -> None:
    spec = CounterSpec(0.1007, 0.002, gain=0.92, offset_w=3.0)
    counter = Counter(spec, seed=6)
    at = np.arange(20.0, 2000.0, 0.01)
    shown = counter.read(steady, at)
    steps = np.diff(shown)
    assert (steps >= 0).all()
    assert np.sum(steps > 0) == pytest.approx((at[-1] - at[0]) / spec.tick_s, abs=2)
    per_tick = steps[steps > 0]
    power = 0.92 * 80 + 3
    assert per_tick.mean() == pytest.approx(power * spec.tick_s, rel=1e-3)
    assert per_tick.max() <= power * (spec.tick_s + 2 * spec.jitter_s) + 0.001
    slope = (shown[-1] - shown[0]) / (at[-1] - at[0])
    assert slope == pytest.approx(power, rel=1e-4)


def test_the_counter_shows_the_energy_at_its_last_tick_in_whole_steps() -> None:
    counter = Counter(CounterSpec(0.5, resolution_j=0.25), seed=1)
    shown = counter.read(stepped, np.array([49.9, 50.0, 50.3, 50.6]))
    assert shown.tolist() == [990.0, 1000.0, 1000.0, 1060.0]
    odd = counter.read(lambda time_s: np.asarray(1.37 * time_s), np.array([10.2]))
    assert odd[0] == 13.5
    negative = Counter(CounterSpec(0.5, offset_w=-200.0), seed=1).read(steady, np.array([10.0]))
    assert negative[0] == 0.0
