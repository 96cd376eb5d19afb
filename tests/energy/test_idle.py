from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from nic_energy.energy.idle import PHASES, idle_power, idle_power_w
from nic_energy.traces import Interval, Trace, samples_table
from tests.traces import idle_trace, modality_trace


def with_samples(power: Sequence[float | None], counter: list[float] | None = None) -> Trace:
    trace = idle_trace()
    samples = [
        {
            "time_s": 100 + n / 10,
            "power_load_w": value,
            "energy_counter_j": None if counter is None else counter[n],
        }
        for n, value in enumerate(power)
    ]
    return Trace(samples_table(samples), trace.meta)


def test_the_mean_is_weighted_by_time_and_leaves_out_what_is_missing() -> None:
    assert idle_power_w(idle_trace(12.5)) == {"power_load_w": pytest.approx(12.5)}
    assert idle_power_w(with_samples([None, 10.0, 10.0, 30.0]))["power_load_w"] == pytest.approx(15)
    assert idle_power_w(with_samples([None, 10.0])) == {}


def test_only_the_marked_interval_counts() -> None:
    trace = with_samples([99.0] * 50 + [10.0] * 100)
    meta = replace(trace.meta, intervals=(Interval("settle", 100, 105), Interval("idle", 105, 115)))
    assert idle_power_w(Trace(trace.samples, meta))["power_load_w"] == pytest.approx(10)


def test_the_counters_idle_is_its_own_slope() -> None:
    counter = [float(np.floor(n / 3) * 3 * 1.5) for n in range(100)]
    found = idle_power_w(with_samples([10.0] * 100, counter))
    assert found["energy_counter_j"] == pytest.approx(15.0)
    assert "energy_counter_j" not in idle_power_w(with_samples([10.0] * 100, [1.0] * 100))


def test_the_uncertainty_of_the_mean_follows_from_its_blocks() -> None:
    rng = np.random.default_rng(1)
    noisy = idle_power(with_samples([float(p) for p in rng.normal(20, 2, 1600)]), "cold")
    assert noisy is not None
    mean = noisy.columns["power_load_w"]
    assert mean.uncertainty_w == pytest.approx(2 / 40, rel=0.6)
    assert mean.degrees_of_freedom == 7
    few = idle_power(with_samples([10.0] * 5), "cold")
    assert few is not None
    assert few.columns["power_load_w"].uncertainty_w is None


def test_readings_in_a_row_that_depend_on_each_other_are_not_counted_as_many() -> None:
    rng = np.random.default_rng(2)
    wander = np.zeros(1600)
    for n in range(1, 1600):
        wander[n] = 0.95 * wander[n - 1] + rng.normal(0, 0.3)
    found = idle_power(with_samples([float(p) for p in 20 + wander]), "cold")
    assert found is not None
    naive = wander.std() / 40
    assert float(found.columns["power_load_w"].uncertainty_w or 0) > 2.5 * naive


def test_the_idles_of_a_modality_lie_in_its_own_intervals() -> None:
    trace = with_samples([30.0] * 40 + [90.0] * 40 + [35.0] * 40)
    marks = (Interval("idle_context", 100, 103.9), Interval("idle_paired", 108, 111.9))
    meta = replace(modality_trace().meta, intervals=marks)
    found = {kind: idle_power(Trace(trace.samples, meta), kind) for kind in PHASES}
    assert found["cold"] is None
    assert found["context"] is not None
    assert found["context"].columns["power_load_w"].power_w == pytest.approx(30)
    assert found["paired"] is not None
    assert found["paired"].columns["power_load_w"].power_w == pytest.approx(35)
