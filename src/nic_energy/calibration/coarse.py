"""The offset between two clocks, from nothing but the load that both records saw.

Both records go onto a grid, with masks where they are known, and Pearson's correlation over the
common cells comes for every offset at once from Fourier transforms (Padfield, Masked object
registration in the Fourier domain, 2012).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

from nic_energy.calibration.records import PowerRecord
from nic_energy.errors import InputError
from nic_energy.traces import FloatArray

ZONE_STEP_S = 900.0
ZONE_LIMIT_S = 14 * 3600.0
"""Time zones are multiples of a quarter of an hour, at most so far from one another."""

LEAST_CELLS = 20
LEAST_OVERLAP = 0.2
"""An overlap shorter than this share of the shorter record is not considered."""

LEAST_CORRELATION = 0.6
"""Records that follow the same load correlate at least so well."""

RIVAL = 0.8
RIVAL_S = 30.0
"""Another offset, at least so far away, whose correlation is so nearly as significant makes the
offset a guess."""

CELLS = 300
LEAST_CELL_S, MOST_CELL_S = 0.05, 1.0
MOST_CELLS = 4_000_000


@dataclass(frozen=True)
class Coarse:
    """By how much the meter's time stamps are ahead of the sensor's: a time zone and the rest.

    `correlation` is Pearson's r at that offset, `overlap_s` the time that both then know.
    """

    time_zone_s: float
    clock_s: float
    correlation: float
    overlap_s: float

    @property
    def offset_s(self) -> float:
        """What to add to the sensor's time to have the meter's."""
        return self.time_zone_s + self.clock_s


@dataclass(frozen=True)
class _Offsets:
    """Correlation and common cells of every offset, shapes (n,)."""

    offset_s: FloatArray
    correlation: FloatArray
    cells: FloatArray
    cell_s: float

    @property
    def significance(self) -> FloatArray:
        """Student's t of the correlation."""
        r = np.clip(self.correlation, -1 + 1e-9, 1 - 1e-9)
        return np.asarray(r * np.sqrt(np.maximum(self.cells - 2, 0) / (1 - r**2)))


def coarse_offset(
    sensor: PowerRecord,
    meter: PowerRecord,
    names: tuple[str, str],
    max_clock_s: float,
    zones: bool = True,
) -> Coarse:
    """Find the offset of a meter's clock against the sensor's.

    Args:
        names: what to call sensor and meter in an error.
        max_clock_s: how far the clocks may be apart, beside a time zone.
        zones: whether a time zone may lie between them.

    Raises:
        InputError: the records do not overlap within these limits, one is constant, they do not
            follow the same load, or another offset fits as well.
    """
    found = _correlate(sensor, meter, names)
    zone = ZONE_STEP_S * np.round(found.offset_s / ZONE_STEP_S) if zones else 0 * found.offset_s
    allowed = np.abs(found.offset_s - zone) <= max_clock_s
    allowed &= np.abs(zone) <= ZONE_LIMIT_S
    attainable = min(sensor.known_s, meter.known_s) / found.cell_s
    least = max(LEAST_OVERLAP * attainable, min(LEAST_CELLS, 0.8 * attainable), 3)
    allowed &= found.cells >= least
    if not allowed.any():
        raise InputError(_no_overlap(sensor, meter, names, max_clock_s, zones))
    score = np.where(allowed, found.significance, -np.inf)
    best = int(np.argmax(score))
    _check_likeness(found, allowed, best, names)
    _check_rival(found, score, best, names)
    return Coarse(
        float(zone[best]),
        float(found.offset_s[best] - zone[best]),
        float(found.correlation[best]),
        float(found.cells[best] * found.cell_s),
    )


