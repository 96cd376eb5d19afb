"""The clock of a meter against that of the host over a whole campaign: offset and drift.

Around the coarse offset, every stretch of load gives an offset of its own: that at which the
sensor's mean power over each of the meter's intervals correlates best with the meter's. A line
through these offsets is the clock; a jump in them is a clock that was set.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nic_energy.calibration.records import PowerRecord
from nic_energy.traces import FloatArray

FINE_STEP_S, ROUGH_STEP_S = 0.05, 0.25
LEAST_CELL_S = 0.05
LEAST_INTERVALS = 8
LEAST_CORRELATION = 0.8
DRIFT = 3e-4
"""No clock of an instrument drifts more than this (26 s a day)."""

REACH_S = 2.0
LEAST_SPAN_S = 600.0
"""Over a shorter time no drift is looked for."""

LEAST_STRETCHES = 5
OUTLIER = 4.0
STEP_STRETCHES = 3
"""A jump has at least so many stretches on either side: fewer are outliers."""

MEDIAN_OF = 5
STEP_SIGMAS = 6.0
AT_ONCE = 0.6
"""This share of a jump happens from one stretch to the next."""

LEAST_STEP_S = 0.25


@dataclass(frozen=True)
class Stretch:
    """The offset that one stretch of load gives: host time of its middle, offset in s, r."""

    time_s: float
    offset_s: float
    correlation: float


@dataclass(frozen=True)
class Clock:
    """Meter time = host time + `offset_s` + `drift` (host time - `reference_s`).

    `scatter_s` is the standard deviation of the stretches about the line. Lags of both
    instruments are in `offset_s`: it brings readings together, not oscillators.
    """

    reference_s: float
    offset_s: float
    offset_u_s: float
    drift: float
    drift_u: float
    scatter_s: float
    stretches: int

    def at(self, host_s: FloatArray) -> FloatArray:
        """The meter's time at host times."""
        return np.asarray(host_s + self.offset_s + self.drift * (host_s - self.reference_s))

    @property
    def uncertainty_s(self) -> float:
        """Standard uncertainty of the offset at any one time: that of the line, and the scatter
        about it as if it were all real.
        """
        return math.hypot(self.offset_u_s, self.scatter_s)


@dataclass(frozen=True)
class ClockStep:
    """A jump of the offsets: after which host time, and by how much."""

    time_s: float
    step_s: float


def stretch_offset(
    sensor: PowerRecord, meter: PowerRecord, start_s: float, end_s: float, about_s: float,
    reach_s: float,
) -> Stretch | None:  # fmt: skip
    """The offset between host times `start_s` and `end_s`, within `reach_s` of `about_s`.

    None where there are too few intervals, or nothing to recognise.
    """
    edges = _edges(meter, start_s + about_s, end_s + about_s)
    power = meter.mean_w(edges[:-1], edges[1:])
    known = np.isfinite(power)
    if known.sum() < LEAST_INTERVALS:
        return None
    first, last, power = edges[:-1][known], edges[1:][known], power[known]
    for step, reach in ((ROUGH_STEP_S, reach_s), (FINE_STEP_S, 2 * ROUGH_STEP_S)):
        offsets = about_s + np.arange(-reach, reach + step / 2, step)
        r = np.array([_correlation(sensor, first - d, last - d, power) for d in offsets])
        best = int(np.argmax(r))
        about_s = float(offsets[best])
    if r[best] < LEAST_CORRELATION or best in (0, len(r) - 1):
        return None
    return Stretch((start_s + end_s) / 2, _peak(offsets, r, best), float(r[best]))


def _edges(meter: PowerRecord, start_s: float, end_s: float) -> FloatArray:
    """Edges of the meter's intervals, joined where they are shorter than a cell."""
    if meter.step_s >= LEAST_CELL_S:
        inside = (meter.time_s >= start_s) & (meter.time_s <= end_s)
        return meter.time_s[inside]
    return np.arange(max(start_s, meter.start_s), min(end_s, meter.end_s), LEAST_CELL_S)


def _correlation(
    sensor: PowerRecord, start_s: FloatArray, end_s: FloatArray, meter_w: FloatArray
) -> float:
    power = sensor.mean_w(start_s, end_s)
    known = np.isfinite(power)
    if known.sum() < LEAST_INTERVALS:
        return -1.0
    x, y = power[known] - power[known].mean(), meter_w[known] - meter_w[known].mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / scale if scale > 0 else -1.0


