"""Readings that were missed: what Eq. (1) makes of them, and what its budget says."""

import math

import numpy as np
import pytest

from nic_energy.energy.readings import Readings
from nic_energy.energy.uncertainty import edges_of
from nic_energy.traces import Trace, samples_table
from tests.traces import modality_trace


def without_readings(missed: int, null: bool) -> Readings:
    """A trace of 50 W at 10 Hz with two windows of 10 s; each lacks so many readings."""
    trace = modality_trace()
    samples = [
        {"time_s": t, "power_load_w": None if lost else 50.0}
        for t in trace.column("time_s")
        if not ((lost := _lost(t, missed)) and not null)
    ]
    meta = trace.meta
    return Readings(
        Trace(samples_table(samples), meta), meta.meter.power_field("auto"), meta.windows
    )


def _lost(time_s: float, missed: int) -> bool:
    return any(0.05 < time_s - first < 0.05 + 0.1 * missed for first in (105, 117))


@pytest.mark.parametrize("null", [True, False])
@pytest.mark.parametrize("missed", [8, 16])
def test_readings_that_are_missing_from_the_papers_sum_are_in_its_budget(
    missed: int, null: bool
) -> None:
    readings = without_readings(missed, null)
    error_j = np.mean([readings.energies(w)["paper_sum"].energy_gross_j for w in readings.windows])
    error_j -= 500.0
    edges = edges_of(readings, "paper_sum", 0.0)
    assert edges.common_j == pytest.approx(abs(error_j), rel=0.15)
    assert edges.windows_j == pytest.approx(5 / math.sqrt(6))
    assert edges_of(without_readings(0, null), "paper_sum", 0.0).common_j == 0
    assert edges_of(readings, "trapezoid", 0.0).common_j == pytest.approx(0, abs=1e-9)