def _correlate(sensor: PowerRecord, meter: PowerRecord, names: tuple[str, str]) -> _Offsets:
    cell = np.clip(min(sensor.known_s, meter.known_s) / CELLS, LEAST_CELL_S, MOST_CELL_S)
    x, x_known = _grid(sensor, float(cell), names[0])
    y, y_known = _grid(meter, float(cell), names[1])
    cells = np.round(_sums(x_known, y_known))
    usable = np.maximum(cells, 1)
    x_sum, y_sum = _sums(x, y_known), _sums(x_known, y)
    x_var = _sums(x**2, y_known) / usable - (x_sum / usable) ** 2
    y_var = _sums(x_known, y**2) / usable - (y_sum / usable) ** 2
    both = _sums(x, y) / usable - x_sum * y_sum / usable**2
    # Rounding of the transforms leaves a little where there is nothing.
    varies = (x_var > 1e-6 * x.var()) & (y_var > 1e-6 * y.var()) & (cells >= 3)
    scale = np.sqrt(np.where(varies, x_var * y_var, 1.0))
    lags = np.arange(len(cells), dtype=np.float64) - (len(x) - 1)
    return _Offsets(
        meter.start_s - sensor.start_s + lags * float(cell),
        np.where(varies, np.clip(both / scale, -1, 1), 0.0),
        np.where(varies, cells, 0),
        float(cell),
    )


def _sums(first: FloatArray, second: FloatArray) -> FloatArray:
    """Sum over i of first[i] second[i + lag], for all lags from 1 - len(first) on."""
    return np.asarray(signal.correlate(second, first, mode="full", method="fft"))


def _grid(record: PowerRecord, cell_s: float, name: str) -> tuple[FloatArray, FloatArray]:
    """(power about its mean, 1 where it is known) in cells from the record's start on."""
    count = math.floor((record.end_s - record.start_s) / cell_s)
    if count > MOST_CELLS:
        days = (record.end_s - record.start_s) / 86400
        raise InputError(f"{name}: spans {days:.0f} days; some of its time stamps must be wrong.")
    edges = record.start_s + cell_s * np.arange(count + 1, dtype=np.float64)
    power = record.mean_w(edges[:-1], edges[1:])
    known = np.isfinite(power)
    if known.sum() < 3:
        raise InputError(f"{name}: is known for {record.known_s:.3g} s only.")
    level = float(power[known].mean())
    if np.ptp(power[known]) <= 1e-6 * max(abs(level), 1e-9):
        raise InputError(
            f"{name}: is constant at {level:.4g} W, so that no load can be found in it."
        )
    return np.where(known, power - level, 0.0), known.astype(float)


def _no_overlap(
    sensor: PowerRecord,
    meter: PowerRecord,
    names: tuple[str, str],
    max_clock_s: float,
    zones: bool,
) -> str:
    spans = [
        f"{name} goes from {_utc(record.start_s)} to {_utc(record.end_s)}"
        for name, record in zip(names, (sensor, meter), strict=True)
    ]
    reach = f"clocks at most {max_clock_s:g} s apart"
    return (
        f"{spans[1]}, and {spans[0]}: they do not overlap with {reach}"
        f"{', whatever the time zone' if zones else ''}. Is it the log of this campaign? A clock "
        "that was never set: raise max_clock_s."
    )


def _utc(seconds: float) -> str:
    return str(np.datetime64(round(seconds), "s")).replace("T", " ") + " UTC"


def _check_likeness(
    found: _Offsets, allowed: npt.NDArray[np.bool_], best: int, names: tuple[str, str]
) -> None:
    r = float(found.correlation[best])
    if r >= LEAST_CORRELATION:
        return
    against = np.where(allowed, -found.significance, -np.inf)
    turned = float(found.correlation[int(np.argmax(against))])
    if turned <= -LEAST_CORRELATION:
        raise InputError(
            f"{names[1]}: falls when {names[0]} rises (r = {turned:.2f}); a clamp that is turned "
            "round? Set factor: -1."
        )
    raise InputError(
        f"{names[1]}: does not follow the load of {names[0]} (r = {r:.2f} at best). Is it the "
        "power of this machine, over this time, in the right column?"
    )


def _check_rival(found: _Offsets, score: FloatArray, best: int, names: tuple[str, str]) -> None:
    away = np.abs(found.offset_s - found.offset_s[best]) >= RIVAL_S
    rivals = np.where(away, score, -np.inf)
    rival = int(np.argmax(rivals))
    if rivals[rival] < RIVAL * score[best]:
        return
    raise InputError(
        f"{names[1]}: fits {names[0]} at {found.offset_s[best]:.4g} s (r = "
        f"{found.correlation[best]:.3f}) and at {found.offset_s[rival]:.4g} s (r = "
        f"{found.correlation[rival]:.3f}): the load repeats itself. Give time_zone, or lower "
        "max_clock_s."
    )
