"""The idle power of a recorded idle reference, per power column."""

import numpy as np
import numpy.typing as npt

from nic_energy.energy.estimators import COUNTER
from nic_energy.traces import FloatArray, Trace

BLOCKS = 8


def idle_power_w(trace: Trace) -> dict[str, float]:
    """Mean idle power in W per power column, and that of the energy counter under its name.

    The mean is weighted by time. Only samples of the marked idle interval count.
    """
    found: dict[str, float] = {}
    time, inside = _inside(trace)
    for field in trace.meta.meter.power_fields:
        mean = _mean(time[inside], trace.column(field.column)[inside])
        if mean is not None:
            found[field.column] = mean
    slope = _counter_slope(time[inside], trace.column(COUNTER)[inside])
    if slope is not None:
        found[COUNTER] = slope
    return found


def idle_uncertainty_w(trace: Trace) -> dict[str, float]:
    """Standard uncertainty of the mean idle power in W per power column, from block means."""
    _, inside = _inside(trace)
    found: dict[str, float] = {}
    for field in trace.meta.meter.power_fields:
        power = trace.column(field.column)[inside]
        power = power[np.isfinite(power)]
        if len(power) >= 2 * BLOCKS:
            means = [float(block.mean()) for block in np.array_split(power, BLOCKS)]
            found[field.column] = float(np.std(means, ddof=1) / np.sqrt(BLOCKS))
    return found


def _inside(trace: Trace) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    time = trace.column("time_s")
    marks = [mark for mark in trace.meta.intervals if mark.phase == "idle"]
    if not marks:
        return time, np.ones(len(time), dtype=bool)
    return time, (time >= marks[0].start_s) & (time <= marks[0].end_s)


def _mean(time: FloatArray, power: FloatArray) -> float | None:
    usable = np.isfinite(power)
    time, power = time[usable], power[usable]
    if len(power) < 2:
        return None
    steps = np.diff(time)
    return float(np.sum(steps * (power[1:] + power[:-1]) / 2) / np.sum(steps))


def _counter_slope(time: FloatArray, counter: FloatArray) -> float | None:
    usable = np.isfinite(counter)
    time, counter = time[usable], counter[usable]
    ticks = np.flatnonzero(np.diff(counter) != 0) + 1
    if len(ticks) < 2:
        return None
    first, last = ticks[0], ticks[-1]
    return float((counter[last] - counter[first]) / (time[last] - time[first]))
