from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from nic_energy.energy.idle import idle_power_w, idle_uncertainty_w
from nic_energy.traces import Interval, Trace, samples_table
from tests.traces import idle_trace


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
    noisy = with_samples([float(p) for p in rng.normal(20, 2, 1600)])
    assert idle_uncertainty_w(noisy)["power_load_w"] == pytest.approx(2 / 40, rel=0.6)
    assert idle_uncertainty_w(with_samples([10.0] * 5)) == {}
