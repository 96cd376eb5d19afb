"""A meter's log brought onto the time of a campaign."""

import logging
from pathlib import Path

import numpy as np

from nic_energy.calibration.clock import (
    Clock,
    ClockStep,
    Stretch,
    fit_clock,
    reach_s,
    stretch_offset,
)
from nic_energy.calibration.coarse import Coarse, coarse_offset
from nic_energy.calibration.records import PowerRecord
from nic_energy.calibration.runs import Run, SensorSide, sensor_record
from nic_energy.errors import InputError
from nic_energy.external import PowerLog
from nic_energy.traces import read_trace

log = logging.getLogger(__name__)

MOST_STRETCHES = 150
"""So many traces, evenly spread, tell the clock well enough."""

SENSOR = "the campaign"


def synchronise(
    sensor: SensorSide,
    meter: PowerRecord,
    source: PowerLog,
    column: str,
    max_clock_s: float,
    zones: bool,
) -> tuple[Coarse, Clock]:
    """Find time zone, offset and drift of the meter's clock.

    Args:
        source: the log that `meter` is the record of, for messages. column: the power column of
            the traces.

    Raises:
        InputError: see `coarse_offset`; or the clock jumps in mid-campaign.
    """
    coarse = coarse_offset(sensor.record, meter, (SENSOR, source.path), max_clock_s, zones)
    span = float(sensor.record.end_s - sensor.record.start_s)
    found: list[Stretch] = []
    for run in _spread(sensor.runs):
        stretch = _stretch(run, sensor.epochs[run.session], meter, column, coarse, span)
        if stretch is not None:
            found.append(stretch)
    try:
        clock = fit_clock(found)
    except ValueError as error:
        raise InputError(f"{source.path}: {error}; does it cover the campaign?") from None
    if isinstance(clock, ClockStep):
        raise InputError(_step_message(clock, source, coarse))
    log.info(
        "the meter's clock is %.3f s ahead beside a time zone of %.2f h, drift %.3g ppm, "
        "from %d traces that scatter by %.3f s",
        clock.offset_s - coarse.time_zone_s,
        coarse.time_zone_s / 3600,
        1e6 * clock.drift,
        clock.stretches,
        clock.scatter_s,
    )
    return coarse, clock


def _spread(runs: tuple[Run, ...]) -> list[Run]:
    if len(runs) <= MOST_STRETCHES:
        return list(runs)
    chosen = np.unique(np.linspace(0, len(runs) - 1, MOST_STRETCHES).round().astype(int))
    return [runs[index] for index in chosen]


def _stretch(
    run: Run, epoch_s: float, meter: PowerRecord, column: str, coarse: Coarse, span_s: float
) -> Stretch | None:
    record = sensor_record(Path(run.path), read_trace(run.path), column).shifted(epoch_s)
    return stretch_offset(
        record, meter, record.start_s, record.end_s, coarse.offset_s, reach_s(span_s)
    )


def _step_message(step: ClockStep, source: PowerLog, coarse: Coarse) -> str:
    at = step.time_s + coarse.offset_s
    row = int(np.clip(np.searchsorted(source.time_s, at), 0, len(source.time_s) - 1))
    return (
        f"{source.where(row)} or soon after: the clock jumps by {step.step_s:+.3f} s against the "
        "campaign's. Give the parts of the log before and after as campaigns of their own, and "
        "keep the instrument's clock from being set (time server) while it logs."
    )
