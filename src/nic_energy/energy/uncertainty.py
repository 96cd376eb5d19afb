"""The uncertainty budget of an energy, in the vocabulary of the GUM (JCGM 100:2008).

Components, each a standard uncertainty in J of the energy of one execution:

- `repeatability` (type A): scatter of the windows, s / sqrt(K), with s moderated by that of the
  whole campaign, inflated where the campaign's windows are autocorrelated; what the edges explain
  of it is shown apart;
- `trend` (type A): where the campaign's windows drift, what that may change the mean of a run. All
  modalities share the trend, so that it moves all rows alike, in proportion to their energies;
- `edges`: what the marks cannot place between two readings or two ticks of the counter;
- `idle` (type A): of the idle power that was subtracted, times the time of an execution. With
  the cold reference it is common to all rows of the campaign;
- `temperature`: how far the windows' temperatures lie apart, times what a kelvin changes;
- `gain` (type B): of the calibration, where there is one. Common to all rows too;
- `disagreement` (type B): where counter and integrated power differ by more than both can be
  wrong, one of them is, and nobody knows which: the truth lies anywhere within their distance.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nic_energy.energy.readings import Readings
from nic_energy.statistics.gum import Budget, Component
from nic_energy.traces import FloatArray, PowerField
from nic_energy.vocabulary import EstimatorName

RECTANGULAR = math.sqrt(12)
"""A value known within an interval has its width over this as standard uncertainty (4.3.7)."""

COUNT_ROUNDING = 1e-6

LEAST_KELVIN_SQUARED = 1.0
"""Less than this sum of squared temperature deviations says nothing about temperature."""


@dataclass(frozen=True)
class Edges:
    """Standard uncertainties of the gross energy of windows in J: `windows_j` of each window on
    its own, shape (windows,), new in every window; `common_j` what all windows share.
    """

    windows_j: FloatArray
    common_j: float


def edges_of(readings: Readings, estimator: EstimatorName, idle_w: float) -> Edges:
    """What the marks of the windows leave open.

    `trapezoid`: the power just before and just after a mark differ by a step whose time is known
    only to a reading. `counter`: the age of a tick at each mark. `paper_sum`: N jumps by one. All
    windows share how far readings trail their times, which matters as far as the power before
    the end differs from that before the start; and with `paper_sum` the readings that are not
    there, which Eq. (1) takes as time that did not pass.
    """
    field, period = readings.field, readings.period_s
    levels = readings.levels_w
    shift_w = abs(float(np.mean(levels[:, 1, 0] - levels[:, 0, 0])))
    lag_u_s = _latest_lag_periods(field) * period / math.sqrt(3)
    if estimator == "paper_sum":
        spacing = 1 / readings.trace.meta.sampling_hz
        power = np.abs(_mean_power(readings) - idle_w)
        uncorrected = math.hypot(lag_u_s, field.lag_s or 0.0)
        lost_j = float(np.mean(power * spacing * _miscounted(readings)))
        common_j = math.hypot(shift_w * uncorrected, lost_j)
        return Edges(power * spacing / math.sqrt(6), common_j)
    if estimator == "counter":
        age_s, counted_w = _counter_age_s(readings), _counter_power(readings)
        return Edges(counted_w * age_s / math.sqrt(6), shift_w * age_s / 2)
    jumps = levels[:, :, 1] - levels[:, :, 0]
    return Edges(np.hypot(jumps[:, 0], jumps[:, 1]) * period / RECTANGULAR, shift_w * lag_u_s)


def _miscounted(readings: Readings) -> FloatArray:
    """By how many readings each window has fewer or more than its duration asks for, shape
    (windows,); 0 where it is no more than the one by which N jumps.
    """
    hz = readings.trace.meta.sampling_hz
    count = [np.isfinite(readings.during(w, readings.power_w)).sum() for w in readings.windows]
    off = np.abs(np.array(count) - hz * np.array([w.duration_s for w in readings.windows]))
    return np.where(off > 1 + COUNT_ROUNDING, off, 0.0)


def _latest_lag_periods(field: PowerField) -> float:
    """The most by which a reading trails the time it is given, in update periods: the mean over
    an interval is placed to half a period; any other may be a period old, and the middle of a
    window of unknown length, at most a period, lies another half before that.
    """
    if field.kind == "interval_mean":
        return 0.5
    return 1.5 if field.lag_s is None else 1.0


def _counter_age_s(readings: Readings) -> float:
    """The greatest age of a tick when it is first seen: a sample, or a tick where ticks are what
    is seen at every sample.
    """
    ticks, samples = np.diff(readings.ticks[0]), np.diff(readings.time_s)
    return float(min(np.median(ticks), np.median(samples))) if len(ticks) else 0.0


def _counter_power(readings: Readings) -> FloatArray:
    (ticks, values), windows = readings.ticks, readings.windows
    if len(ticks) == 0:
        return np.zeros(len(windows))
    marks = np.array([[window.start_s, window.end_s] for window in windows])
    counted = np.diff(np.interp(marks, ticks, values), axis=1)[:, 0]
    return np.asarray(np.abs(counted) / [window.duration_s for window in windows])


def _mean_power(readings: Readings) -> FloatArray:
    power_w = readings.power_w
    return np.array([np.nanmean(readings.during(each, power_w)) for each in readings.windows])


@dataclass(frozen=True)
class TemperatureEffect:
    """Relative change of a window's energy per kelvin, and its standard uncertainty."""

    share_per_kelvin: float
    uncertainty: float


