"""A device on a clock that jumps, whose power is a known function of time."""

from collections.abc import Callable
from dataclasses import dataclass, field

from nic_energy.protocol.bench import Bench
from nic_energy.traces import MeterInfo, PowerField, Sample

FIELD = PowerField("power_instant_w", "instant", 0.1, 0.0)


def meter_info(temperature: bool = True, slowdown_c: float | None = None) -> MeterInfo:
    return MeterInfo(
        "virtual", "simulated", "Test device", "TEST-1", "1.0", (FIELD,), False, temperature,
        slowdown_c,
    )  # fmt: skip


@dataclass
class JumpingDevice:
    """Clock, sampler and load in one; `heat` gives the temperature after so much load."""

    execution_s: float = 0.05
    hz: float = 10.0
    idle_w: float = 20.0
    load_w: float = 120.0
    heat: Callable[[float], float | None] = lambda _: None
    noise: Callable[[int], float] = lambda _: 0.0
    time_s: float = 1000.0
    loaded_s: float = 0.0
    runs: list[tuple[float, float, int]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    taken: int = 0
    next_sample_s: float = 1000.0

    def now(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self._advance(seconds, self.idle_w)

    def run(self, executions: int) -> tuple[float, float]:
        start = self.time_s
        self.runs.append((start, start + executions * self.execution_s, executions))
        self.loaded_s += executions * self.execution_s
        self._advance(executions * self.execution_s, self.load_w * (1 + self.noise(len(self.runs))))
        return start, self.time_s

    def _advance(self, seconds: float, power_w: float) -> None:
        end = self.time_s + seconds
        while self.next_sample_s <= end:
            self.samples.append(
                {
                    "time_s": self.next_sample_s,
                    "power_instant_w": power_w,
                    "temperature_c": self.heat(self.loaded_s),
                }
            )
            self.next_sample_s += 1 / self.hz
        self.time_s = end

    def collect(self) -> list[Sample]:
        fresh, self.taken = self.samples[self.taken :], len(self.samples)
        return fresh

    def latest(self) -> Sample | None:
        return self.samples[-1] if self.samples else None

    def bench(self, slowdown_c: float | None = None) -> Bench:
        return Bench(self, self, self, meter_info(True, slowdown_c), self.hz)
