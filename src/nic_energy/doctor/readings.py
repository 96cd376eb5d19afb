"""What a stretch of readings says of the sensors: whether they live, how often they update,
whether counter and power agree.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nic_energy.doctor.facts import Column, Counter, Readings
from nic_energy.energy.estimators import COUNTER, STAMPS, prepared, tick_times, trapezoid
from nic_energy.energy.passport_updates import UndeterminedError, find_updates, period_of
from nic_energy.traces import FloatArray, PowerField

SLOWDOWN = (
    "throttle_thermal_policy_ns",
    "throttle_sw_thermal_ns",
    "throttle_hw_thermal_ns",
    "throttle_power_brake_ns",
)
"""Counters whose growth makes a window inadmissible; the power cap's is normal."""

Samples = Sequence[Mapping[str, Any]]


def readings_of(
    samples: Samples,
    fields: Sequence[PowerField],
    power_field: str,
    error: str | None = None,
    hung: str | None = None,
) -> Readings:
    """Sum up what was read.

    Args:
        samples: readings in order of time, with `time_s`, `wall_time_s` and `read_duration_s`.
        fields: the power columns that the meter fills, the preferred one first.
        power_field: the column that the campaign integrates, or `auto`.
    """
    if not samples:
        return Readings(error=error, hung=hung)
    series = {name: array(samples, name) for name in _names(samples)}
    time = series["time_s"]
    preferred = _preferred(fields, power_field)
    read = series["read_duration_s"]
    wall = series["wall_time_s"] - time
    before, growth = _slowdown(series)
    reasons = series.get("throttle_reasons")
    return Readings(
        seconds=float(time[-1] - time[0]),
        samples=len(time),
        columns=tuple(column_of(series, each) for each in fields if _some(series.get(each.column))),
        preferred=preferred.column if preferred else None,
        counter=counter_of(series, preferred),
        temperature_c=_extremes(series.get("temperature_c")),
        utilization_percent=_mean(series.get("utilization_percent")),
        read_p99_s=float(np.quantile(read, 0.99)),
        read_most_s=float(read.max()),
        slowdown_ns=growth,
        slowdown_before_ns=before,
        throttle_reasons=0 if reasons is None else _or(reasons),
        clock_step_s=float(wall.max() - wall.min()),
        error=error,
        hung=hung,
    )


def array(samples: Samples, name: str) -> FloatArray:
    """A column as float64, shape (samples,); missing is NaN."""
    values = (sample.get(name) for sample in samples)
    return np.array([np.nan if v is None else float(v) for v in values], dtype=float)


def _names(samples: Samples) -> list[str]:
    return sorted({name for sample in samples for name in sample})


def _preferred(fields: Sequence[PowerField], name: str) -> PowerField | None:
    return next((each for each in fields if name in ("auto", each.column)), None)


def _some(values: FloatArray | None) -> bool:
    return values is not None and bool(np.isfinite(values).any())


def _extremes(values: FloatArray | None) -> tuple[float, float] | None:
    if values is None or not _some(values):
        return None
    return float(np.nanmin(values)), float(np.nanmax(values))


def _mean(values: FloatArray | None) -> float | None:
    return float(np.nanmean(values)) if values is not None and _some(values) else None


def _or(masks: FloatArray) -> int:
    return int(np.bitwise_or.reduce(masks[np.isfinite(masks)].astype(np.int64), initial=0))


def _slowdown(series: Mapping[str, FloatArray]) -> tuple[dict[str, int], dict[str, int]]:
    """(slowdown counters at the beginning, by how much they grew)."""
    before, growth = {}, {}
    for name in SLOWDOWN:
        values = series.get(name)
        if values is not None and _some(values):
            known = values[np.isfinite(values)]
            before[name], growth[name] = int(known[0]), int(known[-1] - known[0])
    return before, growth


def column_of(series: Mapping[str, FloatArray], field: PowerField) -> Column:
    """How a power column behaved."""
    power, time = series[field.column], series["time_s"]
    usable = np.isfinite(power)
    known = power[usable]
    period = jitter = reason = None
    stamps = STAMPS.get(field.column)
    try:
        found = period_of(
            find_updates(time, power, series["wall_time_s"], series.get(stamps) if stamps else None)
        )
        period, jitter = found.period_s, found.jitter_s
    except UndeterminedError as error:
        reason = str(error)
    return Column(
        column=field.column,
        kind=field.kind,
        readings=len(known),
        distinct=len(np.unique(known)),
        least_w=float(known.min()),
        mean_w=float(known.mean()),
        most_w=float(known.max()),
        still_s=_still(time[usable], known),
        update_period_s=period,
        update_jitter_s=jitter,
        period_reason=reason,
    )


def _still(time: FloatArray, values: FloatArray) -> float:
    """The longest time without a new value."""
    changes = time[np.flatnonzero(np.diff(values)) + 1]
    return float(np.diff(np.concatenate([time[:1], changes, time[-1:]])).max())


def counter_of(series: Mapping[str, FloatArray], field: PowerField | None) -> Counter | None:
    """The energy counter beside the integral of a power column; None where there is no counter."""
    values, time = series.get(COUNTER), series["time_s"]
    if values is None or not _some(values):
        return None
    usable = np.isfinite(values)
    fell = bool((np.diff(values[usable]) < 0).any())
    at, counted = tick_times(time[usable], values[usable])
    if len(at) < 3 or fell or field is None or not _some(series.get(field.column)):
        return Counter(ticks=len(at), fell=fell)
    power = series[field.column]
    known = np.isfinite(power)
    begin, end = float(at[0]), float(at[-1])
    moment, watts = prepared(time[known], power[known], field)
    try:
        integral = trapezoid(moment, watts, begin, min(end, float(moment[-1])))
    except ValueError:
        return Counter(ticks=len(at))
    counted_j = float(np.interp(begin + integral.duration_s, at, counted) - counted[0])
    return Counter(
        ticks=len(at),
        tick_s=float(np.median(np.diff(at))),
        column=field.column,
        duration_s=integral.duration_s,
        counter_j=counted_j,
        integral_j=integral.energy_gross_j,
    )
