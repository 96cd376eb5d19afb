"""Idle power from a trace: of the reference (cold), with the network resident (context), and
after the windows (paired).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nic_energy.energy.estimators import COUNTER, tick_times
from nic_energy.energy.events import idle_events
from nic_energy.traces import FloatArray, Trace
from nic_energy.vocabulary import IdleKind

BLOCKS = 8
FEW_BLOCKS = 4
LEAST_READINGS = 8
PHASES: Mapping[IdleKind, str] = {
    "cold": "idle",
    "context": "idle_context",
    "paired": "idle_paired",
}


@dataclass(frozen=True)
class IdleMean:
    """Mean idle power in W, its standard uncertainty (type A; None where there are too few
    readings) and the degrees of freedom of that.
    """

    power_w: float
    uncertainty_w: float | None
    degrees_of_freedom: float


@dataclass(frozen=True)
class IdlePower:
    """Idle power per column (`energy_counter_j` for that of the counter) of one kind."""

    kind: IdleKind
    session: str
    columns: Mapping[str, IdleMean]
    temperature_c: float | None = None
    wall_time_s: float | None = None
    flags: tuple[str, ...] = ()


def idle_power(trace: Trace, kind: IdleKind) -> IdlePower | None:
    """The idle power that a trace holds, None where it holds none of this kind.

    Means are weighted by time; only samples of the marked interval count. Uncertainties come
    from the scatter of block means, since readings in a row are not independent.
    """
    marks = [mark for mark in trace.meta.intervals if mark.phase == PHASES[kind]]
    time = trace.column("time_s")
    if marks:
        inside = (time >= marks[0].start_s) & (time <= marks[0].end_s)
    elif trace.meta.kind == "idle" and kind == "cold":
        inside = np.ones(len(time), dtype=bool)
    else:
        return None
    columns = _columns(trace, time, inside)
    if not columns:
        return None
    return IdlePower(
        kind,
        trace.meta.session,
        columns,
        _plain_mean(trace.column("temperature_c")[inside]),
        _plain_mean(trace.column("wall_time_s")[inside]),
        (*trace.meta.flags, *idle_events(trace)) if trace.meta.kind == "idle" else (),
    )


def idle_power_w(trace: Trace) -> dict[str, float]:
    """Mean power per column of an idle reference, in W."""
    found = idle_power(trace, "cold")
    return {} if found is None else {name: mean.power_w for name, mean in found.columns.items()}


def _columns(trace: Trace, time: FloatArray, inside: npt.NDArray[np.bool_]) -> dict[str, IdleMean]:
    found: dict[str, IdleMean] = {}
    for field in trace.meta.meter.power_fields:
        mean = _mean(time[inside], trace.column(field.column)[inside])
        if mean is not None:
            found[field.column] = mean
    counted = _counter_mean(time[inside], trace.column(COUNTER)[inside], found)
    if counted is not None:
        found[COUNTER] = counted
    return found


def _mean(time: FloatArray, power: FloatArray) -> IdleMean | None:
    usable = np.isfinite(power)
    time, power = time[usable], power[usable]
    if len(power) < 2:
        return None
    steps = np.diff(time)
    mean = float(np.sum(steps * (power[1:] + power[:-1]) / 2) / np.sum(steps))
    if len(power) < LEAST_READINGS:
        return IdleMean(mean, None, math.inf)
    blocks = BLOCKS if len(power) >= 8 * BLOCKS else FEW_BLOCKS
    means = [float(block.mean()) for block in np.array_split(power, blocks)]
    return IdleMean(mean, float(np.std(means, ddof=1) / math.sqrt(blocks)), blocks - 1)


def _counter_mean(
    time: FloatArray, counter: FloatArray, fields: Mapping[str, IdleMean]
) -> IdleMean | None:
    """Slope of the counter between its first and last tick, None where it went backwards; the
    scatter of the idle power itself is that of the first power column.
    """
    usable = np.isfinite(counter)
    ticks, values = tick_times(time[usable], counter[usable])
    if len(ticks) < 2 or (np.diff(values) < 0).any():
        return None
    lasted = float(ticks[-1] - ticks[0])
    power = float((values[-1] - values[0]) / lasted)
    edges = power * float(np.median(np.diff(ticks))) / lasted / math.sqrt(6)
    field = next(iter(fields.values()), None)
    if field is None or field.uncertainty_w is None:
        return IdleMean(power, edges, math.inf)
    scatter = field.uncertainty_w * power / field.power_w if field.power_w > 0 else 0.0
    return IdleMean(power, math.hypot(edges, scatter), field.degrees_of_freedom)


def _plain_mean(values: FloatArray) -> float | None:
    usable = values[np.isfinite(values)]
    return float(usable.mean()) if len(usable) else None
