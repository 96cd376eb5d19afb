"""Two logs of the same load: the time between their clocks, their energies, and whether one of
them averages.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nic_energy.calibration.coarse import coarse_offset
from nic_energy.calibration.records import PowerRecord, of_log
from nic_energy.errors import InputError
from nic_energy.external import PowerLog
from nic_energy.traces import FloatArray

GRID_S = 0.01
MOST_POINTS = 100_000
FINE_S = (0.05, 0.01)
REACH_S = 1.5
LONGEST_WINDOW_SHARE = 0.25
WINDOW_STEP = 1.1
WINDOWS_S = (0.0, *(0.02 * WINDOW_STEP ** np.arange(59)))
"""Averaging windows to try, up to 5 s."""

FRESH = 0.1
UPDATES = 2.0
"""A column that looks back over more than so many of its updates averages."""

CLEARLY = 2.0
"""Averaging explains a column if it lowers 1 - r by this factor."""


@dataclass(frozen=True)
class ColumnComparison:
    """A column of a log against the reference, over what both know.

    `ratio` of its energy to the reference's, `ratio_u_clock` the standard uncertainty of that from
    the clocks alone. `update_s` is the time between new values. `correlation` is Pearson's r
    over time, earlier by half an update, which is the mean age of what the log shows;
    `averaged_correlation` that of the new values with the reference averaged over the `window_s`
    before them, under which they are most alike; `averages` says whether that is clearly longer
    than an update.
    """

    column: str
    duration_s: float
    energy_j: float
    reference_j: float
    ratio: float
    ratio_u_clock: float
    correlation: float
    window_s: float
    averaged_correlation: float
    update_s: float
    averages: bool


@dataclass(frozen=True)
class LogComparison:
    """A log against a reference log. Add `time_zone_s` + `clock_s` to the reference's time stamps
    to have the log's; `aligned_by` is the column that the clocks were brought together with.
    """

    time_zone_s: float
    clock_s: float
    clock_u_s: float
    aligned_by: str
    columns: tuple[ColumnComparison, ...]

    @property
    def offset_s(self) -> float:
        """By how much the log's time stamps are ahead of the reference's."""
        return self.time_zone_s + self.clock_s


@dataclass(frozen=True)
class _Fit:
    offset_s: float
    window_s: float
    correlation: float


def compare_logs(
    log: PowerLog,
    reference: PowerLog,
    columns: Sequence[str] | None = None,
    reference_column: str | None = None,
    max_clock_s: float = 60.0,
    zones: bool = True,
) -> LogComparison:
    """Compare columns of a log, all of them by default, with the reference.

    The clocks are brought together by the column that follows the reference best, at the offset and
    averaging window under which it does.

    Raises:
        InputError: see `coarse_offset` and `of_log`.
    """
    meter = of_log(reference, reference_column)
    chosen = list(log.columns) if columns is None else [log.name(name) for name in columns]
    records = {name: of_log(log, name) for name in chosen}
    points = {name: _points(log, name, records[name]) for name in chosen}
    coarse, fits = {}, {}
    for name, record in records.items():
        # The reference's time is the host's here: offsets say how far the log is ahead of it.
        coarse[name] = coarse_offset(
            meter, record, (reference.path, f"{log.path}, {name}"), max_clock_s, zones
        )
        fits[name] = _best(points[name], record, meter, coarse[name].offset_s)
    best = max(fits, key=lambda name: fits[name].correlation)
    zone, offset = coarse[best].time_zone_s, fits[best].offset_s
    clock_u = math.hypot(FINE_S[-1], points[best].update_s) / math.sqrt(12)
    return LogComparison(
        zone,
        offset - zone,
        clock_u,
        best,
        tuple(
            _compare(log, points[name], records[name].shifted(-offset), meter, fits[name], clock_u)
            for name in chosen
        ),
    )


@dataclass(frozen=True)
class _Points:
    """New values of a column and when they were new, shapes (n,)."""

    column: str
    time_s: FloatArray
    power_w: FloatArray

    @property
    def update_s(self) -> float:
        """Time between new values, as short as a tenth of them are: where the power is steady, a
        new value can be the same.
        """
        return float(np.quantile(np.diff(self.time_s), FRESH))


def _points(log: PowerLog, column: str, record: PowerRecord) -> _Points:
    """A value that repeats the one before it tells nothing of the moment it is repeated at."""
    if log.quantity != "power" or log.reading != "instant":
        first, last = record.time_s[:-1], record.time_s[1:]
        mean = record.mean_w(first, last)
        known = np.isfinite(mean)
        return _Points(column, last[known], mean[known])
    usable = np.isfinite(log.columns[column])
    time, power = log.time_s[usable], log.columns[column][usable]
    new = np.flatnonzero(np.diff(power) != 0) + 1
    return _Points(column, time[new], power[new])


def _best(points: _Points, record: PowerRecord, meter: PowerRecord, about_s: float) -> _Fit:
    """Offset and averaging window at which the meter explains the new values best.

    Searched by the window and the mean age of a value, half the window later than the offset: the
    best of one hardly depends on the other.
    """
    found = _Fit(about_s, 0.0, -1.0)
    windows = _windows(record, meter, about_s)
    rough = windows[::4]
    for step, reach in ((FINE_S[0], REACH_S), (FINE_S[1], 2 * FINE_S[0])):
        tried = rough if step == FINE_S[0] else windows
        found = _search(points, meter, found, step, reach, tried)
    near = found.window_s * np.linspace(1 / WINDOW_STEP, WINDOW_STEP, 11)
    return _search(points, meter, found, FINE_S[1], FINE_S[1], near.tolist())


def _search(
    points: _Points,
    meter: PowerRecord,
    found: _Fit,
    step_s: float,
    reach_s: float,
    windows: Sequence[float],
) -> _Fit:
    middle = found.offset_s + found.window_s / 2
    for late in np.arange(middle - reach_s, middle + reach_s + step_s / 2, step_s):
        for window in windows:
            offset = late - window / 2
            time = points.time_s - offset
            inside = (time >= meter.start_s) & (time <= meter.end_s)
            r = _correlation(points.power_w[inside], _before(meter, time[inside], window))
            if r > found.correlation:
                found = _Fit(float(offset), float(window), r)
    return found


def _windows(record: PowerRecord, meter: PowerRecord, offset_s: float) -> list[float]:
    """Averaging windows that the overlap is long enough for."""
    time = _times(record.shifted(-offset_s), meter)
    longest = LONGEST_WINDOW_SHARE * float(time[-1] - time[0])
    return [float(window) for window in WINDOWS_S if window <= longest]


def _times(record: PowerRecord, meter: PowerRecord) -> FloatArray:
    """A grid over the overlap of two records on one clock."""
    start, end = max(record.start_s, meter.start_s), min(record.end_s, meter.end_s)
    step = max(GRID_S, (end - start) / MOST_POINTS)
    return np.arange(start, end, step)


def _before(meter: PowerRecord, time: FloatArray, window_s: float) -> FloatArray:
    """The meter's mean power over the `window_s` before times; what was before its record is taken
    to be as it was then.
    """
    if window_s <= 0:
        return meter.power_w(time)
    early = np.minimum(time - window_s - meter.start_s, 0.0)
    before = early * float(meter.power_w(np.array([meter.start_s]))[0])
    before += meter.energy_j(np.maximum(time - window_s, meter.start_s))
    mean = (meter.energy_j(time) - before) / window_s
    known = meter.covered_s(np.maximum(time - window_s, meter.start_s), time)
    whole = known >= np.minimum(window_s, time - meter.start_s) * (1 - 1e-6)
    return np.asarray(np.where(whole, mean, np.nan))


def _correlation(first: FloatArray, second: FloatArray) -> float:
    both: npt.NDArray[np.bool_] = np.isfinite(first) & np.isfinite(second)
    x, y = first[both], second[both]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return -1.0
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / math.sqrt(float(x @ x) * float(y @ y)))


def _compare(
    log: PowerLog,
    points: _Points,
    record: PowerRecord,
    meter: PowerRecord,
    fit: _Fit,
    clock_u_s: float,
) -> ColumnComparison:
    centred = record.shifted(-points.update_s / 2)
    time = _times(centred, meter)
    r = _correlation(centred.power_w(time), _before(meter, time, 0.0))
    energy, reference, lasted = _energies(record, meter, log.path)
    ratios = [
        each[0] / each[1]
        for shift in (-clock_u_s, clock_u_s)
        for each in [_energies(record.shifted(shift), meter, log.path)]
    ]
    return ColumnComparison(
        points.column,
        lasted,
        energy,
        reference,
        energy / reference,
        abs(ratios[1] - ratios[0]) / 2,
        r,
        fit.window_s,
        fit.correlation,
        points.update_s,
        1 - r > CLEARLY * (1 - fit.correlation) and fit.window_s > UPDATES * points.update_s,
    )


def _energies(record: PowerRecord, meter: PowerRecord, path: str) -> tuple[float, float, float]:
    """(energy, reference's energy, duration) over all that both know."""
    start, end = max(record.start_s, meter.start_s), min(record.end_s, meter.end_s)
    nodes = np.unique(np.concatenate([[start, end], record.time_s, meter.time_s]))
    nodes = nodes[(nodes >= start) & (nodes <= end)]
    first, last = nodes[:-1], nodes[1:]
    one, two = record.mean_w(first, last), meter.mean_w(first, last)
    both = np.isfinite(one) & np.isfinite(two)
    steps = (last - first)[both]
    energies = float(one[both] @ steps), float(two[both] @ steps)
    if energies[1] <= 0:
        raise InputError(f"{path}: the reference has no energy while both know the power.")
    return *energies, float(steps.sum())
