"""A power sensor and an energy counter in front of a true power.

A sensor takes a new value at update times j*period, each moved by a little jitter. The value is
the mean of the true power over its window, which ends `lag_s` before the update, put through
gain and offset, with noise, rounded to the resolution. Windows shorter than the period make it a
part-time sensor. Everything is a function of the seed and the update's number j alone, so that
reading it twice, late, or from another process gives the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nic_energy.traces import FloatArray

Energy = Callable[[FloatArray], FloatArray]
"""True energy in J up to times in s, shape as the input."""

BLOCK = 1024


@dataclass(frozen=True)
class SensorSpec:
    """A power column. `kind` is `instant` or `average`; see the module for the rest."""

    column: str
    kind: str
    period_s: float
    window_s: float
    jitter_s: float = 0.0
    lag_s: float = 0.0
    gain: float = 1.0
    offset_w: float = 0.0
    noise_w: float = 0.0
    resolution_w: float = 0.001


@dataclass(frozen=True)
class CounterSpec:
    """The energy counter: its tick in s, jitter, gain, offset and resolution."""

    tick_s: float
    jitter_s: float = 0.0
    gain: float = 1.0
    offset_w: float = 0.0
    resolution_j: float = 0.001


class Updates:
    """Update times and the noise of each update, as functions of its number."""

    def __init__(self, period_s: float, jitter_s: float, seed: int) -> None:
        self._period, self._jitter, self._seed = period_s, jitter_s, seed

    def number(self, time_s: FloatArray) -> npt.NDArray[np.int64]:
        """The number of the last update at or before each time."""
        guess: npt.NDArray[np.int64] = np.floor(time_s / self._period).astype(np.int64) + 1
        for _ in range(2):
            guess = np.where(self.time_s(guess) > time_s, guess - 1, guess)
        return guess

    def time_s(self, number: npt.NDArray[np.int64]) -> FloatArray:
        """When an update happens."""
        moved = self._jitter * (2 * self._random("uniform", number) - 1)
        return np.asarray(number * self._period + moved)

    def noise(self, number: npt.NDArray[np.int64]) -> FloatArray:
        """Standard normal noise of an update."""
        return self._random("normal", number)

    def _random(self, kind: str, number: npt.NDArray[np.int64]) -> FloatArray:
        first, last = int(number.min()) // BLOCK, int(number.max()) // BLOCK
        blocks = [_block(self._seed, kind, index) for index in range(first, last + 1)]
        return np.asarray(np.concatenate(blocks)[number - first * BLOCK])


@lru_cache(maxsize=256)
def _block(seed: int, kind: str, index: int) -> FloatArray:
    stream = np.random.Generator(np.random.Philox(key=[seed, 2 * index + (kind == "normal")]))
    return stream.random(BLOCK) if kind == "uniform" else stream.standard_normal(BLOCK)


class Sensor:
    """Readings of a power column."""

    def __init__(self, spec: SensorSpec, seed: int) -> None:
        self.spec = spec
        self._updates = Updates(spec.period_s, spec.jitter_s, seed)

    def read(self, energy: Energy, time_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(power in W, time of the update in s) that the sensor shows at times."""
        spec, number = self.spec, self._updates.number(time_s)
        updated = self._updates.time_s(number)
        end = updated - spec.lag_s
        mean = (energy(end) - energy(end - spec.window_s)) / spec.window_s
        shown = spec.gain * mean + spec.offset_w + spec.noise_w * self._updates.noise(number)
        return np.round(shown / spec.resolution_w) * spec.resolution_w, updated


class Counter:
    """Readings of the energy counter."""

    def __init__(self, spec: CounterSpec, seed: int) -> None:
        self.spec = spec
        self._updates = Updates(spec.tick_s, spec.jitter_s, seed)

    def read(self, energy: Energy, time_s: FloatArray) -> FloatArray:
        """Energy in J that the counter shows at times, counted like `energy` from time 0 on."""
        spec = self.spec
        ticked = self._updates.time_s(self._updates.number(time_s))
        counted = spec.gain * energy(ticked) + spec.offset_w * ticked
        steps = np.floor(counted / spec.resolution_j)
        return np.asarray(np.maximum(steps * spec.resolution_j, 0.0))
