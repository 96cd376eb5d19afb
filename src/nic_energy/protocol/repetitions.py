"""The measurement loop: K windows of M executions each (paper, section 3 and Eq. (1))."""

import logging
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

from nic_energy.energy.admissibility import (
    Conditions,
    Limits,
    columns_of,
    conditions,
    drift_flags,
    window_flags,
)
from nic_energy.energy.estimators import execution_energy, trapezoid_of
from nic_energy.errors import MeasurementError
from nic_energy.protocol.bench import Bench
from nic_energy.statistics.stopping import Decision, StoppingRule
from nic_energy.traces import INADMISSIBLE, Interval, PowerField, Sample, Window

log = logging.getLogger(__name__)

CHUNK_S = 0.1
"""Unmarked load is synchronised about this often, so that it ends when it should."""

WINDOW_MARGIN = 1.03
"""M is chosen this much larger than the least, so that few windows turn out too short."""

PHASE_S = 0.2
"""Windows begin after a random rest of up to two update periods of usual sensors. Rest, not load:
a whole number of executions more would leave the phase between execution and sensor as it is."""

LOOK_BACK_S = 15.0
"""A window is judged with what was recorded since the one before it, but no longer than this
before its start."""


@dataclass(frozen=True)
class WindowRule:
    """How a window is made, what it must keep to, and when the loop ends for want of windows that
    do: after more than `max_rejected`, not counting those left out for their temperature alone
    while the device warms up, which may last `max_warming_s` in all.
    """

    lead_in_s: float
    limits: Limits
    max_rejected: int = 10
    max_warming_s: float = 600.0