def _peak(offsets: FloatArray, r: FloatArray, best: int) -> float:
    """The top of the parabola through the best offset and its neighbours."""
    before, top, after = r[best - 1 : best + 2]
    bend = before - 2 * top + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(offsets[best] + np.clip(shift, -0.5, 0.5) * FINE_STEP_S)


def reach_s(span_s: float) -> float:
    """How far from the coarse offset a campaign of that length needs to be searched."""
    return REACH_S + DRIFT * span_s / 2


def fit_clock(stretches: list[Stretch]) -> Clock | ClockStep:
    """The line through the offsets of stretches, outliers left out; or the jump in them.

    Raises:
        ValueError: there is no stretch.
    """
    if not stretches:
        raise ValueError("no stretch of load could be recognised in both records")
    time = np.array([each.time_s for each in stretches])
    offset = np.array([each.offset_s for each in stretches])
    order = np.argsort(time)
    time, offset = time[order], offset[order]
    span = float(time[-1] - time[0])
    drifting = len(time) >= LEAST_STRETCHES and span >= LEAST_SPAN_S
    step = _step(time, offset) if drifting else None
    if step is not None:
        return step
    keep = _usual(time, offset, drifting)
    return _line(time[keep], offset[keep], drifting)


def _line(time: FloatArray, offset: FloatArray, drifting: bool) -> Clock:
    middle = float(time.mean())
    columns = [np.ones_like(time), time - middle] if drifting else [np.ones_like(time)]
    design = np.column_stack(columns)
    solution, *_ = np.linalg.lstsq(design, offset, rcond=None)
    free = len(time) - design.shape[1]
    # A single stretch says nothing about its scatter; its grid does.
    scatter = FINE_STEP_S / math.sqrt(12)
    if free > 0:
        residual = offset - design @ solution
        scatter = math.sqrt(max(float(residual @ residual) / free, 1e-8))
    u = scatter * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    return Clock(
        middle,
        float(solution[0]),
        float(u[0]),
        float(solution[1]) if drifting else 0.0,
        float(u[1]) if drifting else 0.0,
        scatter,
        len(time),
    )


def _usual(time: FloatArray, offset: FloatArray, drifting: bool) -> npt.NDArray[np.bool_]:
    """Which stretches lie within four robust standard deviations of a robust line."""
    slope = 0.0
    if drifting:
        pairs = np.triu_indices(len(time), max(1, len(time) // 2))
        rise, run = offset[pairs[1]] - offset[pairs[0]], time[pairs[1]] - time[pairs[0]]
        slope = float(np.median(rise / run))
    residual = offset - slope * (time - time.mean())
    residual = np.abs(residual - np.median(residual))
    return np.asarray(
        residual <= OUTLIER * max(1.4826 * float(np.median(residual)), FINE_STEP_S / 4)
    )


def _step(time: FloatArray, offset: FloatArray) -> ClockStep | None:
    """The jump that lines of one slope before and after it explain best, if it is significant and
    happens at one place: a clock that runs unevenly is no clock that was set.
    """
    # Outliers alone or in pairs are no jump.
    offset = ndimage.median_filter(offset, size=MEDIAN_OF, mode="nearest")
    best: tuple[float, int, float, float] | None = None
    for place in range(STEP_STRETCHES, len(time) - STEP_STRETCHES + 1):
        after = (np.arange(len(time)) >= place).astype(float)
        design = np.column_stack([np.ones_like(time), time - time.mean(), after])
        solution, *_ = np.linalg.lstsq(design, offset, rcond=None)
        residual = np.abs(offset - design @ solution)
        if best is None or residual.sum() < best[0]:
            spread = 1.4826 * float(np.median(residual))
            u = spread * math.sqrt(float(np.linalg.inv(design.T @ design)[2, 2]))
            best = (float(residual.sum()), place, float(solution[2]), u)
    if best is None:
        return None
    _, place, step, u = best
    before = np.median(offset[place - STEP_STRETCHES : place])
    jump = float(np.median(offset[place : place + STEP_STRETCHES]) - before)
    if abs(step) < max(LEAST_STEP_S, STEP_SIGMAS * u) or jump / step < AT_ONCE:
        return None
    return ClockStep(float(time[place - 1]), step)
