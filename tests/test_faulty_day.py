"""Hours of a virtual campaign with faults at random: nothing wrong is taken for right."""

import logging
import math
from collections.abc import Iterator

import pytest

from benchmarks.faulty import FARTHEST_U, Day, faulty_day, reason
from benchmarks.faulty_device import KINDS
from nic_energy.meters.virtual import Fault

ENDS: dict[str, str] = {
    "absurd": "implausible_readings",
    "dropout": "too_few_samples",
    "error": "a reading failed on demand",
    "foreign": "other_processes",
    "gap": "sampler_gap",
    "nan": "too_few_samples",
    "negative": "implausible_readings",
    "processes": "other_processes",
    "throttle": "throttled",
    "timeout": "failed_readings",
    "zero": "implausible_readings",
}
"""Kinds with which no modality can be measured while they last, and what it says then."""

MIDDLING = {"spike": 40.0, "throttle": 0.3, "clock": 0.2, "state": 3.0, "processes": 1.0,
            "foreign": 60.0, "heat": 12.0, "ambient": 8.0, "negative": -20.0, "absurd": 1e6,
            "clock_step": 60.0}  # fmt: skip


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """The benchmark switches logs off."""
    yield
    logging.disable(logging.NOTSET)


def sound(day: Day) -> None:
    """Measured or named, none far off, and intervals that hold as often as they say."""
    for each in day.results:
        assert each.error is None or ": " in each.error
    assert all(abs(each.deviation_u) < FARTHEST_U for each in day.measured)
    least, most = day.band()
    assert least <= day.held <= most


def test_hours_of_random_faults_give_nothing_wrong_in_silence() -> None:
    day = faulty_day(seed=3, hours=4)
    assert day.hours >= 4
    hit = [each for each in day.results if each.faults]
    assert len({fault.kind for each in hit for fault in each.faults}) > 12
    assert any(each.error for each in hit)
    assert any(each.rejected for each in hit if each.error is None)
    assert not any(each.error for each in day.results if not each.faults)
    sound(day)


def test_every_kind_early_late_short_and_to_the_end() -> None:
    plan = [
        [Fault(kind, at_s, lasts_s, MIDDLING.get(kind, 0.0))]
        for kind in KINDS
        for at_s, lasts_s in ((0.0, math.inf), (10.0, math.inf), (15.0, 12.0), (60.0, 30.0))
    ]
    day = faulty_day(seed=8, hours=24, plan=plan)
    assert [each.faults[0].kind for each in day.results if each.faults] == [
        fault.kind for (fault,) in plan
    ]
    sound(day)
    for each, (fault,) in zip(day.results, plan, strict=True):
        if fault.kind in ENDS and math.isinf(fault.duration_s):
            assert each.error is not None, fault
            assert ENDS[fault.kind] in reason(each.error)


def test_a_sensor_that_is_wrong_for_a_while_makes_no_other_row_uncertain() -> None:
    """It scatters the windows of its modality, with which scatter, trend and temperature effect of
    the campaign would be wrong.
    """
    calm: list[list[Fault]] = [[] for _ in range(12)]
    plan = [*calm, [Fault("spike", float(at_s), 3.0, 400.0) for at_s in range(20, 900, 20)]]
    apart, together = (faulty_day(seed=8, hours=3, plan=each) for each in (calm, plan))
    assert "counter_disagrees" in together.results[-1].flags
    for one, two in zip(apart.results, together.results[:-1], strict=True):
        assert two.percent == pytest.approx(one.percent)
        assert two.deviation_u == pytest.approx(one.deviation_u, rel=0.02)


def test_a_spike_that_lasts_is_contradicted_by_the_counter() -> None:
    """A sensor that shows 6 % too much from beginning to end is wrong without any scatter."""
    (lasting,) = faulty_day(seed=8, hours=1, plan=[[Fault("spike", 0.0, math.inf, 8.0)]]).results
    assert "counter_disagrees" in lasting.flags
    assert lasting.percent > 2
    assert lasting.held