@dataclass(frozen=True)
class Progress:
    """State of the loop after a window, for people: the window with its flags, how many were
    rejected so far, the decision on the others, None while there are none, the temperature, the
    gross energy of the window, None where it is not known, and whether it is measured.
    """

    window: Window
    rejected: int
    decision: Decision | None
    temperature_c: float | None = None
    energy_gross_j: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Repetitions:
    """All windows, admissible or not, the last decision of the stopping rule, and the temperature
    at which this load settled, None without a thermometer.
    """

    windows: tuple[Window, ...]
    intervals: tuple[Interval, ...]
    decision: Decision
    settled_c: float | None


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
    rule: WindowRule,
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
    interpolated energy (trapezoid), since N of Eq. (1) flips between windows. A window that is
    not admissible is kept, flagged, left out and repeated; one that turned out shorter than
    `min_duration_s` enlarges M.

    Args:
        idle_power_w: mean idle power of the same power column.
        execution_s: time of one execution, as `time_execution` gives it.
        seed: seed of the random phase.

    Raises:
        RepetitionError: too many windows were not admissible; see `WindowRule`.
    """
    rng = random.Random(seed)  # noqa: S311 - a phase, not a secret
    limits = rule.limits
    executions = executions_for(limits.min_duration_s, execution_s)
    judge = Judge(bench, limits, stopping.min_repetitions, power_field, idle_power_w)
    intervals: list[Interval] = []
    while True:
        log.debug("window %d: lead-in", len(judge.windows))
        bench.clock.sleep(rng.random() * PHASE_S)
        intervals.append(_lead_in(bench, rule.lead_in_s, execution_s))
        log.debug("window %d: %d executions", len(judge.windows), executions)
        start, end = bench.load.run(executions)
        run_for(bench, _run_on_s(bench), execution_s)
        bench.drain()
        window = judge.add(Window(len(judge.windows), start, end, executions))
        energies = judge.energies()
        decision = stopping.decide(energies) if energies else None
        rejected = len(judge.windows) - len(energies)
        gross_j = judge.gross_j()
        temperature_c, source = bench.temperature_c(), bench.meter.source
        report(Progress(window, rejected, decision, temperature_c, gross_j, source))
        if not window.admissible:
            log.warning("window %d left out: %s", window.index, ", ".join(window.flags))
        if "window_too_short" in window.flags:
            execution_s = min(execution_s, window.duration_s / executions)
            executions = max(executions, executions_for(limits.min_duration_s, execution_s))
        if decision is not None and decision.stop and window.admissible:
            return Repetitions(judge.windows, tuple(intervals), decision, judge.settled_c())
        _refuse_too_many(judge.windows, rule)


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


WARMING = frozenset({"temperature_outside_band"})
"""Windows left out for this alone are the end of preheating, and may be many."""


class Judge:
    """The windows so far, judged anew whenever one is added: a device that still warms up leaves
    its first windows behind.

    Args:
        last: how many windows say what the settled state is.
    """

    def __init__(
        self, bench: Bench, limits: Limits, last: int, power_field: PowerField, idle_w: float
    ) -> None:
        self._bench, self._limits, self._last = bench, limits, last
        self._field, self._idle_w = power_field, idle_w
        self._own: list[Window] = []
        self._states: list[Conditions] = []
        self._energies: list[float | None] = []
        self.windows: tuple[Window, ...] = ()

    def add(self, window: Window) -> Window:
        """Judge a window; returns it with its flags."""
        since = max(window.start_s - LOOK_BACK_S, self._own[-1].end_s if self._own else 0.0)
        recent = [s for s in self._bench.history if _time(s) >= since]
        column = columns_of(recent)
        flags = window_flags(column, window, self._field, self._limits)
        energy = self._energy(recent, window)
        if energy is None:
            flags = tuple(sorted({*flags, "too_few_samples"}))
        self._own.append(replace(window, flags=flags))
        self._states.append(conditions(column, window))
        self._energies.append(energy)
        self.windows = self._judged()
        return self.windows[-1]

    def gross_j(self) -> float | None:
        """Gross energy of the newest window in J, idle and all, of all its executions."""
        energy, window = self._energies[-1], self._own[-1]
        if energy is None:
            return None
        return energy * window.executions + self._idle_w * window.duration_s

    def energies(self) -> list[float]:
        """Dynamic energy of one execution in each admissible window, in J."""
        pairs = zip(self.windows, self._energies, strict=True)
        return [energy for window, energy in pairs if window.admissible and energy is not None]

    def settled_c(self) -> float | None:
        """Median temperature of the last windows."""
        recent = [
            s.temperature_c for s in self._states[-self._last :] if s.temperature_c is not None
        ]
        return median(recent) if recent else None

    def _energy(self, recent: list[Sample], window: Window) -> float | None:
        try:
            gross = trapezoid_of(recent, self._field, window.start_s, window.end_s)
        except ValueError as error:
            log.warning("window %d: %s", window.index, error)
            return None
        return execution_energy(gross, self._idle_w, window.executions)[0]

    def _judged(self) -> tuple[Window, ...]:
        sound = [number for number, window in enumerate(self._own) if window.admissible]
        found = drift_flags([self._states[n] for n in sound], self._last, self._limits)
        judged = list(self._own)
        for number, flags in zip(sound, found, strict=True):
            own = judged[number]
            judged[number] = replace(own, flags=tuple(sorted({*own.flags, *flags})))
        return tuple(judged)


def _time(sample: Sample) -> float:
    return float(sample["time_s"] or 0.0)


def _refuse_too_many(windows: tuple[Window, ...], rule: WindowRule) -> None:
    rejected = [w for w in windows if not w.admissible]
    warming = [w for w in rejected if INADMISSIBLE.intersection(w.flags) <= WARMING]
    warming_s = sum(window.duration_s for window in warming)
    if len(rejected) - len(warming) > rule.max_rejected or warming_s > rule.max_warming_s:
        reasons = Counter(f for w in rejected for f in INADMISSIBLE.intersection(w.flags))
        said = ", ".join(f"{flag} {count} times" for flag, count in sorted(reasons.items()))
        raise RepetitionError(
            f"{len(rejected)} of {len(windows)} windows were not admissible ({said}); the device, "
            "its meter or its neighbours do not hold still. docs/faults.md says what each means "
            "and what to do; the attempt is kept in the raw store.",
            windows,
        )
