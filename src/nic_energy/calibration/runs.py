"""The sensor's side of the comparison: what every trace holds, in the time of the host.

Window marks and samples are on the monotonic clock, which no one sets. To it a session adds one
constant, the median of what its samples say that the wall clock was ahead: so a host whose clock
was set in mid-campaign has no step here.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nic_energy.calibration.records import PowerRecord, joined, of_means, of_readings
from nic_energy.energy.estimates import modality_of, power_field_of
from nic_energy.energy.estimators import COUNTER, field_readings, tick_times, window_energies
from nic_energy.errors import MismatchError
from nic_energy.traces import FloatArray, Modality, Trace, read_trace
from nic_energy.vocabulary import EstimatorName

log = logging.getLogger(__name__)

THIN_S = 0.5
"""Records of the whole campaign are kept as means over so long."""

IDLE_PHASES = ("idle_context", "idle_paired")
IDLE_MARGIN_S = 0.2
RUN_ON_SAMPLES = 2.0
"""After a window the load runs on for at least so many samples."""

REPORT_S = 10.0


@dataclass(frozen=True)
class Spans:
    """Stretches of time and the sensor's mean power in them, uncalibrated.

    `start_s` and `end_s` are host times (Unix), `power_w` what the estimator makes of them, shapes
    (n,); `executions` in each, 0 at idle. The same went on for `before_s` before and `after_s`
    after each.
    """

    start_s: FloatArray
    end_s: FloatArray
    power_w: FloatArray
    executions: FloatArray
    before_s: float = 0.0
    after_s: float = 0.0

    @property
    def duration_s(self) -> FloatArray:
        """Length of each."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Run:
    """One modality: its admissible windows and its idle."""

    path: Path
    setup: str
    source: str
    session: str
    modality: Modality
    windows: Spans
    idle: Spans

    @property
    def key(self) -> tuple[str, str, int, str]:
        """Part, network, quality and image."""
        each = self.modality
        return each.part, each.network, each.quality, each.image.image


@dataclass(frozen=True)
class SensorSide:
    """All runs of a campaign, the sensor's record over it in coarse means, and each session's
    wall clock ahead of its monotonic one, in s.
    """

    runs: tuple[Run, ...]
    record: PowerRecord
    epochs: Mapping[str, float]


def read_sensor_side(traces: Sequence[Path], column: str, estimator: EstimatorName) -> SensorSide:
    """Read the traces of a campaign.

    Args:
        column: power column, or `auto`. estimator: the one of energy.csv.

    Raises:
        MismatchError: a trace lacks the column or the estimator, or traces overlap in time.
    """
    reported = time.monotonic()
    found: list[tuple[Run, PowerRecord]] = []
    ahead: dict[str, list[float]] = {}
    for number, path in enumerate(traces, start=1):
        trace = read_trace(path)
        ahead.setdefault(trace.meta.session, []).append(_ahead_s(path, trace))
        record = sensor_record(path, trace, column)
        found.append((_run(path, trace, record, column, estimator), _thin(record)))
        if time.monotonic() - reported > REPORT_S:
            reported = time.monotonic()
            log.info("%d of %d traces", number, len(traces))
    epochs = {session: float(np.median(each)) for session, each in ahead.items()}
    try:
        record = joined([thin.shifted(epochs[run.session]) for run, thin in found])
    except ValueError:
        raise MismatchError(
            "external_meter: traces of the campaign overlap in time, so that the clock of the host "
            "cannot have been right in all sessions."
        ) from None
    runs = tuple(_in_host_time(run, epochs[run.session]) for run, _ in found)
    return SensorSide(runs, record, epochs)


def sensor_record(path: Path, trace: Trace, column: str) -> PowerRecord:
    """The readings of a power column as a record, on the monotonic clock.

    Raises:
        MismatchError: the trace has no such column, or hardly a reading in it.
    """
    field = power_field_of(trace, column)
    try:
        return of_readings(*field_readings(trace, field))
    except ValueError as error:
        raise MismatchError(f"{path}: {field.column} has {error}.") from None


