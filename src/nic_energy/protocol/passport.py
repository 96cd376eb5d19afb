"""The square wave of load from which a sensor's passport is made.

Slow cycles, longer than any averaging window, then fast ones for short windows. All stretches
are of random length, so that switches fall on the sensor's updates at random phases: a sensor
that updates ten times a second shows one point of a ramp per switch, each time another.
"""

import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass

from nic_energy.energy.passport_response import LOAD_PHASE, REST_PHASE
from nic_energy.protocol.bench import Bench
from nic_energy.protocol.repetitions import run_for
from nic_energy.traces import Interval

log = logging.getLogger(__name__)

REPORT_S = 10.0


@dataclass(frozen=True)
class WaveRule:
    """Lengths in s: the first load, which takes the device out of its idle state; the rest
    before and after the wave; the least and most of a stretch of load or rest, slow and fast.
    """

    first_s: float = 6.0
    rest_s: float = 1.0
    slow_cycles: int = 6
    slow_s: tuple[float, float] = (3.2, 4.4)
    fast_cycles: int = 70
    fast_s: tuple[float, float] = (0.2, 0.5)

    def stretches(self, seed: int) -> Iterator[tuple[str, float]]:
        """(phase, length in s) of every stretch, in order; load and rest in turn."""
        rng = random.Random(seed)  # noqa: S311 - a phase, not a secret
        yield LOAD_PHASE, self.first_s
        yield REST_PHASE, rng.uniform(*self.slow_s)
        for cycles, (least, most) in (
            (self.slow_cycles, self.slow_s),
            (self.fast_cycles, self.fast_s),
        ):
            for _ in range(cycles):
                yield LOAD_PHASE, rng.uniform(least, most)
                yield REST_PHASE, rng.uniform(least, most)


def record_wave(
    bench: Bench, rule: WaveRule, execution_s: float, seed: int
) -> tuple[Interval, ...]:
    """Switch the load on and off while the sampler runs; the samples are in `bench.history`.

    Args:
        execution_s: time of one execution: a stretch of load ends within one of its length.
        seed: seed of the lengths.

    Returns:
        The stretches as they were, `wave_on` and `wave_off` in turn.
    """
    plan = list(rule.stretches(seed))
    left_s = sum(length for _, length in plan)
    reported_s = left_s + REPORT_S
    marks: list[Interval] = []
    bench.clock.sleep(rule.rest_s)
    for phase, length in plan:
        if reported_s - left_s >= REPORT_S:
            log.info("sensor passport: %.0f s left", left_s)
            reported_s = left_s
        begin = bench.clock.now()
        if phase == LOAD_PHASE:
            run_for(bench, length, execution_s)
        else:
            bench.clock.sleep(length)
        marks.append(Interval(phase, begin, bench.clock.now()))
        bench.drain()
        left_s -= length
    bench.clock.sleep(rule.rest_s)
    bench.drain()
    return tuple(marks)
