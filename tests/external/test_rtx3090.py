"""A real GPU's log beside an external meter, analysed."""

from pathlib import Path

import numpy as np
import pytest

from nic_energy.energy.alignment import Alignment, align, compare, correlation
from nic_energy.external import FORMATS, PowerLog, read_log

DATA = Path(__file__).parents[1] / "data" / "rtx3090"


@pytest.fixture(scope="module")
def logs() -> tuple[PowerLog, PowerLog]:
    return (
        read_log(DATA / "nvidia_smi.csv", FORMATS["nvidia-smi"]),
        read_log(DATA / "external_meter.csv", FORMATS["generic"]),
    )


@pytest.fixture(scope="module")
def alignment(logs: tuple[PowerLog, PowerLog]) -> Alignment:
    log, meter = logs
    return align(log.time_s, log.column("power.draw.instant"), meter.time_s, meter.column())


def test_the_time_zone_of_the_log_is_found(alignment: Alignment) -> None:
    assert alignment.time_zone_s == 3600
    assert abs(alignment.clock_s) < 0.2
    assert alignment.correlation > 0.99


@pytest.mark.parametrize(
    ("column", "ratio", "r", "averaged"),
    [("power.draw", 0.951, 0.90, True), ("power.draw.instant", 0.948, 0.99, False)],
)
def test_ratio_correlation_and_averaging_of_each_field(
    logs: tuple[PowerLog, PowerLog],
    alignment: Alignment,
    column: str,
    ratio: float,
    r: float,
    averaged: bool,
) -> None:
    log, meter = logs
    time_s = log.time_s - alignment.offset_s
    found = compare(time_s, log.column(column), meter.time_s, meter.column())
    assert found.overlap_s == pytest.approx(14, abs=1)
    assert found.ratio == pytest.approx(ratio, abs=0.001)
    assert found.energy_reference_j == pytest.approx(3715, abs=4)
    assert found.correlation == pytest.approx(r, abs=0.02)
    if averaged:
        assert found.averaging_window_s == pytest.approx(1.0, abs=0.2)
        assert found.correlation_averaged > 0.99
    else:
        assert found.averaging_window_s <= 0.2


def test_records_that_do_not_overlap_are_refused() -> None:
    time = np.arange(0, 10, 0.1)
    with pytest.raises(ValueError, match="do not overlap"):
        align(time, time, time + 1e6, time)


def test_a_constant_record_cannot_be_aligned() -> None:
    time = np.arange(0, 10, 0.1)
    with pytest.raises(ValueError, match="constant"):
        align(time, np.ones_like(time), time, time)
    assert correlation(time, time, time, np.ones_like(time)) == float("-inf")
