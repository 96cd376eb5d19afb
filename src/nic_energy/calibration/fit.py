"""Gain and offset of the sensor against the meter, with what makes them uncertain.

reading = gain * true power + offset, as in the key `calibration`; true is what the meter says. Each
run is a point: mean power of its windows on both sides; against a meter that sees the board alone
its idle is another. The line is that of `statistics.both_axes`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from nic_energy.calibration.runs import Run
from nic_energy.errors import InputError
from nic_energy.statistics.both_axes import Axis, FittedLine, fit_line
from nic_energy.statistics.gum import Budget, Component
from nic_energy.traces import FloatArray
from nic_energy.vocabulary import Sees

LEAST_RUNS = 4
LEAST_VARIANCE = 1e-6
"""In W squared: no reading is better known than to a milliwatt."""

ROUNDS = 3
LEVEL = 0.95
WANDERS: dict[Sees, Axis] = {"board": "y", "machine": "x"}
"""Whose slow wander the residuals are put down to: that of the rest of the machine, which is far
larger than a sensor's; or, where there is no such rest, the sensor's, which is a guess."""


@dataclass(frozen=True)
class MeterSpec:
    """What the user says of the meter.

    `uncertainty_percent` of its reading and `uncertainty_w`, standard uncertainties, None = not
    stated. `psu_efficiency` is dP(board)/dP(plug) where it is known, with `psu_efficiency_u`.
    """

    name: str
    sees: Sees
    uncertainty_percent: float | None = None
    uncertainty_w: float | None = None
    psu_efficiency: float | None = None
    psu_efficiency_u: float = 0.0


@dataclass(frozen=True)
class External:
    """The meter's mean power in the windows and idles of one run, NaN where it does not know."""

    windows_w: FloatArray
    idle_w: FloatArray


@dataclass(frozen=True)
class Quantity:
    """A value with its budget."""

    value: float
    budget: Budget

    @property
    def u(self) -> float:
        """Combined standard uncertainty."""
        return self.budget.combined_standard_uncertainty

    @property
    def expanded(self) -> float:
        """Expanded uncertainty, 95 %."""
        return self.budget.expanded_uncertainty(LEVEL)


@dataclass(frozen=True)
class Imprecision:
    """Standard deviations of a single window, of the sensor's own error and of the meter's, in W:
    Grubbs' estimates for two instruments (1948), pooled within runs. What both see together is
    the power that really changed.
    """

    sensor_w: float
    meter_w: float


@dataclass(frozen=True)
class Fit:
    """Gain and offset in W, and how they came about.

    `pearson_r` over runs: of the gross energy of a window, and of mean power; interval at 95 %.
    `host_load_w` is what the rest of the machine draws more during the windows than at idle, as
    far as the line holds down to idle; None for a meter that sees the board alone.
    """

    gain: Quantity
    offset_w: Quantity
    line: FittedLine
    imprecision: Imprecision
    runs: int
    windows: int
    pearson_r_energy: float
    pearson_r_power: float
    pearson_r_power_low: float
    pearson_r_power_high: float
    residual_w: float
    host_load_w: float | None


@dataclass(frozen=True)
class _Points:
    time_s: FloatArray
    sensor_w: FloatArray
    meter_w: FloatArray
    weight: FloatArray


def fit_gain(
    runs: Sequence[Run],
    external: Sequence[External],
    shifted: Callable[[float], Sequence[External]],
    clock_u_s: float,
    meter: MeterSpec,
) -> Fit:
    """Fit the line and make its budget.

    Args:
        external: the meter's side of each run.
        shifted: the same with the meter's clock ahead by so many seconds more.
        clock_u_s: standard uncertainty of that clock.

    Raises:
        InputError: too few runs are covered, or their power hardly differs.
    """
    windows, idle = run_points(runs, external), idle_points(runs, external)
    points = _used(windows, idle, meter.sees)
    if len(windows.time_s) < LEAST_RUNS:
        raise InputError(
            f"external_meter: {meter.name} knows the power in the windows of "
            f"{len(windows.time_s)} of {len(runs)} runs; at least {LEAST_RUNS} are needed. Either "
            "its log has gaps, or it is too slow: two whole steps of it have to fit into a window."
        )
    spread = _within(runs, external)
    wanders = WANDERS[meter.sees]
    line, imprecision = _line(points, spread, wanders, meter.name)
    other = _line(points, spread, "x", meter.name)[0] if meter.sees == "board" else line
    moved = [
        _plain_line(_used(run_points(runs, each), idle_points(runs, each), meter.sees))
        for each in (shifted(-clock_u_s), shifted(clock_u_s))
    ]
    clock = np.abs(np.subtract(*moved)) / 2
    offset, gain = (_quantity(line, index, other, clock, meter) for index in (0, 1))
    r = _correlation(windows.meter_w, windows.sensor_w)
    low, high = _fisher(r, len(windows.time_s))
    residual = windows.sensor_w - line.intercept - line.slope * windows.meter_w
    at_idle = idle.sensor_w - line.intercept - line.slope * idle.meter_w
    return Fit(
        gain,
        offset,
        line,
        imprecision,
        len(windows.time_s),
        int(windows.weight.sum()),
        _correlation(*_window_energies(runs, external)),
        r,
        low,
        high,
        float(np.std(residual, ddof=2)),
        float(at_idle.mean()) / line.slope if meter.sees == "machine" and len(at_idle) else None,
    )


