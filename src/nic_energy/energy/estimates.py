"""One trace evaluated: the energies of its windows by every estimator, Eq. (1)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import special

from nic_energy.energy.estimators import COUNTER, WindowEnergy, execution_energy
from nic_energy.energy.events import events
from nic_energy.energy.idle import IdleMean, IdlePower
from nic_energy.energy.readings import Readings, between
from nic_energy.energy.uncertainty import Edges, edges_of
from nic_energy.errors import MismatchError
from nic_energy.traces import FloatArray, Modality, PowerField, Trace, TraceMeta, Window
from nic_energy.vocabulary import ESTIMATORS, EstimatorName, Sees

FALSE_ALARMS = 0.01
"""Share of rows that may be flagged though counter and power field agree."""

ROUNDING = 1e-6


@dataclass(frozen=True)
class Calibration:
    """What is known of the sensor: reading = `gain` * true power + `offset_w`; `gain_u` is the
    standard uncertainty of the gain.

    What was calibrated is the board `device_uuid`, as `estimator` reads it from the column
    `power_field` (the counter reads none), against a meter that `sees` the board or the machine.
    None = not stated, and not checked.
    """

    gain: float
    gain_u: float
    offset_w: float = 0.0
    reference: str = ""
    device_uuid: str | None = None
    estimator: EstimatorName | None = None
    power_field: str | None = None
    sees: Sees | None = None

    def serves(self, estimator: EstimatorName, column: str) -> bool:
        """Whether the gain is that of an estimator, which reads `column`. Estimators of one power
        column share its gain; the counter has its own.
        """
        if self.estimator == "counter":
            return estimator == "counter"
        if self.estimator is None and self.power_field is None:
            return True
        return estimator != "counter" and self.power_field in (None, column)


@dataclass(frozen=True)
class Estimate:
    """Energies of the admissible windows by one estimator, J an execution, shape (windows,).

    `rejected_j` are the dynamic energies of the inadmissible ones that have one. `edges` are of
    one execution too. `idle` is what was subtracted. `calibration` is what all of them are
    corrected by, None where they are as the sensor reads.
    """

    estimator: EstimatorName
    power_field: str
    idle: IdleMean
    dynamic_j: FloatArray
    gross_j: FloatArray
    edges: Edges
    rejected_j: FloatArray
    calibration: Calibration | None = None

    @property
    def gain(self) -> float:
        """What the energies were divided by."""
        return self.calibration.gain if self.calibration else 1.0


@dataclass(frozen=True)
class Evaluated:
    """A trace without its samples: all that its rows are made of.

    `temperatures_c` and `clocks_mhz` are means over each admissible window, NaN where there is
    no sensor; `disagrees` says that counter and integrated power of a window differ by more than
    both can be wrong; `events` are flags of what happened on the device.
    """

    meta: TraceMeta
    modality: Modality
    windows: tuple[Window, ...]
    idle: IdlePower | None
    estimates: Mapping[EstimatorName, Estimate]
    temperatures_c: FloatArray
    clocks_mhz: FloatArray
    disagrees: bool
    events: frozenset[str] = frozenset()

    def disagreement_j(self, estimator: EstimatorName) -> float | None:
        """How far the mean energy lies from that of the other witness, the counter for estimators
        of the power and `trapezoid` for the counter, in J: 0 where they agree within what both
        can be wrong, None where there is no other witness. Compared is what both read, since a
        calibration may be of one alone; the distance is corrected as the energy.
        """
        other: EstimatorName = "trapezoid" if estimator == "counter" else "counter"
        if estimator not in self.estimates or other not in self.estimates:
            return None
        if not self.disagrees:
            return 0.0
        one, two = self.estimates[estimator], self.estimates[other]
        return abs(float(one.dynamic_j.mean() - two.dynamic_j.mean() * two.gain / one.gain))


def modality_of(trace: Trace) -> Modality:
    """The modality of a trace.

    Raises:
        MismatchError: it is the trace of an idle reference.
    """
    if trace.meta.modality is None:
        raise MismatchError("an idle reference stands where the trace of a modality is expected.")
    return trace.meta.modality


def power_field_of(trace: Trace, column: str) -> PowerField:
    """The power field that the configuration asks for.

    Raises:
        MismatchError: the trace has no such column; names those it has.
    """
    try:
        return trace.meta.meter.power_field(column)
    except KeyError:
        offered = ", ".join(field.column for field in trace.meta.meter.power_fields)
        raise MismatchError(f"power_field: the traces hold {offered}, not {column}.") from None


def check_calibration(
    path: Path, meta: TraceMeta, chosen: Estimate, calibration: Calibration
) -> None:
    """Refuse a calibration of something else than what is reported.

    Raises:
        MismatchError: it is of another board, or of another estimator or power field than that
            of energy.csv.
    """
    of, board = calibration.device_uuid, meta.meter.device_uuid
    if of is not None and of != board:
        raise MismatchError(
            f"{path}: was measured on {board}, but calibration.device_uuid is {of}: a gain is one "
            "board's. Give the calibration of this board, or calibration: null."
        )
    if not calibration.serves(chosen.estimator, chosen.power_field):
        sensor = "the energy counter" if calibration.estimator == "counter" else "a power field"
        column = f" ({calibration.power_field})" if calibration.power_field else ""
        raise MismatchError(
            f"{path}: the estimator {chosen.estimator} reads {chosen.power_field}, but the "
            f"calibration is of {sensor}{column}, which has a gain of its own. Set estimator and "
            "power_field to what was calibrated, or calibration: null."
        )


def evaluate(
    trace: Trace, idle: IdlePower | None, field: PowerField, calibration: Calibration | None
) -> Evaluated:
    """Every estimator that all admissible windows and the idle allow.

    Args:
        idle: the idle power to subtract; None gives no estimates.
        calibration: corrects the estimators that it is of.
    """
    windows = tuple(window for window in trace.meta.windows if window.admissible)
    rejected = tuple(window for window in trace.meta.windows if not window.admissible)
    readings = Readings(trace, field, windows)
    found = [readings.energies(window) for window in windows]
    others = [(window, readings.energies(window)) for window in rejected]
    raw: dict[EstimatorName, Estimate] = {}
    estimates: dict[EstimatorName, Estimate] = {}
    for name in ESTIMATORS:
        column = COUNTER if name == "counter" else field.column
        mean = idle.columns.get(column) if idle else None
        if not windows or mean is None or any(name not in energies for energies in found):
            continue
        energies = [each[name] for each in found]
        edges = edges_of(readings, name, mean.power_w)
        left_out = [(window, each[name]) for window, each in others if name in each]
        raw[name] = estimates[name] = _estimate(
            name, column, energies, windows, mean, edges, left_out
        )
        if calibration is not None and calibration.serves(name, column):
            lasts = [e.duration_s / w.executions for e, w in zip(energies, windows, strict=True)]
            estimates[name] = _corrected(raw[name], calibration, np.array(lasts))
    return Evaluated(
        trace.meta,
        modality_of(trace),
        windows,
        idle,
        estimates,
        _window_means(readings, "temperature_c"),
        _window_means(readings, "sm_clock_mhz"),
        _disagrees(readings, raw),
        frozenset(events(trace, windows)),
    )


def _estimate(
    name: EstimatorName,
    column: str,
    energies: Sequence[WindowEnergy],
    windows: Sequence[Window],
    idle: IdleMean,
    edges: Edges,
    left_out: Sequence[tuple[Window, WindowEnergy]],
) -> Estimate:
    pairs = [
        execution_energy(energy, idle.power_w, window.executions)
        for energy, window in zip(energies, windows, strict=True)
    ]
    dynamic, gross = (np.array(values) for values in zip(*pairs, strict=True))
    executions = np.array([window.executions for window in windows], dtype=float)
    rejected = [execution_energy(each, idle.power_w, w.executions)[0] for w, each in left_out]
    per_execution = Edges(edges.windows_j / executions, edges.common_j / float(executions.mean()))
    return Estimate(name, column, idle, dynamic, gross, per_execution, np.array(rejected))


def _corrected(raw: Estimate, sensor: Calibration, durations_s: FloatArray) -> Estimate:
    """An estimate as the meter would have it; `durations_s` of one execution in each window."""
    idle, gain = raw.idle, sensor.gain
    uncertainty = None if idle.uncertainty_w is None else idle.uncertainty_w / gain
    return replace(
        raw,
        idle=IdleMean(
            (idle.power_w - sensor.offset_w) / gain, uncertainty, idle.degrees_of_freedom
        ),
        dynamic_j=raw.dynamic_j / gain,
        gross_j=(raw.gross_j - sensor.offset_w * durations_s) / gain,
        edges=Edges(raw.edges.windows_j / gain, raw.edges.common_j / gain),
        rejected_j=raw.rejected_j / gain,
        calibration=sensor,
    )


def _window_means(readings: Readings, column: str) -> FloatArray:
    values = readings.trace.column(column)
    means = np.full(len(readings.windows), np.nan)
    for number, window in enumerate(readings.windows):
        inside = readings.during(window, values)
        inside = inside[np.isfinite(inside)]
        if len(inside):
            means[number] = inside.mean()
    return means


def _disagrees(readings: Readings, estimates: Mapping[EstimatorName, Estimate]) -> bool:
    """Whether the gross energies of any window, or their means, differ beyond their combined
    uncertainty, at a level that flags one row in a hundred by chance whatever its K.
    """
    if "counter" not in estimates or "trapezoid" not in estimates:
        return False
    one, two = estimates["counter"], estimates["trapezoid"]
    sampling = _sampling_u(readings)
    edges = np.hypot(one.edges.windows_j, two.edges.windows_j)
    edges = np.maximum(edges, ROUNDING * np.abs(two.gross_j))
    common = math.hypot(one.edges.common_j, two.edges.common_j)
    differences = one.gross_j - two.gross_j
    factor = -float(special.ndtri(FALSE_ALARMS / 4 / len(readings.windows)))
    beyond = np.abs(differences) > factor * np.sqrt(edges**2 + sampling**2 + common**2)
    return bool(beyond.any()) or _mean_differs(differences, edges, common)


def _mean_differs(differences: FloatArray, edges: FloatArray, common: float) -> bool:
    """Whether windows differ on average by more than their scatter, whatever its cause, and the
    edges allow; sees what is too little for any single window.
    """
    count, level = len(differences), FALSE_ALARMS / 4
    if count < 2:
        return False
    scatter = float(np.std(differences, ddof=1)) / math.sqrt(count)
    known = math.hypot(math.sqrt(float(np.mean(edges**2)) / count), common)
    limit = math.hypot(
        float(special.stdtrit(count - 1, level)) * scatter, float(special.ndtri(level)) * known
    )
    return bool(abs(differences.mean()) > limit)


def _sampling_u(readings: Readings) -> FloatArray:
    """Standard uncertainty of a window's energy from the scatter of its readings: a sensor that
    sees part of the time may have seen another part. J an execution.
    """
    time, power = readings.prepared
    found = np.zeros(len(readings.windows))
    for number, window in enumerate(readings.windows):
        inside = power[between(time, window.start_s, window.end_s)]
        if len(inside) > 1:
            mean_u = float(np.std(inside, ddof=1)) / math.sqrt(len(inside))
            found[number] = mean_u * window.duration_s / window.executions
    return found