def _ahead_s(path: Path, trace: Trace) -> float:
    ahead = trace.column("wall_time_s") - trace.column("time_s")
    known = ahead[np.isfinite(ahead)]
    if not len(known):
        raise MismatchError(
            f"{path}: its samples carry no wall-clock time, so that no log fits it."
        )
    return float(np.median(known))


def _thin(record: PowerRecord) -> PowerRecord:
    count = max(1, round((record.end_s - record.start_s) / THIN_S))
    edges = np.linspace(record.start_s, record.end_s, count + 1)
    return of_means(edges, record.mean_w(edges[:-1], edges[1:]))


def _run(
    path: Path, trace: Trace, record: PowerRecord, column: str, estimator: EstimatorName
) -> Run:
    averaging_s = power_field_of(trace, column).averaging_window_s or 0.0
    # Like from like: a counter and a power field may differ in gain, and one line goes through
    # windows and idle.
    at_idle = counter_record(trace) if estimator == "counter" else record
    return Run(
        path,
        trace.meta.setup,
        trace.meta.source,
        trace.meta.session,
        modality_of(trace),
        _windows(path, trace, column, estimator),
        _idle(trace, at_idle, 0.0 if estimator == "counter" else averaging_s),
    )


def counter_record(trace: Trace) -> PowerRecord | None:
    """What the energy counter says between its ticks, on the monotonic clock; None where it hardly
    ticked. A step at which it went backwards is not known.
    """
    counted = trace.column(COUNTER)
    usable = np.isfinite(counted)
    ticks, values = tick_times(trace.column("time_s")[usable], counted[usable])
    if len(ticks) < 2:
        return None
    steps = np.diff(values)
    return of_means(ticks, np.where(steps < 0, np.nan, steps / np.diff(ticks)))


def _windows(path: Path, trace: Trace, column: str, estimator: EstimatorName) -> Spans:
    field = power_field_of(trace, column)
    rows = []
    for window in (each for each in trace.meta.windows if each.admissible):
        energies = window_energies(trace, window, field)
        if estimator not in energies:
            raise MismatchError(
                f"{path}: the estimator {estimator} cannot be computed from this trace."
            )
        energy = energies[estimator]
        power = energy.energy_gross_j / energy.duration_s
        rows.append((window.start_s, window.end_s, power, float(window.executions)))
    lead_ins = [m.end_s - m.start_s for m in trace.meta.intervals if m.phase == "lead_in"]
    return replace(
        _spans(rows),
        before_s=min(lead_ins, default=0.0),
        after_s=RUN_ON_SAMPLES / trace.meta.sampling_hz,
    )


def _idle(trace: Trace, record: PowerRecord | None, averaging_s: float) -> Spans:
    """Idle with the network resident, less what load before and after may reach into; none where
    nothing says its power.
    """
    if record is None:
        return _spans([])
    marks = [mark for mark in trace.meta.intervals if mark.phase in IDLE_PHASES]
    margin = IDLE_MARGIN_S + averaging_s / 2
    start = np.array([mark.start_s + margin for mark in marks])
    end = np.array([mark.end_s - margin for mark in marks])
    power = record.steady_w(start, end)
    known = np.isfinite(power)
    rows = zip(start[known], end[known], power[known], strict=True)
    return _spans([(*row, 0.0) for row in rows])


def _spans(rows: Sequence[tuple[float, ...]]) -> Spans:
    table = np.array(rows, dtype=float).reshape(-1, 4)
    return Spans(*table.T)


def _in_host_time(run: Run, epoch_s: float) -> Run:
    return replace(run, windows=_later(run.windows, epoch_s), idle=_later(run.idle, epoch_s))


def _later(spans: Spans, seconds: float) -> Spans:
    return replace(spans, start_s=spans.start_s + seconds, end_s=spans.end_s + seconds)
