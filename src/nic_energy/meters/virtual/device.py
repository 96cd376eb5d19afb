"""A virtual GPU: a clock that jumps, a chip that warms, loads whose true energy is known."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nic_energy.meters.virtual.presets import Preset
from nic_energy.meters.virtual.timeline import Segment, Timeline
from nic_energy.traces import FloatArray

BOOTED_S = 3600.0
"""A fresh virtual GPU has been at rest for this long since boot."""

REST_STEP_S = 1.0
"""Rest is laid down in stretches of this length, each with its own wander of the idle power."""


@dataclass(frozen=True)
class Work:
    """One execution: true dynamic energy in J above cold idle once the temperature has settled,
    its duration in s, and the share by which its first half draws more than its second.
    """

    energy_j: float
    duration_s: float
    ripple_share: float = 0.0

    @property
    def power_w(self) -> float:
        """Dynamic power."""
        return self.energy_j / self.duration_s


@dataclass(frozen=True)
class Noise:
    """Scatter of the dynamic power from run to run: relative standard deviation `share`, its
    correlation time (0: every run anew), and a relative drift an hour since the first opening.
    """

    share: float = 0.0
    correlation_s: float = 0.0
    drift_per_hour: float = 0.0


@dataclass(frozen=True)
class State:
    """What a virtual GPU carries over from process to process; `counted_j` is its true energy
    since boot, at time 0.
    """

    time_s: float
    temperature_c: float
    since_load_s: float
    wander: float
    noise: float
    counted_j: float
    opened: int

    @classmethod
    def fresh(cls, preset: Preset) -> "State":
        """Cold and at rest for long, an hour after boot."""
        cold_c, counted_j = preset.settled_c(preset.idle_w), BOOTED_S * preset.idle_w
        return cls(BOOTED_S, cold_c, math.inf, 0.0, 0.0, counted_j, 0)

    def as_json(self) -> dict[str, Any]:
        """For a file; infinity is null there."""
        values = asdict(self)
        values["since_load_s"] = None if math.isinf(self.since_load_s) else self.since_load_s
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "State":
        """The reverse."""
        since = values["since_load_s"]
        return cls(**{**values, "since_load_s": math.inf if since is None else since})


class VirtualGpu:
    """The device: clock and chip. Time passes by `sleep` and `run` only.

    Args:
        preset: its figures. state: where it goes on from. noise: scatter of the runs.
        seed: with the number of openings it determines everything random.
    """

    def __init__(self, preset: Preset, state: State, noise: Noise, seed: int) -> None:
        self.preset, self.noise = preset, noise
        self.opened = state.opened + 1
        self._random = np.random.default_rng([seed, self.opened])
        self._now, self._state = state.time_s, state
        self._temperature = state.temperature_c
        self._load_ended_s = state.time_s - state.since_load_s
        self._wander, self._noise = state.wander, state.noise
        self.attached_s = math.inf
        self.slowdown = 0.0
        self.timeline = Timeline(self._rest(state.time_s))

    def now(self) -> float:
        """The time in s."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Rest for that long."""
        end = self._now + max(0.0, seconds)
        while (left := end - self._now) > 1e-9:
            step = min(REST_STEP_S, left)
            self._wander = self._next(self._wander, step, self.preset.wander_s)
            self._lay(self._rest(self._now), step)
        self._now = end

    def attach(self) -> None:
        """A network becomes resident: from now on rest draws the context's power too."""
        self.attached_s = min(self.attached_s, self._now)
        self.timeline.append(self._rest(self._now))

    def run(self, work: Work, executions: int) -> tuple[float, float]:
        """Execute back to back: (start_s, end_s)."""
        start, duration = self._now, executions * work.duration_s * (1 + self.slowdown)
        self._noise = self._next(self._noise, duration, self.noise.correlation_s)
        drift = self.noise.drift_per_hour * (start - BOOTED_S) / 3600
        power = work.power_w * (1 + self.noise.share * self._noise + drift)
        self._lay(self._load(start, power, work), duration)
        self._load_ended_s = self._now
        self.timeline.append(self._rest(self._now))
        return start, self._now

    def energy_j(self, time_s: FloatArray) -> FloatArray:
        """True energy since this opening, at times."""
        return self.timeline.energy_j(time_s)

    def counted_j(self, time_s: FloatArray) -> FloatArray:
        """True energy since boot, over all openings, at times."""
        return self._state.counted_j + self.energy_j(time_s)

    def true_energy_j(self, start_s: float, end_s: float) -> float:
        """True energy between two times, idle included."""
        first, last = self.energy_j(np.array([start_s, end_s]))
        return float(last - first)

    def state(self) -> State:
        """What to carry over to the next process."""
        return State(
            time_s=self._now,
            temperature_c=self._temperature,
            since_load_s=self._now - self._load_ended_s,
            wander=self._wander,
            noise=self._noise,
            counted_j=float(self.counted_j(np.array([self._now]))[0]),
            opened=self.opened,
        )

    def _next(self, value: float, step_s: float, correlation_s: float) -> float:
        """The next value of a standard normal process with that correlation time."""
        keep = math.exp(-step_s / correlation_s) if correlation_s > 0 else 0.0
        return keep * value + math.sqrt(1 - keep**2) * float(self._random.standard_normal())

    def _lay(self, segment: Segment, seconds: float) -> None:
        self.timeline.append(segment)
        self._now += seconds
        decay = math.exp(-seconds / segment.thermal_s)
        self._temperature = segment.end_c + (self._temperature - segment.end_c) * decay

    def _rest(self, start_s: float) -> Segment:
        preset = self.preset
        base = preset.idle_w + preset.wander_w * self._wander
        base += preset.context_w if start_s >= self.attached_s else 0.0
        decay = math.exp(-(start_s - self._load_ended_s) / preset.step_s)
        reference = preset.settled_c(preset.idle_w)
        return Segment(
            *self._warming(start_s, base, reference),
            step_w=preset.step_w * decay,
            step_s=preset.step_s,
        )

    def _load(self, start_s: float, power_w: float, work: Work) -> Segment:
        preset = self.preset
        reference = preset.settled_c(preset.idle_w + work.power_w)
        return Segment(
            *self._warming(start_s, preset.idle_w + power_w, reference),
            ripple_w=work.ripple_share * work.power_w,
            ripple_s=work.duration_s * (1 + self.slowdown),
            loaded=True,
        )

    def _warming(
        self, start_s: float, base_w: float, reference_c: float
    ) -> tuple[float, float, float, float, float, float, float]:
        """The first fields of a segment with power `base_w` at the reference temperature: where
        the temperature goes follows from the power, and the power from the temperature.
        """
        preset, loop = self.preset, self.preset.loop
        cold_w = base_w - preset.leakage_w_per_k * reference_c
        end_c = (preset.ambient_c + preset.resistance_k_per_w * cold_w) / loop
        leakage, thermal_s = preset.leakage_w_per_k, preset.thermal_s / loop
        return start_s, base_w, leakage, reference_c, self._temperature, end_c, thermal_s
