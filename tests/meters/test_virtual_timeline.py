"""The closed form of the true energy against the power that it is the integral of."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from nic_energy.meters.virtual.timeline import Segment, Timeline
from nic_energy.traces import FloatArray

REST = Segment(
    start_s=100.0, base_w=20.0, leakage_w_per_k=0.2, reference_c=34.0, start_c=30.0, end_c=36.0,
    thermal_s=60.0, step_w=40.0, step_s=5.0,
)  # fmt: skip
LOAD = Segment(
    start_s=107.3, base_w=150.0, leakage_w_per_k=0.2, reference_c=80.0, start_c=31.0, end_c=78.0,
    thermal_s=60.0, ripple_w=30.0, ripple_s=0.137, loaded=True,
)  # fmt: skip
COOLING = replace(REST, start_s=131.9, start_c=60.0, end_c=36.0, step_w=60.0, step_s=4.0)
PLAIN = Segment(150.0, 33.0, 0.0, 30.0, 30.0, 30.0, 60.0)
AGAIN = replace(LOAD, start_s=160.1, start_c=35.0, ripple_s=0.0512, ripple_w=12.0)
SEGMENTS = (REST, LOAD, COOLING, PLAIN, AGAIN)
END_S = 175.0

NODES, WEIGHTS = special.roots_legendre(12)


def timeline(*segments: Segment) -> Timeline:
    made = Timeline(segments[0])
    for segment in segments[1:]:
        made.append(segment)
    return made


def edges_of_ripple(start_s: float, end_s: float) -> FloatArray:
    """Every time between two at which the power jumps."""
    ends = [segment.start_s for segment in SEGMENTS[1:]] + [END_S]
    jumps = [start_s, end_s]
    for segment, end in zip(SEGMENTS, ends, strict=True):
        halves = np.arange(0, (end - segment.start_s) / segment.ripple_s * 2)
        jumps.extend(segment.start_s + halves * segment.ripple_s / 2)
    times = np.unique(jumps)
    return np.asarray(times[(times >= start_s) & (times <= end_s)])


def integrated(power: Timeline, start_s: float, end_s: float) -> float:
    """Gauss-Legendre over every stretch without a jump: exact but for rounding."""
    edges = edges_of_ripple(start_s, end_s)
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    times = middle[:, None] + half[:, None] * NODES
    values = power.power_w(times.ravel()).reshape(times.shape)
    return float(np.sum(values @ WEIGHTS * half))


def test_the_energy_is_the_integral_of_the_power_over_any_interval() -> None:
    made = timeline(*SEGMENTS)
    random = np.random.default_rng(1)
    for _ in range(40):
        start, end = np.sort(random.uniform(REST.start_s, END_S, 2))
        first, last = made.energy_j(np.array([start, end]))
        assert last - first == pytest.approx(integrated(made, start, end), rel=1e-9)
    whole = made.energy_j(np.array([END_S]))[0]
    assert whole == pytest.approx(integrated(made, REST.start_s, END_S), rel=1e-9)


def test_a_plain_riemann_sum_agrees_too() -> None:
    made = timeline(*SEGMENTS)
    step = 1e-4
    times = np.arange(REST.start_s + step / 2, END_S, step)
    sum_j = float(made.power_w(times).sum()) * step
    assert made.energy_j(np.array([END_S]))[0] == pytest.approx(sum_j, rel=1e-5)


def test_the_power_is_what_the_segment_says() -> None:
    made = timeline(REST, LOAD)
    since = 3.0
    temperature = 36.0 + (30.0 - 36.0) * np.exp(-since / 60)
    expected = 20.0 + 0.2 * (temperature - 34.0) + 40.0 * np.exp(-since / 5)
    assert made.power_w(np.array([103.0]))[0] == pytest.approx(expected)
    first, second = made.power_w(LOAD.start_s + np.array([0.2, 0.8]) * LOAD.ripple_s)
    assert first - second == pytest.approx(60.0, abs=0.05)
    assert made.loaded(np.array([99.0, 103.0, 108.0])).tolist() == [0, 0, 1]


def test_the_temperature_obeys_its_differential_equation() -> None:
    made = timeline(*SEGMENTS)
    h = 1e-3
    for segment in SEGMENTS:
        at = segment.start_s + np.array([0.5, 2.0, 4.5])
        slope = (made.temperature_c(at + h) - made.temperature_c(at - h)) / (2 * h)
        expected = (segment.end_c - made.temperature_c(at)) / segment.thermal_s
        assert slope == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert made.temperature_c(np.array([segment.start_s]))[0] == pytest.approx(segment.start_c)


def test_the_ripple_is_nothing_over_whole_executions_and_most_over_half() -> None:
    with_ripple, without = timeline(LOAD), timeline(replace(LOAD, ripple_w=0.0))
    periods = LOAD.start_s + LOAD.ripple_s * np.arange(1.0, 200.0)
    more = with_ripple.energy_j(periods) - without.energy_j(periods)
    assert more == pytest.approx(0, abs=1e-8)
    halves = periods - LOAD.ripple_s / 2
    more = with_ripple.energy_j(halves) - without.energy_j(halves)
    assert more == pytest.approx(LOAD.ripple_w * LOAD.ripple_s / 2, abs=1e-8)


def test_segments_come_in_order_of_time() -> None:
    made = timeline(REST, LOAD)
    with pytest.raises(ValueError, match="order of time"):
        made.append(replace(REST, start_s=LOAD.start_s - 1e-6))


def test_a_segment_of_no_length_leaves_no_trace() -> None:
    made = timeline(REST, LOAD)
    made.append(replace(LOAD, base_w=9999.0, start_s=120.0))
    made.append(replace(COOLING, start_s=120.0))
    other = timeline(REST, LOAD, replace(COOLING, start_s=120.0))
    times = np.linspace(100, 140, 99)
    assert made.power_w(times) == pytest.approx(other.power_w(times))
    assert made.energy_j(times) == pytest.approx(other.energy_j(times))
    first = timeline(REST, replace(LOAD, start_s=REST.start_s))
    assert first.power_w(np.array([100.01]))[0] > 100


def test_before_the_start_the_first_power_held() -> None:
    made = timeline(REST)
    first_w = made.power_w(np.array([REST.start_s]))[0]
    assert made.start_s == REST.start_s
    assert made.energy_j(np.array([99.0, 97.5])) == pytest.approx([-first_w, -2.5 * first_w])
    assert made.power_w(np.array([50.0]))[0] == pytest.approx(first_w)
    assert made.energy_j(np.array([REST.start_s]))[0] == 0


def test_many_segments_and_the_energy_goes_on_without_a_jump() -> None:
    made = Timeline(replace(PLAIN, start_s=0.0, base_w=1.0))
    for number in range(1, 500):
        made.append(replace(PLAIN, start_s=float(number), base_w=1.0 + number % 7))
    powers = np.array([1.0 + number % 7 for number in range(500)])
    expected = np.concatenate([[0.0], np.cumsum(powers)])
    assert made.energy_j(np.arange(501.0)) == pytest.approx(expected)
    around = made.energy_j(np.arange(1.0, 500) + 1e-9) - made.energy_j(np.arange(1.0, 500) - 1e-9)
    assert np.abs(around).max() < 1e-6
