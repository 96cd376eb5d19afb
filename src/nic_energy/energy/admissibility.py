"""Whether a window may enter the mean, judged from the samples around it.

A window is judged twice. On its own (`window_flags`): what happened on the device, in the sampler
or to the clocks while it ran. And beside the others (`drift_flags`): whether the device was in the
state in which this load lets it settle. Everything is seen from samples alone, so that an old
trace is judged like a running measurement.

The software power cap and small steps of the boost clock are normal under load: the cap is
recorded as a flag that keeps no window out.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from nic_energy.energy.estimators import COUNTER, STAMPS
from nic_energy.traces import FloatArray, PowerField, Sample, Window

Columns = Callable[[str], FloatArray]
"""Gives a sample column as float64, shape (samples,); missing values are NaN."""

MIN_SAMPLES = 3
"""A window with fewer power readings says nothing about its power."""

GAP_PERIODS = 5.0
GAP_S = 0.25
"""Between two readings at most this many sampling periods pass, and at least this time is
granted: what happens in a longer gap nobody knows."""

STALE_S = 1.0
"""A sensor whose own time stamp stands still for longer has stopped."""

LEAST_STAMPED = 0.5
"""Time stamps are those of the readings if at least this share of new values came with a new one:
some drivers give 0, or one stamp for ever."""

EXPECTED_CHANGES = 10.0
"""A sensor without time stamps has stopped if it shows one value from the start mark to after the
end mark where it would, by its own record so far, have changed this often."""

CLOCK_STEP_S = 0.05
"""Wall clock and monotonic clock drift apart by microseconds in a window, unless one is set."""

MOST_OF_LIMIT = 2.0
"""Transients exceed a power limit; by this factor they never do."""

MOST_W = 10_000.0
"""No board draws more, whatever its limit."""

COLDEST_C, HOTTEST_C = 0.0, 130.0
"""Beyond these no chip runs; a thermometer that says so is not one."""

SLOWDOWN_REASONS = 0x8 | 0x20 | 0x40 | 0x80
"""Clocks event reasons of NVML: hardware slowdown, software thermal, hardware thermal, power
brake."""

POWER_CAP_REASON = 0x4

SLOWDOWN_TIMES = (
    "throttle_thermal_policy_ns",
    "throttle_sw_thermal_ns",
    "throttle_hw_thermal_ns",
    "throttle_power_brake_ns",
)
"""Cumulative counters, which see what falls between two samples too."""

POWER_CAP_TIMES = ("throttle_power_cap_ns",)

OF_A_REST = frozenset(
    {
        "clock_step",
        "counter_reset",
        "failed_readings",
        "implausible_readings",
        "sampler_gap",
        "too_few_samples",
    }
)
"""What a rest is judged by: its readings. States and clocks may change as a device calms down."""


@dataclass(frozen=True)
class Limits:
    """What a window must keep to.

    Attributes:
        min_duration_s: least length.
        temperature_band_celsius: most that its mean temperature may lie beside the settled one.
        clock_tolerance_percent: most that its mean SM clock may lie beside the settled one.
        sampling_hz: samples per second that were asked for.
        power_limit_w: enforced power limit of the device, None where there is none.
        processes: compute processes that belong on the device, None where they are not known.
    """

    min_duration_s: float
    temperature_band_celsius: float
    clock_tolerance_percent: float
    sampling_hz: float
    power_limit_w: float | None = None
    processes: int | None = None


@dataclass(frozen=True)
class Conditions:
    """The state of the device during a window: means of the samples inside, None without any."""

    temperature_c: float | None
    sm_clock_mhz: float | None
    performance_state: int | None


def columns_of(samples: Sequence[Sample]) -> Columns:
    """Columns of samples that are not yet a trace."""

    @cache
    def column(name: str) -> FloatArray:
        values = (sample.get(name) for sample in samples)
        return np.array([np.nan if v is None else float(v) for v in values], dtype=float)

    return column


def window_flags(
    column: Columns, window: Window, field: PowerField, limits: Limits
) -> tuple[str, ...]:
    """What is to be said of a window on its own, in alphabetical order.

    Args:
        column: samples from before the window (its lead-in at least) to after it. Whatever
            happened on the device in all that time counts against the window.
        field: the power column that is integrated.
    """
    time = column("time_s")
    inside = (time >= window.start_s) & (time <= window.end_s)
    checks: Mapping[str, Callable[[], bool]] = {
        "window_too_short": lambda: window.duration_s < limits.min_duration_s,
        "sampler_gap": lambda: _gap(time[inside], window, limits.sampling_hz),
        "too_few_samples": lambda: _dark(column, field, window, inside, limits.sampling_hz),
        "failed_readings": lambda: _failed(column("failed_readings")[_reaching(time, window)]),
        "stale_readings": lambda: _stale(column, field, window),
        "implausible_readings": lambda: _implausible(column, field, inside, limits.power_limit_w),
        "throttled": lambda: slowed(column, window),
        "power_capped": lambda: _capped(column, window),
        "performance_state_changed": lambda: _varies(column("performance_state")[inside]),
        "other_processes": lambda: _exceeds(column("compute_processes"), limits.processes),
        "counter_reset": lambda: _falls(column(COUNTER)[_reaching(time, window)]),
        "clock_step": lambda: _stepped(time, column("wall_time_s")),
    }
    return tuple(sorted(name for name, check in checks.items() if check()))


def rest_flags(
    column: Columns,
    start_s: float,
    end_s: float,
    field: PowerField,
    sampling_hz: float,
    power_limit_w: float | None = None,
) -> tuple[str, ...]:
    """What keeps a recorded rest from being an idle, in alphabetical order; see `OF_A_REST`."""
    window = Window(0, start_s, end_s, 0)
    limits = Limits(0.0, np.inf, np.inf, sampling_hz, power_limit_w)
    return tuple(flag for flag in window_flags(column, window, field, limits) if flag in OF_A_REST)


def conditions(column: Columns, window: Window) -> Conditions:
    """The state of the device during a window."""
    time = column("time_s")
    inside = (time >= window.start_s) & (time <= window.end_s)
    state = _known(column("performance_state")[inside])
    return Conditions(
        _mean(column("temperature_c")[inside]),
        _mean(column("sm_clock_mhz")[inside]),
        int(Counter(state.tolist()).most_common(1)[0][0]) if len(state) else None,
    )


def drift_flags(
    states: Sequence[Conditions], last: int, limits: Limits
) -> tuple[tuple[str, ...], ...]:
    """What is to be said of windows beside each other.

    The settled state under this load is the median of the `last` windows in temperature and clock,
    and their most common performance state: a device that still warms up leaves its first
    windows behind, one disturbed window does not count.

    Args:
        states: of windows that are admissible on their own, in order of time.

    Returns:
        Flags of each, in alphabetical order.
    """
    recent = states[-last:]
    temperature = _median([s.temperature_c for s in recent])
    clock = _median([s.sm_clock_mhz for s in recent])
    known = [s.performance_state for s in recent if s.performance_state is not None]
    state = Counter(known).most_common(1)[0][0] if known else None
    return tuple(
        tuple(
            name
            for name, beside in (
                ("clock_changed", _beside(each.sm_clock_mhz, clock,
                                          limits.clock_tolerance_percent / 100 * (clock or 0.0))),
                ("performance_state_changed",
                 state is not None and each.performance_state not in (None, state)),
                ("temperature_outside_band",
                 _beside(each.temperature_c, temperature, limits.temperature_band_celsius)),
            )
            if beside
        )
        for each in states
    )  # fmt: skip


def slowed(column: Columns, window: Window) -> bool:
    """Whether the device was slowed down for heat or by the power brake during a window."""
    return _reason(column, window, SLOWDOWN_REASONS) or _advanced(column, window, SLOWDOWN_TIMES)


def _capped(column: Columns, window: Window) -> bool:
    return _reason(column, window, POWER_CAP_REASON) or _advanced(column, window, POWER_CAP_TIMES)


def _reason(column: Columns, window: Window, mask: int) -> bool:
    time, reasons = column("time_s"), column("throttle_reasons")
    inside = reasons[(time >= window.start_s) & (time <= window.end_s)]
    return bool((_known(inside).astype(np.int64) & mask).any())


def _advanced(column: Columns, window: Window, names: Sequence[str]) -> bool:
    """Whether one of these counters advanced between the samples around a window."""
    time = column("time_s")
    for name in names:
        values = column(name)
        usable = np.isfinite(values)
        at, counted = time[usable], values[usable]
        if len(at) < 2:
            continue
        first = max(int(np.searchsorted(at, window.start_s, side="right")) - 1, 0)
        last = min(int(np.searchsorted(at, window.end_s)), len(at) - 1)
        if counted[last] > counted[first]:
            return True
    return False


def _reaching(time: FloatArray, window: Window) -> slice:
    """The samples inside a window, and the ones next to it on both sides."""
    first = int(np.searchsorted(time, window.start_s)) - 1
    return slice(max(first, 0), int(np.searchsorted(time, window.end_s, side="right")) + 1)


def _gap(time: FloatArray, window: Window, sampling_hz: float) -> bool:
    edges = np.concatenate([[window.start_s], time, [window.end_s]])
    return float(np.diff(edges).max()) > max(GAP_PERIODS / sampling_hz, GAP_S)


def _dark(
    column: Columns,
    field: PowerField,
    window: Window,
    inside: npt.NDArray[np.bool_],
    sampling_hz: float,
) -> bool:
    """Whether a window has too few power readings, or a gap between them that has samples."""
    readable = inside & np.isfinite(column(field.column))
    time = column("time_s")
    if readable.sum() < MIN_SAMPLES:
        return True
    missing = bool((inside & ~readable).any())
    return missing and _gap(time[readable], window, sampling_hz)


def _stale(column: Columns, field: PowerField, window: Window) -> bool:
    """Whether the sensor stood still, by its own time stamps or against its own record."""
    if field.kind == "interval_mean":
        return False
    time, power = column("time_s"), column(field.column)
    inside = (time >= window.start_s) & (time <= window.end_s)
    stamps = STAMPS.get(field.column)
    if stamps is not None:
        stamp = column(stamps)
        usable = inside & np.isfinite(stamp) & (stamp > 0)
        if usable.sum() >= MIN_SAMPLES and _stamped(power, stamp):
            fresh = time[usable][np.flatnonzero(np.diff(stamp[usable], prepend=-1.0) != 0)]
            edges = np.concatenate([fresh, [window.end_s]])
            if len(edges) > 1 and float(np.diff(edges).max()) > STALE_S:
                return True
    before = (time < window.start_s) & np.isfinite(power)
    within = power[(time >= window.start_s) & np.isfinite(power)]
    if before.sum() < MIN_SAMPLES or len(within) < MIN_SAMPLES or np.ptp(within) > 0:
        return False
    span = float(np.ptp(time[before]))
    rate = float(np.count_nonzero(np.diff(power[before]))) / span if span > 0 else 0.0
    return rate * window.duration_s >= EXPECTED_CHANGES


def _stamped(power: FloatArray, stamp: FloatArray) -> bool:
    """Whether the time stamps belong to the readings. Their age does not tell: that of a sensor
    which stopped long ago is as great as that of one whose stamps mean nothing.
    """
    known = np.isfinite(power) & np.isfinite(stamp)
    changed = np.diff(power[known]) != 0
    ticked = np.diff(stamp[known]) != 0
    return not changed.any() or float(ticked[changed].mean()) >= LEAST_STAMPED


def _implausible(
    column: Columns, field: PowerField, inside: npt.NDArray[np.bool_], power_limit_w: float | None
) -> bool:
    temperature = _known(column("temperature_c")[inside])
    if ((temperature <= COLDEST_C) | (temperature > HOTTEST_C)).any():
        return True
    if field.kind == "interval_mean":
        return bool((_known(column(field.column)[inside]) < 0).any())
    power = _known(column(field.column)[inside])
    most = MOST_W if not power_limit_w else MOST_OF_LIMIT * power_limit_w
    return bool(((power <= 0) | (power > most)).any())


def _stepped(time: FloatArray, wall: FloatArray) -> bool:
    """Whether one of the two clocks was set: a lasting change, not one late reading."""
    offset = _known(wall - time)
    if len(offset) < 2 * MIN_SAMPLES:
        return False
    first, last = np.median(offset[:MIN_SAMPLES]), np.median(offset[-MIN_SAMPLES:])
    return bool(abs(last - first) > CLOCK_STEP_S)


def _failed(values: FloatArray) -> bool:
    return bool((_known(values) > 0).any())


def _falls(values: FloatArray) -> bool:
    return bool((np.diff(_known(values)) < 0).any())


def _exceeds(values: FloatArray, most: int | None) -> bool:
    known = _known(values)
    return most is not None and bool((known > most).any())


def _varies(values: FloatArray) -> bool:
    known = _known(values)
    return len(known) > 0 and bool(np.ptp(known) > 0)


def _beside(value: float | None, reference: float | None, most: float) -> bool:
    return value is not None and reference is not None and abs(value - reference) > most


def _known(values: FloatArray) -> FloatArray:
    return np.asarray(values[np.isfinite(values)])


def _mean(values: FloatArray) -> float | None:
    known = _known(values)
    return float(known.mean()) if len(known) else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
