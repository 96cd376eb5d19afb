"""The readings of a trace, prepared once for all windows and estimators."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np

from nic_energy.energy.estimators import (
    COUNTER,
    WindowEnergy,
    counter,
    field_readings,
    paper_sum,
    tick_times,
    trapezoid,
)
from nic_energy.traces import FloatArray, PowerField, Trace, Window
from nic_energy.vocabulary import EstimatorName

REACH = 3.0
"""The power at a mark is taken over this many readings to each side."""


class Readings:
    """A trace read through one power field.

    Args:
        trace: samples and metadata.
        field: the power column that is integrated.
        windows: those of its windows that matter.
    """

    def __init__(self, trace: Trace, field: PowerField, windows: Sequence[Window]) -> None:
        self.trace = trace
        self.field = field
        self.windows = tuple(windows)

    @cached_property
    def time_s(self) -> FloatArray:
        """Times of all samples in s, shape (samples,)."""
        return self.trace.column("time_s")

    @cached_property
    def power_w(self) -> FloatArray:
        """The power column in W, shape (samples,); NaN where the sensor gave nothing."""
        return self.trace.column(self.field.column)

    @cached_property
    def prepared(self) -> tuple[FloatArray, FloatArray]:
        """(times, powers) without repeated readings, at the times they stand for."""
        return field_readings(self.trace, self.field)

    @cached_property
    def period_s(self) -> float:
        """Median spacing of the prepared readings in s; 0 where there are fewer than two."""
        time_s, _ = self.prepared
        return float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0

    @cached_property
    def ticks(self) -> tuple[FloatArray, FloatArray]:
        """(times in s, values in J) at which the energy counter had ticked."""
        value = self.trace.column(COUNTER)
        usable = np.isfinite(value)
        return tick_times(self.time_s[usable], value[usable])

    @cached_property
    def levels_w(self) -> FloatArray:
        """Power before and after the marks, shape (windows, start and end, 2)."""
        reach = REACH * self.period_s
        steps = [
            [self._level_w(mark, side * reach) for side in (-1, 1)]
            for window in self.windows
            for mark in (window.start_s, window.end_s)
        ]
        return np.asarray(np.nan_to_num(np.array(steps).reshape(len(self.windows), 2, 2)))

    def _level_w(self, mark: float, reach: float) -> float:
        """Mean power between a mark and `reach` s beside it; the nearest reading where none lies
        there.
        """
        time, power_w = self.prepared
        inside = power_w[between(time, *sorted((mark, mark + reach)))]
        if len(inside):
            return float(inside.mean())
        return float(np.interp(mark, time, power_w)) if len(time) else math.nan

    def during(self, window: Window, values: FloatArray) -> FloatArray:
        """Those of the values, shape (samples,), that were read between the marks of a window."""
        return values[between(self.time_s, window.start_s, window.end_s)]

    def energies(self, window: Window) -> Mapping[EstimatorName, WindowEnergy]:
        """Every estimator that the trace allows for a window."""
        hz, marks = self.trace.meta.sampling_hz, (window.start_s, window.end_s)
        attempts: dict[EstimatorName, Callable[[], WindowEnergy]] = {
            "paper_sum": lambda: paper_sum(self.time_s, self.power_w, *marks, hz),
            "trapezoid": lambda: trapezoid(*self.prepared, *marks),
            "counter": lambda: counter(self.time_s, self.trace.column(COUNTER), *marks),
        }
        found: dict[EstimatorName, WindowEnergy] = {}
        for name, attempt in attempts.items():
            try:
                found[name] = attempt()
            except ValueError:
                continue
        return found


def between(time_s: FloatArray, first_s: float, last_s: float) -> slice:
    """Where ascending times lie from `first_s` to `last_s`, both included."""
    begin, end = np.searchsorted(time_s, first_s, "left"), np.searchsorted(time_s, last_s, "right")
    return slice(int(begin), int(end))
