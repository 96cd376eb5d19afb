"""The true power of a virtual GPU over time, piecewise and in closed form.

A segment holds for one stretch of rest or load. With t the time since its start,

    P(t) = base + k*(T(t) - T_ref) + step*exp(-t/tau_step) + ripple(t)
    T(t) = T_end + (T_0 - T_end)*exp(-t/tau)

base: power at the reference temperature; k: leakage; step: what a high performance state still
draws; ripple: a square wave of zero mean with the period of one execution. Its integral is in
closed form too, so that a sensor of any averaging window reads exactly what it would, and the
true energy between any two times is known to rounding.
"""

import math
from dataclasses import dataclass, fields
from operator import attrgetter

import numpy as np
import numpy.typing as npt

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
START = NAMES.index("start_s")


class Timeline:
    """Segments in order of time; the last one holds on."""

    def __init__(self, first: Segment) -> None:
        self._values = np.empty((64, len(NAMES)))
        self._before_j = np.zeros(64)
        self._values[0] = _row(first)
        self._last, self._count = first, 1

    @property
    def start_s(self) -> float:
        """Where the timeline begins."""
        return float(self._values[0, START])

    def append(self, segment: Segment) -> None:
        """Begin a new segment; one of no length before it is replaced.

        Raises:
            ValueError: it begins before the last one.
        """
        last, before = self._count - 1, self._last
        length = segment.start_s - before.start_s
        if length < 0:
            raise ValueError("segments must be in order of time")
        self._last = segment
        if length == 0 and last > 0:
            self._values[last] = _row(segment)
            return
        if self._count == len(self._values):
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
            self._before_j = np.concatenate([self._before_j, np.zeros_like(self._before_j)])
        self._before_j[self._count] = self._before_j[last] + _whole_j(before, length)
        self._values[self._count] = _row(segment)
        self._count += 1

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
        energy = self._before_j[self._index(time_s)] + _integral(rows, since)
        early = np.minimum(time_s - self.start_s, 0.0)
        if early.any():
            energy = energy + early * self.power_w(np.array([self.start_s]))[0]
        return np.asarray(energy)

    def _index(self, time_s: FloatArray) -> npt.NDArray[np.int64]:
        starts = self._values[: self._count, START]
        return np.maximum(np.searchsorted(starts, time_s, side="right") - 1, 0)

    def _at(self, time_s: FloatArray) -> tuple[dict[str, FloatArray], FloatArray]:
        """(columns of the segment that holds, time since its start) at times."""
        rows = _columns(self._values[self._index(time_s)])
        return rows, np.maximum(time_s - rows["start_s"], 0.0)


_row = attrgetter(*NAMES)


def _whole_j(segment: Segment, seconds: float) -> float:
    """`_integral` of one segment, without the cost of arrays."""
    tau, step_s = segment.thermal_s, segment.step_s
    steady = segment.base_w + segment.leakage_w_per_k * (segment.end_c - segment.reference_c)
    warming = segment.leakage_w_per_k * (segment.start_c - segment.end_c)
    phase = seconds / segment.ripple_s % 1.0
    return (
        steady * seconds
        - warming * tau * math.expm1(-seconds / tau)
        - segment.step_w * step_s * math.expm1(-seconds / step_s)
        + segment.ripple_w * segment.ripple_s * min(phase, 1.0 - phase)
    )


def _columns(values: FloatArray) -> dict[str, FloatArray]:
    return dict(zip(NAMES, values.T, strict=True))


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