def temperature_effect(
    modalities: Iterable[tuple[FloatArray, FloatArray]],
) -> TemperatureEffect | None:
    """Least squares within modalities over the whole campaign.

    Args:
        modalities: (window energies, window temperatures in degC), shapes (K,), of each.

    Returns:
        None where there is no thermometer or the temperatures hardly moved.
    """
    energies, temperatures, free = [], [], 0
    for energy, temperature in modalities:
        mean = float(np.mean(energy)) if len(energy) else 0.0
        if len(energy) < 2 or mean <= 0 or not np.isfinite(temperature).all():
            continue
        energies.append(energy / mean - 1)
        temperatures.append(temperature - temperature.mean())
        free += len(energy) - 1
    if not energies:
        return None
    y, x = np.concatenate(energies), np.concatenate(temperatures)
    moment = float(x @ x)
    if moment < LEAST_KELVIN_SQUARED or free < 2:
        return None
    slope = float(x @ y) / moment
    scatter = float(np.sum((y - slope * x) ** 2)) / (free - 1)
    return TemperatureEffect(slope, math.sqrt(scatter / moment))


@dataclass(frozen=True)
class RowBudget:
    """Standard uncertainties in J of a row's energy; None = not known. `budget` combines them."""

    repeatability_j: float
    trend_j: float
    edges_j: float
    idle_j: float | None
    temperature_j: float | None
    gain_j: float | None
    disagreement_j: float | None
    idle_degrees_of_freedom: float
    budget: Budget

    @property
    def dominating(self) -> str:
        """The component that contributes most."""
        parts = {
            "repeatability": self.repeatability_j,
            "trend": self.trend_j,
            "edges": self.edges_j,
            "idle": self.idle_j or 0.0,
            "temperature": self.temperature_j or 0.0,
            "gain": self.gain_j or 0.0,
            "disagreement": self.disagreement_j or 0.0,
        }
        return max(parts, key=lambda name: parts[name])


@dataclass(frozen=True)
class Inputs:
    """What a row's budget is made of; all of one execution.

    `mean_j` and `std_j` over `count` windows, `std_j` moderated and with its degrees of freedom;
    `inflation` and `trend_share` of the campaign's pooled tests; `edge_window_j` typical for one
    window, `edge_common_j` shared by all; `idle_u_w` with its degrees of freedom;
    `temperature_span_k` between the coldest and hottest window; `disagreement_j` between the
    counter and the integrated power, 0 where they agree.
    """

    mean_j: float
    std_j: float | None
    std_degrees_of_freedom: float
    count: int
    inflation: float
    trend_share: float
    edge_window_j: float
    edge_common_j: float
    duration_s: float
    idle_u_w: float | None
    idle_degrees_of_freedom: float
    temperature_span_k: float | None
    effect: TemperatureEffect | None
    gain_u_share: float | None
    disagreement_j: float | None = None


def row_budget(inputs: Inputs) -> RowBudget | None:
    """The budget of a row; None for a single window, whose scatter nobody knows."""
    if inputs.std_j is None or inputs.count < 2:
        return None
    scatter = inputs.std_j * inputs.inflation / math.sqrt(inputs.count)
    explained = min(scatter, inputs.edge_window_j / math.sqrt(inputs.count))
    trend = inputs.trend_share * abs(inputs.mean_j)
    idle = None if inputs.idle_u_w is None else inputs.idle_u_w * inputs.duration_s
    temperature = _temperature(inputs)
    gain = None if inputs.gain_u_share is None else abs(inputs.mean_j) * inputs.gain_u_share
    apart = inputs.disagreement_j
    disagreement = None if apart is None else apart / math.sqrt(3)
    components = [
        Component("windows", scatter, inputs.std_degrees_of_freedom),
        Component("trend", trend),
        Component("edges", inputs.edge_common_j),
        Component("idle", idle or 0.0, inputs.idle_degrees_of_freedom),
        Component("temperature", temperature or 0.0),
        Component("gain", gain or 0.0),
        Component("disagreement", disagreement or 0.0),
    ]
    return RowBudget(
        math.sqrt(scatter**2 - explained**2),
        trend,
        math.hypot(explained, inputs.edge_common_j),
        idle,
        temperature,
        gain,
        disagreement,
        inputs.idle_degrees_of_freedom,
        Budget(components),
    )


def _temperature(inputs: Inputs) -> float | None:
    if inputs.effect is None or inputs.temperature_span_k is None:
        return None
    share = math.hypot(inputs.effect.share_per_kelvin, inputs.effect.uncertainty)
    return abs(inputs.mean_j) * share * inputs.temperature_span_k / RECTANGULAR