def run_points(runs: Sequence[Run], external: Sequence[External]) -> _Points:
    """A point a run that the meter covers: mean powers over its windows, weighted by time."""
    rows = []
    for run, each in zip(runs, external, strict=True):
        known = np.isfinite(each.windows_w)
        if known.any():
            lasts, spans = run.windows.duration_s[known], run.windows
            rows.append(
                (
                    float(np.average((spans.start_s + spans.end_s)[known] / 2, weights=lasts)),
                    float(np.average(spans.power_w[known], weights=lasts)),
                    float(np.average(each.windows_w[known], weights=lasts)),
                    float(known.sum()),
                )
            )
    return _Points(*np.array(rows, dtype=float).reshape(-1, 4).T)


def idle_points(runs: Sequence[Run], external: Sequence[External]) -> _Points:
    """A point an idle, its weight the share of a window that it lasts."""
    rows = []
    for run, each in zip(runs, external, strict=True):
        lasts = float(run.windows.duration_s.mean()) if len(run.windows.power_w) else 1.0
        for n in np.flatnonzero(np.isfinite(each.idle_w)):
            middle = (run.idle.start_s[n] + run.idle.end_s[n]) / 2
            weight = min(1.0, float(run.idle.duration_s[n]) / lasts)
            rows.append((middle, run.idle.power_w[n], each.idle_w[n], weight))
    return _Points(*np.array(rows, dtype=float).reshape(-1, 4).T)


def _used(windows: _Points, idle: _Points, sees: Sees) -> _Points:
    """What the line goes through: the rest of a machine draws something else at idle."""
    if sees == "machine":
        return windows
    return _Points(
        np.concatenate([windows.time_s, idle.time_s]),
        np.concatenate([windows.sensor_w, idle.sensor_w]),
        np.concatenate([windows.meter_w, idle.meter_w]),
        np.concatenate([windows.weight, idle.weight]),
    )


def _within(runs: Sequence[Run], external: Sequence[External]) -> FloatArray:
    """Covariance of (meter, sensor) of the windows within runs, pooled, shape (2, 2); NaN where no
    run has two windows.
    """
    total, free = np.zeros((2, 2)), 0
    for run, each in zip(runs, external, strict=True):
        known = np.isfinite(each.windows_w)
        if known.sum() < 2:
            continue
        pair = np.array([each.windows_w[known], run.windows.power_w[known]])
        pair -= pair.mean(axis=1, keepdims=True)
        total += pair @ pair.T
        free += int(known.sum()) - 1
    return total / free if free else np.full((2, 2), np.nan)


def imprecision_of(within: FloatArray, gain: float) -> Imprecision:
    """Grubbs' estimates, given the gain; at least a milliwatt each."""
    if not np.isfinite(within).all():
        return Imprecision(math.sqrt(LEAST_VARIANCE), math.sqrt(LEAST_VARIANCE))
    both = within[0, 1]
    meter = max(within[0, 0] - both / gain, LEAST_VARIANCE)
    sensor = max(within[1, 1] - both * gain, LEAST_VARIANCE)
    return Imprecision(math.sqrt(sensor), math.sqrt(meter))


def _line(
    points: _Points, within: FloatArray, wanders: Axis, name: str
) -> tuple[FittedLine, Imprecision]:
    gain = float(np.std(points.sensor_w)) / max(float(np.std(points.meter_w)), 1e-12)
    for _ in range(ROUNDS):
        found = imprecision_of(within, gain)
        try:
            line = fit_line(
                points.time_s,
                points.meter_w,
                points.sensor_w,
                found.meter_w**2 / points.weight,
                found.sensor_w**2 / points.weight,
                wanders,
            )
        except ValueError as error:
            raise InputError(f"external_meter, {name}: {error}.") from None
        gain = line.slope
    return line, found


def _plain_line(points: _Points) -> FloatArray:
    """(intercept, slope) by plain least squares: only the change matters here."""
    slope, intercept = np.polyfit(points.meter_w, points.sensor_w, 1)
    return np.array([intercept, slope])


def _quantity(
    line: FittedLine, index: int, other: FittedLine, clock: FloatArray, meter: MeterSpec
) -> Quantity:
    """Intercept (0) or slope (1) with its budget."""
    value = (line.intercept, line.slope)[index]
    if index:
        stated = abs(value) * (meter.uncertainty_percent or 0.0) / 100
    else:
        stated = abs(line.slope) * (meter.uncertainty_w or 0.0)
    components = [
        Component(
            "scatter", math.sqrt(line.covariance[index, index]), line.degrees_of_freedom[index]
        ),
        # Rectangular from here to there, about its end.
        Component("axis", abs((other.intercept, other.slope)[index] - value) / math.sqrt(3)),
        Component("clock", float(clock[index])),
        Component("meter", stated),
    ]
    return Quantity(value, Budget(components))


def _window_energies(
    runs: Sequence[Run], external: Sequence[External]
) -> tuple[FloatArray, FloatArray]:
    """(meter, sensor): mean gross energy of a window of each run that the meter covers, in J."""
    rows = []
    for run, each in zip(runs, external, strict=True):
        known = np.isfinite(each.windows_w)
        if known.any():
            lasts = run.windows.duration_s[known]
            rows.append(
                (
                    float(np.mean(each.windows_w[known] * lasts)),
                    float(np.mean(run.windows.power_w[known] * lasts)),
                )
            )
    meter, sensor = np.array(rows, dtype=float).reshape(-1, 2).T
    return meter, sensor


def _correlation(x: FloatArray, y: FloatArray) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def _fisher(r: float, count: int) -> tuple[float, float]:
    """Interval of a correlation at 95 %, by Fisher's transformation."""
    if count <= 3 or abs(r) >= 1:
        return -1.0 if count <= 3 else r, 1.0 if count <= 3 else r
    half = float(stats.norm.ppf((1 + LEVEL) / 2)) / math.sqrt(count - 3)
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
