"""The sampler on a clock that jumps."""

import os
from dataclasses import dataclass, field

import numpy as np
import pytest

from nic_energy.errors import MeterError
from nic_energy.sampler.inline import LATE_S, READ_S, InlineSampler
from nic_energy.traces import FloatArray, MeterInfo, Sample
from tests.protocol.bench import meter_info

EPOCH_S = 1_700_000_000.0


@dataclass
class Clock:
    """A clock that stands still until told."""

    time_s: float = 50.0

    def now(self) -> float:
        return self.time_s


@dataclass
class Meter:
    """Shows the time; notes which times it was asked for, and fails from a time on."""

    fails_s: float = np.inf
    asked: list[float] = field(default_factory=list)

    def info(self) -> MeterInfo:
        return meter_info()

    def read_at(self, time_s: FloatArray) -> list[Sample]:
        if (time_s >= self.fails_s).any():
            raise MeterError("no reading")
        self.asked.extend(time_s.tolist())
        return [{"power_instant_w": at} for at in time_s.tolist()]


def sampler(hz: float = 10.0, seed: int = 1) -> tuple[InlineSampler, Clock, Meter]:
    clock, meter = Clock(), Meter()
    made = InlineSampler(meter, clock, hz, EPOCH_S, seed)
    assert made.start() == meter_info()
    return made, clock, meter


def seconds(samples: list[Sample], name: str = "time_s") -> FloatArray:
    return np.array([float(sample[name] or 0) for sample in samples])


@pytest.mark.parametrize("hz", [1.0, 10.0, 50.0])
def test_samples_come_at_the_rate_in_order_and_a_little_late(hz: float) -> None:
    made, clock, _ = sampler(hz)
    samples = []
    for step in np.random.default_rng(4).uniform(0, 3, 80):
        clock.time_s += float(step)
        samples += made.collect()
    time_s = seconds(samples)
    late = time_s - (50.0 + np.arange(len(time_s)) / hz)
    assert len(time_s) == pytest.approx((clock.time_s - 50) * hz, abs=1)
    assert (np.diff(time_s) > 0).all()
    assert late.min() >= -1e-9
    assert late.max() <= LATE_S + 1e-9
    if len(late) > 500:
        assert late.mean() == pytest.approx(LATE_S / 2, rel=0.1)
        assert late.max() > 0.9 * LATE_S
    assert time_s.max() <= clock.time_s


def test_a_sample_carries_its_reading_and_both_its_times() -> None:
    made, clock, meter = sampler()
    clock.time_s += 1.0
    samples = made.collect()
    assert seconds(samples, "power_instant_w").tolist() == meter.asked
    assert (seconds(samples) == meter.asked).all()
    assert seconds(samples, "wall_time_s") == pytest.approx(EPOCH_S + seconds(samples), abs=1e-6)
    assert {sample["read_duration_s"] for sample in samples} == {READ_S}


def test_collect_takes_each_sample_once_and_latest_takes_none() -> None:
    made, clock, meter = sampler()
    assert made.latest() is None
    clock.time_s += 0.95
    newest = made.latest()
    assert newest is not None
    assert newest["time_s"] == meter.asked[-1]
    assert made.latest() is newest
    first = made.collect()
    assert first[-1] is newest
    assert made.collect() == []
    assert made.latest() is newest
    clock.time_s += 1.0
    second = made.collect()
    assert len(first) == len(second) == 10
    assert seconds(second).min() > seconds(first).max()
    assert len(meter.asked) == 20


def test_nothing_is_read_before_its_time() -> None:
    made, clock, meter = sampler()
    assert made.collect() == []
    clock.time_s += LATE_S * 0.9
    assert made.collect() == []
    clock.time_s += LATE_S * 0.2
    assert len(made.collect()) == 1
    clock.time_s = 50.1 + LATE_S * 0.9
    assert made.collect() == []
    assert max(meter.asked) < clock.time_s


def test_sampling_begins_when_it_is_started_not_when_it_is_made() -> None:
    clock, meter = Clock(), Meter()
    made = InlineSampler(meter, clock, 10.0, EPOCH_S, 1)
    clock.time_s += 20.0
    made.start()
    clock.time_s += 0.95
    assert len(made.collect()) == 10
    assert min(meter.asked) >= 70.0


def test_the_seed_alone_says_how_late_readings_are() -> None:
    def times(seed: int, steps: int) -> FloatArray:
        made, clock, _ = sampler(seed=seed)
        samples = []
        for _ in range(steps):
            clock.time_s += 20.0 / steps
            samples += made.collect()
        return seconds(samples)

    assert times(1, 1) == pytest.approx(times(1, 10))
    assert np.abs(times(1, 1) - times(2, 1)).max() > LATE_S / 2


def test_a_meter_that_fails_says_so_until_it_is_left_alone() -> None:
    made, clock, meter = sampler()
    meter.fails_s = 51.0
    clock.time_s += 0.95
    assert len(made.collect()) == 10
    clock.time_s += 0.5
    for ask in (made.collect, made.latest):
        with pytest.raises(MeterError, match="no reading"):
            ask()
    assert made.stop().samples == 10


def test_the_report_counts_what_was_read() -> None:
    made, clock, _ = sampler()
    clock.time_s += 100.0
    made.latest()
    clock.time_s += 100.0
    made.collect()
    report = made.stop()
    assert report.samples == 2000
    assert (report.missed_deadlines, report.realtime, report.pid) == (0, False, os.getpid())
    assert report.max_read_duration_s == READ_S
    assert report.period_error_p99_s == pytest.approx(0.99 * LATE_S)
