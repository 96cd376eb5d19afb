"""Energy of one window, by three estimators that stand side by side.

All work on plain arrays: times in s on the monotonic clock, power in W, shape (samples,). Idle
is subtracted like from like: power from the same column, counter from the counter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nic_energy.traces import FloatArray, PowerField, Sample, Trace, Window
from nic_energy.vocabulary import EstimatorName

COUNTER = "energy_counter_j"
MAX_GAP_S = 1.0
"""A reading that did not change for longer than this is taken as a reading again: a steady
device, not a sensor that has stopped."""

READING_SHARE = 0.9
"""Stamps that change in more than this share of the readings may be those of the readings: they
tell no repeat from a new value."""

STAMP_ROUNDING_S = 1e-3
"""By so much one stamp, read twice, may seem to move: two clocks are read one after the other."""

SETTLED_READINGS = 3
"""The clocks before and after a reading are compared over so many readings."""

MAX_AGE_S = 2.0
"""A driver's time stamp older than this belongs to no reading of ours."""


@dataclass(frozen=True)
class WindowEnergy:
    """Gross energy of a window in J, and the time in s over which idle is to be subtracted."""

    energy_gross_j: float
    duration_s: float
    samples: int


def paper_sum(
    time_s: FloatArray, power_w: FloatArray, start_s: float, end_s: float, sampling_hz: float
) -> WindowEnergy:
    """Eq. (1) to the letter: the sum of t_s * P_i over the N samples between the marks.

    Raises:
        ValueError: no sample lies in the window.
    """
    inside = (time_s >= start_s) & (time_s <= end_s) & np.isfinite(power_w)
    count = int(inside.sum())
    if count == 0:
        raise ValueError("no sample lies in the window")
    return WindowEnergy(float(power_w[inside].sum()) / sampling_hz, count / sampling_hz, count)


def trapezoid(
    time_s: FloatArray, power_w: FloatArray, start_s: float, end_s: float, lag_s: float = 0.0
) -> WindowEnergy:
    """The integral of the interpolated power between the marks, edges interpolated.

    Args:
        lag_s: how far the readings trail their time stamps.

    Raises:
        ValueError: the samples do not reach over both marks.
    """
    usable = np.isfinite(power_w)
    time, power = time_s[usable] - lag_s, power_w[usable]
    if len(time) == 0 or time[0] > start_s or time[-1] < end_s:
        raise ValueError("the samples do not reach over both marks of the window")
    inside = (time > start_s) & (time < end_s)
    edges = np.interp([start_s, end_s], time, power)
    t = np.concatenate([[start_s], time[inside], [end_s]])
    p = np.concatenate([edges[:1], power[inside], edges[1:]])
    return WindowEnergy(
        float(np.sum(np.diff(t) * (p[1:] + p[:-1]) / 2)), end_s - start_s, int(inside.sum())
    )


def counter(
    time_s: FloatArray, counter_j: FloatArray, start_s: float, end_s: float
) -> WindowEnergy:
    """Difference of the energy counter, interpolated between its ticks at the marks.

    Raises:
        ValueError: the counter did not tick around both marks, or went backwards.
    """
    usable = np.isfinite(counter_j)
    time, value = time_s[usable], counter_j[usable]
    if len(value) < 2:
        raise ValueError("the energy counter has no readings")
    if (np.diff(value)[(time[1:] > start_s) & (time[:-1] < end_s)] < 0).any():
        raise ValueError("the energy counter went backwards")
    time, value = tick_times(time, value)
    if len(time) < 2 or time[0] > start_s or time[-1] < end_s:
        raise ValueError("the energy counter did not tick around both marks of the window")
    first, last = np.interp([start_s, end_s], time, value)
    inside = int(((time > start_s) & (time < end_s)).sum())
    return WindowEnergy(float(last - first), end_s - start_s, inside)


