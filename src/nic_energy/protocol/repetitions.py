"""The measurement loop: K windows of M executions each (paper, section 3 and Eq. (1))."""

import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nic_energy.energy.estimators import execution_energy, trapezoid_of
from nic_energy.errors import MeasurementError
from nic_energy.protocol.bench import Bench
from nic_energy.statistics.stopping import Decision, StoppingRule
from nic_energy.traces import Interval, PowerField, Sample, Window

log = logging.getLogger(__name__)

CHUNK_S = 0.1
"""Unmarked load is synchronised about this often, so that it ends when it should."""

WINDOW_MARGIN = 1.03
"""M is chosen this much larger than the least, so that few windows turn out too short."""

PHASE_S = 0.2
"""Windows begin after a random rest of up to two update periods of usual sensors. Rest, not load:
a whole number of executions more would leave the phase between execution and sensor as it is."""

MIN_SAMPLES = 3
"""A window with fewer power readings says nothing about its power."""

MAX_DARK_S = 1.0
"""What happens in a longer gap between two power readings nobody knows."""


@dataclass(frozen=True)
class WindowRule:
    """How a window is made; see the configuration keys of the same names."""

    min_duration_s: float
    lead_in_s: float
    max_rejected: int = 10


@dataclass(frozen=True)
class Progress:
    """State of the loop after a window, for people."""

    window: Window
    decision: Decision


@dataclass(frozen=True)
class Repetitions:
    """All windows, admissible or not, and the last decision of the stopping rule."""

    windows: tuple[Window, ...]
    intervals: tuple[Interval, ...]
    decision: Decision


class RepetitionError(MeasurementError):
    """The loop ended without a result; `windows` are those that were measured."""

    def __init__(self, message: str, windows: tuple[Window, ...]) -> None:
        super().__init__(message)
        self.windows = windows


def run_for(bench: Bench, seconds: float, execution_s: float, chunk_s: float = CHUNK_S) -> None:
    """Run the load unmarked for at least `seconds`, synchronised every `chunk_s` or so.

    It ends within one execution of the time asked for.
    """
    end = bench.clock.now() + seconds
    while (left := end - bench.clock.now()) > 0:
        bench.load.run(max(1, round(min(chunk_s, left) / execution_s)))


def time_execution(bench: Bench, at_least_s: float) -> float:
    """Mean time of one execution in s, after one warm-up execution."""
    bench.load.run(1)
    executions = 1
    while True:
        start, end = bench.load.run(executions)
        if end - start >= at_least_s:
            return (end - start) / executions
        share = at_least_s / max(end - start, 1e-6)
        executions = max(executions + 1, min(8 * executions, math.ceil(executions * share)))


def executions_for(min_duration_s: float, execution_s: float) -> int:
    """M, such that M executions exceed the least duration of a window (paper, section 3)."""
    return max(1, math.ceil(WINDOW_MARGIN * min_duration_s / execution_s))


def repeat(
    bench: Bench,
    windows: WindowRule,
    stopping: StoppingRule,
    power_field: PowerField,
    idle_power_w: float,
    execution_s: float,
    seed: int,
    report: Callable[[Progress], None] = lambda _: None,
) -> Repetitions:
    """Measure windows until the stopping rule ends the loop.

    Every window: a random rest of up to `PHASE_S`, so that sensors which see only part of the
    time do not alias with the executions; the load unmarked for `lead_in_s`; then M executions
    between two marks; then the load runs on until the samples that belong to the window are in,
    for two of the sensor's updates and its lag at least. The stopping rule works on the
    interpolated energy (trapezoid), since N of Eq. (1) flips between windows. A window shorter
    than `min_duration_s` is kept, flagged, left out, and M is enlarged.

    Args:
        idle_power_w: mean idle power of the same power column.
        execution_s: time of one execution, as `time_execution` gives it.
        seed: seed of the random phase.

    Raises:
        RepetitionError: more than `max_rejected` windows were not admissible.
    """
    rng = random.Random(seed)  # noqa: S311 - a phase, not a secret
    executions = executions_for(windows.min_duration_s, execution_s)
    done: list[Window] = []
    intervals: list[Interval] = []
    energies: list[float] = []
    while True:
        bench.clock.sleep(rng.random() * PHASE_S)
        intervals.append(_lead_in(bench, windows.lead_in_s, execution_s))
        start, end = bench.load.run(executions)
        run_for(bench, _run_on_s(bench), execution_s)
        bench.drain()
        window = Window(len(done), start, end, executions)
        window, energy = _judge(window, bench.history, power_field, idle_power_w, windows)
        done.append(window)
        if energy is None:
            log.warning("window %d left out: %s", window.index, ", ".join(window.flags))
            _refuse_too_many(done, windows.max_rejected)
            execution_s = min(execution_s, window.duration_s / executions)
            executions = max(executions, executions_for(windows.min_duration_s, execution_s))
            continue
        energies.append(energy)
        decision = stopping.decide(energies)
        report(Progress(window, decision))
        if decision.stop:
            return Repetitions(tuple(done), tuple(intervals), decision)


def _run_on_s(bench: Bench) -> float:
    """Load after a window, until every power field's readings and updates reach over its end
    mark: which of them is reported is chosen in the analysis.
    """
    period_s = 1 / bench.sampling_hz
    fields = bench.meter.power_fields
    return max(
        2 * max(period_s, field.update_period_s or 0.0) + (field.lag_s or 0.0) for field in fields
    )


def _lead_in(bench: Bench, seconds: float, execution_s: float) -> Interval:
    begin = bench.clock.now()
    run_for(bench, seconds, execution_s)
    return Interval("lead_in", begin, bench.clock.now())


def _judge(
    window: Window,
    history: list[Sample],
    power_field: PowerField,
    idle_power_w: float,
    rule: WindowRule,
) -> tuple[Window, float | None]:
    """The window with its flags, and the dynamic energy of one execution if it is admissible."""
    if window.duration_s < rule.min_duration_s:
        return replace(window, flags=("window_too_short",)), None
    recent = [s for s in history if _time(s) > window.start_s - 5.0]
    if _dark(recent, power_field.column, window):
        return replace(window, flags=("too_few_samples",)), None
    try:
        gross = trapezoid_of(recent, power_field, window.start_s, window.end_s)
    except ValueError as error:
        log.warning("window %d: %s", window.index, error)
        return replace(window, flags=("too_few_samples",)), None
    return window, execution_energy(gross, idle_power_w, window.executions)[0]


def _dark(samples: list[Sample], column: str, window: Window) -> bool:
    """Whether a window has too few power readings, or none for longer than `MAX_DARK_S`."""
    readings = np.array([_time(s) for s in samples if s.get(column) is not None])
    inside = readings[(readings >= window.start_s) & (readings <= window.end_s)]
    edges = np.concatenate([[window.start_s], inside, [window.end_s]])
    return len(inside) < MIN_SAMPLES or float(np.diff(edges).max()) > MAX_DARK_S


def _time(sample: Sample) -> float:
    return float(sample["time_s"] or 0.0)


def _refuse_too_many(done: list[Window], most: int) -> None:
    rejected = [window for window in done if not window.admissible]
    if len(rejected) > most:
        reasons = sorted({flag for window in rejected for flag in window.flags})
        raise RepetitionError(
            f"{len(rejected)} windows were not admissible ({', '.join(reasons)}); the device or "
            "its meter does not hold still. See the attempt in the raw store.",
            tuple(done),
        )
