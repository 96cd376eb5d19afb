"""The true power of a virtual GPU over time, piecewise and in closed form.

A segment holds for one stretch of rest or load. With t the time since its start,

    P(t) = base + k*(T(t) - T_ref) + step*exp(-t/tau_step) + ripple(t)
    T(t) = T_end + (T_0 - T_end)*exp(-t/tau)

base: power at the reference temperature; k: leakage; step: what a high performance state still
draws; ripple: a square wave of zero mean with the period of one execution. Its integral is in
closed form too, so that a sensor of any averaging window reads exactly what it would, and the
true energy between any two times is known to rounding.
"""

from dataclasses import astuple, dataclass, fields

import numpy as np

from nic_energy.traces import FloatArray


@dataclass(frozen=True)
class Segment:
    """A stretch of rest or load; see the module. Times in s, powers in W, temperatures in degC."""

    start_s: float
    base_w: float
    leakage_w_per_k: float
    reference_c: float
    start_c: float
    end_c: float
    thermal_s: float
    step_w: float = 0.0
    step_s: float = 1.0
    ripple_w: float = 0.0
    ripple_s: float = 1.0
    loaded: bool = False


NAMES = tuple(item.name for item in fields(Segment))


class Timeline:
    """Segments in order of time; the last one holds on."""

    def __init__(self, first: Segment) -> None:
        self._segments = [first]
        self._table: dict[str, FloatArray] | None = None
        self._before_j: FloatArray | None = None

    @property
    def start_s(self) -> float:
        """Where the timeline begins."""
        return self._segments[0].start_s

    def append(self, segment: Segment) -> None:
        """Begin a new segment; one of no length before it is replaced."""
        if segment.start_s < self._segments[-1].start_s:
            raise ValueError("segments must be in order of time")
        if segment.start_s == self._segments[-1].start_s and len(self._segments) > 1:
            self._segments.pop()
        self._segments.append(segment)
        self._table = self._before_j = None

    def power_w(self, time_s: FloatArray) -> FloatArray:
        """True power at times, shape as the input."""
        rows, since = self._at(time_s)
        phase = np.mod(since / rows["ripple_s"], 1.0)
        ripple = np.where(phase < 0.5, rows["ripple_w"], -rows["ripple_w"])
        leakage = rows["leakage_w_per_k"] * (_temperature(rows, since) - rows["reference_c"])
        step = rows["step_w"] * np.exp(-since / rows["step_s"])
        return np.asarray(rows["base_w"] + leakage + step + ripple)

    def temperature_c(self, time_s: FloatArray) -> FloatArray:
        """True temperature at times, shape as the input."""
        return _temperature(*self._at(time_s))

    def loaded(self, time_s: FloatArray) -> FloatArray:
        """1 where a load runs, else 0."""
        return self._at(time_s)[0]["loaded"]

    def energy_j(self, time_s: FloatArray) -> FloatArray:
        """True energy from the start of the timeline to times, shape as the input.

        Before the start the power of the first moment is taken to have held.
        """
        rows, since = self._at(time_s)
        table = self._columns()
        if self._before_j is None:
            lengths = np.diff(table["start_s"])
            heads = {name: column[:-1] for name, column in table.items()}
            self._before_j = np.concatenate([[0.0], np.cumsum(_integral(heads, lengths))])
        index = self._index(time_s)
        inside = _integral(rows, since)
        early = np.minimum(np.asarray(time_s) - self.start_s, 0.0)
        if early.any():
            inside = inside + early * self.power_w(np.array([self.start_s]))[0]
        return np.asarray(self._before_j[index] + inside)

    def _columns(self) -> dict[str, FloatArray]:
        if self._table is None:
            values = np.array([astuple(segment) for segment in self._segments], dtype=float)
            self._table = dict(zip(NAMES, values.T, strict=True))
        return self._table

    def _index(self, time_s: FloatArray) -> FloatArray:
        starts = self._columns()["start_s"]
        return np.maximum(np.searchsorted(starts, time_s, side="right") - 1, 0)

    def _at(self, time_s: FloatArray) -> tuple[dict[str, FloatArray], FloatArray]:
        """(columns of the segment that holds, time since its start) at times."""
        index = self._index(time_s)
        rows = {name: column[index] for name, column in self._columns().items()}
        return rows, np.maximum(np.asarray(time_s) - rows["start_s"], 0.0)


def _temperature(rows: dict[str, FloatArray], since: FloatArray) -> FloatArray:
    decay = np.exp(-since / rows["thermal_s"])
    return np.asarray(rows["end_c"] + (rows["start_c"] - rows["end_c"]) * decay)


def _integral(rows: dict[str, FloatArray], since: FloatArray) -> FloatArray:
    """Energy of a segment from its start, in J."""
    k, tau, step_s = rows["leakage_w_per_k"], rows["thermal_s"], rows["step_s"]
    steady = rows["base_w"] + k * (rows["end_c"] - rows["reference_c"])
    warming = k * (rows["start_c"] - rows["end_c"]) * tau * -np.expm1(-since / tau)
    step = rows["step_w"] * step_s * -np.expm1(-since / step_s)
    phase = np.mod(since / rows["ripple_s"], 1.0)
    ripple = rows["ripple_w"] * rows["ripple_s"] * np.minimum(phase, 1.0 - phase)
    return np.asarray(steady * since + warming + step + ripple)
