"""Coarse offset, local offsets, drift and jumps, on loads that are made up."""

import numpy as np
import pytest

from nic_energy.calibration.clock import Clock, ClockStep, Stretch, fit_clock, stretch_offset
from nic_energy.calibration.coarse import coarse_offset
from nic_energy.calibration.records import PowerRecord, of_means, of_readings
from nic_energy.errors import InputError
from nic_energy.traces import FloatArray

NAMES = ("sensor", "meter.csv")
EPOCH = 1.7e9


def load(seed: int, seconds: float = 1200.0) -> tuple[FloatArray, FloatArray]:
    """Switching times and powers of a load of random lengths and heights."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.uniform(3, 25, int(seconds / 10)))
    return times, np.where(np.arange(len(times)) % 2, random.uniform(60, 150, len(times)), 15.0)


def sensor(seed: int, seconds: float = 1200.0, hz: float = 10.0) -> PowerRecord:
    time = np.arange(0, seconds, 1 / hz)
    times, powers = load(seed, seconds)
    power = powers[np.searchsorted(times, time) % len(powers)]
    return of_readings(EPOCH + time, power)


def meter(
    source: PowerRecord, offset_s: float, drift: float = 0.0, step_s: float = 0.5, seed: int = 0
) -> PowerRecord:
    """What a meter with that clock says: means over its steps, half as much again and 60 W more."""
    nodes = np.arange(source.start_s, source.end_s, step_s)
    mean = source.mean_w(nodes[:-1], nodes[1:])
    noise = np.random.default_rng(seed).normal(0, 0.5, len(mean))
    clock = nodes + offset_s + drift * (nodes - source.start_s)
    return of_means(clock, 1.5 * mean + 60 + noise)


@pytest.mark.parametrize(
    ("offset_s", "zone_s"), [(0.0, 0), (3601.5, 3600), (-19818.0, -19800), (45000.3, 45000)]
)
def test_the_coarse_offset_is_a_time_zone_and_a_rest(offset_s: float, zone_s: float) -> None:
    source = sensor(1)
    found = coarse_offset(source, meter(source, offset_s), NAMES, 60.0)
    assert found.time_zone_s == zone_s
    assert found.offset_s == pytest.approx(offset_s, abs=2.1)
    assert found.correlation > 0.9
    assert found.overlap_s > 1100


def test_a_meter_that_ran_longer_or_only_a_third_of_the_time() -> None:
    source = sensor(2)
    whole = meter(source, 7200.0)
    third = of_means(whole.time_s[:800], whole.mean_w(whole.time_s[:799], whole.time_s[1:800]))
    assert coarse_offset(source, third, NAMES, 60.0).offset_s == pytest.approx(7200, abs=2.1)
    part = of_readings(source.time_s[6000:], source.power_w(source.time_s[6000:]))
    assert coarse_offset(part, whole, NAMES, 60.0).offset_s == pytest.approx(7200, abs=2.1)


def test_with_a_known_time_zone_only_the_clock_may_be_off() -> None:
    source = sensor(3)
    found = coarse_offset(source, meter(source, 12.0), NAMES, 30.0, zones=False)
    assert (found.time_zone_s, round(found.clock_s)) == (0, 12)
    with pytest.raises(InputError, match=r"meter.csv goes from 2023-.*do not overlap with clocks"):
        coarse_offset(source, meter(source, 36000.0), NAMES, 30.0, zones=False)


def test_records_that_never_overlap() -> None:
    source = sensor(4)
    with pytest.raises(InputError, match=r"sensor goes from .* whatever the time zone"):
        coarse_offset(source, meter(source, 3e6), NAMES, 60.0)


def test_a_constant_record() -> None:
    source = sensor(4)
    flat = of_readings(source.time_s, np.full(len(source.time_s), 42.0))
    with pytest.raises(InputError, match=r"meter.csv: is constant at 42 W"):
        coarse_offset(source, flat, NAMES, 60.0)


def test_another_load_and_a_clamp_that_is_turned_round() -> None:
    source = sensor(5)
    with pytest.raises(InputError, match=r"meter.csv: does not follow the load of sensor \(r = "):
        coarse_offset(source, meter(sensor(6), 3.0), NAMES, 60.0, zones=False)
    turned = of_readings(source.time_s, -source.power_w(source.time_s))
    with pytest.raises(InputError, match=r"falls when sensor rises .*factor: -1"):
        coarse_offset(source, turned, NAMES, 60.0, zones=False)


def test_a_load_that_repeats_itself_leaves_a_choice() -> None:
    time = np.arange(0, 3600, 0.5)
    power = np.where(time % 100 < 50, 100.0, 20.0)
    source = of_readings(EPOCH + time, power)
    with pytest.raises(InputError, match="the load repeats itself"):
        coarse_offset(source, meter(source, 0.0), NAMES, 300.0)
    assert abs(coarse_offset(source, meter(source, 0.0), NAMES, 20.0, zones=False).clock_s) < 1.1


def test_time_stamps_from_another_decade() -> None:
    source = sensor(4)
    time = np.append(0.0, source.time_s)
    wrong = of_readings(time, np.append(1.0, source.power_w(source.time_s)))
    with pytest.raises(InputError, match=r"meter.csv: spans \d+ days"):
        coarse_offset(source, wrong, NAMES, 60.0)


@pytest.mark.parametrize("step_s", [0.01, 0.1, 0.5, 1.0])
def test_a_stretch_gives_its_offset(step_s: float) -> None:
    source = sensor(7)
    found = stretch_offset(
        source, meter(source, 3601.37, step_s=step_s), EPOCH + 300, EPOCH + 420, 3600.0, 4.0
    )
    assert found is not None
    assert found.offset_s == pytest.approx(3601.37, abs=0.03 + 0.05 * step_s)
    assert found.correlation > 0.98


def test_a_stretch_without_load_or_beyond_the_search_gives_none() -> None:
    source = sensor(8)
    other = meter(source, 0.0)
    flat = of_readings(source.time_s, np.full(len(source.time_s), 3.0))
    assert stretch_offset(flat, other, EPOCH + 300, EPOCH + 400, 0.0, 3.0) is None
    assert stretch_offset(source, other, EPOCH + 300, EPOCH + 302, 0.0, 3.0) is None
    assert stretch_offset(source, other, EPOCH + 1e5, EPOCH + 1e5 + 99, 0.0, 3.0) is None


def stretches(offsets: FloatArray, every_s: float = 60.0) -> list[Stretch]:
    return [Stretch(EPOCH + every_s * n, each, 0.99) for n, each in enumerate(offsets.tolist())]


def test_offset_and_drift_of_a_day_with_outliers() -> None:
    count = 1440
    time = 60.0 * np.arange(count)
    random = np.random.default_rng(9)
    offsets = 3600 + 1.7 + 40e-6 * (time - time.mean()) + random.normal(0, 0.02, count)
    offsets[::50] += 3.0
    clock = fit_clock(stretches(offsets))
    assert isinstance(clock, Clock)
    assert clock.stretches == count - len(offsets[::50])
    assert abs(clock.offset_s - 3601.7) < 4 * clock.offset_u_s < 0.005
    assert abs(clock.drift - 40e-6) < 4 * clock.drift_u < 2e-6
    assert clock.scatter_s == pytest.approx(0.02, rel=0.1)
    assert clock.at(np.array([EPOCH]))[0] - EPOCH == pytest.approx(
        3601.7 - 40e-6 * time.mean(), abs=0.01
    )


@pytest.mark.parametrize("step_s", [-0.4, 5.0])
def test_a_clock_that_was_set_is_found_with_its_time(step_s: float) -> None:
    random = np.random.default_rng(10)
    offsets = 1.0 + random.normal(0, 0.02, 200) + np.where(np.arange(200) >= 120, step_s, 0.0)
    found = fit_clock(stretches(offsets))
    assert isinstance(found, ClockStep)
    assert found.step_s == pytest.approx(step_s, abs=0.05)
    assert found.time_s == EPOCH + 60 * 119


def test_few_or_close_stretches_tell_no_drift() -> None:
    for found in (fit_clock(stretches(np.array([1.0, 1.1, 1.3]))),
                  fit_clock(stretches(np.linspace(1, 1.1, 20), every_s=1.0))):  # fmt: skip
        assert isinstance(found, Clock)
        assert (found.drift, found.drift_u) == (0, 0)
    alone = fit_clock(stretches(np.array([2.0])))
    assert isinstance(alone, Clock)
    assert (alone.offset_s, alone.uncertainty_s > 0.01) == (2.0, True)
    with pytest.raises(ValueError, match="no stretch"):
        fit_clock([])


def test_a_clock_that_runs_unevenly_is_not_taken_for_one_that_was_set() -> None:
    warm = 0.8 / (1 + np.exp(-(np.arange(200) - 100) / 15))
    clock = fit_clock(stretches(1.0 + warm + np.random.default_rng(11).normal(0, 0.02, 200)))
    assert isinstance(clock, Clock)
    assert clock.scatter_s > 0.05
