"""When a polled sensor took new values, and how often it does.

A sensor that is polled faster than it updates shows each value several times. An update lies
between the reading that showed the old value and the one that shows the new one, or, where the
driver stamps its values, at the time stamp.
"""

import math
from dataclasses import dataclass

import numpy as np

from nic_energy.energy.estimators import MAX_AGE_S, READING_SHARE
from nic_energy.traces import BoolArray, FloatArray

LEAST_UPDATES = 30
"""Fewer updates say nothing about their period."""

LEAST_POLLS = 1.8
"""Fewer readings per update cannot tell one update from two."""

SHORT = 0.7
SHORT_SHARE = 0.1
MOST_SKIPPED = 4
TOLERANCE = 0.3
REGULAR_SHARE = 0.8
"""At least this share of the intervals must be a whole number of periods."""

BLOCKS = 8
GAP = 3.0

AGREEMENT = 0.95
ROUNDING_S = 0.001
"""A stamp of an update just now may lie this far ahead of the reading's clock."""


@dataclass(frozen=True)
class Updates:
    """Updates of a column, each between `earliest_s` and `latest_s`, which are equal where the
    driver stamps its updates; shapes (updates,). `polling_s` is the typical time between two
    readings.
    """

    earliest_s: FloatArray
    latest_s: FloatArray
    values: FloatArray
    polling_s: float
    stamped: bool = False

    @property
    def time_s(self) -> FloatArray:
        """The likeliest time of each update."""
        return (self.earliest_s + self.latest_s) / 2


@dataclass(frozen=True)
class Period:
    """Update period in s, its standard uncertainty, and the standard deviation of single
    intervals that is not due to the polling.
    """

    period_s: float
    u_s: float
    jitter_s: float


class UndeterminedError(ValueError):
    """A figure that the record does not give; the message is the reason, for people."""


def find_updates(
    time_s: FloatArray,
    values: FloatArray,
    wall_s: FloatArray | None = None,
    stamp_us: FloatArray | None = None,
) -> Updates:
    """The updates of a column.

    Two equal values in a row are one update, unless time stamps tell them apart. An update that
    falls into a gap of the record is left out.

    Args:
        time_s: times of the readings on the monotonic clock, shape (readings,).
        values: what they showed; NaN where nothing was read.
        wall_s: their Unix times. stamp_us: the driver's own time stamps in µs, where it has any.

    Raises:
        UndeterminedError: there are no readings.
    """
    usable = np.isfinite(values)
    if int(usable.sum()) < 2:
        raise UndeterminedError("the column has no readings")
    time, value = time_s[usable], values[usable]
    polling = float(np.median(np.diff(time)))
    changed = np.diff(value) != 0
    stamps = None
    if wall_s is not None and stamp_us is not None:
        stamps = _update_stamps(time, wall_s[usable], stamp_us[usable], changed)
    if stamps is not None:
        new = np.flatnonzero(np.diff(stamp_us[usable]) != 0) + 1  # type: ignore[index]
        return Updates(stamps[new], stamps[new], value[new], polling, stamped=True)
    new = np.flatnonzero(changed & (np.diff(time) < GAP * polling)) + 1
    return Updates(time[new - 1], time[new], value[new], polling)


def _update_stamps(
    time: FloatArray, wall: FloatArray, stamp_us: FloatArray, changed: FloatArray
) -> FloatArray | None:
    """Stamps on the monotonic clock, None where they are not those of updates: where they change
    with every reading, where values change without them, or where they are no plausible times.
    """
    age = wall - stamp_us * 1e-6
    if not np.isfinite(age).all() or age.min() < -ROUNDING_S or age.max() > MAX_AGE_S:
        return None
    ticked = np.diff(stamp_us) != 0
    if ticked.mean() > READING_SHARE or not ticked.any() or not changed.any():
        return None
    if (ticked & changed).sum() < AGREEMENT * changed.sum():
        return None
    return np.asarray(time - age)


def period_of(updates: Updates) -> Period:
    """The update period.

    Intervals that span several periods, since equal values hide updates, count as so many; what
    is no multiple is left out. The uncertainty is from the scatter of the means of blocks.

    Raises:
        UndeterminedError: too few updates, or updates faster than the polling.
    """
    count = len(updates.values)
    if count < LEAST_UPDATES:
        raise UndeterminedError(f"only {count} updates were seen, fewer than {LEAST_UPDATES}")
    intervals = np.diff(updates.time_s)
    intervals = intervals[intervals > 0]
    period = _shortest_common(intervals)
    if period < LEAST_POLLS * updates.polling_s:
        raise UndeterminedError(
            "it shows a new value at nearly every reading, so it updates at least as often as it "
            f"was polled, every {1e3 * updates.polling_s:.1f} ms"
        )
    number, fits = _numbered(intervals, period)
    counted = int((number <= MOST_SKIPPED).sum())
    if int(fits.sum()) < max(REGULAR_SHARE * counted, LEAST_UPDATES / 2):
        raise UndeterminedError("its updates come at no regular intervals")
    period = float(intervals[fits].sum() / number[fits].sum())
    number, fits = _numbered(intervals, period)
    kept, counts = intervals[fits], number[fits]
    single = kept[counts == 1]
    polled = 0.0 if updates.stamped else updates.polling_s / math.sqrt(6)
    scatter = float(np.std(single, ddof=1)) if len(single) > 1 else 0.0
    pieces = zip(np.array_split(kept, BLOCKS), np.array_split(counts, BLOCKS), strict=True)
    means = [float(length.sum() / steps.sum()) for length, steps in pieces]
    return Period(
        float(kept.sum() / counts.sum()),
        float(np.std(means, ddof=1) / math.sqrt(BLOCKS)),
        math.sqrt(max(0.0, scatter**2 - polled**2)),
    )


def _shortest_common(intervals: FloatArray) -> float:
    """The typical interval; where a good share is much shorter, that of the short ones."""
    typical = float(np.median(intervals))
    for _ in range(8):
        short = intervals[intervals < SHORT * typical]
        if len(short) <= SHORT_SHARE * len(intervals):
            break
        typical = float(np.median(short))
    return typical


def _numbered(intervals: FloatArray, period: float) -> tuple[FloatArray, BoolArray]:
    """(periods that each interval spans, whether it spans a whole and small number)."""
    number = np.maximum(np.round(intervals / period), 1.0)
    fits = (number <= MOST_SKIPPED) & (np.abs(intervals - number * period) < TOLERANCE * period)
    return number, fits
