"""Two power records of the same load: their clocks aligned and their energies compared.

One record is the reference (the external meter). The other's time stamps may be off by a time
zone and by a clock error; both are found from the load itself by cross-correlation.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

ZONE_STEP_S = 900.0
ZONE_LIMIT_S = 14 * 3600.0
GRID_S = 0.01
LEAST_OVERLAP_S = 2.0


@dataclass(frozen=True)
class Alignment:
    """`time_zone_s` + `clock_s` is to be subtracted from the log's time stamps.

    `correlation` is Pearson's r at that offset, `overlap_s` the time both records cover.
    """

    time_zone_s: float
    clock_s: float
    correlation: float
    overlap_s: float

    @property
    def offset_s(self) -> float:
        """What to subtract from the log's time stamps."""
        return self.time_zone_s + self.clock_s


@dataclass(frozen=True)
class Comparison:
    """A log against the reference over their overlap.

    Energies in J (trapezoidal), `ratio` of log to reference, Pearson's r at the log's own clock
    (time zone removed), the averaging window in s under which the reference looks most like the
    log, and r under it.
    """

    overlap_s: float
    energy_log_j: float
    energy_reference_j: float
    ratio: float
    correlation: float
    averaging_window_s: float
    correlation_averaged: float


def align(
    time_s: FloatArray,
    power_w: FloatArray,
    reference_s: FloatArray,
    reference_w: FloatArray,
    max_clock_s: float = 5.0,
) -> Alignment:
    """Find the time zone and the clock error of a log against a reference.

    Time zones are multiples of a quarter of an hour; within each, the clock error is that of
    the greatest correlation within `max_clock_s`.

    Raises:
        ValueError: the records do not overlap under any time zone, or one of them is constant.
    """
    best: Alignment | None = None
    for zone in np.arange(-ZONE_LIMIT_S, ZONE_LIMIT_S + 1, ZONE_STEP_S):
        overlap = _overlap(time_s - zone, reference_s)
        if overlap[1] - overlap[0] < LEAST_OVERLAP_S:
            continue
        clock, correlation = _best_shift(
            time_s - zone, power_w, reference_s, reference_w, max_clock_s
        )
        if best is None or correlation > best.correlation:
            shifted = _overlap(time_s - zone - clock, reference_s)
            best = Alignment(float(zone), clock, correlation, shifted[1] - shifted[0])
    if best is None:
        raise ValueError("the two records do not overlap in time under any time zone")
    return best


def _overlap(first_s: FloatArray, second_s: FloatArray) -> tuple[float, float]:
    return max(first_s[0], second_s[0]), min(first_s[-1], second_s[-1])


def _best_shift(
    time_s: FloatArray,
    power_w: FloatArray,
    reference_s: FloatArray,
    reference_w: FloatArray,
    max_clock_s: float,
) -> tuple[float, float]:
    best = (0.0, -np.inf)
    for step in (10 * GRID_S, GRID_S):
        reach = max_clock_s if step > GRID_S else 10 * GRID_S
        for shift in np.arange(best[0] - reach, best[0] + reach + step / 2, step):
            r = correlation(time_s - shift, power_w, reference_s, reference_w)
            if r > best[1]:
                best = (float(shift), r)
    if not np.isfinite(best[1]):
        raise ValueError("a record is constant, so that nothing can be aligned")
    return best


def correlation(
    time_s: FloatArray, power_w: FloatArray, reference_s: FloatArray, reference_w: FloatArray
) -> float:
    """Pearson's r of two records over their overlap, on a common grid; -inf without overlap."""
    start, end = _overlap(time_s, reference_s)
    if end - start < LEAST_OVERLAP_S:
        return float("-inf")
    grid = np.arange(start, end, GRID_S)
    first = np.interp(grid, time_s, power_w)
    second = np.interp(grid, reference_s, reference_w)
    if first.std() == 0 or second.std() == 0:
        return float("-inf")
    return float(np.corrcoef(first, second)[0, 1])


def integral(time_s: FloatArray, power_w: FloatArray, start_s: float, end_s: float) -> float:
    """Trapezoidal energy in J between two times, edges interpolated."""
    inside = (time_s > start_s) & (time_s < end_s)
    edges = np.interp([start_s, end_s], time_s, power_w)
    time = np.concatenate([[start_s], time_s[inside], [end_s]])
    power = np.concatenate([[edges[0]], power_w[inside], [edges[1]]])
    return float(np.trapz(power, time))


def moving_average(time_s: FloatArray, power_w: FloatArray, window_s: float) -> FloatArray:
    """Mean of the power over the `window_s` before each time, shape as the input."""
    if window_s <= 0:
        return power_w
    steps = np.diff(time_s, prepend=time_s[0])
    middle = (power_w + np.concatenate([power_w[:1], power_w[:-1]])) / 2
    energy = np.cumsum(steps * middle)
    before = np.interp(time_s - window_s, time_s, energy)
    covered = np.minimum(window_s, time_s - time_s[0])
    mean = np.where(covered > 0, (energy - before) / np.maximum(covered, 1e-12), power_w)
    return np.asarray(mean, dtype=float)


def compare(
    time_s: FloatArray,
    power_w: FloatArray,
    reference_s: FloatArray,
    reference_w: FloatArray,
    windows_s: tuple[float, ...] = (0.0, 0.025, 0.05, 0.1, 0.2, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0),
) -> Comparison:
    """Compare a log whose clock is already aligned with the reference over their overlap."""
    start, end = _overlap(time_s, reference_s)
    energy = integral(time_s, power_w, start, end)
    reference = integral(reference_s, reference_w, start, end)
    by_window = {
        window: correlation(
            time_s, power_w, reference_s, moving_average(reference_s, reference_w, window)
        )
        for window in windows_s
    }
    averaging = max(by_window, key=lambda window: by_window[window])
    return Comparison(
        overlap_s=float(end - start),
        energy_log_j=energy,
        energy_reference_j=reference,
        ratio=energy / reference,
        correlation=by_window[0.0],
        averaging_window_s=averaging,
        correlation_averaged=by_window[averaging],
    )