def tick_times(time_s: FloatArray, counter_j: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(times, values) of the readings at which the counter had ticked since the one before."""
    ticks = np.flatnonzero(np.diff(counter_j) != 0) + 1
    return time_s[ticks], counter_j[ticks]


def stamped(time_s: FloatArray, wall_s: FloatArray, stamp_us: FloatArray) -> FloatArray:
    """Times on the monotonic clock at which the driver says that its readings were taken.

    A stamp that is missing, in the future, or more than `MAX_AGE_S` old is no use: then the time
    of the reading stands.
    """
    age = wall_s - stamp_us * 1e-6
    usable = np.isfinite(age) & (age >= 0) & (age <= MAX_AGE_S)
    return np.asarray(np.where(usable, time_s - np.where(usable, age, 0.0), time_s))


def in_order(moved_s: FloatArray, offset_s: FloatArray) -> FloatArray | None:
    """Times by the stamps, made ascending; None where they are no use, since a clock was set.

    A process that is held up between its two clocks gives one reading too old a time; it takes
    that of the reading before. A clock that was set moves all readings that follow.

    Args:
        moved_s: of `stamped`, shape (readings,). offset_s: wall clock less monotonic clock.
    """
    latest = np.maximum.accumulate(moved_s)
    late = np.flatnonzero(latest - moved_s > STAMP_ROUNDING_S)
    if (np.diff(late) == 1).any():
        return None
    for index in late:
        before = offset_s[max(index - SETTLED_READINGS, 0) : index]
        after = offset_s[index + 1 : index + 1 + SETTLED_READINGS]
        if len(after) and abs(np.median(after) - np.median(before)) > STAMP_ROUNDING_S:
            return None
    return latest


def fresh(
    time_s: FloatArray, power_w: FloatArray, stamp: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Without the repeated readings of a sensor that updates more slowly than it is polled.

    A reading repeats the one before it if value and the sensor's own time stamp are the same; the
    value alone decides where there is no stamp, or one that is new at every reading. Equal values
    are dropped only within `MAX_GAP_S` of the reading they repeat, so that a steady device keeps
    its samples. The last reading always stays, so that the record ends where it ended.
    """
    if len(power_w) < 3:
        return time_s, power_w
    same = np.diff(power_w) == 0
    if stamp is not None and np.isfinite(stamp).all():
        ticked = np.diff(stamp) != 0
        if ticked.mean() <= READING_SHARE:
            same &= ~ticked
    keep = np.ones(len(power_w), dtype=bool)
    last = time_s[0]
    for index in range(1, len(power_w) - 1):
        if same[index - 1] and time_s[index] - last < MAX_GAP_S:
            keep[index] = False
        else:
            last = time_s[index]
    return time_s[keep], power_w[keep]


def prepared(
    time_s: FloatArray, power_w: FloatArray, field: PowerField, stamp: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Readings of a power field at the times they stand for, ready for `trapezoid`.

    The mean over an interval stands for its middle; an instant or averaged reading for its time
    stamp less the lag of the field, where that is known.
    """
    usable = np.isfinite(power_w)
    if field.kind == "interval_mean":
        before = np.concatenate([time_s[:1], time_s[:-1]])
        return ((time_s + before) / 2)[usable], power_w[usable]
    stamp = None if stamp is None else stamp[usable]
    time, power = fresh(time_s[usable], power_w[usable], stamp)
    return time - (field.lag_s or 0.0), power


def trapezoid_of(
    samples: Sequence[Sample], field: PowerField, start_s: float, end_s: float
) -> WindowEnergy:
    """`trapezoid` on readings that are not yet a trace.

    Raises:
        ValueError: see `trapezoid`.
    """
    readings = _readings(lambda name: _array(samples, name), field)
    return trapezoid(*readings, start_s, end_s)


def _array(samples: Sequence[Sample], name: str) -> FloatArray:
    values = (sample.get(name) for sample in samples)
    return np.array([np.nan if v is None else float(v) for v in values], dtype=float)


def field_readings(trace: Trace, field: PowerField) -> tuple[FloatArray, FloatArray]:
    """(times, powers) of a power column, ready for `trapezoid`."""
    return _readings(trace.column, field)


def _readings(
    column: Callable[[str], FloatArray], field: PowerField
) -> tuple[FloatArray, FloatArray]:
    time, power = column("time_s"), column(field.column)
    stamps = STAMPS.get(field.column)
    if stamps is None:
        return prepared(time, power, field)
    stamp, wall = column(stamps), column("wall_time_s")
    moved = in_order(stamped(time, wall, stamp), wall - time)
    return prepared(time if moved is None else moved, power, field, stamp)


def window_energies(
    trace: Trace, window: Window, field: PowerField
) -> Mapping[EstimatorName, WindowEnergy]:
    """Every estimator that the trace allows for a window."""
    time, power = trace.column("time_s"), trace.column(field.column)
    readings = field_readings(trace, field)
    hz = trace.meta.sampling_hz
    marks = (window.start_s, window.end_s)
    attempts: dict[EstimatorName, Callable[[], WindowEnergy]] = {
        "paper_sum": lambda: paper_sum(time, power, *marks, hz),
        "trapezoid": lambda: trapezoid(*readings, *marks),
        "counter": lambda: counter(time, trace.column(COUNTER), *marks),
    }
    found: dict[EstimatorName, WindowEnergy] = {}
    for name, attempt in attempts.items():
        try:
            found[name] = attempt()
        except ValueError:
            continue
    return found


STAMPS = {
    "power_instant_w": "power_instant_time_us",
    "power_average_w": "power_average_time_us",
}


def execution_energy(
    energy: WindowEnergy, idle_power_w: float, executions: int
) -> tuple[float, float]:
    """(dynamic, gross) energy of one execution in J: Eq. (1) for one window."""
    gross = energy.energy_gross_j
    return (gross - idle_power_w * energy.duration_s) / executions, gross / executions
