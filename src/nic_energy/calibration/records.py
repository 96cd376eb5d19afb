"""Power over time as a record that can be integrated between any two times.

Between two nodes the power goes in a straight line (readings of the moment) or is constant
(means over an interval, differences of an energy), or nobody knows it (a gap). The energy is then
known in closed form, so that records of any rates are compared without resampling.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nic_energy.errors import InputError
from nic_energy.external import PowerLog
from nic_energy.traces import FloatArray

GAP_STEPS = 3.0
"""A step longer than so many median steps is a gap."""

LEAST_GAP_S = 0.25
"""A shorter step is none, however fast a log is otherwise."""

KNOWN_SHARE = 1 - 1e-6
LEAST_STEPS = 2
"""So many whole steps are needed to tell a mean power."""


class PowerRecord:
    """Power between nodes.

    Args:
        time_s: nodes in s, ascending, shape (n,), n at least 2.
        first_w: power just after each node but the last, shape (n - 1,), NaN = not known.
        last_w: power just before each node but the first, shape (n - 1,).
    """

    def __init__(self, time_s: FloatArray, first_w: FloatArray, last_w: FloatArray) -> None:
        self.time_s, self._first, self._last = time_s, first_w, last_w
        self._steps = np.diff(time_s)
        self._mean = (first_w + last_w) / 2
        self._slope = (last_w - first_w) / self._steps
        known = np.isfinite(self._mean)
        self._energy = _summed(np.where(known, self._mean * self._steps, 0.0))
        self._known = _summed(known * self._steps)

    @property
    def start_s(self) -> float:
        """The first node."""
        return float(self.time_s[0])

    @property
    def end_s(self) -> float:
        """The last node."""
        return float(self.time_s[-1])

    @property
    def known_s(self) -> float:
        """For how long the power is known."""
        return float(self._known[-1])

    @property
    def step_s(self) -> float:
        """The median step."""
        return float(np.median(self._steps))

    def shifted(self, seconds: float) -> "PowerRecord":
        """The same later by so many seconds."""
        return PowerRecord(self.time_s + seconds, self._first, self._last)

    def energy_j(self, time_s: FloatArray) -> FloatArray:
        """Energy from the first node to times in J, gaps left out; constant beyond the ends."""
        index = self._index(time_s)
        since = np.clip(time_s - self.time_s[index], 0.0, self._steps[index])
        part = since * (self._first[index] + self._slope[index] * since / 2)
        return np.asarray(self._energy[index] + np.where(np.isfinite(part), part, 0.0))

    def power_w(self, time_s: FloatArray) -> FloatArray:
        """Power at times; NaN where it is not known."""
        index = self._index(time_s)
        since = time_s - self.time_s[index]
        inside = (time_s >= self.start_s) & (time_s <= self.end_s)
        return np.asarray(np.where(inside, self._first[index] + self._slope[index] * since, np.nan))

    def covered_s(self, start_s: FloatArray, end_s: FloatArray) -> FloatArray:
        """For how long between two times the power is known."""
        known = np.interp([start_s, end_s], self.time_s, self._known)
        return np.asarray(known[1] - known[0])

    def mean_w(self, start_s: FloatArray, end_s: FloatArray) -> FloatArray:
        """Mean power between two times; NaN where it is not known throughout."""
        lasted = end_s - start_s
        whole = self.covered_s(start_s, end_s) >= KNOWN_SHARE * lasted
        mean = (self.energy_j(end_s) - self.energy_j(start_s)) / lasted
        return np.asarray(np.where(whole, mean, np.nan))

    def steady_w(
        self,
        start_s: FloatArray,
        end_s: FloatArray,
        before_s: float = 0.0,
        after_s: float = 0.0,
    ) -> FloatArray:
        """Mean power between two times, of a load that began `before_s` earlier and went on for
        `after_s`.

        A step that reaches over an edge to where there was no load is no measure of it; the step
        next to it inside stands in. NaN where fewer than two whole steps lie inside, or not all
        are known.
        """
        first = np.searchsorted(self.time_s, start_s, side="left")
        last = np.searchsorted(self.time_s, end_s, side="right") - 1
        usable = (last - first >= LEAST_STEPS) & (self.time_s[0] <= start_s)
        usable &= self.time_s[-1] >= end_s
        first = np.where(usable, first, 0)
        last = np.where(usable, last, min(LEAST_STEPS, len(self._steps)))
        begin, end = self.time_s[first], self.time_s[last]
        usable &= self._known[last] - self._known[first] >= KNOWN_SHARE * (end - begin)
        head = self._edge(first, np.maximum(first - 1, 0), start_s - before_s)
        beyond = np.minimum(last, len(self._steps) - 1)
        tail = self._edge(last - 1, beyond, -end_s - after_s)
        energy = self._energy[last] - self._energy[first]
        energy = energy + (begin - start_s) * head + (end_s - end) * tail
        lasted = np.maximum(end_s - start_s, 1e-12)
        return np.asarray(np.where(usable, energy / lasted, np.nan))

    def _edge(
        self, inside: npt.NDArray[np.int64], over: npt.NDArray[np.int64], limit_s: FloatArray
    ) -> FloatArray:
        """Mean power of the steps over an edge where they end within the load, else of those
        inside. `limit_s`: where the load began; less where it ended.
        """
        reaches = np.where(over < inside, self.time_s[over], -self.time_s[over + 1])
        fits = (reaches >= limit_s) & np.isfinite(self._mean[over])
        return np.asarray(np.where(fits, self._mean[over], self._mean[inside]))

    def _index(self, time_s: FloatArray) -> npt.NDArray[np.int64]:
        after = np.searchsorted(self.time_s, time_s, side="right")
        return np.clip(after - 1, 0, len(self._steps) - 1)


def _summed(values: FloatArray) -> FloatArray:
    return np.concatenate([[0.0], np.cumsum(values)])


def gap_limit_s(time_s: FloatArray) -> float:
    """The longest step that is no gap."""
    steps = np.diff(time_s)
    return max(GAP_STEPS * float(np.median(steps)), LEAST_GAP_S)


def of_readings(time_s: FloatArray, power_w: FloatArray) -> PowerRecord:
    """A record of readings of the moment, shapes (n,); NaN and all but the last of equal times are
    left out.

    Raises:
        ValueError: fewer than two are left.
    """
    usable = np.isfinite(power_w)
    time, power = time_s[usable], power_w[usable]
    keep = np.append(np.diff(time) > 0, True)
    time, power = time[keep], power[keep]
    if len(time) < 2:
        raise ValueError("fewer than two readings")
    gap = np.diff(time) > gap_limit_s(time)
    return PowerRecord(time, np.where(gap, np.nan, power[:-1]), np.where(gap, np.nan, power[1:]))


def of_means(time_s: FloatArray, mean_w: FloatArray) -> PowerRecord:
    """A record of mean powers, shape (n - 1,), between nodes, shape (n,); NaN = not known."""
    keep = np.append(np.diff(time_s) > 0, True)
    # A step of no length goes with the mean that belongs to it.
    time, mean = time_s[keep], mean_w[keep[:-1]]
    gap = np.diff(time) > gap_limit_s(time)
    mean = np.where(gap, np.nan, mean)
    return PowerRecord(time, mean, mean)


def of_log(log: PowerLog, column: str | None = None) -> PowerRecord:
    """The record of a column of a log.

    Raises:
        InputError: a counter of energy goes backwards, or there are too few readings; names file
            and line.
    """
    values, time = log.column(column), log.time_s
    try:
        if log.quantity != "power":
            return _of_energy(log, values)
        if log.reading == "instant":
            return of_readings(time, values)
    except ValueError as error:
        raise InputError(f"{log.path}: {log.name(column)} has {error}.") from None
    if log.reading == "mean_before":
        return of_means(time, values[1:])
    # The last mean has no end of its own: it is taken to last as long as the others.
    return of_means(np.append(time, time[-1] + float(np.median(np.diff(time)))), values)


def _of_energy(log: PowerLog, values: FloatArray) -> PowerRecord:
    usable = np.isfinite(values)
    if usable.sum() < 2:
        raise ValueError("fewer than two readings")
    if log.quantity == "interval":
        return _of_counter(log.time_s, np.cumsum(np.nan_to_num(values)), ~usable)
    back = np.flatnonzero(np.diff(values[usable]) < 0)
    if len(back):
        rows = np.flatnonzero(usable)[[back[0], back[0] + 1]]
        raise InputError(
            f"{log.where(int(rows[1]))}: the energy goes back by "
            f"{values[rows[0]] - values[rows[1]]:.6g} J. A counter that starts anew: give the "
            "parts as files of their own; the energy of every row: energy_kind: interval."
        )
    return _of_counter(log.time_s[usable], values[usable], np.zeros(int(usable.sum()), dtype=bool))


def _of_counter(
    time_s: FloatArray, counted_j: FloatArray, lost: npt.NDArray[np.bool_]
) -> PowerRecord:
    """A record from a counter; of equal times the last counts. What leads to a `lost` value is not
    known.
    """
    keep = np.flatnonzero(np.append(np.diff(time_s) > 0, True))
    unknown = np.logical_or.reduceat(lost, np.concatenate([[0], keep[:-1] + 1]))[1:]
    time, counted = time_s[keep], counted_j[keep]
    return of_means(time, np.where(unknown, np.nan, np.diff(counted) / np.diff(time)))


def joined(records: Sequence[PowerRecord]) -> PowerRecord:
    """Records one after the other, nothing known in between.

    Raises:
        ValueError: one begins before the one before it ended.
    """
    ordered = sorted(records, key=lambda record: record.start_s)
    times, first, last = [], [], []
    for number, record in enumerate(ordered):
        if number and record.start_s <= ordered[number - 1].end_s:
            raise ValueError("the records overlap")
        if number:
            first.append(np.array([np.nan]))
            last.append(np.array([np.nan]))
        times.append(record.time_s)
        first.append(record._first)
        last.append(record._last)
    return PowerRecord(np.concatenate(times), np.concatenate(first), np.concatenate(last))
